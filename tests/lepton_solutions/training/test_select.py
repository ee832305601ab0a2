"""Which models may join a combination."""

import numpy as np
import pytest

from lepton_solutions.training.select import contenders


def drawn(rows: int) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Outcomes of a known risk, and models that see it well, a little less well, and badly."""
    chance = np.random.default_rng(0)
    risk = chance.normal(-1, 1.5, rows)
    target = (chance.random(rows) < 1 / (1 + np.exp(-risk))).astype(np.int8)
    noise = {"good": 0.2, "nearly": 0.3, "bad": 2.5}
    return target, {name: risk + size * chance.normal(0, 1, rows) for name, size in noise.items()}


def test_with_many_rows_only_models_near_the_best_stay():
    target, logits = drawn(20_000)
    assert contenders(logits, target, np.ones(20_000)) == ["good", "nearly"]


def test_with_few_rows_a_difference_must_be_clear_to_count():
    target, logits = drawn(40)
    assert set(contenders(logits, target, np.ones(40))) >= {"good", "nearly"}


@pytest.mark.parametrize("scale", [0.01, 5.0])
def test_the_scale_of_a_model_does_not_matter(scale):
    target, logits = drawn(5_000)
    logits["nearly"] = logits["nearly"] * scale + 3
    assert contenders(logits, target, np.ones(5_000)) == ["good", "nearly"]


def test_rows_without_weight_have_no_say():
    target, logits = drawn(5_000)
    weight = np.concatenate([np.ones(4_000), np.zeros(1_000)])
    spoilt = {name: np.where(weight > 0, logit, -50.0) for name, logit in logits.items()}
    assert contenders(spoilt, target, weight) == contenders(
        {n: v[:4_000] for n, v in logits.items()}, target[:4_000], weight[:4_000]
    )
