"""`CreditScorer` as scikit-learn knows classifiers, with categories and missing values, saved and loaded."""

import numpy as np
import pandas as pd
import pytest
from sklearn.utils.estimator_checks import check_estimator

from finance import CreditScorer
from lepton_solutions.errors import UserError

DRAWN = "networks and trees draw rows at random, so a weight of 2 is not bit for bit a row given twice"


def loans(n: int = 400) -> tuple[pd.DataFrame, np.ndarray]:
    chance = np.random.default_rng(0)
    income, city = chance.normal(size=n), chance.choice(["a", "b", None], n)
    lost = (income + 0.5 * chance.normal(size=n) < -0.3).astype(int)
    return pd.DataFrame({"income": np.where(chance.random(n) < 0.1, np.nan, income), "city": city}), lost


@pytest.fixture(scope="module")
def fitted() -> CreditScorer:
    return CreditScorer(epochs=3).fit(*loans())


@pytest.mark.filterwarnings("ignore")
def test_it_passes_the_checks_of_scikit_learn():
    expected = {"check_sample_weight_equivalence_on_dense_data": DRAWN}
    check_estimator(CreditScorer(epochs=3), expected_failed_checks=expected, on_skip=None)


def test_a_frame_may_hold_categories_and_missing_values(fitted):
    frame, lost = loans()
    assert (fitted.predict(frame) == lost).mean() > 0.75
    odd = pd.DataFrame({"income": [np.nan, 1.0], "city": [None, "unseen"]})
    assert np.isfinite(fitted.predict_proba(odd)).all()


def test_a_loaded_scorer_gives_the_same_probabilities(fitted, tmp_path):
    frame, _ = loans()
    fitted.save(tmp_path / "bundle")
    again = CreditScorer.load(tmp_path / "bundle")
    # float32 in the exported graph
    assert again.predict_proba(frame) == pytest.approx(fitted.predict_proba(frame), abs=1e-6)
    assert again.predict(frame).tolist() == fitted.predict(frame).tolist()
    with pytest.raises(UserError):
        fitted.save(tmp_path / "bundle")


def test_the_bundle_of_a_run_answers(run_folder, applicants):
    scorer = CreditScorer.load(run_folder)
    assert scorer.classes_.tolist() == [0, 1]
    assert set(scorer.decide(applicants.to_pandas())) == {"approve", "refuse"}


@pytest.mark.parametrize("y", [np.arange(60) % 3, np.zeros(60, dtype=int)], ids=["three classes", "one class"])
def test_other_than_two_classes_are_refused(y):
    with pytest.raises(ValueError, match=r"(?i)class"):
        CreditScorer(epochs=1).fit(np.random.default_rng(0).normal(size=(60, 2)), y)


def test_rows_without_weight_teach_nothing():
    x = np.random.default_rng(0).normal(size=(400, 1))
    honest = (x[:, 0] > 0).astype(int)
    planted, weight = np.where(np.arange(400) < 200, honest, 1 - honest), np.repeat([1.0, 0.0], 200)
    model = CreditScorer(epochs=3).fit(x, planted, sample_weight=weight)
    assert model.predict_proba([[2.0]])[0, 1] > 0.5 > model.predict_proba([[-2.0]])[0, 1]


def test_decide_weighs_the_costs(fitted):
    frame, _ = loans()
    risk = fitted.predict_proba(frame)[:, 1]
    assert (fitted.decide(frame) == np.where(risk >= 1 / 6, "refuse", "approve")).all()
