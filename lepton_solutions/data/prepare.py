"""From a file or a source to rows that can be trained on: target, weights, parts, columns, and the audit of all that.

What is learned about the columns here (levels of a category) comes from the train part alone.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from lepton_solutions.data.audit import audit
from lepton_solutions.data.columns import Columns, Rows, as_number, as_text
from lepton_solutions.data.findings import Finding
from lepton_solutions.data.kinds import fit_levels, infer_kinds
from lepton_solutions.data.sources import Dataset
from lepton_solutions.data.splits import PARTS, TRAIN, row_codes, split
from lepton_solutions.data.tables import read_table
from lepton_solutions.errors import UserError, did_you_mean
from lepton_solutions.settings import Audit, Table

# Values of a two-valued target that mean "the event happened", when the user did not say which one does.
EVENT_WORDS = ("1", "true", "yes", "y", "t", "bad", "default", "defaulted", "positive")
_TARGET, _WEIGHT, _PART = "__target__", "__weight__", "__part__"


@dataclass(frozen=True)
class Sample:
    """Rows with what is known about them: target int8 [n], 0 or 1; weight float64 [n], 0 or more."""

    rows: Rows
    target: np.ndarray
    weight: np.ndarray

    def __len__(self) -> int:
        return len(self.target)

    def take(self, which: np.ndarray) -> "Sample":
        """The rows at these positions, or where this mask is true."""
        return Sample(self.rows.take(which), self.target[which], self.weight[which])


@dataclass(frozen=True)
class Prepared:
    """All rows of a run. table: the columns as they were read; target, weight, part: [n], part an index into `PARTS`.

    facts: what the report and the card say about the data, as JSON. findings: of the audit.
    """

    table: pa.Table
    columns: Columns
    target: np.ndarray
    weight: np.ndarray
    part: np.ndarray
    facts: dict[str, Any]
    findings: list[Finding]

    @property
    def protected(self) -> list[str]:
        """Columns that must not decide."""
        found = self.facts["protected"]
        assert isinstance(found, list)
        return found

    @property
    def meanings(self) -> dict[str, str]:
        """What columns and, as `column=level`, their codes mean."""
        found = self.facts["meanings"]
        assert isinstance(found, dict)
        return found

    def sample(self, part: int) -> Sample:
        """The encoded rows of one part."""
        mask = self.part == part
        rows = self.columns.encode(self.raw(part), where=str(self.facts["source"]))
        return Sample(rows, self.target[mask], self.weight[mask])

    def raw(self, part: int) -> pa.Table:
        """The rows of one part as they were read."""
        return self.table.filter(pa.array(self.part == part))

    def inputs(self) -> dict[str, object]:
        """`inputs.json` of a bundle: what turns raw rows into the model's numbers and codes."""
        return {"columns": self.columns.to_json(), "id": self.facts["id"], "missing": self.facts["missing"]}

    def write(self, out: Path) -> None:
        """`rows.parquet`, `columns.json`, `data.json` and `audit.json` in a folder."""
        extra = {_TARGET: pa.array(self.target), _WEIGHT: pa.array(self.weight), _PART: pa.array(self.part)}
        table = self.table
        for name, values in extra.items():
            table = table.append_column(name, values)
        pq.write_table(table, out / "rows.parquet")
        (out / "columns.json").write_text(json.dumps(self.columns.to_json(), indent=1), encoding="utf-8")
        (out / "data.json").write_text(json.dumps(self.facts, indent=1), encoding="utf-8")
        findings = [finding.to_json() for finding in self.findings]
        (out / "audit.json").write_text(json.dumps(findings, indent=1), encoding="utf-8")

    @classmethod
    def read(cls, run: Path) -> "Prepared":
        """The inverse of `write`."""
        table = pq.read_table(run / "rows.parquet")
        return cls(
            table.drop_columns([_TARGET, _WEIGHT, _PART]),
            Columns.from_json(json.loads((run / "columns.json").read_text(encoding="utf-8"))),
            target=table.column(_TARGET).to_numpy(),
            weight=table.column(_WEIGHT).to_numpy(),
            part=table.column(_PART).to_numpy(),
            facts=json.loads((run / "data.json").read_text(encoding="utf-8")),
            findings=[Finding.from_json(f) for f in json.loads((run / "audit.json").read_text(encoding="utf-8"))],
        )


