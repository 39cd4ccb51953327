"""Live on this machine: local exchanges, a connector to each, one bot on all of them; and what all know at the end."""

import contextlib
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, Final

import click
import msgspec

from daemon.cli.run.live_check import Row, compare
from daemon.cli.run.live_venues import LiveVenue
from daemon.cli.run.supervisor import READY_MAX_S, Child, Children, supervised, ticks
from daemon.cli.show.progress import Share
from hftd import wire
from hftd.bot.config import InstrumentSection
from hftd.bot.result import BotResult, from_json
from hftd.clock import monotonic_ns, running_ns, sleep
from hftd.control import status
from hftd.control.asking import ask
from hftd.errors import HftdError

KEY, SECRET = "local-demo-key", "local-demo-secret"
"""They open nothing but the demo's exchanges."""
SETTLE_MAX_S: Final = 60
"""How long the last orders and executions may take to be known to all."""
_QUIET_S: Final = 1.0
"""When nothing was executed for so long, a bot that closes what is half done is through with it."""
_LEAVE_MAX_S: Final = 30
_ANSWER_S: Final = 5.0
_STATUS_S: Final = 60.0
"""A connector that compiles on a busy machine answers late."""
_LOOK_S: Final = 0.2
_START_NS: Final = 1_000_000_000
"""Within this time all exchanges are told when their market begins."""

_EXCHANGE = """\
# Written by `hftd demo`: see configs/exchange.toml for what each key means.
[exchange]
port = 0
control_port = 0
speed = {speed}

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
# Written by `hftd demo`: see configs/{venue}.toml for what each key means.
{urls}
order_prefix = "demo"
journal = "{journal}"
stale_after_s = 3.0
first_message_s = 3.0
reconcile_every_s = 5.0

[limits]
max_order_qty = {order_qty}
max_position = {position}
max_open_orders = 50
"""


class Leg(msgspec.Struct, frozen=True, kw_only=True):
    """An exchange, the connector to it, and what the bot trades there.

    Attributes:
        venue: The exchange.
        channel: Of the archive, as in its pattern.
        instrument: What the bot trades, and on which channel of the connector.
        contract: Keys of the exchange's `[[symbols]]` besides the symbol.
        suffix: Of file names and of the processes' names; empty if there is one leg.
    """

    venue: LiveVenue
    channel: str
    instrument: InstrumentSection
    contract: str
    suffix: str = ""

    @property
    def symbol(self) -> str:
        """The instrument's symbol."""
        return self.instrument.symbol

    @property
    def journal(self) -> str:
        """The name of the connector's journal."""
        return f"orders{self.suffix}.journal"


class Market(msgspec.Struct, frozen=True, kw_only=True):
    """What the exchanges play to whom.

    Attributes:
        legs: One for each of the bot's instruments, in their order.
        data: The archives' pattern.
        date: The day.
        begin_ns: The market's time at which all exchanges begin together; 0: the only one begins when it is there.
        speed: How many times as fast as it was the market goes.
        bot_path: The bot's configuration.
        bot: The bot's name.
    """

    legs: tuple[Leg, ...]
    data: str
    date: str
    begin_ns: int = 0
    # As lively as the middle of a busy day.
    speed: float = 4.0
    bot_path: Path
    bot: str


