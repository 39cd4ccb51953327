"""What a connector needs compiled, compiled before it serves: from then on its loop must not stand still."""

import sys
from types import ModuleType
from typing import Final

from daemon.connector.bots import queues
from daemon.connector.market import books
from hftd.book.book import write_levels
from hftd.book.fuse import fuse_events
from hftd.channel import endpoint, publisher
from hftd.compiled import histogram
from hftd.compiled.jit import Entry, Kernel

_MODULES: tuple[ModuleType, ...] = (books, endpoint, histogram, publisher, queues)
_READERS: Final = "hftd.venues."
"""The readers of market data: those that are loaded are the ones that the connector's exchange has."""


def compile_all() -> None:
    """Compile, or load from the cache, everything that the hot path calls."""
    readers = [module for name, module in sorted(sys.modules.items()) if name.startswith(_READERS)]
    for module in (*_MODULES, *readers):
        for found in list(vars(module).values()):
            if isinstance(found, Entry | Kernel):
                found.compiled()
    fuse_events.compiled()
    write_levels.compiled()
