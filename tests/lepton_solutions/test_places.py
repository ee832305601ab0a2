"""Where configs and data lie, in a checkout and in a wheel."""

import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import lepton_solutions
from lepton_solutions.places import checkout, conf_folder, data_root, pipelines

ROOT = Path(lepton_solutions.__file__).parent.parent


def test_a_checkout_reads_the_configs_beside_the_package():
    assert conf_folder() == ROOT / "conf"
    assert checkout() == ROOT


def test_pipelines_are_the_pages_that_say_so():
    assert "finance/credit" in pipelines()
    assert not any(name.startswith(("data/", "bench/")) for name in pipelines())


def test_a_wheel_reads_the_configs_inside_the_package_and_runs_from_anywhere(tmp_path: Path):
    wheel = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]["targets"]["wheel"]
    site, elsewhere = tmp_path / "site", tmp_path / "elsewhere"
    elsewhere.mkdir()
    for package in wheel["packages"]:
        shutil.copytree(ROOT / package, site / package, ignore=shutil.ignore_patterns("__pycache__"))
    for source, target in wheel["force-include"].items():
        shutil.copytree(ROOT / source, site / target)
    code = (
        "import sys, lepton_solutions.places as places; print(places.conf_folder(), places.checkout());"
        "from lepton_solutions.cli import main; main(['run', 'finance/credit', 'seed=3', '--cfg'])"
    )
    done = subprocess.run(
        [sys.executable, "-c", f"import sys; sys.path.insert(0, {str(site)!r}); {code}"],
        cwd=elsewhere, capture_output=True, text=True, check=True,
    )  # fmt: skip
    first, *config = done.stdout.splitlines()
    assert first == f"{site / 'lepton_solutions' / 'conf'} None"
    assert "seed: 3" in config


def test_the_data_root_is_what_the_variable_says(monkeypatch, tmp_path: Path):
    monkeypatch.setenv("LEPTON_DATA", str(tmp_path))
    assert data_root() == tmp_path


def test_without_the_variable_the_data_root_is_the_users_cache(monkeypatch, tmp_path: Path):
    monkeypatch.delenv("LEPTON_DATA", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert data_root().name == "lepton"
