"""How a running bot stands: a line that lives on a terminal, else a line now and then.

It is read from the memory that the strategy's thread writes, by the main thread, which has nothing else to do: the
strategy is not asked, and does not wait. A figure may be an instant older than the one beside it.
"""

import sys
from typing import Any, Final, Self

import click
import msgspec
import numpy as np

from daemon.cli.show import text
from hftd.bot.bot import Bot
from hftd.bot.supervisor import LOOK_NS
from hftd.clock import monotonic_ns
from hftd.constants import CONNECTED, HALTED
from hftd.types import BOOK_VALID

SHOW_NS: Final = 500_000_000
"""Between two looks on a terminal."""
_LATENCIES: Final = 200
"""Of so many of the last answers the median round trip is told."""
_SYMBOLS: Final = 3


def facts_of(bot: Bot) -> dict[str, str]:
    """How a bot stands now, in words by what they are about."""
    found: dict[str, str] = {"position": _positions(bot)}
    equity = [_equity(bot, asset_no) for asset_no in range(bot.num_assets)]
    if len({contract.inverse for contract in bot.contracts}) == 1:
        found["equity"] = f"{sum(equity):+,.4g}" if all(one == one for one in equity) else text.NOTHING
    found["open"] = f"{bot.open_orders():,}"
    found["fills"] = f"{sum(bot.state_values(asset_no).num_trades for asset_no in range(bot.num_assets)):,}"
    found["latency"] = _latency(bot)
    for channel in bot.channels:
        found[channel.name] = _channel(bot, channel)
    return found


def _positions(bot: Bot) -> str:
    held = [(one.symbol, bot.position(number)) for number, one in enumerate(bot.instruments)]
    if len(held) == 1:
        return f"{held[0][1]:g} {held[0][0]}"
    open_ones = [f"{position:g} {symbol}" for symbol, position in held if position]
    if len(open_ones) > _SYMBOLS:
        return f"{len(open_ones)} of {len(held)} held"
    return ", ".join(open_ones) or "flat"


def _equity(bot: Bot, asset_no: int) -> float:
    state, depth = bot.state_values(asset_no), bot.depth(asset_no)
    price = (depth.best_bid + depth.best_ask) / 2.0
    return bot.contracts[asset_no].equity(state.balance, state.position, state.fee, price)


def _latency(bot: Bot) -> str:
    """The median round trip of the last answers, and the longest of them."""
    rows = [rows[-_LATENCIES:] for name, rows in bot.growing() if name.startswith("latency")]
    last = np.concatenate(rows)
    last = np.sort((last["resp_ts"] - last["req_ts"])[np.argsort(last["resp_ts"])][-_LATENCIES:])
    if not len(last):
        return text.NOTHING
    return (
        f"{text.duration(float(last[len(last) // 2]) / 1e9)}, at most {text.duration(float(last[-1]) / 1e9)}"
    )


def _channel(bot: Bot, channel: Any) -> str:
    """The state of a channel: its lease, its daemon, books and the way of orders."""
    if channel.is_down:
        return "daemon lost"
    if channel.is_still:
        return "daemon stands still"
    ways = {bot.connection(number) for number in channel.asset_nos}
    if ways - {CONNECTED, HALTED}:
        return "disconnected"
    invalid = [number for number in channel.asset_nos if bot.book_state(number) != BOOK_VALID]
    state = "halted" if HALTED in ways else "ok"
    if invalid:
        return f"{len(invalid)} of {len(channel.asset_nos)} books not valid" + (
            "" if state == "ok" else ", halted"
        )
    return state


def lines_of(name: str, facts: dict[str, str], width: int) -> list[str]:
    """The facts in as many lines as they need, none broken that has room in one."""
    found: list[str] = []
    for part in [name, *(f"{what} {value}" for what, value in facts.items())]:
        if found and len(found[-1]) + 2 + len(part) <= width:
            found[-1] += f"  {part}"
        else:
            found.append(part)
    return found


class Reporter:
    """Tells on stderr how a bot stands; a context manager and an `hftd.bot.supervisor.Companion`.

    Args:
        mode: Of `--progress`: a line that lives if stderr is a terminal ("auto"), lines, lines of JSON, or none.
        every_s: Time between two lines; 0 for none.
    """

    def __init__(self, mode: str, every_s: float) -> None:
        self._live: Any = None
        self._is_live = mode == "auto" and sys.stderr.isatty()
        self._is_json = mode == "json"
        self._every_ns = SHOW_NS if self._is_live else 0 if mode == "none" else int(every_s * 1e9)
        self._next_ns = monotonic_ns() + (0 if self._is_live else self._every_ns)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._live is not None:
            self._live.stop()

    def wait_ns(self) -> int:
        """As a companion's."""
        return max(self._next_ns - monotonic_ns(), 0) if self._every_ns else LOOK_NS

    def look(self, bot: Bot) -> None:
        """As a companion's."""
        if not self._every_ns or monotonic_ns() < self._next_ns:
            return
        self._next_ns = monotonic_ns() + self._every_ns
        facts = facts_of(bot)
        if self._is_live:
            self._show(bot.name, facts)
        elif self._is_json:
            click.echo(msgspec.json.encode({"bot": bot.name, **facts}), err=True)
        else:
            click.echo(lines_of(bot.name, facts, sys.maxsize)[0], err=True)

    def _show(self, name: str, facts: dict[str, str]) -> None:
        from rich.live import Live
        from rich.text import Text

        from daemon.cli.show.terminal import Console

        if self._live is None:
            # Drawn when it is told to, by this thread: it starts none. What is logged stands above it.
            self._live = Live(console=Console(stderr=True), auto_refresh=False, redirect_stdout=False)
            self._live.start()
        told = Text("\n".join(lines_of(name, facts, self._live.console.width)), overflow="fold")
        self._live.update(told, refresh=True)
