"""Configs: find them, compose them with Hydra, and refuse what no key of the pipeline can hold.

A pipeline is a file `conf/<domain>/<name>.yaml` whose `_target_` names the function that turns its settings into
stages; the annotation of that function's parameter is the schema the composed config is checked against.
"""

import hashlib
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar, get_origin, get_type_hints

import yaml
from hydra import compose, initialize_config_dir
from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException
from pydantic import BaseModel, ValidationError

from lepton_solutions.errors import UserError, did_you_mean
from lepton_solutions.places import conf_folder, data_choices, own_choice, pipelines
from lepton_solutions.settings import Call, Fit, Settings

Kind = TypeVar("Kind", bound=Settings)

LONGEST_NAME = 100  # letters of a folder name; file systems take 255 bytes
_EXPECTED = {"tuple_type": "a list such as [a, b]", "too_short": "at least one entry"}


@dataclass(frozen=True)
class Job:
    """One run to do: the pipeline, what the user typed, the checked settings, and the same as resolved YAML.

    reuse: a finished run of the same config serves as well as another, as in a multirun that is started again.
    """

    pipeline: str
    overrides: tuple[str, ...]
    settings: Settings
    resolved: str
    build: Callable[[Settings], object]
    reuse: bool = False


def read_jobs(pipeline: str, overrides: Sequence[str], *, multirun: bool) -> list[Job]:
    """The runs that a command asks for; one, unless `multirun` spreads choices such as `seed=1,2` into several.

    Raises UserError for an unknown pipeline, an unknown key or a value that is out of range, before any data is read.
    """
    if pipeline not in pipelines():
        raise UserError(f"unknown pipeline `{pipeline}`: {did_you_mean(pipeline, pipelines())}")
    parsed = [_parse(text) for text in overrides]
    swept = [override for override in parsed if override.is_sweep_override()]
    if swept and not multirun:
        first = swept[0]
        raise UserError(
            f"`{first.input_line}` names several values",
            hint=f"add -m to run each, or quote one value that holds a comma: {_quoted(first.input_line or '')}",
        )
    if not multirun:
        return [_read_job(pipeline, overrides)]
    batches = BasicSweeper.split_arguments(parsed, max_batch_size=None)[0]
    spread = {override.get_key_element() for override in swept}
    return [replace(_read_job(pipeline, _in_own_folder(batch, spread)), reuse=True) for batch in batches]


def read_settings(
    pipeline: str, overrides: Sequence[str], kind: type[Kind], *, data: Mapping[str, object] | None = None
) -> Kind:
    """The settings of one run, for programs. kind: what the pipeline's settings are. data: keys of `data` as values and
    not as text, because a path or the name of a column may hold any character. Errors as of `read_jobs`.
    """
    (job,) = read_jobs(pipeline, overrides, multirun=False)
    settings = job.settings
    assert isinstance(settings, kind)
    if data is None:
        return settings
    keys = settings.model_dump(by_alias=True)
    return kind.model_validate(keys | {"data": keys["data"] | dict(data)})


def _in_own_folder(overrides: Sequence[str], spread: set[str]) -> list[str]:
    """One job of a multirun: `run.dir=PATH` becomes PATH/<its own choices>, such as PATH/seed=1."""
    own = ",".join(text for text in overrides if _key(text) in spread - {"run.dir"})
    name = re.sub(r"[^\w.,=+-]+", "_", own)
    if name != own or len(name) > LONGEST_NAME:  # another choice must not come out the same
        name = f"{name[:LONGEST_NAME]}-{hashlib.sha256(own.encode()).hexdigest()[:8]}"
    if not own:
        return list(overrides)
    return [_below(text, name) if _key(text) == "run.dir" else text for text in overrides]


def _below(override: str, name: str) -> str:
    value = _parse(override).value()
    if value is None:
        return override
    folder = str(Path(str(value)) / name).replace("\\", "\\\\").replace("'", "\\'")
    return f"run.dir='{folder}'"


def _key(override: str) -> str:
    return re.split(r"[=@]", override.lstrip("+~"), maxsplit=1)[0]


def _read_job(pipeline: str, overrides: Sequence[str]) -> Job:
    keys = [_key(text) for text in overrides]
    schema = schema_of(pipeline)
    for key, text in zip(keys, overrides, strict=True):
        if key.split(".")[0] in {"hydra", "_target_"}:  # Hydra would take these without a word
            raise UserError(f"unknown key `{key}`: {did_you_mean(key, keys_of(schema), limit=40)}")
        _, _, value = text.partition("=")
        choices = data_choices(pipeline) if key == "data" and not value.startswith("{") else []
        if choices and value not in choices:
            raise UserError(f"unknown choice `{text}`: {did_you_mean(value, choices)}")
    # A file of the user's own has nothing to do with the data set that the pipeline's page names by default.
    mine = own_choice(pipeline)
    own = [f"data={mine}"] if mine and "data.path" in keys and "data" not in keys else []
    try:
        with initialize_config_dir(str(conf_folder()), version_base="1.3"):
            composed = compose(pipeline, overrides=[*own, *(_opened(text, schema) for text in overrides)])
        values = OmegaConf.to_container(composed, resolve=True, throw_on_missing=True)
    except (HydraException, OmegaConfBaseException) as error:
        raise _explain(error, pipeline, overrides) from error
    assert isinstance(values, dict)
    build = Call(_target_=values.pop("_target_")).resolve()
    try:
        settings = schema.model_validate(values)
    except ValidationError as error:
        raise _out_of_range(error, schema) from error
    return Job(pipeline, tuple(overrides), settings, yaml.safe_dump(values, sort_keys=False), build)


