"""What a reference case releases: the exported model, its size and speed, and whether it answers as the trained one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from lepton_solutions.deploy.parity import Case, Proof, proof_of, refuse_a_difference
from lepton_solutions.engines import CHUNK, ENGINE, Engine, latency_ms
from lepton_solutions.models.graphs import export_module

# Largest difference of an answer, relative to the largest answer: float32 sums in another order.
TOLERANCE = 1e-5
ALONE = 200  # rows that are also answered one by one


@dataclass(frozen=True)
class Exported:
    """A network with one input as ONNX, with a free number of rows. name: of the input."""

    content: bytes
    name: str
    latency_ms: dict[str, float]

    @classmethod
    def of(cls, network: nn.Module, example: Tensor, *, face: tuple[str, str]) -> Exported:
        """example: float32, two rows or more. face: names of input and output."""
        name, output = face
        content = export_module(network, {name: example}, output=output).SerializeToString()
        alone = partial(Engine(content, threads=1).answer, **{name: example[:1].numpy()})
        return cls(content, name, latency_ms(alone))

    def weight(self) -> dict[str, object]:
        """Size, time of a single row and engine, as `metrics.json` has them."""
        return {"size_bytes": len(self.content), "latency_ms": self.latency_ms, "engine": ENGINE}


def write_export(folder: Path, network: nn.Module, exported: Exported) -> None:
    """`model.onnx` and `weights.safetensors`."""
    folder.mkdir()
    (folder / "model.onnx").write_bytes(exported.content)
    save_file(network.state_dict(), folder / "weights.safetensors")


def parity(
    network: nn.Module,
    exported: Exported,
    rows: Tensor,
    *,
    activation: Callable[[Tensor], Tensor] = lambda output: output,
) -> Proof:
    """The exported against the trained model, on test rows at once and one by one.

    activation: from the network's output [n, ...] to what is compared. Raises UserError where an answer differs by
    more than the tolerance, or the place of a row's largest one does.
    """
    few, engine = rows[:ALONE], Engine(exported.content)
    together = engine.answer(**{exported.name: rows.float().numpy()})
    alone = np.concatenate([engine.answer(**{exported.name: row[None].float().numpy()}) for row in few])
    cases = [
        _compare(case, activation(_answers(network, some)), activation(torch.from_numpy(answers)))
        for case, some, answers in (
            ("test rows", rows, together),
            ("single rows", few, alone),
        )
    ]
    proof = proof_of(cases)
    refuse_a_difference(proof, tolerance=TOLERANCE)
    return proof


def _answers(network: nn.Module, rows: Tensor) -> Tensor:
    with torch.no_grad():
        return torch.cat([network(some) for some in rows.split(CHUNK)])


def _compare(case: str, trained: Tensor, exported: Tensor) -> Case:
    scale = max(1.0, float(trained.abs().max()))
    difference = float((trained - exported).abs().max()) / scale
    flipped = 0
    if trained.dim() == 2:
        first, second = trained.topk(2, dim=1).values.T
        sure = first - second > TOLERANCE  # else there is no decision to flip
        flipped = int(((trained.argmax(1) != exported.argmax(1)) & sure).sum())
    return {"case": case, "rows": len(trained), "largest_difference": difference, "flipped": flipped}
