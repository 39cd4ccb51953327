"""`hftd demo --live`: a local exchange, a connector and a bot, in good and in bad weather; all accounts compared."""

import contextlib
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, Final

import click
import msgspec

from daemon.cli.run.demo import find_configs, generate, make_folder, stage, write_market
from daemon.cli.run.live_check import compare
from daemon.cli.run.live_venues import LiveVenue, live_venue
from daemon.cli.run.supervisor import READY_MAX_S, Child, Children, supervised, ticks
from daemon.cli.show import charts, runs, text
from daemon.cli.show.picture import draw
from daemon.cli.show.progress import Share
from daemon.cli.show.terminal import show
from hftd import wire
from hftd.bot.config import BotConfig, InstrumentSection
from hftd.bot.result import BotResult, from_json
from hftd.clock import monotonic_ns, sleep
from hftd.config import load, resolve
from hftd.control import status
from hftd.control.asking import ask
from hftd.errors import ConfigError, HftdError
from sim.config import ReplayConfig
from sim.generate import DEMO, DEMO_DATE

KEY, SECRET = "local-demo-key", "local-demo-secret"
"""They open nothing but the demo's exchange."""
SETTLE_MAX_S: Final = 60
"""How long the last orders and executions may take to be known to all."""
_LEAVE_MAX_S: Final = 30
_ANSWER_S: Final = 5.0
_STATUS_S: Final = 60.0
"""A connector that compiles on a busy machine answers late."""
_LOOK_S: Final = 0.2
_MISHAPS_SHOWN: Final = 8

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
    """What the exchange plays to whom.

    Attributes:
        venue: The exchange.
        channel: Of the archive, as in its pattern.
        data: The archive's pattern.
        bot_path: The bot's configuration.
        bot: The bot's name.
        instrument: What it trades, and on which channel of the connector.
    """

    venue: LiveVenue
    channel: str
    data: str
    bot_path: Path
    bot: str
    instrument: InstrumentSection

    @property
    def symbol(self) -> str:
        """The instrument's symbol."""
        return self.instrument.symbol

    @property
    def is_there(self) -> bool:
        """Whether the day was generated already."""
        return Path(self.data.format(channel=self.channel, symbol=self.symbol, date=DEMO_DATE)).is_file()


class Played(msgspec.Struct, frozen=True, kw_only=True):
    """What each party knows at the end.

    Attributes:
        result: The bot's.
        known: The bot's account as the connector has it.
        open_orders: What the connector holds for open when the bot is gone.
        truth: The exchange's account.
        mishaps: What the exchange did wrong, by kind.
    """

    result: BotResult
    known: status.Position
    open_orders: int
    truth: dict[str, Any]
    mishaps: dict[str, int]


def run(venue_name: str, seed: int | None, folder: Path, seconds: float, chaos: int) -> bool:
    """Trade in good and in bad weather, and show both.

    Args:
        venue_name: The exchange.
        seed: Of the market; None: the one that is there, else 1.
        folder: For results, logs and pictures.
        seconds: How long the bot trades, each time.
        chaos: The seed of the misbehaviour.

    Returns:
        Whether all parties agree on both.
    """
    start_ns = monotonic_ns()
    venue = live_venue(venue_name)
    replay_path, bot_path = find_configs(Path("configs"), ("replay.toml", venue.bot))
    market = market_of(venue, replay_path, bot_path)
    make_folder(folder)
    is_demos = venue.markets is DEMO
    stage(
        1, "A market", f"a generated day of {market.symbol}{', the one of `hftd demo`' if is_demos else ''}"
    )
    if seed is not None or not market.is_there:
        seed = 1 if seed is None else seed
        if is_demos:
            generate(replay_path, seed)
        else:
            latencies = str(Path(market.data).with_name("latency_{date}.npz"))
            write_market(venue.markets, seed, market.data, latencies)
    says = (
        f"speaks {venue.says}, plays the day; a connector trades its account; a bot trades on the connector"
    )
    stage(2, "An exchange", says)
    good = play(market, folder / "calm", seconds, None)
    says = f"the same with --chaos {chaos}: replies lost, late and doubled, connections torn, gaps, bans, a wrong clock"
    stage(3, "Bad weather", says)
    bad = play(market, folder / "chaos", seconds, chaos)
    stage(4, "The result", "what bot, connector and exchange say of one account")
    agree = [_show("calm", good, market), _show(f"--chaos {chaos}", bad, market)]
    most = sorted(bad.mishaps.items(), key=lambda one: -one[1])
    said = ", ".join(f"{count:,} {kind}" for kind, count in most[:_MISHAPS_SHOWN])
    total = text.count(sum(bad.mishaps.values()), "time")
    click.echo(f"The exchange misbehaved {total}: {said}{', ...' if len(most) > _MISHAPS_SHOWN else ''}")
    pictures = folder / "calm" / "result.png", folder / "chaos" / "result.png"
    for path, played in zip(pictures, (good, bad), strict=True):
        draw(path, charts.bot(played.result))
    shown = " and ".join(click.style(str(path), bold=True) for path in pictures)
    click.echo(f"\nPictures: {shown}; beside them are logs, journals and the exchange's accounts.")
    if all(agree):
        click.echo(click.style("Bot, connector and exchange agree to the last unit, in both.", fg="green"))
    else:
        click.echo(click.style("They do not agree.", fg="red", bold=True))
    click.echo(f"All of it took {(monotonic_ns() - start_ns) / 1e9:.1f} s.")
    return all(agree)


