import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lepton_solutions.data.splits import PARTS, folds, row_codes, split
from lepton_solutions.errors import UserError

SHARES = (0.6, 0.1, 0.1, 0.2)
TRAIN, VALIDATION, CALIBRATION, TEST = range(4)


def outcomes(positive: int, negative: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).permutation(np.repeat([1, 0], [positive, negative])).astype(np.int8)


def cut(target, seed=0, shares=SHARES, **how):
    return split(target, shares=shares, generator=np.random.default_rng(seed), **how)


def parts_of(codes, parts):
    """The set of parts in which each code occurs."""
    return [set(parts[codes == code].tolist()) for code in np.unique(codes)]


# -- shuffled


def test_each_class_is_spread_by_the_shares():
    target = outcomes(300, 700)
    parts = cut(target)
    assert np.bincount(parts[target == 1]).tolist() == [180, 30, 30, 60]
    assert np.bincount(parts[target == 0]).tolist() == [420, 70, 70, 140]


def test_the_same_seed_gives_the_same_parts_and_another_seed_gives_others():
    target = outcomes(300, 700)
    assert np.array_equal(cut(target, seed=1), cut(target, seed=1))
    assert not np.array_equal(cut(target, seed=1), cut(target, seed=2))


def test_the_order_of_the_file_does_not_decide_the_part():
    target = np.repeat([1, 0], 5000).astype(np.int8)
    middle = [np.mean(np.flatnonzero(cut(target) == part)) for part in range(4)]
    assert middle == pytest.approx([5000] * 4, abs=4 * 10_000 / 12**0.5 / 1000**0.5)  # 4 standard errors of 1,000 rows


keys = st.integers(1, 60).flatmap(lambda k: st.lists(st.integers(-1, k), min_size=200, max_size=200))


@settings(deadline=None, max_examples=60)
@given(groups=keys, twins=keys, seed=st.integers(0, 2**32 - 1))
def test_no_owner_and_no_identical_rows_are_ever_in_two_parts(groups, twins, seed):
    groups, twins = np.array(groups), np.array(twins)
    target = outcomes(60, 140, seed)
    try:
        parts = cut(target, seed, groups=groups, twins=twins)
    except UserError:
        return  # all rows hang together, or too few sets of rows hold a class: said rather than cut
    for codes in (groups, twins):
        assert all(len(where) == 1 for where in parts_of(codes[codes >= 0], parts[codes >= 0]))


def test_rows_linked_in_a_chain_of_owner_and_twin_stay_together():
    target = outcomes(100, 100)
    groups, twins = np.arange(200), np.arange(200) + 1000
    groups[[0, 1]] = 500
    twins[[1, 2]] = 5000
    groups[[2, 3]] = 501
    for seed in range(20):
        assert len(set(cut(target, seed, groups=groups, twins=twins)[:4].tolist())) == 1


def test_rows_without_an_owner_stand_alone():
    target = outcomes(300, 700)
    assert np.array_equal(cut(target, groups=np.full(1000, -1)), cut(target))


def test_shares_hold_when_owners_have_many_rows():
    generator = np.random.default_rng(3)
    groups = np.repeat(np.arange(2000), generator.integers(1, 10, 2000))
    target = (generator.random(len(groups)) < 0.2).astype(np.int8)
    parts = cut(target, groups=groups)
    # A part's edge may miss the share by half an owner (4.5 rows) at both ends in both strata.
    assert np.bincount(parts) == pytest.approx(np.array(SHARES) * len(groups), abs=18)


def test_an_owner_larger_than_a_small_part_goes_to_train():
    groups = np.concatenate([np.zeros(150, dtype=int), np.arange(1, 851)])
    target = outcomes(300, 700)
    for seed in range(20):
        assert set(cut(target, seed, groups=groups)[:150].tolist()) == {TRAIN}


