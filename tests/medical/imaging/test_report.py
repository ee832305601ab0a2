import json
import re
from pathlib import Path

import numpy as np
import pytest
from imaging_run import LABELS, settings, toy_store, write_run

from lepton_solutions.errors import UserError
from lepton_solutions.metrics import Interval
from medical.imaging.card import imaging_card, limits
from medical.imaging.evaluation import Evaluation
from medical.imaging.maps import Maps, display, fitted, overlaid, tops_of_scale
from medical.imaging.report import imaging_report, report
from medical.imaging.store import Facts
from medical.imaging.verdict import RESEARCH, decision_text, point_text, verdict

KINDS = [
    pytest.param("binary", 2, "patient", id="binary"),
    pytest.param("multiclass", 2, "image", id="multiclass"),
    pytest.param("multilabel", 2, "patient", id="multilabel"),
    pytest.param("ordinal", 3, "image", id="ordinal 3-D"),
    pytest.param("binary", 3, "image", id="binary 3-D"),
]


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def made(run: Path, task: str = "binary", dims: int = 2, level: str = "patient", *overrides: str) -> Path:
    store = toy_store(task, dims=dims, level=level, side=12, patients=200)
    write_run(run, store, settings(*overrides))
    return run


@pytest.fixture(scope="module")
def binary(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that refers a tenth and has to find nine in ten."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        return made(
            tmp_path_factory.mktemp("run"), "binary", 2, "patient", "decision.min_sensitivity=.9", "decision.refer=.1"
        )


def evaluation(run: Path) -> Evaluation:
    return Evaluation.model_validate_json((run / "evaluation.json").read_text(encoding="utf-8"))


def changed(run: Path, **keys: object) -> Evaluation:
    saved = json.loads((run / "evaluation.json").read_text(encoding="utf-8"))
    return Evaluation.model_validate(saved | keys)


def sections(html: str) -> list[str]:
    return re.findall(r"<h2>(.*?)</h2>", html)


@pytest.mark.parametrize(("task", "dims", "level"), KINDS)
def test_every_kind_of_task_has_a_report(task: str, dims: int, level: str, tmp_path: Path):
    run = made(tmp_path / "run", task, dims, level)
    out = tmp_path / "out"
    out.mkdir()
    report(run, out)
    html = (out / "report.html").read_text(encoding="utf-8")
    head = html[: html.index("<main>")]
    assert RESEARCH in head
    for label in LABELS[task]:
        assert label in html
    assert {"wrong.png", "right.png", "roc.png", "reliability.png", "coverage_risk.png"} <= {
        file.name for file in (out / "figures").iterdir()
    }
    assert bool(re.search(r"slice \d+ of \d+", html)) == (dims == 3)
    assert "nan" not in re.findall(r"[a-z]+", re.sub(r"<svg.*?</svg>|<[^>]+>", " ", html, flags=re.DOTALL))
    assert "http" not in re.sub(r"http://www\.w3\.org/\S*", "", html)  # nothing is fetched


def test_the_report_reads_from_the_decision_to_the_limits(binary: Path):
    found = sections(imaging_report(binary))
    assert found[:6] == [
        "Operating point",
        "Right and wrong calls",
        "Separation",
        "Calibration",
        "What is left to a person",
        "By site, sex and age",
    ]
    assert found.index("Audit") < found.index("Data") < found.index("Limits") < found.index("How to reproduce it")


def test_the_first_sentence_is_the_verdict_in_counts_of_the_test_part(binary: Path):
    found = evaluation(binary)
    point = found.operating["lesion"]
    text = verdict(found)
    assert text.startswith(f"On {found.parts['test'].units} test patients sensitivity for “lesion” is ")
    share = 100 * point.true_positives / (point.true_positives + point.false_negatives)
    assert f"“lesion” is {share:.0f} % (" in text
    assert "are referred to a person" in text
    html = imaging_report(binary)
    heading = re.search(r"<h1>(.*?)</h1>", html, re.DOTALL)
    assert heading is not None and heading[1].replace("\u00a0", " ") == text


def test_a_goal_that_was_missed_is_said_in_the_verdict(binary: Path):
    saved = json.loads((binary / "evaluation.json").read_text(encoding="utf-8"))
    saved["operating"]["lesion"]["sensitivity"] = {"value": 0.8, "low": 0.7, "high": 0.88}
    assert "falls short of the 90 % asked for" in verdict(Evaluation.model_validate(saved))
    saved["operating"]["lesion"]["sensitivity"] = {"value": 0.93, "low": 0.85, "high": 0.97}
    assert "falls short" not in verdict(Evaluation.model_validate(saved))


def test_a_model_no_better_than_the_simple_one_is_not_praised(binary: Path):
    doubt = "not shown to be better than the simple baseline"
    assert doubt in verdict(changed(binary, better_than_baseline={"value": 0.02, "low": -0.01, "high": 0.05}))
    assert doubt not in verdict(changed(binary, better_than_baseline={"value": 0.2, "low": 0.1, "high": 0.3}))


def test_a_count_of_one_is_told_in_the_singular(binary: Path):
    point = (
        evaluation(binary)
        .operating["lesion"]
        .model_copy(
            update={"true_positives": 9, "false_negatives": 1, "true_negatives": 8, "false_positives": 2, "ppv": None}
        )
    )
    text = point_text("lesion", point, "patient")
    assert text == "Of 10 patients with “lesion” 1 was missed; of 10 without, 2 were called."


