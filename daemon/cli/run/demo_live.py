"""`hftd demo --live`: a local exchange, a connector and a bot, in good and in bad weather; all accounts compared."""

from pathlib import Path
from typing import Final

import click

from daemon.cli.run.demo import find_configs, generate, make_folder, stage, write_market
from daemon.cli.run.live_stack import Leg, Market, Played, play
from daemon.cli.run.live_venues import LiveVenue, live_venue
from daemon.cli.show import charts, runs, text
from daemon.cli.show.picture import draw
from daemon.cli.show.terminal import show
from hftd.bot.config import BotConfig
from hftd.clock import monotonic_ns
from hftd.config import load, resolve
from hftd.errors import ConfigError
from sim.config import ReplayConfig
from sim.generate import DEMO, DEMO_DATE

_MISHAPS_SHOWN: Final = 8


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
    symbol = market.legs[0].symbol
    stage(1, "A market", f"a generated day of {symbol}{', the one of `hftd demo`' if is_demos else ''}")
    if seed is not None or not is_there(market):
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
    agree = play_twice(
        market, folder, seconds, chaos, says="what bot, connector and exchange say of one account"
    )
    click.echo(f"All of it took {(monotonic_ns() - start_ns) / 1e9:.1f} s.")
    return agree


def play_twice(
    market: Market, folder: Path, seconds: float, chaos: int, *, says: str, stages: int = 4
) -> bool:
    """Play in good and in bad weather, and show what all parties say of the accounts.

    Args:
        market: What is played to whom.
        folder: Gets a folder for each weather.
        seconds: How long the bot trades, each time.
        chaos: The seed of the misbehaviour.
        says: What is shown, for the heading.
        stages: How many stages the demo has; these are the third and the fourth.

    Returns:
        Whether all parties agree on both.
    """
    good = play(market, folder / "calm", seconds, None)
    weather = "replies lost, late and doubled, connections torn, gaps, bans, a wrong clock"
    stage(3, "Bad weather", f"the same with --chaos {chaos}: {weather}", of=stages)
    bad = play(market, folder / "chaos", seconds, chaos)
    stage(4, "The result", says, of=stages)
    agree = [_show("calm", good, market), _show(f"--chaos {chaos}", bad, market)]
    mishaps = bad.mishaps()
    said = ", ".join(f"{count:,} {kind}" for kind, count in list(mishaps.items())[:_MISHAPS_SHOWN])
    is_one = len(market.legs) == 1
    who, whose = ("exchange", "exchange's") if is_one else ("exchanges", "exchanges'")
    total = text.count(sum(mishaps.values()), "time")
    click.echo(f"The {who} misbehaved {total}: {said}{', ...' if len(mishaps) > _MISHAPS_SHOWN else ''}")
    pictures = folder / "calm" / "result.png", folder / "chaos" / "result.png"
    for path, played in zip(pictures, (good, bad), strict=True):
        draw(path, charts.bot(played.result))
    shown = " and ".join(click.style(str(path), bold=True) for path in pictures)
    click.echo(f"\nPictures: {shown}; beside them are logs, journals and the {whose} accounts.")
    if all(agree):
        parties = "Bot, connector and exchange" if is_one else "Bot, connectors and exchanges"
        click.echo(click.style(f"{parties} agree to the last unit, in both.", fg="green"))
    else:
        click.echo(click.style("They do not agree.", fg="red", bold=True))
    return all(agree)


def is_there(market: Market) -> bool:
    """Whether the day was generated already."""
    paths = [
        market.data.format(channel=leg.channel, symbol=leg.symbol, date=market.date) for leg in market.legs
    ]
    return all(Path(path).is_file() for path in paths)


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
    leg = Leg(venue=venue, channel=played.channel, instrument=bot.instruments[0], contract=venue.contract)
    data = str(resolve(replay_path.parent, replay.replay.data).absolute())
    return Market(legs=(leg,), data=data, date=DEMO_DATE, bot_path=bot_path, bot=bot.bot.name)


def _show(name: str, played: Played, market: Market) -> bool:
    tables = played.compared(market)
    orders = sum(len(account.truth["orders"]) for account in played.accounts)
    names = [""] if len(market.legs) == 1 else [leg.venue.name for leg in market.legs]
    show(runs.accounts(name, played.result, list(zip(names, tables, strict=True)), orders))
    return all(row.agrees for rows in tables for row in rows)