def market_of(venue: LiveVenue, replay_path: Path, bot_path: Path) -> Market:
    """What is played to whom.

    Raises:
        ConfigError: The bot does not trade the demo's instrument alone.
    """
    replay, bot = load(replay_path, ReplayConfig), load(bot_path, BotConfig)
    played = venue.markets[0]
    if len(bot.instruments) != 1 or bot.instruments[0].symbol != played.symbol:
        raise ConfigError(
            f"the demo's exchange has {played.symbol} alone",
            where=str(bot_path),
            hint=f'leave one [[instruments]] with symbol = "{played.symbol}"',
        )
    data = str(resolve(replay_path.parent, replay.replay.data).absolute())
    whose = {"bot_path": bot_path, "bot": bot.bot.name, "instrument": bot.instruments[0]}
    return Market(venue=venue, channel=played.channel, data=data, **whose)


def _show(name: str, played: Played, market: Market) -> bool:
    steps = market.instrument.tick_size, market.instrument.lot_size
    rows = compare(played.result, played.known, played.open_orders, played.truth, *steps, market.venue.pair)
    show(runs.accounts(name, played.result, rows, len(played.truth["orders"])))
    return all(row.agrees for row in rows)


def play(market: Market, folder: Path, seconds: float, chaos: int | None) -> Played:
    """Trade for some seconds, and ask everybody what came of it.

    All processes are gone when this returns or raises.

    Args:
        market: What is played.
        folder: Gets configurations, logs, journal and results.
        seconds: How long the bot trades.
        chaos: A seed for the exchange's misbehaviour; None: it behaves.

    Raises:
        HftdError: A process failed, or they do not come to an end.
    """
    folder.mkdir(parents=True, exist_ok=True)
    # It belongs to an exchange that is no more.
    (folder / "orders.journal").unlink(missing_ok=True)
    with (folder / "processes.log").open("w") as log, supervised() as children:
        return _Stack(children, market, folder, log).play(seconds, chaos)


def _toml(value: str) -> str:
    # A JSON string is a TOML string.
    return msgspec.json.encode(value).decode()


class _Stack:
    """The three processes."""

    def __init__(self, children: Children, market: Market, folder: Path, log: IO[str]) -> None:
        self._children = children
        self._market = market
        self._folder = folder
        self._log = log
        self._control = ""
        children.on_line = self._keep

    def play(self, seconds: float, chaos: int | None) -> Played:
        exchange = self._start_exchange(chaos)
        urls = msgspec.json.decode(exchange.stdout, type=dict[str, str])
        self._control = urls["control"]
        connector = self._start_connector(urls)
        bot = self._start_bot()
        self._trade(seconds)
        # Now nothing fills any more, and what has filled is soon known to all.
        self._pull("/end")
        known = self._settled()
        self._end(bot)
        open_orders = self._left()
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
        )

    # From the start to the end.

    def _start_exchange(self, chaos: int | None) -> Child:
        market, path = self._market, self._folder / "exchange.toml"
        quoted = {"channel": market.channel, "symbol": market.symbol, "data": market.data}
        told = {"contract": market.venue.contract, "account": market.venue.account}
        told |= {key: _toml(value) for key, value in quoted.items()}
        path.write_text(_EXCHANGE.format(**told, key=KEY, secret=SECRET))
        arguments = ["--venue", market.venue.name, "--date", DEMO_DATE, "--json", "--config", str(path)]
        arguments += ["--chaos", str(chaos)] if chaos is not None else []
        exchange = self._children.start("exchange", "exchange", *arguments)
        for _ in self._until(READY_MAX_S, "the exchange does not listen"):
            if exchange.stdout.endswith(b"\n"):
                break
        return exchange

    def _start_connector(self, urls: dict[str, str]) -> Child:
        name, venue = self._market.instrument.channel, self._market.venue
        # Named after the exchange, which tells the connector which one it is.
        path = self._folder / f"{venue.name}.toml"
        told = "\n".join(f"{key} = {_toml(urls[one])}" for key, one in venue.urls.items())
        limits = {"order_qty": venue.order_qty, "position": venue.position}
        path.write_text(_CONNECTOR.format(urls=told, **limits, venue=venue.name))
        arguments = ["--config", str(path), "--name", name, "--log", "people"]
        keys = {"HFTD_API_KEY": KEY, "HFTD_SECRET": SECRET}
        connector = self._children.start("connector", "connector", *arguments, **keys)
        socket = self._children.runtime / f"{name}.sock"
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
            self._children.relay(_LOOK_S)
            open_orders = sum(len(bot.orders) + bot.orders_left_out for bot in self._status().bots)
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

    def _until(self, limit_s: float, what: str) -> Iterator[None]:
        """Again and again while all processes live, for so long at most."""
        return self._children.until(limit_s, what, "hftd demo --live", _LOOK_S)

    def _keep(self, name: str, line: str) -> None:
        """Keep what a process says, and show what is worth it."""
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
            self._children.check()
            raise

    def _status(self) -> status.DaemonStatus:
        name, runtime = self._market.instrument.channel, self._children.runtime
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
            with urllib.request.urlopen(request, timeout=_ANSWER_S) as reply:  # noqa: S310 - the same
                return msgspec.json.decode(reply.read(), type=dict[str, Any])
        except (OSError, msgspec.DecodeError) as error:
            raise HftdError(
                f"the exchange's control page does not answer: {error}", where=request.full_url
            ) from None
