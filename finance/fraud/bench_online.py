"""What an answer costs while payments come in: a bundle, a state in SQLite or Redis, and 10,000 simulated cards.

Each of the functions is a cell of `lepton bench fraud`; `bench_speed.py` makes rows of what they measure.
"""

from __future__ import annotations

import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import numpy as np

from finance.fraud.inputs import definition_of
from finance.fraud.predictor import PIPELINE, FraudPredictor
from finance.fraud.prepare import prepare_rows
from finance.fraud.records import raw_rows
from finance.fraud.release import bundle_of
from finance.fraud.settings import Fraud, Simulator
from finance.fraud.simulator import simulate
from finance.fraud.state import State
from finance.fraud.stores import Counters, Event
from finance.fraud.train import train
from finance.fraud.transactions import DAY, NO_OUTCOME, UNIT, Transactions, Whole
from lepton_solutions.config import read_settings
from lepton_solutions.data.columns import Columns, Rows
from lepton_solutions.progress import Progress

Given = TypeVar("Given")

# The network is the config's own; epochs and payments do not change what an answer costs.
TRAINED_ON = (
    "data.simulator.customers=500", "data.simulator.terminals=1000", "data.simulator.days=90", "fit.epochs=1",
)  # fmt: skip
CARDS, TERMINALS, DAYS = 10_000, 20_000, 30
REDIS_PAST = 100_000  # rows of the history that a state in Redis is given: it takes in some thousand a second
WARM, SINGLE, RAW, TOGETHER = 500, 20_000, 5000, 100  # transactions; the last, those in one call
MILLION, MEMORY_TERMINALS = 1_000_000, 100_000
PORTION = 10_000  # rows at once, of a history that is taken in


