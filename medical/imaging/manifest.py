"""The user's own images: a folder with a sub-folder a class, or a manifest, a table with a row an image.

    images/normal/*.png  images/pneumonia/*.png            a folder; train/, val/ and test/ above the classes split it
    path,label,patient,study,site,split                    a manifest's columns; only path and label are needed

Paths count from the manifest and may name a DICOM series by its folder. Nothing is decoded here.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import cast

import numpy as np
import pyarrow as pa

from lepton_solutions.data.columns import as_text
from lepton_solutions.data.images import Picture
from lepton_solutions.data.splits import PARTS, SPELLINGS, TEST, TRAIN
from lepton_solutions.data.tables import FORMATS, read_table
from lepton_solutions.errors import UserError, did_you_mean
from medical.imaging.labels import Classes, classes_of, several_columns
from medical.imaging.reading import Dims, found_in, read
from medical.imaging.settings import Images
from medical.imaging.sources import NOT_GIVEN, Collection, index_table

KNOWN = ("path", "label", "patient", "study", "site", "split", "sex", "age")
_OWNERLESS = (
    "no file says whose image it is: images of one patient may stand in several parts; a manifest with the column "
    "`patient` keeps them together"
)


def own_images(path: Path, data: Images, task: str) -> Collection:
    """The images of a folder or of a manifest. task: as `model.task`. Raises UserError for what cannot be meant."""
    dims = None if data.size is None else cast(Dims, len(data.size))
    if path.is_dir():
        return _folder(path, task, data.positive, dims)
    if not path.is_file():
        raise UserError(f"data.path={path}: found no such file or folder")
    if path.suffix.lower().removesuffix(".gz") not in FORMATS and not path.name.lower().endswith(".csv.gz"):
        raise UserError(
            f"data.path={path}: found a file ending in `{path.suffix}`, expected a folder of images or a manifest",
            hint="a manifest is a .csv or .parquet with the columns path and label",
        )
    return _manifest(path, task, data.positive, dims)


def _folder(folder: Path, task: str, positive: str | None, dims: Dims | None) -> Collection:
    inside = sorted(entry for entry in folder.iterdir() if entry.is_dir() and entry.name[0] not in "._")
    split = {entry.name.casefold() for entry in inside}
    if split and split <= set(SPELLINGS) and {SPELLINGS[name] for name in split} >= {TRAIN, TEST}:
        homes = [(SPELLINGS[entry.name.casefold()], entry) for entry in inside]
    else:
        homes = [(NOT_GIVEN, folder)]
    found: list[tuple[int, str, Path]] = []
    for part, home in homes:
        classes = sorted(entry for entry in home.iterdir() if entry.is_dir() and entry.name[0] not in "._")
        for one in classes:
            images = found_in(one, dims)
            if not images:
                raise UserError(
                    f"{one}: found no image, expected those of the class `{one.name}`",
                    hint="PNG, JPEG, TIFF, DICOM and NIfTI are read; a sub-folder a class, and nothing else beside",
                )
            # A class folder that is itself one series is one volume of that class.
            found += [(part, one.name, image) for image in images]
    if not found:
        loose = found_in(folder, dims)
        raise UserError(
            f"{folder}: found {len(loose):,} images and no sub-folder, expected a sub-folder of images for each class",
            hint="a manifest says which image shows what: data.path=manifest.csv with the columns path and label",
        )
    classes_found = classes_of([name for _, name, _ in found], task=task, positive=positive, where=str(folder))
    files = [image for _, _, image in found]
    return _collection(
        str(folder),
        folder,
        files,
        classes_found,
        np.array([part for part, _, _ in found], np.int8),
        {},
        dims,
    )


def _manifest(path: Path, task: str, positive: str | None, dims: Dims | None) -> Collection:
    table = read_table(str(path))
    names = {name: name.strip().casefold() for name in table.column_names}
    table = table.rename_columns(list(names.values()))
    where = str(path)
    if "path" not in table.column_names:
        raise UserError(
            f"{where}: found no column `path`; {did_you_mean('path', table.column_names)}",
            hint=f"its columns may be {', '.join(KNOWN)}; path and label are needed",
        )
    one_each = [name for name in table.column_names if name.startswith("label_")]
    if ("label" in table.column_names) == bool(one_each):
        what = "both `label` and columns `label_...`" if one_each else "no column `label`"
        raise UserError(
            f"{where}: found {what}, expected one of them; {did_you_mean('label', table.column_names)}",
            hint="`label` holds a class (or several: `effusion|mass`); `label_effusion`, `label_mass` hold 1 or 0",
        )
    files = _files(path, _cells(table, "path"))
    if one_each:
        if task not in ("auto", "multilabel"):
            raise UserError(
                f"model.task={task}: {where} has a column for each of several labels", hint="model.task=auto"
            )
        classes = several_columns({name: _cells(table, name) for name in one_each}, where=where)
    else:
        cells = _cells(table, "label")
        _check_repeated(where, files, cells)
        classes = classes_of(cells, task=task, positive=positive, where=f"{where}, column `label`")
    known = {name: _cells(table, name) for name in ("patient", "study", "site", "sex") if name in table.column_names}
    extra: dict[str, pa.Array] = {name: pa.array(cells, pa.string()) for name, cells in known.items()}
    if "age" in table.column_names:
        extra["age"] = _ages(where, _cells(table, "age"))
    part = _parts(where, _cells(table, "split")) if "split" in table.column_names else None
    unread = [name for name in table.column_names if name not in KNOWN and name not in one_each]
    _check_meant(where, unread, table.column_names)
    notes = (f"columns that are not read: {', '.join(unread[:8])}",) if unread else ()
    return _collection(where, path.parent, files, classes, part, extra, dims, notes)


def _check_meant(where: str, unread: Sequence[str], given: Sequence[str]) -> None:
    """Raises UserError for a column that seems to say whose image it is, or which part, under another name."""
    for meant in ("patient", "split"):
        near = get_close_matches(meant, unread, n=1, cutoff=0.6)
        near += [name for name in unread if meant == "patient" and name.startswith(("patient", "subject"))]
        if near and meant not in given:
            raise UserError(
                f"{where}: found a column `{near[0]}` that is not read; did you mean `{meant}`?",
                hint="rename the column, or drop it",
            )


def _cells(table: pa.Table, name: str) -> list[str | None]:
    return as_text(table.column(name)).to_pylist()


def _files(manifest: Path, cells: Sequence[str | None]) -> list[Path]:
    """Raises UserError for a path that leaves the manifest's folder or is not there, with the row."""
    root = manifest.parent
    base = _absolute(root)
    files: list[Path] = []
    absent: list[int] = []
    for row, cell in enumerate(cells, 1):
        if cell is None:
            raise UserError(f"{manifest}, row {row}, column `path`: found nothing, expected the path of an image")
        # By name, not by where links lead: whoever laid a link into the folder means it.
        place = _absolute(base / (cell if os.sep == "\\" else cell.replace("\\", "/")))
        if not place.is_relative_to(base):
            raise UserError(
                f"{manifest}, row {row}, column `path`: found `{cell}`, which lies outside the manifest's folder",
                hint=f"paths count from {root}; move the manifest above all its images",
            )
        files.append(place)
        if not place.exists():
            absent.append(row)
    if absent:
        more = f"; {len(absent):,} of {len(files):,} rows are like it" if len(absent) > 1 else ""
        raise UserError(
            f"{manifest}, row {absent[0]}, column `path`: found `{cells[absent[0] - 1]}`, but no such file{more}",
            hint=f"paths count from {root}",
        )
    return files


