"""The closed forms that the loop is held against. NumPy and float64 alone: nothing of torch takes part."""

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def gradient(x: Array, y: Array, weights: Array) -> Array:
    """Of the mean squared error: -(2/N) sum of (y - x w) x. x: [n, p]. y: [n]. weights, gradient: [p].

    >>> gradient(np.array([[1.0], [2.0]]), np.array([1.0, 0.0]), np.array([1.0]))  # -(2/2) (0 * 1 - 2 * 2)
    array([4.])
    """
    return np.asarray(-2 / len(y) * (y - x @ weights) @ x, dtype=np.float64)


def least_squares(x: Array, y: Array) -> Array:
    """The weights with the smallest mean squared error, [p]; for dependent columns those of smallest norm."""
    return np.asarray(np.linalg.lstsq(x, y, rcond=None)[0], dtype=np.float64)


def with_ones(x: Array) -> Array:
    """[n, p] to [n, p + 1]: the bias is the weight of a last column of ones."""
    return np.column_stack([x, np.ones(len(x))])
