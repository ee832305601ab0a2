"""The part of `lepton bench fraud` that is about speed: features of a whole history, answers online, their equality.

`rolling.py` holds the Handbook's own way, `bench_online.py` what is measured while payments come in.
"""

from __future__ import annotations

import resource
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial

import numpy as np
import psutil

from finance.fraud.bench_online import CARDS, RAW, REDIS_PAST, SINGLE, TOGETHER, memory, online
from finance.fraud.features import Definition, names
from finance.fraud.history import histories
from finance.fraud.inputs import definition_of
from finance.fraud.rolling import by_histories, by_pandas
from finance.fraud.settings import Fraud
from finance.fraud.sources import collect
from finance.fraud.state import State
from finance.fraud.transactions import DAY, Transactions
from lepton_solutions.bench import Cell, Row
from lepton_solutions.config import read_settings

TIMES = 10
BOOK = "the book's 15 features, pandas rolling windows"
BOOK_OURS = "the book's 15 features, ours"
OURS = "the pipeline's features, ours"
GROWN = f"{TIMES} times the cards and terminals, ours"
SQLITE, REDIS, MEMORY = "SQLite", "Redis", "memory of 1,000,000 cards"
EQUAL = "one by one against all at once"
CELLS = [
    *(Cell("features", model, 0) for model in (BOOK_OURS, OURS, GROWN, BOOK)),
    *(Cell("online", model, 0) for model in (SQLITE, REDIS, MEMORY)),
    Cell("equality", EQUAL, 0),
]
PORTION = 5000  # rows of one call of `State.update`
ABOUT = f"""
- Features: all 1,754,155 payments of the Handbook in memory, one process each; `peak_mb` is what it grew by after its
  imports, the payments included. The Handbook's way is written anew after its chapter 3: a group of each customer and
  of each terminal, windows of 1, 7 and 30 days over its times. Both count alike but for payments exactly at the border
  of a window or by the same card in the same second (`rows_that_differ`). {GROWN}: with new names and one window of
  7 days, pairs included, against the same with the payments as they are, the better of two runs each; it needs 7 GB.
- Online: {CARDS:,} simulated cards in the state, which is in one file (SQLite in WAL mode, commits after 40 ms) or in
  a Redis server on this machine (its history the last {REDIS_PAST:,} payments); {SINGLE:,} transactions one a call and
  as many {TOGETHER} a call, each answered by features, state and exported combination. `raw` begins with a dict and
  ends with words and reasons, {RAW:,} calls; times include those of the commits in the background. Restart: opening
  state and store, and the first answer.
- Equality: each feature of each payment of the Handbook from `State`, {PORTION:,} a call, against `histories`; a
  difference in the last bit counts.
"""


def measure(task: str, model: str, seed: int) -> dict[str, object]:
    """One cell."""
    if task == "online":
        return memory() if model == MEMORY else online(model.lower())
    imported = psutil.Process().memory_info().rss / 2**20
    settings = read_settings("finance/fraud", ["data=handbook"], Fraud)
    rows = collect(settings.data).transactions
    definition = definition_of(settings, tuple(rows.entities))
    if task == "equality":
        return equality(rows, definition)
    if model == GROWN:
        return growth(rows, replace(definition, windows=(7 * DAY,))) | {"peak_mb": round(_peak_mb() - imported)}
    ways = {BOOK: by_pandas, BOOK_OURS: by_histories, OURS: lambda rows: histories(rows, definition)}
    found, seconds = _clocked(lambda: ways[model](rows))
    record = {"wall": seconds, "peak_mb": round(_peak_mb() - imported), "columns": found.shape[1]}
    if model == BOOK:
        same = np.isclose(found, by_histories(rows), rtol=1e-9, atol=1e-9).all(axis=1)
        record["rows_that_differ"] = int((~same).sum())
    return record


def growth(rows: Transactions, definition: Definition) -> dict[str, object]:
    """Seconds for the rows, and for ten times as many: the better of two runs of each, since the first pays besides for
    memory that the machine has not handed out yet.
    """
    many_rows = repeated(rows, TIMES)
    few, many = (min(_clocked(partial(histories, some, definition))[1] for _ in range(2)) for some in (rows, many_rows))
    return {"wall": many, "columns": len(names(definition)), "rows": len(many_rows), "times_as_long": many / few}


