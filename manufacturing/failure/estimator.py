"""`FailurePredictor`: the failure model for notebooks and programs of the user's own.

predictor = FailurePredictor().fit(history, unit="machine", time="ts", failure="failed_at")
predictor.predict(recent)                           # a row a machine: remaining, low, service_by, decision
predictor.update("pump 7", {"ts": ..., "heat": ...})  # as rows arrive
predictor.save("bundle"); FailurePredictor.load("bundle")

A shell around the stages of `lepton run manufacturing/failure`: the same readers, split, training and exported network.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pandas as pd

from lepton_solutions import bundle
from lepton_solutions.config import read_settings
from lepton_solutions.data.splits import TRAIN
from lepton_solutions.data.tables import table_from_frame
from lepton_solutions.errors import UserError
from lepton_solutions.progress import Progress
from manufacturing.failure.fleet import Question
from manufacturing.failure.predictor import PIPELINE, MachinePredictor
from manufacturing.failure.scoring import Scoring
from manufacturing.failure.settings import Failure, Meaning
from manufacturing.failure.stream import Answer, Stream

WHERE = "the frame"


class FailurePredictor:
    """model, window, members, epochs: as `model.name`, `inputs.window`, `model.members` and `fit.epochs` of the
    pipeline; None takes its default. random_state: seed. overrides: any further keys of
    `conf/manufacturing/failure.yaml`, such as `("decision.horizon=24", "decision.cost_of_failure=50")`.
    """

    def __init__(
        self,
        *,
        model: str | None = None,
        window: int | None = None,
        members: int = 1,
        epochs: int | None = None,
        random_state: int = 0,
        overrides: Sequence[str] = (),
    ) -> None:
        self.model = model
        self.window = window
        self.members = members
        self.epochs = epochs
        self.random_state = random_state
        self.overrides = overrides
        self._predictor: MachinePredictor | None = None
        self._stream: Stream | None = None
        self._folder: Path | None = None
        self._kept: TemporaryDirectory[str] | None = None

    def fit(
        self,
        df: pd.DataFrame,
        *,
        unit: str | None = None,
        time: str | None = None,
        failure: str | None = None,
        event: str | None = None,
        events: Mapping[str, Meaning] | None = None,
        label: str | None = None,
        cycle: str | None = None,
        sensors: Sequence[str] | None = None,
        settings: Sequence[str] | None = None,
        grid: float | None = None,
        question: Question | str = "auto",
    ) -> FailurePredictor:
        """Learn from histories, a row a reading. The names are of columns, and mean what `data.NAME` does.

        failure: when the row's machine failed, missing where it has not; or event: what happened at a row, which
        events tells apart; or label: what a row shows. Raises UserError for what the pipeline refuses, such as a time
        that goes backward, columns that give the failure away, or too few machines.
        """
        from manufacturing.failure.exported import load
        from manufacturing.failure.histories import fleet_of
        from manufacturing.failure.prepare import prepare, read_card, read_fleet
        from manufacturing.failure.release import decision_of, inputs_of, write_model
        from manufacturing.failure.train import read_learned, train

        asked = self._settings(
            question,
            {
                "unit": unit,
                "time": time,
                "cycle": cycle,
                "failure": failure,
                "event": event,
                "events": dict(events or {}),
                "label": label,
                "sensors": None if sensors is None else tuple(sensors),
                "settings": None if settings is None else tuple(settings),
                "grid": grid,
            },
        )
        kept = TemporaryDirectory(prefix="lepton-")
        run = Path(kept.name) / "run"
        run.mkdir()
        prepare(asked, run, run, fleet_of(table_from_frame(df, where=WHERE), asked.data, where=WHERE))
        train(asked, run, run, Progress(quiet=True))
        steps, exported = load(run)
        learned = read_learned(run)
        inputs = inputs_of(read_card(run), learned, steps, read_fleet(run).of_part(TRAIN))
        folder = Path(kept.name) / "bundle"
        write_model(folder, steps, exported, inputs, decision_of(learned))
        bundle.seal(folder, pipeline=PIPELINE)
        self._open(folder)
        self._kept = kept
        return self

    def predict(self, df: pd.DataFrame) -> pd.DataFrame:
        """A row a machine, as of its last row in the frame: unit, time, what the decision says, flags (what of the last
        row training never saw). df: histories by the column names of `fit`, those of a machine in the order of time.
        """
        return pd.DataFrame(self._scored(df).answers())

    def predict_interval(self, df: pd.DataFrame) -> pd.DataFrame:
        """A row a machine: unit, `low` (outlasted by the share of machines that `decision.coverage` asks for) and
        `remaining`. Raises UserError where remaining life is not what was learned.
        """
        asked = self._fitted().inputs.question
        if asked != "rul":
            raise UserError(f"predict_interval: this model answers question={asked}, expected question=rul")
        return self.predict(df)[["unit", "low", "remaining"]]

    def explain(self, df: pd.DataFrame) -> pd.DataFrame:
        """How much each sensor moves the answer, a row a machine and a column a sensor: the answer less that with the
        sensor at its usual level for the regime. Of remaining life in the unit of the clock: what is below 0 shortens
        it. Of a diagnosis, in the probability of the class; of health, the sensor's share of the index.
        """
        predictor, scoring = self._fitted(), self._scored(df)
        inputs, windows = predictor.inputs, scoring.stream.windows(np.arange(len(scoring.stream.units)))
        answer = predictor.outputs(windows)
        places = sorted(set(inputs.sources) - {-1})
        names = [inputs.sensors[place] for place in places]
        if inputs.question == "health":
            moved = answer[:, 1:]
        else:
            told = answer.argmax(1) if inputs.question == "diagnosis" else np.full(len(answer), answer.shape[1] - 1)
            rows, moved = np.arange(len(answer)), np.empty((len(answer), len(places)))
            for column, place in enumerate(places):
                without = windows.copy()
                without[:, :, np.array(inputs.sources) == place] = 0  # features are standardised
                moved[:, column] = answer[rows, told] - predictor.outputs(without)[rows, told]
        return pd.DataFrame(moved, columns=names, index=pd.Index(scoring.stream.units, name="unit"))

    def update(self, unit: str, row: Mapping[str, object]) -> Answer:
        """Take in a row of one machine; what is known of it then. What is kept of a machine does not grow."""
        return self.stream.update(unit, row)

    def update_many(self, units: Sequence[str], rows: Sequence[Mapping[str, object]] | pd.DataFrame) -> list[Answer]:
        """Take in rows of any machines, [n] each, in one call of the network."""
        given = table_from_frame(rows, where="the rows") if isinstance(rows, pd.DataFrame) else rows
        return self.stream.update_many(units, given)

    @property
    def stream(self) -> Stream:
        """What `update` fills: `restart` it for a repaired machine, `save` and `load` its state."""
        if self._stream is None:
            self._stream = self._fitted().stream()
        return self._stream

    def save(self, folder: str | Path) -> None:
        """Write a bundle, which `lepton predict` reads too. Raises UserError where something is there."""
        self._fitted()
        assert self._folder is not None
        shutil.copytree(self._folder, bundle.place_for(folder), dirs_exist_ok=True)

    @classmethod
    def load(cls, folder: str | Path) -> FailurePredictor:
        """A predictor that answers with a bundle. Raises UserError when a file was changed."""
        loaded = cls()
        loaded._open(bundle.find(Path(folder)))
        return loaded

    def _open(self, folder: Path) -> None:
        self._predictor, self._folder, self._stream = MachinePredictor.open(folder), folder, None

    def _scored(self, df: pd.DataFrame) -> Scoring:
        scoring = Scoring(self._fitted())
        scoring.take(table_from_frame(df, where=WHERE, missing=scoring.predictor.inputs.layout.missing), where=WHERE)
        return scoring

    def _fitted(self) -> MachinePredictor:
        if self._predictor is None:
            raise UserError("this FailurePredictor has learned nothing yet", hint="call fit, or FailurePredictor.load")
        return self._predictor

    def _settings(self, question: str, columns: Mapping[str, object]) -> Failure:
        asked = [f"seed={self.random_state}", f"question={question}", f"model.members={self.members}"]
        for key, value in (("model.name", self.model), ("inputs.window", self.window), ("fit.epochs", self.epochs)):
            asked += [] if value is None else [f"{key}={value}"]
        return read_settings(PIPELINE, ["data=own_histories", *asked, *self.overrides], Failure, data=columns)
