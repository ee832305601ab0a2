"""Rules replayed on lives that can be counted by hand."""

import numpy as np
import pytest
from histories_settings import failure
from small_fleets import fleet

from manufacturing.failure.fleet import Fleet
from manufacturing.failure.policy import age, cheapest_line, oracle, replay
from manufacturing.failure.settings import Servicing


def prices(**keys: object) -> Servicing:
    """A failure costs 10, a service 1."""
    return failure().decision.model_copy(update=keys)


def three() -> Fleet:
    """One fails at 10, one at 5, one is alive at 7."""
    return fleet([(10, 10.0), (5, 5.0), (8, None)])


def test_three_lives_serviced_at_age_six():
    found = replay(three(), age(three()), 6.0, prices())
    assert found.serviced.tolist() == [True, False, True]
    assert found.failed.tolist() == [False, True, False]
    assert found.ran.tolist() == [6.0, 5.0, 6.0]
    assert found.wasted.tolist()[0] == 4.0
    assert np.isnan(found.wasted[1:]).all()  # of the living nobody knows what was given away
    assert found.rate(prices()) == pytest.approx((1 + 10 + 1) / (6 + 5 + 6))


def test_run_to_failure_costs_a_failure_for_each_that_fails():
    found = replay(three(), age(three()), np.inf, prices())
    assert found.rate(prices()) == pytest.approx(20 / (10 + 5 + 7))


def test_a_service_that_takes_time_to_arrange_comes_later_or_too_late():
    found = replay(three(), age(three()), 3.0, prices(lead=2.0))
    assert found.serviced.tolist() == [True, False, True]  # at 5; the second fails at 5
    assert found.ran.tolist() == [5.0, 5.0, 5.0]


def test_a_crew_of_one_takes_machines_one_after_another():
    made = fleet([(20, 20.0), (20, 20.0), (20, 12.0)])
    found = replay(made, age(made), 4.0, prices(crew=1), horizon=5.0)
    assert found.serviced.tolist() == [True, True, False]  # at 4, at 9; the third would be at 14 and fails at 12
    assert found.ran.tolist() == [4.0, 9.0, 12.0]
    assert replay(made, age(made), 4.0, prices(crew=2), horizon=5.0).ran.tolist() == [4.0, 4.0, 9.0]
    assert replay(made, age(made), 4.0, prices(), horizon=5.0).ran.tolist() == [4.0, 4.0, 4.0]


def test_a_machine_that_fails_in_the_queue_leaves_its_place_to_the_next():
    made = fleet([(20, 20.0), (7, 7.0), (20, 20.0)])
    # Urgent at 4, 5 and 6: the second would be serviced at 9, when it has failed, so that the third is.
    urgency = np.concatenate([age(made)[:20] >= 4, age(made)[20:27] >= 5, age(made)[27:] >= 6]).astype(float)
    assert replay(made, urgency, 1.0, prices(crew=1), horizon=5.0).ran.tolist() == [4.0, 7.0, 9.0]


def random_fleet(seed: int) -> tuple[Fleet, np.ndarray]:
    draw = np.random.default_rng(seed)
    lives = [
        (int(n), float(n) + draw.uniform(-0.9, 3) if draw.random() < 0.7 else None) for n in draw.integers(2, 40, 30)
    ]
    made = fleet(lives)
    return made, draw.normal(size=made.rows) + 0.1 * age(made)


@pytest.mark.parametrize("service", [0.5, 1.0, 8.0, 9.9, 12.0])
@pytest.mark.parametrize("lead", [0.0, 1.5])
def test_nobody_is_cheaper_than_the_oracle(service, lead):
    asked = prices(cost_of_service=service, lead=lead)
    for seed in range(10):
        made, urgency = random_fleet(seed)
        best = oracle(made, asked).rate(asked)
        for told in (urgency, age(made), -np.nan_to_num(made.remaining(), nan=1e9)):
            for line in [*np.quantile(told, np.linspace(0, 1, 20)), np.inf]:
                assert best <= replay(made, told, line, asked).rate(asked) * (1 + 1e-12)


def test_the_oracle_services_at_the_last_row_that_is_in_time():
    found = oracle(three(), prices(lead=1.5))
    assert found.ran.tolist() == [9.5, 4.5, 7.0]  # asked at 8 and 3
    assert found.failed.tolist() == [False, False, False]
    assert oracle(three(), prices(cost_of_service=10.0)).serviced.tolist() == [False, False, False]


def test_among_like_machines_the_cheapest_line_is_that_of_a_brute_search():
    made = fleet([(50, 50.0)] * 20)
    line = cheapest_line(made, age(made), prices())
    lines = np.unique(age(made))
    rates = [replay(made, age(made), line, prices()).rate(prices()) for line in lines]
    assert replay(made, age(made), line, prices()).rate(prices()) == pytest.approx(min(rates))
    assert min(rates) == pytest.approx(1 / 49)


def test_no_line_where_a_service_costs_as_much_as_a_failure():
    made, urgency = random_fleet(0)
    assert cheapest_line(made, urgency, prices(cost_of_service=10.0)) == np.inf


@pytest.mark.slow
def test_few_lives_choose_a_line_that_is_about_the_best_of_many():
    """Against the line that happened to be the cheapest on the same few."""

    def lived(count: int, draw: np.random.Generator) -> tuple[Fleet, np.ndarray]:
        end = 100 * draw.weibull(6, count) + 5
        made = fleet([(int(t), float(t)) for t in end])
        urgency = -made.remaining() * np.repeat(np.exp(draw.normal(0, 0.5, count)), np.diff(made.starts))
        return made, np.maximum(urgency, -60)

    draw = np.random.default_rng(0)
    many, urgent = lived(400, draw)

    def cost(line: float) -> float:
        return replay(many, urgent, line, prices()).rate(prices())

    best = min(cost(line) for line in np.linspace(-60, 0, 60))
    ours, lucky = [], []
    for _ in range(40):
        few, urgency = lived(15, draw)
        ours.append(cost(cheapest_line(few, urgency, prices())))
        lines = np.unique(urgency)[:: max(1, len(np.unique(urgency)) // 200)]
        rates = [replay(few, urgency, line, prices()).rate(prices()) for line in lines]
        lucky.append(cost(float(lines[int(np.argmin(rates))])))
    assert best < np.mean(ours) < np.mean(lucky)
