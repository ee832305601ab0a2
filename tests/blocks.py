"""What every building block must do: answer the same once exported, train in half precision, learn real digits."""

import onnxruntime
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lepton_solutions.models.graphs import export_module


def digits() -> tuple[Tensor, Tensor]:
    """1,797 handwritten digits of 8 x 8: grey from 0 to 1, float32 [n, 8, 8], and 0 to 9, [n]."""
    from sklearn.datasets import load_digits

    images, labels = load_digits(return_X_y=True)
    return torch.from_numpy(images).float().unflatten(1, (8, 8)) / 16, torch.from_numpy(labels)


def assert_exports(network: nn.Module, **inputs: Tensor) -> None:
    """Exported from the first 2 rows of the inputs, it answers for 1 and for all rows as torch does.

    Within 1e-4: both add float32 in another order, 1e-7 of a sum each, over some layers and steps; a wrong gate or mask
    is off by .01 and more.
    """
    model = export_module(network, {name: x[:2] for name, x in inputs.items()}, output="answer")
    content = model.SerializeToString()
    assert b".py" not in content  # no paths of this machine
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    for rows in (1, len(next(iter(inputs.values())))):
        some = {name: x[:rows] for name, x in inputs.items()}
        (answer,) = session.run(["answer"], {name: x.numpy() for name, x in some.items()})
        with torch.no_grad():
            expected = network.eval()(*some.values())
        torch.testing.assert_close(torch.from_numpy(answer), expected, rtol=0, atol=1e-4)


def assert_trains_in_half_precision(network: nn.Module, *inputs: Tensor) -> None:
    """Every parameter gets a finite gradient of its own."""
    with torch.autocast("cpu", torch.bfloat16):
        output = network.train()(*inputs)
    output.float().square().mean().backward()
    for name, weights in network.named_parameters():
        assert weights.grad is not None and weights.grad.isfinite().all(), name


def parameters(network: nn.Module) -> int:
    return sum(weights.numel() for weights in network.parameters())


def accuracy_after(network: nn.Module, *inputs: Tensor, target: Tensor, steps: int) -> float:
    """On the odd rows, after steps of Adam over all even rows at once."""
    optimiser = torch.optim.Adam(network.parameters(), lr=0.01)
    for _ in range(steps):
        loss = F.cross_entropy(network.train()(*(x[::2] for x in inputs)), target[::2])
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    with torch.no_grad():
        guess = network.eval()(*(x[1::2] for x in inputs)).argmax(1)
    return float((guess == target[1::2]).float().mean())


def accuracy_of_nearest_mean(x: Tensor, target: Tensor) -> float:
    """On the odd rows, when each is given the digit with the nearest mean of the even rows: what to beat."""
    x = x.flatten(1)
    means = torch.stack([x[::2][target[::2] == k].mean(0) for k in range(10)])
    return float((torch.cdist(x[1::2], means).argmin(1) == target[1::2]).float().mean())
