"""Detectors and models: what is unlike the rest stands out, and every graph answers as what was trained."""

import numpy as np
import onnxruntime
import pytest
from fraud_settings import fraud
from sklearn.metrics import roc_auc_score

from finance.fraud.detectors import Detector, fit_detector, telling
from finance.fraud.features import OF_LAST
from finance.fraud.forest import fit_forest
from finance.fraud.members import FraudNet, at_stake, combine, fit_networks, fit_simple, thinned
from finance.fraud.sequence import SequenceModel
from lepton_solutions.data.columns import Column, Columns, Rows
from lepton_solutions.data.prepare import Sample

NAMES = ("amount", "hour of day", "card: amount over mean, 90 d", "card: known fraud rate, 7 d", "risk")
COLUMNS = Columns((*(Column(name, "numeric") for name in NAMES), Column("channel", "category", ("web", "shop"))))
QUICK = ("fit.epochs=3", "model.members=2", "model.width=8")


def sample(n: int, seed: int) -> Sample:
    """A fraud is large against the mean, or where frauds were known; one value in ten is missing."""
    draw = np.random.default_rng(seed)
    numeric = draw.lognormal(0, 0.5, (n, len(NAMES))).astype(np.float32)
    target = (draw.random(n) < 0.05).astype(np.int8)
    numeric[target == 1, 2:4] *= 4
    numeric[draw.random(numeric.shape) < 0.1] = np.nan
    return Sample(Rows(numeric, draw.integers(0, 4, (n, 1))), target, np.ones(n))


def test_detectors_read_the_payment_itself_and_columns_of_the_data():
    assert telling(NAMES, ("risk",)) == [0, 2, 3, 4]


@pytest.mark.parametrize("kind", ["autoencoder", "variational", "one_class"])
def test_what_is_unlike_the_good_rows_scores_higher_and_a_saved_detector_says_the_same(kind, tmp_path):
    fitted, asked = sample(3000, 0), sample(2000, 1)
    good = fitted.rows.numeric[fitted.target == 0]
    detector = fit_detector(kind, good, [0, 2, 3], fraud(*QUICK).fit, seed=0)
    score = detector.logit(asked.rows)
    assert roc_auc_score(asked.target, score) > 0.85
    detector.save(tmp_path)
    np.testing.assert_array_equal(Detector.load(tmp_path, kind).logit(asked.rows), score)
    again = fit_detector(kind, good, [0, 2, 3], fraud(*QUICK).fit, seed=0)
    np.testing.assert_array_equal(again.logit(asked.rows), score)


def test_the_forest_beside_them_finds_them_too():
    fitted, asked = sample(3000, 0), sample(2000, 1)
    forest = fit_forest(fitted.rows.numeric[fitted.target == 0], [0, 2, 3], seed=0)
    assert roc_auc_score(asked.target, forest.logit(asked.rows)) > 0.85


@pytest.mark.parametrize("loss", ["plain", "focal", "cost"])
def test_network_and_detectors_are_one_graph(loss, tmp_path):
    fitted, asked = sample(2000, 0), sample(500, 1)
    extras = Columns((Column("risk", "numeric"), COLUMNS.columns[-1]))
    settings = fraud(*QUICK, f"model.loss={loss}", "model.anomaly=[autoencoder,one_class]")
    models, detectors = fit_networks(settings, COLUMNS, extras, fitted, None, stake=np.ones(2000), names=("mlp",))
    assert set(detectors) == {"autoencoder", "one_class"}
    network = models["mlp"]
    session = onnxruntime.InferenceSession(network.graph().SerializeToString(), providers=["CPUExecutionProvider"])
    inputs = {"numeric": asked.rows.numeric, "codes": asked.rows.codes}
    said = network.logit(asked.rows)
    np.testing.assert_allclose(session.run(["logit"], inputs)[0], said, atol=1e-3)
    assert roc_auc_score(asked.target, said) > 0.8
    network.save(tmp_path)
    np.testing.assert_array_equal(FraudNet.load(tmp_path).logit(asked.rows), said)


