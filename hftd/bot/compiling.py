"""That this process compiles, said in the bot's page: a strategy that compiles makes no steps, and does not hang."""

import weakref
from typing import Any, Final

import numba.core.event as numba_event

from hftd.channel.layout import BOT_COMPILING
from hftd.channel.memory import BotPage

_events: Any = numba_event
_KIND: Final = "numba:compile"


class CompilingNote(numba_event.Listener):
    """Notes in a bot's page when numba begins to compile, and when it is done.

    Args:
        page: The bot's page; `stop` before it is closed.
    """

    def __init__(self, page: BotPage) -> None:
        # Numba holds the listener for good, if nobody stops it.
        self._page = weakref.ref(page)
        self._depth = 0
        self._is_on = True
        _events.register(_KIND, self)

    def on_start(self, event: Any) -> None:  # noqa: ARG002 - the signature is numba's
        """Numba calls it, under its lock; one function's compilation may hold another's."""
        self._depth += 1
        if self._depth == 1:
            self._count()

    def on_end(self, event: Any) -> None:  # noqa: ARG002
        """The same, at the end."""
        self._depth -= 1
        if self._depth == 0:
            self._count()

    def _count(self) -> None:
        page = self._page()
        if self._is_on and page is not None:
            page.set_word(BOT_COMPILING, page.word(BOT_COMPILING) + 1)

    def stop(self) -> None:
        """Note nothing more; again does nothing."""
        if self._is_on:
            self._is_on = False
            _events.unregister(_KIND, self)
