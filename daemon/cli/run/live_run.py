"""The live demo's processes: a local exchange, a connector and a bot, and what each of them has to say at the end."""

import contextlib
import os
import tempfile
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import click
import msgspec

from daemon.cli.progress import Share
from daemon.cli.run.demo_run import READY_MAX_S, check, ticks
from daemon.cli.run.live_venues import LiveVenue
from daemon.cli.run.processes import Child, Children, exiting_on_sigterm
from hftd.bot.result import BotResult, from_json
from hftd.channel import wire
from hftd.clock import monotonic_ns, sleep
from hftd.control import status
from hftd.control.asking import ask
from hftd.errors import HftdError

KEY, SECRET = "local-demo-key", "local-demo-secret"
"""They open nothing but the demo's exchange."""
SETTLE_MAX_S = 60
"""How long the last orders and executions may take to be known to all."""
_LEAVE_MAX_S = 30
_ANSWER_S = 5.0
_STATUS_S = 60.0
"""A connector that compiles on a busy machine answers late."""
_LOOK_S = 0.2

_EXCHANGE = """\
# Written by `hftd demo --live`: see configs/exchange.toml for what each key means.
[exchange]
port = 0
control_port = 0
# As lively as the middle of a busy day.
speed = 4.0

[market]
channel = {channel}
data = {data}

[[symbols]]
symbol = {symbol}
{contract}

[[accounts]]
name = "demo"
api_key = "{key}"
secret = "{secret}"
{account}

[latency]
entry_ms = [1.0, 2.0]
reply_ms = [0.5, 1.0]
event_ms = [0.5, 1.0]
feed_ms = [0.5, 1.0]
"""
_CONNECTOR = """\
# Written by `hftd demo --live`: see configs/{venue}.toml for what each key means.
{urls}
order_prefix = "demo"
journal = "orders.journal"
stale_after_s = 3.0
first_message_s = 3.0
reconcile_every_s = 5.0

[limits]
max_order_qty = {order_qty}
max_position = {position}
max_open_orders = 50
"""


class Market(msgspec.Struct, frozen=True, kw_only=True):
    """What the exchange plays, and where the bot's configuration is.

    Attributes:
        venue: The exchange.
        channel: Of the archive, as in its pattern.
        data: The archive's pattern.
        symbol: The instrument.
        date: The day.
        bot_path: The bot's configuration.
        connector: The channel that the bot trades on.
        bot: The bot's name.
    """

    venue: LiveVenue
    channel: str
    data: str
    symbol: str
    date: str
    bot_path: Path
    connector: str
    bot: str


class Played(msgspec.Struct, frozen=True, kw_only=True):
    """What each party knows at the end.

    Attributes:
        result: The bot's.
        known: The bot's account as the connector has it.
        open_orders: What the connector holds for open when the bot is gone.
        truth: The exchange's account.
        mishaps: What the exchange did wrong, by kind.
        counters: The connector's.
    """

    result: BotResult
    known: status.Position
    open_orders: int
    truth: dict[str, Any]
    mishaps: dict[str, int]
    counters: dict[str, int]


def play(market: Market, folder: Path, seconds: float, chaos: int | None) -> Played:
    """Trade for some seconds, and ask everybody what came of it.

    All processes are gone when this returns or raises.

    Args:
        market: What is played.
        folder: Gets configurations, logs, journal and results.
        seconds: How long the bot trades.
        chaos: A seed for the exchange's misbehaviour; None: there is none.

    Raises:
        HftdError: A process failed, or they do not come to an end.
    """
    _write_exchange(folder / "exchange.toml", market)
    # It belongs to an exchange that is no more.
    (folder / "orders.journal").unlink(missing_ok=True)
    # Named after the system's temporary folder: the path of a Unix socket must be short.
    with (
        tempfile.TemporaryDirectory(prefix="hftd-demo-") as runtime,
        (folder / "processes.log").open("w") as log,
        exiting_on_sigterm(),
        Children(os.environ | {"HFTD_RUNTIME_DIR": runtime}, Path(runtime)) as children,
    ):
        return _Stack(children, market, folder, Path(runtime), log).play(seconds, chaos)


