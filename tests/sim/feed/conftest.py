from pathlib import Path

import pytest

from sim.feed import cache, layout


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache of this test's own."""
    root = tmp_path / "prepared"
    monkeypatch.setenv("HFTD_PREPARED_DIR", str(root))
    return cache.folder()


@pytest.fixture(params=[7, 64])
def block_rows(request: pytest.FixtureRequest, folder: Path, monkeypatch: pytest.MonkeyPatch) -> int:
    """Blocks so small that a market of a few hundred rows has many."""
    monkeypatch.setattr(layout, "BLOCK_ROWS", request.param)
    return request.param
