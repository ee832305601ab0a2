"""Checkpoints: where a killed training goes on from.

A checkpoint is one safetensors file; its name ends in the SHA-256 of its bytes, so that a damaged file is known by its
name. It is written aside and renamed, and the last two are kept: a kill at any moment leaves a whole one.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from lepton_solutions.errors import UserError

log = logging.getLogger(__name__)

KEPT = 2
_NAME = re.compile(r"step-(\d+)-([0-9a-f]{16})\.safetensors")


@dataclass(frozen=True)
class Checkpoint:
    """tensors: weights, optimiser, averages and every random state by name. facts: all else, as JSON holds it."""

    tensors: dict[str, Tensor]
    facts: dict


def write(folder: Path, checkpoint: Checkpoint) -> Path:
    """Write a whole file or nothing; older ones than the last two go."""
    folder.mkdir(parents=True, exist_ok=True)
    aside = folder / ".partial"
    tensors = {name: tensor.contiguous() for name, tensor in checkpoint.tensors.items()}  # a plan may be channels last
    save_file(tensors, aside, metadata={"facts": json.dumps(checkpoint.facts)})
    with aside.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
        os.fsync(stream.fileno())  # else a power cut could leave the name without the bytes
    place = folder / f"step-{checkpoint.facts['step']:010d}-{digest[:16]}.safetensors"
    aside.replace(place)
    for older in _files(folder)[KEPT:]:
        older.unlink()
    return place


def newest(folder: Path, identity: Mapping[str, object]) -> Checkpoint | None:
    """The newest whole checkpoint, None where there is none.

    A damaged one is passed over with a warning. identity: what makes this training the one that was interrupted, as
    flat names and values; raises UserError that names the first difference. A finished training of another identity is
    of no use here, and is no mistake: None.
    """
    for file in _files(folder):
        found = _read(file)
        if found is None:
            log.warning("%s is damaged, its bytes do not match its name; going on from the one before", file)
            continue
        saved = found.facts["identity"]
        for name in dict.fromkeys([*saved, *identity]):
            if saved.get(name) == identity.get(name):
                continue
            if found.facts["done"]:
                return None
            raise UserError(
                f"{file}: is of another training: `{name}` was {_told(saved.get(name))}, "
                f"and is {_told(identity.get(name))} here",
                hint=f"take the old value, or start afresh in another run folder or by deleting {folder}",
            )
        return found
    return None


def _files(folder: Path) -> list[Path]:
    """Newest first."""
    return sorted((file for file in folder.glob("*") if _NAME.fullmatch(file.name)), reverse=True)


def _read(file: Path) -> Checkpoint | None:
    named = _NAME.fullmatch(file.name)
    assert named is not None
    with file.open("rb") as stream:
        if not hashlib.file_digest(stream, "sha256").hexdigest().startswith(named[2]):
            return None
    try:
        with safe_open(file, "pt") as opened:
            tensors = {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118, not a dict
            return Checkpoint(tensors, json.loads(opened.metadata()["facts"]))
    except (SafetensorError, KeyError, TypeError, json.JSONDecodeError):  # renamed to fit its bytes, but no checkpoint
        return None


def _told(value: object) -> str:
    return "absent" if value is None else f"`{value}`"
