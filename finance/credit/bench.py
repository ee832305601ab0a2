"""`lepton bench credit`: who orders applicants best, on the same folds?

Protocol: stratified 5-fold cross-validation; German credit with seeds 0, 1, 2, the larger sets with seed 0. Every fold's
test rows are scored once. Ours are the defaults of `lepton run finance/credit`, the same for all three sets. Each rival is
tuned for each set: the best of equally many draws from its space, judged on folds of seed 100.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from scipy import stats
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import StratifiedKFold, train_test_split

from finance.credit.members import fit_members
from finance.credit.scorecard import fit_scorecard
from finance.credit.settings import Credit, Member
from finance.credit.sources import german, gmsc, taiwan
from lepton_solutions.bench import Bench, Cell, Row, interval
from lepton_solutions.config import read_jobs
from lepton_solutions.data.columns import Columns, Rows
from lepton_solutions.data.kinds import fit_levels, infer_kinds
from lepton_solutions.data.prepare import Sample, read_target
from lepton_solutions.models.boosting import fit_boosting
from lepton_solutions.models.linear import fit_logistic

TASKS = {"german": german, "taiwan": taiwan, "gmsc": gmsc}
SEEDS = {"german": (0, 1, 2), "taiwan": (0,), "gmsc": (0,)}
OURS: tuple[Member, ...] = ("mlp", "lightgbm", "logistic")  # the members of `combine` in conf/finance/credit.yaml
RIVALS = ("logistic", "scorecard", "lightgbm", "catboost")
BARE = "without protected columns"
FOLDS, TRIALS, TUNING_SEED = 5, 12, 100
TUNING_ROWS = 30_000  # a larger set is tuned on a stratified sample of this size
REACH = {"german": 0.797, "taiwan": 0.788, "gmsc": 0.866}
PUBLISHED = [
    ("german", "logistic, Nx2 CV", 0.784, "Lessmann et al. 2015"),
    ("german", "HCES-Bag, Nx2 CV", 0.801, "Lessmann et al. 2015"),
    ("german", "random forest, tuned, 10-fold, 1 h", 0.7955, "OpenML AutoML benchmark 2019"),
    ("german", "TabPFN v2, 10 x 3-fold", 0.7761, "TabArena protocol"),
    ("taiwan", "TabPFN v2, TabArena protocol", 0.7654, "TabArena protocol"),
    ("taiwan", "LightGBM, one 70/30 split", 0.7852, "AutoGluon comparison, secondary"),
    ("taiwan", "AutoGluon best, one 70/30 split", 0.7898, "AutoGluon comparison, secondary"),
    ("gmsc", "HCES-Bag, Nx2 CV", 0.865, "Lessmann et al. 2015"),
    ("gmsc", "TabPFN v2", 0.8464, "TabArena protocol"),
]
# What a rival may be: the first entry of each list is its default, and the first trial takes the defaults.
SPACES: dict[str, dict[str, list[Any]]] = {
    "logistic": {"penalty": [None, 1e-4, 1e-3, 3e-3, 1e-2, 2e-2, 3e-2, 5e-2, 1e-1]},  # None: by inner folds
    "scorecard": {"penalty": [None, 1e-3, 1e-2, 3e-2, 1e-1]},
    "lightgbm": {
        "rounds": [200, 100, 400, 800],
        "learning_rate": [0.03, 0.01, 0.05, 0.1],
        "leaves": [7, 4, 15, 31],
        "leaf_rows": [10, 5, 30, 100],
        "feature_share": [0.5, 0.3, 0.7, 1.0],
        "l2": [1.0, 0.1, 10.0],
    },
    "catboost": {
        "iterations": [500, 200, 1000],
        "learning_rate": [0.03, 0.01, 0.06, 0.1],
        "depth": [6, 3, 4, 8],
        "l2_leaf_reg": [3.0, 1.0, 10.0, 30.0],
        "random_strength": [1.0, 0.3, 3.0],
    },
}
Fit = Callable[[Sample, Columns, int], Callable[[Rows], np.ndarray]]


def credit() -> Bench:
    """The bench, from cheap cells to dear ones."""
    cells = [
        Cell(task, model, seed)
        for task, seeds in SEEDS.items()
        for model in (*RIVALS, *(f"ours-{name}" for name in OURS), *(f"bare-{name}" for name in OURS))
        for seed in seeds
    ]
    return Bench(
        title="Credit scoring",
        about=ABOUT,
        cells=cells,
        measure=measure,
        rows=table,
        conclusions=conclusions,
        packages=("torch", "lightgbm", "catboost", "optbinning", "scikit-learn", "numpy"),
    )


ABOUT = f"""
Area under the ROC curve, mean over the test folds of stratified {FOLDS}-fold cross-validation; German credit with seeds
0, 1, 2 (15 folds), Taiwan and Give Me Some Credit with seed 0 (5 folds). All columns, except in the row "{BARE}".
Each fold's test rows are scored once.

