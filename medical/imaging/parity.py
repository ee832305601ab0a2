"""Does the exported model answer as the trained one? On the test images as their files hold them, and on what exports
get wrong: single images, images of other sizes and spacings, constant ones, real CT.

The trained side is what was measured: the network on the stored pixels. The exported side is what a user runs: the
bundle on raw pixels, so that a difference of reading, resampling or scaling would show here too.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from lepton_solutions.data.images import Picture
from lepton_solutions.deploy.parity import Case, Proof, proof_of, refuse_a_difference
from lepton_solutions.errors import UserError
from medical.imaging.decision import ImageDecision
from medical.imaging.predictor import ImagePredictor, Outputs

if TYPE_CHECKING:
    from medical.imaging.exported import Exported

TOLERANCE = 1e-4  # of a probability: float32 sums in another order through some dozen layers
DISTANCE = 1e-3  # of the distance, relative: a square of float32 features
CT = ("CT_small.dcm", "693_J2KI.dcm", "J2K_pixelrep_mismatch.dcm")  # real files that pydicom ships
ALONE, ODD = 16, 8  # images that are answered one by one, and of other sizes
Arrays = dict[str, np.ndarray]


@dataclass(frozen=True)
class Answered:
    """One kind of images, answered by both. images: their number."""

    name: str
    trained: Outputs
    exported: Outputs

    def compared(self, decision: ImageDecision) -> Case:
        """largest_difference: of a probability. flipped: calls and refusals that differ, but for those on the line."""
        alone = np.arange(len(self.trained.logit))
        before, after = (
            decision.probability(decision.pooled(one.logit, alone)) for one in (self.trained, self.exported)
        )
        limit = np.inf if decision.distance_limit is None else decision.distance_limit
        far, far_after = self.trained.distance, self.exported.distance
        refused = ((far > limit) != (far_after > limit)) & (np.abs(far - limit) > DISTANCE * limit)
        sure = _called_alike(decision, before, TOLERANCE)
        called, called_after = decision.called(before), decision.called(after)
        flipped = (called != called_after).reshape(len(alone), -1).any(axis=1) & sure
        scale = np.maximum(np.abs(far), 1.0)
        return {
            "case": self.name,
            "rows": len(alone),
            "largest_difference": float(np.abs(before - after).max(initial=0)),
            "largest_difference_of_distance": float((np.abs(far - far_after) / scale).max(initial=0)),
            "flipped": int((flipped | refused).sum()),
        }


def check_parity(
    exported: Exported,
    predictor: ImagePredictor,
    stored: np.ndarray,
    pictures: Iterable[tuple[int, Picture]],
) -> Proof:
    """The largest difference and the flipped calls, over all cases and in each. Raises UserError where they are more
    than arithmetic explains.

    stored: [n, channels, *size], the prepared test images. pictures: some of them as their files hold them, with the
    row in `stored`.
    """
    cases = _cases(exported, predictor, stored, list(pictures))
    proof = proof_of([case.compared(predictor.decision) for case in cases])
    refuse_a_difference(proof, tolerance=TOLERANCE)
    return proof


def _cases(
    exported: Exported, predictor: ImagePredictor, stored: np.ndarray, pictures: Sequence[tuple[int, Picture]]
) -> Iterator[Answered]:
    inputs, generator = predictor.inputs, np.random.default_rng(0)
    on_grid = [_arrays(pixels, inputs.spacing) for pixels in stored]
    trained = _trained(exported, on_grid)
    yield Answered("test images", trained, predictor.outputs(on_grid))
    few = slice(0, ALONE)
    alone = [predictor.outputs([one]) for one in on_grid[few]]
    yield Answered("single images", _rows(trained, few), _joined(alone))
    if pictures:
        rows = np.array([row for row, _ in pictures])
        raw = [inputs.arrays(picture, where="a test image") for _, picture in pictures]
        yield Answered("as the files hold them", _rows(trained, rows), predictor.outputs(raw))
    low, high = np.float32(inputs.low), np.float32(inputs.high)
    shape = (inputs.channels, *inputs.size)
    edges = [np.full(shape, value, np.float32) for value in (low, high, low - (high - low), high + (high - low))]
    edges.append(generator.uniform(low, high, shape).astype(np.float32))
    unusual = [_arrays(pixels, inputs.spacing) for pixels in edges]
    yield Answered("constant images and noise", _trained(exported, unusual), predictor.outputs(unusual))
    if inputs.resized:
        others = [_arrays(*_odd(pixels, inputs.spacing, generator)) for pixels in stored[:ODD]]
        yield Answered("other sizes and spacings", _trained(exported, others), predictor.outputs(others))
    real = list(_real(predictor))
    if real:
        yield Answered("real CT", _trained(exported, real), predictor.outputs(real))


def _arrays(pixels: np.ndarray, spacing: Sequence[float] | None) -> Arrays:
    arrays = {"pixels": np.asarray(pixels, np.float32)}
    return arrays if spacing is None else arrays | {"spacing": np.asarray(spacing, np.float32)}


def _odd(
    pixels: np.ndarray, spacing: Sequence[float] | None, generator: np.random.Generator
) -> tuple[np.ndarray, list[float] | None]:
    """An image with sides between half and twice its own, by repeating pixels, and a spacing as odd."""
    for axis in range(1, pixels.ndim):
        side = max(2, int(pixels.shape[axis] * generator.uniform(0.5, 2)))
        pixels = np.take(pixels, np.linspace(0, pixels.shape[axis] - 1, side).astype(int), axis)
    return pixels, None if spacing is None else [step * float(generator.uniform(0.5, 2)) for step in spacing]


def _real(predictor: ImagePredictor) -> Iterator[Arrays]:
    """Real CT slices, where the model takes CT: images of one channel in measured units, of any size."""
    inputs = predictor.inputs
    if inputs.kind != "units" or not inputs.resized or inputs.space == 3:
        return
    from pydicom.data import get_testdata_file

    from medical.imaging.reading import read

    for name in CT:
        found = get_testdata_file(name, download=False)
        if found is None:
            continue
        try:
            yield inputs.arrays(read(Path(str(found)), 2), where=name)
        except UserError:
            continue  # no such image as the model takes: another number of frames, or no window of its own


def _trained(exported: Exported, images: Sequence[Arrays]) -> Outputs:
    """Each image by itself, by torch."""
    import torch

    logits, distances = [], []
    with torch.inference_mode():
        for one in images:
            spacing = torch.from_numpy(one["spacing"])[None] if "spacing" in one else None
            logit, _, distance = exported(torch.from_numpy(one["pixels"])[None], spacing)
            logits.append(logit.double().numpy())
            distances.append(distance.double().numpy())
    return Outputs(np.concatenate(logits), np.concatenate(distances))


def _rows(outputs: Outputs, rows: np.ndarray | slice) -> Outputs:
    return Outputs(outputs.logit[rows], outputs.distance[rows])


def _joined(outputs: Sequence[Outputs]) -> Outputs:
    return Outputs(np.concatenate([one.logit for one in outputs]), np.concatenate([one.distance for one in outputs]))


def _called_alike(decision: ImageDecision, probability: np.ndarray, tolerance: float) -> np.ndarray:
    """Whether a change of the probability by the tolerance would change no call, [units]."""
    if decision.task == "multiclass":
        first, second = np.sort(probability, axis=1)[:, :-3:-1].T
        return first - second > 2 * tolerance
    if decision.task == "ordinal":
        above = 1 - np.cumsum(probability, axis=1)[:, :-1]
        return (np.abs(above - 0.5) > tolerance * probability.shape[1]).all(axis=1)
    line = np.abs(probability - np.asarray(decision.threshold)) > tolerance
    return line if decision.task == "binary" else line.all(axis=1)
