"""Named data sets: where their bytes come from, and the rows they hold.

A source's file is looked for in this order: the data root (`LEPTON_DATA`, else the user's cache folder), an installed
package that ships it, its official address. What is downloaded must have the stated checksum; a local file that differs
is used, with a warning.
"""

import hashlib
import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path

import pooch
import pyarrow as pa

from lepton_solutions.errors import UserError
from lepton_solutions.offline import is_offline
from lepton_solutions.places import data_root

log = logging.getLogger(__name__)

_listening: list[list[tuple[str, str, Path]]] = []
_KINDS = {"sha256": "SHA-256", "md5": "MD5"}


@dataclass(frozen=True)
class Source:
    """Where one file of a data set lies, and under which terms.

    name: folder in the data root; file: its name there. sha256, md5: of the official bytes, as the publisher states one
    of them; None where the file is not public. package: (installed package, path inside it). url: direct official
    address, None where a login is asked for.
    """

    name: str
    file: str
    home: str
    licence: str
    cite: str
    sha256: str | None = None
    md5: str | None = None
    package: tuple[str, str] | None = None
    url: str | None = None

    def find(self) -> Path | None:
        """The file on this machine, None where it would have to be fetched."""
        places = [data_root() / self.name / self.file]
        if self.package is not None and (spec := find_spec(self.package[0])) and spec.origin:
            places.append(Path(spec.origin).parent / self.package[1])
        return next((place for place in places if place.is_file()), None)

    @property
    def known(self) -> tuple[str, str] | None:
        """The checksum's kind and value."""
        sums = {"sha256": self.sha256, "md5": self.md5}
        return next(((kind, value) for kind, value in sums.items() if value is not None), None)

    def fetch(self) -> Path:
        """The file, downloaded when it is not here. Raises UserError that says where to put what."""
        path = self._fetched()
        for files in _listening:
            files.append((self.name, self.file, path))
        return path

    def _fetched(self) -> Path:
        found = self.find()
        if found is not None:
            if self.known is not None and _digest(found, self.known[0]) != self.known[1]:
                log.warning(
                    "%s differs from the published file (%s); it is used as it is", found, _KINDS[self.known[0]]
                )
            return found
        place = data_root() / self.name / self.file
        advice = (
            f"get it from {self.home} and put it at {place}, or point LEPTON_DATA to a folder that holds {self.name}/"
        )
        if self.url is None or self.known is None:
            raise UserError(
                f"data set `{self.name}` is not on this machine and cannot be fetched without you", hint=advice
            )
        if is_offline():
            raise UserError(
                f"data set `{self.name}` is not on this machine, and LEPTON_OFFLINE=1 forbids fetching it", hint=advice
            )
        try:
            return Path(pooch.retrieve(self.url, ":".join(self.known), fname=self.file, path=place.parent))
        except (OSError, ValueError) as error:  # no network; another checksum than the published one
            raise UserError(
                f"data set `{self.name}` could not be fetched from {self.url}: {error}", hint=advice
            ) from error

    def whereabouts(self) -> str:
        """One line for `lepton list`: where it was found, or how to get it."""
        found = self.find()
        if found is not None:
            return str(found)
        return f"fetched from {self.url} on first use" if self.url else f"not here: get {self.file} from {self.home}"


@dataclass(frozen=True)
class Dataset:
    """Rows and what is known about them; `meanings` explains columns and, as `column=level`, their codes."""

    rows: pa.Table
    name: str
    target: str | None = None
    positive: str | None = None
    names: tuple[str, str] = ("positive", "negative")
    protected: tuple[str, ...] = ()
    meanings: Mapping[str, str] = field(default_factory=dict)
    licence: str | None = None
    cite: str | None = None


@contextmanager
def recorded() -> Iterator[list[tuple[str, str, Path]]]:
    """Which files sources hand out inside the block: (name of the set, file, where it lies)."""
    files: list[tuple[str, str, Path]] = []
    _listening.append(files)
    try:
        yield files
    finally:
        _listening.remove(files)


def own() -> Dataset:
    """The source of `data=own`: there are no rows until a path is given."""
    raise UserError("no data: `data=own` needs the path of a file", hint="data.path=loans.csv data.target=default")


def _digest(path: Path, kind: str) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, lambda: hashlib.new(kind, usedforsecurity=False)).hexdigest()
