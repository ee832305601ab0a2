"""Where did the network look, and would another network have looked there too?

    explain(network, store, predictions, out / "explained.npz")

A class activation map says at each place how far the image speaks for a class there: the head's weights times the
features, which is Grad-CAM for a network that ends in average pooling and a linear layer. Two checks say how far it can
be believed: the pointing game on phantoms, whose lesions have known places, and the same maps under shuffled weights,
which must be other ones (Adebayo et al. 2018, "Sanity checks for saliency maps").
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import numpy as np
from numpy.typing import NDArray

from lepton_solutions.data.splits import TEST
from medical.imaging.maps import Maps, chance_of_hitting, display, enlarged, likeness, pointing_game

if TYPE_CHECKING:
    import pyarrow as pa

    from medical.imaging.exported import Exported
    from medical.imaging.networks import ImageNetwork
    from medical.imaging.store import Store

    Network = ImageNetwork | Exported

Number = TypeVar("Number", np.uint8, np.float32)

EACH = 6  # right calls that are shown, and as many wrong ones
SHUFFLES = 3
BATCH = 32
MOST_LESIONS = 200  # of the pointing game: its interval is then within four points, and volumes take seconds each
MOST_IMAGES = 64  # of a patient, looked at for the one that says most


@dataclass(frozen=True)
class Case:
    """A call to show. `label`: what its map is about; `said`, `truth`: classes, or 0 and 1 of the finding `label`."""

    unit: int
    label: int
    truth: int
    said: int
    certainty: float  # probability of what was said
    kind: tuple[int, int]  # cases of a kind are shown in turn with those of other kinds


@dataclass(frozen=True)
class Cut:
    """What is seen of an image and its map: all of it, or one slice of a volume."""

    pixels: NDArray[np.generic]  # [c, h, w]
    heat: NDArray[np.float32]
    place: int  # of the slice, -1 of an image
    lesion: NDArray[np.float32]  # row, column, radius


@dataclass(frozen=True)
class Pointing:
    """The pointing game under some weights: whether each lesion is hit, and how likely a blind guess would hit it."""

    hits: NDArray[np.bool_]
    chance: NDArray[np.float64]


def explain(network: Network, store: Store, predictions: pa.Table, file: Path) -> None:
    """Choose right and wrong calls of the test part, and write their images and maps.

    predictions: the rows of predictions.parquet. Nothing is chosen by what the maps show.
    """
    facts, pixels, lesions = store.facts, store.pixels(TEST), store.lesions(TEST)
    if lesions is None:
        lesions = np.full((len(pixels), facts.dims + 1), np.nan, np.float32)
    shown = picked(cases(predictions, facts.task, facts.labels))
    rows, maps = _turned_to(network, pixels, predictions, shown, facts.task)
    cuts = [cut(np.asarray(pixels[row]), heat, lesions[row]) for row, heat in zip(rows, maps, strict=True)]
    others = [shuffled(network, seed) for seed in range(SHUFFLES)]
    again = [
        [
            evidence(other, pixels[row : row + 1], facts.task, case.label)[0]
            for row, case in zip(rows, shown, strict=True)
        ]
        for other in others
    ]
    found = np.flatnonzero(np.isfinite(lesions).all(axis=1))[:MOST_LESIONS]
    sick = pixels[found]
    pointing = [points_at(model, sick, lesions[found], facts.task) for model in (network, *others)]
    referred = predictions.column("refer").to_pylist()
    Maps(
        picture=_stack([display(each.pixels, facts.low, facts.high) for each in cuts], (*facts.size[-2:], 3), np.uint8),
        heat=_stack([each.heat for each in cuts], (1, 1), np.float32),
        label=np.array([case.label for case in shown], np.int64),
        truth=np.array([case.truth for case in shown], np.int64),
        said=np.array([case.said for case in shown], np.int64),
        probability=np.array([case.certainty for case in shown], np.float64),
        unit=np.array([case.unit for case in shown], np.int64),
        refer=np.array([referred[case.unit] for case in shown], np.bool_),
        place=np.array([each.place for each in cuts], np.int64),
        slices=facts.size[0] if facts.dims == 3 else 1,
        lesion=_stack([each.lesion for each in cuts], (3,), np.float32),
        likeness=np.array([likeness(np.stack(maps), np.stack(other)) if maps else [] for other in again]),
        hits=pointing[0].hits,
        hits_shuffled=np.stack([other.hits for other in pointing[1:]]),
        chance=pointing[0].chance,
    ).write(file)


def cases(predictions: pa.Table, task: str, labels: Sequence[str]) -> list[Case]:
    """Every call whose truth is known. Of several findings: one for each that is there or was called."""
    found = []
    columns = (predictions.column(name).to_pylist() for name in ("target", "probability", "label"))
    for unit, (target, probability, called) in enumerate(zip(*columns, strict=True)):
        if task == "multilabel":
            names = set(called.split("|"))
            for label, (truth, p) in enumerate(zip(target, probability, strict=True)):
                said = int(labels[label] in names)
                if truth is not None and np.isfinite(truth) and (truth == 1 or said):
                    certainty = p if said else 1 - p
                    found.append(Case(unit, label, int(truth), said, certainty, (label, int(truth))))
        elif target is not None and target >= 0:
            said = labels.index(called)
            label = {"binary": 1, "ordinal": len(labels) - 1}.get(task, said)
            found.append(Case(unit, label, int(target), said, probability[said], (0, int(target))))
    return found


def picked(found: Sequence[Case], *, each: int = EACH) -> list[Case]:
    """The most certain wrong calls, then right ones spread evenly over how certain they were; of every class (or
    finding, missed or called) alike, as far as there are any. Both stand in falling order of certainty."""
    chosen: list[Case] = []
    for right in (False, True):
        groups: dict[tuple[int, int], list[Case]] = {}
        shown: list[Case] = []
        for case in found:
            if (case.truth == case.said) == right:
                groups.setdefault(case.kind, []).append(case)
        ranked = [sorted(group, key=lambda case: -case.certainty) for _, group in sorted(groups.items())]
        for group, share in zip(ranked, _shares([len(group) for group in ranked], each), strict=True):
            places = np.linspace(0, len(group) - 1, share).round().astype(int) if right else range(share)
            shown += [group[place] for place in places]
        chosen += sorted(shown, key=lambda case: -case.certainty)
    return chosen


def _shares(sizes: Sequence[int], total: int) -> list[int]:
    """How many of `total` each group gives: as equal as their sizes allow, the first ones more."""
    given = [0] * len(sizes)
    while sum(given) < min(total, sum(sizes)):
        open_ = [place for place, size in enumerate(sizes) if given[place] < size]
        given[min(open_, key=lambda place: given[place])] += 1
    return given


def evidence(network: Network, pixels: NDArray[np.generic], task: str, label: int) -> NDArray[np.float32]:
    """The map of one class for images [n, c, *size] in raw units: [n, *coarse], above 0 where a place speaks for it."""
    import torch

    place = next(network.buffers()).device
    found = []
    with torch.inference_mode():
        for start in range(0, len(pixels), BATCH):
            batch = torch.from_numpy(np.array(pixels[start : start + BATCH], dtype=np.float32))
            maps = network.explained(batch.to(place))[1].float()
            # Ordinal networks have an output a step from grade to grade: together they speak for more of it.
            found.append((maps.mean(dim=1) if task == "ordinal" else maps[:, 0 if task == "binary" else label]).cpu())
    return torch.cat(found).numpy()


def points_at(
    network: Network, pixels: NDArray[np.generic], lesions: NDArray[np.float32], task: str, *, label: int = 1
) -> Pointing:
    """Whether the map of each image [n, c, *size] points at its lesion [n, dims + 1].

    A map knows places to half of one of its cells only, so that much beside the lesion still counts.
    """
    hits, chance, size = [np.zeros(0, np.bool_)], [np.zeros(0)], pixels.shape[2:]
    for start in range(0, len(pixels), BATCH):  # maps as large as the images: of a few volumes at once
        some = lesions[start : start + BATCH]
        maps = evidence(network, pixels[start : start + BATCH], task, label)
        near = max(side / cells for side, cells in zip(size, maps.shape[1:], strict=True)) / 2
        hits.append(pointing_game(enlarged(maps, size), some, tolerance=near))
        chance.append(chance_of_hitting(some, size, tolerance=near))
    return Pointing(np.concatenate(hits), np.concatenate(chance))


def shuffled(network: Network, seed: int) -> Network:
    """A copy whose weights are in a random order, tensor by tensor: what it learned is gone, their sizes are not."""
    import torch

    generator = torch.Generator().manual_seed(seed)
    other = copy.deepcopy(network).eval()
    with torch.no_grad():
        for weight in other.parameters():
            order = torch.randperm(weight.numel(), generator=generator).to(weight.device)
            weight.copy_(weight.flatten()[order].view_as(weight))
    return other


def cut(pixels: NDArray[np.generic], heat: NDArray[np.float32], lesion: NDArray[np.float32]) -> Cut:
    """pixels: [c, *size]; heat: [*coarse]; lesion: [dims + 1]. A volume is cut at its lesion; where none is known, at
    the map's maximum."""
    if heat.ndim == 2:
        return Cut(pixels, heat, -1, lesion)
    whole = enlarged(heat[None], (pixels.shape[1], *heat.shape[1:]))[0]
    if np.isfinite(lesion).all():
        place = int(np.clip(round(float(lesion[0])), 0, len(whole) - 1))
    else:
        place = int(np.unravel_index(int(whole.argmax()), whole.shape)[0])
    return Cut(pixels[:, place], whole[place], place, lesion[1:])


def _turned_to(
    network: Network, pixels: NDArray[np.generic], predictions: pa.Table, shown: Sequence[Case], task: str
) -> tuple[list[int], list[NDArray[np.float32]]]:
    """For each case the image that speaks most for what was said, to which a reader would turn first, and its map."""
    rows, maps = [], []
    for case in shown:
        own = predictions.column("images")[case.unit].as_py()[:MOST_IMAGES]
        found = evidence(network, pixels[np.asarray(own)], task, case.label)
        against = task in ("binary", "multilabel") and case.said == 0
        says = found.reshape(len(found), -1).mean(axis=1)
        best = int((-says if against else says).argmax())
        rows.append(own[best])
        maps.append(found[best])
    return rows, maps


def _stack(arrays: Sequence[NDArray[np.generic]], empty: tuple[int, ...], kind: type[Number]) -> NDArray[Number]:
    return np.stack(arrays).astype(kind) if arrays else np.zeros((0, *empty), kind)
