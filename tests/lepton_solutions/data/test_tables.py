"""Files of every supported kind come out with the same values, or are refused with the place."""

import gzip
import io
import json
import os
from pathlib import Path

import fsspec
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lepton_solutions.data import tables
from lepton_solutions.data.columns import Column, Columns
from lepton_solutions.data.kinds import infer_kinds
from lepton_solutions.data.tables import read_table, stream_table, table_from_frame
from lepton_solutions.errors import UserError


@pytest.fixture
def write(tmp_path):
    def write(name: str, content: str | bytes) -> str:
        path = tmp_path / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return str(path)

    return write


@pytest.fixture
def stdin(monkeypatch):
    return lambda content: monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(content)))


def refusal(path: str, **options) -> UserError:
    """What reading this file is refused with; the folder is cut from the message."""
    with pytest.raises(UserError) as caught:
        read_table(path, **options)
    return UserError(caught.value.message.replace(f"{Path(path).parent}/", ""), hint=caught.value.hint)


# What is read.


def test_csv_values_stay_text_without_blanks_and_with_missing_ones_null(write):
    path = write("x.csv", 'a,b\n 01 ,"NA"\n?,"x\ny"\n')
    assert read_table(path).to_pydict() == {"a": ["01", None], "b": [None, "x\ny"]}


def test_the_users_own_words_for_missing_hold_in_text_and_in_typed_columns(write, tmp_path):
    path = write("x.csv", "a,b\n-9,none\n3,x\n")
    assert read_table(path, missing=["-9", "none"]).to_pydict() == {"a": [None, "3"], "b": [None, "x"]}
    typed = str(tmp_path / "x.parquet")
    pq.write_table(pa.table({"a": [-9, 3], "b": [-9.0, float("nan")]}), typed)
    assert read_table(typed, missing=["-9"]).to_pydict() == {"a": [None, 3], "b": [None, None]}


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_the_delimiter_is_found(write, delimiter):
    path = write("x.csv", f"a{delimiter}b c\n1.5{delimiter}x, y\n" if delimiter != "," else 'a,b c\n1.5,"x, y"\n')
    assert read_table(path).to_pydict() == {"a": ["1.5"], "b c": ["x, y"]}


def test_a_decimal_comma_and_thousands_become_plain_digits(write):
    path = write("x.csv", "amount;rate;name\n1.234,50;0,5;a\n2,00;3;b.c\n")
    assert read_table(path).to_pydict() == {"amount": ["1234.50", "2.00"], "rate": ["0.5", "3"], "name": ["a", "b.c"]}


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_unicode_is_read_without_being_told(write, encoding):
    assert read_table(write("x.csv", "é,b\nü,1\n".encode(encoding))).to_pydict() == {"é": ["ü"], "b": ["1"]}


def test_another_encoding_is_read_when_told(write):
    path = write("x.csv", "a,b\nü,1\n".encode("latin-1"))
    assert read_table(path, encoding="latin-1").to_pydict() == {"a": ["ü"], "b": ["1"]}


def test_an_unnamed_first_column_gets_a_name(write):
    assert read_table(write("x.csv", ",b\n0,1\n")).column_names == ["unnamed_1", "b"]


def test_an_empty_line_of_a_single_column_is_a_missing_value(write):
    assert read_table(write("x.csv", "age\n1\n\n3\n")).to_pydict() == {"age": ["1", None, "3"]}


def test_json_lines_keep_their_digits_and_may_leave_keys_out(write):
    path = write("x.jsonl", '{"a": 1.50, "b": true}\n\n{"c": "x", "a": NaN}\n')
    assert read_table(path).to_pydict() == {"a": ["1.50", None], "b": ["true", None], "c": [None, "x"]}


def test_parquet_keeps_its_types(tmp_path):
    table = pa.table({"n": [1, None], "t": pa.array([1, 2], pa.timestamp("ms")), "c": [" x ", "NA"]})
    table = table.append_column("d", table["c"].dictionary_encode())
    pq.write_table(table, tmp_path / "x.parquet")
    read = read_table(str(tmp_path / "x.parquet"))
    assert read.schema.types == [pa.int64(), pa.timestamp("ms"), pa.string(), pa.dictionary(pa.int32(), pa.string())]
    assert read["c"].to_pylist() == read["d"].to_pylist() == ["x", None]