def _write_exchange(path: Path, market: Market) -> None:
    quoted = {key: _toml(value) for key, value in (("channel", market.channel), ("symbol", market.symbol))}
    said = {"contract": market.venue.contract, "account": market.venue.account}
    path.write_text(_EXCHANGE.format(**quoted, **said, data=_toml(market.data), key=KEY, secret=SECRET))


def _toml(text: str) -> str:
    # A JSON string is a TOML string.
    return msgspec.json.encode(text).decode()


class _Stack:
    """The three processes."""

    def __init__(self, children: Children, market: Market, folder: Path, runtime: Path, log: IO[str]) -> None:
        self._children = children
        self._market = market
        self._folder = folder
        self._runtime = runtime
        self._log = log
        self._control = ""

    def play(self, seconds: float, chaos: int | None) -> Played:
        exchange = self._start_exchange(chaos)
        connector = self._start_connector()
        bot = self._start_bot()
        self._trade(seconds)
        # Now nothing fills any more, and what has filled is soon known to all.
        self._pull("/end")
        known = self._settled()
        self._end(bot)
        open_orders = self._left()
        counters = self._status().counters
        self._end(connector)
        truth = self._read(f"/truth?api_key={KEY}")
        mishaps = self._read("/status")["chaos"]
        self._end(exchange)
        (self._folder / "result.json").write_bytes(bot.stdout)
        (self._folder / "account.json").write_bytes(msgspec.json.format(msgspec.json.encode(truth)))
        return Played(
            result=from_json(bot.stdout, records=self._folder / "result.npz"),
            known=known,
            open_orders=open_orders,
            truth=truth,
            mishaps=mishaps,
            counters=counters,
        )

    # From the start to the end.

    def _start_exchange(self, chaos: int | None) -> Child:
        market = self._market
        arguments = ["--venue", market.venue.name, "--date", market.date, "--json"]
        arguments += ["--config", str(self._folder / "exchange.toml")]
        arguments += ["--chaos", str(chaos)] if chaos is not None else []
        exchange = self._children.start("exchange", "exchange", *arguments)
        for _ in self._until(READY_MAX_S, "the exchange does not listen"):
            if exchange.stdout.endswith(b"\n"):
                break
        urls = msgspec.json.decode(exchange.stdout, type=dict[str, str])
        self._control = urls["control"]
        venue = market.venue
        told = "\n".join(f"{key} = {_toml(urls[name])}" for key, name in venue.urls.items())
        limits = {"order_qty": venue.order_qty, "position": venue.position}
        self._connector_path().write_text(_CONNECTOR.format(urls=told, **limits, venue=venue.name))
        return exchange

    def _connector_path(self) -> Path:
        """The connector's configuration, named after the exchange."""
        return self._folder / f"{self._market.venue.name}.toml"

    def _start_connector(self) -> Child:
        name = self._market.connector
        arguments = ["--config", str(self._connector_path()), "--name", name, "--log", "people"]
        keys = {"HFTD_API_KEY": KEY, "HFTD_SECRET": SECRET}
        connector = self._children.start("connector", "connector", *arguments, **keys)
        socket = self._runtime / f"{name}.sock"
        for _ in self._until(READY_MAX_S, "the connector does not open its channel"):
            if socket.exists():
                break
        return connector

    def _start_bot(self) -> Child:
        arguments = ["--config", str(self._market.bot_path), "--record", str(self._folder / "result.npz")]
        bot = self._children.start("bot", "bot", *arguments, "--progress", "plain", "--json")
        for _ in self._until(READY_MAX_S, "the bot does not come to the channel, or has no valid book"):
            if bot.code == 0:
                raise HftdError("the bot ended before it was told to", where="hftd bot")
            daemon = self._status()
            if daemon.bots and all(one.book_is_valid for one in daemon.channels[0].markets):
                break
        return bot

    def _trade(self, seconds: float) -> None:
        start_ns = monotonic_ns()
        with Share("trading") as progress:
            for _ in self._until(seconds + 1.0, ""):
                passed_s = (monotonic_ns() - start_ns) / 1e9
                progress(min(passed_s, seconds), seconds)
                if passed_s >= seconds:
                    return

    def _settled(self) -> status.Position:
        """The bot's account as the connector has it, once it has heard of all executions."""
        name, symbol = self._market.bot, self._market.symbol
        for _ in self._until(SETTLE_MAX_S, "the connector has not heard of all executions"):
            executions = sum(one["trades"] for one in self._read("/status")["accounts"])
            bots = [bot for bot in self._status().bots if bot.name == name]
            for position in (one for bot in bots for one in bot.positions if one.symbol == symbol):
                if position.num_trades == executions:
                    # The bot looks each few milliseconds.
                    sleep(_LOOK_S)
                    return position
            if not executions:
                return status.Position(symbol=symbol, position=0.0)
        raise AssertionError("the loop ends with a result or an error")

    def _left(self) -> int:
        """How many orders the connector holds for open, once the bot's are cancelled or that takes too long."""
        open_orders = 0
        for _ in ticks(SETTLE_MAX_S):
            self._relay()
            open_orders = sum(len(bot.orders) + bot.orders_left_out for bot in self._status().bots)
            if not open_orders:
                break
        return open_orders

    def _end(self, child: Child) -> None:
        child.interrupt()
        for _ in ticks(_LEAVE_MAX_S):
            self._relay()
            if child.code is not None:
                break
        else:
            raise HftdError("does not end", where=f"hftd {child.name}")
        check([child])

    # Talking to them.

    def _until(self, limit_s: float, what: str) -> Iterator[None]:
        """Again and again while all processes live, for so long at most."""
        for _ in ticks(limit_s):
            self._relay()
            check(self._children.all)
            yield
        raise HftdError(f"{what} in {limit_s:.0f} s", where="hftd demo --live")

    def _relay(self) -> None:
        """Keep what the processes say, and show what is worth it."""
        timeout_s = _LOOK_S
        while said := self._children.next_line(timeout_s):
            timeout_s = 0.0
            name, line = said
            self._log.write(f"{name:<9} | {line}\n")
            if name == "bot" or line.startswith("compil"):
                click.echo(f"  {name:<9} | {line}", err=True)

    @contextlib.contextmanager
    def _answering(self) -> Iterator[None]:
        """Ask a process; if it ended instead of answering, that is the error."""
        try:
            yield
        except HftdError:
            sleep(_LOOK_S)
            check(self._children.all)
            raise

    def _status(self) -> status.DaemonStatus:
        name, runtime = self._market.connector, self._runtime
        deadline_ns = monotonic_ns() + int(_STATUS_S * 1e9)
        with self._answering():
            return ask(name, wire.ASK_STATUS, status.DaemonStatus, deadline_ns, directory=runtime)[1]

    def _read(self, path: str) -> dict[str, Any]:
        with self._answering():
            return self._control_page("GET", path)

    def _pull(self, path: str) -> None:
        with self._answering():
            self._control_page("POST", path)

    def _control_page(self, method: str, path: str) -> dict[str, Any]:
        request = urllib.request.Request(self._control + path, method=method)  # noqa: S310 - the exchange's own page
        try:
            with urllib.request.urlopen(request, timeout=_ANSWER_S) as reply:  # noqa: S310 - likewise
                return msgspec.json.decode(reply.read(), type=dict[str, Any])
        except (OSError, msgspec.DecodeError) as error:
            raise HftdError(
                f"the exchange's control page does not answer: {error}", where=request.full_url
            ) from None
