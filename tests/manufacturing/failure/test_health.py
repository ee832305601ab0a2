"""The health index: alarms at the rate that is asked for, and the sensor that changed named."""

import numpy as np
import pytest
import torch

from lepton_solutions.data.splits import TEST, TRAIN
from lepton_solutions.errors import UserError
from manufacturing.failure.bench_plant import delay
from manufacturing.failure.fleet import Fleet
from manufacturing.failure.health import fit_health, fit_principal, healthy_rows, line_for
from manufacturing.failure.tennessee import read_rows


@pytest.fixture(scope="module")
def windows():
    """Five sensors, of which the last two follow the first."""
    draw = torch.Generator().manual_seed(0)
    x = torch.randn(400, 10, 5, generator=draw)
    x[:, :, 3:] = x[:, :, :1] + 0.1 * x[:, :, 3:]
    return x


def models(windows, fit_settings):
    return {
        "health": fit_health(windows, fit_settings, sensors=5, seed=0),
        "principal": fit_principal(windows, sensors=5),
    }


@pytest.fixture(scope="module")
def found(windows):
    from lepton_solutions.config import read_jobs

    settings = read_jobs("finance/credit", [], multirun=False)[0].settings.fit
    return models(windows[:300], settings.model_copy(update={"epochs": 40, "batch_size": 32}))


@pytest.mark.parametrize("name", ["health", "principal"])
def test_contributions_sum_to_the_index_and_name_the_sensor_that_changed(found, windows, name):
    broken = windows[300:].clone()
    broken[:, :, 1] += 6
    with torch.no_grad():
        well, ill = found[name](windows[300:]), found[name](broken)
    torch.testing.assert_close(well[:, 0], well[:, 1:].sum(1))
    assert (ill[:, 0] > torch.quantile(well[:, 0], 0.99)).float().mean() > 0.95
    assert (ill[:, 1:].argmax(1) == 1).float().mean() > 0.9


def test_a_correlation_that_breaks_is_noticed_although_each_sensor_is_in_its_range(found, windows):
    broken = windows[300:].clone()
    broken[:, :, 3] = -broken[:, :, 3]
    with torch.no_grad():
        well, ill = found["health"](windows[300:])[:, 0], found["health"](broken)[:, 0]
    assert ill.median() > 1.5 * well.median()


def test_the_baseline_is_t2_and_spe_by_the_covariance(found, windows):
    model = found["principal"]
    x = model.summary(windows[:300]).flatten(1).double().numpy()
    values, vectors = np.linalg.eigh(x.T @ x / len(x))
    values, vectors = values[::-1], vectors[:, ::-1]
    kept = int((np.cumsum(values) < 0.9 * values.sum()).sum()) + 1
    scores = x @ vectors
    t2, spe = (scores[:, :kept] ** 2 / values[:kept]).sum(1), (scores[:, kept:] ** 2).sum(1)
    expected = t2 / kept + spe / values[kept:].sum()
    with torch.no_grad():
        found_index = model(windows[:300])[:, 0].numpy()
    np.testing.assert_allclose(found_index, expected, rtol=1e-3, atol=1e-4)  # float32 against float64


def test_the_line_is_passed_no_more_often_than_allowed():
    index = np.array([0.0, 3, 3, 0, 2, 0, 1, 0, 5, 0])
    life = np.zeros(10, np.int64)
    # 720 hours in all: one alarm a month may begin, and the highest value alone would be above 3.
    line, rate = line_for(index, life, span=720, rate=1)
    assert (line, rate) == (3.0, 1.0)
    assert line_for(index, life, span=720, rate=2) == (2.0, 2.0)
    assert line_for(index, life, span=72, rate=1) == (5.0, 0.0)


def fleet(**changes):
    plain = {
        "name": "two", "question": "rul", "sensors": ("a",), "values": np.zeros((6, 1), np.float32),
        "time": np.array([1.0, 2, 3, 4, 1, 2]), "starts": np.array([0, 4, 6]), "unit": np.array(["a", "b"]),
        "failed_at": np.array([4.0, np.nan]), "seen_until": np.array([4.0, 2.0]),
        "part": np.array([TRAIN, TEST], np.int8),
    }  # fmt: skip
    return Fleet(**(plain | changes))


def test_healthy_is_the_first_label_or_the_first_half_of_a_life_or_all_where_nothing_failed():
    label = np.array([0, 0, 1, 1, 0, 1])
    assert healthy_rows(fleet(label=label, labels=("well", "ill"))).tolist() == (label == 0).tolist()
    assert healthy_rows(fleet()).tolist() == [True, True, False, False, True, False]
    assert healthy_rows(fleet(failed_at=np.full(2, np.nan))).all()


def test_the_delay_counts_to_the_row_that_makes_the_alarm():
    assert delay(np.array([0.0, 2, 0, 2, 2, 2]), 1.0) == 15.0  # the sixth row; rows are three minutes apart
    assert delay(np.zeros(6), 1.0) is None


def test_a_file_that_lies_sideways_reads_as_one_that_does_not(tmp_path):
    rows = np.arange(52 * 60, dtype=float).reshape(60, 52)
    np.savetxt(tmp_path / "d00.dat", rows.T)
    np.savetxt(tmp_path / "d01.dat", rows)
    assert (read_rows(tmp_path / "d00.dat") == read_rows(tmp_path / "d01.dat")).all()


def test_a_line_that_lost_a_number_is_named(tmp_path):
    file = tmp_path / "d01.dat"
    np.savetxt(file, np.ones((3, 52)))
    lines = file.read_text().splitlines()
    file.write_text("\n".join([lines[0], lines[1].rpartition(" ")[0], lines[2]]))
    with pytest.raises(UserError, match="line 2: found 51 numbers, expected 52"):
        read_rows(file)
