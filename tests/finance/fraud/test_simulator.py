"""The simulated payments, against the description they follow and against the published ones."""

import numpy as np
import pytest
from fraud_settings import fraud
from scipy import stats

from finance.fraud.settings import Simulator
from finance.fraud.simulator import MARK, START, simulate
from finance.fraud.sources import HANDBOOK, collect
from finance.fraud.transactions import DAY, FRAUD, HOUR, UNIT, Transactions

INSIDE = 2 * stats.norm.cdf(43_200 / 20_000) - 1  # share of the times of day that fall into the day


def made(**keys: object) -> Transactions:
    plain = {"customers": 1000, "terminals": 2000, "days": 90, "night": 0.0, "spending": 0.0, "seed": 0}
    return simulate(Simulator.model_validate(plain | keys))


@pytest.fixture(scope="module")
def plain() -> Transactions:
    return made()


@pytest.fixture(scope="module")
def as_large_as_the_book() -> Transactions:
    return made(customers=5000, terminals=10_000, days=183)


def days_of(rows: Transactions) -> np.ndarray:
    return (rows.time - START) // DAY


def hours_of(rows: Transactions) -> np.ndarray:
    return rows.time % DAY / HOUR


def test_the_same_seed_makes_the_same_payments(plain):
    again, other = made(), made(seed=1)
    np.testing.assert_array_equal(plain.time, again.time)
    np.testing.assert_array_equal(plain.amount, again.amount)
    np.testing.assert_array_equal(plain.scenario, again.scenario)
    assert len(other) != len(plain)


