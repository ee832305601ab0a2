"""The state survives what happens to processes and files, and is refused where it is not the one that was meant."""

import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from small_payments import SMALL, many_payments, payments

from finance.fraud import sqlite_store
from finance.fraud import state as state_module
from finance.fraud.features import Definition, names
from finance.fraud.history import histories
from finance.fraud.sqlite_store import SqliteStore
from finance.fraud.state import State
from finance.fraud.stores import SCHEMA, open_store
from finance.fraud.transactions import FRAUD, UNIT, Transactions
from lepton_solutions.errors import UserError

ROWS = many_payments(120)


@pytest.fixture
def file_place(tmp_path) -> str:
    return str(tmp_path / "state.db")


@pytest.fixture
def redis_place(monkeypatch) -> str:
    redis, fakeredis = pytest.importorskip("redis"), pytest.importorskip("fakeredis")
    server = fakeredis.FakeServer()
    monkeypatch.setattr(redis.Redis, "from_url", lambda url: fakeredis.FakeRedis(server=server))
    return "redis://localhost:6379/0/payments"


@pytest.fixture(params=["file_place", "redis_place"])
def place(request) -> str:
    return request.getfixturevalue(request.param)


def one_by_one(state: State, rows: Transactions) -> np.ndarray:
    return np.concatenate([state.update(rows.take(slice(i, i + 1))) for i in range(len(rows))])


def test_a_state_goes_on_after_a_restart_as_if_there_had_been_none(place):
    found = []
    for part in (slice(0, 40), slice(40, 41), slice(41, 120)):
        with State(SMALL, open_store(place, SMALL)) as state:
            found.append(one_by_one(state, ROWS.take(part)))
    np.testing.assert_array_equal(np.concatenate(found), histories(ROWS, SMALL))


def test_after_a_restart_late_rows_are_still_known_as_late_and_repeated_ids_as_repeated(place):
    one = {kind: [0] for kind in SMALL.entities}
    with State(SMALL, open_store(place, SMALL)) as state:
        state.update(payments([100], [UNIT], one, ids=["first"]))
        late = state.update(payments([99], [UNIT], one, ids=["late"]))
    with State(SMALL, open_store(place, SMALL)) as state:
        assert (state.newest, state.late) == (100, 1)
        np.testing.assert_array_equal(state.update(payments([99], [UNIT], one, ids=["late"])), late)
        assert state.late == 1
        found = state.update(payments([101], [UNIT], one, ids=["next"]))
        assert found[0, names(SMALL).index("card: count, 3 µs")] == 2


def test_an_outcome_that_was_told_survives_a_restart(place):
    one = {kind: [0] for kind in SMALL.entities}
    with State(SMALL, open_store(place, SMALL)) as state:
        state.update(payments([100], [UNIT], one, ids=["first"], label=[-1]))
        assert state.learn("first", FRAUD)
    with State(SMALL, open_store(place, SMALL)) as state:
        found = state.update(payments([106], [UNIT], one, ids=["next"]))
    assert found[0, names(SMALL).index("card: known frauds, 3 µs")] == 1


def test_what_no_window_reaches_any_more_leaves_the_store(place, monkeypatch):
    monkeypatch.setattr(state_module, "GRACE", 5)
    rows = many_payments(1000)
    with State(SMALL, open_store(place, SMALL)) as state:
        np.testing.assert_array_equal(one_by_one(state, rows), histories(rows, SMALL))
        assert len(state._store.answers(rows.id.tolist())) < 60
        assert sum(len(state._store.history(0, str(card), 0)) for card in range(4)) < 60


def test_the_state_of_another_definition_is_refused(place):
    open_store(place, SMALL).close()
    other = Definition(SMALL.entities, (3, 10, 26), SMALL.delay, SMALL.pairs)
    with pytest.raises(UserError, match=f"feature definition {SMALL.fingerprint[:12]}, expected"):
        open_store(place, other)


def test_the_state_of_a_later_version_is_refused(place, monkeypatch):
    open_store(place, SMALL).close()
    if place.startswith("redis"):
        open_store(place, SMALL)._base.hset("payments:meta", "schema", SCHEMA + 1)
    else:
        sqlite3.connect(place, isolation_level=None).execute("UPDATE meta SET value = 3 WHERE name = 'schema'")
    with pytest.raises(UserError, match="a later version wrote it"):
        open_store(place, SMALL)


def test_a_state_of_the_first_schema_is_brought_up_to_date_and_goes_on(tmp_path):
    place = tmp_path / "state.db"
    base = sqlite3.connect(place, isolation_level=None)
    for statement in sqlite_store._first_schema(SMALL):
        base.execute(statement)
    with State(SMALL) as state:
        events = list(state._events(ROWS.take(slice(40))))
    for event in events:
        base.execute("INSERT INTO events VALUES (NULL, ?, ?, ?, ?, ?, ?, ?, ?)", (*event[:5], *event.keys))
    base.execute("UPDATE meta SET value = ? WHERE name = 'newest'", (events[-1].time,))
    base.close()
    with State(SMALL, open_store(place, SMALL)) as state:
        np.testing.assert_array_equal(one_by_one(state, ROWS), histories(ROWS, SMALL))


