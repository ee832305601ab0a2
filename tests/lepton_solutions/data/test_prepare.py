"""From a file to rows that can be trained on: target, parts, samples; and what each mistake is answered with."""

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from loan_rows import BASE, ROWS, columns

from lepton_solutions.data.columns import Column
from lepton_solutions.data.prepare import Prepared, load, read_target
from lepton_solutions.data.splits import PARTS, TEST, TRAIN
from lepton_solutions.errors import UserError
from lepton_solutions.settings import Table


def words(values: object, yes: str, no: str) -> list[str]:
    return [yes if value else no for value in values]  # type: ignore[attr-defined]


# -- target -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("values", "positive", "why"),
    [
        (["0", "1", "1"], "1", ""),
        (["yes", "no", "yes"], "yes", ""),
        (["False", "True", "True"], "true", ""),
        (["1", "2", "1"], "2", ", the rarer value"),
        (["good", "bad", "bad"], "bad", ""),
        (["late", "early", "early"], "late", ", the rarer value"),
        (["true", "yes", "yes"], "true", ", the rarer value"),
    ],
)
def test_the_positive_value_is_found_and_that_is_said(values: list[str], positive: str, why: str):
    target, found, negative, notes = read_target(pa.table({"y": values}), "y", None, where="a.csv")
    assert found == positive and {found, negative} == {value.lower() for value in values}
    assert target.tolist() == [int(value.casefold() == positive) for value in values]
    assert notes == [f"positive is `y` = `{positive}`{why}; data.positive=VALUE sets it"]


@pytest.mark.parametrize(("asked", "kind"), [("no", "text"), (0, "number"), (False, "truth"), ("0", "number")])
def test_what_is_asked_for_is_positive(done, asked: object, kind: str):
    bad = columns()["bad"]
    values = {"text": words(bad, "yes", "no"), "number": bad, "truth": [bool(value) for value in bad]}[kind]
    prepared = done(columns(bad=values), positive=asked)
    assert prepared.target.tolist() == [int(not value) for value in bad]
    assert prepared.facts["positive"] == str(asked).lower()
    assert not any("positive is" in note for note in prepared.facts["notes"])


def test_a_positive_value_that_is_none_is_refused(refusal):
    assert refusal(columns(), positive="maybe") == (
        "loans.csv: data.positive=maybe is no value of `bad`, which holds `0` and `1`"
    )


@pytest.mark.parametrize(
    ("values", "found"),
    [
        (["a", "b", "c"] * 100, "3 values (`a`, `b`, `c`)"),
        ([1] * 300, "1 value (`1`)"),
        ([str(i) for i in range(300)], "300 values (`0`, `1`, `10`, `100`, `101`, `102`, ...)"),
        ([None] * 300, "0 values (none)"),
    ],
)
def test_a_target_without_two_values_is_refused(refusal, values: list[object], found: str):
    message = refusal({"x": list(range(300)), "z": [1, 2, 3] * 100, "bad": values})
    assert message.startswith(f"loans.csv, column `bad`: found {found}, expected a target with two\n\nhint: ")


def test_rows_without_a_target_are_left_out_and_counted(done):
    bad = [None if i % 10 == 0 else value for i, value in enumerate(columns()["bad"])]
    prepared = done(columns(bad=bad), id="loan")
    assert len(prepared.target) == len(prepared.table) == ROWS - 40
    assert "40 rows without a `bad` were left out" in prepared.facts["notes"]
    kept = {name: value for name, value in zip(columns()["loan"], bad, strict=True) if value is not None}
    found = dict(zip(prepared.table.column("loan").to_pylist(), prepared.target.tolist(), strict=True))
    assert found == kept


def test_a_message_counts_rows_as_the_file_does_though_some_have_no_target(refusal):
    bad = [None, None, *columns()["bad"][2:]]
    income = [*map(str, columns()["income"][:9]), "lots", *map(str, columns()["income"][10:])]
    assert refusal(columns(bad=bad, income=income)).startswith("loans.csv, row 10, column `income`: found `lots`")
    weight = [1.0] * 9 + [-1.0] * (ROWS - 9)
    assert refusal(columns(bad=bad, w=weight), weight="w").startswith("loans.csv, row 10, column `w`: found `-1`")


def test_the_target_has_to_be_named(tmp_path: Path):
    (tmp_path / "a.csv").write_text("x,y\n1,2\n")
    with pytest.raises(UserError) as refused:
        load(Table(**BASE | {"path": str(tmp_path / "a.csv"), "target": None}))
    assert refused.value.message == f"{tmp_path / 'a.csv'}: which column is learned?"
    assert refused.value.hint == "data.target=COLUMN; columns: x, y"


