"""What the network sees of a row: standardised within its regime, averaged looking back, alike for one and many."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from manufacturing.failure.fleet import Fleet
from manufacturing.failure.inputs import AGE, Scaling, Steps, features_of, fit_scaling
from manufacturing.failure.settings import Inputs

INPUTS = Inputs(window=5, smoothing=0.1, regimes=None)
SETTINGS = np.array([[0.0, 10.0], [5.0, 30.0], [9.0, 80.0]])


def fleet(lives: int = 6, seed: int = 0, *, regimes: int = 3, missing: float = 0.1) -> Fleet:
    chance = np.random.default_rng(seed)
    lengths = chance.integers(20, 40, lives)
    rows = int(lengths.sum())
    regime = chance.integers(0, regimes, rows)
    sensors = chance.normal(size=(rows, 2)) * [1, 5] + 100 * regime[:, None]
    sensors[chance.random((rows, 2)) < missing] = np.nan
    still = np.full((rows, 1), 7.0)
    values = np.concatenate([SETTINGS[regime] + 0.001 * chance.normal(size=(rows, 2)), sensors, still], 1)
    starts = np.concatenate([[0], np.cumsum(lengths)])
    return Fleet(
        name="toy", question="rul", sensors=("altitude", "speed", "heat", "flow", "still"),
        values=values.astype(np.float32), time=np.concatenate([np.arange(1.0, n + 1) for n in lengths]), starts=starts,
        unit=np.array([f"m{i}" for i in range(lives)]), failed_at=lengths * 1.0, seen_until=lengths * 1.0,
        part=np.zeros(lives, np.int8), settings=("altitude", "speed"),
    )  # fmt: skip


def test_regimes_are_found_and_what_carries_nothing_is_named():
    scaling = fit_scaling(fleet(), INPUTS)
    found = np.array(scaling.centres)
    np.testing.assert_allclose(found[found[:, 0].argsort()], SETTINGS, atol=0.01)
    assert scaling.names == ("heat", "flow")
    assert "constant" in scaling.dropped["still"]
    assert "3 regimes" in scaling.dropped["speed"]


def test_settings_that_are_noise_are_one_regime():
    assert len(fit_scaling(fleet(regimes=1), INPUTS).centres) == 1


def test_features_have_their_closed_form():
    one = fleet(1, missing=0)
    scaling = fit_scaling(one, INPUTS)
    found = features_of(Steps(scaling), one).numpy().astype(float)
    centres, mean, std = (np.array(x) for x in (scaling.centres, scaling.mean, scaling.std))
    regime = np.abs(one.values[:, :1] - centres[:, 0]).argmin(1)
    z = (one.values[:, 2:4] - mean[regime]) / std[regime]
    average = z.copy()
    for row in range(1, len(z)):
        average[row] = 0.9 * average[row - 1] + 0.1 * z[row]
    so_far = np.cumsum(z, 0) / np.arange(1, len(z) + 1)[:, None]
    age = np.arange(1, len(z) + 1)[:, None] / AGE
    np.testing.assert_allclose(found, np.concatenate([z, average, average - so_far, age], 1), atol=2e-5)


@pytest.mark.parametrize("smoothing", [0.1, 0.0])
def test_a_unit_alone_is_as_among_others_bit_for_bit(smoothing: float):
    many = fleet()
    steps = Steps(fit_scaling(many, INPUTS.model_copy(update={"smoothing": smoothing})))
    together = features_of(steps, many)
    for life in range(many.lives):
        alone, state = many.take(np.array([life])), steps.first(1)
        for row in range(alone.rows):
            features, state = steps(torch.from_numpy(alone.values[row : row + 1]), state)
            assert torch.equal(features[0], together[int(many.starts[life]) + row])


def test_nothing_looks_ahead():
    many = fleet()
    steps = Steps(fit_scaling(many, INPUTS))
    cut = replace(many.take(np.array([0])), values=many.values[:10], time=many.time[:10], starts=np.array([0, 10]))
    assert torch.equal(features_of(steps, cut), features_of(steps, many)[:10])


def test_what_is_missing_counts_as_read_last():
    many = fleet(missing=0)
    scaling = fit_scaling(many, INPUTS.model_copy(update={"smoothing": 0.0}))
    values = many.values.copy()
    values[:3, 2] = np.nan  # from the first row on: the mean of the train part
    values[6, 3] = np.nan
    found = features_of(Steps(scaling), replace(many, values=values))
    assert found[:3, 0].tolist() == [0, 0, 0]
    assert found[6, 1] == found[5, 1]


def test_a_scaling_survives_json():
    import json

    scaling = fit_scaling(fleet(), INPUTS)
    assert Scaling.from_json(json.loads(json.dumps(scaling.to_json()))) == scaling
