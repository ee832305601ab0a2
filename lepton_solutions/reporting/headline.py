"""The last thing a run says: where it is, and the three numbers that matter."""

import json
from pathlib import Path


def headline(run: Path) -> str:
    """The run folder and the pipeline's own three figures, a line each, from `metrics.json`."""
    metrics = json.loads((run / "metrics.json").read_text(encoding="utf-8"))
    width = max(len(figure["name"]) for figure in metrics["headline"])
    lines = [f"{figure['name']:<{width}}  {figure['text']}" for figure in metrics["headline"]]
    return "\n".join([*lines, f"report: {run / 'report.html'}", str(run)])
