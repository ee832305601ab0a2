"""The failure report: when to service, and what stands behind that answer?

    html = failure_report(Path("runs/manufacturing/failure/..."))

For the plant engineer first, the data scientist second. What a run did not write is left out.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from matplotlib.figure import Figure

from lepton_solutions.reporting.page import (
    Block,
    Cell,
    Estimate,
    Facts,
    KeyFigure,
    KeyFigures,
    Notice,
    Page,
    Pictures,
    Section,
    Table,
    Text,
    estimate,
    render,
)
from lepton_solutions.reporting.run import RunMetrics, read_record
from lepton_solutions.reporting.sections import (
    drawn,
    making_section,
    released_section,
    training_section,
    weight_of,
    write_page,
)
from manufacturing.failure.alarms import MONTH
from manufacturing.failure.evaluation import MODEL, Evaluation
from manufacturing.failure.figures import DECIDES, failure_figures
from manufacturing.failure.prepare import Card, read_card
from manufacturing.failure.verdict import LIMITS, RULES, answer_text, bound_text, thousand, verdict

METRICS = {
    "rmse": "RMSE", "mae": "MAE", "phm_score": "PHM score", "rmse_uncapped": "RMSE, uncapped",
    "average_precision": "AP", "auc": "AUC", "f1": "F1", "brier": "Brier", "ece": "ECE",
    "accuracy": "Accuracy", "balanced_accuracy": "Balanced accuracy", "alarm_rate": "Alarm rate",
}  # fmt: skip
CAPTIONS = {
    "cost": "What was spent, over the time the machines ran; intervals draw machines.",
    "models": "Intervals of single models: two that overlap can still differ, as all answer for the same machines.",
    "scatter": "On the dotted line a prediction is right; above it machines fail earlier than predicted.",
    "bands": "Mean errors above 0 promise life that is not there.",
    "lead": "How many failures had their first alarm at least so long before.",
    "attribution": "Integrated gradients over the window: reading, average and drift of a sensor together.",
    "roc": "The further to the upper left, the better; the dotted line is chance.",
    "confusion": "Rows: the fault that was there. Columns: the one that was named.",
}


def failure_report(run: Path) -> str:
    """The report of a run as one HTML page. Raises UserError where a file is absent or has another shape."""
    metrics, data = read_record(run / "metrics.json", RunMetrics), read_card(run)
    found = read_record(run / "evaluation.json", Evaluation)
    figures = failure_figures(metrics, found)
    sections = [
        _servicing(found, figures),
        _tracks(found, figures),
        _models(metrics, found, figures),
        _errors(found, figures),
        _alarms(found, figures),
        Section("What the answer rests on", _pictures(figures, "attribution")),
        _data(metrics, data, found),
        Section("Limits", [Text(limit) for limit in LIMITS]),
        released_section(metrics, unit="readings"),
        training_section(run / "training"),
        making_section(metrics),
    ]
    failed = metrics.audit is not None and metrics.audit.failed
    alarm = Notice("fail", "The audit of the data failed, so no figure below can be relied upon.")
    return render(
        Page(
            title="Equipment failure report",
            subtitle=f"{data.source}, {data.units:,} machines, {data.rows:,} readings",
            verdict=verdict(found),
            opening=[*([alarm] if failed else []), KeyFigures(key_figures(metrics, found))],
            sections=[section for section in sections if section.blocks or section.lead],
            footer="Figures are of test machines, which took part in no choice, unless another part is named. Numbers "
            "in brackets or small print are 95 % intervals; they draw machines, not readings.",
        )
    )


def report(run: Path, out: Path) -> None:
    """The page for the person who signs, and its figures as files."""
    metrics = read_record(run / "metrics.json", RunMetrics)
    figures = failure_figures(metrics, read_record(run / "evaluation.json", Evaluation))
    write_page(run, out, failure_report(run), figures)


def key_figures(metrics: RunMetrics, found: Evaluation) -> list[KeyFigure]:
    """What a plant engineer asks first."""
    items, test = [], metrics.variants[metrics.chosen].test
    ours = found.policy(MODEL)
    if ours is not None:
        items.append(
            KeyFigure(f"Cost per 1,000 {found.clock}", estimate(thousand(ours.rate), 2), "when the model decides")
        )
        items.append(KeyFigure("Failures on the way", Estimate(f"{ours.failures}"), f"{ours.services} services"))
    name, label = DECIDES[found.question]
    if name in test:
        note = f"{found.clock}, {found.asked}" if found.question == "rul" else found.asked
        items.append(KeyFigure(label, estimate(test[name], 1 if found.question == "rul" else 3), note))
    if found.coverage is not None:
        note = f"asked: {100 * found.coverage.asked:.0f} %"
        items.append(
            KeyFigure("Machines that outlast the bound", estimate(found.coverage.measured, 0, percent=True), note)
        )
    if found.alarms is not None and found.alarms.false_per_month is not None:
        items.append(
            KeyFigure(
                "False alarms", Estimate(f"{found.alarms.false_per_month:.2f}"), f"a machine and 720 {found.clock}"
            )
        )
    return items


def _servicing(found: Evaluation, figures: Mapping[str, Figure]) -> Section:
    if not found.policies:
        return Section("Servicing", [])
    rows = [
        (
            RULES[one.policy],
            estimate(thousand(one.rate), 2),
            f"{one.failures}",
            f"{one.services}",
            "–" if one.wasted is None else f"{one.wasted:.1f}",
        )
        for one in sorted(found.policies, key=lambda one: one.rate.value)
    ]
    head = ("Rule", f"Cost per 1,000 {found.clock}", "Failures", "Services", f"Life given away, {found.clock}")
    note = "Replayed on test machines. The age of the fixed rule is the cheapest on train machines, the model's line "
    table = Table(
        head,
        rows,
        "What each rule costs, cheapest first",
        note=note + "on train machines or machines held back, whichever is more cautious.",
    )
    return Section("Servicing", [table, *_pictures(figures, "cost")], "When should a machine be serviced?")


def _tracks(found: Evaluation, figures: Mapping[str, Figure]) -> Section:
    names = [name for name in figures if name.startswith("track_")]
    shown = [drawn(figures[name], "The band reaches down to the lower bound.") for name in names]
    return Section("Machines", [Pictures(shown)] if shown else [], bound_text(found) if found.question == "rul" else "")


def _models(metrics: RunMetrics, found: Evaluation, figures: Mapping[str, Figure]) -> Section:
    models = metrics.models()
    measured = {key: name for key, name in METRICS.items() if any(key in variant.test for variant in models.values())}
    digits = {"rmse": 2, "mae": 2, "phm_score": 0, "rmse_uncapped": 2}
    rows: list[tuple[Cell, ...]] = [
        (
            metrics.label(name),
            *(estimate(variant.test.get(key), digits.get(key, 3)) for key in measured),
            *weight_of(variant),
        )
        for name, variant in models.items()
    ]
    baseline = metrics.baseline_of(models)
    tags = {metrics.chosen: "in use"} | (
        {baseline: "best simple model"} if baseline not in (None, metrics.chosen) else {}
    )
    table = Table(
        ("Model", *measured.values(), "Size, kB", "Time, ms"),
        rows,
        "Models on the same test machines",
        note=f"Asked {found.asked}. The best simple model was chosen on validation machines.",
        marked={place: tags[name] for place, name in enumerate(models) if name in tags},
    )
    lead, gain = answer_text(found), found.better_than_baseline
    if gain is not None and baseline is not None:
        sure = "more than chance explains" if gain.low > 0 or gain.high < 0 else "within what chance explains"
        side = "below" if gain.value >= 0 else "above"
        lead += (
            f" That is {abs(gain.value):.1f} {found.clock} {side} {metrics.label(baseline)} ({gain.low:+.1f} to "
            f"{gain.high:+.1f}), {sure}."
        )
    return Section("Models compared", [table, *_pictures(figures, "models", "roc", "confusion")], lead)


def _errors(found: Evaluation, figures: Mapping[str, Figure]) -> Section:
    return Section("Errors", _pictures(figures, "scatter", "bands"))


def _alarms(found: Evaluation, figures: Mapping[str, Figure]) -> Section:
    alarms = found.alarms
    if alarms is None or not alarms.failures:
        return Section("Alarms", [])
    lead = f"{alarms.failures - alarms.missed} of {alarms.failures} failures were announced, {alarms.missed} were not."
    if alarms.false_per_month is not None:
        lead += (
            f" {alarms.false_per_month:.2f} false alarms a machine and {MONTH:.0f} {found.clock}; on the machines "
            "it was set on, the line of the alarm allows `decision.false_alarms`."
        )
    return Section("Alarms", _pictures(figures, "lead"), lead)


def _data(metrics: RunMetrics, data: Card, found: Evaluation) -> Section:
    blocks: list[Block] = []
    if metrics.audit is not None:
        order = ("fail", "warning", "info")
        for finding in sorted(metrics.audit.findings, key=lambda finding: order.index(finding.level)):
            blocks.append(Notice(finding.level, finding.message))
        if not metrics.audit.findings:
            blocks.append(Text("The audit looked for shared machines, giveaway columns and readings in other units."))
    facts = [("Source", data.source), ("Question", data.question), ("Clock", data.clock)]
    facts += [
        (f"{name.capitalize()} part", f"{part.units:,} machines, {part.rows:,} readings, {part.failures:,} failures")
        for name, part in found.parts.items()
    ]
    facts += [("Largest remaining life that is learned", f"{found.cap:.0f} {found.clock}")] if found.cap else []
    facts += [("Horizon", f"{found.horizon:.4g} {found.clock}")] if found.horizon else []
    facts += [("Operating regimes", f"{found.regimes}")]
    facts += [("Licence", data.licence or "not stated"), ("Citation", data.cite or "not given")]
    facts += [("Noted", note) for note in data.notes]
    blocks.append(Facts(facts))
    rows = [(name, data.meanings.get(name, ""), found.dropped.get(name, "read")) for name in data.sensors]
    meant = any(meaning for _, meaning, _ in rows)
    cells = rows if meant else [(name, use) for name, _, use in rows]
    head = ("Sensor", "Meaning", "Use") if meant else ("Sensor", "Use")
    blocks.append(Table(head, cells, f"The {len(rows)} columns", align="l" * len(head), tall=True))
    return Section("Data and audit", blocks)


def _pictures(figures: Mapping[str, Figure], *names: str) -> list[Block]:
    shown = [drawn(figures[name], CAPTIONS[name]) for name in names if name in figures]
    return [Pictures(shown)] if shown else []
