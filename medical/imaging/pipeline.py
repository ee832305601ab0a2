"""Imaging diagnosis: from CT, MRI, X-ray or ultrasound images to a decision a radiologist can check.

The run in the order of its stages: prepare (`prepare.py`), train (`train.py`), evaluate (`measure.py`), export
(`release.py`), report (`report.py`).

    lepton run medical/imaging data.path=images/
"""

from lepton_solutions.files import stamp
from lepton_solutions.pipeline import Stage
from medical.imaging.settings import Imaging


def stages(settings: Imaging) -> list[Stage]:
    """The run, in order: what each stage reads and writes."""
    # Imported here, so that a mistyped key is answered before torch and its like have loaded.
    from medical.imaging.measure import evaluate
    from medical.imaging.prepare import prepare
    from medical.imaging.release import export
    from medical.imaging.report import report
    from medical.imaging.train import train

    prepared = ("index.parquet", "data.json", "audit.json")
    learned = ("members", "baseline.json", "logits.npz", "learned.json")
    measured = ("evaluation.json", "predictions.parquet", "explained.npz")
    return [
        Stage(
            "prepare",
            lambda run, out, progress: prepare(settings, run, out, progress),
            reads=(),
            writes=prepared,
            depends=(settings.data, settings.audit, settings.seed, settings.model.task, stamp(settings.data.path)),
        ),
        Stage(
            "train",
            lambda run, out, progress: train(settings, run, out, progress),
            reads=prepared,
            writes=learned,
            depends=(settings.seed, settings.model, settings.augment, settings.fit, settings.decision),
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
