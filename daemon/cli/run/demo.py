"""`hftd demo`: a daemon and a bot as processes, their progress relayed, their failures shown."""

import os
import shutil
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click
import msgspec

from daemon.cli.compiling import watching
from daemon.cli.run.supervisor import READY_MAX_S, Child, Children, supervised
from daemon.cli.show.progress import Share, Shown, replay_progress
from daemon.cli.show.text import size
from hftd.bot.result import BotResult, from_json
from hftd.clock import monotonic_ns
from hftd.config import load, resolve
from hftd.errors import ConfigError, HftdError, UsageError
from sim.config import InterpolatedLatency, ReplayConfig
from sim.generate import DEMO, DEMO_DATE, write_day

if TYPE_CHECKING:
    from sim.generate import MarketInstrument

SILENT_MAX_S = 300
"""Processes that say nothing for so long are given up."""
PAGE_MAX_S = 60
"""A page that takes longer is left out."""
LEAVE_MAX_S = 60
"""When one of the processes has ended, the other must end within this time."""


def stage(number: int, title: str, text: str, *, of: int = 4) -> None:
    """The heading of one of the stages of a demo, on stderr."""
    click.echo(f"\n{click.style(f'{number}/{of}  {title}', bold=True)}  {text}", err=True)


def run(seed: int, folder: Path) -> None:
    """Generate the market, replay it to the bot, show what it came to."""
    from daemon.cli.show import charts, runs
    from daemon.cli.show.picture import draw
    from daemon.cli.show.terminal import show

    start_ns = monotonic_ns()
    replay_path, bot_path = find_configs(Path("configs"), ("replay.toml", "bot.toml"))
    make_folder(folder)
    stage(1, "A market", "two instruments that follow one fair price, with their order flow, from a seed")
    generate(replay_path, seed)
    replaying = f"plays it into shared memory, as a connector does live: hftd replay --date {DEMO_DATE}"
    stage(2, "A daemon", replaying)
    result = play(replay_path, bot_path, DEMO_DATE, folder)
    stage(4, "The result", "what the bot came to, a picture of how, and a page of figures")
    show(runs.bot(result))
    picture = folder / "result.png"
    draw(picture, charts.bot(result))
    why_no_page = make_page(folder)
    shown = [click.style(str(path), bold=True) for path in (picture, folder / "report.html")]
    page = f"there is no page:\n{why_no_page}" if why_no_page else f"the page is {shown[1]}."
    click.echo(f"\nThe picture is {shown[0]}, {page}")
    click.echo(f"All of it took {(monotonic_ns() - start_ns) / 1e9:.1f} s.")
    click.echo(_next_steps(replay_path, bot_path, folder))


def originals() -> Path:
    """The folder of the configurations that come with hftd: in a wheel inside of the package, in a clone beside it."""
    import daemon

    package = Path(daemon.__file__ or "").resolve().parent
    inside = package / "configs"
    return inside if inside.is_dir() else package.parent / "configs"


def find_configs(folder: Path, names: tuple[str, str]) -> tuple[Path, Path]:
    """The two configurations in `folder`; the originals are copied there if they are missing."""
    for name in names:
        path, original = folder / name, originals() / name
        if path.is_file():
            continue
        if not original.is_file():
            hint = "run the demo in a clone of the project, or write the two files"
            raise ConfigError(f"there is no {path}, and no original of it at {original}", hint=hint)
        make_folder(folder)
        shutil.copyfile(original, path)
        click.echo(f"wrote {path}", err=True)
    return folder / names[0], folder / names[1]


