"""Made-up loans and the settings to prepare them with, for tests."""

import numpy as np

BASE = {
    "source": {"_target_": "lepton_solutions.data.sources.own"},
    "encoding": None, "missing": (), "positive": None, "id": None, "group": None, "fold": None, "time": None,
    "weight": None, "protected": None, "kinds": {}, "parts": (0.6, 0.1, 0.1, 0.2),
}  # fmt: skip
ROWS = 400


def columns(**more: object) -> dict[str, object]:
    """A table whose target `bad` leans on `income`; columns given as None are left out."""
    generator = np.random.default_rng(0)
    income = generator.normal(size=ROWS).round(4)
    made = {
        "loan": [f"L{i:04}" for i in range(ROWS)],
        "income": income,
        "job": generator.choice(["clerk", "cook", "pilot"], ROWS),
        "sex": generator.choice(["f", "m"], ROWS),
        "bad": (income + generator.normal(size=ROWS) > 0.8).astype(int),
    }
    return {name: values for name, values in (made | more).items() if values is not None}
