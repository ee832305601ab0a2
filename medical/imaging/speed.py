"""The speed rows of `lepton bench imaging`: an epoch against MONAI's trainer, reading against MONAI's DataLoader."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from lepton_solutions.bench import Cell, Row

EPOCHS, READING = "epochs", "reading"
CELLS = [Cell(EPOCHS, "speed", 0), Cell(READING, "speed", 0)]
UNITS = {EPOCHS: "seconds an epoch", READING: "images or slices a second"}
_NAMES = {
    "ours": "ours",
    "ours_fp32": "ours, eager fp32",
    "ours_planned": "ours, fit.plan=auto",
}


def measure(task: str) -> dict[str, object]:
    """Figures by `<case>/<reader or loop>`, taken in one process, one after another."""
    from medical.imaging.epoch_speed import epoch_speed
    from medical.imaging.reading_speed import reading_speed

    return {"figures": epoch_speed() if task == EPOCHS else reading_speed()}


def rows(records: Mapping[Cell, dict]) -> Iterator[Row]:
    """A row a figure; ratios stand in the conclusions."""
    for cell, record in records.items():
        for key, value in record.get("figures", {}).items():
            case, name = key.split("/")
            if not name.startswith("ratio"):
                model = _NAMES.get(name) or f"MONAI, {name.removeprefix('monai_')} workers"
                metric, ours = f"{UNITS[cell.task]}, {case}", name in _NAMES
                yield Row(
                    cell.task, model, ours, metric, value, None, None, None, None, record["peak_mb"], "measured here"
                )


def conclusions(records: Mapping[Cell, dict]) -> list[str]:
    """How many times as fast as the faster of MONAI's, by case."""
    told = []
    for cell, record in records.items():
        ratios = {key: value for key, value in record.get("figures", {}).items() if "/ratio" in key}
        if ratios:
            words = [
                f"{key.replace('/ratio_', ', ').replace('/ratio', '')} {value:.1f}" for key, value in ratios.items()
            ]
            told.append(f"Times as fast as the faster of MONAI's, {cell.task}: {'; '.join(words)}.")
    return told
