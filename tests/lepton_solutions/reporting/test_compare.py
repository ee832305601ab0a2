import json
from pathlib import Path

import pytest

from lepton_solutions.errors import UserError
from lepton_solutions.reporting.compare import compare, find_runs


def make_run(folder: Path, auc: float | None, config: str) -> Path:
    folder.mkdir(parents=True)
    (folder / "config.yaml").write_text(config)
    if auc is not None:
        test = {name: {"value": auc, "low": auc - 0.1, "high": auc + 0.1} for name in ("auc", "gini", "ks", "brier")}
        variants = {"trained": {"label": "MLP", "test": test}}
        metrics = {"pipeline": "a/b", "primary": "auc", "chosen": "trained", "variants": variants}
        (folder / "metrics.json").write_text(json.dumps(metrics))
    return folder


@pytest.fixture
def runs(tmp_path):
    make_run(tmp_path / "one", 0.7, "seed: 0\nfit: {epochs: 20, rate: 0.1}\nrun: {dir: one}\n")
    make_run(tmp_path / "deep/two", 0.8, "seed: 0\nfit: {epochs: 40, rate: 0.1}\nrun: {dir: two}\nextra: null\n")
    make_run(tmp_path / "three", None, "seed: 0\n")
    return tmp_path


def test_only_what_differs_is_shown_and_the_best_run_first(runs):
    found = compare([str(runs)])
    assert found.head == ("run", "pipeline", "model", "extra", "fit.epochs", "auc", "gini", "ks")
    assert [row[4] for row in found.rows] == ["40", "20"]
    assert [row[3] for row in found.rows] == ["null", "–"]
    assert found.rows[0][5] == "0.800 (0.700–0.900)"
    assert found.unfinished == (runs / "three",)


def test_metrics_can_be_asked_for_and_an_absent_one_is_a_dash(runs):
    found = compare([str(runs)], metrics=["brier", "rmse"])
    assert found.head[-2:] == ("brier", "rmse")
    assert found.rows[0][-1] == "–"


@pytest.mark.parametrize("pattern", ["**", "*", "one"])
def test_runs_are_found_by_folder_and_by_pattern(runs, pattern):
    assert runs / "one" in find_runs([f"{runs}/{pattern}"])


def test_a_run_named_twice_is_one_run(runs):
    assert find_runs([str(runs / "one"), f"{runs}/o*"]) == [runs / "one"]


def test_the_table_reads_as_text(runs):
    lines = str(compare([str(runs)])).splitlines()
    assert lines[0].startswith("run") and set(lines[1]) <= {"-", " "}
    assert lines[2].index("a/b") == lines[3].index("a/b") == lines[0].index("pipeline")
    assert lines[-1] == f"unfinished: {runs / 'three'}"


def test_no_run_and_no_finished_run_are_the_users_to_mend(runs):
    with pytest.raises(UserError, match="no run folder in `nowhere`"):
        compare(["nowhere"])
    with pytest.raises(UserError, match="none of the 1 run folders is finished"):
        compare([str(runs / "three")])


def test_a_broken_metrics_file_is_named(runs):
    (runs / "one" / "metrics.json").write_text('{"pipeline": "a/b"}')
    with pytest.raises(UserError, match=r"metrics\.json, key `primary`: Field required"):
        compare([str(runs)])
    (runs / "one" / "metrics.json").write_text("{\n,")
    with pytest.raises(UserError, match=r"metrics\.json, line 2: not JSON"):
        compare([str(runs)])
