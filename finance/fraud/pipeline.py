"""Fraud: which transactions to investigate today, learned from the past alone, within a budget of cards a day.

The run in the order of its stages: prepare (`prepare.py`: periods, audit, histories), train (`train.py`), evaluate
(`measure.py`), export (`release.py`), report (`report.py`).

    lepton run finance/fraud data.path=tx.csv data.time=ts data.entity=[card,terminal] data.amount=amount \\
        data.target=fraud
"""

from finance.fraud.settings import Fraud
from lepton_solutions.files import stamp
from lepton_solutions.pipeline import Stage


def stages(settings: Fraud) -> list[Stage]:
    """The run, in order: what each stage reads and writes."""
    # Imported here, so that a mistyped key is answered before torch and its like have loaded.
    from finance.fraud.measure import evaluate
    from finance.fraud.prepare import prepare_rows
    from finance.fraud.release import export
    from finance.fraud.report import report
    from finance.fraud.train import train

    counted = (settings.features, settings.model.sequence)
    prepared = ("transactions.npz", "data.json", "audit.json", "features.npy", "features.json")
    learned = ("models", "learned.json")
    measured = ("evaluation.json", "predictions.parquet")
    return [
        Stage(
            "prepare",
            lambda run, out, progress: prepare_rows(settings, run, out),
            reads=(),
            writes=prepared,
            depends=(settings.data, settings.split, *counted, stamp(settings.data.path)),
        ),
        Stage(
            "train",
            lambda run, out, progress: train(settings, run, out, progress),
            reads=prepared,
            writes=learned,
            depends=(settings.seed, settings.model, settings.fit, settings.decision.budget),
            together=True,
        ),
        Stage(
            "evaluate",
            lambda run, out, progress: evaluate(settings, run, out, progress),
            reads=(*prepared, *learned),
            writes=measured,
            depends=(settings.seed, settings.decision),
        ),
        Stage(
            "export",
            lambda run, out, progress: export(settings, run, out, progress),
            reads=(*prepared, *learned, "evaluation.json"),
            writes=("bundle", "metrics.json"),
            depends=(settings.seed, settings.decision),
        ),
        Stage(
            "report",
            lambda run, out, progress: report(run, out),
            reads=("data.json", "learned.json", "evaluation.json", "metrics.json"),
            writes=("report.html", "figures"),
        ),
    ]
