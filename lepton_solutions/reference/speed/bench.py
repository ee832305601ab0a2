"""`lepton bench speed`: is our loop ahead of every loop a user would pick, and what do its safeties cost?"""

from __future__ import annotations

import numpy as np

from lepton_solutions.bench import Bench, Cell, Row, interval
from lepton_solutions.reference.speed import scaling
from lepton_solutions.reference.speed.cases import CASES
from lepton_solutions.reference.speed.digits import RECIPE, curve, first_at
from lepton_solutions.reference.speed.keras_env import run_keras
from lepton_solutions.reference.speed.loops import LOOPS, planned

TURNS = 3  # of every loop, one after the other, so that a busy moment befalls all
SEEDS = (0, 1, 2)
HAND, OURS, LIGHTNING, WORKERS, MONAI = LOOPS
PLANNED, KERAS = "lepton, plan=auto", "keras"
STREAMED = {f"stream {name}": widths for name, widths in scaling.NETWORKS.items()}
CHECKPOINTED = ("resnet18",)


def speed() -> Bench:
    """The bench, from cheap cells to dear ones."""
    return Bench(
        title="Speed of training",
        about=ABOUT,
        cells=[
            *(Cell("mnist", model, seed) for model in ("keras", "ours") for seed in SEEDS),
            *(Cell(case, loop, turn) for case in CASES for turn in range(TURNS) for loop in _in_turn(turn)),
            *(Cell(case, PLANNED, 0) for case in CASES),
            Cell("growth", "rows", 0),
            *(Cell("checkpoints", case, 0) for case in CHECKPOINTED),
            *(Cell("stream", name, 0) for name in STREAMED),
        ],
        measure=measure,
        rows=table,
        conclusions=conclusions,
        packages=("torch", "lightning", "monai", "pytorch-ignite", "timm", "pyarrow", "numpy"),
    )


def _in_turn(turn: int) -> tuple[str, ...]:
    """In the last turn only the two that a few per cent decide between."""
    return (HAND, OURS) if turn == TURNS - 1 else (*LOOPS, KERAS)


_CASES = "; ".join(f"`{name}`: {case.network_said}, batches of {case.batch_size}" for name, case in CASES.items())
ABOUT = f"""
Training on the CPU, all cores. Intervals are Student's, over seeds or over the epochs measured.

- `mnist`: 784-128-10 on 54,000 images / 255. Keras runs the script of this project's mission (Adam, batches of 32, 10
  epochs, the last tenth held out); ours AdamW with a cosine schedule in {RECIPE["epochs"]} epochs of batches of
  {RECIPE["batch_size"]}, on the same images. `seconds_to_972` is the time to the end of the first epoch with 97.2 % of
  the test images right, `seconds_to_accuracy` to the accuracy that Keras ends with under the same seed. Imports and
  evaluation are left out, planning is part of it. This bench alone looks at test accuracy during a training; the recipe
  was settled on seeds from 100 on.
- {_CASES}. Seconds an epoch: the same network, rows in memory, Adam, batch size and threads for all. The loops in
  PyTorch run in processes of their own, in turn, {TURNS} times over, rivals once less; the first epoch of each warms up
  and is not counted. Keras has an environment of its own. Lightning and MONAI load in the same process, Lightning
  also with two workers. `{PLANNED}` is an epoch after the plan of a training of ten minutes was made, and
  `planning_seconds` what that took.
- `fit` keeps the memory that a step frees in its process (`training/allocator.py`), which the other loops do not: that
  is most of its lead over the loop by hand on `lstm` and `cnn3d`, and can be had by any loop.
- `growth`: an epoch of `mlp` with ten times the rows, in epochs with its own rows.
- `stream`: rows a second of training from a Parquet table on the disk and from a part of it in memory, each twice for
  {scaling.TIMED:.0f} seconds; memory is that of all processes together, pages that two map counted twice.
- `checkpoints`: share of {scaling.TRAINED:.0f} seconds of training that the checkpoints of the default interval took.
"""


