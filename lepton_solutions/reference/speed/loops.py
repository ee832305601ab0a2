"""The same training by every loop a user would pick; each returns the seconds of its epochs.

Same network, rows, batch size, optimiser (Adam, fused) and number of threads. An epoch is timed from the end of the one
before it to its own end, so that nothing a loop does between two epochs is left out; the first, which warms up, is not
counted.
"""

from __future__ import annotations

import json
import logging
import tempfile
import time
import warnings
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from itertools import pairwise
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, TensorDataset

from lepton_solutions.config import fit_settings
from lepton_solutions.data.batches import Resident
from lepton_solutions.reference.speed.cases import RATE, Case, Rows, new_network
from lepton_solutions.training.loop import fit
from lepton_solutions.training.plan import PLAN

PLANNED_FOR, MOST = 600.0, 100_000  # seconds, and epochs that a config can ask for
Loop = Callable[[Case, Rows, int], list[float]]  # case, its rows, epochs to count: the seconds of each


def by_hand(case: Case, rows: Rows, epochs: int) -> list[float]:
    """Plain PyTorch, eager: the rows indexed by a permutation."""
    network, loss_of, ends = new_network(case, 0), _loss(case), []
    optimiser = _adam(network)
    for _ in range(epochs + 1):
        for batch in torch.randperm(len(rows.target)).split(case.batch_size):
            loss = loss_of(network(rows.inputs[batch]), rows.target[batch])
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
        ends.append(time.perf_counter())
    return _between(ends)


def ours(case: Case, rows: Rows, epochs: int) -> list[float]:
    """The project's loop with the same plan as the loop by hand: eager, fp32."""
    settings = fit_settings(
        epochs=epochs + 1, batch_size=case.batch_size, optimiser="adam", learning_rate=RATE, weight_decay=0.0,
        schedule="constant", warm_up=0.0, plan="eager", logger="none", device="cpu",
    )  # fmt: skip
    network, ends = new_network(case, 0), {}

    def watch(share: float, text: str) -> None:
        ends[share * (epochs + 1)] = time.perf_counter()

    fit(network, case.task, Resident((rows.inputs,), rows.target), settings,
        seed=0, generator=torch.Generator().manual_seed(0), watch=watch)  # fmt: skip
    return _between([at for epoch, at in sorted(ends.items()) if abs(epoch - round(epoch)) < 1e-9])


def planned(case: Case, rows: Rows, epochs: int) -> tuple[list[float], dict]:
    """The project's loop as `fit.plan=auto` plans a training of ten minutes, of which only the first epochs run; and
    what its `plan.json` says.
    """
    whole = min(MOST, max(epochs + 1, round(PLANNED_FOR / ours(case, rows, 1)[0])))
    ends: list[float] = []

    def judge(network: nn.Module) -> dict[str, float]:
        ends.append(time.perf_counter())
        if len(ends) > epochs:
            raise Enough
        return {"epoch": float(len(ends))}

    settings = fit_settings(
        epochs=whole, batch_size=case.batch_size, optimiser="adam", learning_rate=RATE, weight_decay=0.0,
        schedule="constant", warm_up=0.0, plan="auto", logger="none", device="cpu",
    )  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        with suppress(Enough):
            fit(new_network(case, 0), case.task, Resident((rows.inputs,), rows.target), settings, seed=0, judge=judge,
                generator=torch.Generator().manual_seed(0), folder=Path(folder))  # fmt: skip
        return _between(ends), json.loads((Path(folder) / PLAN).read_text(encoding="utf-8"))


class Enough(Exception):
    """The epochs that are timed are through."""


def lightning(case: Case, rows: Rows, epochs: int, *, workers: int = 0) -> list[float]:
    """Lightning's Trainer over a DataLoader, without logger, checkpoints and progress bar."""
    import lightning.pytorch as pl

    for name in ("lightning.pytorch", "lightning.fabric", "lightning.pytorch.utilities.rank_zero"):
        logging.getLogger(name).setLevel(logging.ERROR)
    ends: list[float] = []

    class Module(pl.LightningModule):
        def __init__(self) -> None:
            super().__init__()
            self.network, self.loss_of = new_network(case, 0), _loss(case)

        def training_step(self, batch: tuple[Tensor, Tensor], number: int) -> Tensor:
            x, y = batch
            return self.loss_of(self.network(x), y)

        def configure_optimizers(self) -> torch.optim.Optimizer:
            return _adam(self.network)

        def on_train_epoch_end(self) -> None:
            ends.append(time.perf_counter())

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that DataLoader workers would help
        trainer = pl.Trainer(
            max_epochs=epochs + 1, accelerator="cpu", logger=False, enable_checkpointing=False,
            enable_progress_bar=False, enable_model_summary=False,
        )  # fmt: skip
        trainer.fit(Module(), _loader(case, rows, workers))
    return _between(ends)


def monai(case: Case, rows: Rows, epochs: int) -> list[float]:
    """MONAI's SupervisedTrainer over a DataLoader, without handlers."""
    from ignite.engine import Events
    from monai.engines import SupervisedTrainer

    network, ends = new_network(case, 0), []
    trainer = SupervisedTrainer(
        device=torch.device("cpu"),
        max_epochs=epochs + 1,
        train_data_loader=_loader(case, rows, 0),
        network=network,
        optimizer=_adam(network),
        loss_function=_loss(case),
        prepare_batch=lambda batch, device, non_blocking, **more: (batch[0].to(device), batch[1].to(device)),
        decollate=False,
        optim_set_to_none=True,
    )
    trainer.add_event_handler(Events.EPOCH_COMPLETED, lambda: ends.append(time.perf_counter()))
    trainer.run()
    return _between(ends)


def _loader(case: Case, rows: Rows, workers: int) -> DataLoader:
    return DataLoader(
        TensorDataset(rows.inputs, rows.target), case.batch_size, shuffle=True, num_workers=workers,
        persistent_workers=workers > 0,
    )  # fmt: skip


def _adam(network: nn.Module) -> torch.optim.Optimizer:
    return torch.optim.Adam(network.parameters(), RATE, fused=True)


def _loss(case: Case) -> Callable[[Tensor, Tensor], Tensor]:
    return F.binary_cross_entropy_with_logits if case.task.name.startswith("binary") else F.mse_loss


def _between(ends: list[float]) -> list[float]:
    return [later - earlier for earlier, later in pairwise(ends)]


LOOPS: dict[str, Loop] = {
    "pytorch by hand": by_hand,
    "lepton, eager": ours,
    "lightning": lightning,
    "lightning, 2 workers": partial(lightning, workers=2),
    "monai": monai,
}
