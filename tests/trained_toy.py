"""A toy pipeline that trains, for tests with several processes: `toy/train`, on eighty rows, in three stages."""

from pathlib import Path

import pytest

PAGE = """# @package _global_
# A toy pipeline: makes rows, trains a linear classifier on them, counts who did what.
_target_: toy_training.stages
defaults: [/fit: loop, _self_]
seed: 0
fit:
  {epochs: 4, batch_size: 16, optimiser: sgd, learning_rate: 0.1, plan: eager, logger: none, device: cpu,
   checkpoint_steps: 2}
run: {dir: null, new: false}
"""
MODULE = '''"""Each stage leaves a line in `calls.txt`: its name, process and number of processes.

A file `trouble` in the current folder says what befalls which process: `kill 1 9` kills the second one at its ninth
step of training.
"""

import os
import signal
import time
from pathlib import Path

import torch
from safetensors.torch import save_file

from lepton_solutions import tasks
from lepton_solutions.data.batches import Resident
from lepton_solutions.errors import UserError
from lepton_solutions.files import write_json
from lepton_solutions.pipeline import Stage
from lepton_solutions.settings import Fit, Run, Settings
from lepton_solutions.training.loop import fit


class Toy(Settings):
    seed: int
    fit: Fit
    run: Run


def call(run, name):
    Path(f"process-{os.environ.get('RANK', '-')}").write_text(str(os.getpid()))
    with (run / "calls.txt").open("a") as calls:
        calls.write(f"{name} {os.environ.get('RANK', '-')} {os.environ.get('WORLD_SIZE', '-')}\\n")


def befall(step):
    what, rank, when = Path("trouble").read_text().split() if Path("trouble").is_file() else ("", "", "0")
    if rank not in (os.environ.get("RANK", "0"), "all") or step != int(when):
        return
    if what == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    if what in ("interrupt", "orphan"):
        os.kill(os.getppid(), signal.SIGINT if what == "interrupt" else signal.SIGKILL)
        time.sleep(60)
    if what in ("defect", "mistake"):
        raise {"defect": ZeroDivisionError, "mistake": UserError}[what]("as planned")


def stages(settings):
    def collect(run, out, progress):
        call(run, "collect")
        write_json(out / "rows.json", 80)

    def train(run, out, progress):
        call(run, "train")
        generator = torch.Generator().manual_seed(settings.seed)
        x = torch.randn(80, 3, generator=generator)
        network = torch.nn.Linear(3, 2)
        torch.nn.init.zeros_(network.weight), torch.nn.init.zeros_(network.bias)
        steps = 0

        def count(batch):
            nonlocal steps
            steps += 1
            befall(steps)
            return batch

        batches = Resident((x,), (x.sum(1) > 0).long(), augment=count)
        fit(network, tasks.multiclass(2), batches, settings.fit, seed=settings.seed, generator=generator,
            folder=run / "training" / "toy", watch=progress.update)
        save_file(network.state_dict(), out / "weights.safetensors")

    def report(run, out, progress):
        call(run, "report")
        write_json(out / "metrics.json", {"headline": [{"name": "rows", "text": "80"}]})

    return [
        Stage("collect", collect, (), ("rows.json",), (settings.seed,)),
        Stage("train", train, ("rows.json",), ("weights.safetensors",), (settings.fit,), together=True),
        Stage("report", report, ("weights.safetensors",), ("metrics.json",)),
    ]


stages.__annotations__ = {"settings": Toy}
'''
# A process that is started finds the configs of the toys.
SITE = """import pathlib
import lepton_solutions.places as places
places._PACKAGE = pathlib.Path({package!r})
"""


def add(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Add the pipeline to a checkout of toys, for this process and those that it starts."""
    loop = Path(__file__).parents[1] / "conf" / "fit" / "loop.yaml"
    (root / "conf" / "fit").mkdir()
    (root / "conf" / "fit" / "loop.yaml").write_text(loop.read_text())
    (root / "conf" / "toy" / "train.yaml").write_text(PAGE)
    (root / "toy_training.py").write_text(MODULE)
    (root / "sitecustomize.py").write_text(SITE.format(package=str(root / "package")))
    monkeypatch.setenv("PYTHONPATH", str(root))
