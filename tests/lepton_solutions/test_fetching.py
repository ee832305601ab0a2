"""Without a network: nothing is tried, and a packed folder is all that another machine needs."""

import numpy as np
import pytest

from lepton_solutions.data.tables import read_table
from lepton_solutions.errors import UserError
from lepton_solutions.fetching import fetch
from lepton_solutions.offline import is_offline, refuse


@pytest.fixture
def breast(tmp_path, monkeypatch):
    monkeypatch.setenv("LEPTON_DATA", str(tmp_path / "root"))
    (tmp_path / "root" / "medmnist").mkdir(parents=True)
    arrays = {f"{part}_images": np.zeros((4, 28, 28), np.uint8) for part in ("train", "val", "test")}
    labels = {f"{part}_labels": np.array([[0], [1], [0], [1]], np.uint8) for part in ("train", "val", "test")}
    np.savez(tmp_path / "root" / "medmnist" / "breastmnist.npz", **arrays, **labels)
    return tmp_path


def test_a_folder_is_packed_from_which_the_set_is_read_offline(breast, monkeypatch):
    text = fetch("medical/imaging", ["data=breastmnist"], breast / "packed")
    assert "LEPTON_OFFLINE=1 LEPTON_DATA=$PWD/data" in text
    monkeypatch.setenv("LEPTON_DATA", str(breast / "packed" / "data"))
    monkeypatch.setenv("LEPTON_OFFLINE", "1")
    from medical.imaging.sources import breastmnist

    assert len(breastmnist()) == 12


def test_a_second_pipeline_is_added_to_the_same_folder(breast):
    for pipeline, data in (
        ("medical/imaging", "breastmnist"),
        ("finance/credit", "german"),
        ("finance/credit", "german"),
    ):
        fetch(pipeline, [f"data={data}"], breast / "packed")
    commands = [line for line in (breast / "packed" / "README.txt").read_text().splitlines() if "lepton run" in line]
    assert len(commands) == 2
    assert (breast / "packed" / "data" / "statlog_german_credit" / "german.data").is_file()


def test_the_command_tells_what_to_run_there(lepton, breast):
    answer = lepton("fetch", "medical/imaging", "data=breastmnist", "-o", breast / "packed")
    assert answer.code == 0 and answer.out.rstrip().endswith("lepton run medical/imaging data=breastmnist")
    answer = lepton("fetch", "medical/imagin", "-o", breast / "other")
    assert answer.code == 2 and "did you mean `medical/imaging`?" in answer.err and not (breast / "other").exists()


def test_what_needs_nothing_says_so(tmp_path):
    assert "medical/imaging needs nothing from the network" in fetch(
        "medical/imaging", ["data=phantom"], tmp_path / "a"
    )


def test_offline_refuses_addresses_and_servers(monkeypatch, tmp_path):
    monkeypatch.setenv("LEPTON_OFFLINE", "1")
    with pytest.raises(UserError, match=r"https://example.org/rows.csv: LEPTON_OFFLINE=1 forbids every call"):
        read_table("https://example.org/rows.csv")
    monkeypatch.setenv("WANDB_MODE", "online")
    from lepton_solutions.training.loggers import WeightsAndBiases

    pytest.importorskip("wandb")
    with pytest.raises(UserError, match=r"WANDB_MODE=online: LEPTON_OFFLINE=1 forbids"):
        WeightsAndBiases(tmp_path, {}, None)


@pytest.mark.parametrize(("value", "forbidden"), [("1", True), ("yes", True), ("0", False), ("", False)])
def test_any_value_but_0_forbids(monkeypatch, value, forbidden):
    monkeypatch.setenv("LEPTON_OFFLINE", value)
    assert is_offline() == forbidden
    if not forbidden:
        refuse("a call")
