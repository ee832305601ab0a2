import numpy as np
import pytest

from lepton_solutions.resampling import Interval, interval, resample


def generator(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def drawn(n: int, groups: np.ndarray | None, count: int = 400) -> np.ndarray:
    return np.concatenate(list(resample(np.ones(n), generator(), count, groups=groups)))


def test_the_rows_of_a_group_are_drawn_together_and_as_many_groups_as_there_are():
    groups = np.array([7, 7, 7, 2, 2, 9])
    weights = drawn(6, groups)
    assert (weights[:, 0] == weights[:, 1]).all() and (weights[:, 1] == weights[:, 2]).all()
    assert (weights[:, 3] == weights[:, 4]).all()
    assert (weights[:, [0, 3, 5]].sum(axis=1) == 3).all()


def test_groups_of_one_row_are_no_groups():
    assert (drawn(50, None) == drawn(50, np.arange(50)[::-1])).all()


def test_patients_with_several_images_widen_the_interval_as_the_theory_says():
    # Four equal images a patient: the mean varies as that of the patients, with twice the standard error of images.
    patient = np.repeat(np.arange(250), 4)
    value = np.repeat(generator().normal(size=250), 4)

    def width(groups: np.ndarray | None) -> float:
        weights = np.concatenate(list(resample(np.ones(1000), generator(1), 1000, groups=groups)))
        found = interval(value.mean(), weights @ value / weights.sum(axis=1))
        return found.high - found.low

    # 1,000 resamples give a width within some 5 %; the standard error is known.
    assert width(patient) == pytest.approx(2 * 1.96 * value.std() / np.sqrt(250), rel=0.1)
    assert width(patient) / width(None) == pytest.approx(2, rel=0.1)


def test_resamples_without_a_value_are_left_out():
    assert interval(0.5, np.array([np.nan, 0.4, 0.6, np.nan])).low == pytest.approx(0.405)
    assert interval(0.5, np.array([np.nan])) == Interval(0.5, 0.5, 0.5)