def repeated(rows: Transactions, times: int) -> Transactions:
    """Each row so many times, of other entities and with another id; 100 million rows at most."""
    which = np.repeat(np.arange(len(rows)), times)
    copy = np.tile(np.arange(times), len(rows))
    many = rows.take(which)
    entities = {kind: codes * times + copy for kind, codes in many.entities.items()}
    levels = {
        kind: np.char.add(np.repeat(names, times), np.tile([f"-{i}" for i in range(times)], len(names)))
        for kind, names in rows.levels.items()
    }
    return replace(many, entities=entities, levels=levels, id=np.arange(len(many)).astype("U8"))


def equality(rows: Transactions, definition: Definition) -> dict[str, object]:
    """How many features differ between the two ways, of how many, and how many rows a second the state takes."""
    expected = histories(rows, definition)
    differ, seconds = 0, 0.0
    with State(definition) as state:
        for first in range(0, len(rows), PORTION):
            part = rows.take(slice(first, first + PORTION))
            start = time.perf_counter()
            found = state.update(part)
            seconds += time.perf_counter() - start
            whole = expected[first : first + PORTION]
            differ += int((~((found == whole) | (np.isnan(found) & np.isnan(whole)))).sum())
    return {
        "features_that_differ": differ,
        "features_compared": expected.size,
        "wall": seconds,
        "rows_a_second": len(rows) / seconds,
    }


def rows(records: Mapping[Cell, dict]) -> list[Row]:
    """Of the cells that are measured; of a Redis that is not installed none."""
    return [
        Row(cell.task, cell.model, cell.model != BOOK, metric, float(value), None, None, 1,
            record.get("wall"), record["peak_mb"], "measured here")
        for cell in CELLS
        if (record := records.get(cell)) is not None
        for metric, value in record.items()
        if metric not in ("seconds", "wall", "peak_mb", "missing")
    ]  # fmt: skip


def conclusions(records: Mapping[Cell, dict]) -> str:
    """In sentences, once all is measured."""
    if any(cell not in records for cell in CELLS):
        return ""
    found = {cell.model: records[cell] for cell in CELLS}
    book, same, ours, grown = (found[model] for model in (BOOK, BOOK_OURS, OURS, GROWN))
    online, redis, memory, equal = (found[model] for model in (SQLITE, REDIS, MEMORY, EQUAL))
    told = [
        f"The book's 15 features of all its payments take {same['wall']:.1f} s, by its own way {book['wall']:.1f} s; "
        f"all {ours['columns']} of the pipeline's take {ours['wall']:.1f} s and {ours['peak_mb'] / 1000:.1f} GB. "
        f"{TIMES} times the rows take {grown['times_as_long']:.1f} times as long.",
        f"With {CARDS:,} cards in SQLite an answer takes {online['answer_p50_ms']:.2f} ms (p99 "
        f"{online['answer_p99_ms']:.2f}, p99.9 {online['answer_p99_9_ms']:.2f}), which is "
        f"{online['answer_calls_a_second']:,.0f} a second, or {online['answers_a_second_in_hundreds']:,.0f} in "
        f"hundreds; from a dict to words and reasons {online['raw_p50_ms']:.2f} ms (p99 {online['raw_p99_ms']:.2f}). "
        f"The first answer after a restart comes after {online['restart_ms']:.0f} ms.",
        redis_told(redis),
        f"A card with two payments, among a million, takes {memory['bytes_per_card']:,.0f} bytes of memory, one with "
        f"{online['payments_of_a_card']:.0f} payments {online['bytes_per_card']:,.0f}.",
        f"Of {equal['features_compared']:,} features {equal['features_that_differ']:,} are counted otherwise online "
        "than at once.",
    ]
    return " ".join(told)


def redis_told(record: Mapping[str, object]) -> str:
    """In a sentence."""
    if "missing" in record:
        return f"Redis was not measured: {record['missing']}."
    return f"In Redis an answer takes {record['answer_p50_ms']:.2f} ms (p99 {record['answer_p99_ms']:.2f})."


def _clocked(made: Callable[[], np.ndarray]) -> tuple[np.ndarray, float]:
    start = time.perf_counter()
    found = made()
    return found, time.perf_counter() - start


def _peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10)
