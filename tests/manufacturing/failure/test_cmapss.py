"""NASA's text files, as they are published and as they may arrive."""

import gzip
from pathlib import Path

import numpy as np
import pytest
from histories_settings import failure

from lepton_solutions.data.splits import TEST, TRAIN
from lepton_solutions.errors import UserError
from manufacturing.failure.cmapss import CMAPSS_FD001, cmapss
from manufacturing.failure.sources import collect


def lines(lengths: list[int]) -> str:
    """Engines of these many cycles, each number telling where it stands."""
    rows = [
        " ".join(f"{value:g}" for value in (engine, cycle, *(engine + cycle / 1000 + column for column in range(24))))
        for engine, length in enumerate(lengths, 1)
        for cycle in range(1, length + 1)
    ]
    return "  \n".join(rows) + "  \n"  # the published lines end in two blanks


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "train_FD004.txt").write_text(lines([5, 3]))
    (tmp_path / "test_FD004.txt.gz").write_bytes(gzip.compress(lines([2, 4]).encode()))
    (tmp_path / "RUL_FD004.txt").write_text("7 \n9 \n")
    return tmp_path


def test_fd004_is_read_by_the_page_of_its_own_packed_or_not(folder):
    fleet, _ = collect(failure("data=cmapss_fd004", f"data.path={folder}").data)
    assert fleet.unit.tolist() == ["train/1", "train/2", "test/1", "test/2"]
    assert fleet.part.tolist() == [TRAIN, TRAIN, TEST, TEST]
    assert fleet.failed_at.tolist() == [5, 3, 2 + 7, 4 + 9]
    assert fleet.seen_until.tolist() == [5, 3, 2, 4]
    places = [
        int(name[1:]) + 2 if name[0] == "s" and name[1:].isdigit() else int(name[-1]) - 1 for name in fleet.sensors
    ]
    assert len(places) == 3 + 14  # the settings, and the sensors that the protocol reads
    assert fleet.values[5].tolist() == pytest.approx([2.001 + place for place in places])
    assert fleet.settings == ("setting_1", "setting_2", "setting_3")


def test_the_four_pages_differ_in_the_set_alone():
    pages = [failure(f"data=cmapss_fd00{number}").model_dump() for number in range(1, 5)]
    for number, page in enumerate(pages, 1):
        assert page["data"].pop("source")["target"] == f"manufacturing.failure.cmapss.fd00{number}"
    assert all(page == pages[0] for page in pages)


def test_a_set_that_is_not_here_says_where_to_get_it(tmp_path, monkeypatch):
    monkeypatch.setenv("LEPTON_DATA", str(tmp_path))
    with pytest.raises(UserError, match="`cmapss` is not on this machine") as error:
        cmapss("FD004")
    assert "nasa.gov" in str(error.value)


def test_a_line_that_lost_a_number_is_named(folder):
    text = (folder / "train_FD004.txt").read_text().splitlines()
    text[3] = text[3].rsplit(maxsplit=1)[0]
    (folder / "train_FD004.txt").write_text("\n".join(text))
    with pytest.raises(UserError, match=r"train_FD004.txt, line 4: found `1 4 .*expected 26 numbers"):
        cmapss("FD004", str(folder))


def test_a_cycle_that_is_missing_is_named(folder):
    text = (folder / "train_FD004.txt").read_text().splitlines()
    (folder / "train_FD004.txt").write_text("\n".join(text[:2] + text[3:]))
    with pytest.raises(UserError, match="line 3: found cycle 4 of engine 1, expected cycle 3"):
        cmapss("FD004", str(folder))


def test_remaining_lives_of_another_set_are_refused(folder):
    (folder / "RUL_FD004.txt").write_text("7\n")
    with pytest.raises(UserError, match="found 1 remaining lives, expected one for each of the 2 engines"):
        cmapss("FD004", str(folder))


@pytest.mark.skipif(CMAPSS_FD001.find() is None, reason="C-MAPSS is not on this machine")
def test_fd001_has_its_published_size():
    fleet = cmapss("FD001")
    assert (fleet.rows, fleet.lives) == (20_631 + 13_096, 200)
    left = fleet.remaining()[fleet.last_rows()][100:]
    assert (left.min(), left.max()) == (7, 145)
    assert np.all(fleet.remaining()[fleet.last_rows()][:100] == 0)
