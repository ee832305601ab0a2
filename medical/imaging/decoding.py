"""Every image is decoded once, brought to one size, and kept as an array on the disk.

A sample of the images decides what the set is (planes or volumes, grey or colour, bit depth, size); an image that is of
another kind is left out and listed, as one that cannot be read is. Memory stays bounded whatever the set's size.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from lepton_solutions.data.cache import cached
from lepton_solutions.data.images import Picture
from lepton_solutions.errors import UserError
from lepton_solutions.progress import Progress
from medical.imaging.conform import Kind, conform, is_coloured, kind_of
from medical.imaging.settings import Images
from medical.imaging.sources import Collection
from medical.imaging.store import Unread

if TYPE_CHECKING:
    from medical.imaging.looks import Look

Result = TypeVar("Result")

VERSION = 1  # of what lies in the cache; counted up when the same settings give other pixels
SAMPLED = 200  # images that decide what the set is
# Without `data.size`: sides up to the first stay as they are; what is larger comes to the second. Pixels, by dimension.
OWN_SIDE, CAPPED_SIDE = {2: 512, 3: 96}, {2: 224, 3: 64}
AT_ONCE = 256 * 2**20  # bytes of decoded images that wait to be written


@dataclass(frozen=True)
class Form:
    """What every image of the set is brought to. size: of the network's input. spacing: mm, None to stretch.

    resized: whether images are resampled to `size`; else they have it. fill: what stands outside a smaller image.
    """

    dims: int
    channels: int
    kind: Kind
    file_window: bool
    size: tuple[int, ...]
    spacing: tuple[float, ...] | None
    resized: bool
    fill: float

    @property
    def dtype(self) -> type[np.uint8] | type[np.float32]:
        """Of the stored pixels."""
        exact = self.kind == "bytes" and not self.resized and not self.file_window
        return np.uint8 if exact else np.float32

    @property
    def row_bytes(self) -> int:
        return self.channels * int(np.prod(self.size)) * np.dtype(self.dtype).itemsize


@dataclass(frozen=True)
class Decoded:
    """pixels: [kept, channels, *size], mapped from the disk. kept: row of the collection for each. looks: what the
    audit reads of each. unread: what was left out. key: names these pixels."""

    pixels: np.ndarray
    kept: np.ndarray
    looks: Sequence[Look]
    unread: list[Unread]
    key: str


def form_of(collection: Collection, data: Images) -> tuple[Form, list[str]]:
    """What the images are brought to, and what is to be said of it. Raises UserError where none can be read."""
    rows = np.unique(np.linspace(0, len(collection) - 1, SAMPLED).round().astype(int))
    with ThreadPoolExecutor(threads()) as pool:
        seen = [sight for sight in pool.map(lambda row: _sight(collection, int(row)), rows) if sight is not None]
    if not seen:
        reason = _attempt(collection, int(rows[0]))
        raise UserError(f"{collection.name}: none of {len(rows)} images can be read; the first: {reason}")
    dims = Counter(len(one.space) for one in seen).most_common(1)[0][0]
    seen = [one for one in seen if len(one.space) == dims]
    coloured = 2 * sum(one.coloured for one in seen) > len(seen)
    file_window = data.window == "file"
    kind = Counter(one.kind for one in seen).most_common(1)[0][0]
    seen = [one for one in seen if one.kind == kind] if not file_window else seen
    notes = []
    sizes = Counter(one.space for one in seen)
    common = sizes.most_common(1)[0][0] if len(sizes) == 1 else None
    if data.size is not None:
        if len(data.size) != dims:
            raise UserError(
                f"data.size has {len(data.size)} numbers, but the images of {collection.name} have {dims} dimensions"
            )
        size = data.size
        resized = True
    elif common is not None and max(common) <= OWN_SIDE[dims]:
        size, resized = common, False
    else:
        size, resized = _median_size([one.space for one in seen], CAPPED_SIDE[dims]), True
        found = _shown(common) if common else _ranges(list(sizes))
        notes.append(f"images of {found} pixels are stretched to {_shown(size)}; data.size sets another size")
    channels = max(one.channels for one in seen) if coloured else 1
    if isinstance(data.window, tuple):
        fill = data.window[0]
    else:
        fill = 0.0 if kind == "bytes" or file_window else float(min(one.low for one in seen))
    return Form(dims, channels, kind, file_window, size, data.spacing, resized, fill), notes


@dataclass(frozen=True)
class _Sight:
    space: tuple[int, ...]
    channels: int
    coloured: bool
    kind: Kind
    low: float


def _sight(collection: Collection, row: int) -> _Sight | None:
    try:
        picture = collection.read(row)
    except UserError:
        return None
    pixels = picture.pixels
    return _Sight(pixels.shape[1:], len(pixels), is_coloured(pixels), kind_of(pixels), float(pixels.min()))


def _attempt(collection: Collection, row: int) -> str:
    try:
        collection.read(row)
    except UserError as error:
        return error.message
    return "nothing is wrong with it"


def _median_size(spaces: Sequence[tuple[int, ...]], cap: int) -> tuple[int, ...]:
    """The median along each axis, scaled down so that the longest is at most `cap`; at least 8 each."""
    median = np.median(np.array(spaces), axis=0)
    scale = min(1.0, cap / median.max())
    return tuple(int(max(8, round(side * scale))) for side in median)


def _shown(size: Sequence[int]) -> str:
    return " x ".join(str(side) for side in size)


def _ranges(sizes: Sequence[tuple[int, ...]]) -> str:
    """Along each axis the smallest and the largest."""
    axes = zip(*sizes, strict=True)
    return " x ".join(str(min(axis)) if min(axis) == max(axis) else f"{min(axis)}-{max(axis)}" for axis in axes)


def decoded(collection: Collection, form: Form, unreadable: float, progress: Progress) -> Decoded:
    """All images in one array, from the cache where they were decoded before.

    unreadable: share that may fail. Raises UserError above it.
    """
    described = json.dumps([VERSION, collection.identity, asdict(form)], default=list)
    key = f"medical-{hashlib.sha256(described.encode()).hexdigest()[:24]}"
    # A set that fell behind its share of unreadable files left nothing in the cache: it is judged anew each time.
    folder = cached(
        key,
        lambda aside: _decode(collection, form, unreadable, aside, progress),
        need=len(collection) * (form.row_bytes + 2**13),
    )
    from medical.imaging.looks import read_looks

    said = json.loads((folder / "decoded.json").read_text(encoding="utf-8"))
    unread = [Unread.model_validate(one) for one in said["unread"]]
    _judge(unread, len(collection), unreadable)
    kept = np.array(said["kept"], np.int64)
    pixels = np.load(folder / "pixels.npy", mmap_mode="r", allow_pickle=False)[: len(kept)]
    return Decoded(pixels, kept, read_looks(folder), unread, key)


def _decode(collection: Collection, form: Form, unreadable: float, folder: Path, progress: Progress) -> None:
    from medical.imaging.looks import look, write_looks

    n, names = len(collection), collection.index.column("image")
    pixels = np.lib.format.open_memmap(folder / "pixels.npy", "w+", form.dtype, (n, form.channels, *form.size))
    kept: list[int] = []
    looks: list[Look] = []
    unread: list[Unread] = []

    def one(row: int) -> tuple[np.ndarray, Look] | str:
        try:
            picture = collection.read(row)
            return _resampled(picture, form), look(picture)
        except UserError as error:
            return error.message

    for row, result in enumerate(in_order(one, n, form.row_bytes)):
        if isinstance(result, str):
            unread.append(Unread(image=names[row].as_py(), why=result))
        else:
            pixels[len(kept)] = result[0]
            kept.append(row)
            looks.append(result[1])
        if row % 64 == 0:
            progress.update((row + 1) / n, f"{row + 1:,} of {n:,} images decoded")
    _judge(unread, n, unreadable)
    pixels.flush()
    write_looks(looks, folder)
    said = {"kept": kept, "unread": [item.model_dump() for item in unread]}
    (folder / "decoded.json").write_text(json.dumps(said), encoding="utf-8")


def in_order(work: Callable[[int], Result], n: int, row_bytes: int) -> Iterator[Result]:
    """The results of 0..n-1, by threads, few at a time. Decoding runs outside Python's lock."""
    workers = threads()
    step = max(workers, min(512, AT_ONCE // max(1, row_bytes)))
    with ThreadPoolExecutor(workers) as pool:
        for start in range(0, n, step):
            yield from pool.map(work, range(start, min(n, start + step)))


def threads() -> int:
    """Processors of this process, at most 32."""
    return min(32, len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1)


def _resampled(picture: Picture, form: Form) -> np.ndarray:
    """[channels, *size], as the exported network resamples it. Raises UserError for a picture of another form."""
    pixels = conform(picture, channels=form.channels, dims=form.dims, kind=form.kind, file_window=form.file_window)
    if not form.resized:
        if pixels.shape[1:] != form.size:
            raise UserError(f"found {_shown(pixels.shape[1:])} pixels, expected {_shown(form.size)} as the others have")
        return pixels
    if form.spacing is not None and picture.spacing is None:
        raise UserError("the file states no spacing between its pixels, which data.spacing asks for")
    import torch

    from lepton_solutions.models.resample import regrid, resize

    with torch.inference_mode():
        batch = torch.from_numpy(np.ascontiguousarray(pixels))[None].float()
        if form.spacing is None:
            return resize(batch, form.size)[0].numpy()
        spacing = torch.tensor([picture.spacing], dtype=torch.float32)
        return regrid(batch, spacing, target=form.spacing, size=form.size, fill=form.fill)[0].numpy()


def _judge(unread: Sequence[Unread], n: int, allowed: float) -> None:
    if len(unread) > allowed * n:
        shown = "".join(f"\n- {one.image}: {one.why}" for one in unread[:5])
        more = f"\n- and {len(unread) - 5} more" if len(unread) > 5 else ""
        raise UserError(
            f"{len(unread):,} of {n:,} images cannot be used, data.unreadable={allowed:g} allows fewer:{shown}{more}",
            hint="mend or remove them, or let more of them fail with data.unreadable",
        )
