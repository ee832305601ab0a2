"""What a reference case releases: the exported model, its size and speed, and whether it answers as the trained one."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnxruntime
import torch
import yaml
from safetensors.torch import save_file
from torch import Tensor, nn

from lepton_solutions.engines import ENGINE
from lepton_solutions.errors import UserError
from lepton_solutions.models.graphs import export_module
from lepton_solutions.pipeline import CONFIG

# Largest difference of an answer, relative to the largest answer: float32 sums in another order.
TOLERANCE = 1e-5
AT_ONCE, CALLS, ALONE = 4096, 300, 200


@dataclass(frozen=True)
class Exported:
    """A network as ONNX, with a free number of rows. face: names of its one input and one output."""

    content: bytes
    face: tuple[str, str]
    latency_ms: dict[str, float]

    @classmethod
    def of(cls, network: nn.Module, example: Tensor, *, face: tuple[str, str]) -> Exported:
        """example: float32, two rows or more."""
        content = export_module(network, {face[0]: example}, output=face[1]).SerializeToString()
        return cls(content, face, _latency_ms(content, face, example[:1].numpy()))

    def weight(self) -> dict[str, object]:
        """Size, time of a single row and engine, as `metrics.json` has them."""
        return {"size_bytes": len(self.content), "latency_ms": self.latency_ms, "engine": ENGINE}

    def answers(self, rows: np.ndarray) -> np.ndarray:
        session = _session(self.content)
        places = range(0, len(rows), AT_ONCE)
        return np.concatenate([session.run([self.face[1]], {self.face[0]: rows[i : i + AT_ONCE]})[0] for i in places])


def write_export(folder: Path, network: nn.Module, exported: Exported) -> None:
    """`model.onnx` and `weights.safetensors`."""
    folder.mkdir()
    (folder / "model.onnx").write_bytes(exported.content)
    save_file(network.state_dict(), folder / "weights.safetensors")


def pipeline_of(run: Path) -> str:
    """The name of the page that the run was started with: several share the stages of one pipeline."""
    return str(yaml.safe_load((run / CONFIG).read_text(encoding="utf-8"))["pipeline"])


def parity(
    network: nn.Module,
    exported: Exported,
    rows: Tensor,
    *,
    activation: Callable[[Tensor], Tensor] = lambda output: output,
) -> dict[str, object]:
    """The exported against the trained model, on test rows at once and one by one.

    activation: from the network's output [n, ...] to what is compared. Raises UserError where an answer differs by
    more than the tolerance, or the place of a row's largest one does.
    """
    few = rows[:ALONE]
    alone = np.concatenate([exported.answers(row[None].float().numpy()) for row in few])
    cases = [
        _compare(case, activation(_answers(network, some)), activation(torch.from_numpy(answers)))
        for case, some, answers in (
            ("test rows", rows, exported.answers(rows.float().numpy())),
            ("single rows", few, alone),
        )
    ]
    proof = {
        "rows": sum(case["rows"] for case in cases),
        "largest_difference": max(case["largest_difference"] for case in cases),
        "flipped": sum(case["flipped"] for case in cases),
        "cases": cases,
    }
    if proof["flipped"] or not proof["largest_difference"] <= TOLERANCE:
        raise UserError(
            f"the exported model does not answer as the trained one: largest difference "
            f"{proof['largest_difference']:.2g}, {proof['flipped']} answers flipped; nothing was released"
        )
    return proof


def _answers(network: nn.Module, rows: Tensor) -> Tensor:
    with torch.no_grad():
        return torch.cat([network(some) for some in rows.split(AT_ONCE)])


def _compare(case: str, trained: Tensor, exported: Tensor) -> dict:
    scale = max(1.0, float(trained.abs().max()))
    difference = float((trained - exported).abs().max()) / scale
    flipped = 0
    if trained.dim() == 2:
        first, second = trained.topk(2, dim=1).values.T
        sure = first - second > TOLERANCE  # else there is no decision to flip
        flipped = int(((trained.argmax(1) != exported.argmax(1)) & sure).sum())
    return {"case": case, "rows": len(trained), "largest_difference": difference, "flipped": flipped}


def _latency_ms(content: bytes, face: tuple[str, str], row: np.ndarray) -> dict[str, float]:
    """Milliseconds of a single row on one thread: median and 95th percentile."""
    session, taken = _session(content, threads=1), []
    for _ in range(CALLS):
        start = time.perf_counter()
        session.run([face[1]], {face[0]: row})
        taken.append(1000 * (time.perf_counter() - start))
    return {"p50": round(float(np.median(taken)), 4), "p95": round(float(np.quantile(taken, 0.95)), 4)}


def _session(content: bytes, *, threads: int = 0) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
