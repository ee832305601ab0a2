"""The credit report: is deciding with this model better than without, and what stands behind that answer?

    html = credit_report(Path("runs/finance/credit/..."))

For the credit officer first, the data scientist second. What a run did not write is left out.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

from matplotlib.figure import Figure

from finance.credit.evaluation import Evaluation, Learned
from finance.credit.figures import credit_figures
from finance.credit.verdict import RULES, decision_text, percent, verdict
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
    picture,
    render,
)
from lepton_solutions.reporting.run import DataCard, RunMetrics, read_record
from lepton_solutions.reporting.sections import (
    making_section,
    released_section,
    training_section,
    weight_of,
    write_page,
)

METRICS = {
    "auc": "AUC",
    "gini": "Gini",
    "ks": "KS",
    "average_precision": "AP",
    "brier": "Brier",
    "ece": "ECE",
}
CONSTANT = {"approve all": "100 %", "refuse all": "0 %"}  # approved by rule, which no sample changes
CAPTIONS = {
    "cost": "Cost of refusing from each cut-off on; the diamond is the cut-off in use, chosen without the test rows.",
    "scores": "Each outcome as shares of its own applicants. What lies right of the line is refused.",
    "roc": "The further to the upper left, the better a model separates; the dotted line is chance.",
    "auc": "Intervals of single models: two that overlap can still differ, as all are measured on the same applicants.",
    "reliability": "Ten groups of equally many applicants, with 95 % intervals; below, how many there are at each "
    "probability. On the dotted line predictions come true.",
    "brier": "Mean squared error of the probabilities: separation and calibration in one number.",
}


def credit_report(run: Path) -> str:
    """The report of a run as one HTML page.

    Raises UserError, naming file and key, where a file is absent or has another shape.
    """
    metrics = read_record(run / "metrics.json", RunMetrics)
    data = read_record(run / "data.json", DataCard)
    found = read_record(run / "evaluation.json", Evaluation)
    learned = read_record(run / "learned.json", Learned) if (run / "learned.json").is_file() else Learned()
    figures = credit_figures(metrics, found)
    sections = [
        decision_section(found, figures),
        model_section(metrics, found, figures),
        calibration_section(found, figures),
        group_section(found, data),
        scorecard_section(learned, data),
        data_section(metrics, data, found),
        released_section(metrics, unit="rows"),
        training_section(run / "training"),
        making_section(metrics),
    ]
    failed = metrics.audit is not None and metrics.audit.failed
    alarm = Notice("fail", "The audit of the data failed, so no figure below can be relied upon; see “Data and audit”.")
    page = Page(
        title="Credit scoring report",
        subtitle=f"{data.source}, {data.rows:,} {found.names.unit}s",
        verdict=verdict(found),
        opening=[*([alarm] if failed else []), KeyFigures(key_figures(metrics, found))],
        sections=[section for section in sections if section.blocks or section.lead],
        footer="Figures are of test applicants, who took part in no choice, unless another part is named. Numbers in "
        "brackets or small print are 95 % intervals.",
    )
    return render(page)


def report(run: Path, out: Path) -> None:
    """The page for the person who signs, and its figures as files."""
    metrics = read_record(run / "metrics.json", RunMetrics)
    figures = credit_figures(metrics, read_record(run / "evaluation.json", Evaluation))
    write_page(run, out, credit_report(run), figures)


def key_figures(metrics: RunMetrics, found: Evaluation) -> list[KeyFigure]:
    """What a credit officer asks first."""
    ours, unit, decision = found.policy("this model"), found.names.unit, found.decision
    test = metrics.variants[metrics.chosen].test
    items = []
    if ours is not None:
        prices = (
            f"refusing a good {unit} = {decision.cost_of_refusal:g}, a missed default = {decision.cost_of_default:g}"
        )
        items.append(KeyFigure(f"Expected cost per {unit}", estimate(ours.cost, 2), prices))
        items.append(KeyFigure("Approved", estimate(ours.approval_rate, 0, percent=True)))
        items.append(KeyFigure("Default rate among the approved", estimate(ours.bad_rate, 1, percent=True)))
    note = "" if decision.review else "no band is set"
    items.append(KeyFigure("Sent to manual review", Estimate(percent(decision.review_share)), note))
    if "gini" in test:
        items.append(KeyFigure("Separation, Gini", estimate(test["gini"], 2), "0 none, 1 perfect"))
    return items


def decision_section(found: Evaluation, figures: Mapping[str, Figure]) -> Section:
    blocks: list[Block] = []
    if found.policies:
        policies = sorted(found.policies, key=lambda policy: policy.cost.value)
        rows = [
            (
                RULES.get(policy.policy, policy.policy),
                estimate(policy.cost, 2),
                CONSTANT.get(policy.policy) or estimate(policy.approval_rate, 0, percent=True),
                estimate(policy.bad_rate, 1, percent=True),
            )
            for policy in policies
        ]
        note = "Applicants whom a person would see are counted as the cut-off decides." if found.decision.review else ""
        head = ("Rule", f"Cost per {found.names.unit}", "Approved", "Default rate among the approved")
        blocks.append(Table(head, rows, "What each way to decide costs, cheapest first", note=note))
    return Section("Decision", [*blocks, *_pictures(figures, "cost", "scores")], decision_text(found.decision))


def model_section(metrics: RunMetrics, found: Evaluation, figures: Mapping[str, Figure]) -> Section:
    models = metrics.models()
    measured = {key: name for key, name in METRICS.items() if any(key in variant.test for variant in models.values())}
    rows: list[tuple[Cell, ...]] = [
        (metrics.label(name), *(estimate(variant.test.get(key)) for key in measured), *weight_of(variant))
        for name, variant in models.items()
    ]
    baseline = metrics.baseline_of(models)
    tags = {
        metrics.chosen: "in use",
        **({baseline: "best simple model"} if baseline not in (None, metrics.chosen) else {}),
    }
    table = Table(
        ("Model", *measured.values(), "Size, kB", "Time, ms"),
        rows,
        "Models on the same test applicants",
        note="AUC, Gini, KS and AP (average precision): higher is better. Brier and ECE, the calibration error: lower "
        "is better. Size counts every file the predictor reads; time is the median of single applicants on one thread.",
        marked={place: tags[name] for place, name in enumerate(models) if name in tags},
    )
    lead = ""
    if found.better_than_baseline is not None and baseline is not None:
        gain = found.better_than_baseline
        sure = "is more than chance explains" if gain.low > 0 or gain.high < 0 else "may be chance"
        side = "above" if gain.value >= 0 else "below"
        lead = (
            f"On the same applicants the model's AUC is {abs(gain.value):.3f} {side} "
            f"that of {metrics.label(baseline)}, the best simple model. The difference {sure}: its interval is "
            f"{gain.low:+.3f} to {gain.high:+.3f}."
        )
    return Section("Models compared", [table, *_pictures(figures, "auc", "roc")], lead)


def calibration_section(found: Evaluation, figures: Mapping[str, Figure]) -> Section:
    blocks: list[Block] = list(_pictures(figures, "reliability", "brier"))
    if found.psi is not None:
        stable = f"Population stability index of the scores, training to test applicants: {estimate(found.psi)}. "
        blocks.append(Text(stable + "Below 0.1 scores usually count as stable, above 0.25 as shifted."))
    lead = "Can a predicted probability be taken at its word?" if blocks else ""
    return Section("Calibration and stability", blocks, lead)


def group_section(found: Evaluation, data: DataCard) -> Section:
    rows = [
        (
            f"{group.column}: {group.level}",
            f"{group.rows:,}",
            estimate(group.approval_rate, 0, percent=True),
            estimate(group.observed_rate, 0, percent=True),
            # Resampling four applicants says nothing about a fifth: their interval would come out far too narrow.
            estimate(group.auc if group.rarer_outcome() >= 5 else None),
        )
        for group in found.groups
    ]
    if not rows:
        return Section("Protected groups", [])
    head = ("Group", "Applicants", "Approved", f"Observed “{found.names.positive}”", "AUC")
    used = sorted({column.name for column in data.columns} & set(data.protected))
    seen = f"The model reads {', '.join(used)}." if used else "The model does not read these columns."
    lows = [_approval_ratio(found, column) for column in dict.fromkeys(group.column for group in found.groups)]
    note = "; ".join(lows) + ". No AUC where fewer than five had one of the outcomes."
    return Section("Protected groups", [Table(head, rows, "Outcomes by group", note=note, align="lrrrr")], seen)


def _approval_ratio(found: Evaluation, column: str) -> str:
    rates = [group.approval_rate.value for group in found.groups if group.column == column]
    ratio = f"{min(rates) / max(rates):.2f}" if max(rates) > 0 else "no"
    return f"{column}: the lowest approval rate is {ratio} of the highest"


def scorecard_section(learned: Learned, data: DataCard) -> Section:
    rows = [
        (
            column.column if place == 0 else "",
            _spelled(column.column, bin_.bin, data.meanings),
            f"{bin_.points:.0f}",
            "–" if bin_.rows is None else f"{bin_.rows:,}",
            "–" if bin_.bad_rate is None else percent(bin_.bad_rate),
        )
        for column in learned.scorecard
        for place, bin_ in enumerate(column.bins)
    ]
    if not rows:
        return Section("Scorecard", [])
    head = ("Column", "Value", "Points", "Training applicants", "Default rate")
    table = Table(head, rows, "Points by column and value", align="llrrr", tall=True)
    return Section("Scorecard", [table], "The scorecard in points, the simplest of the models to read and to explain.")


def _spelled(column: str, bin_: str, meanings: Mapping[str, str]) -> str:
    """The codes of a bin with their meanings, where these are known."""
    codes = bin_.split(", ")
    return ", ".join(f"{code}: {meanings[key]}" if (key := f"{column}={code}") in meanings else code for code in codes)


def data_section(metrics: RunMetrics, data: DataCard, found: Evaluation) -> Section:
    blocks: list[Block] = []
    if metrics.audit is not None:
        order = ("fail", "warning", "info")
        for finding in sorted(metrics.audit.findings, key=lambda finding: order.index(finding.level)):
            blocks.append(Notice(finding.level, finding.message))
        if not metrics.audit.findings:
            blocks.append(Text("The audit looked for shared, repeated and giveaway data, and found none."))
    facts = [("Source", data.source), ("Target", f"{data.target}" + (f" = {data.positive}" if data.positive else ""))]
    facts += [
        (f"{name.capitalize()} part", f"{part.rows:,} rows, {part.positives:,} {found.names.positive}")
        for name, part in found.parts.items()
    ]
    facts += [("Licence", data.licence or "not stated"), ("Citation", data.cite or "not given")]
    facts += [("Protected columns", ", ".join(data.protected))] if data.protected else []
    facts += [("Noted", note) for note in data.notes]
    blocks.append(Facts(facts))
    if data.columns:
        meant = any(column.meaning for column in data.columns)
        rows = [
            (
                column.name,
                column.kind,
                f"{column.levels:,}" if column.levels else "–",
                percent(column.missing_share),
                *([column.meaning or ""] if meant else []),
            )
            for column in data.columns
        ]
        head = ("Column", "Kind", "Levels", "Missing", *(["Meaning"] if meant else []))
        align = "llrrl"[: len(head)]
        blocks.append(Table(head, rows, f"The {len(rows)} columns in use", align=align, tall=True))
    if data.ignored:
        left_out = list(data.ignored.items())
        blocks.append(Table(("Column", "Reason"), left_out, "Columns left out", align="ll", tall=len(left_out) > 12))
    return Section("Data and audit", blocks)


def _pictures(figures: Mapping[str, Figure], *names: str) -> Sequence[Pictures]:
    shown = [
        picture(figures[name], alt=figures[name].get_suptitle().replace("\n", " "), caption=CAPTIONS[name])
        for name in names
        if name in figures
    ]
    return [Pictures(shown)] if shown else []
