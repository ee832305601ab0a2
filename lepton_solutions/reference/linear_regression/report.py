"""The report of a linear regression: does the loop compute what the closed forms say?"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from lepton_solutions.files import write_text
from lepton_solutions.reference.figures import prediction_figure
from lepton_solutions.reference.linear_regression.train import GRADIENT_TOLERANCE, WEIGHT_TOLERANCE
from lepton_solutions.reference.pages import parity_section
from lepton_solutions.reporting.page import (
    Block,
    Estimate,
    Facts,
    KeyFigure,
    KeyFigures,
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

POINTS = {"before": "all weights 0, before the training", "after": "the weights after the training"}


def report(run: Path, out: Path) -> None:
    """`report.html`, from what the stages before have written."""
    metrics = read_record(run / "metrics.json", RunMetrics)
    found, data = (json.loads((run / f"{name}.json").read_text(encoding="utf-8")) for name in ("evaluation", "data"))
    learned = json.loads((run / "trained" / "learned.json").read_text(encoding="utf-8"))
    page = Page(
        title="Linear regression",
        subtitle=f"{data['source']}, {data['rows']:,} rows; reference case",
        verdict=verdict(learned),
        opening=[KeyFigures(key_figures(metrics, learned, found))],
        sections=[
            weight_section(learned, data),
            gradient_section(learned),
            error_section(run, metrics, found, learned, data),
            data_section(data),
            parity_section(metrics, of="predictions for all test rows, relative to the largest; ONNX holds float32"),
            making_section(metrics),
        ],
        footer="Errors are of test rows, which took part in no choice. Numbers in brackets or small print are 95 % "
        "intervals.",
    )
    write_text(out / "report.html", render(page))


def short(value: float) -> str:
    """One digit and the power of ten.

    >>> short(0.0000149), short(0)
    ('1e-5', '0')
    """
    return f"{value:.0e}".replace("e-0", "e-") if value else "0"


def verdict(learned: dict[str, Any]) -> str:
    """One sentence, and it says no where a tolerance is missed."""
    weights, gradients = learned["weight_difference"], max(learned["gradient_differences"].values())
    right = weights <= WEIGHT_TOLERANCE, gradients <= GRADIENT_TOLERANCE
    told = (
        f"weights are within {short(weights)} of least squares, gradients within {short(gradients)} of the closed form"
    )
    if all(right):
        return f"The loop computes what it should: {told}."
    which = " and ".join(name for name, held in zip(("weights", "gradients"), right, strict=True) if not held)
    more = "; more iterations would bring the weights closer" if right[1] else ""
    return f"The {which} are not within tolerance: {told}{more}."


def key_figures(metrics: RunMetrics, learned: dict[str, Any], found: dict[str, Any]) -> list[KeyFigure]:
    test = metrics.variants["trained"].test
    return [
        KeyFigure(
            "Weights",
            Estimate(f"{short(learned['weight_difference'])}"),
            f"largest difference, asked {short(WEIGHT_TOLERANCE)}",
        ),
        KeyFigure(
            "Gradients",
            Estimate(f"{short(max(learned['gradient_differences'].values()))}"),
            f"largest difference, asked {short(GRADIENT_TOLERANCE)}",
        ),
        KeyFigure("Test error, RMSE", estimate(test["rmse"], 2)),
        KeyFigure("Explained variance, R²", Estimate(f"{found['r2']:.3f}"), "of test rows"),
    ]


def weight_section(learned: dict[str, Any], data: dict[str, Any]) -> Section:
    names = [data["meanings"].get(name, name) for name in learned["columns"]]
    columns = zip([*names, "bias"], learned["weights"], learned["least_squares"], learned["raw_weights"], strict=True)
    rows = [
        (name, f"{ours:.6f}", f"{exact:.6f}", f"{short(abs(ours - exact))}", f"{raw:.6f}")
        for name, ours, exact, raw in columns
    ]
    target = data["meanings"].get(data["target"], data["target"])
    table = Table(
        ("Column", "Weight", "Least squares", "Difference", "Per unit"),
        rows,
        f"Weights for {target}",
        note="Weight and least squares: change of the prediction for one standard deviation of the column; per unit: "
        f"for one unit of it. {learned['steps']:,} iterations of {learned['batch_size']:,} rows, "
        f"{learned['optimiser']} at {learned['learning_rate']:g}, in float64.",
    )
    return Section("Weights against least squares", [table])


def gradient_section(learned: dict[str, Any]) -> Section:
    rows = [
        (POINTS.get(point, point.replace("random", "random weights")), f"{short(difference)}")
        for point, difference in learned["gradient_differences"].items()
    ]
    table = Table(("At", "Largest difference"), rows, f"Gradient of the loss over {learned['rows']:,} training rows")
    lead = "The gradient that training takes, against −(2/N) Σ (y − ŷ) x, computed apart from it."
    return Section("Gradients against the closed form", [table], lead)


def error_section(
    run: Path, metrics: RunMetrics, found: dict[str, Any], learned: dict[str, Any], data: dict[str, Any]
) -> Section:
    rows = [
        (variant.label, estimate(variant.test["rmse"], 3), estimate(variant.test["mae"], 3), *weight_of(variant))
        for variant in metrics.variants.values()
    ]
    unit = data["meanings"].get(data["target"], data["target"]).rpartition(", ")[2]
    table = Table(
        ("Model", "RMSE", "MAE", "Size, kB", "Time, ms"), rows, f"Errors on {found['rows']:,} test rows, {unit}"
    )
    history_rows = read_history(run / "trained" / "history.csv")
    history = history_figure(history_rows, title=f"The training loss falls to {history_rows[-1]['loss']:.3f}")
    history.axes[0].set_yscale("log")  # it falls by four powers of ten
    pictures = [
        drawn(
            history,
            f"Mean squared error of the training rows, {unit}²; {learned['steps']:,} iterations. At first momentum "
            "makes it swing.",
        ),
        drawn(
            prediction_figure(
                found["predicted"],
                found["observed"],
                title=f"The line explains {100 * found['r2']:.1f} % of the variance of test rows",
                unit=unit,
            ),
            "One point a test row. Where the points bend away from the dotted line, a line is too simple.",
        ),
    ]
    blocks: list[Block] = [table, Pictures(pictures)]
    return Section("Errors", blocks)


def data_section(data: dict[str, Any]) -> Section:
    facts = [("Source", data["source"]), ("Target", f"{data['target']}: {data['meanings'].get(data['target'], '')}")]
    facts += [(f"{part.capitalize()} part", f"{rows:,} rows") for part, rows in data["parts"].items()]
    facts += [("Licence", data["licence"] or "not stated"), ("Citation", data["cite"] or "not given")]
    repeated = data["repeated"]
    lead = (
        f"{repeated:,} rows repeat another one; equal rows stay in one part." if repeated else "No row repeats another."
    )
    return Section("Data", [Facts(facts)], lead)