def _opened(override: str, schema: type[Settings]) -> str:
    """Hydra wants ++ before a name that the config does not hold yet, as each `data.kinds.COLUMN` is."""
    free = [
        key for key in keys_of(schema, mappings=True) if _key(override) == key or _key(override).startswith(f"{key}.")
    ]
    return f"++{override.lstrip('+')}" if free and not override.startswith("~") else override


def _parse(text: str) -> Override:
    if not _key(text):
        raise UserError(f"`{text}` is not of the form key=value")
    try:
        return OverridesParser.create().parse_override(text)
    except HydraException as error:
        if "=" not in text:
            raise UserError(f"`{text}` is not of the form key=value") from error
        raise UserError(f"`{text}` cannot be read as key=value", hint=f"quote the value: {_quoted(text)}") from error


def _quoted(text: str) -> str:
    key, _, value = text.partition("=")
    inner = value.replace("\\", "\\\\").replace("'", "\\'")
    return f"\"{key}='{inner}'\""


def keys_of(schema: type[BaseModel], prefix: str = "", *, mappings: bool = False) -> Iterator[str]:
    """Every key of a pipeline with its groups: `seed`, `fit.epochs`, ...; or only those that hold a user's names."""
    for name, field in schema.model_fields.items():
        inner = field.annotation
        if isinstance(inner, type) and issubclass(inner, BaseModel) and inner is not Call:
            yield from keys_of(inner, f"{prefix}{name}.", mappings=mappings)
        elif not mappings or get_origin(inner) is Mapping:
            yield f"{prefix}{field.alias or name}"


def fit_settings(**asked: object) -> Fit:
    """The training loop's defaults, conf/fit/loop.yaml, with these keys instead; for networks of one's own.

    Raises UserError for an unknown key or a value out of range.

    >>> fit_settings(epochs=5, optimiser="sgd").learning_rate
    0.001
    """
    values = yaml.safe_load((conf_folder() / "fit" / "loop.yaml").read_text(encoding="utf-8"))
    try:
        return Fit.model_validate(values | asked)
    except ValidationError as error:
        raise _out_of_range(error, Fit) from error


def schema_of(pipeline: str) -> type[Settings]:
    """The settings class of a pipeline, without composing its config."""
    page = yaml.safe_load((conf_folder() / f"{pipeline}.yaml").read_text(encoding="utf-8"))
    return get_type_hints(Call(_target_=page["_target_"]).resolve())["settings"]


def _explain(error: Exception, pipeline: str, overrides: Sequence[str]) -> UserError:
    """Hydra's refusal in the user's terms: which key or choice, and the nearest that exists."""
    known = list(keys_of(schema_of(pipeline)))
    groups = {group for group in {key.split(".")[0] for key in known} if (conf_folder() / group).is_dir()}
    for text in overrides:
        key, _, value = text.lstrip("+~").partition("=")
        if text.startswith("+") and (key in groups or key in known):
            return UserError(f"`{text}`: `{key}` is there already", hint="leave out the +")
        if key in groups and value.startswith("{"):
            asked = _parse(text).value()
            inside = [f"{key}.{name}" for name in asked] if isinstance(asked, dict) else []
            unknown = [name for name in inside if name not in known]
            if unknown:
                return UserError(f"unknown key `{unknown[0]}`: {did_you_mean(unknown[0], known, limit=40)}")
        elif key in groups:
            choices = sorted(file.stem for file in (conf_folder() / key).glob("*.yaml"))
            if value not in choices:
                return UserError(f"unknown choice `{text}`: {did_you_mean(value, choices)}")
        elif key not in known and not any(key.startswith(f"{name}.") for name in known):
            return UserError(f"unknown key `{key}`: {did_you_mean(key, known, limit=40)}")
    return UserError(f"the config of `{pipeline}` cannot be composed: {str(error).splitlines()[0]}")


def _out_of_range(error: ValidationError, schema: type[Settings]) -> UserError:
    lines = []
    places = [found["loc"] for found in error.errors()]
    for found in error.errors():
        if any(place[: len(found["loc"])] == found["loc"] and place != found["loc"] for place in places):
            continue  # an entry of this list is wrong, and that is said
        key = ".".join(str(part) for part in found["loc"])
        if found["type"] == "extra_forbidden":
            lines.append(f"unknown key `{key}`: {did_you_mean(key, keys_of(schema), limit=40)}")
            continue
        if found["type"] == "missing":
            lines.append(f"key `{key}`: found nothing, expected a value")
            continue
        expected = _EXPECTED.get(found["type"]) or re.sub(r"^(Input should be|Value error,) ?", "", found["msg"])
        value = "" if isinstance(found["input"], dict) else f"found `{found['input']}`, "
        lines.append(f"key `{key}`: {value}expected {expected}" if value else f"key `{key}`: {expected}")
    return UserError("\n".join(lines))
