import json
import os
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from scipy.stats import norm

from lepton_solutions.data.audit import (
    audit,
    in_two_parts,
    near_overlap,
    owners,
    repeats,
    row_overlap,
    time_overlap,
)
from lepton_solutions.data.columns import Column, Columns, Rows
from lepton_solutions.data.findings import Finding, failures
from lepton_solutions.data.giveaways import drift, giveaways, stability
from lepton_solutions.data.splits import row_codes, split

STRONG = 2**0.5 * norm.ppf(0.9)  # two unit normals this far apart have AUC .9


def table(**columns) -> tuple[Rows, Columns]:
    """Text becomes categories, everything else numbers; None and NaN are missing."""
    made, values = [], {}
    for name, column in columns.items():
        text = any(isinstance(value, str) for value in column)
        levels = tuple(sorted({value for value in column if value is not None})) if text else ()
        made.append(Column(name, "category" if text else "numeric", levels))
        values[name] = pa.array(column)
    described = Columns(tuple(made))
    return described.encode(pa.table(values)), described


def outcomes(positive: int, negative: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).permutation(np.repeat([1, 0], [positive, negative])).astype(np.int8)


def found_in(column, target, **more) -> Finding | None:
    found = giveaways(*table(x=column), target, target_name="default", **more)
    assert len(found) <= 1
    return found[0] if found else None


# -- giveaway columns

SIZES = [(6, 54), (18, 42), (30, 30), (60, 140), (20, 980)]


@pytest.mark.parametrize(("positive", "negative"), SIZES)
def test_a_copy_of_the_target_fails_and_is_named(positive, negative):
    target = outcomes(positive, negative)
    found = giveaways(*table(age=np.arange(len(target)), twin=target), target, target_name="default")
    assert [(f.level, f.check, f.columns) for f in found] == [("fail", "giveaway", ("twin",))]
    assert found[0].message == "column `twin` gives `default` away: a copy of it"
    assert "data.kinds.twin=ignore" in found[0].hint


def test_a_copy_is_known_by_the_values_that_the_file_writes():
    target = outcomes(30, 70)
    text = np.where(target, "Bad", "Good").tolist()
    assert found_in(text, target, classes=("good", "bad")).message.endswith("a copy of it")
    assert found_in(target + 1, target, classes=("1", "2")).message.endswith("a copy of it")


@pytest.mark.parametrize(("positive", "negative"), SIZES)
@pytest.mark.parametrize(
    ("positive_value", "negative_value", "told"),
    [
        ("yes", "no", "a code of it (`yes` where it is `1`, `no` where it is `0`)"),
        (1, 2, "a code of it (`1` where it is `1`, `2` where it is `0`)"),
        (0, 1, "a code of it (`0` where it is `1`, `1` where it is `0`)"),
        ("x", None, "it is missing exactly where `default` is `0`"),
        (None, 7.5, "it is missing exactly where `default` is `1`"),
    ],
)
def test_a_code_of_two_values_fails_and_is_spelled_out(positive, negative, positive_value, negative_value, told):
    target = outcomes(positive, negative)
    found = found_in([positive_value if label else negative_value for label in target], target)
    assert found.level == "fail"
    assert found.message.endswith(told)


@pytest.mark.parametrize(("positive", "negative"), SIZES[1:])
@pytest.mark.parametrize("seed", range(5))
def test_a_code_of_several_values_fails(positive, negative, seed):
    target = outcomes(positive, negative)
    generator = np.random.default_rng(seed)
    three = np.where(target, "late", np.where(generator.random(len(target)) < 0.5, "paid", "early"))
    ten = 2 * generator.integers(0, 5, len(target)) + target  # 1, 3, .. 9 are positive
    assert found_in(three.tolist(), target).message.endswith(
        "a code of it (`late` where it is `1`, `early`, `paid` where it is `0`)"
    )
    assert found_in(ten, target).level == "fail"


@pytest.mark.parametrize(("positive", "negative"), SIZES[1:])
def test_odd_and_even_numbers_fail_however_many_there_are(positive, negative):
    target = outcomes(positive, negative)
    numbers = 2 * np.random.default_rng(0).integers(0, 50_000, len(target)) + target
    assert found_in(numbers, target).message.endswith("a code of it (`odd` where it is `1`, `even` where it is `0`)")


def test_the_last_digit_fails():
    target = outcomes(100, 300)
    generator = np.random.default_rng(0)
    digit = np.where(target, generator.choice([1, 4, 6], 400), generator.choice([0, 2, 9], 400))
    assert "last digit 1" in found_in(10 * generator.integers(0, 9999, 400) + digit, target).message


@pytest.mark.parametrize(("positive", "negative"), SIZES[1:])
@pytest.mark.parametrize("sign", [1, -1])
def test_a_number_that_is_always_larger_for_one_class_fails(positive, negative, sign):
    target = outcomes(positive, negative)
    score = sign * (target + np.random.default_rng(0).random(len(target)) * 0.99)
    assert "separates the classes (AUC 1.0000)" in found_in(score, target).message