@pytest.mark.parametrize("scheme", ["memory://folder/x.csv.gz", "file://{tmp_path}/x.csv.gz"])
def test_urls_and_gzip_are_read_like_plain_files(tmp_path, scheme):
    url = scheme.format(tmp_path=tmp_path)
    with fsspec.open(url, "wb") as file:
        file.write(gzip.compress(b"a,b\n1,2\n"))
    assert read_table(url).to_pydict() == {"a": ["1"], "b": ["2"]}


@pytest.mark.parametrize("content", [b"a,b\n1,x\n", b'{"a": 1, "b": "x"}\n'])
def test_stdin_holds_csv_or_json_lines(stdin, content):
    stdin(content)
    assert read_table("-").to_pydict() == {"a": ["1"], "b": ["x"]}


def test_a_frame_gives_the_values_of_a_file():
    frame = pd.DataFrame({"mixed": [1, "x", None], "number": [1.0, np.nan, 2.0], 7: ["p", " NA ", "q"]})
    frame["whole"] = pd.array([1, None, 2], dtype="Int64")
    frame["level"] = pd.Categorical(["u", None, "v"])
    table = table_from_frame(frame)
    assert table.column_names == ["mixed", "number", "7", "whole", "level"]
    assert [column.to_pylist() for column in table.columns] == [
        ["1", "x", None],
        [1.0, None, 2.0],
        ["p", None, "q"],
        [1, None, 2],
        ["u", None, "v"],
    ]
    assert pa.types.is_dictionary(table.schema.field("level").type)


VALUES = st.fixed_dictionaries(
    {
        "number": st.none() | st.floats(-1e30, 1e30),
        "whole": st.none() | st.integers(-(2**53), 2**53),
        # Without dot and comma: CSV alone writes 1,5 for the number 1.5, so only there is it read as one.
        "word": st.none() | st.text(st.characters(codec="utf-8", exclude_categories=["C"], exclude_characters=".,")),
        "flag": st.none() | st.booleans(),
    }
)
SCHEMA = pa.schema({"number": pa.float64(), "whole": pa.int64(), "word": pa.string(), "flag": pa.bool_()})
NUMBERS = (Column("number", "numeric"), Column("whole", "numeric"))
WORDS = (Column("word", "category", ("0", "1", "a", "b")), Column("flag", "category", ("false", "true")))
COLUMNS = Columns(NUMBERS + WORDS)


