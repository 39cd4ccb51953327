"""What a connector needs compiled, compiled before it serves: from then on its loop must not stand still."""

from types import ModuleType

from daemon.connector.bots import queues
from daemon.connector.market import books, rows
from hftd.book.book import write_levels
from hftd.book.fuse import fuse_events
from hftd.channel import endpoint, publisher
from hftd.compiled.jit import Entry, Kernel

_MODULES: tuple[ModuleType, ...] = (books, endpoint, publisher, queues, rows)


def compile_all() -> None:
    """Compile, or load from the cache, everything that the hot path calls."""
    for module in _MODULES:
        for found in list(vars(module).values()):
            if isinstance(found, Entry | Kernel):
                found.compiled()
    fuse_events.compiled()
    write_levels.compiled()
