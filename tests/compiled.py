"""Compile hftd's own functions, each once, before the tests run in several processes: `python -m tests.compiled`.

Without it, each process of a first run compiles what it needs while the others compile the same.
"""

import importlib
import multiprocessing
import pkgutil
import sys

from hftd import jit

PACKAGES = "hftd", "sim", "daemon"
CONVERTERS = "sim.convert."


def compile_all(is_converters: bool) -> None:
    """Compile the functions of the converters, or all others; or find them in the cache."""
    for package in PACKAGES:
        for module in pkgutil.walk_packages(importlib.import_module(package).__path__, f"{package}."):
            if not module.name.endswith(".__main__"):
                importlib.import_module(module.name)
    for one in {**jit.kernels, **jit.entries}.values():
        if one.function.__module__.startswith(CONVERTERS) == is_converters:
            one.compiled()


if __name__ == "__main__":
    # Two processes, about as long: the functions of each share most of what they call.
    context = multiprocessing.get_context("spawn")
    processes = [context.Process(target=compile_all, args=(which,)) for which in (True, False)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    sys.exit(any(process.exitcode for process in processes))
