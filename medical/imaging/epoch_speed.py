"""How long does an epoch take, against MONAI's SupervisedTrainer? Part of `lepton bench imaging`.

Theirs: `SupervisedTrainer` over a DataLoader over a `CacheDataset`, deterministic part cached, random part by MONAI's
dictionary transforms, image by image. Ours: the project's loop, images resident, the random part on the batch. Same
network, images, batch size, optimiser, augmentation (turn, scale, shift, mirror, brightness, noise), threads; in fp32
as theirs first, then as `fit.plan=auto` decides.

An epoch is timed from the end of the one before it to its own end; the first, which warms up, is not counted.
"""

from __future__ import annotations

import math
import os
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from pathlib import Path
from statistics import median

import torch
from torch import Tensor, nn

from lepton_solutions import tasks
from lepton_solutions.config import fit_settings
from lepton_solutions.data.augment import augmented
from lepton_solutions.data.batches import Resident
from lepton_solutions.training.loop import fit
from medical.imaging.networks import Form, ImageNetwork, new_network
from medical.imaging.settings import Augment

RATE = 1e-3
PLANNED_FOR = 600.0  # seconds of the training that `plan=auto` plans for
LOW, HIGH = 0.0, 255.0
CHANGES = Augment(
    rotate=15, scale=0.1, shear=0, shift=0.1, flip=("left_right",), brightness=0.1, contrast=0, gamma=0, noise=0.02,
    cutout=0,
)  # fmt: skip


@dataclass(frozen=True)
class Case:
    """Images to train on. network: as `model.name` names it."""

    name: str
    images: int
    size: tuple[int, ...]
    batch_size: int
    network: str = "small"
    width: int = 16


CASES = (Case("pictures", 1024, (28, 28), 32), Case("volumes", 256, (28, 28, 28), 32))


def epoch_speed(cases: tuple[Case, ...] = CASES, *, epochs: int = 3, device: str = "cpu") -> dict[str, float]:
    """Seconds of an epoch, the median of `epochs`; keys are `<case>/...` by loop.

    `ours_fp32`, `ours_planned`; `monai_0` and `monai_N` by workers of its DataLoader. `ratio_fp32` and `ratio_planned`:
    the faster one of theirs over ours.
    """
    figures: dict[str, float] = {}
    for case in cases:
        loops: dict[str, Callable[..., list[float]]] = {
            "ours_fp32": ours,
            "ours_planned": planned,
            **{f"monai_{workers}": partial(monai, workers=workers) for workers in sorted({0, os.cpu_count() or 1})},
        }
        for key, loop in loops.items():
            figures[f"{case.name}/{key}"] = median(loop(case, epochs, device))
        best = min(value for key, value in figures.items() if key.startswith(f"{case.name}/monai"))
        for key in ("fp32", "planned"):
            figures[f"{case.name}/ratio_{key}"] = best / figures[f"{case.name}/ours_{key}"]
    return figures


def images_of(case: Case) -> tuple[Tensor, Tensor]:
    """Noise uint8 [n, 1, *size] and labels [n]: what an epoch costs does not depend on what the images show."""
    generator = torch.Generator().manual_seed(0)
    pixels = torch.randint(0, 256, (case.images, 1, *case.size), dtype=torch.uint8, generator=generator)
    return pixels, torch.arange(case.images).remainder(2).float()


def network_of(case: Case) -> ImageNetwork:
    form = Form(case.network, case.width, 0.0, "binary", 1, 1, case.size, LOW, HIGH)
    return new_network(form, mean=(0.5,), std=(0.29,), seed=0)


def ours(case: Case, epochs: int, device: str = "cpu") -> list[float]:
    """The project's loop, eager and fp32."""
    return _ours(case, epochs, device, whole=epochs + 1, plan="eager")


def planned(case: Case, epochs: int, device: str = "cpu") -> list[float]:
    """The project's loop as it is planned for a training of ten minutes, of which only the first epochs run."""
    whole = max(epochs + 1, round(PLANNED_FOR / median(ours(case, 1, device))))
    return _ours(case, epochs, device, whole=min(whole, 100_000), plan="auto")


class _Enough(Exception):
    """The epochs that are timed are through."""


def _ours(case: Case, epochs: int, device: str, *, whole: int, plan: str) -> list[float]:
    pixels, target = images_of(case)
    ends: list[float] = []

    def judge(network: nn.Module) -> dict[str, float]:
        _synchronise(device)
        ends.append(time.perf_counter())
        if len(ends) > epochs:
            raise _Enough
        return {"epoch": float(len(ends))}

    settings = fit_settings(
        epochs=whole, batch_size=case.batch_size, optimiser="adam", learning_rate=RATE, weight_decay=0.0,
        schedule="constant", warm_up=0.0, plan=plan, logger="none", device=device,
    )  # fmt: skip
    change = partial(augmented, by=CHANGES, low=LOW, high=HIGH)
    with tempfile.TemporaryDirectory() as folder, suppress(_Enough):
        fit(
            network_of(case), tasks.binary(), Resident((pixels,), target, augment=change), settings, seed=0,
            judge=judge, generator=torch.Generator().manual_seed(0), folder=Path(folder),
        )  # fmt: skip
    return _between(ends)


def monai(case: Case, epochs: int, device: str = "cpu", *, workers: int = 0) -> list[float]:
    """MONAI's trainer without handlers."""
    from ignite.engine import Events
    from monai.data import CacheDataset, DataLoader
    from monai.engines import SupervisedTrainer

    pixels, target = images_of(case)
    rows = [{"image": image, "label": label} for image, label in zip(pixels, target, strict=True)]
    loader = DataLoader(
        CacheDataset(rows, monai_transforms(case), progress=False, num_workers=None),
        batch_size=case.batch_size,
        shuffle=True,
        num_workers=workers,
        persistent_workers=workers > 0,
    )
    network, ends = network_of(case).to(device), []
    trainer = SupervisedTrainer(
        device=torch.device(device),
        max_epochs=epochs + 1,
        train_data_loader=loader,
        network=network,
        optimizer=torch.optim.Adam(network.parameters(), RATE, fused=True),
        loss_function=nn.BCEWithLogitsLoss(),
        decollate=False,
        optim_set_to_none=True,
    )

    def end() -> None:
        _synchronise(device)
        ends.append(time.perf_counter())

    trainer.add_event_handler(Events.EPOCH_COMPLETED, end)
    trainer.run()
    return _between(ends)


def monai_transforms(case: Case) -> Callable[[object], object]:
    """`CHANGES` by MONAI's transforms: the first is cached, the others draw anew for every image."""
    from monai import transforms as t

    dims, window = len(case.size), HIGH - LOW
    turn = math.radians(CHANGES.rotate)
    return t.Compose(
        [
            t.EnsureTyped("image", dtype=torch.float32, track_meta=False),
            t.RandAffined(
                "image",
                prob=1.0,
                rotate_range=turn if dims == 2 else (turn,) * 3,
                scale_range=(CHANGES.scale,) * dims,
                translate_range=tuple(CHANGES.shift * side for side in case.size),
                mode="bilinear",
                padding_mode="border",
            ),
            t.RandFlipd("image", prob=0.5, spatial_axis=dims - 1),
            t.RandShiftIntensityd("image", offsets=CHANGES.brightness * window, prob=1.0),
            t.RandGaussianNoised("image", prob=1.0, std=CHANGES.noise * window, sample_std=False),
        ]
    )


def _synchronise(device: str) -> None:
    if device == "cuda":
        torch.cuda.synchronize()


def _between(ends: list[float]) -> list[float]:
    return [later - earlier for earlier, later in pairwise(ends)]