def test_payments_are_in_the_order_of_time_within_the_days_asked_for(plain):
    assert (np.diff(plain.time) >= 0).all()
    assert (days_of(plain).min(), days_of(plain).max()) == (0, 89)
    assert (plain.amount % (UNIT // 100) == 0).all()  # cents
    np.testing.assert_array_equal(plain.label == FRAUD, plain.scenario > 0)


def test_customers_pay_twice_a_day_on_average(plain):
    """Rates uniform to 4 a day; the mean of 1,000 of them scatters by 4 / sqrt(12 * 1000)."""
    expected = 2 * INSIDE * 1000 * 90
    assert len(plain) == pytest.approx(expected, abs=4 * expected * 4 / np.sqrt(12 * 1000) / 2)


def test_days_of_a_customer_scatter_as_counts_do(plain):
    """A Poisson count has its mean as variance, so over all customers and days the two sums agree."""
    count = np.zeros((1000, 90))
    np.add.at(count, (plain.entities["card"], days_of(plain)), 1)
    mean = count.mean(axis=1)
    assert count.var(axis=1, ddof=1).sum() / mean.sum() == pytest.approx(1, abs=4 * np.sqrt(2 / (1000 * 89)) * 1.3)


def test_honest_amounts_are_as_described(plain):
    """Of a customer normal about the mean with half of it as deviation, below 0 uniform to twice the mean instead."""
    honest = plain.take(plain.scenario != 3)
    amount, card = honest.amount / UNIT, honest.entities["card"]
    count = np.bincount(card, minlength=1000)
    mean = np.bincount(card, amount, 1000) / np.maximum(count, 1)
    often = count > 150
    # First and second moment of a normal about 1 with deviation 1/2 where it is above 0, and of the uniform rest.
    above = stats.norm.cdf(2) + 0.5 * stats.norm.pdf(2) + stats.norm.cdf(-2)
    square = 1.25 * stats.norm.cdf(2) + 0.5 * stats.norm.pdf(2) + stats.norm.cdf(-2) * 4 / 3
    # Means are uniform from 5 to 100; marks and compromised terminals change no amount.
    assert stats.kstest(mean[often] / above, stats.uniform(5, 95).cdf).pvalue > 1e-3
    of_row = mean[card] / above
    relative = np.std(amount[often[card]] / of_row[often[card]] - above)
    assert relative == pytest.approx(np.sqrt(square - above**2), rel=0.01)


def test_payments_are_made_by_day(plain):
    hours = hours_of(plain)
    described = stats.truncnorm(-43_200 / 20_000, 43_200 / 20_000, 12, 20_000 / 3600)
    assert stats.kstest(hours, described.cdf).statistic < 1.95 / np.sqrt(len(hours)) + 1e-4  # p = .001; whole seconds


def test_a_card_stays_with_terminals_nearby(plain):
    pairs = np.unique(plain.entities["card"] * 2000 + plain.entities["terminal"])
    terminals = np.bincount(pairs // 2000, minlength=1000)
    # pi 5^2 of 10,000 in 100 x 100: 78.5, a little less at the border; not all are visited.
    assert 60 < np.median(terminals[np.bincount(plain.entities["card"], minlength=1000) > 250]) < 90


def test_every_amount_above_the_mark_is_a_fraud(plain):
    above = plain.amount > MARK * UNIT
    assert (plain.label[above] == FRAUD).all()
    assert (plain.amount[plain.scenario == 1] > MARK * UNIT).all()


def test_a_compromised_terminal_sees_nothing_but_frauds_for_four_weeks(plain):
    terminal, day = plain.entities["terminal"], days_of(plain)
    rows = np.flatnonzero((plain.scenario == 2) & (day < 60))
    for row in rows[:: max(1, len(rows) // 20)]:
        hit = day[(terminal == terminal[row]) & (plain.scenario == 2)]
        at = (terminal == terminal[row]) & (day >= hit.min()) & (day <= hit.max())
        if hit.max() - hit.min() < 28:  # compromised once
            assert (plain.label[at] == FRAUD).all()


def test_a_third_of_the_payments_of_a_compromised_card_is_five_times_as_large(as_large_as_the_book):
    rows = as_large_as_the_book
    honest = rows.take(rows.scenario != 3)
    count = np.maximum(np.bincount(honest.entities["card"], minlength=5000), 1)
    mean = np.bincount(honest.entities["card"], honest.amount, 5000) / count
    stolen = rows.take(rows.scenario == 3)
    ratio = stolen.amount / mean[stolen.entities["card"]]
    often = count[stolen.entities["card"]] > 100
    assert np.median(ratio[often]) == pytest.approx(5, rel=0.03)


def test_kinds_of_fraud_are_as_frequent_as_described(as_large_as_the_book):
    """2 of 10,000 terminals a day for 28 days; 3 of 5,000 customers a day for 14 days, of a third of their payments."""
    rows = as_large_as_the_book
    assert rows.scenario is not None
    share = np.bincount(rows.scenario, minlength=4) / len(rows)
    days = np.arange(183)
    terminals = 2 * np.minimum(days + 1, 28).clip(max=28).mean() / 10_000
    customers = 3 * np.minimum(days + 1, 14).mean() / 5000 / 3
    # Terminals hit twice count once, customers twice as often; what scatters is who is hit: 364 terminals, 546 cards.
    assert share[2] == pytest.approx(terminals, rel=4 / np.sqrt(364))
    assert share[3] == pytest.approx(customers, rel=4 / np.sqrt(546))
    assert (rows.label == FRAUD).mean() == pytest.approx(0.0084, rel=0.1)


def test_a_small_world_has_the_same_frauds_as_a_large_one():
    shares = [np.bincount(made(seed=seed).scenario, minlength=4) / len(made(seed=seed)) for seed in range(8)]
    mean = np.mean(shares, axis=0)
    # Of 90 days more lie in the first weeks, when few are compromised yet: .84 and .92 of 183 days' shares.
    assert mean[2] == pytest.approx(28 / 5000 * 0.85, rel=4 / np.sqrt(8 * 36))
    assert mean[3] == pytest.approx(14 / 5000 * 0.93, rel=4 / np.sqrt(8 * 54))


def test_drift_moves_payments_into_the_night_and_amounts_up():
    rows = made(night=0.2, spending=0.3)
    day, hour, amount = days_of(rows), hours_of(rows), rows.amount
    first, last = day < 15, day >= 75
    night = (hour > 20) | (hour < 4)
    assert night[last].mean() - night[first].mean() == pytest.approx(0.2 * (82.0 - 7.0) / 30 * 0.8, rel=0.1)
    honest = rows.scenario == 0
    grown = amount[last & honest].mean() / amount[first & honest].mean()
    assert grown == pytest.approx(1.3 ** ((82.0 - 7.0) / 30), rel=0.03)
    # The mark of scenario 1 moves with the level, or most of the later payments would be frauds.
    assert (rows.scenario[last] == 1).mean() < 0.002


def test_without_drift_nothing_moves(plain):
    day = days_of(plain)
    assert stats.ks_2samp(hours_of(plain)[day < 30], hours_of(plain)[day >= 60]).pvalue > 1e-3


def test_the_page_of_the_pipeline_makes_payments_of_the_same_names():
    found = collect(fraud().data)
    assert list(found.transactions.entities) == ["card", "terminal"]
    assert found.layout.entities == {"card": "card", "terminal": "terminal"}
    assert 0.006 < (found.transactions.label == FRAUD).mean() < 0.011


@pytest.mark.skipif(HANDBOOK.find() is None, reason="the Handbook's transactions are not on this machine")
def test_simulated_payments_look_like_the_published_ones(as_large_as_the_book):
    ours, theirs = as_large_as_the_book, collect(fraud("data=handbook").data).transactions
    assert ours.scenario is not None and theirs.scenario is not None
    assert len(ours) == pytest.approx(len(theirs), rel=4 * np.sqrt(2) * 4 / np.sqrt(12 * 5000) / 2)
    for scenario, drawn in ((0, 5000), (1, 500), (2, 364), (3, 546)):  # who is drawn scatters, more than payments
        shares = [(rows.scenario == scenario).mean() for rows in (ours, theirs)]
        assert shares[0] == pytest.approx(shares[1], rel=4 * np.sqrt(2 / drawn))
        means = [rows.amount[rows.scenario == scenario].mean() for rows in (ours, theirs)]
        assert means[0] == pytest.approx(means[1], rel=0.1)
    quantiles = np.linspace(0.05, 0.95, 19)
    np.testing.assert_allclose(*(np.quantile(rows.amount, quantiles) for rows in (ours, theirs)), rtol=0.06)
    assert stats.ks_2samp(hours_of(ours), hours_of(theirs)).statistic < 0.003
    daily = [np.bincount(days_of(rows)) for rows in (ours, theirs)]
    assert daily[0].std() == pytest.approx(daily[1].std(), rel=0.3)
