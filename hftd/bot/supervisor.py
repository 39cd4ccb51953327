"""What the main thread does while a strategy runs in its own: hooks, and (:mod:`hftd.bot.leases`) a bot's leases.

The runner asks a supervisor what to wait for, and calls `supervise` when it comes.
"""

from typing import TYPE_CHECKING, Final, Protocol

from hftd.bot.hooks import HookCaller, Hooks
from hftd.hbt.hbt import Hbt

if TYPE_CHECKING:
    from hftd.bot.bot import Bot

LOOK_NS: Final = 1_000_000_000
"""The longest time without a look."""


class Companion(Protocol):
    """What looks at a running bot now and then, from its main thread; it must not wait."""

    def wait_ns(self) -> int:
        """After which time it wants to look."""
        ...

    def look(self, bot: "Bot") -> None:
        """It is time, or something else woke the main thread."""
        ...


class Supervisor:
    """Calls the hooks of a run.

    Args:
        hbt: What the strategy runs on.
        hooks: What is to be called.
        instruments: (symbol, tick size) of each asset.
        has_daemons: Daemons may have something to say, hooks or not.
    """

    def __init__(
        self, hbt: Hbt, hooks: Hooks, instruments: list[tuple[str, float]], *, has_daemons: bool = False
    ) -> None:
        self._hooks = HookCaller(hooks, instruments) if hooks.any or has_daemons else None
        if self._hooks is not None:
            hbt.leave_for_hooks(self._hooks.notes)

    def descriptors(self) -> list[int]:
        """What is readable when `supervise` is to be called."""
        return [self._hooks.notes.fd] if self._hooks else []

    def wait_ns(self) -> int:
        """After which time it is to be called anyway. Between this and `supervise` the notes' bell is armed."""
        if self._hooks is None:
            return LOOK_NS
        self._hooks.notes.sleep()
        # What came before the bell was armed did not ring it.
        return LOOK_NS if self._hooks.tell(1) else 0

    def supervise(self) -> str:
        """Do what is to be done. Returns why the run must end, empty if it need not."""
        if self._hooks is not None:
            self._hooks.notes.awake()
            self._hooks.tell()
        return ""

    def hung(self) -> str:
        """Why the strategy was taken for hung, empty if it was not."""
        return ""

    def give_up(self) -> None:
        """The strategy was taken for hung, and does not return."""

    def finish(self) -> list[str]:
        """The strategy is done: tell what is left. Returns what the user should know."""
        if self._hooks is None:
            return []
        self._hooks.tell(1 << 20)
        found = self._hooks.warnings()
        self._hooks.notes.close()
        return found