def test_as_few_rows_of_a_class_as_parts_still_reach_every_part():
    target = outcomes(4, 400)
    for seed in range(20):
        assert sorted(cut(target, seed)[target == 1].tolist()) == [TRAIN, VALIDATION, CALIBRATION, TEST]


def test_a_share_of_zero_leaves_the_part_out():
    parts = cut(outcomes(100, 100), shares=(0.5, 0.25, 0.25, 0.0))
    assert np.bincount(parts, minlength=4).tolist() == [100, 50, 50, 0]


def test_folds_are_equal_stratified_and_keep_owners_whole():
    target = outcomes(300, 700)
    chosen = folds(target, n=5, generator=np.random.default_rng(0))
    assert np.bincount(chosen).tolist() == [200] * 5
    assert np.bincount(chosen[target == 1]).tolist() == [60] * 5
    groups = np.arange(1000) // 3
    grouped = folds(target, n=5, generator=np.random.default_rng(0), groups=groups)
    assert all(len(where) == 1 for where in parts_of(groups, grouped))


# -- by time


def test_the_oldest_rows_train_and_the_newest_are_the_test():
    time = np.random.default_rng(1).permutation(1000).astype(float)
    parts = cut(outcomes(300, 700), time=time)
    assert np.bincount(parts).tolist() == [600, 100, 100, 200]
    assert np.all(np.diff(parts[np.argsort(time)]) >= 0)


@settings(deadline=None, max_examples=40)
@given(moments=st.integers(6, 40), seed=st.integers(0, 2**32 - 1))
def test_equal_times_never_straddle_a_boundary(moments, seed):
    time = np.random.default_rng(seed).integers(0, moments, 2000)
    parts = cut(outcomes(1000, 1000, seed), time=time)
    assert all(len(where) == 1 for where in parts_of(time, parts))


# -- by a fold column


def test_a_fold_column_that_names_parts_is_followed_whatever_its_spelling():
    names = np.array(
        ["Train", "VAL", "valid", "validation", "calib", "Calibration", "test", "TRAIN"] * 20, dtype=object
    )
    parts = cut(outcomes(80, 80), fold=names)
    assert [PARTS[part] for part in parts[:8]] == [
        *("train", "validation", "validation", "validation"),
        *("calibration", "calibration", "test", "train"),
    ]


def test_parts_that_the_fold_column_does_not_name_come_out_of_train():
    names = np.repeat(["train", "test"], [800, 200])
    parts = cut(outcomes(400, 600), fold=names)
    assert np.bincount(parts[:800]).tolist() == [600, 100, 100]  # .6 : .1 : .1 of 800
    assert set(parts[800:].tolist()) == {TEST}


@pytest.mark.parametrize("kind", [int, float, str])
def test_the_largest_fold_number_is_the_test_part(kind):
    numbers = np.arange(1000) % 10 + 1
    parts = cut(outcomes(400, 600), fold=numbers.astype(kind))
    assert np.array_equal(parts == TEST, numbers == 10)  # as text, `9` would be the largest
    assert np.bincount(parts).tolist() == pytest.approx([675, 112.5, 112.5, 100], abs=1)  # .6 : .1 : .1 of 900


# -- mistakes

TARGET = outcomes(40, 60)


