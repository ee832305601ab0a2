"""The imaging report: how often is the model right, where does it look, and what does it leave to a person?

    html = imaging_report(Path("runs/medical/imaging/..."))

For the radiologist first, then for the person who signs. What a run did not write is left out.
"""

from collections.abc import Mapping
from pathlib import Path

from matplotlib.figure import Figure

from lepton_solutions.data.splits import PARTS
from lepton_solutions.reporting.page import (
    Block,
    Code,
    Estimate,
    Facts,
    KeyFigure,
    KeyFigures,
    Notice,
    Page,
    Section,
    Table,
    Text,
    estimate,
    render,
)
from lepton_solutions.reporting.run import RunMetrics, read_record
from lepton_solutions.reporting.sections import making_section, released_section, training_section, write_page
from medical.imaging import store
from medical.imaging.card import limits
from medical.imaging.evaluation import Evaluation
from medical.imaging.figures import imaging_figures
from medical.imaging.maps import Maps
from medical.imaging.sections import (
    calibration_section,
    decision_section,
    montage_section,
    person_section,
    separation_section,
    slice_section,
)
from medical.imaging.verdict import RESEARCH, percent, verdict

PREDICT = "lepton predict RUN_OR_BUNDLE folder_of_images/ -o answers.csv"
MOST_UNREAD = 20  # listed in the page; all stand in data.json


def imaging_report(run: Path) -> str:
    """The report of a run as one HTML page.

    Raises UserError, naming file and key, where a file is absent or has another shape.
    """
    return _page(run, *_read(run))


def report(run: Path, out: Path) -> None:
    """The page for the person who signs, and its figures as files."""
    metrics, data, found, maps = _read(run)
    figures = imaging_figures(metrics, found, maps)
    write_page(run, out, _page(run, metrics, data, found, maps, figures), figures)


def _page(
    run: Path,
    metrics: RunMetrics,
    data: store.Facts,
    found: Evaluation,
    maps: Maps | None,
    figures: Mapping[str, Figure] | None = None,
) -> str:
    figures = imaging_figures(metrics, found, maps) if figures is None else figures
    sections = [
        decision_section(found, figures),
        montage_section(found, maps, figures),
        separation_section(metrics, found, figures),
        calibration_section(found, figures),
        person_section(found, figures),
        slice_section(found),
        audit_section(metrics),
        training_section(run / "training"),
        data_section(data, found),
        Section("Limits", [Text(limit) for limit in limits(data, found)]),
        released_section(metrics, unit="images", blocks=[Code(PREDICT)]),
        making_section(metrics),
    ]
    failed = metrics.audit is not None and metrics.audit.failed
    alarm = Notice("fail", "The audit of the data failed, so no figure below can be relied upon; see “Audit”.")
    page = Page(
        title=f"Imaging report. {RESEARCH}",
        subtitle=data.source,
        verdict=verdict(found).replace(" %", "\u00a0%"),
        opening=[*([alarm] if failed else []), KeyFigures(key_figures(metrics, found))],
        sections=[section for section in sections if section.blocks],
        footer=f"{RESEARCH} Figures are of the test part of {data.source}, which took part in no choice, unless "
        "another is named. Numbers in brackets or small print are 95 % intervals.",
    )
    return render(page)


def _read(run: Path) -> tuple[RunMetrics, store.Facts, Evaluation, Maps | None]:
    explained = run / "explained.npz"
    return (
        read_record(run / "metrics.json", RunMetrics),
        read_record(run / store.FACTS, store.Facts),
        read_record(run / "evaluation.json", Evaluation),
        Maps.read(explained) if explained.is_file() else None,
    )


