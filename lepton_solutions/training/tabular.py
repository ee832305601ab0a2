"""Train the tabular ensemble: its input layer on the train rows, then all members on the same shuffled batches."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import torch

from lepton_solutions import tasks
from lepton_solutions.data.batches import Resident
from lepton_solutions.data.columns import Columns, Rows
from lepton_solutions.models.inputs import TableInputs
from lepton_solutions.models.mlp import Ensemble, Inputs, TabularMLP, TabularNet
from lepton_solutions.settings import Fit
from lepton_solutions.settings import TabularMLP as Shape
from lepton_solutions.tasks import Task
from lepton_solutions.training.loop import fit

UNDECAYED = ("scale", "bias")  # what weight decay leaves alone: the members' input scales and the biases
ENCODED_AT_ONCE = 100_000_000  # features of all rows that are kept encoded, 400 MB; beyond it each batch is encoded


def fit_mlp(
    rows: Rows,
    target: np.ndarray,
    weight: np.ndarray,
    *,
    columns: Columns,
    shape: Shape,
    settings: Fit,
    seed: int,
    task: Task | None = None,
    judge: Callable[[TabularMLP], Mapping[str, float]] | None = None,
    folder: Path | None = None,
    watch: Callable[[float, str], None] = lambda share, text: None,
) -> TabularMLP:
    """rows [n], target 0 or 1 [n], weight 0 or more [n], both classes with weight.

    task: another than `tasks.binary()`, on the same target. judge: figures of the model so far on validation rows, of
    which more is better; the first decides. folder, watch: as `fit` has them. The same seed gives the same weights, bit
    for bit on a CPU with the same number of threads.
    """
    inputs = TableInputs.fit(rows, weight, columns, bins=shape.bins or bins_for(len(target)))
    net = fit_net(
        inputs,
        rows,
        target,
        weight,
        shape=shape,
        settings=settings,
        seed=seed,
        task=task,
        judge=None if judge is None else lambda net: judge(TabularMLP(net)),
        folder=folder,
        watch=watch,
    )
    return TabularMLP(net)


def fit_net(
    inputs: Inputs,
    rows: Rows,
    target: np.ndarray,
    weight: np.ndarray,
    *,
    shape: Shape,
    settings: Fit,
    seed: int,
    task: Task | None,
    judge: Callable[[TabularNet[Inputs]], Mapping[str, float]] | None,
    folder: Path | None,
    watch: Callable[[float, str], None],
) -> TabularNet[Inputs]:
    """The ensemble behind input layers, which learn along where they have weights. Arguments as of `fit_mlp`."""
    n = len(target)
    generator = torch.Generator().manual_seed(seed)
    prior = float(np.average(target, weights=weight))
    ensemble = Ensemble(
        inputs.features,
        members=shape.members,
        width=shape.width,
        dropout=shape.dropout,
        input_dropout=input_dropout_for(n) if shape.input_dropout is None else shape.input_dropout,
        prior=prior,
        generator=generator,
    )
    net = TabularNet(inputs, ensemble)
    numeric, codes = torch.from_numpy(rows.numeric), torch.from_numpy(rows.codes)
    learn = len(list(net.parameters())) > len(list(ensemble.parameters()))  # the input layers
    at_once = not learn and n * inputs.features <= ENCODED_AT_ONCE
    # Smoothed towards the base rate rather than 1/2, so that the mean prediction stays the mean of the target.
    goal = torch.from_numpy(target).float() * (1 - settings.label_smoothing) + settings.label_smoothing * prior
    share = torch.from_numpy(weight / weight.mean()).float()
    fit(
        ensemble if at_once else net,
        task or tasks.binary(),
        Resident((inputs(numeric, codes),) if at_once else (numeric, codes), goal, share, balanced=settings.balanced),
        recipe_for(n, settings),
        seed=seed,
        generator=generator,
        undecayed=lambda name: any(word in name for word in UNDECAYED),
        judge=None if judge is None else lambda network: judge(net),
        higher_is_better=True,
        imputes=not at_once,
        folder=folder,
        watch=watch,
    )
    return net


# What the config leaves open follows the number of rows. Settled on German credit, Taiwan and Give Me Some Credit, on
# folds of seeds from 100 on: few rows want many passes, coarse bins and noise on the inputs, many rows the opposite.


def recipe_for(rows: int, settings: Fit) -> Fit:
    """With epochs and batch size where they are not set; about 480,000 rows are seen in all, but 8 to 40 times each."""
    epochs = settings.epochs or min(40, max(8, 480_000 // rows))
    batch_size = settings.batch_size or min(rows, 256 if rows < 10_000 else 512)
    return settings.model_copy(update={"epochs": epochs, "batch_size": batch_size})


def bins_for(rows: int) -> int:
    """8 to 32 bins of a numeric column."""
    return int(min(32, max(8, 1.5 * rows**0.25)))


def input_dropout_for(rows: int) -> float:
    """Share of features dropped while training: .2 for up to 1,000 rows, then falling."""
    return min(0.2, 200 / rows)
