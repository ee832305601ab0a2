"""The imaging model's card, `card.md` of the bundle, under the headings of CLAIM 2024.

Tejani et al. 2024, "Checklist for Artificial Intelligence in Medical Imaging (CLAIM): 2024 Update", Radiology:
Artificial Intelligence 6(4). What a run cannot know (consent, who read the reference) is asked for, never invented.
"""

from collections.abc import Mapping, Sequence

from lepton_solutions.data.splits import PARTS
from lepton_solutions.reporting.page import estimate
from medical.imaging.evaluation import Evaluation
from medical.imaging.store import Facts
from medical.imaging.verdict import RESEARCH, decision_text, percent, point_text, verdict, with_interval

ASKED = "*To be stated by whoever releases the model.*"
METRICS = {
    "auc": "AUC",
    "average_precision": "Average precision",
    "accuracy": "Accuracy",
    "balanced_accuracy": "Balanced accuracy",
    "sensitivity": "Sensitivity",
    "specificity": "Specificity",
    "f1": "F1",
    "quadratic_kappa": "Weighted kappa",
    "brier": "Brier score",
    "ece": "Calibration error",
}
TASKS = {
    "binary": "tells two classes apart",
    "multiclass": "names one of several classes",
    "multilabel": "looks for several findings at once",
    "ordinal": "gives one of several grades in order",
}


def imaging_card(
    facts: Mapping[str, object], evaluation: Mapping[str, object], *, network: str = "", training: str = ""
) -> str:
    """Markdown, from what data.json and evaluation.json hold. network, training: sentences on the model and its fit."""
    data, found = Facts.model_validate(facts), Evaluation.model_validate(evaluation)
    sections = {
        "Intended use": _use(data, found),
        "Study design and data": _data(data, found),
        "Reference standard": [
            f"The labels as the source gives them ({_plain(data.source)}). Who read them, how, and how far readers "
            f"agreed: {ASKED}"
        ],
        "Data partitions": _partitions(data, found),
        "Model": [network or "See `manifest.json` and `inputs.json` of this bundle.", _input(data)],
        "Training": [training or "See `report.html` of the run.", "No test image took part in any choice."],
        "Decision": [decision_text(found), *_points(found)],
        "Evaluation": [verdict(found), _metrics(found), *_reliability(found)],
        "Robustness and explanation": _robustness(found),
        "Limitations": [f"- {limit}" for limit in limits(data, found)],
        "Ethics and consent": [ASKED],
        "Registration, protocol, funding": [ASKED],
        "Licence of the data": [
            _plain(data.licence) if data.licence else "Not stated.",
            f"Source: {_plain(data.cite)}" if data.cite else "",
        ],
    }
    text = [f"# Imaging model: {_plain(data.source)}", f"**{RESEARCH}**"]
    text.append("Headings after CLAIM, the checklist for artificial intelligence in medical imaging (2024 update).")
    for heading, paragraphs in sections.items():
        text.append(f"## {heading}")
        text += _joined([paragraph for paragraph in paragraphs if paragraph])
    return "\n\n".join(text) + "\n"


def limits(data: Facts, found: Evaluation) -> list[str]:
    """What the figures do not say, as far as the run itself can know it."""
    said = [
        "No clinical validation: how readers do with this model has not been measured.",
        f"Valid for images like those described here{f' ({_plain(data.modality)})' if data.modality else ''}: another "
        "scanner, protocol or population needs a test of its own. Images that look foreign are refused, but not all "
        "that are foreign look so.",
        "Labels are taken as the truth; their errors count as the model's, and the other way round.",
        "A map shows where the network found evidence, not why, and not the border of a finding.",
    ]
    part = found.parts.get("test")
    if part is not None and part.by_label:
        rare, count = min(part.by_label.items(), key=lambda item: item[1])
        if count < 50:
            said.append(
                f"The test part holds {count} {_units(found, count)} with “{_plain(rare)}”: read its intervals."
            )
    if found.patients is None:
        said.append(
            "Patients are not known for these images. If some have several, the parts may share patients, and the "
            "figures flatter."
        )
    if not any(part.column == "site" for part in found.slices):
        said.append("Nothing was measured by site: how the model does in another hospital is not known.")
    foreign = found.foreign
    if foreign is not None and foreign.refused.low > 2 * foreign.asked:
        said.append(
            f"{with_interval(foreign.refused)} of the test {found.level}s look foreign, where {percent(foreign.asked)} "
            "were expected: the test part differs from the training part."
        )
    return said


