"""What may be typed after `lepton run PIPELINE`, and what a mistake is answered with."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from lepton_solutions.config import Job, keys_of, read_jobs, schema_of
from lepton_solutions.errors import UserError
from lepton_solutions.places import conf_folder, pipelines

PIPELINE = "finance/credit"
PAGES = sorted(conf_folder().rglob("*.yaml"))
KEY = re.compile(r"^ *(?P<key>[a-z_]+): *(?P<value>[^#\s][^#]*)?(#(?P<comment>.*))?$")


def read(*overrides: str) -> Job:
    (job,) = read_jobs(PIPELINE, overrides, multirun=False)
    return job


def refusal(*overrides: str, multirun: bool = False) -> UserError:
    with pytest.raises(UserError) as refused:
        read_jobs(PIPELINE, overrides, multirun=multirun)
    return refused.value


def leaves(values: dict[str, object], above: str = "") -> Iterator[str]:
    for key, value in values.items():
        if isinstance(value, dict) and value and "_target_" not in value:
            yield from leaves(value, f"{above}{key}.")
        else:
            yield f"{above}{key}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(conf_folder()).as_posix())
def test_every_key_is_explained_on_its_line_and_every_page_at_its_head(page: Path):
    lines = page.read_text(encoding="utf-8").splitlines()
    titles = [line for line in lines if line.startswith("# ") and not line.startswith("# @package")]
    assert titles and len(titles[0]) > 30
    assert lines.index(titles[0]) < 2
    for line in lines:
        found = KEY.match(line)
        # The file's head explains its source; a key without a value opens a group.
        if found is None or found["value"] is None or found["key"] in {"_target_", "defaults", "source"}:
            continue
        assert found["comment"] and len(found["comment"].split()) >= 3, f"{page}: {line}"


@pytest.mark.parametrize("pipeline", pipelines())
def test_the_pages_hold_exactly_the_keys_that_the_schema_knows(pipeline: str):
    (job,) = read_jobs(pipeline, [], multirun=False)
    assert sorted(leaves(yaml.safe_load(job.resolved))) == sorted(keys_of(schema_of(pipeline)))


@pytest.mark.parametrize("choice", ["german", "taiwan", "gmsc", "own"])
def test_every_data_set_composes(choice: str):
    assert read(f"data={choice}").settings.data.source.target.endswith(f".{choice}")


def test_what_is_typed_is_what_runs():
    settings = read("seed=7", "fit.epochs=3", "combine=[mlp]", "data.protected=[age, job]").settings
    assert (settings.seed, settings.fit.epochs, settings.combine) == (7, 3, ("mlp",))
    assert settings.data.protected == ("age", "job")


def test_the_resolved_config_gives_the_same_run_again():
    job = read("fit.epochs=3", "decision.review=0.1")
    again = schema_of(PIPELINE).model_validate(yaml.safe_load(job.resolved))
    assert again == job.settings


def test_an_unknown_pipeline_is_answered_with_the_nearest():
    with pytest.raises(UserError, match=r"^unknown pipeline `finance/credti`: did you mean `finance/credit`\?$"):
        read_jobs("finance/credti", [], multirun=False)


@pytest.mark.parametrize("sign", ["", "+", "++"])
def test_an_unknown_key_is_answered_with_the_nearest(sign: str):
    assert str(refusal(f"{sign}fit.epoch=3")) == "unknown key `fit.epoch`: did you mean `fit.epochs`?"


def test_a_key_like_none_is_answered_with_the_first_forty():
    message = str(refusal("+zzzzzz=1"))
    assert message.startswith("unknown key `zzzzzz`: known: `seed`, `run.dir`")
    assert message.count("`") == 2 * 41 and message.endswith("more")


@pytest.mark.parametrize("key", ["hydra.run.dir", "hydra/launcher", "_target_"])
def test_keys_that_hydra_would_swallow_are_unknown(key: str):
    assert str(refusal(f"{key}=x")).startswith(f"unknown key `{key}`: ")


@pytest.mark.parametrize("override", ["fit={epoch:3}", "fit={epochs:3,epoch:3}"])
def test_an_unknown_key_inside_a_group_value_is_refused(override: str):
    assert str(refusal(override)) == "unknown key `fit.epoch`: did you mean `fit.epochs`?"


def test_a_plus_before_a_known_key_is_one_too_many():
    assert str(refusal("+data=own")) == "`+data=own`: `data` is there already\n\nhint: leave out the +"
    assert str(refusal("+seed=3")) == "`+seed=3`: `seed` is there already\n\nhint: leave out the +"


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("data=gernan", "unknown choice `data=gernan`: did you mean `german`?"),
        ("model=forest", "unknown choice `model=forest`: known: `tabular_mlp`"),
    ],
)
def test_an_unknown_choice_is_answered_with_the_nearest(override: str, message: str):
    assert str(refusal(override)) == message


def test_a_data_set_of_another_pipeline_is_no_choice():
    with pytest.raises(UserError) as told:
        read_jobs("reference/mnist", ["data=german"], multirun=False)
    assert str(told.value) == "unknown choice `data=german`: known: `mnist`, `mnist_5k`"


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("fit.epochs=0", "key `fit.epochs`: found `0`, expected greater than or equal to 1"),
        (
            "fit.epochs=1.5",
            "key `fit.epochs`: found `1.5`, expected a valid integer, got a number with a fractional part",
        ),
        ("fit.epochs=true", "key `fit.epochs`: found `True`, expected a number"),
        ("decision.review=1", "key `decision.review`: found `1`, expected less than 1"),
        ("decision.cost_of_default=inf", "key `decision.cost_of_default`: found `inf`, expected a finite number"),
        ("audit.duplicates=shrug", "key `audit.duplicates`: found `shrug`, expected 'warn' or 'fail'"),
        ("combine=mlp", "key `combine`: found `mlp`, expected a list such as [a, b]"),
        ("combine=[]", "key `combine`: found `[]`, expected at least one entry"),
        ("combine=[mlp,mlp]", "key `combine`: found `['mlp', 'mlp']`, expected each model once"),
        ("~seed", "key `seed`: found nothing, expected a value"),
        ("data.parts=[.6,.1,.1,.1]", "key `data`: `parts` must sum to 1, found 0.9"),
    ],
)
def test_a_value_of_the_wrong_type_or_out_of_range_is_refused(override: str, message: str):
    assert str(refusal(override)) == message


def test_one_wrong_entry_of_a_list_is_one_complaint():
    assert str(refusal("combine=[tree]")) == (
        "key `combine.0`: found `tree`, expected 'mlp', 'lightgbm', 'logistic' or 'scorecard'"
    )


def test_fold_and_time_cannot_both_cut():
    assert "`fold` and `time` both say how to split" in str(refusal("data.fold=a", "data.time=b"))


def test_several_mistakes_are_told_together():
    assert len(str(refusal("fit.epochs=0", "model.width=1")).splitlines()) == 2


def test_several_values_need_multirun():
    assert str(refusal("seed=0,1")) == (
        "`seed=0,1` names several values\n\n"
        "hint: add -m to run each, or quote one value that holds a comma: \"seed='0,1'\""
    )


@pytest.mark.parametrize("word", ["=3", "seed"])
def test_what_is_no_key_and_value_is_refused(word: str):
    assert str(refusal(word)) == f"`{word}` is not of the form key=value"


@pytest.mark.parametrize("path", ["a=b.csv", "a[1].csv", "a{1}.csv", "a(1).csv", "a'b.csv", "é.csv", "~/x.csv"])
def test_a_value_that_needs_quotes_is_answered_with_the_quoted_form_and_that_form_works(path: str):
    hint = refusal(f"data.path={path}").hint
    assert hint is not None
    quoted = hint.removeprefix('quote the value: "').removesuffix('"')
    assert read(quoted).settings.data.path == path


@pytest.mark.parametrize("path", ["my loans.csv", "s3://bucket/a.csv", "a@b+c.csv", r"C:\loans\a.csv"])
def test_paths_with_spaces_and_the_like_need_no_quotes(path: str):
    assert read(f"data.path={path}").settings.data.path == path


def test_a_quoted_comma_is_one_value():
    assert read("data.path='a,b.csv'").settings.data.path == "a,b.csv"


def test_a_path_of_ones_own_needs_no_choice_of_data():
    assert (
        read("data.path=loans.csv", "data.target=y").settings.data.source.target == "lepton_solutions.data.sources.own"
    )


def test_names_and_words_may_look_like_numbers():
    data = read("data.target=1", "data.missing=[-999,none]", "data.positive=0").settings.data
    assert (data.target, data.missing, data.positive) == ("1", ("-999", "none"), 0)


@pytest.mark.parametrize(
    ("override", "kinds"),
    [
        ("data.kinds={zip: category, note: ignore}", {"zip": "category", "note": "ignore"}),
        ("data.kinds.zip=category", {"zip": "category"}),
        ("+data.kinds.zip=category", {"zip": "category"}),
        ("data.kinds.pay.2026.q1=numeric", {"pay.2026.q1": "numeric"}),
    ],
)
def test_kinds_take_any_column_as_the_messages_say(override: str, kinds: dict[str, str]):
    assert read(override).settings.data.kinds == kinds


def test_an_unknown_kind_is_refused():
    message = "key `data.kinds.zip`: found `text`, expected 'numeric', 'category' or 'ignore'"
    assert str(refusal("data.kinds.zip=text")) == message


def test_multirun_is_every_combination():
    jobs = read_jobs(PIPELINE, ["seed=0,1", "fit.epochs=3,4"], multirun=True)
    assert [(job.settings.seed, job.settings.fit.epochs) for job in jobs] == [(0, 3), (0, 4), (1, 3), (1, 4)]


def test_multirun_takes_a_range():
    assert [job.settings.seed for job in read_jobs(PIPELINE, ["seed=range(0,3)"], multirun=True)] == [0, 1, 2]


def test_multirun_gives_each_job_its_own_folder_below_run_dir():
    jobs = read_jobs(PIPELINE, ["seed=0,1", "fit.epochs=3", "run.dir=many runs"], multirun=True)
    assert [job.settings.run.dir for job in jobs] == ["many runs/seed=0", "many runs/seed=1"]
    assert all(read(*job.overrides).settings == job.settings for job in jobs)  # the command of each can be repeated


def test_choices_that_make_poor_folder_names_stay_apart():
    jobs = read_jobs(PIPELINE, ["data.path='a/b.csv','a_b.csv'", "run.dir=r"], multirun=True)
    folders = {str(job.settings.run.dir) for job in jobs}
    assert len(folders) == 2 and all(folder.count("/") == 1 for folder in folders)


def test_a_mistake_in_one_job_stops_all_before_the_first():
    assert str(refusal("fit.epochs=3,0", multirun=True)).startswith("key `fit.epochs`: found `0`")
