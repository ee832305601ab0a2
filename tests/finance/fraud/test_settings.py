"""Keys of the fraud pipeline: what is refused, and why."""

from pathlib import Path

import pytest
import yaml
from fraud_settings import fraud

import lepton_solutions
from finance.fraud.inputs import definition_of
from finance.fraud.settings import Fraud
from lepton_solutions.config import keys_of
from lepton_solutions.errors import UserError

CONF = Path(lepton_solutions.__file__).parent.parent / "conf"


@pytest.mark.parametrize("asked", ["split.kind=random", "split=random"])
def test_a_random_split_is_refused_with_the_reason(asked):
    with pytest.raises(
        UserError, match=r"found `random`, expected time, the only way .* that card's future and its fr"
    ):
        fraud(asked)


@pytest.mark.parametrize("asked", ["decision.contamination=.01", "model.contamination=.01", "fit.oversample=true"])
def test_what_the_budget_decides_is_no_key(asked):
    with pytest.raises(UserError, match="unknown key"):
        fraud(asked)


@pytest.mark.parametrize(
    ("asked", "why"),
    [
        ("features.windows=[7,1]", "expected days that rise"),
        ("features.windows=[]", "at least one entry"),
        ("features.windows=[0]", "greater than 0"),
        ("split.test=0", "greater than 0"),
        ("decision.budget=0", "greater than or equal to 1"),
        ("decision.recovered=1.5", "less than or equal to 1"),
        ("model.loss=square", "'cost', 'focal' or 'plain'"),
        ("model.anomaly=[one_class,one_class]", "each of autoencoder, variational, one_class at mos"),
        ("model.sequence=101", "less than or equal to 100"),
        ("data.entity=[card,card]", "each column once"),
        ("features.window=[7]", "did you mean `features.windows`"),
    ],
)
def test_values_out_of_range_are_refused(asked, why):
    with pytest.raises(UserError, match=why):
        fraud(asked)


def test_last_payments_need_somebody_who_pays():
    with pytest.raises(UserError, match=r"model.sequence: found 3, expected 0, as no entity is named"):
        definition_of(fraud("model.sequence=3"), ())


def test_own_transactions_are_chosen_by_a_path():
    settings = fraud(
        "data.path=tx.csv", "data.time=ts", "data.entity=[card,terminal]", "data.amount=a", "data.target=f"
    )
    assert settings.data.source.target == "finance.fraud.sources.own"
    assert settings.data.entity == ("card", "terminal")


def test_every_key_is_explained_in_its_page():
    for page in ("finance/fraud", "data/transactions"):
        text = (CONF / f"{page}.yaml").read_text()
        for line in text.splitlines():
            key, divided, _ = line.partition(":")
            if divided and not line.startswith(("#", "_target_", "defaults", "run:")) and not line.startswith("  - "):
                group = key in ("features", "fit", "model", "decision")
                assert group or "#" in line, f"{page}: {key}"
    written = yaml.safe_load((CONF / "data" / "transactions.yaml").read_text())
    in_data = {key.split(".")[1] for key in keys_of(Fraud) if key.startswith("data.")} - {"source"}
    assert set(written) == in_data


def test_the_four_sets_are_choices_of_the_pipeline():
    from lepton_solutions.places import data_choices

    assert data_choices("finance/fraud") == ["handbook", "own_transactions", "payments", "ulb"]
