"""The predictor answers as the trained model did, from raw records, with few packages."""

import json
import math
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lepton_solutions import Predictor, UserError
from lepton_solutions.data.prepare import Prepared
from lepton_solutions.data.splits import TEST
from lepton_solutions.deploy.predictor import table_of

HEAVY = ("torch", "pandas", "sklearn", "lightgbm", "monai", "optbinning", "matplotlib")


@pytest.fixture(scope="module")
def predictor(run_folder: Path) -> Predictor:
    return Predictor.open(run_folder)


@pytest.fixture(scope="module")
def tested(run_folder: Path) -> pa.Table:
    """The raw rows of the test part."""
    return Prepared.read(run_folder).raw(TEST)


def modules_after(code: str) -> set[str]:
    done = subprocess.run(
        [sys.executable, "-c", f"{code}\nimport sys; print(*sys.modules)"], capture_output=True, text=True, check=True
    )
    return {name.split(".")[0] for name in done.stdout.splitlines()[-1].split()}


def test_opening_imports_none_of_the_training_packages(run_folder: Path):
    code = f"from lepton_solutions import Predictor\nPredictor.open({str(run_folder)!r})"
    assert not modules_after(code) & set(HEAVY)


def test_scoring_a_file_imports_none_of_the_training_packages(run_folder: Path, tested: pa.Table, tmp_path: Path):
    pq.write_table(tested, tmp_path / "rows.parquet")
    code = (
        "from lepton_solutions.cli import lepton\n"
        f"lepton(['predict', {str(run_folder)!r}, {str(tmp_path / 'rows.parquet')!r}, '-o', "
        f"{str(tmp_path / 'scored.csv')!r}], standalone_mode=False)"
    )
    # pyarrow looks for pandas by importing it, where it is installed; the test below does without.
    assert not modules_after(code) & set(HEAVY) - {"pandas"}


def test_the_predictor_works_where_none_of_the_training_packages_is_installed(run_folder: Path, tested: pa.Table):
    record = tested.slice(0, 1).to_pylist()[0]
    code = (
        "import sys, json\nclass Absent:\n def find_spec(self, name, path=None, target=None):\n"
        f"  if name.split('.')[0] in {HEAVY!r}: raise ModuleNotFoundError(name)\nsys.meta_path.insert(0, Absent())\n"
        f"from lepton_solutions import Predictor; answer = Predictor.open({str(run_folder)!r}).decide([{record!r}])\n"
        "print(json.dumps(answer))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == Predictor.open(run_folder).decide([record])


def test_probabilities_are_those_of_the_trained_model(predictor: Predictor, tested: pa.Table, run_folder: Path):
    trained = pq.read_table(run_folder / "predictions.parquet").column("trained").to_numpy()
    found = [answer["probability"] for answer in predictor.decide(tested)]
    np.testing.assert_allclose(found, trained, atol=1e-5, rtol=0)  # the stated parity


def test_decisions_are_those_of_the_threshold(predictor: Predictor, tested: pa.Table, run_folder: Path):
    threshold = json.loads((run_folder / "bundle" / "decision.json").read_text())["threshold"]
    assert threshold == pytest.approx(1 / 6)  # costs of 1 and 5
    for answer in predictor.decide(tested):
        assert answer["decision"] == ("refuse" if answer["probability"] >= threshold else "approve")


def test_records_and_a_table_are_decided_alike(predictor: Predictor, tested: pa.Table):
    rows = tested.slice(0, 20)
    assert predictor.decide(rows.to_pylist()) == predictor.decide(rows)


def test_one_record_is_decided_as_among_others(predictor: Predictor, tested: pa.Table):
    records = tested.slice(0, 20).to_pylist()
    together = [answer["probability"] for answer in predictor.decide(records)]
    alone = [predictor.decide([record])[0]["probability"] for record in records]
    np.testing.assert_allclose(alone, together, atol=1e-6)  # float32 sums in another order


def test_numbers_may_be_numbers_or_text(predictor: Predictor, tested: pa.Table):
    record = tested.slice(0, 1).to_pylist()[0]
    as_numbers = record | {"amount": int(record["amount"]), "duration": float(record["duration"])}
    assert predictor.decide([as_numbers]) == predictor.decide([record])
    mixed = predictor.decide([as_numbers, record])
    assert mixed[0] == mixed[1]


@pytest.mark.parametrize("nothing", [None, math.nan, "", "NA"])
def test_a_missing_value_is_missing_however_it_is_written(predictor: Predictor, tested: pa.Table, nothing: object):
    record = tested.slice(0, 1).to_pylist()[0]
    left_out = {key: value for key, value in record.items() if key != "amount"}
    (expected,) = predictor.decide([record | {"amount": None}])
    (found,) = predictor.decide([record | {"amount": nothing}])
    assert found == expected
    first, second = predictor.decide([record, left_out])  # the key may be absent where another record has it
    assert second["probability"] == pytest.approx(expected["probability"], abs=1e-6)
    assert first != second


def test_an_unseen_category_and_a_further_key_are_scored(predictor: Predictor, tested: pa.Table):
    record = tested.slice(0, 1).to_pylist()[0]
    (answer,) = predictor.decide([record | {"purpose": "A49x", "shoe_size": 43}])
    assert 0 < answer["probability"] < 1
    assert answer == predictor.decide([record | {"purpose": "moon trip"}])[0]


@pytest.mark.parametrize("id", [2**60 + 1, 2**64 + 1])
def test_an_id_of_many_digits_keeps_them(id: int):
    column = table_of([{"id": id}, {"id": None}], missing=("-1",)).column("id")
    assert [None if value is None else str(value) for value in column.to_pylist()] == [str(id), None]


def test_no_records_no_answers(predictor: Predictor):
    assert predictor.decide([]) == []


def test_a_column_that_no_record_has_is_refused_with_the_nearest(predictor: Predictor, tested: pa.Table):
    record = tested.slice(0, 1).to_pylist()[0]
    record["ammount"] = record.pop("amount")
    with pytest.raises(UserError, match="the records: column `amount` is absent; did you mean `ammount`"):
        predictor.decide([record])


def test_records_of_something_else_are_refused(predictor: Predictor):
    with pytest.raises(UserError, match="the records hold none of the model's columns, such as `checking_account`"):
        predictor.decide([{"pixels": 3}])


def test_text_where_a_number_belongs_is_refused_with_its_row(predictor: Predictor, tested: pa.Table):
    records = tested.slice(0, 3).to_pylist()
    records[1]["amount"] = "plenty"
    message = "the records, row 2, column `amount`: found `plenty`, expected a number"
    with pytest.raises(UserError, match=message):
        predictor.decide(records)