def measure(task: str, model: str, seed: int) -> dict[str, object]:
    """The figures of one cell."""
    if task == "mnist":
        return curve(model, seed)
    if task == "growth":
        return scaling.growth()
    if task == "checkpoints":
        return scaling.checkpoints(model)
    if task == "stream":
        return scaling.stream(STREAMED[model])
    case = CASES[task]
    rows = case.rows()
    about = {"rows": len(rows.target), "what": rows.what}
    if model == KERAS:
        arrays = {"x": rows.inputs.numpy(), "y": rows.target.numpy(), "batch_size": np.array(case.batch_size)}
        found = run_keras(arrays, task, str(case.epochs + 1))
        return about | {"epochs": np.diff(found["ends"]).tolist(), "versions": found["versions"]}
    if model == PLANNED:
        seconds, plan = planned(case, rows, case.epochs)
        return about | {"epochs": seconds, "plan": plan}
    return about | {"epochs": LOOPS[model](case, rows, case.epochs)}


# -- the table ----------------------------------------------------------------------------------------------------


def table(records: dict[Cell, dict]) -> list[Row]:
    """Rows of what is measured so far."""
    rows = mnist_rows({cell: record for cell, record in records.items() if cell.task == "mnist"})
    for task in CASES:
        for loop in (*LOOPS, PLANNED, KERAS):
            rows += epoch_rows(task, loop, of(records, task, loop))
    for cell, record in records.items():
        if cell.task == "growth":
            rows.append(_row("growth", OURS, "epoch_seconds_ratio", [growth(record)]))
        elif cell.task == "checkpoints":
            model = f"{cell.model}, {record['megabytes']:.0f} MB a file"
            rows.append(_row("checkpoints", model, "share_of_time", [record["share"]]))
        elif cell.task == "stream":
            rows += stream_rows(cell.model, record)
    return rows


def of(records: dict[Cell, dict], task: str, loop: str) -> list[dict]:
    """What a loop gave on a case, turn by turn."""
    return [record for cell, record in records.items() if (cell.task, cell.model) == (task, loop)]


def _row(
    task: str,
    model: str,
    metric: str,
    values: list[float],
    *,
    ours: bool = True,
    turns: int = 1,
    peak_mb: float | None = None,
) -> Row:
    mean, low, high = interval(values)
    several = len(values) > 1
    return Row(
        task, model, ours, metric, mean, low if several else None, high if several else None, turns, None,
        peak_mb, "measured here",
    )  # fmt: skip


def mnist_rows(records: dict[Cell, dict]) -> list[Row]:
    rows: list[Row] = []
    by_model = {model: {c.seed: r for c, r in records.items() if c.model == model} for model in ("keras", "ours")}
    goals = {seed: record["accuracy"][-1] for seed, record in by_model["keras"].items()}
    for model, found in by_model.items():
        seeds = sorted(found.keys() & goals.keys())
        if not seeds:
            continue
        times = {
            "seconds_to_972": [first_at(found[seed], 0.972) for seed in seeds],
            "seconds_to_accuracy": [first_at(found[seed], goals[seed]) for seed in seeds],
            "final_accuracy": [found[seed]["accuracy"][-1] for seed in seeds],
        }
        for metric, values in times.items():
            reached = [value for value in values if value is not None]
            if len(reached) == len(values):  # a mean over those that got there would flatter
                mean, low, high = interval(reached)
                name = "fit" if model == "ours" else model
                rows.append(
                    Row(
                        "mnist", name, model == "ours", metric, mean, low, high, len(seeds), None, None, "measured here"
                    )
                )
    return rows


