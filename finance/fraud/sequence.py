"""A recurrent network that reads the last payments of a card one by one, the oldest first, and then the payment itself.

    model = fit_sequence(sample, columns=columns, last=slice(59, 89), ...)    # `features.last_columns`
    model.logit(rows)                                                         # [n], log-odds of a fraud

Of each payment before it reads amount, hours ago and what is known of it: what a state keeps of a card. Sources: Cho et
al. 2014 (the unit); Le Borgne et al. 2022, chapter 7.5, where payments before are read with all of their features.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file
from torch import Tensor, nn

from finance.fraud.features import OF_LAST
from lepton_solutions.data.columns import Columns, Rows
from lepton_solutions.data.prepare import Sample
from lepton_solutions.models.inputs import TableInputs
from lepton_solutions.models.mlp import TabularModel, logit_of, net_from, part_of
from lepton_solutions.models.recurrent import Recurrent
from lepton_solutions.settings import Fit, TabularMLP
from lepton_solutions.tasks import Task
from lepton_solutions.training.tabular import bins_for, fit_net

UNITS, STEP_BINS = 32, 16  # of the state; of an amount or of hours, between quantiles
STEPS_AT_ONCE = 65_536  # payments before that are encoded together when rows are scored


class LastPayments(nn.Module):
    """numeric float32 [n, p] and codes int64 [n, q] to features [n, features]: a row's other columns as `TableInputs`
    has them, and the state of a recurrent network after the latest of `count` payments before.

    row: of the other columns. step: of one payment. begin: where among the numeric columns the last payments begin,
    `OF_LAST` of each, the latest first.
    """

    place: Tensor

    def __init__(self, row: TableInputs, step: TableInputs, *, begin: int, count: int) -> None:
        super().__init__()
        self.row, self.step, self.begin, self.count = row, step, begin, count
        self.cells = Recurrent(step.features, UNITS, UNITS, kind="gru")
        self.register_buffer("place", torch.tensor([begin, count]))  # so that weights say how they are read
        self.features = row.features + UNITS

    @property
    def reads(self) -> tuple[int, int]:
        """As of `TableInputs`."""
        p, q = self.row.reads
        return p + len(OF_LAST) * self.count, q

    def forward(self, numeric: Tensor, codes: Tensor) -> Tensor:
        end = self.begin + len(OF_LAST) * self.count
        others = torch.cat([numeric[:, : self.begin], numeric[:, end:]], dim=1)
        payments = numeric[:, self.begin : end].unflatten(1, (self.count, len(OF_LAST))).flatten(0, 1)
        steps = self.step(payments, codes[:, :0]).unflatten(0, (-1, self.count))
        # Payments that are not there stand in front, so that the last step is always the latest payment.
        return torch.cat([self.row(others, codes), self.cells(steps.flip(1))], dim=1)

    @classmethod
    def fit(cls, rows: Rows, weight: NDArray[np.float64], columns: Columns, last: slice, *, bins: int) -> LastPayments:
        """Its input layers from n rows, weight [n], with bins of each column; last: the numeric columns of payments."""
        numeric = columns.numeric
        others = Columns((*numeric[: last.start], *numeric[last.stop :], *columns.categories))
        row = TableInputs.fit(Rows(np.delete(rows.numeric, last, axis=1), rows.codes), weight, others, bins=bins)
        payments = rows.numeric[:, last].reshape(-1, len(OF_LAST))
        count, one = len(payments) // len(rows), Columns(tuple(numeric[last][: len(OF_LAST)]))
        nothing = np.empty((len(payments), 0), np.int64)
        step = TableInputs.fit(Rows(payments, nothing), np.repeat(weight, count), one, bins=STEP_BINS)
        return cls(row, step, begin=last.start, count=count)

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, Tensor]) -> LastPayments:
        """From a `state_dict`; its cells are still to be loaded."""
        row, step = (TableInputs.from_tensors(part_of(tensors, name)) for name in ("row", "step"))
        begin, count = tensors["place"].tolist()
        return cls(row, step, begin=begin, count=count)


class SequenceModel(TabularModel[LastPayments]):
    """A trained network over the last payments."""

    def logit(self, rows: Rows) -> NDArray[np.float64]:
        """Log-odds of a fraud, float64 [n]."""
        return logit_of(self.net, rows, at_once=STEPS_AT_ONCE // self.net.inputs.count)

    @classmethod
    def load(cls, folder: Path) -> SequenceModel:
        """The inverse of `save`."""
        tensors = load_file(folder / "weights.safetensors")
        return cls(net_from(LastPayments.from_tensors(part_of(tensors, "inputs")), tensors))


def fit_sequence(
    sample: Sample,
    *,
    columns: Columns,
    last: slice,
    shape: TabularMLP,
    settings: Fit,
    seed: int,
    task: Task,
    judge: Callable[[SequenceModel], Mapping[str, float]] | None,
    folder: Path | None,
    watch: Callable[[float, str], None],
) -> SequenceModel:
    """sample: rows with both outcomes. last: where the last payments stand among the numeric columns. shape: of the
    ensemble behind the recurrent network. The others as of `fit_mlp`; the same seed gives the same weights.
    """
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        bins = shape.bins or bins_for(len(sample.target))
        inputs = LastPayments.fit(sample.rows, sample.weight, columns, last, bins=bins)
    net = fit_net(
        inputs, sample.rows, sample.target, sample.weight, shape=shape, settings=settings, seed=seed, task=task,
        judge=None if judge is None else lambda net: judge(SequenceModel(net)), folder=folder, watch=watch,
    )  # fmt: skip
    return SequenceModel(net)
