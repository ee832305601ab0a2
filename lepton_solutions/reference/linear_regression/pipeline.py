"""Linear regression by gradient descent: the one training whose every number has a closed form.

The run in the order of its stages: prepare and train (`train.py`, against `exact.py`), evaluate (`measure.py`), export
(`release.py`), report (`report.py`).

    lepton run reference/linear_regression
"""

from lepton_solutions.pipeline import Stage
from lepton_solutions.reference.linear_regression.settings import LinearRegression


def stages(settings: LinearRegression) -> list[Stage]:
    """The run, in order: what each stage reads and writes."""
    # Imported here, so that a mistyped key is answered before torch and its like have loaded.
    from lepton_solutions.reference.linear_regression.measure import evaluate
    from lepton_solutions.reference.linear_regression.release import export
    from lepton_solutions.reference.linear_regression.report import report
    from lepton_solutions.reference.linear_regression.train import prepare, train

    return [
        Stage(
            "prepare",
            lambda run, out, progress: prepare(settings, out),
            reads=(),
            writes=("train.parquet", "test.parquet", "data.json"),
            depends=(settings.data, settings.seed),
        ),
        Stage(
            "train",
            lambda run, out, progress: train(settings, run, out, progress),
            reads=("train.parquet",),
            writes=("trained",),
            together=True,
            depends=(settings.seed, settings.fit),
        ),
        Stage(
            "evaluate",
            lambda run, out, progress: evaluate(settings, run, out, progress),
            reads=("test.parquet", "trained"),
            writes=("evaluation.json",),
            depends=(settings.seed,),
        ),
        Stage(
            "export",
            lambda run, out, progress: export(settings, run, out, progress),
            reads=("test.parquet", "trained", "data.json", "evaluation.json"),
            writes=("export", "metrics.json"),
        ),
        Stage(
            "report",
            lambda run, out, progress: report(run, out),
            reads=("data.json", "trained", "evaluation.json", "metrics.json"),
            writes=("report.html",),
        ),
    ]
