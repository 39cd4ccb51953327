"""The demo's processes: a daemon and a bot, their progress relayed, their failures shown."""

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import click
import msgspec

from daemon.cli.progress import Shown, replay_progress
from daemon.cli.run.processes import Child, Children, exiting_on_sigterm
from hftd.bot.result import BotResult, from_json
from hftd.clock import monotonic_ns
from hftd.config import load
from hftd.errors import HftdError
from sim.config import ReplayConfig

READY_MAX_S = 300
"""The daemon compiles at its first start; longer than this it can't take."""
SILENT_MAX_S = 300
"""Processes that say nothing for so long are given up."""
PAGE_MAX_S = 60
"""A page that takes longer is left out."""
LEAVE_MAX_S = 60
"""When one of the processes has ended, the other must end within this time."""


def stage(number: int, title: str, text: str, *, of: int = 4) -> None:
    """The heading of a stage of the demo, on stderr."""
    click.echo(f"\n{click.style(f'{number}/{of}  {title}', bold=True)}  {text}", err=True)


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
    # Named after the system's temporary folder: the path of a Unix socket must be short.
    with tempfile.TemporaryDirectory(prefix="hftd-demo-") as runtime, exiting_on_sigterm():
        environment = os.environ | {"HFTD_RUNTIME_DIR": runtime}
        with Children(environment, Path(runtime)) as children, replay_progress("auto") as progress:
            played = ["--config", str(replay_path), "--date", date, "--life", str(folder / "life.npz")]
            replay = children.start("replay", "replay", *played, "--progress", "json", "--json")
            _wait_for_channels(children, replay, config, Path(runtime), progress)
            stage(3, "A bot", "runs a compiled strategy on these channels, the same one as live: hftd bot")
            traded = ["--config", str(bot_path), "--record", str(records)]
            bot = children.start("bot", "bot", *traded, "--progress", "plain", "--json")
            _watch(children, [replay, bot], progress)
            document = bot.stdout
    (folder / "result.json").write_bytes(document)
    return from_json(document, records=records)


def make_page(folder: Path) -> str:
    """Make the report page of what `play` left in the folder, `report.html`, by a process of its own.

    Returns:
        Why there is none; empty if there is one.
    """
    page = folder / "report.html"
    page.unlink(missing_ok=True)
    given = [str(folder / "result.npz"), "--life", str(folder / "life.npz"), "-o", str(page)]
    with (
        tempfile.TemporaryDirectory(prefix="hftd-demo-") as kept,
        exiting_on_sigterm(),
        Children(dict(os.environ), Path(kept)) as children,
    ):
        report = children.start("report", "report", *given, "--progress", "none")
        report.wait(PAGE_MAX_S)
        if report.code == 0:
            return ""
        if report.code is None:
            return f"it was not made in {PAGE_MAX_S} s"
        return report.last_lines().strip() or f"hftd report ended with {report.code}"


def _wait_for_channels(
    children: Children, replay: Child, config: ReplayConfig, runtime: Path, progress: Shown
) -> None:
    sockets = [runtime / f"{channel.name}.sock" for channel in config.channels]
    for _ in ticks(READY_MAX_S):
        _relay(children, progress)
        check([replay])
        if replay.code == 0:
            raise HftdError("the daemon ended before a bot could come", where="hftd replay")
        if all(socket.exists() for socket in sockets):
            return
    raise HftdError(f"the daemon did not open its channels in {READY_MAX_S} s", where="hftd replay")


def _watch(children: Children, processes: list[Child], progress: Shown) -> None:
    """Relay what the processes say until both have ended."""
    heard_ns = monotonic_ns()
    ended_ns = 0
    while any(process.code is None for process in processes):
        if _relay(children, progress):
            heard_ns = monotonic_ns()
        check(processes)
        if not ended_ns and any(process.code is not None for process in processes):
            ended_ns = monotonic_ns()
        silent_s = (monotonic_ns() - heard_ns) / 1e9
        late_s = (monotonic_ns() - ended_ns) / 1e9 if ended_ns else 0.0
        if silent_s > SILENT_MAX_S or late_s > LEAVE_MAX_S:
            running = " and ".join(f"hftd {process.name}" for process in processes if process.code is None)
            raise HftdError("does not end", where=running)
    while _relay(children, progress, timeout_s=0.2):
        pass
    check(processes)


def ticks(limit_s: float) -> Iterator[None]:
    """Again and again until so many seconds have passed."""
    end_ns = monotonic_ns() + int(limit_s * 1e9)
    while monotonic_ns() < end_ns:
        yield


def _relay(children: Children, progress: Shown, *, timeout_s: float = 0.05) -> bool:
    """Show the next line of a process, if there is one."""
    said = children.next_line(timeout_s)
    if said is None:
        return False
    name, line = said
    try:
        is_message = line.startswith("{")
        message = msgspec.json.decode(line, type=dict[str, int | str]) if is_message else {"say": line}
        if "say" in message:
            progress.say(f"  {name:<6} | {message['say']}")
        else:
            progress.update(int(message["rows"]), int(message["rows_total"]), int(message["now_ns"]))
    except (msgspec.DecodeError, KeyError, ValueError):
        progress.say(f"  {name:<6} | {line}")
    return True


def check(processes: list[Child]) -> None:
    """Raise if a process has failed; if both did, for the daemon: the bot's failure follows from it."""
    if not any(process.code for process in processes):
        return
    for process in processes:
        process.wait(1.0)
    failed = next(process for process in processes if process.code)
    code = failed.code or 0
    how = f"failed with exit code {code}" if code > 0 else f"was ended by signal {-code}"
    said = failed.last_lines() or "(nothing)"
    raise HftdError(
        f"hftd {failed.name} {how}; its last words:\n\n{said}\n", where=f"hftd {' '.join(failed.arguments)}"
    )
