"""`hftd demo --cross`: one bot on three exchanges, live in good and in bad weather, then the same day in a backtest."""

import datetime
from pathlib import Path
from typing import Final

import click

from daemon.cli.compiling import watching
from daemon.cli.run.demo import find_configs, make_folder, make_page, said_of, stage
from daemon.cli.run.demo_live import is_there, play_twice
from daemon.cli.run.live_stack import Leg, Market
from daemon.cli.run.live_venues import live_venue
from daemon.cli.run.supervisor import supervised
from daemon.cli.show import runs
from daemon.cli.show.progress import Share
from daemon.cli.show.terminal import show
from hftd.bot.config import BotConfig, InstrumentSection
from hftd.bot.result import from_json
from hftd.clock import monotonic_ns
from hftd.config import load, resolve
from hftd.errors import ConfigError, HftdError
from sim.config import ReplayConfig
from sim.generate import DEMO_DATE, MARKETS, MarketInstrument, write_market

CONFIGS: Final = ("cross.toml", "cross-making.toml")
"""The replay's and the bot's."""
_BACKTEST_MAX_S: Final = 300
_STAGES: Final = 5
_NOTIONAL_MIN: Final = 5.0


def run(seed: int | None, folder: Path, seconds: float, chaos: int) -> bool:
    """Trade on three exchanges in good and in bad weather, then in a backtest of the same day; show all three.

    Args:
        seed: Of the market; None: the one that is there, else 1.
        folder: For results, logs, pictures and the page.
        seconds: How long the bot trades live, each time.
        chaos: The seed of the misbehaviour.

    Returns:
        Whether bot, connectors and exchanges agree on all accounts.
    """
    start_ns = monotonic_ns()
    replay_path, bot_path = find_configs(Path("configs"), CONFIGS)
    market = market_of(replay_path, bot_path)
    make_folder(folder)
    venues = ", ".join(leg.venue.name for leg in market.legs)
    stage(1, "Three markets", f"of one coin, on {venues}: they follow one fair price", of=_STAGES)
    if seed is not None or not is_there(market):
        _generate(Path(market.data), 1 if seed is None else seed)
    says = (
        "each plays its market; a connector trades each one's account; one bot trades on all three connectors"
    )
    stage(2, "Three exchanges", says, of=_STAGES)
    says = "what bot, connectors and exchanges say of three accounts"
    agree = play_twice(market, folder, seconds, chaos, says=says, stages=_STAGES)
    stage(5, "A backtest", "the same bot on the same day, in one process", of=_STAGES)
    _backtest(replay_path, bot_path, folder / "backtest")
    click.echo(f"All of it took {(monotonic_ns() - start_ns) / 1e9:.1f} s.")
    return agree


def market_of(replay_path: Path, bot_path: Path) -> Market:
    """What is played to whom.

    Raises:
        ConfigError: The bot trades what the demo's exchanges do not have.
    """
    replay, bot = load(replay_path, ReplayConfig), load(bot_path, BotConfig)
    played = {(one.channel, one.symbol): one for one in MARKETS["cross"].instruments}
    legs: list[Leg] = []
    for instrument in bot.instruments:
        found = played.pop((instrument.channel, instrument.symbol), None)
        if found is None:
            known = ", ".join(f"{one.symbol} on {one.channel}" for one in MARKETS["cross"].instruments)
            raise ConfigError(
                f"the demo's exchanges have no {instrument.symbol} on {instrument.channel}",
                where=str(bot_path),
                hint=f"they have {known}, each of them once",
            )
        legs.append(_leg(found, instrument))
    return Market(
        legs=tuple(legs),
        data=str(resolve(replay_path.parent, replay.replay.data).absolute()),
        date=DEMO_DATE,
        begin_ns=_midnight_ns(DEMO_DATE),
        bot_path=bot_path,
        bot=bot.bot.name,
    )


def _leg(played: MarketInstrument, instrument: InstrumentSection) -> Leg:
    venue = live_venue(played.channel)
    steps = {"tick_size": played.tick_size, "lot_size": played.lot_size}
    fees = {"maker_fee": played.maker_fee, "taker_fee": played.taker_fee}
    # The least that the bot hedges is one lot of the contract.
    least = {"min_price": played.tick_size, "min_qty": played.lot_size, "min_notional": _NOTIONAL_MIN}
    contract = [f'{key} = "{_decimal(value)}"' for key, value in (steps | fees | least).items()]
    if venue.pair is not None:
        contract += [f'{key} = "{asset}"' for key, asset in zip(("base", "quote"), venue.pair, strict=True)]
    return Leg(
        venue=venue,
        channel=played.channel,
        instrument=instrument,
        contract="\n".join(contract),
        suffix=f"-{venue.name}",
    )


def _decimal(value: float) -> str:
    return f"{value:.8f}".rstrip("0").rstrip(".")


def _midnight_ns(date: str) -> int:
    """When a generated day begins."""
    day = datetime.datetime.strptime(date, "%Y%m%d").replace(tzinfo=datetime.UTC)
    return int(day.timestamp()) * 1_000_000_000


def _generate(pattern: Path, seed: int) -> None:
    """Generate the day to where the pattern says: a folder of the market, in it one for each channel."""
    with watching("plain"), Share("generating") as progress:
        paths = write_market(
            pattern.parent.parent,
            MARKETS["cross"],
            seed=seed,
            date=DEMO_DATE,
            progress=lambda share: progress(share, 1.0),
        )
    for path in paths:
        said_of(path)


def _backtest(replay_path: Path, bot_path: Path, folder: Path) -> None:
    """Play the day in one process, and make the page of it.

    Raises:
        HftdError: It failed, or does not end.
    """
    make_folder(folder)
    records = folder / "result.npz"
    given = ["--config", str(replay_path), "--bot", str(bot_path), "--date", DEMO_DATE, "--explain"]
    with supervised() as children:
        backtest = children.start("backtest", "backtest", *given, "--record", str(records), "--json")
        for _ in children.until(_BACKTEST_MAX_S, "the backtest does not end", "hftd demo"):
            if backtest.code is not None:
                break
        document = backtest.stdout
    (folder / "result.json").write_bytes(document)
    show(runs.bot(from_json(document, records=records)))
    why_no_page = make_page(folder, life="")
    if why_no_page:
        raise HftdError(f"the page of the backtest could not be made: {why_no_page}", where=str(folder))
    click.echo(f"The page of it is {click.style(str(folder / 'report.html'), bold=True)}.")
