"""How long to train, where the config leaves it open: a rule of two numbers, so that it fits any set.

epochs, batch_size = schedule_for(images=546, side=28)
"""

from __future__ import annotations

import math

PASSES = 30_000  # images shown in all: folds of 500 training images are worse with half of it, and not better with more
SIDE = 28  # pixels those images have; of larger ones fewer are shown, since each costs more
FEWEST, MOST = 12, 100  # epochs
MANY = 2_000  # images from which a step takes more of them
FEW_A_STEP, MANY_A_STEP = 32, 128


def schedule_for(images: int, side: float = SIDE) -> tuple[int, int]:
    """Epochs and images a step, for so many training images of such a side, in pixels.

    >>> [schedule_for(images) for images in (546, 1188, 4708)]
    [(55, 32), (26, 32), (12, 128)]
    >>> schedule_for(720, side=64)
    (19, 32)
    """
    passes = PASSES * min(1.0, SIDE / side)
    epochs = min(MOST, max(FEWEST, math.ceil(passes / images)))
    return epochs, min(images, MANY_A_STEP if images >= MANY else FEW_A_STEP)
