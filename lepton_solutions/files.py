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