@settings(max_examples=50, deadline=None)
@given(st.lists(VALUES, min_size=1, max_size=8))
def test_one_table_encodes_alike_from_every_format(tmp_path_factory, records):
    folder = tmp_path_factory.mktemp("routes")
    table = pa.table({name: [record[name] for record in records] for name in SCHEMA.names}, SCHEMA)
    pa.csv.write_csv(table, folder / "x.csv")
    pq.write_table(table, folder / "x.parquet")
    (folder / "x.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records))
    expected = COLUMNS.encode(table_from_frame(table.to_pandas(types_mapper=pd.ArrowDtype)))
    for name in ["x.csv", "x.parquet", "x.jsonl"]:
        rows = COLUMNS.encode(read_table(str(folder / name)))
        np.testing.assert_array_equal(rows.numeric, expected.numeric, name)
        np.testing.assert_array_equal(rows.codes, expected.codes, name)


@pytest.mark.parametrize("suffix", ["csv", "jsonl", "parquet"])
@pytest.mark.parametrize("batch_rows", [1, 700, 100_000])
def test_a_stream_gives_the_rows_of_the_whole(tmp_path, suffix, batch_rows):
    table = pa.table({"a": [f"{i}.5" for i in range(2000)], "b": [None if i % 3 else "x" for i in range(2000)]})
    path = tmp_path / f"x.{suffix}"
    if suffix == "csv":
        pa.csv.write_csv(table, path)
    elif suffix == "parquet":
        pq.write_table(table, path, row_group_size=300)
    else:
        path.write_text("".join(json.dumps(row) + "\n" for row in table.to_pylist()))
    batches = list(stream_table(str(path), batch_rows=batch_rows))
    assert max(map(len, batches)) <= batch_rows
    assert pa.Table.from_batches(batches).equals(read_table(str(path)))
    assert read_table(str(path)).to_pydict() == table.to_pydict()


def test_a_row_that_spans_two_blocks_is_read_whole(write, monkeypatch):
    monkeypatch.setattr(tables, "_BLOCK", 64)
    lines = [f'{i},"ü{i}\n"' for i in range(500)]
    read = read_table(write("x.csv", "a,b\n" + "\n".join(lines)))
    assert read.to_pydict() == {"a": [str(i) for i in range(500)], "b": [f"ü{i}" for i in range(500)]}


@pytest.mark.skipif("LEPTON_DATA" not in os.environ, reason="Give Me Some Credit is not in LEPTON_DATA")
def test_give_me_some_credit_has_its_published_rows_and_gaps():
    table = read_table(f"{os.environ['LEPTON_DATA']}/give_me_some_credit/cs-training.csv.gz")
    kinds = infer_kinds(table, skip=["SeriousDlqin2yrs"])
    numbers = kinds.columns.encode(table).numeric
    missing = dict(zip(kinds.columns.names, np.isnan(numbers).sum(0).tolist(), strict=True))
    # DATA.md of the data folder: 150,000 rows, 10 features, 29,731 and 3,924 missing; the first column is a row number.
    assert numbers.shape == (150_000, 10)
    gaps = {name: count for name, count in missing.items() if count}
    assert gaps == {"MonthlyIncome": 29_731, "NumberOfDependents": 3_924}
    assert list(kinds.ignored) == ["unnamed_1"]


# What is refused.


EMPTY, NO_ROWS = ": the file is empty, expected a header and rows", ": found no rows, expected at least one"
OPEN_QUOTE = "found a quote that is never closed, expected its pair"
NESTED = "found a nested value, expected text or a number"
OBJECT = "expected a JSON object with each key once"
SUFFIXES = ".csv, .tsv, .txt, .parquet, .pq, .jsonl, .ndjson, .json"


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("x.csv", "", EMPTY),
        ("x.csv", "\n\n", EMPTY),
        ("x.csv", "a,b\n", NO_ROWS),
        ("x.csv", "a,b", NO_ROWS),
        ("x.csv", "a,b\n\n\n", NO_ROWS),
        ("x.jsonl", "\n", NO_ROWS),
        ("x.csv", "a,b,a\n1,2,3\n", ": found more than one column named `a`, expected each name once"),
        ("x.csv", "a,,c\n1,2,3\n", ": column 2 of 3 has no name in the header"),
        ("x.csv", "a,b\n1,2\n3\n", ", row 2: found 1 field, expected 2"),
        ("x.csv", "a,b\n1,2\n3,4,5\n", ", row 2: found 3 fields, expected 2"),
        ("x.csv", 'a,b\n1,2\n3,"4\n5,6\n', f", row 2 or after: {OPEN_QUOTE}"),
        ("x.csv", 'a,b\n1,"2\n3,"4"\n5,6\n', f", row 1 or after: {OPEN_QUOTE}"),
        ("x.csv", b"a,b\n1,2\n\xfc,3\n", ", line 3: found the byte 0xFC, expected utf-8 text"),
        ("x.csv", "a,b\n1,x\n".encode("utf-16-le"), ", line 1: found the byte 0x00, expected text"),
        ("x.jsonl", '{"a":1}\n{"a":\n', ', line 2: found `{"a":`, ' + OBJECT),
        ("x.jsonl", '{"a":1,"a":2}\n', ', line 1: found `{"a":1,"a":2}`, ' + OBJECT),
        ("x.json", '[{"a":1}]', ', line 1: found `[{"a":1}]`, ' + OBJECT),
        ("x.jsonl", '{"a":1}\n{"a":[1]}\n', f", line 2, column `a`: {NESTED}"),
        ("x.jsonl", '{"a":{"b":1}}\n', f", line 1, column `a`: {NESTED}"),
        ("x.jsonl", '{"a":"\\ud800"}\n', ", line 1 or after, column `a`: found half a character"),
        ("x.parquet", b"", ": the Parquet file is cut off or damaged: Parquet file size is 0 bytes"),
        ("x", "a,b", f": found no suffix, expected {SUFFIXES}"),
        ("x.xlsx", b"PK", f": found the suffix `.xlsx`, expected {SUFFIXES}"),
    ],
)
def test_what_cannot_be_read_for_certain_is_refused_with_its_place(write, name, content, message):
    assert refusal(write(name, content)).message == name + message


