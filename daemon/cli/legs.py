"""Bots that trade on several daemons, put together from what each daemon tells of its part."""

from collections.abc import Iterable, Iterator
from typing import Final

import msgspec

from hftd.control import status

AWAY: Final = ("no daemon", "no answer")
"""Troubles of a leg of which nothing is known."""


class Leg(msgspec.Struct, frozen=True, kw_only=True):
    """A bot's instrument at one daemon.

    Attributes:
        symbol: Empty if no daemon tells.
        troubles: What keeps the bot from trading there: "no daemon", "no answer", "not attached", "halted",
            "disconnected", "book not valid"; empty if nothing does.
        position: None, as the next two, if no daemon tells.
        open_orders: How many.
        fills: Executions so far.
    """

    channel: str
    symbol: str = ""
    troubles: list[str] = []
    position: float | None = None
    open_orders: int | None = None
    fills: int | None = None

    @property
    def is_away(self) -> bool:
        """Whether no daemon tells of it."""
        return any(trouble in AWAY for trouble in self.troubles)


class BotLegs(msgspec.Struct, frozen=True, kw_only=True):
    """A bot over all of its daemons.

    Attributes:
        pid: 0 if it is gone.
        legs: In the order in which it attached.
    """

    name: str
    pid: int
    legs: list[Leg]


class _Part(msgspec.Struct, frozen=True):
    """What one daemon tells of a bot."""

    daemon: status.DaemonStatus
    bot: status.Bot

    @property
    def channel(self) -> str:
        return self.daemon.channels[0].name


def bots_of(daemons: Iterable[status.DaemonStatus], silent: set[str]) -> list[BotLegs]:
    """The bots that trade, or have traded, on more than one daemon.

    Args:
        daemons: All that answered.
        silent: The channels whose daemons did not.
    """
    running = [one for one in daemons if len(one.channels) == 1]
    served = {one.channels[0].name: one for one in running}
    parts = [_Part(one, bot) for one in running for bot in one.bots]
    # Two bots of one name on different connectors are two bots; what a bot has left somewhere is its successor's.
    groups: dict[tuple[str, int], list[_Part]] = {}
    for part in parts:
        if part.bot.is_attached:
            groups.setdefault((part.bot.name, part.bot.pid), []).append(part)
    for part in parts:
        if not part.bot.is_attached:
            theirs = [key for key, found in groups.items() if _knows(key, found, part)]
            groups.setdefault(theirs[0] if theirs else (part.bot.name, 0), []).append(part)
    found: list[BotLegs] = []
    for (name, pid), group in sorted(groups.items()):
        at = {part.channel: part for part in group}
        channels = list(dict.fromkeys([one for part in group for one in part.bot.channels] + list(at)))
        if len(channels) > 1:
            legs = [leg for channel in channels for leg in _legs(channel, at, served, silent)]
            found.append(BotLegs(name=name, pid=pid, legs=legs))
    return found


def _knows(key: tuple[str, int], group: list[_Part], part: _Part) -> bool:
    """Whether a bot that is attached somewhere is the one that has left something here."""
    return key[0] == part.bot.name and any(part.channel in one.bot.channels for one in group)


def _legs(
    channel: str, at: dict[str, _Part], served: dict[str, status.DaemonStatus], silent: set[str]
) -> Iterator[Leg]:
    if channel not in at:
        absent = "not attached" if channel in served else "no answer" if channel in silent else "no daemon"
        yield Leg(channel=channel, troubles=[absent])
        return
    daemon, bot = at[channel].daemon, at[channel].bot
    markets = {market.symbol: market for market in daemon.channels[0].markets}
    held = {position.symbol: position for position in bot.positions}
    for symbol in bot.symbols:
        market, position = markets.get(symbol), held.get(symbol)
        troubles = {
            "not attached": not bot.is_attached,
            "halted": daemon.is_halted or bool(bot.halt_reason),
            "disconnected": market is not None and not market.orders_are_connected,
            "book not valid": market is None or not market.book_is_valid,
        }
        # Those that are left out of the report are of whichever symbol.
        left_out = bot.orders_left_out if len(bot.symbols) == 1 else 0
        yield Leg(
            channel=channel,
            symbol=symbol,
            troubles=[name for name, holds in troubles.items() if holds],
            position=position.position if position is not None else 0.0,
            open_orders=sum(order.symbol == symbol for order in bot.orders) + left_out,
            fills=position.num_trades if position is not None else 0,
        )
