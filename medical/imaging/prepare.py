"""The first stage: which images there are, what each shows, how they are split, and whether the split leaks.

Source, decoding (once, kept in the cache), split, audit, pixels a part: in this order, so that the split can keep
identical images together. What is learned here about the pixels (window, mean) comes from the train part alone.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lepton_solutions.data.cache import cache_folder, cached
from lepton_solutions.data.findings import Finding, failures
from lepton_solutions.data.splits import PARTS, TRAIN
from lepton_solutions.errors import UserError
from lepton_solutions.files import write_json
from lepton_solutions.progress import Progress
from medical.imaging.decoding import Decoded, Form, decoded, form_of
from medical.imaging.levels import chunks, moments, window
from medical.imaging.parts import Split, split_images
from medical.imaging.settings import Images, Imaging
from medical.imaging.sources import Collection
from medical.imaging.store import Facts, PartFacts, Store, Task, targets, unit_codes

GROUPS = "groups.csv"  # images that look alike, as owners that a next run may keep together


@dataclass(frozen=True)
class Known:
    """The images that could be read. index: a row for each, as `images` has them. target: as `store.targets` gives it.
    notes: what is to be said of how they were brought to one form.
    """

    collection: Collection
    task: Task
    form: Form
    images: Decoded
    index: pa.Table
    target: np.ndarray
    notes: list[str]


def prepare(settings: Imaging, run: Path, out: Path, progress: Progress, collection: Collection | None = None) -> None:
    """Images, split and audit; a failing audit ends the run, and `audit.json` stays to say why.

    collection: the images themselves, instead of those that `data` names.
    """
    data, collection = settings.data, collect(settings) if collection is None else collection
    task = task_of(collection, settings.model.task)
    form, notes = form_of(collection, data)
    images = decoded(collection, form, data.unreadable, progress)
    index = _with_pictures(collection, images, form)
    target = targets(index, len(collection.labels), task)
    check_level(index, data)
    known = Known(collection, task, form, images, index, target, notes)
    store, findings, groups = _split_and_audit(settings, known)
    progress.update(1.0, f"{store.facts.images:,} images, {len(collection.labels)} labels")
    store.write(out)
    write_json(out / "audit.json", [finding.to_json() for finding in findings])
    error = failures(findings)
    if error is not None:
        from medical.imaging.audit import groups_file

        (out / "audit.json").replace(run / "audit.json")
        groups_file(run / GROUPS, store.index, groups, store.facts.labels)
        raise UserError(f"{collection.name}: {error.message}", hint=error.hint)


def collect(settings: Imaging) -> Collection:
    """The images that `data` names: the user's folder or manifest, else the source. Nothing is decoded yet."""
    from medical.imaging.manifest import own_images

    data = settings.data
    if data.path is not None:
        return own_images(Path(data.path).expanduser(), data, settings.model.task)
    found = data.source.resolve()(data.resolution)
    if not isinstance(found, Collection):
        raise UserError(
            f"data.source: `{data.source.target}` gives a {type(found).__name__}, expected a Collection of images"
        )
    return found if data.positive is None else _turned(found, data.positive)


def _turned(collection: Collection, positive: str) -> Collection:
    """The same images with this label as the positive one of two."""
    labels = collection.labels
    if len(labels) != 2 or positive not in labels or "label" not in collection.index.column_names:
        known = ", ".join(f"`{label}`" for label in labels[:6])
        raise UserError(
            f"data.positive={positive}: {collection.name} has the labels {known}, expected two and one of them"
        )
    if labels[1] == positive:
        return collection
    index = collection.index
    at = index.column_names.index("label")
    index = index.set_column(at, "label", pc.subtract(1, index.column("label")))
    return replace(collection, labels=labels[::-1], index=index)


