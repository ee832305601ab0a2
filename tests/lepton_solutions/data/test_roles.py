"""Columns with a role: target, id, group, fold, time, weight, protected; and what each mistake is answered with."""

from itertools import pairwise

import numpy as np
import pytest
from loan_rows import ROWS, columns

from lepton_solutions.data.splits import PARTS


@pytest.mark.parametrize("role", ["target", "id", "group", "fold", "time", "weight"])
def test_an_absent_column_is_answered_with_the_nearest(refusal, role: str):
    message = refusal(columns(), **{role: "incme"})
    assert message == (
        f"loans.csv: data.{role}=incme: there is no such column; did you mean `income`?\n\n"
        "hint: columns: loan, income, job, sex, bad"
    )


def test_an_absent_protected_column_is_answered_with_the_nearest(refusal):
    assert refusal(columns(), protected=("sexe",)).startswith(
        "loans.csv: data.protected=sexe: there is no such column; did you mean `sex`?"
    )


@pytest.mark.parametrize("role", ["id", "group", "fold", "time", "weight", "protected"])
def test_the_target_has_no_second_role(refusal, role: str):
    message = refusal(columns(), **{role: ("bad",) if role == "protected" else "bad"})
    assert message == f"loans.csv: data.{role}=bad: the column is the target and cannot be anything else"


def test_what_cannot_be_split_is_named_by_its_file(refusal):
    few = [1, 1, 1] + [0] * (ROWS - 3)
    assert refusal(columns(bad=few)).startswith(
        f"loans.csv: class 1 of the target has 3 of {ROWS} rows, fewer than the 4 parts"
    )
    assert refusal(columns(day=["2020-01-01"] * ROWS), time="day").startswith(
        "loans.csv: `data.time` has 1 distinct times"
    )
    assert refusal(columns(), fold="job").startswith("loans.csv: row 2, `data.fold`: found `clerk`")


def test_columns_with_a_role_are_no_inputs(done):
    values = columns(customer=[f"C{i // 2}" for i in range(ROWS)], w=[1, 2] * (ROWS // 2))
    prepared = done(values, id="loan", group="customer", weight="w", protected=("sex",))
    assert prepared.columns.names == ["income", "job"]
    assert prepared.table.column_names == ["loan", "income", "job", "sex"]  # what reports and predictions show
    assert prepared.facts["protected"] == ["sex"] and prepared.facts["id"] == "loan"


def test_weights_are_those_of_the_file(done):
    weight = np.random.default_rng(0).integers(0, 4, ROWS)
    prepared = done(columns(w=weight), weight="w")
    assert prepared.weight.tolist() == weight.tolist()
    assert np.concatenate([prepared.sample(part).weight for part in range(4)]).sum() == weight.sum()


def test_without_weights_every_row_counts_once(done):
    assert set(done(columns()).weight.tolist()) == {1.0}


@pytest.mark.parametrize(
    ("third", "message"),
    [
        (-2.5, "loans.csv, row 3, column `w`: found `-2.5`, expected a weight of 0 or more"),
        (None, "loans.csv, row 3, column `w`: found nothing, expected a weight of 0 or more"),
    ],
)
def test_a_negative_or_missing_weight_is_refused_by_its_row(refusal, third: float | None, message: str):
    assert refusal(columns(w=[1.0, 2.0, third] + [1.0] * (ROWS - 3)), weight="w") == message


def test_weights_that_are_all_zero_are_refused(refusal):
    assert refusal(columns(w=[0] * ROWS), weight="w") == "loans.csv, column `w`: every weight is 0"


def test_a_weight_that_is_text_is_refused(refusal):
    message = refusal(columns(w=["1", "heavy"] * (ROWS // 2)), weight="w")
    assert message.startswith("loans.csv, row 2, column `w`: found `heavy`, expected a number")


def test_rows_of_one_owner_stay_in_one_part(done):
    owner = np.arange(ROWS) // 4
    part = done(columns(customer=[f"C{i}" for i in owner]), group="customer").part
    assert all(len(set(part[owner == one])) == 1 for one in range(ROWS // 4))


def test_a_fold_column_decides_the_parts(done):
    names = np.random.default_rng(1).choice(PARTS, ROWS, p=[0.4, 0.2, 0.2, 0.2])
    assert [PARTS[part] for part in done(columns(split=names), fold="split").part] == names.tolist()


@pytest.mark.parametrize(
    "days",
    [
        [f"20{10 + i // 100}-01-{1 + i % 28:02}" for i in range(ROWS)],
        [f"20{10 + i // 100}-01-{1 + i % 28:02} 14:00:00" for i in range(ROWS)],
        list(range(ROWS)),
    ],
)
def test_the_oldest_rows_train_and_the_newest_test(done, days: list[object]):
    order = np.random.default_rng(1).permutation(ROWS)
    days = [days[i] for i in order]
    part = done(columns(day=days), time="day").part
    # Cut by the days, in order; the earliest of a part is not before the latest of the one before it.
    inside = [[day for day, at in zip(days, part, strict=True) if at == i] for i in range(len(PARTS))]
    assert all(max(before) < min(after) for before, after in pairwise(inside))


def test_a_time_that_cannot_be_read_is_refused(refusal):
    assert refusal(columns(day=["soon"] * ROWS), time="day") == (
        "loans.csv, column `day`: found `soon`, expected dates such as 2026-03-31 or 2026-03-31 14:00, or numbers"
    )
