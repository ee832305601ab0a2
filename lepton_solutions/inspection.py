"""`lepton audit`: the leakage audit alone, on a file, a folder of parts, or a run folder.

A folder of parts holds train.*, validation.*, calibration.* or test.* (val, valid and calib are understood too): the
split that somebody else made. A pipeline that reads something else than tables has a module `inspection` of its own:
`reads` tells whether a path is such a thing, `inspect` audits it.
"""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa

from lepton_solutions.data.audit import audit
from lepton_solutions.data.columns import as_text
from lepton_solutions.data.findings import Finding, told
from lepton_solutions.data.kinds import fit_levels, infer_kinds
from lepton_solutions.data.prepare import column_codes, column_times, read_target
from lepton_solutions.data.splits import PARTS, SPELLINGS
from lepton_solutions.data.tables import read_table
from lepton_solutions.errors import UserError, did_you_mean
from lepton_solutions.places import module_of, pipelines

KEYS = ("target", "positive", "group", "id", "time", "encoding")
SUFFIXES = (".csv", ".tsv", ".csv.gz", ".parquet", ".jsonl")


def inspect(path: Path, overrides: Sequence[str]) -> tuple[str, bool]:
    """The findings as text and whether one of them fails. Raises UserError for what cannot be read."""
    if (path / "audit.json").is_file():
        saved = json.loads((path / "audit.json").read_text(encoding="utf-8"))
        return told([Finding.from_json(finding) for finding in saved], str(path))
    if not any(text.removeprefix("data.").startswith("target=") for text in overrides):
        for module in filter(None, (module_of(pipeline, "inspection") for pipeline in pipelines())):
            if module.reads(path):
                return module.inspect(path, overrides)
    keys = _keys(overrides)
    if "target" not in keys:
        raise UserError("which column is learned?", hint=f"lepton audit {path} target=COLUMN")
    if path.is_dir():
        table, parts = _read_parts(path, keys.get("encoding"))
    else:
        table, parts = read_table(str(path), encoding=keys.get("encoding")), None
    where = path.name
    named = {key: keys[key] for key in ("target", "group", "id", "time") if key in keys}
    for key, column in named.items():
        if column not in table.column_names:
            raise UserError(f"{where}: {key}={column}: no such column; {did_you_mean(column, table.column_names)}")
    target, positive, negative, _ = read_target(table, keys["target"], keys.get("positive"), where=where)
    known = target >= 0
    table, target, parts = table.filter(pa.array(known)), target[known], None if parts is None else parts[known]
    kinds = fit_levels(infer_kinds(table, skip=set(named.values()), where=where), table)
    findings = audit(
        kinds.columns.encode(table, where=where),
        kinds.columns,
        target,
        target_name=keys["target"],
        classes=(negative, positive),
        parts=parts,
        cut="given",
        keys={keys[key]: column_codes(table, keys[key]) for key in ("group", "id") if key in keys},
        time=column_times(table, keys["time"], where=where) if "time" in keys else None,
    )
    left_out = [f"left out `{name}`: {reason}" for name, reason in kinds.ignored.items()]
    text, failed = told(findings, f"{path}: {len(table):,} rows, {len(kinds.columns.columns)} columns")
    return "\n".join([text, *left_out]), failed


def _keys(overrides: Sequence[str]) -> dict[str, str]:
    keys = {}
    for text in overrides:
        key, equals, value = text.removeprefix("data.").partition("=")
        if key not in KEYS or not equals:
            raise UserError(f"`{text}`: expected key=value; {did_you_mean(key, KEYS)}")
        keys[key] = value
    return keys


def _read_parts(folder: Path, encoding: str | None) -> tuple[pa.Table, np.ndarray]:
    """All files of a folder as one table, with the part of each row; every value as text, so that the parts fit."""
    tables: list[pa.Table] = []
    parts: list[np.ndarray] = []
    for file in sorted(folder.iterdir()):
        if not file.name.endswith(SUFFIXES):
            continue
        part = SPELLINGS.get(file.name.split(".")[0].casefold())
        if part is None:
            raise UserError(f"{file}: expected the name of a part: {', '.join(PARTS)}")
        table = read_table(str(file), encoding=encoding)
        if tables and table.column_names != tables[0].column_names:
            odd = sorted(set(table.column_names) ^ set(tables[0].column_names))
            raise UserError(f"{file}: other columns than the part before it: {', '.join(odd) or 'another order'}")
        tables.append(pa.table({name: as_text(table.column(name)) for name in table.column_names}))
        parts.append(np.full(len(table), part, dtype=np.int8))
    if len(tables) < 2:
        raise UserError(f"{folder}: expected at least train and test files there, such as train.csv and test.csv")
    return pa.concat_tables(tables), np.concatenate(parts)
