"""Trains a small network with everything that has a state, and kills itself at the n-th batch it makes (0: never).

python killed.py FOLDER "adamw ema one_cycle" N
"""

import os
import signal
import sys
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import nn

sys.path.insert(0, str(Path(__file__).parents[2]))
from fit_settings import fit_settings

from lepton_solutions import tasks
from lepton_solutions.data.batches import Batch, Resident
from lepton_solutions.training.loop import fit

made = 0  # batches


def main(folder: Path, recipe: str, last: int) -> None:
    optimiser, average, schedule = recipe.split()
    torch.manual_seed(0)
    x = torch.randn(192, 6)
    y = (x[:, 0] + 0.3 * torch.randn(192) > 0).long()
    network = nn.Sequential(nn.Linear(6, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Dropout(0.3), nn.Linear(16, 2))

    def jitter(batch: Batch) -> Batch:
        """Augmentation, which draws from the global random state; and the end of this process at its batch `last`."""
        global made
        made += 1
        if made == last:
            os.kill(os.getpid(), signal.SIGKILL)
        return batch._replace(inputs=tuple(x + 0.1 * torch.randn_like(x) for x in batch.inputs))

    settings = fit_settings(
        optimiser=optimiser, average=average, schedule=schedule, average_start=0.3, average_decay=0.9, epochs=8,
        batch_size=16, learning_rate=0.02, mixup=0.2, clip_norm=1.0, patience=6, checkpoint_steps=5,
    )  # fmt: skip
    fit(
        network,
        tasks.multiclass(2),
        Resident((x,), y, augment=jitter),
        settings,
        seed=1,
        generator=torch.Generator().manual_seed(2),
        judge=lambda network: {"loss": nn.functional.cross_entropy(network(x), y).item()},
        folder=folder / "training",
    )
    save_file(network.state_dict(), folder / "weights.safetensors")


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]))