def load(data: Table) -> Dataset:
    """The rows that `data` names: the user's file, else the source. Raises UserError for what cannot be read."""
    if data.path is None:
        found = data.source.resolve()()
        if not isinstance(found, Dataset):
            raise UserError(f"data.source: `{data.source.target}` gives a {type(found).__name__}, expected a Dataset")
        return found
    rows = read_table(data.path, encoding=data.encoding, missing=data.missing)
    if data.target is None:
        raise UserError(f"{data.path}: which column is learned?", hint=f"data.target=COLUMN; {_columns(rows)}")
    return Dataset(rows, name=data.path)


def prepare(data: Table, strict: Audit, *, seed: int) -> Prepared:
    """Read, check, split and audit. Raises UserError for every mistake in the file or the keys, and a failing audit
    is left to the caller, who has somewhere to write it.
    """
    dataset = load(data)
    table, where = dataset.rows, dataset.name
    name = data.target or dataset.target
    assert name is not None
    protected = dataset.protected if data.protected is None else data.protected
    roles = {
        "target": name,
        "id": data.id,
        "group": data.group,
        "fold": data.fold,
        "time": data.time,
        "weight": data.weight,
    }
    for key, column in [*roles.items(), *(("protected", column) for column in protected)]:
        if column is not None and column not in table.column_names:
            raise UserError(
                f"{where}: data.{key}={column}: there is no such column; {did_you_mean(column, table.column_names)}",
                hint=_columns(table),
            )
    if taken := {_TARGET, _WEIGHT, _PART} & set(table.column_names):
        raise UserError(f"{where}: the column name `{min(taken)}` is reserved", hint="give the column another name")
    for key, column in [*list(roles.items())[1:], *(("protected", column) for column in protected)]:
        if column == name:
            raise UserError(f"{where}: data.{key}={column}: the column is the target and cannot be anything else")
    asked = dataset.positive if data.positive is None else data.positive  # 0 and false are values too
    target, positive, negative, notes = read_target(table, name, asked, where=where)
    # Before rows are left out, so that a message counts rows as the file does.
    weight = _weights(table, data.weight, target >= 0, where=where)
    skip = {column for column in roles.values() if column is not None} | set(protected)
    kinds = infer_kinds(table, overrides=data.kinds, skip=skip, where=where)
    known = target >= 0
    if not known.all():
        notes.append(f"{int((~known).sum())} rows without a `{name}` were left out")
        table, target, weight = table.filter(pa.array(known)), target[known], weight[known]
    whole = fit_levels(kinds, table).columns  # every value has its own code: for the search of twins and giveaways only
    rows = whole.encode(table, where=where)
    keys = {column: column_codes(table, column) for column in (data.group, data.id) if column is not None}
    time = None if data.time is None else column_times(table, data.time, where=where)
    try:
        part = split(
            target,
            shares=data.parts,
            generator=np.random.default_rng([seed, 0]),
            groups=next(iter(keys.values()), None),
            time=time,
            fold=None if data.fold is None else as_text(table.column(data.fold)).to_numpy(zero_copy_only=False),
            twins=row_codes(rows.numeric, rows.codes),
        )
    except UserError as error:
        raise UserError(f"{where}: {error.message}", hint=error.hint) from error
    findings = audit(
        rows,
        whole,
        target,
        target_name=name,
        classes=(negative, positive),
        parts=part,
        cut="given" if data.fold else "time" if data.time else "shuffled",
        keys=keys,
        time=time,
        duplicates=strict.duplicates,
    )
    kinds = fit_levels(kinds, table.filter(pa.array(part == TRAIN)))
    columns = kinds.columns
    if not columns.columns:
        left_out = "; ".join(f"{column}: {reason}" for column, reason in kinds.ignored.items())
        raise UserError(f"{where}: no column is left to learn from", hint=left_out or None)
    keep = [column for column in table.column_names if column in {*columns.names, *protected, data.id}]
    facts: dict[str, object] = {
        "source": where,
        "rows": len(target),
        "target": name,
        "positive": positive,
        "negative": negative,
        "names": list(dataset.names),
        "columns": [
            {
                "name": column.name,
                "kind": column.kind,
                "levels": len(column.levels),
                "missing_share": table.column(column.name).null_count / len(target),
                "meaning": dataset.meanings.get(column.name),
            }
            for column in columns.columns
        ],
        "meanings": {key: text for key, text in dataset.meanings.items() if "=" in key},
        "ignored": dict(kinds.ignored),
        "notes": [*notes, *kinds.notes],
        "protected": list(protected),
        "id": data.id,
        "missing": list(data.missing),
        "licence": dataset.licence,
        "cite": dataset.cite,
        "parts": {
            text: {"rows": int((part == i).sum()), "positives": int(target[part == i].sum())}
            for i, text in enumerate(PARTS)
        },
    }
    return Prepared(table.select(keep), columns, target, weight, part, facts, findings)


