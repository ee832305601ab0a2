"""The bench of small images: what is chosen where, which figures the table holds, and that it tells them rightly."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from sklearn.metrics import accuracy_score, roc_auc_score

from lepton_solutions.bench import Cell
from lepton_solutions.config import read_jobs
from lepton_solutions.data.splits import CALIBRATION, TEST, VALIDATION
from medical.imaging import speed
from medical.imaging.bench import (
    ENSEMBLE,
    NAMES,
    OURS,
    PUBLISHED_RECIPE,
    RECIPES,
    SEEDS,
    Official,
    conclusions,
    decided,
    imaging,
    score,
    table,
)
from medical.imaging.store import Store

TASK = "adrenalmnist3d"


def record(seed: int, *, offset: float = 0.0) -> dict:
    """What a network of some skill would say; offset: of all log-odds, as a badly calibrated one has it."""
    random, truth = np.random.default_rng(seed), np.random.default_rng(0)
    target = {part: (truth.random(n) < 0.4).astype(int) for part, n in (("validation", 200), ("test", 300))}
    logit = {part: 2.0 * (2 * y - 1) + 2 * random.standard_normal(len(y)) + offset for part, y in target.items()}
    return {
        "logit": {part: z.tolist() for part, z in logit.items()},
        "target": {part: y.tolist() for part, y in target.items()},
        "fit_seconds": 10.0 + seed,
        "peak_mb": 500,
    }


@pytest.fixture
def records() -> dict[Cell, dict]:
    return {Cell(TASK, OURS, seed): record(seed) for seed in SEEDS[TASK]}


def test_every_cell_is_a_config_that_can_be_read() -> None:
    for cell in (cell for cell in imaging().cells if cell.task in SEEDS):
        recipe = RECIPES[cell.task] if cell.model == OURS else cell.model
        read_jobs("medical/imaging", [f"data={cell.task}", f"seed={cell.seed}", f"recipe={recipe}"], multirun=False)


def test_a_row_is_the_mean_over_seeds_of_what_sklearn_says(records: dict[Cell, dict]) -> None:
    rows = {(row.model, row.metric): row for row in table(records)}
    expected = [roc_auc_score(each["target"]["test"], each["logit"]["test"]) for each in records.values()]
    assert rows[NAMES[OURS], "auc"].value == pytest.approx(np.mean(expected))
    assert rows[NAMES[OURS], "auc"].seconds == pytest.approx(11.0)


def test_the_ensemble_averages_log_odds(records: dict[Cell, dict]) -> None:
    rows = {(row.model, row.metric): row for row in table(records)}
    logit = np.mean([each["logit"]["test"] for each in records.values()], axis=0)
    target = records[Cell(TASK, OURS, 0)]["target"]["test"]
    row = rows[ENSEMBLE, "auc"]
    assert row.value == pytest.approx(roc_auc_score(target, logit))
    assert row.low is not None
    assert row.high is not None
    assert row.low < row.value < row.high
    assert row.value > rows[NAMES[OURS], "auc"].value


def test_there_is_no_ensemble_before_all_seeds_are_there(records: dict[Cell, dict]) -> None:
    first = dict(list(records.items())[:1])
    assert not [row for row in table(first) if row.model == ENSEMBLE]


def test_the_threshold_undoes_an_offset_that_validation_shows() -> None:
    """All log-odds 3 too high: called from one half on nearly all are positive, by the chosen line as before."""
    assert score(record(0, offset=3.0), OURS) == pytest.approx(score(record(0), OURS), abs=1e-6)
    assert score(record(0, offset=3.0), PUBLISHED_RECIPE)["accuracy"] < score(record(0), OURS)["accuracy"] - 0.1


def test_calls_never_look_at_test_labels() -> None:
    told, untold = record(0), record(0)
    untold["target"]["test"] = (1 - np.array(untold["target"]["test"])).tolist()
    assert np.array_equal(decided([told])[1], decided([untold])[1])


def test_the_published_protocol_calls_from_one_half_on() -> None:
    found = record(1)
    called = np.array(found["logit"]["test"]) >= 0
    assert score(found, PUBLISHED_RECIPE)["accuracy"] == pytest.approx(accuracy_score(found["target"]["test"], called))


def test_the_page_tells_spread_ensemble_and_published_figure(records: dict[Cell, dict]) -> None:
    text = conclusions(records | {Cell("breastmnist", PUBLISHED_RECIPE, seed): record(seed) for seed in (0, 1)})
    assert "±" in text
    assert "0.827 / 0.721" in text
    assert "published protocol, measured here on breastmnist with 2 seeds" in text


def test_official_validation_is_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    """`prepare` cuts calibration from validation; the bench puts both together and leaves test alone."""
    held = {VALIDATION: np.array([1, 2]), CALIBRATION: np.array([3]), TEST: np.array([4])}
    monkeypatch.setattr(Store, "target", lambda self, part: held[part])
    store = Official(None, pa.table({}))  # type: ignore[arg-type]
    assert store.target(VALIDATION).tolist() == [1, 2, 3]
    assert store.target(TEST).tolist() == [4]


def test_its_page_names_it() -> None:
    page = Path(__file__).parents[3] / "conf" / "bench" / "imaging.yaml"
    assert "_target_: medical.imaging.bench.imaging" in page.read_text(encoding="utf-8")


def test_speed_is_told_beside_monai():
    cell = Cell(speed.READING, "speed", 0)
    record = {
        "peak_mb": 100,
        "figures": {"png/ours": 900.0, "png/monai_0": 300.0, "png/monai_2": 450.0, "png/ratio": 2.0},
    }
    rows = table({cell: record})
    assert [(row.model, row.ours, row.value) for row in rows] == [
        ("ours", True, 900.0), ("MONAI, 0 workers", False, 300.0), ("MONAI, 2 workers", False, 450.0),
    ]  # fmt: skip
    assert "reading: png 2.0" in conclusions({cell: record})
