"""`lepton bench failure`: remaining life beside published figures, faults, products, streams, scale, and what each part
of ours brings. Each part of the bench is a module with cells, how one is measured, its rows and what they say.
"""

from __future__ import annotations

from collections.abc import Mapping

from lepton_solutions.bench import Bench, Cell, Row
from manufacturing.failure import bench_engines, bench_parts, bench_scale, bench_signals, stream_speed

PARTS = (bench_engines, bench_signals, stream_speed, bench_scale, bench_parts)


def failure() -> Bench:
    """The bench, from cheap cells to dear ones."""
    return Bench(
        title="Equipment failure",
        about="".join(part.ABOUT for part in PARTS),
        cells=[cell for part in PARTS for cell in part.CELLS],
        measure=measure,
        rows=rows,
        conclusions=conclusions,
        packages=("torch", "lightgbm", "scikit-learn", "onnxruntime"),
    )


def measure(task: str, model: str, seed: int) -> dict[str, object]:
    """One cell, by the part that has it."""
    (part,) = (part for part in PARTS if any(cell.task == task for cell in part.CELLS))
    return part.measure(task, model, seed)


def rows(records: Mapping[Cell, dict]) -> list[Row]:
    """The table as far as it is measured."""
    return [row for part in PARTS for row in part.rows(records)]


def conclusions(records: Mapping[Cell, dict]) -> str:
    """What the parts say, one below the other."""
    return "\n\n".join(text for part in PARTS if (text := part.conclusions(records)))
