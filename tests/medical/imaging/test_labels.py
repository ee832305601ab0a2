"""Labels as people write them become classes, and slips of the pen are said."""

import pytest

from lepton_solutions.errors import UserError
from medical.imaging.labels import classes_of, several_columns


def classes(cells, task="auto", positive=None):
    return classes_of(cells, task=task, positive=positive, where="m.csv")


@pytest.mark.parametrize(
    ("found", "order"),
    [
        (["pneumonia", "NORMAL"], ("NORMAL", "pneumonia")),
        (["benign", "malignant"], ("benign", "malignant")),
        (["adenoma", "no_lesion"], ("no_lesion", "adenoma")),
        (["1", "0"], ("0", "1")),
        (["cat", "dog"], ("cat", "dog")),
    ],
)
def test_of_two_labels_the_one_that_means_nothing_found_is_negative(found, order):
    made = classes(found * 4)
    assert made.labels == order
    assert f"the positive label is `{order[1]}`" in made.notes[0]


def test_the_user_says_which_label_is_positive():
    assert classes(["cat", "dog"] * 4, positive="cat").labels == ("dog", "cat")
    with pytest.raises(UserError, match=r"data.positive=cow: m.csv hold `cat`, `dog`"):
        classes(["cat", "dog"] * 4, positive="cow")


def test_numbers_are_classes_in_their_order():
    made = classes(["10", "2", "1", None] * 3)
    assert made.labels == ("1", "2", "10")
    assert made.column.to_pylist()[:4] == [2, 1, 0, None]
    with pytest.raises(UserError, match=r"found fractions such as `0.5`, expected classes"):
        classes(["0.5", "0.7", "1"] * 5)


def test_a_cell_may_name_several_labels_or_none():
    made = classes(["effusion|mass", "mass", None, "|", "nodule"])
    assert made.labels == ("effusion", "mass", "nodule")
    assert [column.to_pylist() for column in made.column] == [
        [1, 0, None, 0, 0], [1, 1, None, 0, 0], [0, 0, None, 0, 1]
    ]  # fmt: skip


def test_columns_of_labels_hold_one_zero_or_nothing():
    made = several_columns({"label_mass": ["1", "0", None], "label_edema": ["yes", "", None][:1] * 3}, where="m.csv")
    assert made.labels == ("mass", "edema")
    assert made.column[0].to_pylist() == [1, 0, None]
    with pytest.raises(UserError, match=r"m.csv, row 2, column `label_mass`: found `maybe`, expected 1, 0 or nothing"):
        several_columns({"label_mass": ["1", "maybe"]}, where="m.csv")


@pytest.mark.parametrize(
    ("right", "wrong"),
    [("malignant", "maligant"), ("normal", "Normal"), ("pneumonia", "pnuemonia"), ("lung cancer", "lung cancr")],
)
def test_a_rare_misspelling_is_said_with_its_row(right, wrong):
    cells = ["benign", right] * 50
    cells[17] = wrong
    with pytest.raises(UserError, match=rf"m.csv, row 18: found the label `{wrong}` \(1 images\) beside `{right}`"):
        classes(cells)


@pytest.mark.parametrize(
    ("common", "rare"),
    [("grade 1", "grade 2"), ("typical", "atypical"), ("left lung", "right lung"), ("kidney-left", "kidney-right"),
     ("infected", "uninfected"), ("stage a", "stage b"), ("nevus", "melanoma")],
)  # fmt: skip
def test_a_rare_label_of_its_own_is_none(common, rare):
    assert set(classes([common] * 200 + ["other"] * 200 + [rare]).labels) == {common, rare, "other"}


def test_what_tells_nothing_apart_is_refused():
    with pytest.raises(UserError, match="found only `normal`, expected two classes or more"):
        classes(["normal"] * 9)
    with pytest.raises(UserError, match="found 100 different labels in 100 images, expected classes that recur"):
        classes([f"case {i}" for i in range(100)])
