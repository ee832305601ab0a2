"""The figures of a failure run, each with its finding as the title."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure

from lepton_solutions.reporting import plots
from lepton_solutions.reporting.plots import COLOURS, GREY, INK, blank, draw_line, legend_below
from lepton_solutions.reporting.plots_images import confusion_figure
from lepton_solutions.reporting.run import RunMetrics
from manufacturing.failure.evaluation import Evaluation, Track
from manufacturing.failure.verdict import RULES, thousand

DECIDES = {
    "rul": ("rmse", "RMSE"),
    "failure": ("average_precision", "Average precision"),
    "diagnosis": ("accuracy", "Accuracy"),
    "health": ("alarm_rate", "Share of readings with an alarm"),
}


def failure_figures(metrics: RunMetrics, found: Evaluation) -> dict[str, Figure]:
    """Those for which the run has the numbers."""
    figures: dict[str, Figure] = {}
    name, label = DECIDES[found.question]
    values = {metrics.label(m): v.test[name] for m, v in metrics.models().items() if name in v.test}
    if len(values) > 1:
        figures["models"] = plots.metric_figure(values, title=f"{label} on the same test machines", metric=label)
    if found.policies:
        rates = {RULES[one.policy]: thousand(one.rate) for one in found.policies}
        title = f"Cost per 1,000 {found.clock} of four rules, replayed on test machines"
        figures["cost"] = plots.metric_figure(rates, title=title, metric=f"cost per 1,000 {found.clock}")
    for number, track in enumerate(found.tracks):
        figures[f"track_{number}"] = _track(track, found)
    if found.scatter:
        figures["scatter"] = _scatter(found)
    if found.bands:
        figures["bands"] = _bands(found)
    if found.alarms is not None and found.alarms.lead:
        figures["lead"] = _lead(found)
    if found.attribution is not None:
        figures["attribution"] = _attribution(found)
    if found.roc:
        auc = metrics.variants[metrics.chosen].test.get("auc")
        title = f"Failures are told apart with an AUC of {auc.value:.3f}" if auc else "How the models separate"
        shown = dict([(metrics.label(m), found.roc[m]) for m in metrics.models() if m in found.roc][:4])
        figures["roc"] = plots.roc_figure(shown, title=title, found="failures", alarms="readings without one")
    if found.confusion:
        title = "What each fault was taken for"
        figures["confusion"] = confusion_figure(found.confusion, found.labels, title=title, unit="readings")
    return figures


def _track(track: Track, found: Evaluation) -> Figure:
    which = {"best": "among the best", "median": "middling", "worst": "among the worst"}.get(track.why, "")
    figure, axes = blank(f"{track.unit}: predicted and actual remaining life" + (f" ({which})" if which else ""))
    low = [np.nan if x is None else x for x in track.low]
    actual = [np.nan if x is None else x for x in track.actual]
    axes.fill_between(
        track.age, low, track.predicted, color=COLOURS[0], alpha=0.15, linewidth=0, label="down to the bound"
    )
    draw_line(axes, 0, "predicted", track.age, track.predicted)
    clipped = actual if found.cap is None else np.minimum(actual, found.cap).tolist()
    axes.plot(track.age, clipped, color=INK, linewidth=1.2, linestyle="--", label="actual, up to the cap")
    axes.set(xlabel=f"{found.clock} since the life began", ylabel=f"{found.clock} left", ylim=(0, None))
    legend_below(axes)
    return figure


def _scatter(found: Evaluation) -> Figure:
    actual, predicted = np.array(found.scatter).T
    late = float((predicted > (actual if found.cap is None else np.minimum(actual, found.cap))).mean())
    figure, axes = blank(
        f"{100 * late:.0f} % of predictions are too long, {100 - 100 * late:.0f} % too short", height=4.2
    )
    axes.plot(actual, predicted, ".", color=COLOURS[0], markersize=4, alpha=0.6)
    top = float(max(actual.max(), predicted.max()))
    line = np.linspace(0, top, 50)
    axes.plot(
        line, line if found.cap is None else np.minimum(line, found.cap), color=GREY, linestyle=":", linewidth=1.2
    )
    axes.set(
        xlabel=f"actual {found.clock} left", ylabel=f"predicted {found.clock} left", xlim=(0, None), ylim=(0, None)
    )
    return figure


def _bands(found: Evaluation) -> Figure:
    worst = max(found.bands, key=lambda band: band.rmse)
    figure, axes = blank(f"The error is largest with {worst.low:.0f} to {worst.high:.0f} {found.clock} left")
    names = [f"{band.low:.0f}–{band.high:.0f}" for band in found.bands]
    places = np.arange(len(names))
    axes.bar(places - 0.2, [band.rmse for band in found.bands], 0.4, color=COLOURS[0], label="RMSE")
    axes.bar(places + 0.2, [band.bias for band in found.bands], 0.4, color=GREY, label="mean error, above 0: too long")
    axes.set_xticks(places, names)
    axes.axhline(0, color=INK, linewidth=0.8)
    axes.set(xlabel=f"actual {found.clock} left, up to the cap", ylabel=found.clock)
    legend_below(axes)
    return figure


def _lead(found: Evaluation) -> Figure:
    assert found.alarms is not None
    lead = found.alarms.lead
    figure, axes = blank(f"Half of the alarms come {np.median(lead):.0f} {found.clock} or more before the failure")
    share = 1 - np.arange(len(lead)) / found.alarms.failures - found.alarms.missed / found.alarms.failures
    axes.step(lead, np.clip(share, 0, 1), where="pre", color=COLOURS[0])
    axes.set(
        xlabel=f"{found.clock} from the first alarm to the failure",
        ylabel="share of failures",
        ylim=(0, 1),
        xlim=(0, None),
    )
    plots.per_cent(axes, "y")
    return figure


def _attribution(found: Evaluation) -> Figure:
    assert found.attribution is not None
    share = np.array(found.attribution.share)
    order = np.argsort(share.mean(1))[::-1][:12]
    first = found.attribution.sensors[order[0]]
    figure, axes = blank(f"The answer rests most on {first}", height=1.6 + 0.28 * len(order))
    image = axes.imshow(share[order], cmap="Blues", aspect="auto", vmin=0)
    axes.set_yticks(range(len(order)), [found.attribution.sensors[place] for place in order])
    axes.set_xticks(
        range(share.shape[1]), [name.replace(" left", "") for name in found.attribution.bands], rotation=20, ha="right"
    )
    axes.grid(visible=False)
    figure.colorbar(image, ax=axes, shrink=0.7, label="share of the answer")
    return figure
