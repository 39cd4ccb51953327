"""What a server checks before it listens, and before it lets a bot in."""

import asyncio
import fcntl
from pathlib import Path
from typing import Final

import msgspec

from hftd import wire
from hftd.config import quoted
from hftd.control.protocol import check_name
from hftd.errors import ChannelError, ConfigError

MAX_INSTRUMENTS: Final = 256
"""Of one Hello."""
MAX_SYMBOL: Final = 64
_TRIES: Final = 500
_SECONDS: Final = 0.01


async def lock_directory(fd: int, directory: Path) -> None:
    """Take the lock of the runtime directory, which is held while a daemon starts; closing the fd gives it back.

    Raises:
        ChannelError: Another holds it for seconds.
    """
    for _ in range(_TRIES):
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            await asyncio.sleep(_SECONDS)
        else:
            return
    raise ChannelError(
        "another daemon has been starting for seconds", where=str(directory), hint="is one stopped? end it"
    )


def check_hello(hello: wire.Hello) -> None:
    """Raise what is wrong with a Hello, if something is."""
    check_name(hello.bot)
    if hello.on_end not in wire.END_POLICIES:
        raise ConfigError(
            f"on_end is {quoted(hello.on_end)}", hint=f"it is one of {', '.join(wire.END_POLICIES)}"
        )
    if not 0 < len(hello.instruments) <= MAX_INSTRUMENTS:
        raise ConfigError(
            f"the bot asks for {len(hello.instruments)} instruments",
            hint=f"a channel gives 1 to {MAX_INSTRUMENTS}",
        )
    if not all(0 <= limit < float("inf") for limit in msgspec.structs.astuple(hello.limits)):
        raise ConfigError(
            f"a limit of the bot is negative or not finite: {hello.limits}", hint="0 is for none"
        )
    if hello.watchdog_s != 0 and not 1 <= hello.watchdog_s < float("inf"):
        raise ConfigError(
            f"the bot's watchdog_s is {hello.watchdog_s}", hint="it is 0 for none, or 1 second and more"
        )
    for symbol, tick_size, lot_size in hello.instruments:
        if not (0 < len(symbol) <= MAX_SYMBOL and symbol.isprintable()):
            raise ConfigError(
                f"{quoted(symbol)} can't be an instrument's name",
                hint=f"it has 1 to {MAX_SYMBOL} characters that can be printed",
            )
        # Written so that NaN fails it.
        if not (0 < tick_size < float("inf") and 0 < lot_size < float("inf")):
            raise ConfigError(
                f"{symbol} has the tick size {tick_size} and the lot size {lot_size}",
                hint="both must be above 0",
            )
