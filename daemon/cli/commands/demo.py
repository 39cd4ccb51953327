"""`hftd demo`: the whole way from market data to a result, with real processes."""

import os
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from daemon.cli.options import FILE
from hftd.errors import ConfigError, UsageError

if TYPE_CHECKING:
    from sim.generate import MarketInstrument

_CONFIGS = ("replay.toml", "bot.toml")
_CHAOS = 42
_VENUE = "binancefutures"
_EPILOG = """\b
Examples:
  hftd demo                make demo does the same
  hftd demo --seed 7       another market
  hftd demo --live         make demo-live does the same
  hftd demo --live --venue binancecoinm
  hftd demo --live --venue bybit

It takes ./configs/replay.toml and ./configs/bot.toml, which you may edit
(copies of the originals are put there if they are missing), and writes the
market's archives to where they say, ./data.

With --live a local exchange plays that market, a connector trades on it as on
the real one, and the bot of ./configs/bot-live.toml (on another --venue that
of ./configs/bot-live-VENUE.toml) trades on the connector; then the same while
the exchange misbehaves. Exit code 1: bot, connector and exchange do not agree
on the account to the last unit.
"""


@click.command("demo", epilog=_EPILOG)
@click.option(
    "--seed", type=click.IntRange(min=0), help="Of the market. Default: 1; with --live the one that is there."
)
@click.option(
    "--folder",
    type=FILE,
    help="For the result, its picture and its page. Default: demo, with --live demo-live.",
)
@click.option("--live", is_flag=True, help="With a local exchange and a connector, as live.")
@click.option("--venue", default=_VENUE, show_default=True, help="The exchange, with --live.")
@click.option(
    "--seconds",
    type=click.FloatRange(1, 300),
    default=20.0,
    show_default=True,
    help="How long the bot trades with --live, each time.",
)
@click.option(
    "--chaos", type=int, default=_CHAOS, show_default=True, help="The seed of the misbehaviour, with --live."
)
def command(seed: int | None, folder: Path | None, live: bool, venue: str, seconds: float, chaos: int) -> int:
    """Generate a market, replay it to a bot over shared memory, show what it earned; or trade on it live."""
    if live:
        return _live(venue, seed, folder or Path("demo-live"), seconds, chaos)
    _replay(1 if seed is None else seed, folder or Path("demo"))
    return 0


def _live(venue_name: str, seed: int | None, folder: Path, seconds: float, chaos: int) -> int:
    from daemon.cli.run.demo_live import is_there, market_of, run
    from daemon.cli.run.demo_run import stage
    from daemon.cli.run.live_venues import live_venue
    from hftd.clock import monotonic_ns
    from sim.generate import DEMO

    start_ns = monotonic_ns()
    venue = live_venue(venue_name)
    replay_path, bot_path = _configs(Path("configs"), ("replay.toml", venue.bot))
    market, instrument = market_of(venue, replay_path, bot_path)
    _make(folder)
    is_demos = venue.markets is DEMO
    stage(
        1, "A market", f"a generated day of {market.symbol}{', the one of `hftd demo`' if is_demos else ''}"
    )
    if seed is not None or not is_there(market):
        seed = 1 if seed is None else seed
        if is_demos:
            _generate(replay_path, seed)
        else:
            _write(venue.markets, seed, market.data, str(Path(market.data).with_name("latency_{date}.npz")))
    agree = run(market, instrument, folder, seconds, chaos)
    click.echo(f"All of it took {(monotonic_ns() - start_ns) / 1e9:.1f} s.")
    return 0 if agree else 1


def _replay(seed: int, folder: Path) -> None:
    from daemon.cli.run.demo_run import make_page, play, stage
    from daemon.cli.show.picture import draw
    from daemon.cli.show.results import show_bot
    from hftd.clock import monotonic_ns
    from sim.generate import DEMO_DATE

    start_ns = monotonic_ns()
    replay_path, bot_path = _configs(Path("configs"), _CONFIGS)
    _make(folder)
    stage(1, "A market", "two instruments that follow one fair price, with their order flow, from a seed")
    _generate(replay_path, seed)
    replaying = f"plays it into shared memory, as a connector does live: hftd replay --date {DEMO_DATE}"
    stage(2, "A daemon", replaying)
    result = play(replay_path, bot_path, DEMO_DATE, folder)
    stage(4, "The result", "what the bot came to, a picture of how, and a page of figures")
    show_bot(result)
    picture = folder / "result.png"
    draw(picture, result)
    why_no_page = make_page(folder)
    shown = [click.style(str(path), bold=True) for path in (picture, folder / "report.html")]
    page = f"there is no page:\n{why_no_page}" if why_no_page else f"the page is {shown[1]}."
    click.echo(f"\nThe picture is {shown[0]}, {page}")
    click.echo(f"All of it took {(monotonic_ns() - start_ns) / 1e9:.1f} s.")
    click.echo(_next_steps(replay_path, bot_path, DEMO_DATE, folder))


