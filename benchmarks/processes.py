"""`hftd` as real processes, with a runtime directory of their own."""

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec

from hftd.clock import monotonic_ns, sleep

ROOT = Path(__file__).parents[1]
READY_MAX_S = 300.0
"""A first start compiles."""
RUN_MAX_S = 600.0


def environment(**more: str) -> dict[str, str]:
    """This process's environment, without what keeps Python from writing .pyc files."""
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    return kept | more


def start(arguments: list[str], env: dict[str, str]) -> "subprocess.Popen[bytes]":
    """Start a Python module in the project's folder."""
    return subprocess.Popen(
        [sys.executable, "-m", *arguments],
        cwd=ROOT,
        env=env,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def finish(process: "subprocess.Popen[bytes]") -> str:
    """Wait for its end.

    Returns:
        Its stdout.

    Raises:
        RuntimeError: It failed; with its stderr.
    """
    try:
        out, err = process.communicate(timeout=RUN_MAX_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        raise
    if process.returncode:
        command = " ".join(map(str, process.args))  # pyright: ignore[reportArgumentType]
        raise RuntimeError(f"{command} ended with {process.returncode}:\n{err.decode()[-2000:]}")
    return out.decode()


@contextmanager
def replay_running(
    replay: Path, date: str, channels: list[str], **more: str
) -> Iterator[tuple["subprocess.Popen[bytes]", dict[str, str]]]:
    """`hftd replay`, whose channels are open.

    Args:
        replay: Its configuration.
        date: The day it plays.
        channels: The channels to wait for.
        more: Further variables of its environment.

    Yields:
        The process, which ends when a bot has played with it, and the environment for the bot.
    """
    with tempfile.TemporaryDirectory(prefix="hftd-bench-") as runtime:
        env = environment(HFTD_RUNTIME_DIR=runtime, **more)
        played = ["--config", str(replay), "--date", date, "--progress", "none", "--json"]
        process = start(["daemon.cli", "replay", *played], env)
        try:
            deadline_ns = monotonic_ns() + int(READY_MAX_S * 1e9)
            while not all(Path(runtime, f"{name}.sock").exists() for name in channels):
                if process.poll() is not None or monotonic_ns() > deadline_ns:
                    raise RuntimeError(f"the replay did not open its channels: {finish(process)}")
                sleep(0.01)
            yield process, env
        finally:
            if process.poll() is None:
                process.kill()
            process.communicate()


def replay_and_bot(replay: Path, bot: Path, date: str, channels: list[str]) -> dict[str, Any]:
    """Run both to their end. Returns the bot's result."""
    with replay_running(replay, date, channels) as (daemon, env):
        trading = start(["daemon.cli", "bot", "--config", str(bot), "--progress", "none", "--json"], env)
        document = finish(trading)
        finish(daemon)
    return msgspec.json.decode(document.splitlines()[-1], type=dict[str, Any])
