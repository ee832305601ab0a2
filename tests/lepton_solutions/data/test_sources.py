"""Where the bytes of a named data set come from, in which order, and what is checked."""

import hashlib
import sys
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from lepton_solutions.data.sources import Source, own
from lepton_solutions.errors import UserError

OFFICIAL = b"1 2 3\n"
SOURCE = Source(
    name="toy_set",
    file="toy.data",
    home="https://example.org/toy",
    licence="CC0",
    cite="nobody",
    sha256=hashlib.sha256(OFFICIAL).hexdigest(),
)
PRIVATE = replace(SOURCE, sha256=None)


@pytest.fixture(autouse=True)
def root(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """An empty data root."""
    monkeypatch.setenv("LEPTON_DATA", str(tmp_path / "data"))
    monkeypatch.delenv("LEPTON_OFFLINE", raising=False)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    return tmp_path / "data"


@pytest.fixture
def package(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Path]:
    """An installed package that ships the file."""
    place = tmp_path / "site" / "ships_toy"
    (place / "data").mkdir(parents=True)
    (place / "__init__.py").touch()
    (place / "data" / "toy.txt").write_bytes(OFFICIAL)
    monkeypatch.syspath_prepend(tmp_path / "site")
    yield place / "data" / "toy.txt"
    sys.modules.pop("ships_toy", None)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[str]:
    """The official address, on this machine."""

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, format: str, *args: object) -> None:
            pass

    folder = tmp_path / "official"
    folder.mkdir()
    (folder / "toy.data").write_bytes(OFFICIAL)
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder))) as http:
        thread = Thread(target=http.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{http.server_port}/toy.data"
        http.shutdown()
        thread.join()


def put(root: Path, content: bytes) -> Path:
    place = root / "toy_set" / "toy.data"
    place.parent.mkdir(parents=True)
    place.write_bytes(content)
    return place


def refusal(source: Source) -> str:
    with pytest.raises(UserError) as refused:
        source.fetch()
    return str(refused.value)


def test_a_file_in_the_data_root_is_used(root: Path, said: list[str]):
    place = put(root, OFFICIAL)
    assert SOURCE.fetch() == place
    assert SOURCE.whereabouts() == str(place)
    assert said == []


def test_a_file_that_differs_is_used_with_a_warning(root: Path, said: list[str]):
    place = put(root, b"other")
    assert SOURCE.fetch() == place
    assert said == [f"{place} differs from the published file (SHA-256); it is used as it is"]


def test_without_a_published_checksum_nothing_is_compared(root: Path, said: list[str]):
    assert put(root, b"other") == PRIVATE.fetch()
    assert said == []


def test_a_package_that_ships_the_file_is_used(package: Path):
    assert replace(SOURCE, package=("ships_toy", "data/toy.txt")).fetch() == package


def test_the_data_root_goes_before_the_package(root: Path, package: Path):
    place = put(root, OFFICIAL)
    assert replace(SOURCE, package=("ships_toy", "data/toy.txt")).fetch() == place


@pytest.mark.parametrize("name", ["no_such_package", "ships_toy"])
def test_a_package_that_lacks_the_file_is_passed_over(name: str, package: Path):
    assert replace(SOURCE, package=(name, "data/elsewhere.txt")).find() is None


def test_german_credit_comes_with_a_package():
    from finance.credit.sources import GERMAN

    assert GERMAN.fetch().read_bytes().count(b"\n") == 1000


def test_it_is_fetched_once_into_the_data_root(root: Path, server: str):
    source = replace(SOURCE, url=server)
    assert source.whereabouts() == f"fetched from {server} on first use"
    assert source.fetch() == root / "toy_set" / "toy.data"
    assert (root / "toy_set" / "toy.data").read_bytes() == OFFICIAL
    assert replace(source, url="http://127.0.0.1:9/gone").fetch() == root / "toy_set" / "toy.data"


def test_other_bytes_than_the_published_ones_are_refused_and_not_kept(root: Path, server: str):
    message = refusal(replace(SOURCE, url=server, sha256="0" * 64))
    assert message.startswith(f"data set `toy_set` could not be fetched from {server}: ")
    assert "hash" in message
    assert [file for file in root.rglob("*") if file.is_file()] == []


def test_an_address_that_answers_nothing_says_where_to_put_what(root: Path, server: str):
    url = server.replace("toy.data", "gone.data")
    message = refusal(replace(SOURCE, url=url))
    assert message.startswith(f"data set `toy_set` could not be fetched from {url}: ")
    assert message.endswith(
        f"hint: get it from https://example.org/toy and put it at {root / 'toy_set' / 'toy.data'}, "
        "or point LEPTON_DATA to a folder that holds toy_set/"
    )


def test_nothing_is_fetched_when_that_is_forbidden(monkeypatch, server: str, root: Path):
    monkeypatch.setenv("LEPTON_OFFLINE", "1")
    message = refusal(replace(SOURCE, url=server))
    assert message.startswith("data set `toy_set` is not on this machine, and LEPTON_OFFLINE=1 forbids fetching it")
    assert not root.exists()


def test_nothing_is_fetched_without_a_checksum(server: str):
    message = refusal(replace(PRIVATE, url=server))
    assert message.startswith("data set `toy_set` is not on this machine and cannot be fetched without you")


def test_a_set_that_asks_for_a_login_says_where_to_get_it(root: Path):
    assert SOURCE.whereabouts() == "not here: get toy.data from https://example.org/toy"
    assert f"put it at {root / 'toy_set' / 'toy.data'}" in refusal(SOURCE)


def test_own_data_needs_a_path():
    with pytest.raises(UserError, match="`data=own` needs the path of a file"):
        own()
