"""`hftd demo --live`: a local exchange, a connector and a bot, in good and in bad weather."""

import sys
from pathlib import Path

import click
from rich.table import Table
from rich.text import Text

from daemon.cli.run.demo_run import stage
from daemon.cli.run.live_check import Row, compare
from daemon.cli.run.live_run import Market, Played, play
from daemon.cli.run.live_venues import LiveVenue
from daemon.cli.show import text
from daemon.cli.show.console import Console
from daemon.cli.show.picture import draw
from daemon.cli.show.results import show_bot
from hftd.bot.config import BotConfig, InstrumentSection
from hftd.config import load, resolve
from hftd.errors import ConfigError
from sim.config import ReplayConfig
from sim.generate import DEMO_DATE

_PIPE_WIDTH = 200
_STAGES = 4
_MISHAPS_SHOWN = 8


def market_of(venue: LiveVenue, replay_path: Path, bot_path: Path) -> tuple[Market, InstrumentSection]:
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
    instrument = bot.instruments[0]
    market = Market(
        venue=venue,
        channel=played.channel,
        data=str(resolve(replay_path.parent, replay.replay.data).absolute()),
        symbol=played.symbol,
        date=DEMO_DATE,
        bot_path=bot_path,
        connector=instrument.channel,
        bot=bot.bot.name,
    )
    return market, instrument


def is_there(market: Market) -> bool:
    """Whether the day was generated already."""
    return Path(market.data.format(channel=market.channel, symbol=market.symbol, date=market.date)).is_file()


def run(market: Market, instrument: InstrumentSection, folder: Path, seconds: float, chaos: int) -> bool:
    """Trade in good and in bad weather, show both. Returns whether all parties agree on both."""
    text = f"speaks {market.venue.says}, plays the day; a connector trades its account; a bot trades on the connector"
    stage(2, "An exchange", text, of=_STAGES)
    good = _one(market, folder / "calm", seconds, None)
    text = f"the same with --chaos {chaos}: replies lost, late and doubled, connections torn, gaps, bans, a wrong clock"
    stage(3, "Bad weather", text, of=_STAGES)
    bad = _one(market, folder / "chaos", seconds, chaos)
    stage(4, "The result", "what bot, connector and exchange say of one account", of=_STAGES)
    agree = [_show("calm", good, instrument), _show(f"--chaos {chaos}", bad, instrument)]
    _show_mishaps(bad)
    for name, played in (("calm", good), ("chaos", bad)):
        draw(folder / name / "result.png", played.result)
    shown = " and ".join(
        click.style(str(folder / name / "result.png"), bold=True) for name in ("calm", "chaos")
    )
    click.echo(f"\nPictures: {shown}; beside them are logs, journals and the exchange's accounts.")
    if all(agree):
        click.echo(click.style("Bot, connector and exchange agree to the last unit, in both.", fg="green"))
    else:
        click.echo(click.style("They do not agree.", fg="red", bold=True))
    return all(agree)


def _one(market: Market, folder: Path, seconds: float, chaos: int | None) -> Played:
    folder.mkdir(parents=True, exist_ok=True)
    return play(market, folder, seconds, chaos)


def _show(name: str, played: Played, instrument: InstrumentSection) -> bool:
    console = Console(width=None if sys.stdout.isatty() else _PIPE_WIDTH)
    console.print()
    show_bot(played.result)
    rows = compare(
        played.result,
        played.known,
        played.open_orders,
        played.truth,
        instrument.tick_size,
        instrument.lot_size,
    )
    console.print(_table(name, rows))
    orders = played.truth["orders"]
    console.print(f"{text.count(len(orders), 'order')} reached the exchange", markup=False, style="dim")
    return all(row.agrees for row in rows)


def _show_mishaps(played: Played) -> None:
    most = sorted(played.mishaps.items(), key=lambda one: -one[1])
    said = ", ".join(f"{count:,} {kind}" for kind, count in most[:_MISHAPS_SHOWN])
    total = sum(played.mishaps.values())
    click.echo(
        f"The exchange misbehaved {text.count(total, 'time')}: {said}{', ...' if len(most) > _MISHAPS_SHOWN else ''}"
    )


def _table(name: str, rows: list[Row]) -> Table:
    table = Table(title=f"one account, {name}", title_justify="left")
    table.add_column("")
    for heading in ("bot", "connector", "exchange"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("")
    for row in rows:
        verdict = Text("agree", style="green") if row.agrees else Text("DIFFER", style="red bold")
        table.add_row(row.what, row.bot, row.connector, row.exchange, verdict)
    return table
