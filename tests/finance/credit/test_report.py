import json
import re
from pathlib import Path

import numpy as np
import pytest

from finance.credit.card import credit_card
from finance.credit.evaluation import Evaluation
from finance.credit.report import credit_report
from finance.credit.verdict import decision_text, verdict
from lepton_solutions import curves, metrics
from lepton_solutions.errors import UserError

ROWS, CUT = 200, 1 / 6
COSTS = {"cost_of_missed_positive": 5.0, "cost_of_false_alarm": 1.0}
LABELS = {"trained": "Combination: MLP ensemble + LightGBM", "mlp": "MLP ensemble", "logistic": "Logistic regression"}


def draws() -> np.random.Generator:
    return np.random.default_rng(1)


def scored():
    """200 applicants, 30 % of whom default, and the probabilities of three models; calibrated by construction."""
    generator = np.random.default_rng(4)
    risk = generator.beta(0.45, 1.05, size=ROWS)
    target = (generator.random(ROWS) < risk).astype(int)
    log_odds = np.log(risk / (1 - risk))
    noise = {"trained": 0.4, "mlp": 0.6, "logistic": 0.8}
    return target, {
        name: 1 / (1 + np.exp(-(log_odds + scale * generator.normal(size=ROWS)))) for name, scale in noise.items()
    }


def evaluation() -> dict:
    target, probability = scored()
    test = {
        name: {key: i.to_json() for key, i in metrics.binary_metrics(target, p, generator=draws()).items()}
        for name, p in probability.items()
    }
    refused = {
        "this model": probability["trained"] >= CUT,
        "logistic": probability["logistic"] >= CUT,
        "approve all": np.zeros(ROWS, bool),
        "refuse all": np.ones(ROWS, bool),
    }

    def share(*arguments, **keywords):
        found = metrics.share(*arguments, **keywords)
        return found and found.to_json()

    young = np.random.default_rng(0).random(ROWS) < 0.3
    return {
        "names": {"positive": "defaulted", "negative": "repaid", "unit": "applicant"},
        "parts": {"train": {"rows": 600, "positives": 180}, "test": {"rows": ROWS, "positives": int(target.sum())}},
        "test": test,
        "curves": {
            name: {
                "roc": curves.roc_points(target, p),
                "reliability": curves.reliability_bins(target, p),
                "scores": curves.score_histogram(target, p),
            }
            for name, p in probability.items()
        },
        "cost": curves.cost_curve(target, {name: probability[name] for name in ("trained", "logistic")}, **COSTS),
        "policies": [
            {
                "policy": name,
                "cost": metrics.expected_cost(target, flags, generator=draws(), **COSTS).to_json(),
                "approval_rate": share(~flags),
                "bad_rate": share(target, among=~flags),
            }
            for name, flags in refused.items()
        ],
        "saved_over_rule": metrics.cost_difference(
            target, refused["refuse all"], refused["this model"], generator=draws(), **COSTS
        ).to_json(),
        "saved_over_logistic": metrics.cost_difference(
            target, refused["logistic"], refused["this model"], generator=draws(), **COSTS
        ).to_json(),
        "better_than_baseline": metrics.auc_difference(
            target, probability["trained"], probability["logistic"], generator=draws()
        ).to_json(),
        "groups": [
            {
                "column": "age",
                "level": level,
                "rows": int(mask.sum()),
                "approval_rate": share(~refused["this model"], among=mask),
                "observed_rate": share(target, among=mask),
                "auc": None,
            }
            for level, mask in (("below 26", young), ("26 or more", ~young))
        ],
        "psi": metrics.psi(probability["mlp"], probability["trained"], generator=draws()).to_json(),
        "decision": {
            "threshold": CUT,
            "rule": "cost",
            "cost_of_default": 5.0,
            "cost_of_refusal": 1.0,
            "review": {"low": 0.12, "high": 0.225},
            "review_share": 0.15,
        },
    }


