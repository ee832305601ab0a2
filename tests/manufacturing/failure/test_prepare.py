"""Parts of machines, and what the first stage leaves."""

import json
from dataclasses import fields, replace

import numpy as np
import pytest
from histories_settings import failure, histories
from small_fleets import fleet

from lepton_solutions.data.splits import CALIBRATION, PARTS, TEST, TRAIN, VALIDATION
from lepton_solutions.errors import UserError
from manufacturing.failure.fleet import Fleet
from manufacturing.failure.parts import known_before, split_fleet
from manufacturing.failure.prepare import prepare, question_of, read_card, read_fleet, window_of
from manufacturing.failure.simulator import Machines, simulate


@pytest.fixture(scope="module")
def maintained() -> Fleet:
    return simulate(Machines(units=40, maintained=True)).fleet


def parts_of(fleet: Fleet, seed: int = 0, **keys: object) -> Fleet:
    return split_fleet(fleet, histories(**keys), "rul", np.random.default_rng(seed)).fleet


def test_all_lives_of_a_machine_are_in_one_part(maintained):
    split = parts_of(maintained)
    pairs = np.unique(np.column_stack([split.unit, split.part.astype(str)]), axis=0)
    assert len(pairs) == 40
    assert set(split.part.tolist()) == {0, 1, 2, 3}


def test_a_published_test_part_stays_and_the_rest_is_cut_from_train(maintained):
    number = np.unique(maintained.unit, return_inverse=True)[1]
    given = replace(maintained, part=np.where(number < 30, TRAIN, TEST).astype(np.int8))
    split = parts_of(given)
    np.testing.assert_array_equal(split.part == TEST, given.part == TEST)
    assert {VALIDATION, CALIBRATION} < set(split.part.tolist())


def test_by_time_nothing_is_learned_that_happened_after_the_next_part_began():
    fleet = simulate(Machines(units=40)).fleet
    begins = np.repeat(60.0 * np.arange(40), np.diff(fleet.starts))
    fleet = replace(
        fleet,
        time=fleet.time + begins,
        failed_at=fleet.failed_at + 60.0 * np.arange(40),
        seen_until=fleet.seen_until + 60.0 * np.arange(40),
    )
    split = parts_of(fleet, split="time", parts=(0.7, 0.1, 0.1, 0.1))
    row_part = split.part[split.life_of_row()]
    for earlier, later in zip(range(3), range(1, 4), strict=True):
        begin = split.time[row_part == later].min()
        assert split.time[row_part == earlier].max() < begin
        assert np.nanmax(split.failed_at[split.part == earlier]) < begin
        assert split.seen_until[split.part == earlier].max() <= begin


def test_a_failure_after_the_cut_has_not_happened_yet():
    fleet = simulate(Machines(units=4, censored=0.0)).fleet
    known = known_before(fleet, np.array([True, True, False, False]), 30.0)
    assert np.isnan(known.failed_at[:2]).all() and np.isfinite(known.failed_at[2:]).all()
    assert known.seen_until[:2].tolist() == [30, 30]
    np.testing.assert_array_equal(known.outlived()[: known.starts[1]], 30 - known.time[: known.starts[1]])


def test_fewer_machines_than_parts_are_refused():
    with pytest.raises(UserError, match="found 3 machines, expected 4 or more"):
        parts_of(simulate(Machines(units=3)).fleet)


def test_a_part_without_a_failure_is_refused_where_remaining_life_is_asked():
    fleet = simulate(Machines(units=40)).fleet
    failed = fleet.failed_at.copy()
    failed[np.flatnonzero(np.isfinite(failed))[2:]] = np.nan
    with pytest.raises(UserError, match="no machine that failed, of 2 in all"):
        parts_of(replace(fleet, failed_at=failed))


def test_what_was_written_is_read_again(tmp_path):
    settings = failure("seed=3")
    fleet = simulate(Machines(units=40)).fleet
    prepare(settings, tmp_path, tmp_path, (fleet, None))
    again, card = read_fleet(tmp_path), read_card(tmp_path)
    for field in fields(Fleet):
        before, after = getattr(fleet, field.name), getattr(again, field.name)
        if field.name == "part":
            continue
        if isinstance(before, np.ndarray):
            np.testing.assert_array_equal(before, after)
        else:
            assert before == after, field.name
    assert card.question == "rul"
    assert sum(part.rows for part in card.parts.values()) == fleet.rows
    assert list(card.parts) == list(PARTS)
    assert card.read_layout().sensors == fleet.sensors
    assert isinstance(json.loads((tmp_path / "audit.json").read_text()), list)


def test_a_failing_audit_ends_the_run_and_leaves_its_findings(tmp_path):
    fleet = simulate(Machines(units=40)).fleet
    counter = np.nan_to_num(fleet.remaining(), nan=50.0)[:, None].astype(np.float32)
    leaking = replace(fleet, sensors=("left", *fleet.sensors), values=np.hstack([counter, fleet.values]))
    (tmp_path / "out").mkdir()
    with pytest.raises(UserError, match="column `left` gives the answer away"):
        prepare(failure(), tmp_path, tmp_path / "out", (leaking, None))
    assert json.loads((tmp_path / "audit.json").read_text())[0]["columns"] == ["left"]


def test_questions_that_the_fleet_cannot_answer_are_refused():
    fleet = simulate(Machines(units=10)).fleet
    with pytest.raises(UserError, match="question=diagnosis: machines has no label"):
        question_of(fleet, "diagnosis")
    assert question_of(fleet, "failure") == "failure"


def vibration(samples: int, **changes: object) -> Fleet:
    one = fleet([(samples, None)] * 8, label=[place % 2 for place in range(8) for _ in range(samples)])
    return replace(one, vibration=True, question="diagnosis", **changes)


def test_the_window_is_that_of_the_kind_of_rows_unless_it_is_set(maintained):
    settings = failure("data=own_histories")
    products = fleet([(1, None)] * 3, label=[0, 1, 0])
    assert [window_of(settings, one) for one in (maintained, vibration(9000), products)] == [40, 8192, 1]
    assert window_of(failure("data=own_histories", "inputs.window=12"), maintained) == 12


def test_a_vibration_is_asked_once_every_half_window(tmp_path):
    settings = failure("data=own_histories", "inputs.window=100", "question=diagnosis")
    prepare(settings, tmp_path, tmp_path, (vibration(360), None))
    label = read_fleet(tmp_path).label.reshape(8, 360)
    assert [np.flatnonzero(row >= 0).tolist() for row in label] == [[99, 149, 199, 249, 299, 349]] * 8


def test_a_vibration_without_labels_is_refused(tmp_path):
    unlabelled = vibration(360, label=None, labels=(), failed_at=np.full(8, 400.0))
    with pytest.raises(UserError, match="is a vibration, of which labels are learned"):
        prepare(failure("data=own_histories", "question=rul"), tmp_path, tmp_path, (unlabelled, None))