def task_of(collection: Collection, asked: str) -> Task:
    """What is learned. Raises UserError where the labels do not fit what is asked for."""
    several, classes = "label" not in collection.index.column_names, len(collection.labels)
    if asked == "auto":
        return collection.task or ("multilabel" if several else "binary" if classes == 2 else "multiclass")
    if several != (asked == "multilabel"):
        found = "several labels an image" if several else "one label an image"
        raise UserError(
            f"model.task={asked}: {collection.name} has {found}", hint="model.task=auto takes what is there"
        )
    if asked == "binary" and classes != 2:
        raise UserError(f"model.task=binary: {collection.name} has {classes} labels", hint="model.task=multiclass")
    assert asked in ("binary", "multiclass", "multilabel", "ordinal")
    return asked  # type: ignore[return-value]  # mypy does not narrow a str to the literals


def check_level(index: pa.Table, data: Images) -> None:
    """Raises UserError where no image names what is to be decided about."""
    if data.level != "image" and index.column(data.level).null_count == index.num_rows:
        raise UserError(
            f"data.level={data.level}: no image has a {data.level}",
            hint=f"a manifest with a column `{data.level}` gives them; data.level=image decides about each image",
        )


def _split_and_audit(settings: Imaging, known: Known) -> tuple[Store, list[Finding], np.ndarray]:
    from medical.imaging.audit import audit
    from medical.imaging.looks import twins

    data, images, index, target, labels = (
        settings.data,
        known.images,
        known.index,
        known.target,
        known.collection.labels,
    )
    generator = np.random.default_rng(settings.seed)
    split = split_images(index, target, twins(images.looks), data, task=known.task, labels=labels, generator=generator)
    _check_rules(settings, index, target, split.part, known.task)
    audited = audit(
        index,
        images.looks,
        target=target,
        labels=labels,
        published_split=split.given,
        parts=split.part,
        duplicates=settings.audit.duplicates,
        group=data.group,
        unreadable=[(one.image, one.why) for one in images.unread],
    )
    order = _order(split.part, target)
    key = _parted(images, split.part, order)
    facts = _facts(data, known, split, key)
    rows = [np.arange(int((split.part == part).sum())) for part in range(len(PARTS))]
    kept = index.take(pa.array(order))
    kept = kept.set_column(kept.column_names.index("part"), "part", pa.array(split.part[order], pa.int8()))
    kept = kept.append_column("row", pa.array(np.concatenate(rows), pa.int64()))
    return Store(facts, kept), audited.findings, audited.groups[order]


def _check_rules(settings: Imaging, index: pa.Table, target: np.ndarray, part: np.ndarray, task: Task) -> None:
    """What would fail after an hour of training fails here."""
    from medical.imaging.fitting import check_rules
    from medical.imaging.pooling import unit_targets

    check_rules(settings.decision, task)
    units = unit_codes(index, settings.data.level)
    for one in range(len(PARTS)):
        unit_targets(target[part == one], np.unique(units[part == one], return_inverse=True)[1], task)


def _with_pictures(collection: Collection, images: Decoded, form: Form) -> pa.Table:
    """The index of the images that were read, with what their files tell: size, and sex and age where not given."""
    index = collection.index.take(pa.array(images.kept))
    facts = [one.facts for one in images.looks]
    for name, kind in (("sex", pa.string()), ("age", pa.float64())):
        known = index.column(name).to_pylist()
        told = [_fact(fact, name) if value is None else value for value, fact in zip(known, facts, strict=True)]
        index = index.set_column(index.column_names.index(name), name, pa.array(told, kind))
    if collection.lesions is not None:
        picture = collection.read(0)  # phantoms are all of one size
        lesions = placed(collection.lesions[images.kept], picture.size, picture.spacing, form)
        for i, column in enumerate(lesions.T):
            index = index.append_column(f"lesion_{i}", pa.array(column, pa.float64()))
    return index