def summary(found: dict) -> dict:
    variants = {
        name: {
            "label": label,
            "test": found["test"][name],
            "size_bytes": 41_200 * (3 - place),
            "latency_ms": {"p50": 0.021, "p95": 0.034},
            "engine": "onnxruntime",
        }
        for place, (name, label) in enumerate(LABELS.items())
    }
    return {
        "pipeline": "finance/credit",
        "primary": "auc",
        "chosen": "trained",
        "command": "lepton run finance/credit seed=0",
        "seed": 0,
        "variants": {"baseline": variants["logistic"], **variants},
        "parity": {
            "rows": 600,
            "largest_difference": 3.1e-7,
            "flipped": 0,
            "cases": [{"case": "test rows", "rows": 200, "largest_difference": 3.1e-7, "flipped": 0}],
        },
        "audit": {
            "failed": False,
            "findings": [{"level": "warning", "check": "twins", "message": "3 rows repeat another", "rows": 3}],
        },
        "seconds": {"prepare": 0.4, "train": 21.2},
        "environment": {"python": "3.11.9", "torch": "2.9.1", "cores": 2},
    }


DATA = {
    "source": "statlog_german_credit",
    "rows": 1000,
    "target": "class",
    "positive": "2",
    "columns": [
        {"name": "duration", "kind": "numeric", "levels": 0, "missing_share": 0.0, "meaning": "duration, months"},
        {"name": "purpose", "kind": "category", "levels": 10, "missing_share": 0.031, "meaning": "what it is for"},
    ],
    "ignored": {"age": "protected"},
    "licence": "CC BY 4.0",
    "cite": "H. Hofmann 1994",
    "protected": ["age"],
}
SCORECARD = [{"column": "duration", "bins": [{"bin": "(-inf, 11.5)", "points": 38.2, "rows": 120, "bad_rate": 0.11}]}]
FOUND = evaluation()


def write(run: Path, **files: object) -> Path:
    for name, content in files.items():
        (run / f"{name}.json").write_text(json.dumps(content), encoding="utf-8")
    return run


@pytest.fixture
def run(tmp_path):
    return write(
        tmp_path, data=DATA, evaluation=FOUND, metrics=summary(FOUND), learned={"scorecard": SCORECARD, "combine": []}
    )