def _configs(folder: Path, names: tuple[str, str]) -> tuple[Path, Path]:
    """The two configurations in `folder`; the originals are copied there if they are missing."""
    import daemon

    package = Path(daemon.__file__ or "").resolve().parent
    # In a wheel they are inside of the package, in a clone beside it.
    inside = package / "configs"
    originals = inside if inside.is_dir() else package.parent / "configs"
    for name in names:
        path, original = folder / name, originals / name
        if path.is_file():
            continue
        if not original.is_file():
            hint = "run the demo in a clone of the project, or write the two files"
            raise ConfigError(f"there is no {path}, and no original of it at {original}", hint=hint)
        _make(folder)
        shutil.copyfile(original, path)
        click.echo(f"wrote {path}", err=True)
    return folder / names[0], folder / names[1]


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"the folder can't be made: {error.strerror}", where=str(folder)) from None


def _generate(replay_path: Path, seed: int) -> None:
    from hftd.config import load, resolve
    from sim.config import InterpolatedLatency, ReplayConfig
    from sim.generate import DEMO

    config = load(replay_path, ReplayConfig)
    known = [(one.channel, one.symbol) for one in DEMO]
    assets = [(channel.name, asset) for channel in config.channels for asset in channel.instruments]
    for channel, asset in assets:
        if (channel, asset.symbol) not in known:
            generated = ", ".join(f"{symbol} on {channel}" for channel, symbol in known)
            raise ConfigError(
                f"the demo has no market for {asset.symbol} on {channel}",
                where=str(replay_path),
                hint=f"it generates {generated}; to replay data of your own use hftd replay",
            )
    base, data = replay_path.parent, config.replay.data
    latencies = [asset.order_latency for _, asset in assets]
    files = [latency.files for latency in latencies if isinstance(latency, InterpolatedLatency)]
    latency_pattern = files[0] if files else data.replace("{symbol}", "latency")
    _write(DEMO, seed, str(resolve(base, data)), str(resolve(base, latency_pattern)))


def _write(markets: "Sequence[MarketInstrument]", seed: int, pattern: str, latency_pattern: str) -> None:
    """Generate a day of some markets, and say which files that made."""
    from daemon.cli.compiling import watching
    from daemon.cli.progress import Share
    from sim.generate import DEMO_DATE, write_day

    with watching("plain"), Share("generating") as progress:
        written = write_day(
            Path(),
            markets,
            seed=seed,
            date=DEMO_DATE,
            pattern=pattern,
            latency_pattern=latency_pattern,
            progress=lambda share: progress(share, 1.0),
        )
    for path in written:
        click.echo(f"  {os.path.relpath(path)}  {path.stat().st_size / 1e6:.1f} MB", err=True)


def _next_steps(replay_path: Path, bot_path: Path, date: str, folder: Path) -> str:
    # Where the environment is not activated, the command is called by its path.
    hftd = "hftd" if shutil.which("hftd") else os.path.relpath(Path(sys.executable).with_name("hftd"))
    steps = (
        (f"{hftd} explain {folder / 'life.npz'}", "why its orders filled"),
        (
            f"{hftd} report {folder / 'result.npz'} --life {folder / 'life.npz'}",
            "the page; --help has its options",
        ),
        (f"{hftd} replay --date {date}", "the daemon by hand, and in another terminal: hftd bot"),
        (f"{hftd} backtest --bot {bot_path} --date {date}", "the same result in one process"),
        (f"edit {bot_path}", "the parameters, or the strategy that it names; then run the demo again"),
        (f"edit {replay_path}", "latency, queue and fees"),
    )
    width = max(len(command) for command, _ in steps)
    lines = [f"  {click.style(command.ljust(width), fg='cyan')}  {text}" for command, text in steps]
    return "\n".join(["\nNext:", *lines])