@pytest.mark.parametrize(
    ("target", "how", "told"),
    [
        (TARGET[:0], {}, "no rows"),
        (outcomes(3, 97), {}, "class 1 of the target has 3 of 100 rows, fewer than the 4 parts"),
        (np.zeros(100, dtype=np.int8), {}, "class 1 of the target has 0 of 100 rows"),
        (TARGET, {"shares": (0.6, 0.1, 0.1, 0.1)}, "whose sum is 1"),
        (TARGET, {"shares": (0.0, 0.4, 0.3, 0.3)}, "no rows to learn from"),
        (
            TARGET,
            {"groups": np.zeros(100, dtype=int)},
            "the validation part would hold 0 rows of class 0 and 0 of class 1",
        ),
        (
            np.sort(TARGET),
            {"time": np.arange(100.0)},
            "the train part would hold 60 rows of class 0 and 0 of class 1, of 60",
        ),
        (TARGET, {"time": np.arange(100) // 50}, "2 distinct times, which cannot be cut into 4 parts"),
        (TARGET, {"time": np.where(np.arange(100) == 6, np.nan, 1.0)}, "row 7, `data.time`: found nothing"),
        (TARGET, {"time": np.arange(100), "fold": np.arange(100)}, "`data.time` and `data.fold` are both set"),
        (TARGET, {"fold": np.array(["train", "tset"] * 50)}, "row 2, `data.fold`: found `tset`.*did you mean `test`"),
        (TARGET, {"fold": np.array(["train", None] * 50)}, "row 2, `data.fold`: found nothing.*50 rows are like it"),
        (TARGET, {"fold": np.array([1.5, 2.0] * 50)}, "found `1.5`"),
        (TARGET, {"fold": np.array(["train", "val"] * 50)}, "`data.fold` has no test rows; it holds `train`, `val`"),
        (TARGET, {"fold": np.array(["val", "test"] * 50)}, "`data.fold` has no train rows"),
        (TARGET, {"fold": np.ones(100)}, "`data.fold` has no train rows; it holds `1.0`"),
    ],
)
def test_what_cannot_be_split_is_said(target, how, told):
    with pytest.raises(UserError, match=told):
        cut(target, **how)


def test_a_class_with_fewer_rows_than_folds_is_said():
    with pytest.raises(UserError, match="class 1 of the target has 3 of 100 rows, fewer than the 5 folds"):
        folds(outcomes(3, 97), n=5, generator=np.random.default_rng(0))


# -- identical rows


def test_rows_share_a_code_exactly_where_they_are_equal():
    generator = np.random.default_rng(0)
    numeric = generator.integers(-1, 2, (3000, 3)).astype(np.float32)
    numeric[generator.random((3000, 3)) < 0.2] = np.nan
    codes = generator.integers(0, 3, (3000, 2))
    known = {}
    expected = [known.setdefault(str((*row, *levels)), len(known)) for row, levels in zip(numeric, codes, strict=True)]
    found = row_codes(numeric, codes)
    assert len(set(zip(expected, found.tolist(), strict=True))) == len(known) == len(np.unique(found))


def test_missing_equals_missing_and_zero_equals_minus_zero():
    other_nan = np.array([0xFFC00001], dtype=np.uint32).view(np.float32)[0]
    numeric = np.array([[np.nan, 0.0], [other_nan, -0.0], [np.nan, 1.0]], dtype=np.float32)
    kept = numeric.copy()
    assert row_codes(numeric, np.zeros((3, 0), dtype=np.int64)).tolist() in ([0, 0, 1], [1, 1, 0])
    assert np.array_equal(numeric.view(np.uint32), kept.view(np.uint32))  # the caller's array is left alone


@given(st.integers(0, 1000), st.integers(3, 6))
@settings(deadline=None, max_examples=30)
def test_every_part_has_every_one_of_several_classes_in_its_share(seed, classes):
    generator = np.random.default_rng(seed)
    target = generator.integers(0, classes, 1000)
    parts = split(target, shares=(0.6, 0.1, 0.1, 0.2), generator=generator)
    for code in range(classes):
        found = np.bincount(parts[target == code], minlength=4) / (target == code).sum()
        assert found == pytest.approx([0.6, 0.1, 0.1, 0.2], abs=0.02)


def test_a_class_that_a_part_would_lack_is_named():
    target, owners = np.arange(400) % 4, np.where(np.arange(400) % 4 == 3, 0, np.arange(400) + 1)
    with pytest.raises(
        UserError, match=r"part would hold none of the 100 rows of class 3; each part needs every class"
    ):
        split(target, shares=(0.6, 0.1, 0.1, 0.2), generator=np.random.default_rng(0), groups=owners)
