"""A recorded day becomes an archive: `hftd convert` and `hftd validate` in processes of their own."""

import asyncio
import os
import sys
from pathlib import Path
from typing import Final

from daemon.collector.files import file_name
from daemon.collector.frames import Compression
from daemon.collector.parts import parts_of

TIMEOUT_S: Final = 6 * 3600.0
SAID_MAX: Final = 2000
_NICE: Final = 10


class Archiver:
    """Makes the archive of an exchange's symbol and day.

    Args:
        folder: Where recordings are.
        archives: Where archives go, in a folder for each exchange.
        compression: How recordings are packed.
    """

    def __init__(self, folder: Path, archives: Path, compression: Compression) -> None:
        self._folder = folder
        self._archives = archives
        self._compression: Compression = compression

    async def __call__(self, venue: str, symbol: str, day: int) -> str:
        """Make it. Returns what went wrong, empty if nothing did: notes on the day are no matter."""
        name = file_name(symbol, day, 1, self._compression)
        inputs = parts_of(self._folder / venue, symbol, day, self._compression)
        output = self._archives / venue / f"{name.partition('.')[0]}.npz"
        output.parent.mkdir(parents=True, exist_ok=True)
        if not inputs:
            return "its files are gone"
        problem = await _hftd("convert", venue, *map(str, inputs), str(output), "--progress", "none")
        return problem or await _hftd("validate", str(output), "--progress", "none")


async def _hftd(*arguments: str) -> str:
    """Run hftd to its end; what it said, unless its exit code is 0."""
    child = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "daemon.cli.run.child",
        str(os.getpid()),
        *arguments,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )
    os.setpriority(os.PRIO_PROCESS, child.pid, _NICE)
    try:
        async with asyncio.timeout(TIMEOUT_S):
            _, said = await child.communicate()
    except BaseException:
        if child.returncode is None:
            child.kill()
            await child.wait()
        raise
    if not child.returncode:
        return ""
    text = said[-SAID_MAX:].decode("utf-8", "replace").strip()
    return f"hftd {arguments[0]} ended with {child.returncode}: {text or 'see its report'}"