def epoch_rows(task: str, loop: str, turns: list[dict]) -> list[Row]:
    if not turns:
        return []
    ours, seconds = loop in (OURS, PLANNED), [value for turn in turns for value in turn["epochs"]]
    peak = max(turn["peak_mb"] for turn in turns)
    rows = [
        _row(task, loop, "epoch_seconds", seconds, ours=ours, turns=len(turns), peak_mb=peak),
        _row(task, loop, "rows_per_second", [turns[0]["rows"] / middle(turns)], ours=ours, turns=len(turns)),
    ]
    if loop == PLANNED:
        rows.append(_row(task, loop, "planning_seconds", [turn["plan"]["seconds"] for turn in turns], turns=len(turns)))
    return rows


def middle(turns: list[dict]) -> float:
    """The median epoch, seconds."""
    return float(np.median([value for turn in turns for value in turn["epochs"]]))


def stream_rows(model: str, record: dict) -> list[Row]:
    rows = []
    for name in ("stream", "resident"):
        size = f"{record['gigabytes']:.0f} GB streamed" if name == "stream" else "1 GB in memory"
        rows.append(_row("stream", f"{model.removeprefix('stream ')}, {size}", "rows_per_second", record[name]))
        rows.append(_row("stream", f"{model.removeprefix('stream ')}, {size}", "peak_mb", [record["peaks"][name]]))
    return rows


def growth(record: dict) -> float:
    """How many times longer ten times the rows take."""
    return float(np.median(record["large"]) / np.median(record["small"]))


def conclusions(records: dict[Cell, dict]) -> str:
    """Asked beside measured."""
    times = {(row.model, row.metric): row.value for row in table(records) if row.task == "mnist"}
    lines = ["| asked | measured |", "| --- | --- |"]
    for metric in ("seconds_to_972", "seconds_to_accuracy"):
        keras, ours = times.get(("keras", metric)), times.get(("fit", metric))
        asked = ">= 20x faster than Keras" if metric == "seconds_to_accuracy" else "beside Keras"
        found = f"{keras / ours:.1f}x: {ours:.2f} s against {keras:.1f} s" if keras and ours else "not reached"
        lines.append(f"| mnist, `{metric}`: {asked} | {found} |")
    for task in CASES:
        epoch = {loop: middle(of(records, task, loop)) for loop in (*LOOPS, PLANNED, KERAS)}
        chosen = ", ".join(map(str, of(records, task, PLANNED)[0]["plan"]["chosen"].values()))
        ahead = "; ".join(
            f"{loop} {epoch[loop] / epoch[OURS]:.2f}x, {epoch[loop] / epoch[PLANNED]:.2f}x"
            for loop in (LIGHTNING, WORKERS, MONAI, KERAS)
        )
        lines.append(f"| {task}: at most 1.05 of the loop by hand, same precision | {epoch[OURS] / epoch[HAND]:.3f} |")
        planning = of(records, task, PLANNED)[0]["plan"]["seconds"]
        lines.append(
            f"| {task}: planning ten minutes takes at most 30 s, or 10 s where that is more | {planning:.1f} s |"
        )
        lines.append(f"| {task}: ahead of every loop (eager; plan=auto: {chosen}) | {ahead} |")
    lines.append(f"| 10x the rows: at most 10.5x the epoch | {growth(records[Cell('growth', 'rows', 0)]):.2f}x |")
    for name in STREAMED:
        record = records[Cell("stream", name, 0)]
        share = np.mean(record["stream"]) / np.mean(record["resident"])
        asked = ">= 70 % of the resident rate, under 2,000 MB" if name.endswith("512") else "beside it"
        lines.append(
            f"| {name}, {record['gigabytes']:.1f} GB: {asked} | {share:.0%}, {record['peaks']['stream']:,.0f} MB |"
        )
    for case in CHECKPOINTED:
        record = records[Cell("checkpoints", case, 0)]
        lines.append(f"| checkpoints of {case}: at most 2 % of the time | {record['share']:.2%} |")
    versions = records[Cell("mlp", KERAS, 0)]["versions"]
    lines += ["", f"Keras {versions['keras']} on TensorFlow {versions['tensorflow']}."]
    return "\n".join(lines)
