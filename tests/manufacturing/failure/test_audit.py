"""What the audit of a fleet finds, by name."""

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
from histories_settings import histories

from lepton_solutions.data.findings import Finding
from lepton_solutions.data.sources import Source
from lepton_solutions.data.splits import TEST, TRAIN
from manufacturing.failure.audit import audit
from manufacturing.failure.fleet import Fleet
from manufacturing.failure.histories import fleet_of, own_histories
from manufacturing.failure.simulator import Machines, simulate

AI4I = Source(name="ai4i2020", file="ai4i2020.csv", home="", licence="", cite="")


@pytest.fixture(scope="module")
def fleet() -> Fleet:
    made = simulate(Machines(units=40)).fleet
    return replace(made, part=np.where(np.arange(40) < 30, TRAIN, TEST).astype(np.int8))


def with_sensor(fleet: Fleet, name: str, values: np.ndarray) -> Fleet:
    added = np.hstack([fleet.values, values[:, None].astype(np.float32)])
    return replace(fleet, sensors=(*fleet.sensors, name), values=added)


def with_values(fleet: Fleet, name: str, lives: list[int], change) -> Fleet:
    values, column = fleet.values.copy(), fleet.sensors.index(name)
    rows = np.isin(fleet.life_of_row(), lives)
    values[rows, column] = change(values[rows, column])
    return replace(fleet, values=values)


def found(fleet: Fleet, check: str, level: str) -> list[Finding]:
    return [one for one in audit(fleet) if (one.check, one.level) == (check, level)]


def test_simulated_machines_pass(fleet):
    assert not [one for one in audit(fleet) if one.level == "fail"]


def test_a_machine_with_lives_in_two_parts_fails(fleet):
    unit = fleet.unit.copy()
    unit[39] = unit[0]
    assert "`machine 001`" in found(replace(fleet, unit=unit), "owner", "fail")[0].message


def test_one_record_in_two_parts_under_two_names_fails(fleet):
    both = fleet.take(np.array([*range(40), 0]))
    both = replace(both, unit=np.append(both.unit[:40], "copy"), part=np.append(both.part[:40], TEST).astype(np.int8))
    assert "`copy`, `machine 001`" in found(both, "duplicates", "fail")[0].message


@pytest.mark.parametrize(
    "counter",
    [
        lambda f: np.nan_to_num(f.remaining(), nan=50.0),
        lambda f: -3.0 * np.floor(np.nan_to_num(f.remaining(), nan=50.0)),
        lambda f: 1000 - np.nan_to_num(f.remaining(), nan=50.0) ** 2,
    ],
    ids=["falls by one", "rises by three", "square"],
)
def test_a_counter_of_the_remaining_life_fails_by_name(fleet, counter):
    (one,) = found(with_sensor(fleet, "countdown", counter(fleet)), "giveaway", "fail")
    assert one.columns == ("countdown",)
    assert one.hint == "data.ignore=[countdown] leaves them out"


def test_a_flag_before_the_failure_fails_by_name(fleet):
    flag = np.zeros(fleet.rows)
    flag[fleet.last_rows()[np.isfinite(fleet.failed_at)]] = 1
    assert found(with_sensor(fleet, "tripped", flag), "giveaway", "fail")[0].columns == ("tripped",)


def test_age_is_no_giveaway(fleet):
    age = fleet.time - np.repeat(fleet.time[fleet.starts[:-1]], np.diff(fleet.starts))
    assert not found(with_sensor(fleet, "hours_run", age), "giveaway", "fail")


@pytest.mark.skipif(AI4I.find() is None, reason="AI4I is not on this machine")
def test_the_failure_modes_of_ai4i_fail_by_name():
    data = histories(path=str(AI4I.find()), label="Machine failure", ignore=("UDI", "Product ID"))
    fleet, _ = own_histories(data)
    assert [one.columns[0] for one in found(fleet, "giveaway", "fail")] == ["TWF", "HDF", "PWF", "OSF", "RNF"]
    without = own_histories(data.model_copy(update={"ignore": (*data.ignore, "TWF", "HDF", "PWF", "OSF", "RNF")}))[0]
    assert not [one for one in audit(without) if one.level == "fail"]


@pytest.mark.parametrize("factor", [1000, 10, 0.001])
def test_another_unit_of_measure_is_suspected(fleet, factor):
    changed = with_values(fleet, "pressure", [3, 7], lambda column: column * factor)
    (one,) = found(changed, "unit_of_measure", "warning")
    assert one.columns == ("pressure",)
    assert "`machine 004`, `machine 008`" in one.message


def test_a_sensor_that_is_absent_or_stuck_in_some_machines_is_named(fleet):
    absent = with_values(fleet, "current", [2], lambda column: column * np.nan)
    assert (
        "`machine 003`" in next(one for one in found(absent, "absent", "warning") if "current" in one.message).message
    )
    stuck = with_values(fleet, "current", [2], lambda column: column * 0 + 30)
    stuck = replace(stuck, values=np.nan_to_num(stuck.values, nan=30.0))
    assert any(one.columns == ("current",) for one in found(stuck, "constant", "warning"))


def test_a_sensor_that_never_changes_is_named(fleet):
    assert found(fleet, "constant", "info")[0].columns == ("supply_voltage",)


def test_a_machine_of_one_row_is_named():
    table = pa.table({"t": [1, 2, 1], "m": ["a", "a", "b"], "x": [1.0, 2.0, 3.0]})
    fleet = fleet_of(table, histories(unit="m", time="t"), where="rows.csv")[0]
    assert "`b`" in found(fleet, "short", "warning")[0].message
