"""`lepton doctor`: what is wrong here, and what to do about it."""

from collections.abc import Callable
from pathlib import Path

import pytest

from lepton_solutions.doctor import examine


@pytest.fixture
def install(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[[str, str], None]:
    """Makes a package look installed in this version, as a folder that stands first on the path does."""

    def put(name: str, version: str) -> None:
        info = tmp_path / f"{name}-{version}.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
        monkeypatch.syspath_prepend(tmp_path)

    return put


def line(text: str, about: str) -> str:
    return next(line for line in text.splitlines() if about in line)


def test_an_installation_in_order_is_healthy():
    text, healthy = examine()
    assert healthy and "FAIL" not in text
    assert "packages within their ranges" in text
    assert line(text, "pipelines in").startswith("ok")
    assert line(text, "engine onnxruntime").startswith("ok") and "CPU" in line(text, "engine onnxruntime")


@pytest.mark.parametrize(
    ("name", "version", "expected"), [("click", "7.1", "<9,>=8.2"), ("pyarrow", "99.0", "<30,>=20")]
)
def test_a_package_out_of_its_range_is_named_with_what_to_do(install, name: str, version: str, expected: str):
    install(name, version)
    text, healthy = examine()
    assert not healthy
    assert f"FAIL  {name}: found {version}, expected {expected}\n      -> uv sync" in text
    assert "packages within their ranges" not in text


def test_the_command_ends_with_2_when_something_is_wrong(install, lepton):
    assert lepton("doctor").code == 0
    install("click", "7.1")
    answer = lepton("doctor")
    assert answer.code == 2 and "click: found 7.1" in answer.out


def test_the_data_root_is_told_and_that_it_need_not_exist(monkeypatch, tmp_path: Path):
    monkeypatch.setenv("LEPTON_DATA", str(tmp_path))
    assert line(examine()[0], "data root") == f"ok    data root {tmp_path}"
    monkeypatch.setenv("LEPTON_DATA", str(tmp_path / "no"))
    text, healthy = examine()
    assert healthy and line(text, "data root").startswith(f"note  data root {tmp_path / 'no'} does not exist")
