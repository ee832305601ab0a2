"""What the linear regression learns, and how far it is from what a closed form gives. Reads no test rows."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from safetensors.torch import load_file, save_file
from sklearn.model_selection import GroupShuffleSplit
from torch import Tensor, nn

from lepton_solutions import tasks
from lepton_solutions.data.batches import Resident
from lepton_solutions.data.columns import as_number
from lepton_solutions.data.sources import Dataset
from lepton_solutions.errors import UserError
from lepton_solutions.files import write_json
from lepton_solutions.progress import Progress
from lepton_solutions.reference.linear_regression import exact
from lepton_solutions.reference.linear_regression.settings import LinearRegression
from lepton_solutions.training.loop import fit

GRADIENT_TOLERANCE, WEIGHT_TOLERANCE = 1e-6, 1e-5
POINTS = 3  # random weights at which the gradient is checked, besides those before and after the training


@dataclass(frozen=True)
class Rows:
    """x: float64 [n, p], raw units. y: float64 [n]. names: of the p columns."""

    x: np.ndarray
    y: np.ndarray
    names: list[str]


class Line(nn.Module):
    """Columns in raw units [n, p] to a number [n]: standardised inside, then one weight a column and a bias."""

    mean: Tensor
    std: Tensor

    def __init__(self, mean: Tensor, std: Tensor) -> None:
        super().__init__()
        self.register_buffer("mean", mean)
        self.register_buffer("std", std)
        self.linear = nn.Linear(len(mean), 1, dtype=mean.dtype)
        nn.init.zeros_(self.linear.weight)  # the loss has one valley: where it starts makes no difference
        nn.init.zeros_(self.linear.bias)

    def standardised(self, x: Tensor) -> Tensor:
        return (x - self.mean) / self.std

    def forward(self, x: Tensor) -> Tensor:
        return self.linear(self.standardised(x)).squeeze(1)

    def weights(self) -> np.ndarray:
        """[p + 1], per standard deviation; the bias last."""
        return torch.cat([self.linear.weight[0], self.linear.bias]).detach().numpy()

    def raw_weights(self) -> np.ndarray:
        """[p + 1], per unit of the column; the bias last."""
        return raw(self.weights(), self.mean.numpy(), self.std.numpy())


def raw(weights: np.ndarray, mean: np.ndarray, std: np.ndarray) -> np.ndarray:
    """Weights of standardised columns, the bias last, as those of the columns in their own units.

    >>> raw(np.array([6.0, 1.0]), mean=np.array([10.0]), std=np.array([2.0])).tolist()  # 6 (x - 10) / 2 + 1
    [3.0, -29.0]
    """
    slopes = weights[:-1] / std
    return np.append(slopes, weights[-1] - slopes @ mean)


def prepare(settings: LinearRegression, out: Path) -> None:
    """The rows in two parts, a file each; equal rows stay in one part."""
    dataset = settings.data.source.resolve()()
    if not isinstance(dataset, Dataset) or dataset.target is None:
        raise UserError(f"data.source: `{settings.data.source.target}` gives no table with a target")
    names = [dataset.target, *(name for name in dataset.rows.column_names if name != dataset.target)]
    values = np.column_stack([as_number(dataset.rows.column(name), name=name) for name in names])
    lacking = np.argwhere(~np.isfinite(values))
    if len(lacking):
        row, column = lacking[0]
        raise UserError(
            f"{dataset.name}, row {row + 1}, column `{names[column]}`: found {values[row, column]}, expected a number"
        )
    _, twin = np.unique(values, axis=0, return_inverse=True)
    halves = GroupShuffleSplit(1, test_size=settings.data.test, random_state=settings.seed)
    ((train, test),) = halves.split(values, groups=twin)
    for part, which in (("train", train), ("test", test)):
        pq.write_table(pa.table(dict(zip(names, values[np.sort(which)].T, strict=True))), out / f"{part}.parquet")
    facts = {
        "source": dataset.name,
        "rows": len(values),
        "target": dataset.target,
        "meanings": dict(dataset.meanings),
        "parts": {"train": len(train), "test": len(test)},
        "repeated": len(values) - int(twin.max() + 1),
        "licence": dataset.licence,
        "cite": dataset.cite,
    }
    write_json(out / "data.json", facts)


def read(run: Path, part: str) -> Rows:
    """The rows of one part; the target is the first column of its file."""
    table = pq.read_table(run / f"{part}.parquet")
    target, *names = table.column_names
    return Rows(np.column_stack([table.column(name) for name in names]), table.column(target).to_numpy().copy(), names)


def train(settings: LinearRegression, run: Path, out: Path, progress: Progress) -> None:
    """The line by the project's loop, in float64; its gradient and weights against their closed forms."""
    rows = read(run, "train")
    line = new_line(rows)
    x, y = torch.from_numpy(rows.x), torch.from_numpy(rows.y)
    checked = {"before": gradient_difference(line, x, y)}
    task = tasks.regression()
    asked = settings.fit.model_copy(update={"batch_size": settings.fit.batch_size or len(y)})
    folder = run / "training" / "trained"
    outcome = fit(
        line,
        task,
        Resident((x,), y),
        asked,
        seed=settings.seed,
        generator=torch.Generator().manual_seed(settings.seed),
        folder=folder,
        watch=progress.update,
    )
    checked["after"] = gradient_difference(line, x, y)
    chance = np.random.default_rng(settings.seed)
    for point in range(1, POINTS + 1):
        checked[f"random {point}"] = gradient_difference(
            line, x, y, at=chance.normal(scale=y.std().item(), size=len(rows.names) + 1)
        )
    with torch.no_grad():
        solution = exact.least_squares(exact.with_ones(line.standardised(x).numpy()), rows.y)
    difference = float(np.abs(line.weights() - solution).max())
    (out / "trained").mkdir()
    save_file(line.state_dict(), out / "trained" / "weights.safetensors")
    shutil.copyfile(folder / "history.csv", out / "trained" / "history.csv")
    write_json(
        out / "trained" / "learned.json",
        {
            "rows": len(y),
            "columns": rows.names,
            "mean": float(rows.y.mean()),
            "steps": outcome.steps,
            "batch_size": asked.batch_size,
            "optimiser": asked.optimiser,
            "learning_rate": asked.learning_rate,
            "plan": str(outcome.plan),
            "seconds": round(outcome.seconds, 3),
            "weights": line.weights().tolist(),
            "least_squares": solution.tolist(),
            "raw_weights": line.raw_weights().tolist(),
            "weight_difference": difference,
            "gradient_differences": checked,
        },
    )
    progress.update(
        1.0, f"weights within {difference:.1g} of least squares, gradients within {max(checked.values()):.1g}"
    )