def test_what_is_told_by_the_order_of_the_last_payments_is_learned_and_exported(tmp_path):
    """A fraud follows a small payment of before an hour ago that came right after a large one."""
    draw, count = np.random.default_rng(0), 3
    last = [f"card: {what}, {i} before" for i in range(1, count + 1) for what in OF_LAST]
    further = (Column("risk", "numeric"), Column("channel", "category", ("web", "shop")))
    columns = Columns((Column("amount", "numeric"), *(Column(name, "numeric") for name in last), *further))
    payments = draw.lognormal(3, 1, (4000, count, 3))
    payments[:, :, 1] = np.cumsum(payments[:, :, 1], axis=1)
    payments[:, :, 2] = np.nan
    target = ((payments[:, 0, 0] < 15) & (payments[:, 1, 0] > 30)).astype(np.int8)
    payments[::50] = np.nan  # cards never seen
    numeric = np.hstack([draw.lognormal(3, 1, (4000, 1)), payments.reshape(4000, -1), draw.random((4000, 1))])
    rows = Rows(numeric.astype(np.float32), draw.integers(0, 4, (4000, 1)))
    fitted = Sample(rows.take(slice(3000)), target[:3000], np.ones(3000))
    settings = fraud("fit.epochs=6", "model.members=2", "model.width=16", f"model.sequence={count}", "model.anomaly=[]")
    models, _ = fit_networks(
        settings, columns, Columns(further), fitted, None, stake=np.ones(3000), names=("sequence",)
    )
    asked, seen = rows.take(slice(3000, None)), np.arange(3000, 4000) % 50 > 0
    said = models["sequence"].logit(asked)
    assert roc_auc_score(target[3000:][seen], said[seen]) > 0.95
    graph = models["sequence"].graph()
    session = onnxruntime.InferenceSession(graph.SerializeToString(), providers=["CPUExecutionProvider"])
    answers = session.run(["logit"], {"numeric": asked.numeric, "codes": asked.codes})[0]
    np.testing.assert_allclose(answers, said, atol=1e-3)
    models["sequence"].save(tmp_path)
    np.testing.assert_array_equal(SequenceModel.load(tmp_path).logit(asked), said)
    alone = models["sequence"].logit(asked.take(slice(7, 8)))
    np.testing.assert_allclose(alone, said[7:8], rtol=1e-12)  # doubles add up in another order


def test_dear_frauds_count_more_by_their_cost_and_sure_rows_less_by_the_focal_loss():
    """Half of the rows with a high first and of those with a high second number are frauds, the second ones dear."""
    draw = np.random.default_rng(0)
    numeric = draw.random((3000, 2)).astype(np.float32)
    first, second = np.arange(3000) < 300, (np.arange(3000) >= 300) & (np.arange(3000) < 600)
    numeric[first, 0] += 5
    numeric[second, 1] += 5
    target = np.where(first | second, np.arange(3000) % 2, 0).astype(np.int8)
    fitted = Sample(Rows(numeric, np.zeros((3000, 0), np.int64)), target, np.ones(3000))
    columns, stake = Columns((Column("a", "numeric"), Column("b", "numeric"))), np.where(second, 95.0, 5.0)
    said = {}
    for loss in ("plain", "focal", "cost"):
        settings = fraud("fit.epochs=20", "model.members=2", "model.width=16", f"model.loss={loss}", "model.anomaly=[]")
        models, _ = fit_networks(settings, columns, Columns(()), fitted, None, stake=stake, names=("mlp",))
        said[loss] = models["mlp"].logit(fitted.rows)
    dearer = {loss: logit[second].mean() - logit[first].mean() for loss, logit in said.items()}
    assert dearer["plain"] == pytest.approx(0, abs=0.5)
    assert dearer["cost"] == pytest.approx(np.log(95 / 5), abs=0.7)  # even chances, times what a fraud counts
    sure = {loss: -logit[~first & ~second].mean() for loss, logit in said.items()}
    assert sure["focal"] < 0.8 * sure["plain"]


def test_the_combination_is_the_mean_log_odds_of_its_members():
    fitted, asked = sample(2000, 0), sample(500, 1)
    settings = fraud(*QUICK, "model.anomaly=[]")
    models, _ = fit_networks(settings, COLUMNS, Columns(()), fitted, None, stake=np.ones(2000))
    models |= fit_simple(settings, COLUMNS, fitted, None, threads=1)
    both = combine(models, None)
    expected = (models["mlp"].logit(asked.rows) + models["lightgbm"].logit(asked.rows)) / 2
    np.testing.assert_allclose(both.logit(asked.rows), expected)


def test_good_rows_are_thinned_and_weigh_what_they_stand_for(monkeypatch):
    monkeypatch.setattr("finance.fraud.members.GOOD_ROWS", 300)
    fitted = sample(2000, 0)
    few, rows = thinned(fitted, 0)
    weight = few.weight
    assert (np.diff(rows) > 0).all()
    assert (fitted.target[rows] == 1).sum() == fitted.target.sum()
    assert weight[fitted.target[rows] == 0].sum() == pytest.approx((fitted.target == 0).sum())
    assert (weight[fitted.target[rows] == 1] == 1).all()


def test_a_fraud_counts_by_its_amount():
    weight = at_stake(np.array([1, 1, 0, 1]), np.array([10.0, 20.0, 500.0, 30.0]))
    assert weight.tolist() == [0.5, 1.0, 1.0, 1.5]
    assert at_stake(np.array([1, 1]), np.array([0.0, 2.0])).tolist() == [0.1, 2.0]
