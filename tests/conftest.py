"""What several tests share: a finished run, a toy pipeline, prepared loans, the command line, what the log says."""

import logging
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.csv
import pytest
from loan_rows import BASE

from lepton_solutions.config import read_jobs
from lepton_solutions.errors import UserError
from lepton_solutions.pipeline import execute
from lepton_solutions.progress import Progress
from lepton_solutions.settings import Audit, Table

PIPELINE = "finance/credit"
SMALL = ("fit.epochs=3", "model.members=4")  # enough to have every file; the figures do not matter here

TOY_PAGE = """# @package _global_
# A toy pipeline: counts from `start`, multiplies by `factor`, reports. Runs in no time.
_target_: toy_pipeline.stages
defaults: [_self_]
seed: 0
start: 1
factor: 2
run: {dir: null, new: false}
"""
TOY_MODULE = '''"""Three stages on whole numbers; a file `trouble` in the current folder says what befalls which."""

import json
import os
import signal
from pathlib import Path

from lepton_solutions.errors import UserError
from lepton_solutions.files import write_json
from lepton_solutions.pipeline import Stage
from lepton_solutions.settings import Run, Settings


class Toy(Settings):
    seed: int
    start: int
    factor: int
    run: Run


def befall(name):
    what, where = Path("trouble").read_text().split() if Path("trouble").is_file() else ("", "")
    if where != name:
        return
    if what == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    raise {"interrupt": KeyboardInterrupt, "crash": ZeroDivisionError, "mistake": UserError}[what]("as planned")


def stages(settings):
    def collect(run, out, progress):
        (out / "numbers").mkdir()
        write_json(out / "numbers" / "first.json", settings.start)
        befall("collect")
        write_json(out / "numbers" / "second.json", settings.start + settings.seed)

    def multiply(run, out, progress):
        values = [json.loads((run / "numbers" / f"{name}.json").read_text()) for name in ("first", "second")]
        write_json(out / "products.json", [settings.factor * value for value in values])
        befall("multiply")
        write_json(out / "sum.json", settings.factor * sum(values))

    def report(run, out, progress):
        figures = [{"name": "sum", "text": (run / "sum.json").read_text().strip()}]
        write_json(out / "metrics.json", {"headline": figures})
        befall("report")

    return [
        Stage("collect", collect, (), ("numbers",), (settings.seed, settings.start)),
        Stage("multiply", multiply, ("numbers",), ("products.json", "sum.json"), (settings.factor,)),
        Stage("report", report, ("sum.json",), ("metrics.json",)),
    ]


stages.__annotations__ = {"settings": Toy}
'''


@dataclass(frozen=True)
class Answer:
    """What a command said and how it ended."""

    code: int
    out: str
    err: str


@dataclass(frozen=True)
class Toy:
    """A checkout of its own whose one pipeline is `toy/count`; the current folder lies inside it."""

    root: Path

    def trouble(self, text: str | None) -> None:
        """What befalls a stage from here on, such as `kill multiply`; None: nothing."""
        if text is None:
            (self.root / "trouble").unlink()
        else:
            (self.root / "trouble").write_text(text)

    def apart(self, *words: str) -> subprocess.CompletedProcess[str]:
        """`lepton ...` in a process of its own."""
        code = (
            "import sys, pathlib; import lepton_solutions.places as places\n"
            f"sys.path.insert(0, {str(self.root)!r}); places._PACKAGE = pathlib.Path({str(self.root / 'package')!r})\n"
            f"from lepton_solutions.cli import main; main({list(words)!r})"
        )
        return subprocess.run([sys.executable, "-c", code], cwd=self.root, capture_output=True, text=True)

    def folders(self) -> list[Path]:
        return sorted(path for path in (self.root / "runs" / "toy" / "count").glob("*"))


