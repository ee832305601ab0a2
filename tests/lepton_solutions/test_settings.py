"""What holds of every group of config keys."""

import pytest
from fit_settings import fit_settings
from pydantic import ValidationError

from lepton_solutions.errors import UserError
from lepton_solutions.settings import Call, Fit, Run

FIT = fit_settings().model_dump()


def test_settings_cannot_be_changed():
    with pytest.raises(ValidationError, match="frozen"):
        Fit(**FIT).epochs = 4


def test_a_key_that_is_not_declared_is_refused():
    with pytest.raises(ValidationError, match="extra_forbidden"):
        Fit(**FIT, epoch=4)


@pytest.mark.parametrize(
    ("key", "inside", "outside"),
    [
        ("epochs", [None, 1, 100_000], [0, 100_001]),
        ("batch_size", [None, 1], [0]),
        ("learning_rate", [1e-9, 10], [0, 10.1]),
        ("weight_decay", [0, 10], [-0.1, 10.1]),
        ("label_smoothing", [0, 0.49], [-0.1, 0.5]),
    ],
)
def test_the_ends_of_a_range_are_inside_or_outside_as_the_page_says(key, inside, outside):
    for value in inside:
        Fit(**FIT | {key: value})
    for value in outside:
        with pytest.raises(ValidationError):
            Fit(**FIT | {key: value})


def test_true_is_no_number_but_a_switch():
    assert Run(dir=None, new=True).new
    with pytest.raises(ValidationError, match="a number"):
        Fit(**FIT | {"epochs": True})


def test_a_call_finds_what_it_names():
    assert Call(_target_="math.sqrt").resolve()(9) == 3


@pytest.mark.parametrize("name", ["no_such_module.f", "math.no_such_name"])
def test_a_call_that_names_nothing_is_the_users_mistake(name: str):
    with pytest.raises(UserError, match=f"`_target_: {name}` cannot be imported"):
        Call(_target_=name).resolve()