def placed(lesions: np.ndarray, source: tuple[int, ...], spacing: tuple[float, ...] | None, form: Form) -> np.ndarray:
    """Centres and radii, [n, dims + 1], of pixels as read brought to stored pixels, as `models.resample` moves them."""
    if not form.resized:
        return lesions
    centre, radius = lesions[:, :-1], lesions[:, -1:]
    if form.spacing is None or spacing is None:
        scale = np.array(form.size) / np.array(source)
        return np.hstack([(centre + 0.5) * scale - 0.5, radius * scale.mean()])
    scale = np.array(spacing) / np.array(form.spacing)
    points = np.round(np.round(((np.array(source) - 1) * scale + 1) * 1e4) / 1e4)  # of the grid in these millimetres
    size = np.array(form.size)
    first = np.where(points >= size, np.floor(points / 2) - size // 2, -np.floor((size - points) / 2))
    return np.hstack([centre * scale - first, radius * scale.mean()])


def _fact(facts: dict[str, str], name: str) -> str | float | None:
    text = facts.get(name)
    if name == "sex" or text is None:
        return text or None
    try:
        return float(text)
    except ValueError:
        return None


def _order(part: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Images part by part, in each those of unknown label last: training then reads a range."""
    unknown = np.isnan(target).all(axis=1) if target.ndim == 2 else target < 0
    return np.lexsort((np.arange(len(part)), unknown, part))


def _parted(images: Decoded, part: np.ndarray, order: np.ndarray) -> str:
    """The pixels in a file a part, in the cache; the name of their folder there."""
    digest = hashlib.sha256(images.key.encode() + part.tobytes() + order.tobytes())
    key = f"{images.key}-{digest.hexdigest()[:16]}"

    def write(folder: Path) -> None:
        shape = images.pixels.shape[1:]
        for number, name in enumerate(PARTS):
            rows = order[part[order] == number]
            file = np.lib.format.open_memmap(folder / f"{name}.npy", "w+", images.pixels.dtype, (len(rows), *shape))
            for start, stop in chunks(len(rows), images.pixels[:1].nbytes):
                file[start:stop] = images.pixels[rows[start:stop]]
            file.flush()

    cached(key, write, need=images.pixels.nbytes)
    return key


def _facts(data: Images, known: Known, split: Split, key: str) -> Facts:
    collection, form, images, target = known.collection, known.form, known.images, known.target
    train = np.load(cache_folder() / key / f"{PARTS[TRAIN]}.npy", mmap_mode="r", allow_pickle=False)
    low, high = window(data, form, train)
    mean, std = moments(train, low, high)
    said = [*collection.notes, *known.notes, *split.notes]
    if images.unread:
        said.append(f"{len(images.unread):,} of {len(collection):,} images were left out, listed under `unread`")
    unknown = np.isnan(target) if target.ndim == 2 else target < 0
    if unknown.any():
        said.append(f"{int(unknown.sum()):,} labels are unknown: they are neither learned from nor measured")
    return Facts(
        source=collection.name,
        task=known.task,
        labels=list(collection.labels),
        channels=form.channels,
        dims=form.dims,
        size=form.size,
        spacing=form.spacing,
        resized=form.resized,
        fill=form.fill,
        kind=form.kind,
        file_window=form.file_window,
        low=low,
        high=high,
        mean=mean,
        std=std,
        level=data.level,
        group=data.group,
        published_split=split.given,
        modality=collection.modality,
        licence=collection.licence,
        cite=collection.cite,
        images=len(images.kept),
        parts={
            name: _part_facts(known.index, target, split.part == number, len(collection.labels))
            for number, name in enumerate(PARTS)
        },
        unread=images.unread,
        notes=said,
        cache=key,
    )


def _part_facts(index: pa.Table, target: np.ndarray, inside: np.ndarray, labels: int) -> PartFacts:
    own = target[inside]
    patients = set(index.column("patient").filter(pa.array(inside)).to_pylist()) - {None}
    several = own.ndim == 2
    counts = (own == 1).sum(axis=0) if several else np.bincount(own[own >= 0], minlength=labels)
    unknown = np.isnan(own).any(axis=1) if several else own < 0
    return PartFacts(
        images=len(own), unknown=int(unknown.sum()), patients=len(patients) or None, labels=[int(one) for one in counts]
    )
