"""What the channel's tests share."""

import asyncio
import gc
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import uvloop

from hftd.channel.memory import BotPage
from hftd.control.server import ChannelServer
from tests.hftd.channel.daemons import Daemon, open_fds


@pytest.fixture
def run_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A runtime directory of the test's own, in effect."""
    path = tmp_path / "run"
    path.mkdir(mode=0o700)
    monkeypatch.setenv("HFTD_RUNTIME_DIR", str(path))
    return path


@pytest.fixture(params=[pytest.param("asyncio", marks=pytest.mark.thorough), "uvloop"])
def runner(request: pytest.FixtureRequest) -> Iterator[asyncio.Runner]:
    """Runs a coroutine on asyncio's own loop, then on uvloop."""
    factory = asyncio.new_event_loop if request.param == "asyncio" else uvloop.new_event_loop
    with asyncio.Runner(loop_factory=factory) as made:
        yield made


@pytest.fixture
def serve(runner: asyncio.Runner, run_dir: Path) -> Iterator[Callable[[Callable[..., Awaitable[Any]]], None]]:
    """Runs `body(server, daemon, page)` beside a server named bf; nothing may be left after it."""

    def run(body: Callable[..., Awaitable[Any]]) -> None:
        async def whole() -> None:
            daemon = Daemon()
            with BotPage.make() as page:
                async with ChannelServer("bf", daemon) as server:
                    await body(server, daemon, page)
                assert server.bots == []
                assert daemon.pages == daemon.links == {}
            daemon.close()

        async def warm() -> None:
            await asyncio.to_thread(int)  # Its thread and the loop's own descriptors come first.

        runner.run(warm())
        gc.collect()  # What the tests before have left.
        before = open_fds()
        runner.run(whole())
        assert open_fds() == before
        assert list(run_dir.iterdir()) == []

    yield run