def online(store: str) -> dict[str, object]:
    """Milliseconds of single calls, transactions a second alone and in hundreds, and a restart. store: `sqlite` or
    `redis`; of a Redis that is not installed nothing is measured.
    """
    if store == "redis" and shutil.which("redis-server") is None:
        return {"missing": "redis-server is not installed"}
    made = simulate(Simulator(customers=CARDS, terminals=TERMINALS, days=DAYS, night=0, spending=0, seed=1))
    cut = len(made) - (WARM + SINGLE + RAW + 2 * TOGETHER * (SINGLE // TOGETHER))
    past = made.take(slice(cut - REDIS_PAST if store == "redis" else 0, cut))
    live = made.take(slice(cut, None))
    live = replace(live, label=np.full(len(live), NO_OUTCOME, np.int8))
    with tempfile.TemporaryDirectory() as folder, _place(store, Path(folder)) as place:
        return _timed(_predictor(Path(folder) / "run"), place, past, live)


def memory() -> dict[str, object]:
    """Bytes of a card with two payments among a million, in memory alone."""
    names = np.array([f"terminal {number}" for number in range(MEMORY_TERMINALS)])
    draw = np.random.default_rng(0)
    with State(definition_of(read_settings(PIPELINE, TRAINED_ON, Fraud), ("card", "terminal")), _Nowhere()) as state:
        start = time.perf_counter()
        for payment in (1, 2):
            for first in range(0, MILLION, PORTION):
                state.add(_of_cards(first, payment, draw.integers(0, MEMORY_TERMINALS, PORTION), names))
        return {
            "bytes_per_card": state.bytes_per_entity("card"),
            "bytes_per_terminal": state.bytes_per_entity("terminal"),
            "rows_a_second": 2 * MILLION / (time.perf_counter() - start),
        }


def percentiles(seconds: Sequence[float]) -> dict[str, float]:
    """Of single calls, in milliseconds, and how many of them fit into a second.

    >>> percentiles([0.001, 0.001, 0.004])["calls_a_second"]
    500.0
    """
    p50, p99, p999 = (1000 * float(np.percentile(seconds, share)) for share in (50, 99, 99.9))
    return {"p50_ms": p50, "p99_ms": p99, "p99_9_ms": p999, "calls_a_second": len(seconds) / sum(seconds)}


def _predictor(run: Path) -> FraudPredictor:
    """The pipeline's own combination, learned from a few payments."""
    settings, folder = read_settings(PIPELINE, TRAINED_ON, Fraud), run / "bundle"
    run.mkdir()
    prepare_rows(settings, run, run)
    train(settings, run, run, Progress(quiet=True))
    bundle_of(run, folder)
    return FraudPredictor.open(folder)


@contextmanager
def _place(store: str, folder: Path) -> Iterator[str]:
    """Where a state may live; a Redis server lives as long as it does, and keeps all in memory."""
    if store != "redis":
        yield str(folder / "state.db")
        return
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = ["redis-server", "--bind", "127.0.0.1", "--port", str(port), "--save", "", "--appendonly", "no"]
    server = subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, text=True)
    try:
        assert server.stdout is not None
        while "Ready to accept connections" not in (line := server.stdout.readline()):
            if not line:
                raise RuntimeError(f"redis-server ended with {server.wait()}")
        yield f"redis://127.0.0.1:{port}/0/bench"
    finally:
        server.terminate()
        server.wait()


def _timed(predictor: FraudPredictor, place: str, past: Transactions, live: Transactions) -> dict[str, object]:
    """live: rows that come after the past, in their order."""
    turns = iter(np.split(np.arange(len(live)), np.cumsum([WARM, SINGLE, RAW, SINGLE])))
    with predictor.stream(place) as stream:
        start = time.perf_counter()
        for first in range(0, len(past), PORTION):
            stream.state.add(past.take(slice(first, first + PORTION)))
        taken_in = len(past) / (time.perf_counter() - start)

        def answer(rows: Transactions) -> None:
            read = predictor.rows(stream.state.update(rows), rows)
            predictor.probability(read)

        def ones(places: Whole) -> list[Transactions]:
            return [live.take(slice(i, i + 1)) for i in places.tolist()]

        def hundreds(places: Whole) -> list[Transactions]:
            return [live.take(slice(i, i + TOGETHER)) for i in places[::TOGETHER].tolist()]

        _seconds(answer, ones(next(turns)))
        alone = percentiles(_seconds(answer, ones(next(turns))))
        raw = percentiles(_seconds(stream.score, _dicts(live.take(next(turns)), predictor)))
        together = _seconds(answer, hundreds(next(turns)))
        last = next(turns)
        dicts = _dicts(live.take(last), predictor)
        raw_together = _seconds(stream.score_many, [dicts[i : i + TOGETHER] for i in range(0, len(dicts), TOGETHER)])
        size = stream.state.bytes_per_entity("card")
    start = time.perf_counter()
    with predictor.stream(place) as stream:
        stream.score(dicts[-1])
        restart = 1000 * (time.perf_counter() - start)
    return {
        **{f"answer_{name}": value for name, value in alone.items()},
        **{f"raw_{name}": value for name, value in raw.items()},
        "answers_a_second_in_hundreds": TOGETHER * len(together) / sum(together),
        "raw_a_second_in_hundreds": TOGETHER * len(raw_together) / sum(raw_together),
        "history_rows_a_second": taken_in,
        "payments_of_a_card": (len(past) + len(live)) / CARDS,
        "bytes_per_card": size,
        "restart_ms": restart,
    }


def _seconds(call: Callable[[Given], object], given: Sequence[Given]) -> list[float]:
    """Of each call."""
    found = []
    for one in given:
        start = time.perf_counter()
        call(one)
        found.append(time.perf_counter() - start)
    return found


def _dicts(rows: Transactions, predictor: FraudPredictor) -> list[Mapping[str, object]]:
    """As a program sends them: times as text, without the outcome."""
    layout = predictor.layout
    table = raw_rows(rows, layout).drop_columns([layout.target] if layout.target else [])
    return [{**row, layout.time: str(row[layout.time])} for row in table.to_pylist()]


class _Nowhere:
    """A store that keeps nothing: what is left is what `State` holds in memory."""

    def counters(self) -> Counters:
        return Counters(None, 0)

    def answers(self, ids: Sequence[str]) -> Mapping[str, bytes | None]:
        return {}

    def event(self, id: str) -> Event | None:
        return None

    def history(self, place: int, key: str, since: int) -> list[Event]:
        return []

    def put(self, events: Sequence[Event], answers: Sequence[bytes | None], counters: Counters, oldest: int) -> None:
        pass

    def learn(self, id: str, outcome: int) -> None:
        pass

    def close(self) -> None:
        pass


def _of_cards(first: int, payment: int, terminal: Whole, terminals: np.ndarray) -> Transactions:
    """One payment of each of the next cards, on the day of this number. terminal: [n] places in `terminals`."""
    cards = np.arange(first, first + len(terminal))
    time = np.full(len(cards), payment * DAY)
    return Transactions(
        id=np.array([f"{payment}-{card}" for card in cards]),
        time=time,
        seen=time,
        amount=np.full(len(cards), 10 * UNIT),
        entities={"card": np.arange(len(cards)), "terminal": terminal},
        levels={"card": np.array([f"card {card}" for card in cards]), "terminal": terminals},
        label=np.full(len(cards), NO_OUTCOME, np.int8),
        declined=np.zeros(len(cards), bool),
        extras=Rows(np.empty((len(cards), 0), np.float32), np.empty((len(cards), 0), np.int64)),
        columns=Columns(()),
    )
