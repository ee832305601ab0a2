"""How a training went, while it goes: a row of figures at a time into `history.csv`, and to a logger beside it.

    history = History(folder, logger="tensorboard", config={"seed": 0}, resumed_at=None)
    history.write({"step": 192, "epoch": 1.0, "loss": 0.41, "validation_auc": 0.78})
    history.close()

A row is on disk when `write` returns, so that a killed training keeps it.
"""

from __future__ import annotations

import csv
import io
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from lepton_solutions.files import write_text
from lepton_solutions.training.loggers import Logger, Sink, open_logger

if TYPE_CHECKING:
    import torch

NAME = "history.csv"
COLUMNS = ("step", "epoch", "loss", "rate", "gradient_norm", "step_ms", "rows_per_second", "memory_mb")


def read_history(path: Path) -> list[dict[str, float]]:
    """Rows of a `history.csv` without their empty cells; a last line cut off by a kill is left out.

    Figures of the judge stand in the rows at the ends of epochs only.
    """
    text = path.read_text(encoding="utf-8")
    whole = text[: text.rfind("\n") + 1]
    return [
        {name: float(cell) for name, cell in row.items() if cell not in ("", None)}
        for row in csv.DictReader(io.StringIO(whole))
    ]


def judged(rows: Iterable[Mapping[str, float]]) -> list[str]:
    """Names of the judge's figures, the deciding one first."""
    return list(dict.fromkeys(name for row in rows for name in row if name not in COLUMNS))


def memory_mb(device: torch.device) -> float:
    """Most memory held so far, MB of 2^20 bytes: by tensors on a CUDA device, else by this process."""
    if device.type == "cuda":
        import torch

        return torch.cuda.max_memory_allocated(device) / 2**20
    import resource  # not on Windows

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (2**20 if sys.platform == "darwin" else 2**10)


class History:
    """Where a training writes its rows. folder: of this training; None: nothing is written and nothing imported.

    config: flat names and values that tell this training from others. resumed_at: the step of the checkpoint that it
    goes on from, after which rows are dropped; None: a training from its start, whose folder holds no rows yet or
    those of another. Raises UserError where the logger's package is missing or its server does not answer.
    """

    def __init__(
        self, folder: Path | None, *, logger: Logger, config: Mapping[str, object], resumed_at: int | None
    ) -> None:
        self._sinks: list[Sink] = []
        if folder is None:
            return
        folder.mkdir(parents=True, exist_ok=True)
        beside = open_logger(logger, folder, config, resumed_at)
        self._sinks = [_Csv(folder, resumed_at), *([] if beside is None else [beside])]

    def write(self, row: Mapping[str, float]) -> None:
        """One row: `step`, further COLUMNS, and the judge's figures where there are some."""
        for sink in self._sinks:
            sink.write(row)

    def close(self) -> None:
        """Ends the loggers' runs; closing twice does no harm."""
        while self._sinks:
            self._sinks.pop().close()


class _Csv:
    """The names of the judge's figures are known with the first epoch's end: the file is then written anew, once."""

    def __init__(self, folder: Path, resumed_at: int | None) -> None:
        self._path = folder / NAME
        rows = read_history(self._path) if resumed_at is not None and self._path.exists() else []
        self._rows: list[Mapping[str, float]] = [row for row in rows if row["step"] <= (resumed_at or 0)]
        self._columns = [*COLUMNS, *judged(self._rows)]
        self._rewrite()

    def write(self, row: Mapping[str, float]) -> None:
        self._rows.append(row)
        if any(name not in self._columns for name in row):
            self._file.close()
            self._columns = [*COLUMNS, *judged(self._rows)]
            self._rewrite()
        else:
            self._file.write(_line(_cells(self._columns, row)))
            self._file.flush()

    def close(self) -> None:
        self._file.close()

    def _rewrite(self) -> None:
        lines = [self._columns, *(_cells(self._columns, row) for row in self._rows)]
        write_text(self._path, "".join(map(_line, lines)))
        self._file = self._path.open("a", encoding="utf-8", newline="\n")


def _cells(columns: Sequence[str], row: Mapping[str, float]) -> list[str]:
    # repr of a float is short and reads back to the same one.
    return [
        "" if name not in row else str(int(row[name])) if name == "step" else repr(float(row[name])) for name in columns
    ]


def _line(cells: Sequence[str]) -> str:
    line = io.StringIO()
    csv.writer(line, lineterminator="\n").writerow(cells)
    return line.getvalue()
