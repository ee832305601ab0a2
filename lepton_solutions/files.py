"""Files that are written whole or not at all."""

import json
from pathlib import Path


def write_text(path: Path, text: str) -> None:
    """Write a whole file or nothing."""
    aside = path.with_name(f".{path.name}.partial")
    aside.write_text(text, encoding="utf-8")
    aside.replace(path)


def write_json(path: Path, value: object) -> None:
    """Write a whole JSON file or nothing; numbers that are not finite are defects and raise ValueError."""
    write_text(path, json.dumps(value, indent=1, allow_nan=False) + "\n")


def stamp(path: str | None) -> tuple[tuple[str, int, int], ...]:
    """Name, size and time of a user's file, or of every file below a folder: what changes when they do. () for none."""
    place = None if path is None else Path(path).expanduser()
    if place is None or not place.exists():
        return ()
    files = sorted(place.rglob("*")) if place.is_dir() else [place]
    return tuple((str(file), file.stat().st_size, file.stat().st_mtime_ns) for file in files if file.is_file())