def _absolute(path: Path) -> Path:
    """Without `..`, but links left as they are."""
    return Path(os.path.normpath(path.absolute()))


def _check_repeated(where: str, files: Sequence[Path], cells: Sequence[str | None]) -> None:
    seen: dict[Path, int] = {}
    for row, (file, cell) in enumerate(zip(files, cells, strict=True), 1):
        before = seen.setdefault(file, row)
        if cells[before - 1] != cell:
            raise UserError(
                f"{where}, rows {before} and {row}: one image has the labels `{cells[before - 1]}` and `{cell}`",
                hint="give each image one row; several labels are written as `effusion|mass`",
            )


def _ages(where: str, cells: Sequence[str | None]) -> pa.Array:
    ages: list[float | None] = []
    for row, cell in enumerate(cells, 1):
        try:
            ages.append(None if cell is None else float(cell))
        except ValueError as error:
            raise UserError(f"{where}, row {row}, column `age`: found `{cell}`, expected years, a number") from error
    return pa.array(ages, pa.float64())


def _parts(where: str, cells: Sequence[str | None]) -> np.ndarray:
    parts = np.full(len(cells), NOT_GIVEN, np.int8)
    for row, cell in enumerate(cells, 1):
        if cell is None:
            continue
        part = SPELLINGS.get(cell.casefold())
        if part is None:
            raise UserError(
                f"{where}, row {row}, column `split`: found `{cell}`, expected {', '.join(PARTS)}; "
                f"{did_you_mean(cell, SPELLINGS)}"
            )
        parts[row - 1] = part
    return parts