def key_figures(metrics: RunMetrics, found: Evaluation) -> list[KeyFigure]:
    """What a radiologist asks first."""
    test, items = metrics.variants[metrics.chosen].test, []
    if "auc" in test:
        meaning = "0.5 chance, 1 perfect" if found.task == "binary" else "mean over labels; 0.5 chance, 1 perfect"
        items.append(KeyFigure("Separation, AUC", estimate(test["auc"], 2), meaning))
    if found.task == "binary" and (point := found.operating.get(found.labels[1])) is not None:
        whose = "at the stated prevalence" if point.stated else "at the test part's prevalence"
        items.append(KeyFigure(f"Sensitivity, “{found.labels[1]}”", estimate(point.sensitivity, 0, percent=True)))
        items.append(KeyFigure("Specificity", estimate(point.specificity, 0, percent=True)))
        items.append(KeyFigure(f"PPV at {percent(point.prevalence)}", estimate(point.ppv, 0, percent=True), whose))
    elif "accuracy" in test:
        items.append(
            KeyFigure(
                "Findings called rightly" if found.task == "multilabel" else "Called rightly",
                estimate(test["accuracy"], 0, percent=True),
            )
        )
        if "balanced_accuracy" in test and found.task != "multilabel":
            balanced = estimate(test["balanced_accuracy"], 0, percent=True)
            items.append(KeyFigure("Balanced over classes", balanced))
        if "quadratic_kappa" in test:
            items.append(KeyFigure("Weighted kappa", estimate(test["quadratic_kappa"], 2), "agreement; 1 is perfect"))
    if found.selective is not None:
        if found.selective.asked > 0:
            items.append(KeyFigure("Referred to a person", estimate(found.selective.referred, 1, percent=True)))
        else:
            items.append(KeyFigure("Referred to a person", Estimate("none"), "decision.refer is 0"))
    if found.foreign is not None:
        items.append(KeyFigure("Refused as foreign", estimate(found.foreign.refused, 1, percent=True)))
    return items


def audit_section(metrics: RunMetrics) -> Section:
    if metrics.audit is None:
        return Section("Audit", [])
    order = ("fail", "warning", "info")
    found = sorted(metrics.audit.findings, key=lambda finding: order.index(finding.level))
    blocks: list[Block] = [Notice(finding.level, finding.message) for finding in found]
    if not found:
        blocks = [
            Text("It looked for shared patients, copies, broken images and shortcuts to the label, and found none.")
        ]
    return Section("Audit", blocks)


def data_section(data: store.Facts, found: Evaluation) -> Section:
    parts = {name: found.parts[name] for name in PARTS if name in found.parts}
    blocks: list[Block] = []
    if parts:
        decided = [] if found.level == "image" else [f"{found.level.capitalize()}s"]
        rows = [
            (
                name.capitalize(),
                f"{part.images:,}",
                *(f"{part.units:,}" for _ in decided),
                *(f"{part.by_label.get(label, 0):,}" for label in found.labels),
                f"{part.unknown:,}",
            )
            for name, part in parts.items()
        ]
        head = ("Part", "Images", *decided, *found.labels, "Unknown labels")
        blocks.append(Table(head, rows, f"The parts, and {found.level}s of each label"))
    size = " x ".join(map(str, data.size))
    mm = f" at {' x '.join(f'{one:g}' for one in data.spacing)} mm" if data.spacing else ""
    facts = [
        ("Source", data.source),
        ("Split", "the publisher's" if data.published_split else f"made here, by {data.group or 'image'}"),
        ("Reaches the network as", f"{size}{mm}, {data.channels} channel{'s' if data.channels > 1 else ''}, window "
         f"{data.low:g} to {data.high:g}"),
        *([("Modality", data.modality)] if data.modality else []),
        ("Licence", data.licence or "not stated"),
        ("Citation", data.cite or "not given"),
        *(("Noted", note) for note in data.notes),
    ]  # fmt: skip
    blocks.append(Facts(facts))
    if data.unread:
        some = data.unread[:MOST_UNREAD]
        rest = f"The first {MOST_UNREAD}; all stand in data.json." if len(data.unread) > MOST_UNREAD else ""
        table = [(unread.image, unread.why) for unread in some]
        blocks.append(Table(("File", "Why"), table, f"{len(data.unread):,} files not read", align="ll", note=rest))
    return Section("Data", blocks)