def make_folder(folder: Path) -> None:
    """Make a folder if it is not there.

    Raises:
        UsageError: It can't be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"the folder can't be made: {error.strerror}", where=str(folder)) from None


def generate(replay_path: Path, seed: int) -> None:
    """Generate the demo's market to where a replay's configuration says.

    Raises:
        ConfigError: The configuration has another instrument.
    """
    config = load(replay_path, ReplayConfig)
    known = [(one.channel, one.symbol) for one in DEMO]
    assets = [(channel.name, asset) for channel in config.channels for asset in channel.instruments]
    for channel, asset in assets:
        if (channel, asset.symbol) not in known:
            generated = ", ".join(f"{symbol} on {channel}" for channel, symbol in known)
            raise ConfigError(
                f"the demo has no market for {asset.symbol} on {channel}",
                where=str(replay_path),
                hint=f"it generates {generated}; to replay your data use hftd replay",
            )
    base, data = replay_path.parent, config.replay.data
    latencies = [asset.order_latency for _, asset in assets]
    files = [latency.files for latency in latencies if isinstance(latency, InterpolatedLatency)]
    latency_pattern = files[0] if files else data.replace("{symbol}", "latency")
    write_market(DEMO, seed, str(resolve(base, data)), str(resolve(base, latency_pattern)))


def write_market(
    markets: "Sequence[MarketInstrument]", seed: int, pattern: str, latency_pattern: str
) -> None:
    """Generate a day of some markets, and say which files that made."""
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
        said_of(path)


def said_of(path: Path) -> None:
    """Say that a file was made, on stderr."""
    click.echo(f"  {os.path.relpath(path)}  {size(path.stat().st_size)}", err=True)


def play(replay_path: Path, bot_path: Path, date: str, folder: Path) -> BotResult:
    """Run the daemon and the bot as processes of their own, with a runtime directory of their own.

    Args:
        replay_path: The daemon's configuration.
        bot_path: The bot's.
        date: The day to play.
        folder: Gets `result.json`, `result.npz` and `life.npz`.

    Raises:
        HftdError: One of the processes failed; the message has the end of its stderr.
    """
    config = load(replay_path, ReplayConfig)
    records = folder / "result.npz"
    with supervised() as children, replay_progress("auto") as progress:
        children.on_line = _relaying(progress)
        played = ["--config", str(replay_path), "--date", date, "--life", str(folder / "life.npz")]
        replay = children.start("replay", "replay", *played, "--progress", "json", "--json")
        _wait_for_channels(children, replay, config)
        stage(3, "A bot", "runs a compiled strategy on these channels, the same one as live: hftd bot")
        traded = ["--config", str(bot_path), "--record", str(records)]
        bot = children.start("bot", "bot", *traded, "--progress", "plain", "--json")
        _watch(children)
        document = bot.stdout
    (folder / "result.json").write_bytes(document)
    return from_json(document, records=records)


def make_page(folder: Path, life: str = "life.npz") -> str:
    """Make the report page of a run that left `result.npz` in the folder, `report.html`, by a process of its own.

    Args:
        folder: Where the run is.
        life: The file with the life of its orders there; empty if the run has it.

    Returns:
        Why it could not be made; empty if it was.
    """
    page = folder / "report.html"
    page.unlink(missing_ok=True)
    lives = ["--life", str(folder / life)] if life else []
    given = [str(folder / "result.npz"), *lives, "-o", str(page)]
    with supervised() as children:
        report = children.start("report", "report", *given, "--progress", "none")
        report.wait(PAGE_MAX_S)
        if report.code == 0:
            return ""
        if report.code is None:
            return f"it was not made in {PAGE_MAX_S} s"
        return report.last_lines().strip() or f"hftd report ended with {report.code}"


def _wait_for_channels(children: Children, replay: Child, config: ReplayConfig) -> None:
    sockets = [children.runtime / f"{channel.name}.sock" for channel in config.channels]
    for _ in children.until(READY_MAX_S, "the daemon did not open its channels", "hftd replay"):
        if replay.code == 0:
            raise HftdError("the daemon ended before a bot could come", where="hftd replay")
        if all(socket.exists() for socket in sockets):
            return


def _watch(children: Children) -> None:
    """Relay what the processes say until all have ended."""
    heard_ns = monotonic_ns()
    ended_ns = 0
    while running := [child.name for child in children.all if child.code is None]:
        if children.relay(0.05):
            heard_ns = monotonic_ns()
        children.check()
        if not ended_ns and len(running) < len(children.all):
            ended_ns = monotonic_ns()
        silent_s = (monotonic_ns() - heard_ns) / 1e9
        late_s = (monotonic_ns() - ended_ns) / 1e9 if ended_ns else 0.0
        if silent_s > SILENT_MAX_S or late_s > LEAVE_MAX_S:
            raise HftdError("does not end", where=" and ".join(f"hftd {name}" for name in running))
    while children.relay(0.2):
        pass
    children.check()


def _relaying(progress: Shown) -> Callable[[str, str], None]:
    """Shows what a process says: its progress, or a line."""

    def on_line(name: str, line: str) -> None:
        try:
            is_message = line.startswith("{")
            message = msgspec.json.decode(line, type=dict[str, int | str]) if is_message else {"say": line}
            if "say" in message:
                progress.say(f"  {name:<6} | {message['say']}")
            else:
                progress.update(int(message["rows"]), int(message["rows_total"]), int(message["now_ns"]))
        except (msgspec.DecodeError, KeyError, ValueError):
            progress.say(f"  {name:<6} | {line}")

    return on_line


def _next_steps(replay_path: Path, bot_path: Path, folder: Path) -> str:
    # Where the environment is not activated, the command is called by its path.
    hftd = "hftd" if shutil.which("hftd") else os.path.relpath(Path(sys.executable).with_name("hftd"))
    steps = (
        (f"{hftd} explain {folder / 'life.npz'}", "why its orders filled"),
        (
            f"{hftd} report {folder / 'result.npz'} --life {folder / 'life.npz'}",
            "the page; --help has its options",
        ),
        (f"{hftd} replay --date {DEMO_DATE}", f"the daemon by hand, and in another terminal: {hftd} bot"),
        (f"{hftd} backtest --bot {bot_path} --date {DEMO_DATE}", "the same result in one process"),
        (f"edit {bot_path}", "the parameters, or the strategy that it names; then run the demo again"),
        (f"edit {replay_path}", "latency, queue and fees"),
    )
    width = max(len(command) for command, _ in steps)
    lines = [f"  {click.style(command.ljust(width), fg='cyan')}  {text}" for command, text in steps]
    return "\n".join(["\nNext:", *lines])
