"""What the channel's tests share."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest
import uvloop
from hypothesis import settings

# The first example may compile for seconds.
settings.register_profile("channel", deadline=None)
settings.load_profile("channel")


@pytest.fixture
def run_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A runtime directory of the test's own, in effect."""
    path = tmp_path / "run"
    path.mkdir(mode=0o700)
    monkeypatch.setenv("HFTD_RUNTIME_DIR", str(path))
    return path


@pytest.fixture(params=["asyncio", "uvloop"])
def runner(request: pytest.FixtureRequest) -> Iterator[asyncio.Runner]:
    """Runs a coroutine on asyncio's own loop, then on uvloop."""
    factory = asyncio.new_event_loop if request.param == "asyncio" else uvloop.new_event_loop
    with asyncio.Runner(loop_factory=factory) as made:
        yield made
