"""Shell completion: keys with their comments, choices of a group, pipelines; at once, so without the heavy packages."""

import os
import subprocess
import sys

import pytest

from lepton_solutions.completion import overrides
from lepton_solutions.config import keys_of, schema_of

PIPELINE = "finance/credit"


def test_every_key_of_the_schema_is_offered_with_its_comment():
    offered = dict(overrides(PIPELINE, ""))
    keys = {f"{key}=" for key in keys_of(schema_of(PIPELINE)) if key != "data.source"}
    assert keys <= set(offered)
    assert set(offered) - keys == {"data=", "model=", "fit="}
    assert all(offered.values())


@pytest.mark.parametrize(
    ("pipeline", "sets"),
    [
        ("reference/linear_regression", ["data=power_plant"]),
        ("reference/mnist", ["data=mnist", "data=mnist_5k"]),
        ("reference/mnist_best", ["data=mnist", "data=mnist_5k"]),
    ],
)
def test_a_pipeline_is_offered_the_sets_that_it_reads_and_the_keys_that_it_has(pipeline: str, sets: list[str]):
    assert [text for text, _ in overrides(pipeline, "data=")] == sets
    offered = dict(overrides(pipeline, ""))
    keys = {f"{key}=" for key in keys_of(schema_of(pipeline)) if key != "data.source"}
    assert keys == set(offered) - {"data=", "fit="}
    assert all(offered.values())


@pytest.mark.parametrize(
    ("begun", "offered"),
    [
        ("fit.ep", ["fit.epochs="]),
        ("decision.cost", ["decision.cost_of_default=", "decision.cost_of_refusal="]),
        ("run", ["run.dir=", "run.new="]),
        ("data=g", ["data=german", "data=gmsc"]),
        ("data=", ["data=german", "data=gmsc", "data=own", "data=taiwan"]),
        ("zzz", []),
        ("fit.epochs=", []),
        ("../../etc=", []),
    ],
)
def test_what_is_begun_is_completed(begun: str, offered: list[str]):
    assert [text for text, _ in overrides(PIPELINE, begun)] == offered


@pytest.mark.parametrize("pipeline", [None, "finance/credti"])
def test_an_unknown_pipeline_has_no_keys(pipeline: str | None):
    assert overrides(pipeline, "") == []


def answer(words: str, *code: str) -> str:
    """What the shell is told when the last of these words is completed."""
    script = f"import sys; from lepton_solutions.cli import main\ntry: main([])\nfinally: {'; '.join(code) or 'pass'}"
    asked = os.environ | {"_LEPTON_COMPLETE": "bash_complete", "COMP_WORDS": words}
    asked["COMP_CWORD"] = str(len(words.split(" ")) - 1)
    done = subprocess.run([sys.executable, "-c", script], env=asked, capture_output=True, text=True, check=False)
    return done.stdout


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("lepton ru", "plain,run"),
        ("lepton run finance/c", "plain,finance/credit"),
        ("lepton run finance/credit fit.ep", "plain,fit.epochs="),
        ("lepton run finance/credit data=tai", "plain,data=taiwan"),
    ],
)
def test_the_shell_is_answered(words: str, told: str):
    assert answer(words).splitlines() == [told]


def test_the_answer_waits_for_none_of_the_heavy_packages():
    loaded = "print(*sorted({name.split('.')[0] for name in sys.modules}))"
    *_, modules = answer("lepton run finance/credit fit.ep", loaded).splitlines()
    assert not {"torch", "pandas", "sklearn", "lightgbm", "hydra", "pydantic", "pyarrow"} & set(modules.split())
    assert "lepton_solutions" in modules.split()
