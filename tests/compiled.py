"""Compile hftd's own functions, each once, before the tests run in several processes: `python -m tests.compiled`.

Without it, each process of a first run compiles what it needs while the others compile the same. Those of the
converters that only thorough tests use are left out, unless it is told `--all`.
"""

import importlib
import multiprocessing
import pkgutil
import sys
from typing import Any

from hftd.compiled import jit
from tests.sim.convert.conftest import OTHERS

PACKAGES = "hftd", "sim", "daemon"
ENGINES = "sim.engine.", "sim.feed.", "sim.model.", "sim.replay.", "sim.exchange.", "hftd.book.fuse"


def functions(is_others: bool) -> list[Any]:
    """All functions that hftd compiles, once all of its modules are imported.

    Args:
        is_others: With those of the converters that only thorough tests use.
    """
    for package in PACKAGES:
        for module in pkgutil.walk_packages(importlib.import_module(package).__path__, f"{package}."):
            if not module.name.endswith(".__main__"):
                importlib.import_module(module.name)
    others = tuple(f"sim.convert.venues.{other}" for other in OTHERS)
    found = {**jit.kernels, **jit.entries}.values()
    return [one for one in found if is_others or not one.function.__module__.startswith(others)]


def compile_all(is_engines: bool, is_others: bool) -> None:
    """Compile the functions of the engines, or all other ones; or find them in the cache."""
    for one in functions(is_others):
        if one.function.__module__.startswith(ENGINES) == is_engines:
            one.compiled()


if __name__ == "__main__":
    # Two processes, about as long: the functions of each share most of what they call.
    context = multiprocessing.get_context("spawn")
    processes = [
        context.Process(target=compile_all, args=(which, "--all" in sys.argv)) for which in (True, False)
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    sys.exit(any(process.exitcode for process in processes))