@pytest.fixture(scope="module")
def html(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    return credit_report(
        write(folder, data=DATA, evaluation=FOUND, metrics=summary(FOUND), learned={"scorecard": SCORECARD})
    )


def words(html: str) -> str:
    return " ".join(re.sub(r"<[^>]+>", " ", html).split())


def test_the_first_sentence_prices_the_model_beside_the_cheapest_rule_without_one():
    target, _ = scored()
    found = Evaluation.model_validate(FOUND)
    ours, refuse_all = FOUND["policies"][0]["cost"]["value"], 1 - target.mean()
    saved = 100 * (1 - ours / refuse_all)
    assert f"costs {ours:.2f} per applicant, {saved:.0f} % less than refusing everyone ({refuse_all:.2f})" in verdict(
        found
    )


def test_a_model_that_is_no_cheaper_than_refusing_everyone_is_said_to_be_of_no_use():
    nothing = {"value": 0.01, "low": -0.1, "high": 0.12}
    assert "not shown to be worth using" in verdict(Evaluation.model_validate({**FOUND, "saved_over_rule": nothing}))


@pytest.mark.parametrize(
    ("saved", "said"),
    [
        ({"value": 0.1, "low": 0.02, "high": 0.2}, r"; a logistic regression costs 0\.\d\d\.$"),
        ({"value": 0.1, "low": -0.02, "high": 0.2}, "too near to tell apart here"),
        ({"value": -0.1, "low": -0.2, "high": -0.02}, "which is less"),
    ],
)
def test_the_logistic_model_is_compared_by_the_paired_difference(saved, said):
    assert re.search(said, verdict(Evaluation.model_validate({**FOUND, "saved_over_logistic": saved})))


def test_the_decision_is_told_with_its_costs_and_who_sees_a_person():
    text = decision_text(Evaluation.model_validate(FOUND).decision)
    assert "refused from a default probability of 16.7 % on" in text
    assert "missed default (cost 5)" in text
    assert "Between 12 % and 22.5 % a person decides: 15 % of the applicants." in text


def test_the_page_holds_every_section_and_the_numbers_of_the_run(html):
    for title in ("Decision", "Models compared", "Calibration and stability", "Protected groups", "Scorecard",
                  "Data and audit", "Released model", "How to reproduce it"):  # fmt: skip
        assert f"<h2>{title}</h2>" in html
    text = words(html)
    auc = FOUND["test"]["trained"]["auc"]
    assert f"{auc['value']:.3f} {auc['low']:.3f}–{auc['high']:.3f}" in text
    assert "Warning. 3 rows repeat another" in text
    assert "lepton run finance/credit seed=0" in text
    assert "no decisions flipped" in text
    assert "age protected" in text  # the column left out, and why
    assert html.count("<svg") == 6


def test_the_page_needs_nothing_from_elsewhere_and_runs_no_script(html):
    links = re.findall(r'(?:src|href)="([^"]+)"|url\(([^)]+)\)', html)
    assert all(target.startswith("#") for pair in links for target in pair if target)
    assert "<script" not in html and "@import" not in html and "<link" not in html


def test_names_of_the_users_file_are_never_markup(run):
    name = "<script>alert(1)</script>"
    write(run, data={**DATA, "source": name, "ignored": {name: name}, "cite": name})
    assert "<script" not in credit_report(run)


def test_ids_are_unique_and_every_reference_is_met(html):
    ids = re.findall(r'\bid="([^"]+)"', html)
    assert len(ids) == len(set(ids))
    references = re.findall(r'href="#([^"]+)"|url\(#([^)]+)\)', html)
    assert {target for pair in references for target in pair if target} <= set(ids)


def test_the_baseline_is_marked_where_it_stands_and_not_repeated(html):
    text = words(html)
    assert "Logistic regression best simple model" in text
    assert "Combination: MLP ensemble + LightGBM in use" in text


def test_what_a_run_did_not_write_is_left_out(tmp_path):
    bare = {"decision": {**FOUND["decision"], "review": None, "review_share": 0.0}}
    few = {"pipeline": "finance/credit", "primary": "auc", "chosen": "trained", "variants": {"trained": {}}}
    write(tmp_path, data={"source": "loans.csv", "rows": 40, "target": "default"}, evaluation=bare, metrics=few)
    html = credit_report(tmp_path)
    assert "No band for manual review is set" in html
    for title in ("Protected groups", "Scorecard", "Released model", "Calibration and stability"):
        assert f"<h2>{title}</h2>" not in html


def test_nobody_approved_is_a_dash_and_not_a_crash(run):
    none = [{**policy, "bad_rate": None} for policy in FOUND["policies"]]
    write(run, evaluation={**FOUND, "policies": none})
    assert "–" in credit_report(run)


def test_a_group_with_too_few_of_one_outcome_has_no_auc(run):
    sure = {"value": 0.987, "low": 0.987, "high": 0.987}
    rate = {"value": 0.2, "low": 0.1, "high": 0.4}
    groups = [{**FOUND["groups"][0], "rows": rows, "observed_rate": rate, "auc": sure} for rows in (20, 25)]
    write(run, evaluation={**FOUND, "groups": groups})  # four and five defaults
    assert words(credit_report(run)).count("0.987") == 3  # value and both ends, of the second group alone


def test_a_failed_audit_stands_above_everything_else(run):
    finding = {"level": "fail", "check": "giveaway", "message": "column `status` gives the target away"}
    write(run, metrics={**summary(FOUND), "audit": {"failed": True, "findings": [finding]}})
    text = words(credit_report(run))
    assert text.index("The audit of the data failed") < text.index("Expected cost per applicant")


def test_the_same_run_gives_the_same_page(run, html):
    assert credit_report(run) == html


def test_a_file_of_another_shape_is_named_with_its_key(run):
    write(run, evaluation={**FOUND, "decision": {**FOUND["decision"], "threshold": "high"}})
    with pytest.raises(UserError, match=r"evaluation\.json, key `decision\.threshold`"):
        credit_report(run)
    (run / "evaluation.json").unlink()
    with pytest.raises(UserError, match=r"evaluation\.json: no such file"):
        credit_report(run)


def test_the_card_of_the_bundle_states_data_metrics_decision_and_limits():
    card = credit_card(DATA, FOUND, chosen="trained")
    auc = FOUND["test"]["trained"]["auc"]
    assert f"| auc | {auc['value']:.3f} | {auc['low']:.3f}–{auc['high']:.3f} |" in card
    for part in ("## Data", "## Decision", "## Limits", "CC BY 4.0", "`age` (protected)", "1,000 rows", "16.7 %"):
        assert part in card