def test_a_number_present_for_one_class_alone_fails():
    target = outcomes(100, 300)
    recovered = np.where(target, np.random.default_rng(0).lognormal(size=400), np.nan)
    assert found_in(recovered, target).message.endswith("it is missing exactly where `default` is `0`")


def test_an_interval_that_holds_one_class_fails():
    target = outcomes(200, 400)
    generator = np.random.default_rng(0)
    outside = generator.choice([-1, 1], 600) * generator.uniform(1, 2, 600)
    assert found_in(np.where(target, generator.uniform(-0.9, 0.9, 600), outside), target).level == "fail"


def test_a_giveaway_with_a_few_slips_is_found_among_many_rows():
    target = outcomes(10_000, 140_000)
    slips = np.random.default_rng(0).random(150_000) < 1e-4
    assert found_in(target ^ slips, target).message.endswith("a copy of it") is False
    assert found_in(target ^ slips, target).level == "fail"


def test_a_column_that_is_nearly_perfect_is_a_warning():
    target = outcomes(500, 500)
    found = found_in(target * 2**0.5 * norm.ppf(0.99) + np.random.default_rng(0).normal(size=1000), target)
    assert (found.level, found.check) == ("warning", "strong")


@pytest.mark.parametrize(("positive", "negative"), [(18, 42), (30, 30), (20, 180), (60, 140), (30, 970), (300, 700)])
def test_honest_columns_raise_no_alarm(positive, negative):
    for seed in range(40):
        generator = np.random.default_rng(seed)
        target = outcomes(positive, negative, seed)
        n = len(target)
        strong = target * STRONG + generator.normal(size=n)
        rows, columns = table(
            strong=strong,
            rounded=np.round(strong),
            banded=[f"band {band}" for band in np.digitize(target * STRONG + generator.normal(size=n), [0, 0.9, 1.8])],
            weak=np.where(generator.random(n) < 0.3, np.nan, target * 0.3 + generator.normal(size=n)),
            number=np.arange(n) + 10_000,
            reference=generator.permutation(n) * 7,
            code=[f"id {i}" for i in range(n)],
            town=[f"town {i}" for i in generator.integers(0, 20, n)],
            coin=generator.integers(0, 2, n),
        )
        assert giveaways(rows, columns, target, target_name="default") == []


# -- rows across parts


def test_planted_owners_in_two_parts_are_counted():
    parts = np.repeat(np.int8([0, 1, 2, 3]), [60, 10, 10, 20])
    applicant = np.arange(100)
    applicant[[80, 81, 99]] = [0, 1, 1]  # owner 0: train, test; owner 1: train, test, test
    unknown = np.full(100, -1)
    (found,) = owners({"applicant": applicant, "other": unknown}, parts)
    assert (found.level, found.columns, found.rows) == ("fail", ("applicant",), 5)
    assert found.message == "values of `applicant` in more than one part: 2, with 5 rows (train 2, test 3)"
    assert np.flatnonzero(in_two_parts(applicant, parts)).tolist() == [0, 1, 80, 81, 99]


def test_identical_rows_in_two_parts_warn_or_fail_and_near_ones_warn():
    generator = np.random.default_rng(0)
    numeric = generator.normal(size=(100, 4)).astype(np.float32)
    numeric[95] = numeric[3]
    numeric[96] = np.round(numeric[4], 6) * np.float32(1 + 1e-6)
    rows = Rows(numeric, np.full((100, 1), 2))
    parts = np.repeat(np.int8([0, 3]), [80, 20])
    twins = row_codes(rows.numeric, rows.codes)
    (found,) = row_overlap(twins, parts)
    assert (found.level, found.message) == ("warning", "same inputs as a row of another part: 2 rows (train 1, test 1)")
    assert row_overlap(twins, parts, level="fail")[0].level == "fail"
    (near,) = near_overlap(rows, twins, parts)
    assert (near.level, near.rows) == ("warning", 2)


def test_near_rows_agree_in_three_digits_at_any_scale_and_with_their_categories():
    numeric = np.float32([[123_400, 1e-5, 0, np.nan], [123_449, 1.0001e-5, -0.0, np.nan], [124_400, 1e-5, 0, np.nan]])
    parts = np.int8([0, 3, 3])
    same, other = np.full((3, 1), 2), np.array([[2], [3], [2]])
    twins = np.arange(3)
    assert near_overlap(Rows(numeric, same), twins, parts)[0].rows == 2
    assert near_overlap(Rows(numeric, other), twins, parts) == []
    assert near_overlap(Rows(numeric[:, :2], same), twins, parts) == []  # three columns


def test_contradictions_and_repeats_are_counted():
    twins, target = np.array([0, 0, 0, 1, 1, 2, 3]), np.int8([0, 0, 1, 1, 1, 0, 1])
    repeated, contradicting = repeats(twins, target, target_name="default")
    assert (repeated.check, repeated.rows) == ("duplicates", 2)
    assert (contradicting.check, contradicting.rows) == ("contradictions", 3)


def test_a_row_later_than_the_earliest_test_row_fails():
    parts = np.int8([0, 0, 0, 1, 2, 3, 3])
    assert time_overlap(np.array([1, 2, 3, 4, 5, 5, 6]), parts) == []
    (found,) = time_overlap(np.array([1, 2, 9, 4, 5, 5, 6]), parts)
    assert (found.level, found.check, found.rows) == ("fail", "time", 1)


