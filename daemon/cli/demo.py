"""`hftd demo`: the whole way from market data to a result, with real processes."""

import os
import shutil
import sys
from pathlib import Path

import click

from daemon.cli.options import FILE
from hftd.errors import ConfigError, UsageError

_CONFIGS = ("replay.toml", "bot.toml")
_EPILOG = """\b
Examples:
  hftd demo                make demo does the same
  hftd demo --seed 7       another market

It takes ./configs/replay.toml and ./configs/bot.toml, which you may edit
(copies of the originals are put there if they are missing), and writes the
market's archives to where they say, ./data.
"""


@click.command("demo", epilog=_EPILOG)
@click.option("--seed", type=click.IntRange(min=0), default=1, show_default=True, help="Of the market.")
@click.option(
    "--folder", type=FILE, default=Path("demo"), show_default=True, help="For the result and its picture."
)
def command(seed: int, folder: Path) -> None:
    """Generate a market, replay it to a bot over shared memory, show what it earned."""
    from daemon.cli.demo_run import play, stage
    from daemon.cli.picture import draw
    from daemon.cli.results import show_bot
    from hftd.clock import monotonic_ns
    from sim.generate import DEMO_DATE

    start_ns = monotonic_ns()
    replay_path, bot_path = _configs(Path("configs"))
    _make(folder)
    stage(1, "A market", "two instruments that follow one fair price, with their order flow, from a seed")
    _generate(replay_path, seed)
    replaying = f"plays it into shared memory, as a connector does live: hftd replay --date {DEMO_DATE}"
    stage(2, "A daemon", replaying)
    result = play(replay_path, bot_path, DEMO_DATE, folder)
    stage(4, "The result", "what the bot came to, and a picture of how")
    show_bot(result)
    picture = folder / "result.png"
    draw(picture, result)
    shown = click.style(str(picture), bold=True)
    click.echo(f"\nThe picture is {shown}, its numbers are {folder / 'result.npz'}.")
    click.echo(f"All of it took {(monotonic_ns() - start_ns) / 1e9:.1f} s.")
    click.echo(_next_steps(replay_path, bot_path, DEMO_DATE))


def _configs(folder: Path) -> tuple[Path, Path]:
    """The two configurations in `folder`; the originals are copied there if they are missing."""
    import daemon

    originals = Path(daemon.__file__ or "").resolve().parent.parent / "configs"
    for name in _CONFIGS:
        path, original = folder / name, originals / name
        if path.is_file():
            continue
        if not original.is_file():
            hint = "run the demo in a clone of the project, or write the two files"
            raise ConfigError(f"there is no {path}, and no original of it at {original}", hint=hint)
        _make(folder)
        shutil.copyfile(original, path)
        click.echo(f"wrote {path}", err=True)
    return folder / _CONFIGS[0], folder / _CONFIGS[1]


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"the folder can't be made: {error.strerror}", where=str(folder)) from None


def _generate(replay_path: Path, seed: int) -> None:
    from daemon.cli.compiling import watching
    from daemon.cli.progress import Share
    from hftd.config import load, resolve
    from sim.config import InterpolatedLatency, ReplayConfig
    from sim.generate import DEMO, DEMO_DATE, write_day

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
    with watching("plain"), Share("generating") as progress:
        written = write_day(
            Path(),
            DEMO,
            seed=seed,
            date=DEMO_DATE,
            pattern=str(resolve(base, data)),
            latency_pattern=str(resolve(base, latency_pattern)),
            progress=lambda share: progress(share, 1.0),
        )
    for path in written:
        click.echo(f"  {os.path.relpath(path)}  {path.stat().st_size / 1e6:.1f} MB", err=True)


def _next_steps(replay_path: Path, bot_path: Path, date: str) -> str:
    # Where the environment is not activated, the command is called by its path.
    hftd = "hftd" if shutil.which("hftd") else os.path.relpath(Path(sys.executable).with_name("hftd"))
    steps = (
        (f"{hftd} replay --date {date}", "the daemon by hand, and in another terminal"),
        (f"{hftd} bot --config {bot_path}", "the bot"),
        (f"{hftd} backtest --bot {bot_path} --date {date}", "the same result in one process"),
        (f"edit {bot_path}", "the strategy's parameters; then run the demo again"),
        ("edit strategies/market_making.py", "the strategy itself"),
        (f"edit {replay_path}", "latency, queue and fees"),
    )
    width = max(len(command) for command, _ in steps)
    lines = [f"  {click.style(command.ljust(width), fg='cyan')}  {text}" for command, text in steps]
    return "\n".join(["\nNext:", *lines])