def read_target(table: pa.Table, name: str, positive: object, *, where: str) -> tuple[np.ndarray, str, str, list[str]]:
    """The target as int8 [n] (1 positive, 0 negative, -1 unknown), both values as text, and what was assumed.

    Raises UserError unless the column has exactly two values and `positive`, where given, is one of them.
    """
    text = as_text(table.column(name))
    values = sorted(value for value in pc.unique(text).to_pylist() if value is not None)
    if len(values) != 2:
        shown = ", ".join(f"`{value}`" for value in values[:6]) + (", ..." if len(values) > 6 else "")
        raise UserError(
            f"{where}, column `{name}`: found {len(values)} value{'s' * (len(values) != 1)} ({shown or 'none'}), "
            "expected a target with two",
            hint="the target is 0 or 1, yes or no, or any two values; data.target names the column",
        )
    notes = []
    if positive is not None:
        wanted = as_text(pa.array([positive]))[0].as_py()
        if wanted not in values:
            raise UserError(
                f"{where}: data.positive={wanted} is no value of `{name}`, which holds `{values[0]}` and `{values[1]}`"
            )
    else:
        words = [value for value in values if value.casefold() in EVENT_WORDS]
        words = [] if values == ["1", "2"] else words  # a code, as often 1 for good and 2 for bad as the other way
        counts = [pc.sum(pc.equal(text, value)).as_py() for value in values]
        wanted = words[0] if len(words) == 1 else values[int(np.argmin(counts))]
        reason = "" if len(words) == 1 else ", the rarer value"
        notes.append(f"positive is `{name}` = `{wanted}`{reason}; data.positive=VALUE sets it")
    negative = values[0] if wanted == values[1] else values[1]
    hit = pc.cast(pc.equal(text, wanted), pa.int8())
    return pc.fill_null(hit, -1).to_numpy(zero_copy_only=False).astype(np.int8), wanted, negative, notes


def _weights(table: pa.Table, name: str | None, used: np.ndarray, *, where: str) -> np.ndarray:
    if name is None:
        return np.ones(len(table))
    weight = as_number(table.column(name), name=name, where=where)
    bad = np.flatnonzero(used & ~(weight >= 0))  # also where it is missing
    if len(bad):
        found = "nothing" if np.isnan(weight[bad[0]]) else f"`{weight[bad[0]]:g}`"
        raise UserError(f"{where}, row {bad[0] + 1}, column `{name}`: found {found}, expected a weight of 0 or more")
    if not weight[used].any():
        raise UserError(f"{where}, column `{name}`: every weight is 0")
    return weight


def column_codes(table: pa.Table, name: str) -> np.ndarray:
    """One whole number for each distinct value of a column, -1 where it is missing."""
    codes = pc.dictionary_encode(as_text(table.column(name)))
    chunk = codes.combine_chunks() if isinstance(codes, pa.ChunkedArray) else codes
    return pc.fill_null(chunk.indices, -1).to_numpy(zero_copy_only=False).astype(np.int64)


def column_times(table: pa.Table, name: str, *, where: str) -> np.ndarray:
    """A column of dates or numbers as float64, later is larger, NaN where missing."""
    column = table.column(name)
    if pa.types.is_temporal(column.type):
        return _seconds(column)
    text = as_text(column)
    try:
        return as_number(column, name=name, where=where)
    except UserError:
        pass
    for kind in (pa.timestamp("us"), pa.timestamp("us", tz="UTC")):
        try:
            return _seconds(pc.cast(text, kind))
        except pa.ArrowInvalid:
            continue
    sample = pc.drop_null(text)[0].as_py()
    raise UserError(
        f"{where}, column `{name}`: found `{sample}`, expected dates such as 2026-03-31 or 2026-03-31 14:00, or numbers"
    )


def _seconds(column: pa.Array | pa.ChunkedArray) -> np.ndarray:
    number = pc.cast(pc.cast(column, pa.timestamp("us")) if pa.types.is_date(column.type) else column, pa.int64())
    return pc.cast(number, pa.float64()).to_numpy(zero_copy_only=False)


def _columns(table: pa.Table) -> str:
    names = table.column_names
    return "columns: " + ", ".join(names[:20]) + (f" and {len(names) - 20} more" if len(names) > 20 else "")
