from collections.abc import Callable
from pathlib import Path

import pytest

from tests.daemon.orders.world import World


@pytest.fixture
def world() -> World:
    """One bot, `a`, connected, without a journal."""
    return World()


@pytest.fixture
def kept(tmp_path: Path) -> World:
    """The same with a journal."""
    return World(tmp_path)


@pytest.fixture
def make(tmp_path: Path) -> Callable[..., World]:
    """A world with options."""
    return lambda **options: World(**options)