class Account(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a leg's account at the end.

    Attributes:
        known: The bot's account as the connector has it.
        open_orders: What the connector holds for open when the bot is gone.
        truth: The exchange's account.
        mishaps: What the exchange did wrong, by kind.
    """

    known: status.Position
    open_orders: int
    truth: dict[str, Any]
    mishaps: dict[str, int]


class Played(msgspec.Struct, frozen=True, kw_only=True):
    """What each party knows at the end: the bot, and of each leg the connector and the exchange."""

    result: BotResult
    accounts: list[Account]

    def compared(self, market: Market) -> list[list[Row]]:
        """For each leg what bot, connector and exchange say of the account, side by side."""
        return [
            compare(
                self.result,
                account.known,
                account.open_orders,
                account.truth,
                leg.instrument.tick_size,
                leg.instrument.lot_size,
                leg.venue.pair,
                asset_no=asset_no,
            )
            for asset_no, (leg, account) in enumerate(zip(market.legs, self.accounts, strict=True))
        ]

    def mishaps(self) -> dict[str, int]:
        """What all exchanges did wrong, by kind, the most frequent first."""
        found: dict[str, int] = {}
        for account in self.accounts:
            for kind, count in account.mishaps.items():
                found[kind] = found.get(kind, 0) + count
        return dict(sorted(found.items(), key=lambda one: -one[1]))


def play(market: Market, folder: Path, seconds: float, chaos: int | None) -> Played:
    """Trade for some seconds, and ask everybody what came of it.

    All processes are gone when this returns or raises.

    Args:
        market: What is played.
        folder: Gets configurations, logs, journals and results.
        seconds: How long the bot trades.
        chaos: A seed for the exchanges' misbehaviour; None: they behave.

    Raises:
        HftdError: A process failed, or they do not come to an end.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for leg in market.legs:
        # It belongs to an exchange that is no more.
        (folder / leg.journal).unlink(missing_ok=True)
    with (folder / "processes.log").open("w") as log, supervised() as children:
        return Stack(children, market, folder, log).play(seconds, chaos)


def _toml(value: str) -> str:
    # A JSON string is a TOML string.
    return msgspec.json.encode(value).decode()


class Stack:
    """The processes.

    Args:
        children: Where they run.
        market: What is played.
        folder: Gets configurations, logs, journals and results.
        log: Gets what they say.

    Attributes:
        controls: The exchanges' control pages, by leg.
        connectors: By leg.
    """

    def __init__(self, children: Children, market: Market, folder: Path, log: IO[str]) -> None:
        self._children = children
        self._market = market
        self._folder = folder
        self._log = log
        self.controls: list[str] = []
        self.connectors: list[Child] = []
        self._addresses: list[dict[str, str]] = []
        children.on_line = self._keep

    def play(self, seconds: float, chaos: int | None) -> Played:
        """As the module's `play`."""
        legs = self._market.legs
        # Each has its own bad luck.
        seeds = [None if chaos is None else chaos + number for number in range(len(legs))]
        exchanges = [self._start_exchange(leg, seed) for leg, seed in zip(legs, seeds, strict=True)]
        self._addresses = [self._urls(exchange) for exchange in exchanges]
        self.controls = [urls["control"] for urls in self._addresses]
        self._begin()
        self.connectors = [self.start_connector(number) for number in range(len(legs))]
        for leg in legs:
            self._await_connector(leg)
        bot = self._start_bot()
        self.trade(seconds)
        # Now nothing that rests fills any more, and what has filled is soon known to all.
        for control in self.controls:
            self._pull(control, "/end")
        known = self._settled()
        self._end(bot)
        left = [self._left(leg) for leg in legs]
        for connector in self.connectors:
            self._end(connector)
        accounts = [
            Account(
                known=position,
                open_orders=open_orders,
                truth=self.read(control, f"/truth?api_key={KEY}"),
                mishaps=self.read(control, "/status")["chaos"],
            )
            for position, open_orders, control in zip(known, left, self.controls, strict=True)
        ]
        for exchange in exchanges:
            self._end(exchange)
        (self._folder / "result.json").write_bytes(bot.stdout)
        for leg, account in zip(legs, accounts, strict=True):
            told = msgspec.json.format(msgspec.json.encode(account.truth))
            (self._folder / f"account{leg.suffix}.json").write_bytes(told)
        return Played(result=from_json(bot.stdout, records=self._folder / "result.npz"), accounts=accounts)

    # From the start to the end.

    def _start_exchange(self, leg: Leg, chaos: int | None) -> Child:
        market, path = self._market, self._folder / f"exchange{leg.suffix}.toml"
        quoted = {"channel": leg.channel, "symbol": leg.symbol, "data": market.data}
        told: dict[str, Any] = {"contract": leg.contract, "account": leg.venue.account, "speed": market.speed}
        told |= {key: _toml(value) for key, value in quoted.items()}
        path.write_text(_EXCHANGE.format(**told, key=KEY, secret=SECRET))
        arguments = ["--venue", leg.venue.name, "--date", market.date, "--json", "--config", str(path)]
        arguments += ["--chaos", str(chaos)] if chaos is not None else []
        return self._children.start(f"exchange{leg.suffix}", "exchange", *arguments)

    def _urls(self, exchange: Child) -> dict[str, str]:
        """Its addresses, once it listens."""
        for _ in self.until(READY_MAX_S, "the exchange does not listen"):
            if exchange.stdout.endswith(b"\n"):
                break
        return msgspec.json.decode(exchange.stdout, type=dict[str, str])

    def _begin(self) -> None:
        """Let the markets of several exchanges begin at one moment, so that what they play belongs together."""
        if self._market.begin_ns:
            at = f"/rewind?market_ns={self._market.begin_ns}&at_ns={running_ns() + _START_NS}"
            for control in self.controls:
                self._pull(control, at)

    def start_connector(self, number: int) -> Child:
        """Start a leg's connector; a journal that is there is its own."""
        leg, urls = self._market.legs[number], self._addresses[number]
        venue = leg.venue
        # Named after the exchange, which tells the connector which one it is.
        path = self._folder / f"{venue.name}.toml"
        told = "\n".join(f"{key} = {_toml(urls[one])}" for key, one in venue.urls.items())
        limits = {"order_qty": venue.order_qty, "position": venue.position}
        path.write_text(_CONNECTOR.format(urls=told, **limits, venue=venue.name, journal=leg.journal))
        arguments = ["--config", str(path), "--name", leg.instrument.channel, "--log", "people"]
        keys = {"HFTD_API_KEY": KEY, "HFTD_SECRET": SECRET}
        return self._children.start(f"connector{leg.suffix}", "connector", *arguments, **keys)

    def _await_connector(self, leg: Leg) -> None:
        socket = self._children.runtime / f"{leg.instrument.channel}.sock"
        for _ in self.until(READY_MAX_S, "the connector does not open its channel"):
            if socket.exists():
                return

    def _start_bot(self) -> Child:
        arguments = ["--config", str(self._market.bot_path), "--record", str(self._folder / "result.npz")]
        bot = self._children.start("bot", "bot", *arguments, "--progress", "plain", "--json")
        for _ in self.until(READY_MAX_S, "the bot does not come to the channel, or has no valid book"):
            if bot.code == 0:
                raise HftdError("the bot ended before it was told to", where="hftd bot")
            if all(self._is_ready(self.daemon(leg)) for leg in self._market.legs):
                break
        return bot

    def _is_ready(self, daemon: status.DaemonStatus) -> bool:
        return bool(daemon.bots) and all(one.book_is_valid for one in daemon.channels[0].markets)

    def trade(self, seconds: float) -> None:
        """Let the bot trade."""
        start_ns = monotonic_ns()
        with Share("trading") as progress:
            for _ in self.until(seconds + 1.0, ""):
                passed_s = (monotonic_ns() - start_ns) / 1e9
                progress(min(passed_s, seconds), seconds)
                if passed_s >= seconds:
                    return

    def _settled(self) -> list[status.Position]:
        """The bot's account at each connector, once all executions are known there and there are no new ones."""
        executed: list[int] = []
        since_ns = 0
        for _ in self.until(SETTLE_MAX_S, "the connectors have not heard of all executions"):
            counts = [
                sum(one["trades"] for one in self.read(control, "/status")["accounts"])
                for control in self.controls
            ]
            if counts != executed:
                executed, since_ns = counts, monotonic_ns()
            known = [self._position(leg) for leg in self._market.legs]
            is_known = [one.num_trades for one in known] == counts
            if is_known and monotonic_ns() - since_ns > _QUIET_S * 1e9:
                # The bot looks each few milliseconds.
                return known
        raise AssertionError("the loop ends with a result or an error")

    def _position(self, leg: Leg) -> status.Position:
        bots = [bot for bot in self.daemon(leg).bots if bot.name == self._market.bot]
        held = [one for bot in bots for one in bot.positions if one.symbol == leg.symbol]
        return held[0] if held else status.Position(symbol=leg.symbol, position=0.0)

    def _left(self, leg: Leg) -> int:
        """How many orders the connector holds for open, once the bot's are cancelled or that takes too long."""
        open_orders = 0
        for _ in ticks(SETTLE_MAX_S):
            self._children.relay(_LOOK_S)
            open_orders = sum(len(bot.orders) + bot.orders_left_out for bot in self.daemon(leg).bots)
            if not open_orders:
                break
        return open_orders

    def _end(self, child: Child) -> None:
        child.interrupt()
        for _ in ticks(_LEAVE_MAX_S):
            self._children.relay(_LOOK_S)
            if child.code is not None:
                break
        else:
            raise HftdError("does not end", where=f"hftd {child.name}")
        self._children.check()

    # Talking to them.

    def until(self, limit_s: float, what: str) -> Iterator[None]:
        """Again and again while all processes live, for so long at most."""
        return self._children.until(limit_s, what, "hftd demo", _LOOK_S)

    def _keep(self, name: str, line: str) -> None:
        """Keep what a process says, and show what is worth it."""
        width = max(len(child.name) for child in self._children.all)
        self._log.write(f"{name:<{width}} | {line}\n")
        if name == "bot" or line.startswith("compil"):
            click.echo(f"  {name:<{width}} | {line}", err=True)

    @contextlib.contextmanager
    def _answering(self) -> Iterator[None]:
        """Ask a process; if it ended instead of answering, that is the error."""
        try:
            yield
        except HftdError:
            sleep(_LOOK_S)
            self._children.check()
            raise

    def daemon(self, leg: Leg) -> status.DaemonStatus:
        """What a leg's connector says."""
        name, runtime = leg.instrument.channel, self._children.runtime
        deadline_ns = monotonic_ns() + int(_STATUS_S * 1e9)
        with self._answering():
            return ask(name, wire.ASK_STATUS, status.DaemonStatus, deadline_ns, directory=runtime)[1]

    def read(self, control: str, path: str) -> dict[str, Any]:
        """Ask an exchange's control page."""
        with self._answering():
            return self._control_page("GET", control + path)

    def _pull(self, control: str, path: str) -> None:
        with self._answering():
            self._control_page("POST", control + path)

    def _control_page(self, method: str, url: str) -> dict[str, Any]:
        request = urllib.request.Request(url, method=method)  # noqa: S310 - the exchange's own page
        try:
            with urllib.request.urlopen(request, timeout=_ANSWER_S) as reply:  # noqa: S310 - the same
                return msgspec.json.decode(reply.read(), type=dict[str, Any])
        except (OSError, msgspec.DecodeError) as error:
            raise HftdError(f"the exchange's control page does not answer: {error}", where=url) from None