@pytest.fixture
def toy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Toy:
    """The toy pipeline, in this process too."""
    root = tmp_path / "checkout"
    (root / "conf" / "toy").mkdir(parents=True)
    (root / "conf" / "bench").mkdir()
    (root / "pyproject.toml").touch()
    (root / "conf" / "toy" / "count.yaml").write_text(TOY_PAGE)
    (root / "toy_pipeline.py").write_text(TOY_MODULE)
    monkeypatch.setattr("lepton_solutions.places._PACKAGE", root / "package")
    monkeypatch.syspath_prepend(root)
    monkeypatch.chdir(root)
    monkeypatch.delitem(sys.modules, "toy_pipeline", raising=False)
    return Toy(root)


@pytest.fixture(scope="session")
def run_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run on German credit, for reading only."""
    folder = tmp_path_factory.mktemp("finished") / "run"
    (job,) = read_jobs(PIPELINE, [*SMALL, f"run.dir={folder}"], multirun=False)
    return execute(job, Progress(quiet=True))


@pytest.fixture
def bundle_copy(run_folder: Path, tmp_path: Path) -> Path:
    """The bundle of that run, to be spoilt."""
    return Path(shutil.copytree(run_folder / "bundle", tmp_path / "bundle"))


@pytest.fixture(scope="session")
def applicants() -> pa.Table:
    """The rows of German credit as text, as a file holds them, without the target."""
    from lepton_solutions.data.prepare import load

    (job,) = read_jobs(PIPELINE, [], multirun=False)
    return load(job.settings.data).rows.drop_columns(["default"])


@pytest.fixture
def german_csv(tmp_path: Path) -> Path:
    """German credit as a file of the user's own, with its target."""
    from lepton_solutions.data.prepare import load

    (job,) = read_jobs(PIPELINE, [], multirun=False)
    place = tmp_path / "loans.csv"
    pyarrow.csv.write_csv(load(job.settings.data).rows, place)
    return place


@pytest.fixture
def in_tmp_path(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The current folder is one of the test's own."""
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def done(tmp_path: Path) -> Callable[..., object]:
    """Columns and settings to what was prepared of them, as `loans.csv`."""
    from lepton_solutions.data.prepare import prepare

    def call(values: dict[str, object], *, seed: int = 0, **settings: object) -> object:
        place = tmp_path / "loans.csv"
        pyarrow.csv.write_csv(pa.table({name: pa.array(list(column)) for name, column in values.items()}), place)
        data = Table(**BASE | {"path": str(place), "target": "bad"} | settings)
        return prepare(data, Audit(duplicates="warn"), seed=seed)

    return call


@pytest.fixture
def refusal(done: Callable[..., object], tmp_path: Path) -> Callable[..., str]:
    """The same, to the message; the file's folder left out of it."""

    def call(values: dict[str, object], **settings: object) -> str:
        with pytest.raises(UserError) as refused:
            done(values, **settings)
        return str(refused.value).replace(f"{tmp_path}/", "")

    return call


@pytest.fixture
def lepton(capfdbinary: pytest.CaptureFixture[bytes]) -> Iterator[Callable[..., Answer]]:
    """The command line: words to exit code, stdout and stderr."""
    from lepton_solutions.cli import main

    def call(*words: object) -> Answer:
        capfdbinary.readouterr()
        with pytest.raises(SystemExit) as leaving:
            main([str(word) for word in words])
        sys.stdout.flush()
        told = capfdbinary.readouterr()
        return Answer(int(leaving.value.code or 0), told.out.decode(), told.err.decode())

    yield call
    logging.getLogger("lepton_solutions").handlers = []  # they write to the stderr of this test


@pytest.fixture
def said() -> Iterator[list[str]]:
    """What the package logs while the test runs, message by message."""
    messages: list[str] = []

    class Keep(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            messages.append(record.getMessage())

    logger, keep = logging.getLogger("lepton_solutions"), Keep()
    level, handlers = logger.level, logger.handlers
    logger.setLevel(logging.INFO)
    logger.handlers = [keep]
    yield messages
    logger.setLevel(level)
    logger.handlers = handlers
