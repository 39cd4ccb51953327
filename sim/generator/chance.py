# pyright: basic
"""Random draws in compiled code that give the same bits on every machine.

The generator is xoshiro256++ (Blackman and Vigna, "Scrambled Linear Pseudorandom Number Generators", 2021),
seeded by splitmix64. The draws use integers and the operations that IEEE 754 rounds exactly (+ - * / sqrt)
and nothing of the C library's log, exp and pow, whose last bit differs from one machine to the next.
"""

import hashlib

import numpy as np

from hftd.compiled.jit import inline

_LN2 = 0.6931471805599453
_TO_UNIT = 2.0**-53
_DIFFERENCE_SD = 37837.227
"""The standard deviation of the sum of four uniform 16-bit numbers."""


def seeded(seed: int, name: str) -> np.ndarray:
    """The state of a generator for one purpose.

    Args:
        seed: The run's seed, any integer.
        name: What the generator is for; each name gives independent numbers.

    Returns:
        uint64[4], never all zero.
    """
    digest = hashlib.blake2b(f"{seed}/{name}".encode(), digest_size=8).digest()
    word = int.from_bytes(digest, "little")
    mask = (1 << 64) - 1
    state = np.empty(4, np.uint64)
    for i in range(4):
        word = (word + 0x9E3779B97F4A7C15) & mask
        z = ((word ^ (word >> 30)) * 0xBF58476D1CE4E5B9) & mask
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & mask
        state[i] = z ^ (z >> 31)
    return state


@inline
def _rotated(x, bits):
    return (x << np.uint64(bits)) | (x >> np.uint64(64 - bits))


@inline
def next_word(s):
    """The next 64 random bits."""
    result = _rotated(s[0] + s[3], 23) + s[0]
    t = s[1] << np.uint64(17)
    s[2] ^= s[0]
    s[3] ^= s[1]
    s[1] ^= s[2]
    s[0] ^= s[3]
    s[2] ^= t
    s[3] = _rotated(s[3], 45)
    return result


@inline
def uniform(s):
    """A number in (0, 1), never 0 or 1."""
    return (float(next_word(s) >> np.uint64(11)) + 0.5) * _TO_UNIT


@inline
def exponential(s):
    """An exponential waiting time of mean 1: -ln(u), by the series of the inverse hyperbolic tangent."""
    u = uniform(s)
    doublings = 0.0
    while u < 0.5:
        u *= 2.0
        doublings += 1.0
    z = (u - 1.0) / (u + 1.0)
    z2 = z * z
    series = 1.0 + z2 * (1.0 / 3.0 + z2 * (0.2 + z2 * (1.0 / 7.0 + z2 * (1.0 / 9.0))))
    return doublings * _LN2 - 2.0 * z * series


@inline
def normal(s):
    """About normal, mean 0, variance 1: the sum of four uniform numbers (so never beyond 3.5)."""
    word = next_word(s)
    low = np.uint64(0xFFFF)
    total = (
        float(word & low)
        + float((word >> np.uint64(16)) & low)
        + float((word >> np.uint64(32)) & low)
        + float(word >> np.uint64(48))
    )
    return (total - 131070.0) / _DIFFERENCE_SD


@inline
def heavy(s):
    """A Pareto number from 1 up with tail exponent 4/3: u**(-3/4) by square roots. Mean 4, no variance."""
    root = np.sqrt(uniform(s))
    return 1.0 / (root * np.sqrt(root))
