"""Would the figures of this table be too good to be true? The leakage audit of a split, or of a file alone.

Looks for owners, identical rows and times that reach across parts, and for columns that give the target away. A
finding of level "fail" stops the run (`failures`); a warning or a piece of information goes into the report.
"""

from collections.abc import Mapping
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from lepton_solutions.data.columns import Columns, Rows
from lepton_solutions.data.findings import Finding
from lepton_solutions.data.giveaways import drift, giveaways
from lepton_solutions.data.splits import PARTS, TEST, row_codes


def audit(
    rows: Rows,
    columns: Columns,
    target: NDArray[np.int8],
    *,
    target_name: str,
    classes: tuple[str, str] = ("0", "1"),
    parts: NDArray[np.int8] | None = None,
    cut: Literal["shuffled", "time", "given"] = "given",
    keys: Mapping[str, NDArray[np.int64]] | None = None,
    time: NDArray[np.float64] | NDArray[np.int64] | None = None,
    duplicates: Literal["warn", "fail"] = "warn",
) -> list[Finding]:
    """Every check that applies, worst first.

    rows, columns: the input columns as the models see them. target: [n], 0 or 1; `classes` are its two values as the
    file writes them, negative first. parts: [n], indices into `PARTS`, None for a file that has not been split; `cut`
    says how they came about ("given": by files or a fold column). keys: column name -> [n], whose row it is, negative
    where unknown. time: [n], larger is later. duplicates: what an identical row in another part means.
    """
    twins = row_codes(rows.numeric, rows.codes)
    found = giveaways(rows, columns, target, target_name=target_name, classes=classes)
    found += repeats(twins, target, target_name=target_name)
    if parts is not None:
        found += owners(keys or {}, parts)
        found += row_overlap(twins, parts, level="fail" if duplicates == "fail" else "warning")
        found += near_overlap(rows, twins, parts)
        if cut != "shuffled":
            found += drift(rows, columns, parts)
            found += [] if time is None else time_overlap(time, parts)
    return sorted(found, key=lambda finding: ("fail", "warning", "info").index(finding.level))


def in_two_parts(codes: NDArray[np.int64], parts: NDArray[np.int8]) -> NDArray[np.bool_]:
    """Rows whose code also stands in another part, [n]; negative codes are unknown and never count.

    With `row_codes` these are the rows without which a metric is shown a second time.
    """
    dense = np.unique(codes, return_inverse=True)[1].astype(np.int64)
    seen = np.unique(dense * len(PARTS) + parts) // len(PARTS)
    across: NDArray[np.bool_] = (np.bincount(seen)[dense] > 1) & (codes >= 0)
    return across


def owners(keys: Mapping[str, NDArray[np.int64]], parts: NDArray[np.int8]) -> list[Finding]:
    """Groups and ids that have rows in two parts: the model would be judged on those it has learned from."""
    found = []
    for name, codes in keys.items():
        across = in_two_parts(codes, parts)
        if across.any():
            count = len(np.unique(codes[across]))
            found.append(
                Finding(
                    level="fail",
                    check="owner",
                    message=f"values of `{name}` in more than one part: {count:,}, with {_spread(across, parts)}",
                    columns=(name,),
                    rows=int(across.sum()),
                    hint=f"`data.group={name}`, without `data.fold` and `data.time`, keeps them together",
                )
            )
    return found


def row_overlap(
    twins: NDArray[np.int64], parts: NDArray[np.int8], *, level: Literal["fail", "warning"] = "warning"
) -> list[Finding]:
    """Rows whose inputs stand identically in another part."""
    across = in_two_parts(twins, parts)
    if not across.any():
        return []
    message = f"same inputs as a row of another part: {_spread(across, parts)}"
    hint = "remove the repeated rows, or leave `data.fold` and `data.time` out: a shuffled split keeps them together"
    return [Finding(level=level, check="duplicates", message=message, rows=int(across.sum()), hint=hint)]


def near_overlap(rows: Rows, twins: NDArray[np.int64], parts: NDArray[np.int8]) -> list[Finding]:
    """Rows that equal one of another part once numbers are rounded to 3 significant digits, beyond identical ones.

    Tables with fewer than 4 columns are left alone: there, such rows are no surprise.
    """
    if rows.numeric.shape[1] + rows.codes.shape[1] < 4 or rows.numeric.shape[1] == 0:
        return []
    rounded = row_codes(_three_digits(rows.numeric), rows.codes)
    across = in_two_parts(rounded, parts) & ~in_two_parts(twins, parts)
    if not across.any():
        return []
    message = f"equal to a row of another part but for digits after the third: {_spread(across, parts)}"
    return [Finding(level="warning", check="near_duplicates", message=message, rows=int(across.sum()))]


def repeats(twins: NDArray[np.int64], target: NDArray[np.int8], *, target_name: str) -> list[Finding]:
    """Rows that say what an earlier row said, and rows with the same inputs but the other class."""
    found = []
    labelled = np.unique(twins * 2 + target, return_counts=True)
    repeated = len(twins) - len(labelled[0])
    if repeated:
        message = f"repeats of an earlier row, `{target_name}` included: {_rows(repeated)}"
        found.append(Finding(level="info", check="duplicates", message=message, rows=repeated))
    both = np.bincount(labelled[0] // 2, minlength=1) == 2
    contradicting = int(both[twins].sum()) if len(twins) else 0
    if contradicting:
        message = f"same inputs as a row whose `{target_name}` differs: {_rows(contradicting)}"
        found.append(Finding(level="info", check="contradictions", message=message, rows=contradicting))
    return found


def time_overlap(time: NDArray[np.float64] | NDArray[np.int64], parts: NDArray[np.int8]) -> list[Finding]:
    """Rows of the other parts that are later than the earliest test row: the model would know the future."""
    tested = time[(parts == TEST) & ~np.isnan(time)]
    if len(tested) == 0:
        return []
    late = (parts != TEST) & (time > tested.min())
    if not late.any():
        return []
    message = f"later than the earliest test row, though not of the test part: {_spread(late, parts)}"
    hint = "let `data.time` cut the parts, or leave `data.time` out if the order does not matter"
    return [Finding(level="fail", check="time", message=message, rows=int(late.sum()), hint=hint)]


def _spread(mask: NDArray[np.bool_], parts: NDArray[np.int8]) -> str:
    counts = np.bincount(parts[mask], minlength=len(PARTS))
    told = ", ".join(f"{name} {count:,}" for name, count in zip(PARTS, counts, strict=True) if count)
    return f"{_rows(int(mask.sum()))} ({told})"


def _rows(count: int) -> str:
    return "1 row" if count == 1 else f"{count:,} rows"


def _three_digits(numeric: NDArray[np.float32]) -> NDArray[np.float32]:
    wide = numeric.astype(np.float64)
    size = np.where(wide == 0, 1.0, np.abs(wide))
    step = 10.0 ** (np.floor(np.log10(size)) - 2)
    return (np.round(wide / step) * step).astype(np.float32)
