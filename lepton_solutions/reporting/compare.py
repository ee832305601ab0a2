"""Runs beside each other: what differed in their configs, and what came of it.

print(compare(["runs/**"]))
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from glob import glob
from pathlib import Path

from omegaconf import OmegaConf

from lepton_solutions.errors import UserError
from lepton_solutions.reporting.page import estimate
from lepton_solutions.reporting.run import RunMetrics, read_record

OWN = ("run.", "hydra.")  # where a run lies and who started it always differ, and change nothing
ABSENT = "–"


@dataclass(frozen=True)
class Comparison:
    """A table of text, the best run of each pipeline first. `unfinished` folders have no metrics yet."""

    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    unfinished: tuple[Path, ...] = ()

    def __str__(self) -> str:
        """Aligned columns for a terminal or a file."""
        lines = [self.head, *self.rows]
        widths = [max(len(line[place]) for line in lines) for place in range(len(self.head))]
        text = [
            "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines
        ]
        text.insert(1, "  ".join("-" * width for width in widths))
        text += [f"unfinished: {run}" for run in self.unfinished]
        return "\n".join(text)


def compare(patterns: Iterable[str], *, metrics: Sequence[str] = ()) -> Comparison:
    """One row a run: folder, pipeline, chosen model, the config keys that differ, test metrics with 95 % intervals.

    `metrics` are shown in that order; without any, the deciding one of each pipeline and two more of the first run.
    Raises UserError where the patterns hold no run folder, or none that is finished.
    """
    runs = find_runs(patterns)
    results = {run: read_record(run / "metrics.json", RunMetrics) for run in runs if (run / "metrics.json").is_file()}
    if not results:
        raise UserError(
            f"none of the {len(runs)} run folders is finished (metrics.json)", hint="the same command resumes a run"
        )
    configs = {run: _flat(OmegaConf.to_container(OmegaConf.load(run / "config.yaml"))) for run in results}
    keys = sorted({key for config in configs.values() for key in config if not key.startswith(OWN)})
    differing = [key for key in keys if len({config.get(key, ABSENT) for config in configs.values()}) > 1]
    shown = list(metrics) or _default_metrics(list(results.values()))

    def row(run: Path) -> tuple[str, ...]:
        result, test = results[run], results[run].variants[results[run].chosen].test
        settings = (configs[run].get(key, ABSENT) for key in differing)
        return (
            str(run),
            result.pipeline,
            result.label(result.chosen),
            *settings,
            *(str(estimate(test.get(name))) for name in shown),
        )

    def rank(run: Path) -> tuple[str, float, str]:
        result = results[run]
        deciding = result.variants[result.chosen].test.get(result.primary)
        return result.pipeline, -deciding.value if deciding else 0.0, str(run)

    return Comparison(
        ("run", "pipeline", "model", *differing, *shown),
        tuple(row(run) for run in sorted(results, key=rank)),
        tuple(run for run in runs if run not in results),
    )


def find_runs(patterns: Iterable[str]) -> list[Path]:
    """Run folders (those with a config.yaml) that are, or lie anywhere under, the paths or globs; sorted."""
    asked = list(patterns)
    # Path.glob refuses absolute patterns; a folder whose own name has brackets matches no pattern, hence both.
    places = [Path(place) for pattern in asked for place in (pattern, *glob(pattern, recursive=True))]  # noqa: PTH207
    found = {config.parent for place in places if place.is_dir() for config in place.rglob("config.yaml")}
    if not found:
        raise UserError(
            f"no run folder in {', '.join(f'`{pattern}`' for pattern in asked)}",
            hint="a run folder holds config.yaml; quote a pattern such as 'runs/**'",
        )
    return sorted(found)


def _default_metrics(results: Sequence[RunMetrics]) -> list[str]:
    deciding = list(dict.fromkeys(result.primary for result in results))
    others = [name for name in results[0].variants[results[0].chosen].test if name not in deciding]
    return deciding + others[:2]


def _flat(config: object, prefix: str = "") -> dict[str, str]:
    """A nested config as dotted keys and their text.

    >>> _flat({"fit": {"epochs": 20, "device": None}})
    {'fit.epochs': '20', 'fit.device': 'null'}
    """
    if isinstance(config, Mapping):
        return {key: text for name, part in config.items() for key, text in _flat(part, f"{prefix}{name}.").items()}
    return {prefix.rstrip("."): "null" if config is None else str(config)}
