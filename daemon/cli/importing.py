"""Importing numba without being stopped by the garbage collector at every turn."""

import contextlib
import gc
import sys
from collections.abc import Iterator


@contextlib.contextmanager
def importing() -> Iterator[None]:
    """Collect no garbage while a command imports what it needs; what was imported is never looked at again.

    Importing makes a hundred thousand objects that all stay. Looking through them again and again takes a tenth
    of a bot's way to its first event.
    """
    if "numba" in sys.modules or not gc.isenabled():
        # Not the start of a process: what lives now is not ours to judge.
        yield
        return
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()
