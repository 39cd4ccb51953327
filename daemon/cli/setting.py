"""`hftd set`: the bot is looked for where `hftd halt` looks for daemons, and asked through its daemon."""

import math
import os
from pathlib import Path
from typing import Final

from daemon.cli.asking import ANSWER_SECONDS, deadline_ns
from daemon.cli.halting import may_enter, other_folders, own_folder
from hftd import wire
from hftd.clock import monotonic_ns
from hftd.control import peers, status
from hftd.control.asking import ask
from hftd.control.protocol import check_name, running_channels
from hftd.control.server import BOT_SECONDS
from hftd.errors import HftdError, NoSuchChannelError, UsageError

Value = bool | int | float | str

_WORDS: Final = {"true": True, "false": False}


def value_of(given: str) -> Value:
    """A value as TOML would have it: true or false, a whole number, a number, else a text."""
    if given in _WORDS:
        return _WORDS[given]
    for kind in (int, float):
        try:
            return kind(given)
        except ValueError:
            continue
    return given


def pairs_of(given: tuple[str, ...]) -> dict[str, Value]:
    """What `name=value` on a command line says.

    Raises:
        UsageError: It is of another form, or a name stands twice.
    """
    found: dict[str, Value] = {}
    for one in given:
        name, sign, value = one.partition("=")
        if not sign or not name.isidentifier() or not value:
            raise UsageError(f"{one!r} is not name=value", hint="such as half_spread_ticks=6")
        if name in found:
            raise UsageError(f"{name} is given twice")
        found[name] = made = value_of(value)
        if isinstance(made, float) and not math.isfinite(made):
            raise UsageError(
                f"{one} is no number to trade by", hint="a limit that is not wanted can be a large number"
            )
    return found


def set_parameters(bot: str, values: dict[str, Value]) -> tuple[bool, status.Parameters]:
    """Ask a bot for its parameters, and to set some of them.

    Returns:
        Whether the strategy has taken over what was set, and all parameters.

    Raises:
        NoSuchChannelError: No daemon has a bot of that name.
        RefusedError: It is refused, with the reason.
        ChannelError: There is no answer.
    """
    channel, folder = _channel_of(check_name(bot))
    argument = status.encode(status.SetParameters(bot=bot, values=values)).decode()
    until_ns = monotonic_ns() + int((BOT_SECONDS + ANSWER_SECONDS) * 1e9)
    return ask(channel, wire.ASK_SET, status.Parameters, until_ns, argument=argument, directory=folder)


def _channel_of(bot: str) -> tuple[str, Path | None]:
    """A channel that the bot is attached to, and the folder of its socket."""
    own = own_folder()
    folders = [*([own] if own is not None else []), *other_folders()]
    seen: list[str] = []
    failed: list[str] = []
    for folder in folders:
        if not may_enter(folder):
            failed.append(f"{folder} may not be entered by this user: run it by sudo")
            continue
        if folder != own and not os.environ.get(peers.VARIABLE):
            os.environ[peers.VARIABLE] = str(folder.stat().st_gid)
        for name in running_channels(folder):
            try:
                told = ask(name, wire.ASK_STATUS, status.DaemonStatus, deadline_ns(), directory=folder)[1]
            except HftdError as error:
                failed.append(f"{name} does not say which bots it has: {error.what}")
                continue
            for one in told.bots:
                if one.is_attached and one.name == bot and (not one.channels or name in one.channels):
                    return name, folder
                seen += [one.name] if one.is_attached and one.name not in seen else []
    hint = f"bots that run: {', '.join(seen) or 'none'}"
    raise NoSuchChannelError(f"no bot {bot!r} runs", hint="; ".join([hint, *failed]))
