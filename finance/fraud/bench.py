"""`lepton bench fraud`: how fast histories are counted and payments answered, and who finds the frauds."""

from finance.fraud import bench_models, bench_speed
from lepton_solutions.bench import Bench, of_parts


def fraud() -> Bench:
    """The bench, from cheap cells to dear ones."""
    packages = ("torch", "lightgbm", "scikit-learn", "pyod", "onnxruntime", "pandas")
    return of_parts("Fraud in payments", (bench_speed, bench_models), packages)
