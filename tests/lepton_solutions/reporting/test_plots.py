import pytest

from lepton_solutions.metrics import Interval
from lepton_solutions.reporting.plots import (
    Cutoff,
    cost_figure,
    history_figure,
    metric_figure,
    reliability_figure,
    roc_figure,
    score_figure,
)

ROC = {"fpr": [0, 0.2, 1], "tpr": [0, 0.8, 1]}
COST = {"thresholds": [0, 0.5, 1], "costs": {"ours": [0.7, 0.4, 1.5]}, "flag_none": 1.5, "flag_all": 0.7}
BINS = [
    {"predicted": 0.1, "observed": 0.12, "low": 0.05, "high": 0.25, "rows": 40},
    {"predicted": 0.6, "observed": 0.5, "low": 0.35, "high": 0.65, "rows": 40},
]
SCORES = {"edges": [0, 0.25, 0.5], "positive": [0.2, 0.8], "negative": [0.9, 0.1]}


def lines(figure) -> dict[str, tuple[list[float], list[float]]]:
    return {line.get_label(): (list(line.get_xdata()), list(line.get_ydata())) for line in figure.axes[0].lines}


def legend(figure) -> list[str]:
    return [text.get_text() for text in figure.legends[0].get_texts()]


def test_a_roc_curve_is_drawn_through_the_saved_points():
    figure = roc_figure({"ours": ROC, "theirs": ROC}, title="Ours separates", found="defaulted", alarms="repaid")
    assert lines(figure)["ours"] == (ROC["fpr"], ROC["tpr"])
    assert figure.get_suptitle() == "Ours separates"
    assert legend(figure) == ["ours", "theirs"]
    assert figure.axes[0].get_ylabel() == "defaulted flagged, % (found)"


def test_models_differ_by_more_than_colour():
    figure = roc_figure(dict.fromkeys("abcdef", ROC), title="Six models")
    styles = {
        (line.get_linestyle(), str(line._dash_pattern)) for line in figure.axes[0].lines if line.get_label() in "abcdef"
    }
    assert len(styles) == 6


def test_reliability_shows_every_bin_with_its_interval():
    figure = reliability_figure(BINS, title="Close", event="late", edges=[0, 0.5, 1], shares=[0.5, 0.5])
    (points,) = (c for c in figure.axes[0].containers if c.get_label() == "95 % interval")
    segments = points.lines[2][0].get_segments()
    assert [end[1] for segment in segments for end in segment] == pytest.approx([0.05, 0.25, 0.35, 0.65])
    assert len(figure.axes) == 2


def test_reliability_without_a_histogram_has_one_pair_of_axes():
    assert len(reliability_figure(BINS, title="Close", event="late").axes) == 1


def test_scores_show_the_cut_off_and_the_band():
    cutoff = Cutoff(0.3, "refused from 30 %", (0.2, 0.4), "a person decides")
    figure = score_figure(SCORES, title="Apart", positive="late", negative="in time", cutoff=cutoff)
    assert lines(figure)["refused from 30 %"][0] == [0.3, 0.3]
    assert set(legend(figure)) == {"late", "in time", "refused from 30 %", "a person decides"}


def test_the_cost_curve_marks_the_chosen_point_and_the_rules_without_a_model():
    figure = cost_figure(
        COST, title="Cheap", unit="part", cutoff=Cutoff(0.5, "here"), chosen_cost=0.42, flag_none="ship all",
        flag_all="scrap all",
    )  # fmt: skip
    drawn = [(list(line.get_xdata()), list(line.get_ydata())) for line in figure.axes[0].lines]
    assert ([0.5], [0.42]) in drawn
    assert {text.get_text() for text in figure.axes[0].texts} == {"ship all: 1.50", "scrap all: 0.70"}
    assert figure.axes[0].get_ylabel() == "mean cost per part"


def test_metrics_are_dots_on_their_intervals():
    figure = metric_figure({"ours": Interval(0.8, 0.7, 0.9), "other": Interval(0.7, 0.6, 0.8)}, title="x", metric="AUC")
    drawn = [list(line.get_xdata()) for line in figure.axes[0].lines]
    assert [0.7, 0.9] in drawn and [0.8] in drawn and [0.6, 0.8] in drawn
    assert [label.get_text() for label in figure.axes[0].get_yticklabels()] == ["ours", "other"]


def test_a_history_shows_loss_metric_and_rate_over_the_epochs():
    rows = [
        {"epoch": 0.5, "loss": 0.9, "rate": 0.01},
        {"epoch": 1.0, "loss": 0.7, "rate": 0.008, "validation_auc": 0.6},
        {"epoch": 2.0, "loss": 0.6, "rate": 0.002, "validation_auc": 0.75},
    ]
    figure = history_figure(rows, title="The second epoch is best", metric="validation_auc", chosen=2)
    drawn = [
        {line.get_label(): (list(line.get_xdata()), list(line.get_ydata())) for line in a.lines} for a in figure.axes
    ]
    assert drawn[0]["training loss"] == ([0.5, 1.0, 2.0], [0.9, 0.7, 0.6])
    assert drawn[0]["weights kept"][0] == [2, 2]
    assert drawn[1]["validation auc"] == ([1.0, 2.0], [0.6, 0.75])
    assert drawn[2]["learning rate"] == ([0.5, 1.0, 2.0], [0.01, 0.008, 0.002])
    assert [axes.get_ylabel() for axes in figure.axes] == ["loss", "validation auc", "rate"]
    assert figure.axes[2].get_xlabel() == "epoch"


def test_a_validation_loss_shares_the_axes_of_the_training_loss():
    rows = [{"epoch": 1.0, "loss": 0.7, "rate": 0.01, "validation_loss": 0.8}]
    figure = history_figure(rows, title="Close", metric="validation_loss")
    assert lines(figure) == {"training loss": ([1.0], [0.7]), "validation loss": ([1.0], [0.8])}
    assert legend(figure) == ["training loss", "validation loss"]
    assert len(figure.axes) == len(history_figure(rows, title="No judge").axes) == 2
