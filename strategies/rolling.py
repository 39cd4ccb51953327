# pyright: basic
"""Means, deviations and regressions over a rolling window, for strategies.

A window is a row of what :func:`windows_of` makes: the number of values, the slot of the next one, their sum, the
sum of their squares, and then the values themselves. The sums are taken anew each time that the window has gone
round once, so that rounding does not add up over a day.
"""

import numpy as np
from numba import njit

_HEAD = 4


@njit(nogil=True)
def windows_of(count, capacity):
    """So many empty windows for `capacity` values each, at least 2: f8[count, capacity + 4]."""
    return np.zeros((count, _HEAD + max(capacity, 2)))


@njit(nogil=True)
def push(window, value):
    """Take one value in, and the oldest one out where the window is full; NaN and infinity are left out."""
    if not np.isfinite(value):
        return
    capacity = len(window) - _HEAD
    count = int(window[0])
    slot = int(window[1])
    if count == capacity:
        oldest = window[_HEAD + slot]
        window[2] -= oldest
        window[3] -= oldest * oldest
    else:
        window[0] += 1.0
    window[_HEAD + slot] = value
    window[2] += value
    window[3] += value * value
    window[1] = (slot + 1) % capacity
    if slot + 1 == capacity:
        window[2] = 0.0
        window[3] = 0.0
        for i in range(_HEAD, len(window)):
            window[2] += window[i]
            window[3] += window[i] * window[i]


@njit(nogil=True)
def is_full(window):
    """Whether as many values came as the window holds."""
    return int(window[0]) == len(window) - _HEAD


@njit(nogil=True)
def mean_and_deviation(window):
    """Of the values in the window; NaN where there are fewer than two."""
    count = window[0]
    if count < 2.0:
        return np.nan, np.nan
    mean = window[2] / count
    return mean, np.sqrt(max(window[3] / count - mean * mean, 0.0))


@njit(nogil=True)
def root_mean_square(window):
    """Of the values in the window; NaN where there are fewer than two."""
    return np.sqrt(max(window[3], 0.0) / window[0]) if window[0] >= 2.0 else np.nan


@njit(nogil=True)
def solve(matrix, right, ridge):
    """The solution of a system of normal equations, by Cholesky's decomposition.

    Args:
        matrix: f8[k, k], symmetric, not negative definite; only its lower half is read.
        right: f8[k].
        ridge: What is added to the diagonal, as a part of it: above 0, factors that move alike share their weight
            instead of making the system singular.

    Returns:
        f8[k]; all NaN where the matrix is singular nevertheless.
    """
    k = len(right)
    lower = np.zeros((k, k))
    found = np.full(k, np.nan)
    for i in range(k):
        for j in range(i + 1):
            total = matrix[i, j]
            if i == j:
                total *= 1.0 + ridge
            for m in range(j):
                total -= lower[i, m] * lower[j, m]
            if i == j:
                if not total > 0.0:
                    return found
                lower[i, i] = np.sqrt(total)
            else:
                lower[i, j] = total / lower[j, j]
    half = np.zeros(k)
    for i in range(k):
        total = right[i]
        for m in range(i):
            total -= lower[i, m] * half[m]
        half[i] = total / lower[i, i]
    for i in range(k - 1, -1, -1):
        total = half[i]
        for m in range(i + 1, k):
            total -= lower[m, i] * found[m]
        found[i] = total / lower[i, i]
    return found
