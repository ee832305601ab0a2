"""The bundle: the directory that leaves the lab. Written once, listed with the SHA-256 of every file, opened only when
every listed file is there unchanged.

    model.onnx  inputs.json  decision.json          what the predictor reads
    weights.safetensors, ...  card.md  metrics.json  what a person or a later fine-tuning reads
    manifest.json                                    pipeline, versions, and the hash and size of every other file
"""

import hashlib
import json
from pathlib import Path

from lepton_solutions import __version__
from lepton_solutions.errors import UserError

MANIFEST = "manifest.json"
FORMAT = 1
READ_TO_PREDICT = ("model.onnx", "inputs.json", "decision.json", MANIFEST)


def seal(folder: Path, *, pipeline: str) -> None:
    """Write the manifest over all files of the folder; nothing may change in it afterwards."""
    files = {
        file.relative_to(folder).as_posix(): {"sha256": _sha256(file), "bytes": file.stat().st_size}
        for file in sorted(folder.rglob("*"))
        if file.is_file() and file.name != MANIFEST
    }
    manifest = {"format": FORMAT, "pipeline": pipeline, "lepton_solutions": __version__, "files": files}
    (folder / MANIFEST).write_text(json.dumps(manifest, indent=1) + "\n", encoding="utf-8")


def place_for(folder: str | Path) -> Path:
    """Where a bundle may be written. Raises UserError where something is there."""
    place = Path(folder)
    if place.exists() and any(place.iterdir()):
        raise UserError(f"{place}: exists and is not empty")
    return place


def find(path: Path) -> Path:
    """The bundle at a path, which may be the bundle itself or the run folder that holds it."""
    for folder in (path, path / "bundle"):
        if (folder / MANIFEST).is_file():
            return folder
    if not path.exists():
        raise UserError(f"{path}: there is no such bundle or run folder")
    raise UserError(f"{path}: holds no bundle (no {MANIFEST})", hint="name a run folder that finished, or its bundle")


def verify(folder: Path) -> str:
    """Compare every file with the manifest; the pipeline's name. Raises UserError that names the first difference."""
    try:
        manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        pipeline, version = manifest["pipeline"], manifest["format"]
        hashes = {name: entry["sha256"] for name, entry in manifest["files"].items()}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(f"{folder / MANIFEST}: not a bundle's manifest ({error})") from error
    if version != FORMAT:
        raise UserError(f"{folder / MANIFEST}: bundle format {version}, this version reads {FORMAT}")
    for name in READ_TO_PREDICT:
        if name not in hashes and name != MANIFEST:
            raise UserError(f"{folder / MANIFEST}: does not list `{name}`, without which nothing can be predicted")
    for name, expected in hashes.items():
        file = folder / name
        if not file.resolve().is_relative_to(folder.resolve()):
            raise UserError(f"{folder / MANIFEST}: lists `{name}`, which lies outside the bundle")
        if not file.is_file():
            raise UserError(f"{file}: missing, although the manifest lists it")
        if _sha256(file) != expected:
            raise UserError(f"{file}: changed since the bundle was made (SHA-256 differs)", hint="export the run again")
    return pipeline


def size_bytes(folder: Path) -> int:
    """Bytes on disk of what the predictor must read to answer."""
    return sum((folder / name).stat().st_size for name in READ_TO_PREDICT)


def _sha256(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
