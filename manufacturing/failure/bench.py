"""`lepton bench failure`: remaining life beside published figures, faults, products, streams, scale, and what each part
of ours brings.
"""

from lepton_solutions.bench import Bench, of_parts
from manufacturing.failure import bench_engines, bench_parts, bench_scale, bench_signals, stream_speed


def failure() -> Bench:
    """The bench, from cheap cells to dear ones."""
    parts = (bench_engines, bench_signals, stream_speed, bench_scale, bench_parts)
    return of_parts("Equipment failure", parts, ("torch", "lightgbm", "scikit-learn", "onnxruntime"))