def _use(data: Facts, found: Evaluation) -> list[str]:
    labels = ", ".join(f"`{_plain(label)}`" for label in found.labels)
    of = f" of {_plain(data.modality)}" if data.modality else ""
    return [
        f"{RESEARCH} The model {TASKS[found.task]} ({labels}) from {'volumes' if data.dims == 3 else 'images'}{of}, "
        f"decides about each {found.level}, says how sure it is, and leaves to a person what it is unsure of. It is "
        "meant to help research on reading images and replaces no reader. Clinical purpose and intended users: " + ASKED
    ]


def _data(data: Facts, found: Evaluation) -> list[str]:
    unread = f" {len(data.unread):,} files could not be read and took no part." if data.unread else ""
    patients = f" The test part is of {found.patients:,} patients." if found.patients is not None else ""
    kept = "as the publisher split them" if data.published_split else "split by this project"
    return [
        f"Retrospective: {data.images:,} {'volumes' if data.dims == 3 else 'images'} from {_plain(data.source)}, "
        f"{kept}.{patients}{unread} Eligibility, dates and places of acquisition, de-identification: {ASKED}",
        *(f"Noted: {_plain(note)}" for note in data.notes),
    ]


def _partitions(data: Facts, found: Evaluation) -> list[str]:
    rows = [
        "| part | images | " + f"{found.level}s | by label | unknown labels |",
        "| --- | ---: | ---: | --- | ---: |",
    ]
    for name in PARTS:
        part = found.parts.get(name)
        if part is not None:
            by_label = ", ".join(f"{_plain(label)} {count:,}" for label, count in part.by_label.items())
            rows.append(f"| {name} | {part.images:,} | {part.units:,} | {by_label} | {part.unknown:,} |")
    apart = f"Images of one {data.group} are in one part." if data.group else "Parts are disjoint by image."
    return ["\n".join(rows), apart if not data.published_split else "The parts are the publisher's."]


def _input(data: Facts) -> str:
    size = " x ".join(map(str, data.size))
    spacing = f" at {' x '.join(f'{mm:g}' for mm in data.spacing)} mm" if data.spacing else ""
    return (
        f"Input: raw pixels, {data.channels} channel{'s' if data.channels > 1 else ''}, brought to {size}{spacing} and "
        f"the window {data.low:g} to {data.high:g} inside the exported network."
    )


def _points(found: Evaluation) -> list[str]:
    return [f"- {point_text(_plain(label), point, found.level)}" for label, point in found.operating.items()]


def _metrics(found: Evaluation) -> str:
    ours, baseline = found.test.get("trained", {}), found.test.get("baseline", {})
    lines = [
        f"| metric, {_units(found, 2)} of the test part | value | 95 % interval | simple baseline |",
        "| --- | ---: | ---: | ---: |",
    ]
    for key, name in METRICS.items():
        if key in ours:
            cell, other = estimate(ours[key]), estimate(baseline.get(key))
            lines.append(f"| {name} | {cell.value} | {cell.interval} | {other.value} |")
    return "\n".join(lines)


def _reliability(found: Evaluation) -> list[str]:
    resampled = "patients" if found.patients is not None else f"{found.level}s"
    return [f"Intervals resample {resampled}."]


def _robustness(found: Evaluation) -> list[str]:
    lines = []
    conformal, foreign = found.conformal, found.foreign
    if conformal is not None:
        lines.append(
            f"- Conformal sets asked to hold the truth in {percent(conformal.nominal)} do so in "
            f"{with_interval(conformal.coverage)}; they hold {conformal.mean_size.value:.2f} labels on average."
        )
    if foreign is not None:
        lines.append(f"- Refused as unlike the training images: {with_interval(foreign.refused)} of the test part.")
    for part in found.slices:
        auc = part.metrics.get("auc")
        if auc is not None:
            lines.append(
                f"- {_plain(part.column)} {_plain(part.level)}: {part.units:,} {found.level}s, AUC {estimate(auc)}"
            )
    lines.append("- Explanation: class activation maps, output `map` of the exported network.")
    return lines


def _units(found: Evaluation, count: int) -> str:
    return found.level if count == 1 else f"{found.level}s"


def _joined(paragraphs: Sequence[str]) -> list[str]:
    """Points of a list stay together; everything else is a paragraph."""
    lines: list[str] = []
    for paragraph in paragraphs:
        if paragraph.startswith("- ") and lines and lines[-1].startswith("- "):
            lines[-1] += f"\n{paragraph}"
        else:
            lines.append(paragraph)
    return lines


def _plain(text: str) -> str:
    """One line without what Markdown would read as a table or a tag."""
    return " ".join(text.split()).replace("|", "\\|").replace("<", "&lt;")
