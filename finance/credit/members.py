"""The models of the credit pipeline behind one interface: how each is fitted, kept and found again."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path

from finance.credit.scorecard import Scorecard, fit_scorecard
from finance.credit.settings import Credit, Member
from lepton_solutions import metrics
from lepton_solutions.data.columns import Columns
from lepton_solutions.data.decision import sigmoid
from lepton_solutions.data.prepare import Sample
from lepton_solutions.models.boosting import Boosting, fit_boosting
from lepton_solutions.models.combination import Combination
from lepton_solutions.models.linear import Additive, fit_logistic
from lepton_solutions.models.mlp import TabularMLP
from lepton_solutions.progress import Progress
from lepton_solutions.training.tabular import fit_mlp

Model = TabularMLP | Boosting | Additive | Scorecard | Combination
MEMBERS: dict[Member, type[TabularMLP] | type[Boosting] | type[Additive] | type[Scorecard]] = {
    "mlp": TabularMLP,
    "lightgbm": Boosting,
    "logistic": Additive,
    "scorecard": Scorecard,
}
LABELS = {"mlp": "MLP ensemble", "lightgbm": "LightGBM", "logistic": "Logistic regression", "scorecard": "Scorecard"}
SIMPLE: tuple[Member, ...] = ("logistic", "scorecard", "lightgbm")  # the baselines, one of which is `baseline`
OURS = "trained"  # the combination, which ships


def fit_members(
    settings: Credit,
    columns: Columns,
    fitted: Sample,
    validation: Sample | None,
    *,
    names: Sequence[Member] = tuple(MEMBERS),
    progress: Progress | None = None,
    folder: Path | None = None,
) -> dict[str, Model]:
    """The named models, each trained on `fitted`; `validation` stops those early that can be stopped.

    folder: where an interrupted training of the network goes on.
    """
    rows, seed = (fitted.rows, fitted.target, fitted.weight), settings.seed
    judged = None if validation is None else (validation.rows, validation.target, validation.weight)

    def judge(model: TabularMLP) -> dict[str, float]:
        assert validation is not None
        return metrics.metric_values(validation.target, sigmoid(model.logit(validation.rows)), validation.weight)

    watch = None if progress is None else lambda share, text: progress.update(0.8 * share, f"mlp, {text}")
    fits: dict[Member, Callable[[], Model]] = {
        "mlp": lambda: fit_mlp(
            *rows,
            columns=columns,
            shape=settings.model,
            settings=settings.fit,
            seed=seed,
            judge=None if validation is None or progress is None else judge,
            folder=folder,
            watch=watch or (lambda share, text: None),
        ),
        "lightgbm": lambda: fit_boosting(*rows, columns=columns, seed=seed, validation=judged),
        "logistic": lambda: fit_logistic(*rows, columns=columns, seed=seed),
        "scorecard": lambda: fit_scorecard(*rows, columns=columns, seed=seed),
    }
    models: dict[str, Model] = {}
    for done, name in enumerate(names):
        if progress is not None:
            progress.update(0.8 + 0.2 * done / len(names) if done else 0.0, name)
        models[name] = fits[name]()
    return models


def load_models(run: Path) -> dict[str, Model]:
    """What `train` saved."""
    combined = json.loads((run / "learned.json").read_text(encoding="utf-8"))["combine"]
    models: dict[str, Model] = {name: kind.load(run / "models" / name) for name, kind in MEMBERS.items()}
    return {**models, OURS: Combination({name: models[name] for name in combined})}