- Rivals are tuned for each set: {TRIALS} draws from their space (the first is their default), judged by {FOLDS}-fold AUC
  on seed {TUNING_SEED}, on a stratified sample of {TUNING_ROWS:,} rows where a set is larger. The chosen values stand below.
- Ours are not tuned for a set: the defaults of `lepton run finance/credit`, the same for all three, which were settled on
  folds of seeds from 100 on. "combination" is the model that this pipeline ships, the log-odds average of its members.
- Intervals are Student's over folds, which share training rows: read them as a little narrow. Differences to a rival are
  paired, fold by fold. Seconds are of one fit on one fold, one thread; a combination takes the sum of its members, and
  the largest of their peaks.
"""


def measure(task: str, model: str, seed: int) -> dict[str, object]:
    """Out-of-fold log-odds of one model with the AUC of each fold; tuned rivals say what was chosen."""
    kind, _, name = model.rpartition("-")
    sample, columns = load(task, protected=kind != "bare")
    if kind:
        settings = ours(seed)
        fit: Fit = lambda rows, of, at: fit_ours(settings, name, rows, of)  # noqa: E731
        chosen: dict[str, Any] = {}
    else:
        chosen = tune(task, name, sample, columns)
        fit = rival(name, chosen)
    logit, fold, start = np.empty(len(sample)), np.empty(len(sample), dtype=int), time.perf_counter()
    for number, (train, test) in enumerate(splits(sample.target, seed)):
        logit[test] = fit(sample.take(train), columns, seed)(sample.rows.take(test))
        fold[test] = number
    return {
        "seconds": (time.perf_counter() - start) / FOLDS,
        "chosen": chosen,
        "logit": np.round(logit, 5).tolist(),
        "fold": fold.tolist(),
        "target": sample.target.tolist(),
    }


def load(task: str, *, protected: bool) -> tuple[Sample, Columns]:
    """All rows of a set, encoded; with or without its protected columns. Levels carry no label, so all rows name them."""
    dataset = TASKS[task]()
    assert dataset.target is not None
    target, *_ = read_target(dataset.rows, dataset.target, dataset.positive, where=task)
    skip = {dataset.target, *(() if protected else dataset.protected)}
    columns = fit_levels(infer_kinds(dataset.rows, skip=skip, where=task), dataset.rows).columns
    return Sample(columns.encode(dataset.rows), target, np.ones(len(target))), columns


def splits(target: np.ndarray, seed: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Positions of training and test rows of each fold."""
    yield from StratifiedKFold(FOLDS, shuffle=True, random_state=seed).split(target, target)


def ours(seed: int) -> Credit:
    """The defaults of the pipeline."""
    (job,) = read_jobs("finance/credit", [f"seed={seed}"], multirun=False)
    assert isinstance(job.settings, Credit)
    return job.settings


def fit_ours(settings: Credit, name: str, sample: Sample, columns: Columns) -> Callable[[Rows], np.ndarray]:
    """One member as the pipeline fits it; a tenth of the training fold stops the trees."""
    index = np.arange(len(sample))
    train, held = train_test_split(index, test_size=0.1, stratify=sample.target, random_state=settings.seed)
    whole = name != "lightgbm"  # only the trees look at validation rows
    fitted = sample if whole else sample.take(train)
    models = fit_members(settings, columns, fitted, None if whole else sample.take(held), names=(name,))
    return models[name].logit


def rival(name: str, chosen: dict[str, Any]) -> Fit:
    """A rival with these hyperparameters."""

    def fit(sample: Sample, columns: Columns, seed: int) -> Callable[[Rows], np.ndarray]:
        rows = (sample.rows, sample.target, sample.weight)
        if name == "catboost":
            return _catboost(sample, chosen, seed)
        fits = {"logistic": fit_logistic, "scorecard": fit_scorecard, "lightgbm": fit_boosting}
        return fits[name](*rows, columns=columns, seed=seed, **chosen).logit

    return fit


def _catboost(sample: Sample, chosen: dict[str, Any], seed: int) -> Callable[[Rows], np.ndarray]:
    import catboost
    import pandas as pd

    p, q = sample.rows.numeric.shape[1], sample.rows.codes.shape[1]

    def frame(rows: Rows) -> pd.DataFrame:
        return pd.concat([pd.DataFrame(rows.numeric), pd.DataFrame(rows.codes, columns=range(p, p + q))], axis=1)

    model = catboost.CatBoostClassifier(
        **chosen, random_seed=seed, thread_count=1, verbose=False, allow_writing_files=False
    )
    model.fit(frame(sample.rows), sample.target, cat_features=list(range(p, p + q)))
    return lambda rows: model.predict(frame(rows), prediction_type="RawFormulaVal")