def test_a_first_schema_in_redis_is_brought_up_to_date(redis_place):
    with State(SMALL, open_store(redis_place, SMALL)) as state:
        state.add(ROWS.take(slice(40)))
        state._store._base.hset("payments:meta", "schema", 1)
        state._store._base.hdel("payments:meta", "late")
    with State(SMALL, open_store(redis_place, SMALL)) as state:
        np.testing.assert_array_equal(one_by_one(state, ROWS), histories(ROWS, SMALL))


def test_two_processes_do_not_share_a_file(tmp_path):
    place = tmp_path / "state.db"
    with State(SMALL, open_store(place, SMALL)), pytest.raises(UserError, match="in use by another process"):
        open_store(place, SMALL)
    open_store(place, SMALL).close()


def test_a_file_that_is_no_state_is_refused_and_left_alone(tmp_path):
    place = tmp_path / "loans.csv"
    place.write_text("id,amount\n" * 1000)
    with pytest.raises(UserError, match=r"loans\.csv: cannot be opened as a state"):
        open_store(place, SMALL)
    assert place.read_text() == "id,amount\n" * 1000


def test_a_database_of_someone_else_is_refused(tmp_path):
    place = tmp_path / "customers.db"
    sqlite3.connect(place).execute("CREATE TABLE customers (name TEXT)")
    before = place.read_bytes()
    with pytest.raises(UserError, match="cannot be opened as a state"):
        open_store(place, SMALL)
    assert place.read_bytes() == before


def test_an_address_without_the_name_of_a_state_is_refused():
    pytest.importorskip("redis")
    with pytest.raises(UserError, match="the name of this state"):
        open_store("redis://localhost:6379/0", SMALL)


def test_rows_are_committed_while_no_further_ones_come(tmp_path):
    place = tmp_path / "state.db"
    with State(SMALL, open_store(place, SMALL)) as state:
        state.update(ROWS.take(slice(3)))
        reader, deadline = sqlite3.connect(place), time.monotonic() + 20
        while reader.execute("SELECT count(*) FROM events").fetchone() != (3,) and time.monotonic() < deadline:
            time.sleep(0.01)
        assert reader.execute("SELECT count(*) FROM events").fetchone() == (3,)


def test_the_log_of_a_state_that_is_always_written_to_does_not_grow_without_end(tmp_path, monkeypatch):
    monkeypatch.setattr(sqlite_store, "COMMIT_AFTER", 1e6)  # seconds: the test commits and copies by its own hand
    monkeypatch.setattr(sqlite_store, "COPY_AFTER", 1e6)
    monkeypatch.setattr(sqlite_store, "LONG_LOG", 100)
    rows, store = many_payments(1500), SqliteStore(tmp_path / "state.db", SMALL)
    with State(SMALL, store) as state:
        for i in range(0, len(rows), 10):
            store._tick()
            state.update(rows.take(slice(i, i + 10)))  # so that each copy meets a transaction under way
            store._copy()
        assert (tmp_path / "state.db-wal").stat().st_size < 3 * 100 * 4096


CHILD = """
import sys, time
from small_payments import SMALL, many_payments
from finance.fraud.state import State
from finance.fraud.stores import open_store

rows = many_payments(400)
with State(SMALL, open_store(sys.argv[1], SMALL)) as state:
    for i in range(len(rows)):
        state.update(rows.take(slice(i, i + 1)))
        if rows.label[i] >= 0:
            state.learn(str(rows.id[i]), 1 - int(rows.label[i]))
        sys.stdout.write(".")
        sys.stdout.flush()
        time.sleep(0.001)  # the rows of a run fall into some ten commits
"""


def test_killed_at_any_moment_it_goes_on_from_a_replay_and_counts_nothing_twice(tmp_path):
    place, rows, draw = tmp_path / "state.db", many_payments(400), np.random.default_rng(7)
    paths = f"import sys; sys.path[:0] = {[str(Path(__file__).parents[2]), *sys.path]!r}\n"
    command = [sys.executable, "-c", paths + CHILD, str(place)]
    for answered in [*draw.integers(1, 400, 4).tolist(), 400]:  # every life replays all rows from the first
        child = subprocess.Popen(command, stdout=subprocess.PIPE)
        assert child.stdout is not None
        assert len(child.stdout.read(answered)) == answered
        if answered < 400:
            child.kill()
        child.communicate()
    assert child.returncode == 0
    with State(SMALL) as whole, State(SMALL, open_store(place, SMALL)) as killed:
        for i in range(len(rows)):
            expected = whole.update(rows.take(slice(i, i + 1)))
            if rows.label[i] >= 0:
                whole.learn(str(rows.id[i]), 1 - int(rows.label[i]))
            np.testing.assert_array_equal(killed.update(rows.take(slice(i, i + 1))), expected)
        assert killed.late == whole.late == 0
        np.testing.assert_array_equal(killed.features(rows), whole.features(rows))
        for kind in SMALL.entities:
            for name in rows.levels[kind].tolist():
                assert sorted(killed.history(kind, name)) == sorted(whole.history(kind, name))
