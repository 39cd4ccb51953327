"""The random draws of generated markets."""

import math

import numpy as np
from numba import njit

from sim.generator.chance import exponential, heavy, next_word, normal, seeded, uniform


@njit
def _many(s, n):
    out = np.empty((4, n))
    for i in range(n):
        out[0, i] = uniform(s)
        out[1, i] = exponential(s)
        out[2, i] = normal(s)
        out[3, i] = heavy(s)
    return out


@njit
def _words(s, n):
    out = np.empty(n, np.uint64)
    for i in range(n):
        out[i] = next_word(s)
    return out


@njit
def _uniform_and_exponential(s):
    copy = s.copy()
    return uniform(copy), exponential(s)


def test_the_generator_is_xoshiro256_plus_plus_as_published():
    words = _words(np.array([1, 2, 3, 4], np.uint64), 5)
    expected = [41943041, 58720359, 3588806011781223, 3591011842654386, 9228616714210784205]
    assert words.tolist() == expected


def test_each_purpose_and_each_seed_has_its_own_numbers():
    states = {seeded(seed, name).tobytes() for seed in (0, 1, -1, 1 << 70) for name in ("a", "b")}
    assert len(states) == 8
    assert (seeded(5, "a") == seeded(5, "a")).all()


def test_a_waiting_time_is_the_logarithm_to_a_millionth():
    s = seeded(3, "exponential")
    for _ in range(2000):
        u, waited = _uniform_and_exponential(s)
        assert abs(waited + math.log(u)) < 2e-6


def test_draws_have_the_moments_that_their_docstrings_say():
    uniforms, waits, normals, heavies = _many(seeded(1, "moments"), 200_000)
    assert uniforms.min() > 0.0 and uniforms.max() < 1.0
    assert abs(uniforms.mean() - 0.5) < 0.005
    assert abs(waits.mean() - 1.0) < 0.01 and abs(waits.std() - 1.0) < 0.02
    assert abs(normals.mean()) < 0.01 and abs(normals.std() - 1.0) < 0.01 and abs(normals).max() < 3.5
    assert heavies.min() >= 1.0
    # P(X > x) = x ** -(4/3)
    assert abs((heavies > 8.0).mean() - 1.0 / 16.0) < 0.003
