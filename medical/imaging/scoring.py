"""Batch scoring of images: a folder in, a row an image (study, patient) out; or DICOM objects for each study.

    lepton predict BUNDLE study/ -o answers.csv
    lepton predict BUNDLE study/ -o out/ --dicom

Rows are named by the path within the folder that was given; what the files say of the patient goes into no table.
Nothing is kept but outputs of a few bytes an image, so that any number of images can be read.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

from lepton_solutions.deploy.scoring import SUFFIXES, writer_of
from lepton_solutions.errors import UserError
from medical.imaging.decision import Answer
from medical.imaging.items import Item, items_in
from medical.imaging.predictor import ImagePredictor, Outputs
from medical.imaging.reading import read

SHOWN = 5  # problems named in the closing sentence


@dataclass(frozen=True)
class Scored:
    """What was read and decided. unit: the number of each item's answer. unread: items that could not be, and why."""

    items: list[Item]
    outputs: Outputs
    unit: list[int]
    answers: list[Answer]
    unread: list[tuple[Item, str]]


def score(folder: Path, path: Path, output: str, *, dicom: bool) -> str:
    """Score what lies at a path with the bundle in a folder; what was done, in a sentence.

    output: a table (.csv, .parquet, .jsonl, `-` for CSV on stdout), or with `dicom` a folder that is absent or empty,
    which gets the table too. An image that cannot be read has a row that says so. Raises UserError where none can be,
    or the output cannot be written.
    """
    predictor = ImagePredictor.open(folder)
    place = _free_folder(output) if dicom else None
    scored = _scored(predictor, items_in(path, dims=predictor.inputs.space))
    count = _counted(len(scored.answers), predictor.decision.level)
    if place is None:
        _write(output, predictor, scored, None)
        return f"{count} scored{_problems(scored)}"
    from medical.imaging.studies import write_studies

    answers = [scored.answers[unit] for unit in scored.unit]
    studies = write_studies(predictor, scored.items, scored.outputs, answers, place)
    _write(str(place / "answers.csv"), predictor, scored, studies)
    return f"{count} scored, {_counted(len(set(studies)), 'study')} written to {output}{_problems(scored)}"


def _scored(predictor: ImagePredictor, items: Sequence[Item]) -> Scored:
    kept: list[Item] = []
    unread: list[tuple[Item, str]] = []

    def arrays() -> Iterator[dict[str, np.ndarray]]:
        for item in items:
            try:
                yielded = predictor.inputs.arrays(read(item.path, predictor.inputs.space), where=item.name)
            except UserError as error:
                unread.append((item, error.message))
                continue
            kept.append(item)
            yield yielded

    outputs = predictor.outputs(arrays())
    if not kept:
        raise UserError(f"none of {_counted(len(items), 'image')} can be scored; the first: {unread[0][1]}")
    units = [item.unit(predictor.decision.level) for item in kept]
    code = {name: number for number, name in enumerate(dict.fromkeys(units))}
    return Scored(kept, outputs, [code[name] for name in units], predictor.decide(outputs, units), unread)


def _write(output: str, predictor: ImagePredictor, scored: Scored, studies: list[str] | None) -> None:
    """A row a unit, named by its first image, and after them a row for each image that could not be read."""
    labels, together = predictor.inputs.labels, predictor.decision.level != "image"
    columns = [("image", pa.string())]
    columns += [("images", pa.int64())] if together else []
    columns += [("study", pa.string())] if studies is not None else []
    columns += [(f"probability_{name}", pa.float64()) for name in labels]
    columns += [("label", pa.string()), ("decision", pa.string()), ("set", pa.string())]
    columns += [("refer", pa.bool_()), ("refused", pa.bool_()), ("distance", pa.float64()), ("problem", pa.string())]
    rows: list[dict[str, object]] = []
    firsts = {unit: place for place, unit in reversed(list(enumerate(scored.unit)))}
    for number, answer in enumerate(scored.answers):
        first = firsts[number]
        rows.append(
            {
                "image": scored.items[first].name,
                "images": answer.images,
                "study": None if studies is None else studies[first],
                **{f"probability_{name}": value for name, value in zip(labels, answer.probability, strict=True)},
                "label": answer.label,
                "decision": answer.decision,
                "set": "|".join(answer.possible),
                "refer": answer.refer,
                "refused": answer.refused,
                "distance": answer.distance,
            }
        )
    rows += [{"image": item.name, "problem": why} for item, why in scored.unread]
    schema = pa.schema(columns)
    with writer_of(output, schema) as writer:
        writer.write_batch(pa.RecordBatch.from_pylist(rows, schema=schema))


def _free_folder(output: str) -> Path:
    place = Path(output).expanduser()
    if output == "-" or place.suffix in SUFFIXES:
        raise UserError(f"-o {output}: expected a folder, as --dicom writes several files a study")
    if place.exists() and (not place.is_dir() or any(place.iterdir())):
        raise UserError(f"-o {output}: exists and is not empty, expected a new folder")
    try:
        place.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"-o {output}: cannot be written: {error.strerror or error}") from error
    return place


def _counted(number: int, what: str) -> str:
    plural = {"study": "studies"}.get(what, f"{what}s")
    return f"{number:,} {what if number == 1 else plural}"


def _problems(scored: Scored) -> str:
    refused = sum(answer.refused for answer in scored.answers)
    told = f"; {refused:,} refused as unlike the training images" if refused else ""
    if scored.unread:
        shown = "; ".join(why for _, why in scored.unread[:SHOWN])
        more = f"; and {len(scored.unread) - SHOWN:,} more" if len(scored.unread) > SHOWN else ""
        told += f"; {_counted(len(scored.unread), 'image')} not scored: {shown}{more}"
    return told
