import csv
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from lepton_solutions.training import history
from lepton_solutions.training.history import COLUMNS, History, judged, memory_mb, read_history


def row(step: int, **judge: float) -> dict[str, float]:
    """A row with a different number in every column."""
    return dict(zip(COLUMNS, (step, *(step / place for place in range(3, 10))), strict=True)) | judge


def write(folder: Path, rows: list[dict], *, resumed_at: int | None = None) -> None:
    written = History(folder, logger="none", config={"seed": 0}, resumed_at=resumed_at)
    for row in rows:
        written.write(row)
    written.close()


def test_a_row_is_in_the_file_when_it_is_written(tmp_path: Path):
    written = History(tmp_path / "new", logger="none", config={}, resumed_at=None)
    written.write(row(1))
    assert (tmp_path / "new" / "history.csv").read_text().splitlines() == [
        ",".join(COLUMNS),
        "1,0.3333333333333333,0.25,0.2,0.16666666666666666,0.14285714285714285,0.125,0.1111111111111111",
    ]
    written.close()
    written.close()  # twice does no harm


def test_figures_of_the_judge_get_columns_when_they_appear(tmp_path: Path):
    rows = [row(1), row(2, validation_auc=0.7, validation_loss=0.5), row(3), row(4, validation_auc=float("nan"))]
    write(tmp_path, rows)
    with (tmp_path / "history.csv").open(newline="") as stream:
        found = list(csv.reader(stream))
    assert found[0] == [*COLUMNS, "validation_auc", "validation_loss"]
    assert [cells[-2:] for cells in found[1:]] == [["", ""], ["0.7", "0.5"], ["", ""], ["nan", ""]]
    assert read_history(tmp_path / "history.csv")[:3] == rows[:3]
    assert judged(rows) == ["validation_auc", "validation_loss"]


def test_numbers_of_numpy_and_torch_are_written_as_numbers(tmp_path: Path):
    write(tmp_path, [row(np.int64(3), validation_auc=np.float64(0.25), validation_loss=torch.tensor(0.5))])
    (found,) = read_history(tmp_path / "history.csv")
    assert (found["step"], found["validation_auc"], found["validation_loss"]) == (3, 0.25, 0.5)


def test_a_resumed_training_writes_over_the_rows_after_its_checkpoint(tmp_path: Path):
    write(tmp_path, [row(step, validation_auc=0.1) for step in (2, 4, 6, 8)])
    write(tmp_path, [row(step, validation_auc=0.2) for step in (5, 7)], resumed_at=4)
    assert read_history(tmp_path / "history.csv") == [
        row(2, validation_auc=0.1), row(4, validation_auc=0.1), row(5, validation_auc=0.2), row(7, validation_auc=0.2)
    ]  # fmt: skip


def test_a_line_cut_off_by_a_kill_is_left_out(tmp_path: Path):
    write(tmp_path, [row(2), row(4)])
    path = tmp_path / "history.csv"
    path.write_text(path.read_text()[:-9])
    assert read_history(path) == [row(2)]
    write(tmp_path, [row(5)], resumed_at=4)
    assert read_history(path) == [row(2), row(5)]


def test_without_a_folder_nothing_is_written_and_nothing_imported():
    script = """
import sys
from lepton_solutions.training.history import History
history = History(None, logger="tensorboard", config={}, resumed_at=None)
history.write({"step": 1})
history.close()
print(sorted({"torch", "tensorboard", "wandb", "mlflow"} & set(sys.modules)))
"""
    environment = {**os.environ, "PYTHONPATH": str(Path(history.__file__).parents[2])}
    assert subprocess.check_output([sys.executable, "-c", script], text=True, env=environment).strip() == "[]"


def test_memory_is_what_the_kernel_says_was_the_most():
    status = Path("/proc/self/status")
    if not status.exists():
        pytest.skip("Linux alone tells in /proc")
    before = memory_mb(torch.device("cpu"))
    block = torch.ones(2**25)  # 128 MB
    (peak,) = (int(line.split()[1]) for line in status.read_text().splitlines() if line.startswith("VmHWM"))
    assert memory_mb(torch.device("cpu")) >= before
    assert memory_mb(torch.device("cpu")) >= block.nbytes / 2**20
    assert memory_mb(torch.device("cpu")) == pytest.approx(peak / 2**10, rel=0.02)  # counted in batches of pages
