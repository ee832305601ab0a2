"""Statistics of batch normalisation for weights that took no step themselves: the averages of others.

An average of running statistics belongs to no network; those of averaged weights have to be measured (Izmailov et al.
2018, section 3.2). They are measured on rows as they are when the network is asked, not augmented, so that what
augmentation does to brightness and contrast shifts no answer.
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from lepton_solutions.data.batches import Batches

ROWS = 8192  # of the training set at most: the mean of a channel is then known to 1 % of its spread


def has_norms(network: nn.Module) -> bool:
    """Whether there is a statistic to measure."""
    return any(isinstance(module, _BatchNorm) and module.track_running_stats for module in network.modules())


@torch.no_grad()
def measure_norms(network: nn.Module, batches: Batches, batch_size: int) -> None:
    """Replace the running means and variances by those over training rows, the same rows for the same set.

    Leaves the random states alone; the network is in evaluation mode after it.
    """
    norms = [module for module in network.modules() if isinstance(module, _BatchNorm) and module.track_running_stats]
    momenta = [norm.momentum for norm in norms]
    network.eval()
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # the plain mean over batches
        norm.train()  # alone: dropout stays off
    seen = 0
    for batch in batches.plain().epoch(batch_size, torch.Generator().manual_seed(0)):
        network(*batch.inputs)
        seen += batch.size
        if seen >= ROWS:
            break
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
        norm.eval()
