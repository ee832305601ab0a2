"""`FailurePredictor` learns from a frame, answers, and comes back from a bundle."""

import numpy as np
import pandas as pd
import pytest

from lepton_solutions.errors import UserError
from manufacturing import FailurePredictor


def histories(machines: int = 24) -> pd.DataFrame:
    """Wear that grows to 1, at which the machine fails."""
    draw, frames = np.random.default_rng(0), []
    for number in range(machines):
        life = int(draw.integers(20, 40))
        hour = np.arange(life, dtype=float)
        wear = hour / life + 0.05 * draw.normal(size=life)
        frame = pd.DataFrame({"machine": f"pump {number}", "hour": hour, "wear": wear, "noise": draw.normal(size=life)})
        frames.append(frame.assign(failed_at=float(life)))
    return pd.concat(frames, ignore_index=True)


@pytest.fixture(scope="module")
def fitted() -> FailurePredictor:
    overrides = ("model.width=8", "model.layers=1", "fit.batch_size=16")
    asked = FailurePredictor(model="gru", window=5, epochs=8, overrides=overrides)
    return asked.fit(histories(), unit="machine", time="hour", failure="failed_at", question="rul")


def test_a_stream_a_frame_and_a_loaded_bundle_answer_alike(fitted, tmp_path):
    recent = histories(3).drop(columns="failed_at")
    whole = fitted.predict(recent)
    assert whole["unit"].tolist() == ["pump 0", "pump 1", "pump 2"]
    for row in recent.to_dict("records"):
        last = fitted.update(row["machine"], row)
    assert last["remaining"] == pytest.approx(whole["remaining"].iloc[-1], rel=1e-6)
    fitted.save(tmp_path / "bundle")
    pd.testing.assert_frame_equal(FailurePredictor.load(tmp_path / "bundle").predict(recent), whole)


def test_the_lower_bound_lies_below_and_the_worn_sensor_explains_more_than_noise(fitted):
    recent = histories(6).drop(columns="failed_at")
    interval = fitted.predict_interval(recent)
    known = interval.dropna()
    assert (known["low"] <= known["remaining"]).all()
    moved = fitted.explain(recent).abs().mean()
    assert moved["wear"] > moved["noise"]


def test_nothing_is_answered_before_anything_is_learned():
    with pytest.raises(UserError, match="has learned nothing yet"):
        FailurePredictor().predict(histories(1))
