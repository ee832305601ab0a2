"""Ranges of Parquet rows equal the table, whatever the row groups; and what is said of columns that do not fit."""

from decimal import Decimal
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lepton_solutions.data.parquet import PARTS_OF_A_GROUP, ParquetRows
from lepton_solutions.errors import UserError
from lepton_solutions.places import data_root

DRAWN = np.random.default_rng(0)
TABLE = pa.table(
    {
        "age": pa.array([None if i % 7 == 0 else i for i in range(100)], pa.int16()),
        "pay.0": DRAWN.normal(size=100),
        "share": pa.array(DRAWN.normal(size=100), pa.float16()),
        "owner": [None if i % 5 == 0 else i % 2 == 0 for i in range(100)],
        "price": pa.array([Decimal(i) / 4 for i in range(100)], pa.decimal128(9, 2)),
        "empty": pa.nulls(100, pa.float64()),
        "label": pa.array(np.arange(100) % 3, pa.int8()),
        "weight": np.arange(100) / 50,
    }
)
EXPECTED = np.stack(
    [np.array([np.nan if v is None else float(v) for v in TABLE[name].to_pylist()]) for name in TABLE.column_names[:6]],
    axis=1,
).astype(np.float32)


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """The same rows in one row group, in many, and in two files."""
    folder = tmp_path_factory.mktemp("tables")
    pq.write_table(TABLE, folder / "one.parquet")
    pq.write_table(TABLE, folder / "many.parquet", row_group_size=7)
    (folder / "split").mkdir()
    pq.write_table(TABLE.slice(0, 40), folder / "split" / "a.parquet", row_group_size=30)
    pq.write_table(TABLE.slice(40), folder / "split" / "b.parquet")
    return folder


@given(name=st.sampled_from(["one.parquet", "many.parquet", "split"]), start=st.integers(0, 99), data=st.data())
@settings(deadline=None, max_examples=60)
def test_any_range_equals_the_rows_of_the_table(files, name, start, data):
    stop = data.draw(st.integers(start + 1, 100))
    rows = ParquetRows(files / name, "label", weight="weight")
    piece = rows.read(start, stop)
    assert rows.inputs == ("age", "pay.0", "share", "owner", "price", "empty")
    np.testing.assert_array_equal(piece.inputs[0], EXPECTED[start:stop])
    np.testing.assert_array_equal(piece.target, np.arange(start, stop) % 3)
    np.testing.assert_allclose(piece.weight, np.arange(start, stop) / 50, rtol=1e-6)
    for label, expected in zip(rows.labels(start, stop), piece[1:], strict=True):
        np.testing.assert_array_equal(label, expected)
    assert (piece.target.dtype, piece.weight.dtype) == (np.int64, np.float32)


def test_a_real_table_comes_back_whole(tmp_path):
    source = data_root() / "uci_default_credit_card" / "UCI_Credit_Card.csv.gz"
    if not source.is_file():
        pytest.skip("uci_default_credit_card is not in the data root")
    table = pyarrow.csv.read_csv(source)
    pq.write_table(table, tmp_path / "credit.parquet", row_group_size=8_000)
    target = table.column_names[-1]
    rows = ParquetRows(tmp_path / "credit.parquet", target)
    cuts = rows.cuts(5_000)
    assert cuts[-1] == rows.rows == 30_000
    pieces = [rows.read(start, stop) for start, stop in pairwise(cuts)]
    expected = np.stack([column.to_numpy() for column in table.columns[:-1]], axis=1).astype(np.float32)
    assert np.array_equal(np.concatenate([piece.inputs[0] for piece in pieces]), expected)
    assert np.array_equal(np.concatenate([piece.target for piece in pieces]), table[target].to_numpy())


@pytest.mark.parametrize("most", [1, 7, 30, 1_000])
def test_cuts_fall_on_row_groups_and_part_large_ones_a_few_times(files, most):
    for name, groups in (("one.parquet", [0, 100]), ("split", [0, 30, 40, 100])):
        cuts = ParquetRows(files / name, "label").cuts(most)
        assert set(groups) <= set(cuts.tolist())
        assert (np.diff(cuts) > 0).all()
        assert len(cuts) <= 1 + PARTS_OF_A_GROUP * (len(groups) - 1)


def test_fractions_are_a_target_of_fractions(files):
    piece = ParquetRows(files / "one.parquet", "pay.0", inputs=("price", "age")).read(0, 100)
    assert piece.target.dtype == np.float32
    np.testing.assert_array_equal(piece.inputs[0], EXPECTED[:, [4, 0]])


def test_a_row_takes_as_many_bytes_as_it_says(files):
    rows = ParquetRows(files / "one.parquet", "label", weight="weight")
    piece = rows.read(0, 100)
    assert rows.row_bytes * 100 == piece.inputs[0].nbytes + piece.target.nbytes + piece.weight.nbytes


def test_an_absent_column_is_answered_with_the_nearest(files):
    with pytest.raises(UserError, match=r"one\.parquet: found no column `labl`; did you mean `label`\?"):
        ParquetRows(files / "one.parquet", "labl")
    with pytest.raises(UserError, match=r"found no column `pay\.1`; did you mean `pay\.0`\?"):
        ParquetRows(files / "one.parquet", "label", inputs=("pay.1",))


def test_files_of_a_folder_must_hold_the_same_columns(tmp_path):
    pq.write_table(TABLE, tmp_path / "a.parquet")
    pq.write_table(TABLE.drop_columns(["age"]), tmp_path / "b.parquet")
    with pytest.raises(UserError, match=r"b\.parquet: found no column `age`"):
        ParquetRows(tmp_path, "label")


@pytest.mark.parametrize("values", [["north", "south"], [[1.0], [2.0]]])
def test_a_column_that_holds_no_numbers_is_named(tmp_path, values):
    pq.write_table(pa.table({"region": values, "label": [0, 1]}), tmp_path / "a.parquet")
    with pytest.raises(UserError, match=r"a\.parquet, column `region`: found values of type .*, expected numbers"):
        ParquetRows(tmp_path / "a.parquet", "label")


def test_a_missing_target_is_named_with_its_row(tmp_path):
    for name, labels in (("a", [0, 1, 0]), ("b", [1, None, 0])):
        table = pa.table({"x": [1.0, 2.0, 3.0], "label": pa.array(labels, pa.int64())})
        pq.write_table(table, tmp_path / f"{name}.parquet")
    with pytest.raises(UserError, match=r"b\.parquet, row 1, column `label`: the target is missing"):
        ParquetRows(tmp_path, "label").read(0, 6)


def test_what_is_no_parquet_or_holds_nothing_is_said_to_be_so(tmp_path):
    with pytest.raises(UserError, match=r"found no \.parquet file in this folder"):
        ParquetRows(tmp_path, "label")
    (tmp_path / "a.parquet").write_text("a,b\n1,2\n")
    with pytest.raises(UserError, match=r"a\.parquet: cannot be read as Parquet"):
        ParquetRows(tmp_path / "a.parquet", "label")
    with pytest.raises(UserError, match=r"nowhere\.parquet: cannot be read as Parquet"):
        ParquetRows(tmp_path / "nowhere.parquet", "label")
    pq.write_table(TABLE.slice(0, 0), tmp_path / "a.parquet")
    with pytest.raises(UserError, match="found no rows"):
        ParquetRows(tmp_path / "a.parquet", "label")
