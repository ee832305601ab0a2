import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from sklearn.metrics import accuracy_score, confusion_matrix, roc_auc_score

from lepton_solutions.config import read_jobs
from lepton_solutions.data.cache import cache_folder
from lepton_solutions.data.splits import CALIBRATION, PARTS, TEST, VALIDATION
from medical.imaging.evaluation import Evaluation
from medical.imaging.fitting import fit_decision
from medical.imaging.judge import Examined, answered, judge
from medical.imaging.measure import predictions_table
from medical.imaging.settings import Imaging
from medical.imaging.store import Facts, PartFacts, Store

LABELS = {
    "binary": ["benign", "malignant"],
    "multiclass": ["a", "b", "c"],
    "multilabel": ["x", "y", "z"],
    "ordinal": ["none", "mild", "severe"],
}
TASKS = list(LABELS)
EACH = 240  # images a part, three a patient


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    (cache_folder() / "toy").mkdir(parents=True)
    return cache_folder() / "toy"


def settings(*overrides: str) -> Imaging:
    (job,) = read_jobs("medical/imaging", list(overrides), multirun=False)
    assert isinstance(job.settings, Imaging)
    return job.settings


def store(cache: Path, task: str, *, level: str = "image", patients: bool = True, twins: int = 0) -> Store:
    """Four parts of noise images with labels; `twins` images of the test part lie in the train part too."""
    g = np.random.default_rng(0)
    n = 4 * EACH
    owner = np.arange(n) // 3
    part = np.repeat(np.arange(4, dtype=np.int8), EACH)
    columns: dict[str, object] = {
        "image": [f"toy/{i}" for i in range(n)],
        "patient": [f"p{who}" if patients else None for who in owner],
        "study": [None] * n,
        "site": [["north", "south"][who % 2] for who in owner],
        "sex": [[None, "f", "m"][who % 3] for who in owner],
        "age": (20.0 + owner % 60).tolist(),
        "part": pa.array(part),
        "row": np.tile(np.arange(EACH), 4),
    }
    if task == "multilabel":
        y = np.repeat(g.integers(0, 2, size=(n // 3, 3)), 3, axis=0).astype(float)
        columns |= {f"label_{i}": [None if g.random() < 0.1 else v for v in y[:, i]] for i in range(3)}
    else:
        y = np.repeat(g.integers(0, len(LABELS[task]), size=n // 3), 3)
        unknown = np.arange(n) % EACH >= EACH - 6  # the last two patients of each part
        columns["label"] = pa.array(y, mask=unknown)
    pixels = g.integers(0, 256, size=(n, 1, 8, 8), dtype=np.uint8)
    pixels[3 * EACH : 3 * EACH + twins] = pixels[:twins]
    for number, name in enumerate(PARTS):
        np.save(cache / f"{name}.npy", pixels[part == number])
    facts = Facts(
        source="toy",
        task=task,
        labels=LABELS[task],
        channels=1,
        dims=2,
        size=(8, 8),
        spacing=None,
        resized=False,
        fill=0,
        kind="bytes",
        file_window=False,
        low=0,
        high=255,
        mean=[0.5],
        std=[0.3],
        level=level,
        group="patient",
        published_split=False,
        modality=None,
        licence=None,
        cite=None,
        images=n,
        parts={
            name: PartFacts(images=EACH, unknown=6, patients=EACH // 3 if patients else None, labels=[])
            for name in PARTS
        },
        unread=[],
        notes=[],
        cache="toy",
    )
    return Store(facts, pa.table(columns))


def logits(found: Store, part: int, *, skill: float = 2.0) -> np.ndarray:
    """What a model of some skill says about the images of a part."""
    g = np.random.default_rng([part, int(10 * skill)])
    y = np.nan_to_num(found.target(part).astype(float)).clip(0)
    task = found.facts.task
    if task == "multiclass":
        return g.normal(skill * np.eye(3)[y.astype(int)], 1.5)
    if task == "ordinal":
        return 2 * ((y + g.normal(0, 2 / (1 + skill), size=len(y)))[:, None] - [0.5, 1.5])
    return g.normal(skill * (y - 0.5), 1.5)


def examined(found: Store, asked: Imaging) -> tuple[Examined, list, dict[str, np.ndarray]]:
    skills = {"trained": 2.0, "baseline": 0.5}
    before = {
        f"{name}/{PARTS[part]}": logits(found, part, skill=skill)
        for name, skill in skills.items()
        for part in (VALIDATION, CALIBRATION)
    }
    distance = np.random.default_rng(0).gamma(4, size=EACH)
    decisions = {
        name: fit_decision(
            asked.decision,
            task=found.facts.task,
            labels=found.facts.labels,
            level=found.facts.level,
            logit=before[f"{name}/calibration"],
            distance=distance if name == "trained" else None,
            target=found.target(CALIBRATION),
            units=found.units(CALIBRATION),
        )
        for name in skills
    }
    logit = {name: logits(found, TEST, skill=skill) for name, skill in skills.items()}
    answers = decisions["trained"].decide(logit["trained"], distance, found.units(TEST))
    return answered(found, decisions, logit), answers, before


@pytest.mark.parametrize("level", ["image", "patient"])
@pytest.mark.parametrize("task", TASKS)
def test_everything_is_measured_and_survives_its_file(cache, task, level):
    found, asked = store(cache, task, level=level), settings("decision.refer=0.1")
    units, answers, before = examined(found, asked)
    evaluation = judge(asked, found, units, answers, before)
    assert Evaluation.model_validate(json.loads(evaluation.model_dump_json())) == evaluation
    assert evaluation.test["trained"]["auc"].low > evaluation.test["baseline"]["auc"].value
    assert evaluation.better_than_baseline.low > 0
    assert evaluation.test["trained"].keys() >= evaluation.validation["trained"].keys()
    assert evaluation.parts["test"].images == EACH
    assert evaluation.parts["test"].units == (EACH if level == "image" else EACH // 3)
    assert evaluation.conformal.coverage.value > 0.8
    assert evaluation.selective.aurc.value < evaluation.selective.aurc_random
    assert list(evaluation.operating) == {"binary": ["malignant"], "multilabel": LABELS["multilabel"]}.get(task, [])
    shown = {(one.column, one.level) for one in evaluation.slices}
    assert shown >= {("site", "north"), ("site", "south"), ("sex", "f"), ("sex", "m")}
    assert sum(column == "age" for column, _ in shown) == 4  # bands
    table = predictions_table(found, units, answers)
    assert table.num_rows == evaluation.parts["test"].units
    assert sorted(image for unit in table.column("images").to_pylist() for image in unit) == list(range(EACH))


def test_the_figures_are_those_of_the_labelled_units(cache):
    found, asked = store(cache, "binary", level="patient"), settings()
    units, answers, before = examined(found, asked)
    evaluation, table = judge(asked, found, units, answers, before), predictions_table(found, units, answers)
    y = np.array(table.column("target").to_pylist())
    p = np.array(table.column("probability").to_pylist())[:, 1]
    c = np.array(table.column("label").to_pylist()) == "malignant"
    known = y >= 0
    assert (~known).sum() == evaluation.parts["test"].unknown == 2
    assert evaluation.test["trained"]["auc"].value == pytest.approx(roc_auc_score(y[known], p[known]))
    assert evaluation.test["trained"]["accuracy"].value == pytest.approx(accuracy_score(y[known], c[known]))
    assert evaluation.confusion == tuple(map(tuple, confusion_matrix(y[known], c[known]).tolist()))
    assert [value is None for value in table.column("wrong").to_pylist()] == (~known).tolist()
    point, facts = evaluation.operating["malignant"], evaluation.decision
    assert facts.thresholds == {"malignant": point.threshold} and facts.rule == "best_accuracy"
    assert point.true_positives == int((c & (y == 1)).sum()) and 0 < point.calibration_sensitivity <= 1


def test_images_of_a_patient_are_resampled_together(cache):
    found, asked = store(cache, "binary"), settings()
    units, answers, before = examined(found, asked)
    with_patients = judge(asked, found, units, answers, before)
    assert with_patients.patients == EACH // 3 and len(np.unique(units.groups)) == EACH // 3
    alone = store(cache, "binary", patients=False)
    units, answers, before = examined(alone, asked)
    assert units.groups is None and judge(asked, alone, units, answers, before).patients is None


def test_the_asked_sensitivity_is_told_beside_the_reached_one(cache):
    found, asked = store(cache, "binary"), settings("decision.min_sensitivity=.95", "decision.prevalence=.01")
    units, answers, before = examined(found, asked)
    evaluation = judge(asked, found, units, answers, before)
    point = evaluation.operating["malignant"]
    assert evaluation.decision.rule == "min_sensitivity" and point.calibration_sensitivity >= 0.95
    assert point.stated and point.prevalence == 0.01 and point.ppv.value < 0.1


def test_test_images_that_lie_in_another_part_too_are_left_out_in_a_second_figure(cache):
    found, asked = store(cache, "binary", twins=30), settings()
    units, answers, before = examined(found, asked)
    evaluation = judge(asked, found, units, answers, before)
    again = evaluation.without_duplicates
    assert (again.images, again.units) == (30, EACH - 6 - 30)
    y, p = units.truth[30:-6], units.probability["trained"][30:-6]
    assert again.test["auc"].value == pytest.approx(roc_auc_score(y, p))
    none = store(cache, "binary")
    assert judge(asked, none, *examined(none, asked)).without_duplicates is None


def test_a_slice_of_a_few_units_is_not_shown(cache):
    found, asked = store(cache, "binary"), settings()
    site = found.index.column("site").to_pylist()
    site[3 * EACH : 3 * EACH + 4] = ["tiny"] * 4
    place = found.index.column_names.index("site")
    found = Store(found.facts, found.index.set_column(place, "site", pa.array(site)))
    evaluation = judge(asked, found, *examined(found, asked))
    assert {one.level for one in evaluation.slices if one.column == "site"} == {"north", "south"}


def test_equal_runs_measure_equal_figures(cache):
    found, asked = store(cache, "multiclass"), settings()
    assert judge(asked, found, *examined(found, asked)) == judge(asked, found, *examined(found, asked))


def test_every_interval_draws_patients(cache):
    from dataclasses import replace

    found, asked = store(cache, "binary"), settings("decision.refer=0.1")
    units, answers, before = examined(found, asked)
    whole, apart = (judge(asked, found, one, answers, before) for one in (units, replace(units, groups=None)))
    for name in ("test", "by_label", "better_than_baseline", "operating", "conformal", "selective", "foreign"):
        assert getattr(whole, name) != getattr(apart, name), name
    assert [one.metrics for one in whole.slices] != [one.metrics for one in apart.slices]