def test_unknown_times_do_not_hide_a_late_row():
    (found,) = time_overlap(np.array([1, np.nan, 9, np.nan, 5]), np.int8([0, 0, 0, 3, 3]))
    assert found.rows == 1
    assert time_overlap(np.array([1, np.nan]), np.int8([0, 3])) == []


# -- drift


def test_stability_equals_the_closed_form():
    before, after = np.array([250, 250, 500]), np.array([10, 50, 40])
    expected = (0.1 - 0.25) * np.log(0.1 / 0.25) + (0.5 - 0.25) * np.log(0.5 / 0.25) + (0.4 - 0.5) * np.log(0.4 / 0.5)
    assert stability(before, after) == (pytest.approx(expected), 3)


def test_shifted_columns_are_named_and_chance_is_not():
    parts = np.repeat(np.int8([0, 3]), [600, 200])
    for seed in range(30):
        generator = np.random.default_rng(seed)
        rows, columns = table(
            shifted=generator.normal(size=800) + (parts == 3),
            vanished=np.where((parts == 3) & (generator.random(800) < 0.5), np.nan, generator.normal(size=800)),
            steady=generator.normal(size=800),
            town=[f"town {i}" for i in generator.integers(0, 300, 800)],
        )
        found = drift(rows, columns, parts)
        assert [(finding.level, finding.columns) for finding in found] == [
            ("warning", ("shifted",)),
            ("warning", ("vanished",)),
        ]


# -- together


def test_a_split_of_ours_passes_the_audit_and_a_blind_one_does_not():
    generator = np.random.default_rng(0)
    drawn = generator.integers(0, 300, 1000)  # some rows are drawn several times
    numeric = generator.normal(size=(300, 5)).astype(np.float32)[drawn]
    rows, columns = (
        Rows(numeric, np.zeros((1000, 0), dtype=np.int64)),
        Columns(tuple(Column(c, "numeric") for c in "abcde")),
    )
    target = outcomes(300, 700)
    twins, keys = row_codes(rows.numeric, rows.codes), {"owner": drawn // 2}
    ours = split(target, shares=(0.6, 0.1, 0.1, 0.2), generator=generator, groups=keys["owner"], twins=twins)
    found = audit(rows, columns, target, target_name="default", parts=ours, cut="shuffled", keys=keys)
    assert {finding.level for finding in found} == {"info"}
    blind = split(target, shares=(0.6, 0.1, 0.1, 0.2), generator=generator)
    found = audit(rows, columns, target, target_name="default", parts=blind, keys=keys, duplicates="fail")
    assert [finding.check for finding in found if finding.level == "fail"] == ["owner", "duplicates"]
    assert [finding.level for finding in found] == sorted(
        (f.level for f in found), key=["fail", "warning", "info"].index
    )


def test_a_file_is_audited_without_parts():
    target = outcomes(30, 70)
    rows, columns = table(twin=target, age=np.arange(100))
    assert [finding.check for finding in audit(rows, columns, target, target_name="default")] == ["giveaway"]


def test_all_failures_are_told_at_once_and_warnings_stop_nothing():
    warning = Finding("warning", "drift", "w")
    twin = Finding("fail", "giveaway", "column `twin` gives `default` away: a copy of it", hint="drop it")
    late = Finding("fail", "time", "late", hint="drop it")
    assert failures([warning]) is None
    assert str(failures([twin, warning])) == f"{twin.message}\n\nhint: drop it"
    assert str(failures([twin, late])) == f"the audit found 2 leaks:\n- {twin.message}\n- late\n\nhint: drop it"


def test_findings_survive_json():
    finding = Finding("fail", "owner", "told", columns=("a", "b"), rows=3, hint="do")
    assert Finding.from_json(json.loads(json.dumps(finding.to_json()))) == finding


def test_the_repeated_rows_of_give_me_some_credit_are_counted_and_kept_together():
    path = Path(os.environ.get("LEPTON_DATA", "absent")) / "give_me_some_credit" / "cs-training.csv.gz"
    if not path.exists():
        pytest.skip("Give Me Some Credit is not in LEPTON_DATA")
    frame = pd.read_csv(path, index_col=0)
    target = frame.pop("SeriousDlqin2yrs").to_numpy(np.int8)
    columns = Columns(tuple(Column(name, "numeric") for name in frame))
    rows = Rows(frame.to_numpy(np.float32), np.zeros((len(frame), 0), dtype=np.int64))
    twins = row_codes(rows.numeric, rows.codes)
    parts = split(target, shares=(0.6, 0.1, 0.1, 0.2), generator=np.random.default_rng(0), twins=twins)
    found = audit(rows, columns, target, target_name="SeriousDlqin2yrs", parts=parts, cut="shuffled")
    assert failures(found) is None
    assert [finding.rows for finding in found if finding.check == "duplicates"] == [
        609
    ]  # pandas: frame.duplicated().sum() with the target
    assert not in_two_parts(twins, parts).any()
