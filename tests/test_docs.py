"""What the documentation shows is what happens."""

import re
from pathlib import Path

import pytest

from lepton_solutions.places import checkout


def blocks(page: str) -> str:
    """All Python of a page, in order."""
    root = checkout()
    assert root is not None
    return "\n".join(re.findall(r"```python\n(.*?)```", (root / page).read_text(encoding="utf-8"), re.DOTALL))


def test_a_network_of_ones_own_trains_as_the_page_says(tmp_path: Path, monkeypatch, capsys: pytest.CaptureFixture[str]):
    monkeypatch.chdir(tmp_path)
    exec(compile(blocks("docs/training.md"), "docs/training.md", "exec"), {})
    assert capsys.readouterr().out == "80 epochs\n"
    assert list(tmp_path.iterdir()) == []  # without a folder nothing is written