def test_a_source_that_gives_no_data_set_is_refused():
    with pytest.raises(UserError, match=r"^data\.source: `os\.getcwd` gives a str, expected a Dataset$"):
        load(Table(**BASE | {"source": {"_target_": "os.getcwd"}, "path": None, "target": None}))


# -- rows ---------------------------------------------------------------------------------------------------------


def test_parts_follow_the_shares_and_the_seed(done):
    one, again, other = done(columns()), done(columns()), done(columns(), seed=1)
    np.testing.assert_array_equal(one.part, again.part)
    assert (one.part != other.part).any()
    np.testing.assert_allclose(np.bincount(one.part) / ROWS, [0.6, 0.1, 0.1, 0.2], atol=0.01)
    assert one.facts["parts"] == {
        name: {"rows": int((one.part == i).sum()), "positives": int(one.target[one.part == i].sum())}
        for i, name in enumerate(PARTS)
    }


def test_identical_rows_stay_together(done):
    half = {name: list(values)[: ROWS // 2] * 2 for name, values in columns(loan=None).items()}
    part = done(half).part
    np.testing.assert_array_equal(part[: ROWS // 2], part[ROWS // 2 :])


def test_levels_are_learned_from_the_train_part_alone(done):
    names = ["train", "validation", "calibration", "test"] * (ROWS // 4)
    jobs = ["astronaut" if name == "test" and i % 3 == 0 else "cook" for i, name in enumerate(names)]
    jobs[0] = "clerk"
    prepared = done(columns(job=jobs, split=names), fold="split")
    (job,) = [column for column in prepared.columns.columns if column.name == "job"]
    assert job == Column("job", "category", ("clerk", "cook"))
    place = [column.name for column in prepared.columns.categories].index("job")
    codes = prepared.sample(TEST).rows.codes[:, place]
    assert set(codes.tolist()) == {0, 3}  # unseen; the second level


def test_a_wholly_missing_column_is_left_out_and_reported(done):
    prepared = done(columns(fax=[None] * ROWS))
    assert "fax" not in prepared.columns.names
    assert prepared.facts["ignored"]["fax"] == "wholly missing"


def test_kinds_can_be_set(done):
    prepared = done(columns(zip=[100 + i % 7 for i in range(ROWS)]), kinds={"zip": "category", "job": "ignore"})
    assert {column.name: column.kind for column in prepared.columns.columns}["zip"] == "category"
    assert prepared.facts["ignored"]["job"] == "ignored by the config"


def test_words_for_missing_are_kept_for_serving(done):
    jobs = ["unknown" if i % 5 == 0 else job for i, job in enumerate(columns()["job"])]
    prepared = done(columns(job=jobs), missing=("unknown",))
    assert prepared.inputs()["missing"] == ["unknown"]
    assert prepared.table.column("job").null_count == ROWS // 5


def test_nothing_left_to_learn_from_is_refused(refusal):
    message = refusal({"same": [1] * ROWS, "bad": columns()["bad"]})
    assert message == (
        "loans.csv: found no column to learn from, expected at least one\n\nhint: `same`: constant: every row holds `1`"
    )


def test_samples_are_the_rows_of_their_part(done):
    prepared = done(columns(), id="loan")
    for part in range(len(PARTS)):
        sample, raw = prepared.sample(part), prepared.raw(part)
        assert len(sample) == len(raw) == (prepared.part == part).sum()
        income = prepared.columns.names.index("income")
        expected = pc.cast(raw.column("income"), pa.float32()).to_numpy()
        np.testing.assert_array_equal(sample.rows.numeric[:, income], expected)


def test_what_was_prepared_survives_the_run_folder(done, tmp_path: Path):
    made = done(columns(w=[1, 2] * (ROWS // 2)), id="loan", weight="w", protected=("sex",))
    made.write(tmp_path)
    read = Prepared.read(tmp_path)
    assert (read.columns, read.findings) == (made.columns, made.findings)
    assert read.facts == json.loads(json.dumps(made.facts))
    for one, other in ((read.target, made.target), (read.weight, made.weight), (read.part, made.part)):
        np.testing.assert_array_equal(one, other)
    np.testing.assert_array_equal(read.sample(TRAIN).rows.codes, made.sample(TRAIN).rows.codes)
    assert read.table.equals(made.table)
