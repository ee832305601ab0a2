"""Equipment failure: how long a machine will last, whether it fails soon, which fault it shows, when to service it.

The run in the order of its stages: prepare (`prepare.py`), train (`train.py`), evaluate (`measure.py`), export
(`release.py`), report (`report.py`).

    lepton run manufacturing/failure data.path=history.csv data.unit=machine data.time=ts data.failure=failed_at
"""

from lepton_solutions.files import stamp
from lepton_solutions.pipeline import Stage
from manufacturing.failure.settings import Failure


def stages(settings: Failure) -> list[Stage]:
    """The run, in order: what each stage reads and writes."""
    # Imported here, so that a mistyped key is answered before torch and its like have loaded.
    from manufacturing.failure.measure import evaluate
    from manufacturing.failure.prepare import prepare
    from manufacturing.failure.release import export
    from manufacturing.failure.report import report
    from manufacturing.failure.train import train

    prepared = ("fleet.npz", "data.json", "audit.json")
    learned = ("members", "baselines", "learned.json")
    measured = ("evaluation.json", "predictions.parquet")
    return [
        Stage(
            "prepare",
            lambda run, out, progress: prepare(settings, run, out),
            reads=(),
            writes=prepared,
            depends=(
                settings.question,
                settings.data,
                settings.seed,
                settings.inputs.window,
                stamp(settings.data.path),
            ),
        ),
        Stage(
            "train",
            lambda run, out, progress: train(settings, run, out, progress),
            reads=prepared,
            writes=learned,
            depends=(settings.seed, settings.inputs, settings.model, settings.fit, settings.decision),
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
