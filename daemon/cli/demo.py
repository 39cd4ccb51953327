"""`hftd demo`: the whole way from market data to a result, with real processes."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from daemon.cli.options import FILE
from hftd.errors import ConfigError, HftdError, UsageError

if TYPE_CHECKING:
    from daemon.cli.processes import Child, Children
    from daemon.cli.progress import Shown
    from hftd.bot.result import BotResult
    from sim.config import ReplayConfig

READY_MAX_S = 300
"""The daemon compiles at its first start; longer than this it can't take."""
SILENT_MAX_S = 300
"""Processes that say nothing for so long are given up."""
LEAVE_MAX_S = 60
"""When one of the processes has ended, the other must end within this time."""

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
    from sim.generate import DEMO_DATE

    from daemon.cli.picture import draw
    from daemon.cli.results import show_bot
    from hftd.clock import monotonic_ns

    start_ns = monotonic_ns()
    replay_path, bot_path = _configs(Path("configs"))
    _make(folder)
    _stage(
        1,
        "A market",
        "two instruments that follow one fair price; each order book, order by order, from a seed",
    )
    _generate(replay_path, seed)
    _stage(
        2,
        "A daemon",
        f"plays that day into shared memory, as a connector would live: hftd replay --date {DEMO_DATE}",
    )
    result = _play(replay_path, bot_path, folder)
    _stage(4, "The result", "what the bot came to, and a picture of how")
    show_bot(result)
    picture = folder / "result.png"
    draw(picture, result)
    click.echo(
        f"\nThe picture is {click.style(str(picture), bold=True)}, its numbers are {folder / 'result.npz'}."
    )
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


def _stage(number: int, title: str, text: str) -> None:
    click.echo(f"\n{click.style(f'{number}/4  {title}', bold=True)}  {text}", err=True)


def _generate(replay_path: Path, seed: int) -> None:
    from sim.generate import DEMO, DEMO_DATE, write_day

    from daemon.cli.compiling import watching
    from daemon.cli.progress import Share
    from hftd.config import load, resolve
    from sim.config import InterpolatedLatency, ReplayConfig

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


def _play(replay_path: Path, bot_path: Path, folder: Path) -> "BotResult":
    """Run the daemon and the bot as processes of their own, with a runtime directory of their own."""
    from sim.generate import DEMO_DATE

    from daemon.cli.processes import Children, exiting_on_sigterm
    from daemon.cli.progress import replay_progress
    from hftd.bot.result import from_json
    from hftd.config import load
    from sim.config import ReplayConfig

    config = load(replay_path, ReplayConfig)
    records = folder / "result.npz"
    # Named after the system's temporary folder: the path of a Unix socket must be short.
    with tempfile.TemporaryDirectory(prefix="hftd-demo-") as runtime, exiting_on_sigterm():
        environment = os.environ | {"HFTD_RUNTIME_DIR": runtime}
        with Children(environment, Path(runtime)) as children, replay_progress("auto") as progress:
            replay = children.start(
                "replay",
                "replay",
                "--config",
                str(replay_path),
                "--date",
                DEMO_DATE,
                "--progress",
                "json",
                "--json",
            )
            _wait_for_channels(children, replay, config, Path(runtime), progress)
            _stage(3, "A bot", "runs a compiled strategy on these channels, the same one as live: hftd bot")
            bot = children.start(
                "bot",
                "bot",
                "--config",
                str(bot_path),
                "--record",
                str(records),
                "--progress",
                "plain",
                "--json",
            )
            _watch(children, [replay, bot], progress)
            document = bot.stdout
    (folder / "result.json").write_bytes(document)
    return from_json(document, records=records)


def _wait_for_channels(
    children: "Children", replay: "Child", config: "ReplayConfig", runtime: Path, progress: "Shown"
) -> None:
    sockets = [runtime / f"{channel.name}.sock" for channel in config.channels]
    for _ in _ticks(READY_MAX_S):
        _relay(children, progress)
        _check([replay])
        if replay.code == 0:
            raise HftdError("the daemon ended before a bot could come", where="hftd replay")
        if all(socket.exists() for socket in sockets):
            return
    raise HftdError(f"the daemon did not open its channels in {READY_MAX_S} s", where="hftd replay")


def _watch(children: "Children", processes: "list[Child]", progress: "Shown") -> None:
    """Relay what the processes say until both have ended."""
    from hftd.clock import monotonic_ns

    heard_ns = monotonic_ns()
    ended_ns = 0
    while any(process.code is None for process in processes):
        if _relay(children, progress):
            heard_ns = monotonic_ns()
        _check(processes)
        if not ended_ns and any(process.code is not None for process in processes):
            ended_ns = monotonic_ns()
        silent_s = (monotonic_ns() - heard_ns) / 1e9
        late_s = (monotonic_ns() - ended_ns) / 1e9 if ended_ns else 0.0
        if silent_s > SILENT_MAX_S or late_s > LEAVE_MAX_S:
            running = " and ".join(f"hftd {process.name}" for process in processes if process.code is None)
            raise HftdError("does not end", where=running)
    while _relay(children, progress, timeout_s=0.2):
        pass
    _check(processes)


def _ticks(limit_s: float) -> Iterator[None]:
    """Until so many seconds have passed."""
    from hftd.clock import monotonic_ns

    end_ns = monotonic_ns() + int(limit_s * 1e9)
    while monotonic_ns() < end_ns:
        yield


def _relay(children: "Children", progress: "Shown", *, timeout_s: float = 0.05) -> bool:
    """Show the next line of a process, if there is one."""
    import msgspec

    said = children.next_line(timeout_s)
    if said is None:
        return False
    name, line = said
    try:
        message = (
            msgspec.json.decode(line, type=dict[str, int | str]) if line.startswith("{") else {"say": line}
        )
        if "say" in message:
            progress.say(f"  {name:<6} | {message['say']}")
        else:
            progress.update(int(message["rows"]), int(message["rows_total"]), int(message["now_ns"]))
    except (msgspec.DecodeError, KeyError, ValueError):
        progress.say(f"  {name:<6} | {line}")
    return True


def _check(processes: "list[Child]") -> None:
    """Raise for a process that has failed; the daemon's failure counts before the bot's, which follows from it."""
    for process in processes:
        if process.code:
            said = process.last_lines() or "it said nothing"
            raise HftdError(
                f"hftd {process.name} failed with exit code {process.code}; its last words:\n\n{said}\n",
                where=f"hftd {' '.join(process.arguments)}",
            )


def _next_steps(replay_path: Path, bot_path: Path, date: str) -> str:
    bold = [
        click.style(command, fg="cyan")
        for command in (
            f"hftd replay --date {date}",
            f"hftd bot --config {bot_path}",
            f"hftd backtest --bot {bot_path} --date {date}",
        )
    ]
    return f"""
Next:
  {bold[0]}   in one terminal, and in another
  {bold[1]}   the two processes by hand
  {bold[2]}   the same result in one process
  edit {bot_path} (parameters) or strategies/market_making.py (the strategy), and run the demo again;
  {replay_path} has the models of latency, queue and fees."""
