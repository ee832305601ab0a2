"""What the imaging pipeline measures on the test part, and each test unit's answer.

The test part is read once, here, after everything is chosen. What is measured is in `judge.py`; `export` reads test
images once more, to compare the exported model with the trained one.
"""

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from lepton_solutions.data.splits import TEST
from lepton_solutions.errors import UserError
from lepton_solutions.files import write_json
from lepton_solutions.progress import Progress
from medical.imaging.decision import Answer, ImageDecision
from medical.imaging.judge import BASELINE, OURS, Examined, answered, judge
from medical.imaging.settings import Imaging
from medical.imaging.store import Store


def evaluate(settings: Imaging, run: Path, out: Path, progress: Progress) -> None:
    """Writes evaluation.json, predictions.parquet and explained.npz. Raises UserError where no test label is known."""
    # These load torch, which whoever reads a finished run does not need.
    from medical.imaging.baseline import baseline_logits
    from medical.imaging.explain import explain
    from medical.imaging.exported import load
    from medical.imaging.train import logits

    store, learned = Store.read(run), json.loads((run / "learned.json").read_text(encoding="utf-8"))
    network, pixels = load(run), store.pixels(TEST)
    logit, distance = logits(network, pixels)
    progress.update(0.4, f"{len(pixels)} test images read")
    decisions = {name: ImageDecision.from_json(learned["decisions"][name]) for name in (OURS, BASELINE)}
    examined = answered(store, decisions, {OURS: logit, BASELINE: baseline_logits(run, pixels)})
    if not examined.known().any():
        raise UserError(
            f"test part: found {len(examined.truth)} {store.facts.level}s and no label, expected some with one",
            hint="the test part is what the model is judged by; label some of it",
        )
    answers = decisions[OURS].decide(logit, distance, store.units(TEST))
    with np.load(run / "logits.npz", allow_pickle=False) as saved:
        before = {name: saved[name] for name in saved.files}
    evaluation = judge(settings, store, examined, answers, before)
    auc = evaluation.test[OURS].get("auc")
    text = "test auc unknown" if auc is None else f"test auc {auc.value:.3f}"
    progress.update(0.8, text)
    write_json(out / "evaluation.json", evaluation.model_dump(mode="json"))
    predictions = predictions_table(store, examined, answers)
    pq.write_table(predictions, out / "predictions.parquet")
    explain(network, store, predictions, out / "explained.npz")
    progress.update(1.0, text)


def predictions_table(store: Store, examined: Examined, answers: list[Answer]) -> pa.Table:
    """A row a test unit, in ascending order of unit codes.

    images: rows within the test part, image: name of the first. target: class, -1 unknown, or a list over findings, NaN
    unknown. probability, baseline: of each label (binary: negative, positive). label: what is called, findings joined
    by "|". decision: label, `refer` or `refused`. set: labels that cannot be ruled out. wrong: whether any known label
    is called wrongly; null where none is known.
    """
    units = store.units(TEST)
    place = np.unique(units, return_inverse=True)[1].reshape(-1)
    order = np.argsort(place, kind="stable")
    images = np.split(order, np.flatnonzero(np.diff(place[order])) + 1)
    names = store.rows(TEST).column("image").to_pylist()
    baseline = examined.decisions[BASELINE].shares(examined.probability[BASELINE])
    return pa.table(
        {
            "unit": pa.array([one.unit for one in answers], pa.int64()),
            "images": pa.array([rows.tolist() for rows in images], pa.list_(pa.int64())),
            "image": pa.array([names[rows[0]] for rows in images], pa.string()),
            "target": pa.array(examined.truth.tolist()),
            "probability": pa.array([list(one.probability) for one in answers], pa.list_(pa.float64())),
            "baseline": pa.array(baseline.tolist(), pa.list_(pa.float64())),
            "label": pa.array([one.label for one in answers], pa.string()),
            "decision": pa.array([one.decision for one in answers], pa.string()),
            "set": pa.array([list(one.possible) for one in answers], pa.list_(pa.string())),
            "certainty": pa.array([one.certainty for one in answers], pa.float64()),
            "refer": pa.array([one.refer for one in answers], pa.bool_()),
            "refused": pa.array([one.refused for one in answers], pa.bool_()),
            "distance": pa.array([one.distance for one in answers], pa.float64()),
            "wrong": pa.array(examined.wrong(OURS).tolist(), pa.bool_(), mask=~examined.known()),
        }
    )
