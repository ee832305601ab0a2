"""Credit scoring: the probability that an applicant defaults, and the decision that costs least.

The run in the order of its stages: prepare and train (`train.py`), evaluate (`measure.py`), export (`release.py`),
report (`report.py`).

    lepton run finance/credit data.path=loans.csv data.target=default
"""

from finance.credit.settings import Credit
from lepton_solutions.files import stamp
from lepton_solutions.pipeline import Stage


def stages(settings: Credit) -> list[Stage]:
    """The run, in order: what each stage reads and writes."""
    # Imported here, so that a mistyped key is answered before torch and its like have loaded.
    from finance.credit.measure import evaluate
    from finance.credit.release import export
    from finance.credit.report import report
    from finance.credit.train import prepare_rows, train

    prepared = ("rows.parquet", "columns.json", "data.json", "audit.json")
    learned = ("models", "learned.json")
    measured = ("evaluation.json", "predictions.parquet")
    learning = (settings.seed, settings.model, settings.fit, settings.combine, settings.decision)
    return [
        Stage(
            "prepare",
            lambda run, out, progress: prepare_rows(settings, run, out),
            reads=(),
            writes=prepared,
            depends=(settings.data, settings.audit, settings.seed, stamp(settings.data.path)),
        ),
        Stage(
            "train",
            lambda run, out, progress: train(settings, run, out, progress),
            reads=prepared,
            writes=learned,
            depends=learning,
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
            reads=(*prepared, *learned, *measured),
            writes=("bundle", "metrics.json"),
        ),
        Stage(
            "report",
            lambda run, out, progress: report(run, out),
            reads=(*prepared, *learned, *measured, "metrics.json"),
            writes=("report.html", "figures"),
        ),
    ]