def _collection(
    name: str,
    root: Path,
    files: list[Path],
    classes: Classes,
    part: np.ndarray | None,
    known: dict[str, pa.Array],
    dims: Dims | None,
    notes: tuple[str, ...] = (),
) -> Collection:
    known = known | {key: values for key, values in _owners(files).items() if key not in known}
    if "patient" not in known:
        notes = (*notes, _OWNERLESS)
    several = isinstance(classes.column, list)
    base = _absolute(root)
    return Collection(
        name=name,
        task="multilabel" if several else None,
        labels=classes.labels,
        index=index_table(
            [_absolute(file).relative_to(base).as_posix() for file in files], classes.column, part, **known
        ),
        read=_reader(files, dims),
        identity=_identity(files, dims),
        notes=(*classes.notes, *notes),
        modality=None,
    )


def _reader(files: Sequence[Path], dims: Dims | None) -> Callable[[int], Picture]:
    def one(row: int) -> Picture:
        try:
            return read(files[row], dims)
        except UserError as error:  # the list of unread files names each; what is left is the reason
            raise UserError(error.message.removeprefix(f"{files[row]}: "), hint=error.hint) from error

    return one


def _owners(files: Sequence[Path]) -> dict[str, pa.Array]:
    """Patient and study of DICOM files, as numbers in the order of their first image: identity stays in the headers."""
    from medical.imaging.dicom import is_dicom
    from medical.imaging.dicom_file import header

    wanted = ["PatientID", "IssuerOfPatientID", "StudyInstanceUID"]
    codes: dict[str, dict[str, int]] = {"patient": {}, "study": {}}
    found: dict[str, list[str | None]] = {"patient": [], "study": []}
    for file in files:
        first = _first_dicom(file)
        keys: dict[str, str] = {}
        if first is not None and is_dicom(first):
            try:
                head = header(first, wanted)
                patient = str(head.get("PatientID") or "").strip()
                keys["patient"] = patient and f"{head.get('IssuerOfPatientID') or ''}\t{patient}"
                keys["study"] = str(head.get("StudyInstanceUID") or "").strip()
            except UserError:
                keys = {}  # it is listed when it is decoded
        for name, seen in codes.items():
            key = keys.get(name)
            found[name].append(f"{name} {seen.setdefault(key, len(seen)) + 1}" if key else None)
    return {name: pa.array(values, pa.string()) for name, values in found.items() if any(values)}


def _first_dicom(path: Path) -> Path | None:
    if path.is_file():
        return path
    inside = sorted(entry for entry in path.iterdir() if entry.is_file() and entry.name[0] != ".")
    return inside[0] if inside else None


def _identity(files: Sequence[Path], dims: Dims | None) -> str:
    """Changes when a file does, or where one stands for a series a file beside it."""
    digest = hashlib.sha256(repr(dims).encode())
    folders = {file if file.is_dir() else file.parent for file in files if dims == 3 or file.is_dir()}
    inside = [entry for folder in sorted(folders) for entry in sorted(folder.iterdir()) if entry.is_file()]
    for one in [file for file in files if file.is_file()] + inside:
        found = one.stat()
        digest.update(f"\n{one}\t{found.st_size}\t{found.st_mtime_ns}".encode())
    return digest.hexdigest()
