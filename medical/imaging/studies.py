"""DICOM objects for each study that was scored: which images belong together, which of them are shown.

out/study-1/report.dcm  out/study-1/capture-1.dcm ...      identity is inside these files and in no name
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np

from lepton_solutions.errors import UserError
from medical.imaging.clinic import write_study
from medical.imaging.decision import Answer
from medical.imaging.items import Item
from medical.imaging.predictor import ImagePredictor, Outputs
from medical.imaging.reading import read
from medical.imaging.structured_report import Look, Maker, Reading


def write_studies(
    predictor: ImagePredictor, items: Sequence[Item], outputs: Outputs, answers: Sequence[Answer], output: Path
) -> list[str]:
    """A folder a study below `output`; the name of each item's folder.

    outputs, answers: one an item, the answers about its image, study or patient. Raises UserError, before anything is
    written, where an item is no DICOM or names no study.
    """
    inputs = predictor.inputs
    maker = Maker(predictor.name, inputs.labels, predictor.decision.level, (inputs.low, inputs.high))
    rows_of: dict[str, list[int]] = {}
    for row, item in enumerate(items):
        rows_of.setdefault(_study(item), []).append(row)
    loudness = _loudness(predictor, outputs)
    names = [""] * len(items)
    for number, rows in enumerate(rows_of.values(), 1):
        name = f"study-{number:0{len(str(len(rows_of)))}}"
        readings = [
            Reading(
                sources=items[row].headers(),
                answer=answers[row],
                loudness=float(loudness[row]),
                look=partial(_look, predictor, items[row], answers[row]),
            )
            for row in rows
        ]
        write_study(output / name, readings, maker)
        for row in rows:
            names[row] = name
    return names


def _study(item: Item) -> str:
    study = str(item.first_header().get("StudyInstanceUID") or "")
    if not study:
        raise UserError(f"{item.path}: names no study (StudyInstanceUID), so that nothing can be filed with it")
    return study


def _loudness(predictor: ImagePredictor, outputs: Outputs) -> np.ndarray:
    """Of each image by itself: how probable the positive class, a high level, or the likeliest label is."""
    decision = predictor.decision
    alone = np.arange(len(outputs.logit))
    shares = decision.shares(decision.probability(decision.pooled(outputs.logit, alone)))
    if decision.task in ("binary", "ordinal"):
        return shares @ np.arange(shares.shape[1])
    return shares.max(axis=1)


def _look(predictor: ImagePredictor, item: Item, answer: Answer) -> Look:
    picture = read(item.path, predictor.inputs.space)
    heat, mapped = predictor.heat(picture, answer)
    pixels = predictor.inputs.arrays(picture, where=item.name)["pixels"]
    return Look(pixels, picture.spacing, heat, mapped)