def new_line(rows: Rows) -> Line:
    """With the scaling of these rows; a constant column is only moved."""
    std = rows.x.std(axis=0)
    return Line(torch.from_numpy(rows.x.mean(axis=0)), torch.from_numpy(np.where(std > 0, std, 1.0)))


def gradient_difference(line: Line, x: Tensor, y: Tensor, *, at: np.ndarray | None = None) -> float:
    """Largest difference between the gradient that torch takes of the task's loss and the closed form.

    at: weights [p + 1] of standardised columns, the bias last; None: those that the line has. The line is left alone.
    """
    weights = line.weights() if at is None else at
    place = torch.from_numpy(weights).requires_grad_()
    parameters = {"linear.weight": place[None, :-1], "linear.bias": place[-1:]}
    output = torch.func.functional_call(line, parameters, (x,))
    (found,) = torch.autograd.grad(tasks.regression().loss(output, y).mean(), place)
    columns = exact.with_ones(line.standardised(x).numpy())
    return float(np.abs(found.numpy() - exact.gradient(columns, y.numpy(), weights)).max())


def load_line(path: Path) -> Line:
    """A line from its weights."""
    weights = load_file(path)
    line = Line(weights["mean"], weights["std"])
    line.load_state_dict(weights)
    return line.eval()
