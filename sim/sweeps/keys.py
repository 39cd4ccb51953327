"""What the results of a sweep depend on, as hashes: equal keys mean equal results."""

import hashlib
import sys
from pathlib import Path
from typing import Any

import msgspec

from hftd.compiled.jit import source_hash
from hftd.version import __version__
from sim.feed import cache
from sim.feed.known import digest_of, look_at, remember
from sim.run import Traded
from sim.sweeps.play import Setup
from sim.sweeps.points import Point


def hash_of(*parts: Any) -> str:
    """A hash of values that can be written as JSON."""
    return hashlib.sha256(msgspec.json.encode(parts)).hexdigest()


def code_key(setup: Setup) -> dict[str, str]:
    """Hashes of the code and of the configuration that make a run, by what they are of."""
    return {
        "version": __version__,
        "engine": source_hash("sim.sweeps.play"),
        "strategy": hash_of(setup.bot.bot.strategy, _sources(setup.function)),
        "replay": hash_of(setup.replay),
        "bot": hash_of(setup.bot),
    }


def _sources(function: Any) -> str:
    """Of a function and of all that it imports, as far as it is the user's or hftd's."""
    name = getattr(getattr(function, "py_func", function), "__module__", "")
    return source_hash(name) if name in sys.modules else ""


def data_key(traded: Traded) -> str:
    """A hash of all files that a run reads, and of a user's models.

    Raises:
        DataError: One can't be read.
    """
    parts: list[Any] = []
    for model in [*traded.models, *traded.timeline]:
        files = [*model.data, *(one for latency in model.latencies for one in latency.data)]
        if model.initial_snapshot is not None:
            files.append(model.initial_snapshot)
        parts.append([_digest(Path(str(one))) for one in files])
        models = (model.custom_queue, model.custom_fee, model.custom_latency, model.custom_exchange)
        parts += [
            [_sources(one) for one in vars(own).values() if callable(one)]
            for own in models
            if own is not None
        ]
    return hash_of(parts)


def _digest(path: Path) -> str:
    root = cache.require_folder()
    seen = look_at(root, path)
    if seen.digest is not None:
        return seen.digest
    digest, stat = digest_of(path)
    remember(root, stat, digest)
    return digest


def part_key(code: dict[str, str], data: str, points: list[Point]) -> str:
    """The key of the results of some points on a day."""
    return hash_of(code, data, points)
