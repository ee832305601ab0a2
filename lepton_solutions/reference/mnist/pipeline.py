"""MNIST by 784-128-10: a result that everyone knows, through every station of the path.

The run in the order of its stages: prepare (`parts.py`), train and finetune (`train.py`), evaluate (`measure.py`),
export (`release.py`), report (`report.py`).

    lepton run reference/mnist
"""

from lepton_solutions.pipeline import Stage
from lepton_solutions.reference.mnist.settings import Mnist


def stages(settings: Mnist) -> list[Stage]:
    """The run, in order: what each stage reads and writes. Test images are named by evaluate and export alone."""
    # Imported here, so that a mistyped key is answered before torch and its like have loaded.
    from lepton_solutions.reference.mnist import parts
    from lepton_solutions.reference.mnist.measure import evaluate
    from lepton_solutions.reference.mnist.release import export
    from lepton_solutions.reference.mnist.report import report
    from lepton_solutions.reference.mnist.train import finetune, train

    shown = ("train.parquet", "validation.parquet")
    about = ("data.json", "audit.json")
    learned = ("trained", "finetuned") if settings.finetune.epochs else ("trained",)
    learning = (settings.seed, settings.augment, settings.fit)
    steps = [
        Stage(
            "prepare",
            lambda run, out, progress: parts.prepare(settings, out),
            reads=(),
            writes=(*parts.FILES, *about),
            depends=(settings.data, settings.seed),
        ),
        Stage(
            "train",
            lambda run, out, progress: train(settings, run, out, progress),
            reads=shown,
            writes=("trained",),
            together=True,
            depends=(*learning, settings.hidden),
        ),
        Stage(
            "finetune",
            lambda run, out, progress: finetune(settings, run, out, progress),
            reads=(*shown, "trained"),
            writes=("finetuned",),
            together=True,
            depends=(*learning, settings.finetune),
        ),
        Stage(
            "evaluate",
            lambda run, out, progress: evaluate(settings, run, out, progress),
            reads=("test.parquet", *learned),
            writes=("evaluation.json",),
            depends=(settings.seed,),
        ),
        Stage(
            "export",
            lambda run, out, progress: export(settings, run, out, progress),
            reads=("test.parquet", *about, *learned, "evaluation.json"),
            writes=("export", "metrics.json"),
        ),
        Stage(
            "report",
            lambda run, out, progress: report(run, out),
            reads=(*about, *learned, "evaluation.json", "metrics.json"),
            writes=("report.html",),
        ),
    ]
    return [step for step in steps if step.name != "finetune" or settings.finetune.epochs]
