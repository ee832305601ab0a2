import numpy as np
import pytest

from lepton_solutions.metrics import Interval
from lepton_solutions.reporting.page import picture
from lepton_solutions.reporting.plots import OperatingMark, roc_figure
from lepton_solutions.reporting.plots_images import (
    Tile,
    confusion_figure,
    coverage_risk_figure,
    montage_figure,
    pointing_figure,
    set_size_figure,
)


def tile(height: int = 20, width: int = 30, circle: tuple[float, float, float] | None = None) -> Tile:
    grey = np.full((height, width, 3), 90, np.uint8)
    return Tile(grey, grey // 2, "called benign, 93 %\nis malignant", circle)


def test_a_montage_shows_each_image_beside_its_overlay_with_its_text():
    figure = montage_figure([tile() for _ in range(3)], title="3 of 9 wrong calls")
    shown = [axes for axes in figure.axes if axes.images]
    assert [len(axes.images) for axes in shown] == [2, 2, 2]
    left, right = (image.get_extent() for image in shown[0].images)
    assert left[1] < right[0]  # beside, not on top
    assert shown[0].get_xlabel() == "called benign, 93 %\nis malignant"
    assert figure.get_suptitle() == "3 of 9 wrong calls"


def test_what_is_to_be_found_is_circled_in_image_and_overlay():
    (axes,) = (axes for axes in montage_figure([tile(circle=(5, 7, 3))], title="One").axes if axes.images)
    first, second = axes.patches
    assert (first.center, first.radius) == ((7.5, 5.5), 3)  # pixels have their middle at a half
    assert second.center[0] - first.center[0] == pytest.approx(30 * 1.03)


def test_images_of_a_montage_stay_square_pixels():
    figure = montage_figure([tile(40, 10), tile(10, 40)], title="Two shapes")
    assert all(axes.get_aspect() == 1 for axes in figure.axes)


def test_a_confusion_matrix_writes_every_count_and_shares_where_they_fit():
    figure = confusion_figure([[90, 10], [3, 27]], ["no", "yes"], title="117 of 130", unit="patient")
    texts = [text.get_text() for text in figure.axes[0].texts]
    assert texts == ["90\n90 %", "10\n10 %", "3\n10 %", "27\n90 %"]
    assert [label.get_text() for label in figure.axes[0].get_yticklabels()] == ["no", "yes"]
    many = confusion_figure(np.eye(9, dtype=int).tolist(), [f"class {i}" for i in range(9)], title="Many", unit="image")
    assert many.axes[0].texts[0].get_text() == "1"


def test_a_class_without_a_case_has_shares_of_nothing():
    figure = confusion_figure([[5, 0], [0, 0]], ["no", "yes"], title="None", unit="image")
    assert figure.axes[0].texts[3].get_text() == "0\n0 %"


def test_the_operating_point_lies_on_the_curve_with_both_intervals():
    mark = OperatingMark(0.2, 0.8, (0.1, 0.3), (0.7, 0.85))
    figure = roc_figure({"ours": {"fpr": [0, 0.2, 1], "tpr": [0, 0.8, 1]}}, title="ROC", mark=mark)
    (drawn,) = figure.axes[0].containers
    ends = [np.asarray(arm.get_segments()[0]) for arm in drawn.lines[2]]
    assert sorted(point for arm in ends for point in arm.round(3).tolist()) == [
        [0.1, 0.8], [0.2, 0.7], [0.2, 0.85], [0.3, 0.8]
    ]  # fmt: skip
    assert mark.label in [text.get_text() for text in figure.legends[0].get_texts()]


def test_coverage_and_risk_show_the_blind_choice_and_the_point_in_use():
    figure = coverage_risk_figure([0.5, 1], [0.02, 0.1], title="Risk", unit="patient", blind=0.1, kept=(0.9, 0.08))
    lines = {line.get_label(): line.get_ydata() for line in figure.axes[0].lines}
    assert list(lines["the most certain kept"]) == [0.02, 0.1]
    assert set(lines["kept at random"]) == {0.1}
    assert list(lines["in use"]) == [0.08]


def test_set_sizes_are_shares_of_the_cases():
    figure = set_size_figure([0.0, 0.8, 0.2], title="Sets", unit="image")
    assert [bar.get_height() for bar in figure.axes[0].patches] == [0.0, 0.8, 0.2]
    assert [text.get_text() for text in figure.axes[0].texts] == ["0 %", "80 %", "20 %"]


def test_pointing_is_compared_with_a_blind_guess():
    shares = [("the network", Interval(0.95, 0.9, 0.98)), ("weights shuffled", Interval(0.1, 0.05, 0.2))]
    figure = pointing_figure(shares, title="Pointing", chance=0.08, what="lesions")
    assert [bar.get_width() for bar in figure.axes[0].patches] == [0.95, 0.1]
    assert figure.axes[0].lines[-1].get_xdata()[0] == 0.08


def test_a_montage_is_one_picture_without_outside_files():
    found = picture(montage_figure([tile()], title="One"), alt="One", caption="")
    assert found.svg.count("data:image/png;base64") == 2
    assert "http" not in found.svg.replace("http://www.w3.org", "")
