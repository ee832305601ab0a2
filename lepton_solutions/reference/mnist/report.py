"""The report of a digits run: how many digits it reads, what fine-tuning added, and which it takes for which."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from lepton_solutions.files import write_text
from lepton_solutions.metrics import Interval
from lepton_solutions.reference.figures import mistakes_figure
from lepton_solutions.reference.mnist.release import LABELS
from lepton_solutions.reference.mnist.train import FINE_TUNED, TRAINED
from lepton_solutions.reference.pages import parity_section
from lepton_solutions.reporting.page import (
    Block,
    Estimate,
    Facts,
    KeyFigure,
    KeyFigures,
    Notice,
    Page,
    Pictures,
    Section,
    Table,
    estimate,
    render,
)
from lepton_solutions.reporting.plots import history_figure
from lepton_solutions.reporting.run import RunMetrics, read_record
from lepton_solutions.reporting.sections import drawn, making_section, weight_of
from lepton_solutions.training.history import read_history

WHOLE = 70_000  # digits of MNIST


def report(run: Path, out: Path) -> None:
    """`report.html`, from what the stages before have written."""
    metrics = read_record(run / "metrics.json", RunMetrics)
    found, data, audit = (
        json.loads((run / f"{name}.json").read_text(encoding="utf-8")) for name in ("evaluation", "data", "audit")
    )
    ours = metrics.variants[metrics.chosen].test["accuracy"]
    page = Page(
        title="Handwritten digits",
        subtitle=f"{data['source']}; reference case",
        verdict=f"Of {found['images']:,} test images the network reads {100 * ours.value:.2f} % as what they show.",
        opening=[*few(data), KeyFigures(key_figures(metrics, found))],
        sections=[
            model_section(metrics, found, data["source"]),
            training_section(run, found, data["source"]),
            mistake_section(found, data["source"]),
            data_section(data, audit),
            parity_section(metrics, of="the probabilities of all test images"),
            making_section(metrics),
        ],
        footer="Figures are of test images, which took part in no choice, unless another part is named. Numbers in "
        "brackets or small print are 95 % intervals.",
    )
    write_text(out / "report.html", render(page))


def few(data: dict[str, Any]) -> list[Block]:
    """A warning where a part of MNIST stands in for all of it."""
    if data["rows"] >= WHOLE:
        return []
    text = f"These are {data['source']}: figures of this page do not compare with those of all {WHOLE:,}."
    return [Notice("warning", text)]


def percent(interval: Interval) -> Estimate:
    return estimate(interval, 2, percent=True)


def key_figures(metrics: RunMetrics, found: dict[str, Any]) -> list[KeyFigure]:
    test, facts = metrics.variants[metrics.chosen].test, found["learned"][metrics.chosen]
    wrong = round(found["images"] * (1 - test["accuracy"].value))
    return [
        KeyFigure("Test accuracy", percent(test["accuracy"])),
        KeyFigure("Misread", Estimate(f"{wrong:,} of {found['images']:,}")),
        KeyFigure("Loss a test image", estimate(test["log_loss"], 3), "cross-entropy, nats"),
        KeyFigure("Validation accuracy", Estimate(f"{100 * facts['validation']['accuracy']:.2f} %")),
    ]


def model_section(metrics: RunMetrics, found: dict[str, Any], source: str) -> Section:
    models = {name: metrics.variants[name] for name in found["learned"]}
    rows = [
        (
            metrics.label(name),
            percent(model.test["accuracy"]),
            estimate(model.test["log_loss"], 3),
            f"{100 * found['learned'][name]['validation']['accuracy']:.2f} %",
            f"{found['learned'][name]['steps']:,}",
            *weight_of(model),
        )
        for name, model in models.items()
    ]
    table = Table(
        ("Model", "Test accuracy", "Loss, nats", "Validation accuracy", "Iterations", "Size, kB", "Time, ms"),
        rows,
        f"Models on the same test images; {source}",
        note="Size is that of the ONNX file; time is the median of single images on one thread. The model in use is "
        "the one with the lower validation loss; test images decided nothing.",
        marked={list(models).index(metrics.chosen): "in use"},
    )
    gains = [
        f"{100 * gain['value']:+.2f} points against {LABELS[name].split(',')[0].lower()} "
        f"({100 * gain['low']:+.2f} to {100 * gain['high']:+.2f})"
        for name, gain in found["gain"].items()
    ]
    return Section("Models compared", [table], f"Accuracy on the same images: {'; '.join(gains)}.")


def training_section(run: Path, found: dict[str, Any], source: str) -> Section:
    folders = {"trained": TRAINED, "finetuned": FINE_TUNED}
    pictures = []
    for name, folder in folders.items():
        if name not in found["learned"]:
            continue
        facts, rows = found["learned"][name], read_history(run / folder / f"{name}.csv")
        figure = history_figure(
            rows,
            title=f"{LABELS[name].split(',')[0]}: validation loss {facts['validation']['loss']:.4f} "
            f"in epoch {facts['kept_epoch']}",
            metric="validation_loss",
            chosen=facts["kept_epoch"],
        )
        pictures.append(
            drawn(
                figure,
                f"{facts['steps']:,} iterations of {facts['batch_size']} images, {facts['optimiser']} at "
                f"{facts['learning_rate']:g}; {source}. {_stopped(facts)}",
            )
        )
    lead = "Validation images judge every epoch, test images none."
    if "finetuned" in found["learned"]:
        lead += (
            " Fine-tuning gives the trained trunk a new head, fits that head alone, then trains both together at a "
            "low rate, on training images: whoever tunes on the test set reports how well the model knows "
            "images it was shown, and nobody learns how it reads new ones."
        )
    return Section("Training", [Pictures(pictures)], lead)


def _stopped(facts: dict[str, Any]) -> str:
    if facts["stopped"] == "patience":
        return f"Stopped early, in epoch {facts['epochs']}."
    return "Not stopped early."


def mistake_section(found: dict[str, Any], source: str) -> Section:
    names = [str(digit) for digit in range(10)]
    rows = [
        (
            f"{digit} is read as",
            *(f"{count:,}" if count else "·" for count in counts),
            f"{100 * counts[digit] / max(1, sum(counts)):.1f} %",
        )
        for digit, counts in enumerate(found["confusion"])
    ]
    blocks: list[Block] = [
        Table(("Digit", *names, "right"), rows, f"What each digit is taken for, test images; {source}")
    ]
    pairs = [
        (found["confusion"][a][b], a, b) for a in range(10) for b in range(10) if a != b and found["confusion"][a][b]
    ]
    if not pairs:
        return Section("Mistakes", blocks)
    count, a, b = max(pairs)
    shown = [
        (each["pixels"], f"{each['digit']} as {each['said']}\n{100 * each['probability']:.0f} %")
        for each in found["mistakes"]
    ]
    total = sum(pair[0] for pair in pairs)
    figure = mistakes_figure(shown, title=f"The {len(shown)} surest of {total:,} mistakes")
    caption = f"What the image shows, what it was read as, and the probability given to that; {source}."
    blocks.append(drawn(figure, caption))
    return Section("Mistakes", blocks, f"The commonest: {count} times a {a} was read as a {b}.")


def data_section(data: dict[str, Any], audit: list[dict[str, Any]]) -> Section:
    blocks: list[Block] = [Notice(finding["level"], finding["message"]) for finding in audit]
    rows = [
        (f"{part.capitalize()}", f"{sum(counts):,}", *(f"{n:,}" for n in counts))
        for part, counts in data["parts"].items()
    ]
    blocks.append(Table(("Part", "Images", *map(str, range(10))), rows, "Images of each digit"))
    blocks.append(Facts([("Source", data["source"]), ("Licence", data["licence"]), ("Citation", data["cite"])]))
    lead = "No image stands in two parts, byte for byte." if not audit else ""
    return Section("Data and audit", blocks, lead)
