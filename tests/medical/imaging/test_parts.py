"""Splits of images: patients and sites whole, published parts as they are, and a class that is too rare said."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from images_settings import IMAGES

from lepton_solutions.data.splits import CALIBRATION, TEST, TRAIN, VALIDATION
from lepton_solutions.errors import UserError
from medical.imaging.parts import split_images, strata
from medical.imaging.settings import Images
from medical.imaging.sources import index_table


def cut(target, *, part=None, twins=None, seed=0, labels=None, task=None, known=None, **data):
    target = np.asarray(target)
    n = len(target)
    several = target.ndim == 2
    labels = labels or [f"class {i}" for i in range(target.shape[1] if several else target.max() + 1)]
    task = task or ("multilabel" if several else "binary" if len(labels) == 2 else "multiclass")
    index = index_table([f"{i}.png" for i in range(n)], pa.array([0] * n, pa.int64()), part, **(known or {}))
    return split_images(
        index,
        target,
        np.arange(n) if twins is None else twins,
        Images.model_validate(IMAGES | data),
        task=task,
        labels=labels,
        generator=np.random.default_rng(seed),
    )


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 10_000), st.integers(2, 5))
def test_patients_stay_whole_and_every_part_has_every_class(seed, classes):
    drawn = np.random.default_rng(seed)
    patient = drawn.integers(0, 150, 400)
    target = drawn.permutation(np.arange(150) % classes)[patient]
    part = cut(target, seed=seed, known={"patient": [f"p{one}" for one in patient]}).part
    assert all(len(set(part[patient == one])) == 1 for one in np.unique(patient))
    assert all(set(target[part == one]) == set(range(classes)) for one in range(4))
    assert np.bincount(part, minlength=4) / 400 == pytest.approx([0.6, 0.1, 0.1, 0.2], abs=0.06)


def test_identical_images_stay_in_one_part_also_across_patients():
    twins = np.arange(200) // 2
    part = cut(np.arange(200) // 2 % 2, twins=twins).part
    assert (part[::2] == part[1::2]).all()


def test_a_study_may_be_named_alike_for_two_patients():
    known = {"patient": [f"p{i // 4}" for i in range(200)], "study": [f"s{i // 2 % 2}" for i in range(200)]}
    part = cut(np.arange(200) // 4 % 2, known=known, group="study").part
    assert all(len(set(part[i : i + 2])) == 1 for i in range(0, 200, 2))
    assert len(set(part)) == 4


def test_whole_sites_are_held_out_for_the_test_part():
    site = [f"hospital {i % 5}" for i in range(400)]
    made = cut(np.arange(400) // 5 % 2, group="site", known={"site": site})
    held = {one for one, part in zip(site, made.part, strict=True) if part == TEST}
    assert held.isdisjoint({one for one, part in zip(site, made.part, strict=True) if part != TEST})
    assert len(held) == 1
    assert made.notes == (f"held out for the test part: {held.pop()}",)
    assert np.bincount(made.part, minlength=4).min() > 0
    with pytest.raises(UserError, match=r"data.group=site: found one site, expected two or more"):
        cut(np.arange(400) % 2, group="site", known={"site": ["one"] * 400})
    with pytest.raises(UserError, match="no image has a site"):
        cut(np.arange(400) % 2, group="site")


def test_a_patient_of_two_sites_is_held_out_with_both_or_not_at_all():
    site = ["a", "b", "c"] * 100
    patient = [f"p{i}" for i in range(300)]
    patient[0] = patient[1] = "both"  # sites a and b
    part = cut(np.arange(300) // 3 % 2, group="site", known={"site": site, "patient": patient}).part
    assert len({part[i] == TEST for i in range(300) if site[i] in "ab"}) == 1


def test_a_given_split_stays_and_calibration_is_cut_from_validation():
    given_part = np.repeat([TRAIN, VALIDATION, TEST], [100, 60, 40])
    made = cut(np.arange(200) % 2, part=given_part)
    assert made.given
    assert (made.part[:100] == TRAIN).all()
    assert (made.part[160:] == TEST).all()
    assert np.bincount(made.part[100:160], minlength=4).tolist() == [0, 30, 30, 0]
    assert made.notes == ("the split that is given lacks 30 for calibration: cut from its validation images",)


def test_a_given_split_without_validation_gets_it_from_train():
    part = cut(np.arange(200) % 2, part=np.repeat([TRAIN, TEST], [160, 40])).part
    assert np.bincount(part).tolist() == [120, 20, 20, 40]
    part = cut(np.arange(200) % 2, part=np.repeat([TRAIN, CALIBRATION, TEST], [140, 20, 40])).part
    assert np.bincount(part).tolist() == [120, 20, 20, 40]


def test_a_given_split_must_be_whole():
    with pytest.raises(UserError, match="the split that is given has no test images"):
        cut(np.arange(20) % 2, part=np.zeros(20))
    with pytest.raises(UserError, match=r"`3.png` has no split, but others have; 1 images are like it"):
        cut(np.arange(20) % 2, part=np.where(np.arange(20) == 3, -1, np.arange(20) % 4))
    with pytest.raises(UserError, match="the test part that is given holds no image of class `class 1`"):
        cut([0, 1] * 8 + [0] * 4, part=np.repeat([TRAIN, VALIDATION, CALIBRATION, TEST], [8, 4, 4, 4]))


@pytest.mark.parametrize(
    ("patients", "said"),
    [
        (
            [f"p{i}" for i in range(97)] + ["one"] * 3,
            r"class `class 1` has 3 images of 1 patients, expected at least 4",
        ),
        (None, r"class `class 1` has 3 images of 3 distinct images, expected at least 4"),
    ],
)
def test_a_class_of_one_patient_is_said_by_name(patients, said):
    with pytest.raises(UserError, match=said):
        cut([0] * 97 + [1] * 3, known={"patient": patients} if patients else None)


def test_images_of_unknown_label_go_with_their_patient_and_else_to_train():
    target = np.tile([0, 1, -1], 80)
    patient = [f"p{i // 3 * 2 + (i % 3 > 0)}" for i in range(240)]  # the unknown one belongs to the patient of class 1
    patient[2] = "alone"
    part = cut(target, known={"patient": patient}).part
    assert part[2] == TRAIN
    assert (part[5::3] == part[4::3]).all()


def test_several_labels_are_spread_by_the_rarest():
    drawn = np.random.default_rng(0)
    target = (drawn.random((600, 3)) < [0.5, 0.1, 0.02]).astype(np.float32)
    part = cut(target, labels=["common", "rare", "rarest"]).part
    for one in range(4):
        assert target[part == one].sum(axis=0).min() >= 1
    assert strata(target, "multilabel")[target[:, 2] == 1].min() == 3
    with pytest.raises(UserError, match="the train part would hold no image with `never`"):
        cut(np.column_stack([target[:, 0], np.zeros(600)]).astype(np.float32), labels=["common", "never"])


def test_what_is_cut_from_given_parts_or_sites_keeps_patients_whole():
    target, patient = np.arange(400) // 4 % 2, [f"p{i // 4}" for i in range(400)]
    for more in (
        {"part": np.repeat([TRAIN, VALIDATION, TEST], [200, 120, 80]), "known": {"patient": patient}},
        {"part": np.repeat([TRAIN, TEST], [320, 80]), "known": {"patient": patient}},
        {"group": "site", "known": {"patient": patient, "site": [f"h{i // 80}" for i in range(400)]}},
    ):
        part = cut(target, **more).part
        assert len(set(part)) == 4 and all(len(set(part[i : i + 4])) == 1 for i in range(0, 400, 4))
