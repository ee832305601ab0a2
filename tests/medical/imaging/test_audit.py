import csv
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from scipy import ndimage

from lepton_solutions.data.images import Picture
from lepton_solutions.data.splits import TEST, TRAIN, VALIDATION
from medical.imaging.audit import Audited, audit, groups_file
from medical.imaging.looks import Look, look
from medical.imaging.sources import index_table

N = 80


def texture(seed: int) -> np.ndarray:
    made = ndimage.gaussian_filter(np.random.default_rng(seed).normal(size=(64, 64)), 2)
    return np.clip(128 + 45 * made / made.std(), 0, 255).astype(np.uint8)


def seen(pixels: np.ndarray, **facts: str) -> Look:
    return look(Picture(pixels[None], None, facts))


def told(
    pictures: list[np.ndarray], *, parts: np.ndarray | None, label: np.ndarray | None = None, ours: bool = True, **given
) -> Audited:
    """The audit of these pictures; patients and so on by keyword."""
    columns = {name: given.pop(name) for name in ("patient", "study", "site") if name in given}
    target = np.arange(len(pictures)) // 2 % 2 if label is None else label
    index = index_table([f"{i}.png" for i in range(len(pictures))], pa.array(target), **columns)
    looks = given.pop("looks", None) or [seen(one) for one in pictures]
    return audit(index, looks, target=target, labels=["well", "ill"], published_split=not ours, parts=parts, **given)


@pytest.fixture(scope="module")
def pictures() -> list[np.ndarray]:
    return [texture(seed) for seed in range(N)]


@pytest.fixture
def parts() -> np.ndarray:
    return (np.arange(N) % 4).astype(np.int8)


def test_unlike_images_pass(pictures, parts):
    found = told(pictures, parts=parts)
    assert found.findings == []
    assert len(np.unique(found.groups)) == N


def test_a_turned_copy_in_another_part_fails_our_split_and_warns_of_a_published_one(pictures, parts):
    pictures = [*pictures[:-1], np.rot90(pictures[0])]  # the first is of train, the last of test
    (finding,) = told(pictures, parts=parts).findings
    assert (finding.level, finding.check, finding.rows) == ("fail", "near_duplicates", 2)
    assert finding.message == (
        "altered copies of an image of another part: 2 images (train 1, test 1), such as 0.png, 79.png"
    )
    assert "groups.csv" in finding.hint
    assert [one.level for one in told(pictures, parts=parts, ours=False).findings] == ["warning"]
    assert [one.level for one in told(pictures, parts=parts, ours=False, duplicates="fail").findings] == ["fail"]


def test_equal_images_are_told_apart_from_altered_ones(pictures, parts):
    found = told([*pictures[:-1], pictures[0]], parts=parts, ours=False)
    assert [(one.check, one.rows) for one in found.findings] == [("contradictions", 2), ("duplicates", 2)]
    assert found.groups[0] == found.groups[-1]
    assert "near_duplicates" not in [one.check for one in found.findings]


def test_equal_images_with_different_labels_are_named(pictures, parts):
    found = told([*pictures[:-1], pictures[0]], parts=np.zeros(N, np.int8))
    (finding,) = found.findings
    assert finding.check == "contradictions" and finding.message.endswith("2 images, such as 0.png, 79.png")


def test_copies_in_one_part_are_no_leak(pictures):
    same = np.zeros(N, np.int8)
    label = np.arange(N) // 2 % 2
    label[-1] = label[0]
    assert told([*pictures[:-1], np.rot90(pictures[0])], parts=same, label=label).findings == []


def test_a_set_without_parts_is_told_what_a_split_has_to_keep_together(pictures):
    (finding,) = told([*pictures[:-1], pictures[0][:, ::-1]], parts=None).findings
    assert (finding.level, finding.check, finding.rows) == ("warning", "near_duplicates", 2)


@pytest.mark.parametrize("name", ["patient", "study"])
def test_an_owner_in_two_parts_fails(pictures, parts, name):
    owner = [f"p{number}" for number in range(N)]
    owner[3] = "p0"
    (finding,) = told(pictures, parts=parts, **{name: owner}).findings
    assert (finding.level, finding.check, finding.columns, finding.rows) == ("fail", "owner", (name,), 2)
    assert "p0" not in finding.message + finding.hint  # who it is stays out of the report


def test_a_study_is_known_by_its_patient_too(pictures, parts):
    patients = [f"p{i}" for i in range(N)]
    assert told(pictures, parts=parts, patient=patients, study=["1"] * N).findings == []
    (found,) = told(pictures, parts=parts, study=["1"] * N).findings
    assert (found.level, found.columns) == ("fail", ("study",))


def test_a_site_has_to_be_held_out_whole_only_when_that_was_asked(pictures):
    parts = np.repeat([TRAIN, VALIDATION, TEST, TEST], N // 4).astype(np.int8)
    site = ["a"] * (N // 2) + ["b"] * (N // 2)  # train and validation share a site, test has its own
    assert told(pictures, parts=parts, site=site, group="site").findings == []
    site[0] = "b"
    assert [one.level for one in told(pictures, parts=parts, site=site, group="site").findings] == ["fail"]
    assert told(pictures, parts=parts, site=site).findings == []


def test_blank_odd_and_unreadable_images_are_listed(pictures, parts):
    looks = [seen(one) for one in pictures]
    looks[5] = looks[9] = seen(np.full((64, 64), 3, np.uint8))
    looks[7] = seen(texture(7)[:50])
    found = told(pictures, parts=parts, looks=looks, unreadable=[("x.png", "found an empty file")])
    told_of = {one.check: one for one in found.findings}
    assert told_of["blank"].rows == 2 and "5.png, 9.png" in told_of["blank"].message
    assert told_of["size"].level == "info" and "7.png" in told_of["size"].message
    assert "1 of 81 images, such as x.png: found an empty file" in told_of["unreadable"].message
    assert set(told_of) == {"blank", "size", "unreadable"}  # equal blanks in two parts leak nothing


def test_the_groups_file_is_a_manifest_that_joins_copies_and_patients(tmp_path: Path):
    index = index_table(["a.png", "b.png", "c.png", "d.png"], pa.array([0, 1, 1, None]), patient=["p", "p", None, "q"])
    groups_file(tmp_path / "groups.csv", index, np.array([0, 1, 1, 2]), ["well", "ill"])
    rows = list(csv.DictReader((tmp_path / "groups.csv").open()))
    assert [row["path"] for row in rows] == ["a.png", "b.png", "c.png", "d.png"]
    assert [row["label"] for row in rows] == ["well", "ill", "ill", ""]
    assert [row["patient"] for row in rows] == ["group-0", "group-0", "group-0", "group-1"]