def test_the_line_is_told_with_its_origin(binary: Path):
    assert "still finds 90 % of the calibration patients" in decision_text(evaluation(binary))
    decision = {"rule": "best_accuracy", "thresholds": {"lesion": 0.5}, "calibration": "Platt"}
    assert "from a calibrated probability of one half on." in decision_text(changed(binary, decision=decision))
    decision["thresholds"] = {"lesion": 0.31}
    assert "clearly more calibration patients are called rightly" in decision_text(changed(binary, decision=decision))


def test_an_audit_that_failed_is_told_before_everything_else(binary: Path, tmp_path: Path):
    for file in binary.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    metrics = json.loads((binary / "metrics.json").read_text(encoding="utf-8"))
    metrics["audit"]["failed"] = True
    (tmp_path / "metrics.json").write_text(json.dumps(metrics), encoding="utf-8")
    html = imaging_report(tmp_path)
    assert html.index("no figure below can be relied upon") < html.index("<main>")


def test_text_of_the_user_is_no_markup(binary: Path, tmp_path: Path):
    for file in binary.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    text = (binary / "evaluation.json").read_text(encoding="utf-8").replace('"lesion"', '"<b>lesion"')
    (tmp_path / "evaluation.json").write_text(text, encoding="utf-8")
    assert "<b>lesion" not in imaging_report(tmp_path)


def test_a_run_without_maps_has_a_report_without_them(binary: Path, tmp_path: Path):
    for file in binary.iterdir():
        if file.name != "explained.npz":
            (tmp_path / file.name).write_bytes(file.read_bytes())
    assert "Right and wrong calls" not in sections(imaging_report(tmp_path))


def test_a_record_of_another_shape_is_named(binary: Path, tmp_path: Path):
    for file in binary.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    (tmp_path / "evaluation.json").write_text('{"task": "binary"}', encoding="utf-8")
    with pytest.raises(UserError, match=r"evaluation\.json, key `labels`"):
        imaging_report(tmp_path)


def test_names_of_files_are_not_shown(binary: Path):
    assert "phantom/" not in imaging_report(binary)  # they can hold who a patient is


def test_the_card_has_claims_headings_and_asks_for_what_a_run_cannot_know(binary: Path):
    facts = json.loads((binary / "data.json").read_text(encoding="utf-8"))
    card = imaging_card(facts, json.loads((binary / "evaluation.json").read_text(encoding="utf-8")))
    assert f"**{RESEARCH}**" in card[:200]
    headings = re.findall(r"^## (.*)", card, re.MULTILINE)
    assert {"Intended use", "Reference standard", "Data partitions", "Limitations", "Ethics and consent"} <= set(
        headings
    )
    auc = evaluation(binary).test["trained"]["auc"]
    assert f"| AUC | {auc.value:.3f} | {auc.low:.3f}–{auc.high:.3f} |" in card
    assert card.count("To be stated by whoever releases the model") >= 4


def test_what_was_not_measured_is_a_limit(binary: Path):
    facts = Facts.model_validate_json((binary / "data.json").read_text(encoding="utf-8"))
    hospital = "how the model does in another hospital is not known"
    assert not any(hospital in limit for limit in limits(facts, evaluation(binary)))
    assert any(hospital in limit for limit in limits(facts, changed(binary, slices=[])))
    assert any("Patients are not known" in limit for limit in limits(facts, changed(binary, patients=None)))


def test_a_picture_is_black_and_white_at_the_ends_of_the_window():
    pixels = np.array([[[-1000.0, -160.0, 40.0, 240.0, 3000.0]]])
    assert display(pixels, -160, 240)[0, :, 0].tolist() == [0, 0, 128, 255, 255]
    colour = np.stack([np.full((2, 2), value) for value in (0, 128, 255)])
    assert display(colour, 0, 255)[0, 0].tolist() == [0, 128, 255]


def test_small_pictures_are_enlarged_and_large_ones_reduced():
    assert fitted(np.zeros((28, 14, 3), np.uint8)).shape == (112, 56, 3)
    assert fitted(np.zeros((200, 100, 3), np.uint8)).shape == (200, 100, 3)
    assert fitted(np.zeros((640, 960, 3), np.uint8)).shape == (213, 320, 3)


def test_an_overlay_changes_only_where_something_speaks_for_the_class():
    picture = np.full((8, 8, 3), 100, np.uint8)
    heat = np.zeros((8, 8), np.float32)
    heat[0, 0], heat[7, 7] = 2.0, -2.0  # against it
    changed = (overlaid(picture, heat, top=2.0) != picture).any(axis=-1)
    assert changed[0, 0] and changed.sum() == 1
    assert not (overlaid(picture, heat * 0, top=0.0) != picture).any()


def test_maps_of_a_class_share_their_scale(binary: Path):
    maps = Maps.read(binary / "explained.npz")
    tops = tops_of_scale(maps)
    assert len(tops) == len(maps.unit) and len(set(tops.tolist())) == 1


def test_pointing_has_wilsons_interval(binary: Path):
    maps = Maps.read(binary / "explained.npz")
    pointing = maps.pointing
    assert isinstance(pointing, Interval) and pointing.low <= maps.hits.mean() <= pointing.high
