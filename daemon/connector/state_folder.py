"""Where a connector keeps what survives it."""

import os
from pathlib import Path

from daemon.connector.config import ConnectorConfig
from hftd.config import resolve
from hftd.errors import ConfigError


def journal_path(config: ConnectorConfig, base: Path, name: str) -> Path:
    """Where a connector's journal is: as configured, else in the user's state folder (systemd's, if it gives one)."""
    if config.journal:
        return resolve(base, config.journal)
    if folder := os.environ.get("STATE_DIRECTORY", "").partition(":")[0]:
        return Path(folder) / f"{name}.journal"
    try:
        home = Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state")
    except RuntimeError:
        raise ConfigError(
            "there is no home folder to keep the journal in", where="journal", hint="set journal to a file"
        ) from None
    return home / "hftd" / f"{name}.journal"
