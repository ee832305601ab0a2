"""Trains in one process or in several, started by torchrun's variables, and leaves weights and histories.

python two_processes.py FOLDER STEP CASE...: the named cases one after the other; rank 1 kills itself at its step STEP
(0: never).
"""

import os
import signal
import sys
from pathlib import Path

import torch
from safetensors.torch import save_file
from sklearn.datasets import load_digits
from torch import nn

sys.path.insert(0, str(Path(__file__).parents[2]))
from fit_settings import fit_settings

from lepton_solutions import tasks
from lepton_solutions.data.batches import Batch, Resident
from lepton_solutions.training.loop import fit
from lepton_solutions.training.processes import processes

# What each case asks beyond 1,797 digits in batches of 128: 15 batches of 120 or 119 rows, so that two processes have
# unequal shares. `state`: everything that a checkpoint must hold for two processes, with draws of their own.
CASES: dict[str, dict] = {
    "plain": {},
    "weighted": {"optimiser": "sgd", "clip_norm": 0.5},
    "accumulated": {"accumulate": 2, "average": "ema", "average_decay": 0.9},
    "state": {"mixup": 0.2, "checkpoint_steps": 7, "average": "ema", "average_decay": 0.9, "epochs": 2},
}
taken = 0


def main(folder: Path, last: int, cases: list[str]) -> None:
    digits = load_digits()
    x, y = torch.tensor(digits.data, dtype=torch.float32) / 16, torch.tensor(digits.target)

    def count(batch: Batch) -> Batch:
        global taken
        taken += 1
        if taken == last and os.environ.get("RANK") == "1":
            os.kill(os.getpid(), signal.SIGKILL)
        return batch

    for case in cases:
        torch.manual_seed(0)
        dropout = nn.Dropout(0.2) if case == "state" else nn.Identity()
        network = nn.Sequential(nn.Linear(64, 32), nn.Tanh(), dropout, nn.Linear(32, 10))
        weight = 0.5 + (y % 2).float() if case == "weighted" else None
        fit(
            network,
            tasks.multiclass(10),
            Resident((x,), y, weight, augment=count),
            fit_settings(**{"epochs": 3, "batch_size": 128, "device": "cpu", **CASES[case]}),
            seed=1,
            generator=torch.Generator().manual_seed(2),
            judge=lambda network: {"loss": nn.functional.cross_entropy(network(x), y).item()},
            folder=folder / case,
        )
        if processes("cpu").rank == 0:
            save_file(network.state_dict(), folder / f"{case}.safetensors")


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3:])