def test_a_byte_of_another_encoding_comes_with_the_setting_that_reads_it(write):
    hint = refusal(write("x.csv", b"a,b\n1,\xfc\n")).hint
    assert hint is not None and "data.encoding=latin-1" in hint


def test_an_unknown_encoding_is_refused(write):
    message = "data.encoding: found `latin-x`, expected an encoding such as utf-8 or latin-1"
    assert refusal(write("x.csv", "a\n1\n"), encoding="latin-x").message == message


def test_a_key_that_comes_late_is_refused_rather_than_dropped(write, monkeypatch):
    monkeypatch.setattr(tables, "_LINES", 2)
    message = "x.jsonl, line 3: found the key `b` only after 2 lines"
    assert refusal(write("x.jsonl", '{"a":1}\n{"a":2}\n{"a":3,"b":1}\n')).message == message


def test_a_gzip_file_that_is_cut_off_is_refused(write):
    whole = gzip.compress(b"a,b\n" + b"".join(b"%d,%d\n" % (i, i * i) for i in range(1000)))
    message = refusal(write("x.csv.gz", whole[: len(whole) // 2])).message
    assert message.startswith("x.csv.gz: cannot be read to its end: Compressed file ended")


@pytest.mark.parametrize("damage", [slice(None, 500), slice(500, None)])
def test_a_parquet_file_that_is_cut_off_is_refused(write, tmp_path, damage):
    pq.write_table(pa.table({"a": range(1000)}), tmp_path / "whole.parquet")
    cut = (tmp_path / "whole.parquet").read_bytes()[damage]
    assert refusal(write("x.parquet", cut)).message.startswith("x.parquet: the Parquet file is cut off or damaged: ")


def test_a_parquet_file_without_rows_or_with_doubled_names_is_refused(tmp_path):
    path = str(tmp_path / "x.parquet")
    pq.write_table(pa.table({"a": pa.array([], pa.int64())}), path)
    assert refusal(path).message == "x.parquet: found no rows, expected at least one"
    pq.write_table(pa.Table.from_arrays([pa.array([1]), pa.array([2])], names=["a", "a"]), path)
    assert refusal(path).message == "x.parquet: found more than one column named `a`, expected each name once"


def test_a_missing_file_offers_the_nearest_in_its_folder(write):
    write("loans.csv", "a\n1\n")
    path = write("notes.md", "").replace("notes.md", "loan.csv")
    assert refusal(path).message == "loan.csv: there is no such file; did you mean `loans.csv`?"
    assert refusal(path.replace("loan.csv", "nowhere/loan.csv")).message == "loan.csv: there is no such file"


def test_a_folder_is_refused_with_the_files_it_holds(write, tmp_path):
    write("loans.csv", "a\n1\n")
    error = refusal(str(tmp_path))
    assert error.message == f"{tmp_path.name}: found a folder, expected a file"
    assert error.hint == "it holds loans.csv"


def test_an_unknown_kind_of_url_is_refused():
    assert refusal("s4://x/y.csv").message.endswith("y.csv: cannot be opened: Protocol not known: s4")


def test_a_frame_with_two_columns_of_one_name_is_refused():
    with pytest.raises(UserError, match="X: found more than one column named `1`"):
        table_from_frame(pd.DataFrame([[1, 2]], columns=[1, "1"]), where="X")
