import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.daemon.cli.fakes.engine import modules
from tests.hftd.test_config import BOT, REPLAY

ROOT = Path(__file__).resolve().parent.parent.parent.parent


@pytest.fixture
def fakes(monkeypatch):
    """The stand-ins for engine, bot and converter in this process."""
    for name, module in modules().items():
        monkeypatch.setitem(sys.modules, name, module)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A working folder with the two configurations in configs/."""
    (tmp_path / "configs").mkdir()
    (tmp_path / "configs" / "bot.toml").write_text(BOT)
    one_asset = REPLAY[: REPLAY.rindex("[[channels.instruments]]")]
    (tmp_path / "configs" / "replay.toml").write_text(one_asset)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("HFTD_RUNTIME_DIR", raising=False)
    monkeypatch.delenv("HFTD_DEBUG", raising=False)
    return tmp_path


@pytest.fixture
def environment(folder):
    """The environment of a process that runs `python -m daemon.cli` with the stand-ins."""
    paths = [str(ROOT / "tests" / "daemon" / "cli" / "fakes"), str(ROOT)]
    return os.environ | {"PYTHONPATH": os.pathsep.join(paths), "PYTHONDONTWRITEBYTECODE": "1"}


@pytest.fixture
def hftd(folder, environment):
    """Run `hftd` as a process: hftd("bot", "--json", fake="no channel")."""

    def run(*arguments: str, fake: str = "", **changes: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "daemon.cli", *arguments],
            cwd=folder,
            env=environment | {"HFTD_FAKE": fake} | changes,
            capture_output=True,
            text=True,
            timeout=60,
        )

    return run