def tune(task: str, name: str, sample: Sample, columns: Columns) -> dict[str, Any]:
    """The best of `TRIALS` draws, or of the whole space where that is smaller, on folds of a seed that is not reported."""
    generator = np.random.default_rng(TUNING_SEED)
    space = SPACES[name]
    trials = [{key: values[0] for key, values in space.items()}]
    size = int(np.prod([len(values) for values in space.values()]))
    while len(trials) < min(TRIALS, size):
        drawn = {key: values[int(generator.integers(len(values)))] for key, values in space.items()}
        if drawn not in trials:
            trials.append(drawn)
    if len(sample) > TUNING_ROWS:
        kept, _ = train_test_split(
            np.arange(len(sample)), train_size=TUNING_ROWS, stratify=sample.target, random_state=TUNING_SEED
        )
        sample = sample.take(kept)

    def judge(trial: dict[str, Any]) -> float:
        fit = rival(name, trial)
        return float(
            np.mean(
                [
                    roc_auc_score(
                        sample.target[test], fit(sample.take(train), columns, TUNING_SEED)(sample.rows.take(test))
                    )
                    for train, test in splits(sample.target, TUNING_SEED)
                ]
            )
        )

    return max(trials, key=judge)


# -- the table ----------------------------------------------------------------------------------------------------


def table(records: dict[Cell, dict]) -> list[Row]:
    """Rows for every model whose cells are measured so far, and the published figures of its task."""
    rows = []
    for task in dict.fromkeys(cell.task for cell in records):
        for model, ours_, members in _models():
            found = _aucs(records, task, members)
            if found is None:
                continue
            aucs, seconds, peak = found
            mean, low, high = interval(aucs)
            rows.append(
                Row(task, model, ours_, "auc", mean, low, high, len(aucs) // FOLDS, seconds, peak, "measured here")
            )
        for at, model, value, source in PUBLISHED:
            if at == task:
                rows.append(Row(task, model, False, "auc", value, None, None, None, None, None, f"published: {source}"))
    return rows


def _models() -> Iterator[tuple[str, bool, tuple[str, ...]]]:
    """Name in the table, whether it is ours, the cells it is made of."""
    for name in RIVALS:
        yield name, False, (name,)
    yield "MLP", True, ("ours-mlp",)
    yield "combination", True, tuple(f"ours-{name}" for name in OURS)
    yield f"combination, {BARE}", True, tuple(f"bare-{name}" for name in OURS)


def _aucs(records: dict[Cell, dict], task: str, members: tuple[str, ...]) -> tuple[list[float], float, float] | None:
    """AUC of every fold of every seed measured, seconds a fit, peak MB; None while a member is missing."""
    seeds = sorted({cell.seed for cell in records if cell.task == task})
    aucs: list[float] = []
    seconds, peak = [], 0.0
    for seed in seeds:
        parts = [records.get(Cell(task, member, seed)) for member in members]
        if any(part is None for part in parts):
            continue
        whole = [part for part in parts if part is not None]
        logit = np.mean([part["logit"] for part in whole], axis=0)
        fold, target = np.asarray(whole[0]["fold"]), np.asarray(whole[0]["target"])
        aucs += [float(roc_auc_score(target[fold == k], logit[fold == k])) for k in range(FOLDS)]
        seconds.append(sum(part["seconds"] for part in whole))
        peak = max(peak, *(part["peak_mb"] for part in whole))
    return (aucs, float(np.mean(seconds)), peak) if aucs else None


def conclusions(records: dict[Cell, dict]) -> str:
    """Ours against the best rival, paired by fold, what was asked for, and what the tuning chose."""
    lines = [
        "| set | ours | asked | best rival | paired difference | its standard error |",
        "| --- | ---: | ---: | --- | ---: | ---: |",
    ]
    for task in SEEDS:
        best_ours = max(
            (m for m in _models() if m[1] and BARE not in m[0]), key=lambda m: np.mean(_aucs(records, task, m[2])[0])
        )  # type: ignore[index]
        best_rival = max((m for m in _models() if not m[1]), key=lambda m: np.mean(_aucs(records, task, m[2])[0]))  # type: ignore[index]
        mine, theirs = (np.asarray(_aucs(records, task, m[2])[0]) for m in (best_ours, best_rival))  # type: ignore[index]
        gap = mine - theirs
        lines.append(
            f"| {task} | {best_ours[0]} {mine.mean():.4f} | {REACH[task]:.3f} | {best_rival[0]} {theirs.mean():.4f} "
            f"| {gap.mean():+.4f} | {stats.sem(gap):.4f} |"
        )
    lines += ["", "Chosen by the tuning:", ""]
    for cell, record in records.items():
        if record["chosen"] and cell.seed == 0:
            values = ", ".join(f"{key} {value}" for key, value in record["chosen"].items())
            lines.append(f"- {cell.task}, {cell.model}: {values}")
    return "\n".join(lines)
