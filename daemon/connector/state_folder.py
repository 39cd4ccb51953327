"""Where what survives a process is kept."""

import os
from pathlib import Path

from daemon.connector.config import ConnectorConfig
from hftd.config import resolve
from hftd.errors import ConfigError


def journal_path(config: ConnectorConfig, base: Path, name: str) -> Path:
    """Where a connector's journal is."""
    return state_path(config.journal, base, f"{name}.journal", "journal")


def state_path(configured: str, base: Path, file: str, key: str) -> Path:
    """Where a file is: as configured, else in the user's state folder (systemd's, if it gives one).

    Args:
        configured: What the configuration says; "" if it says nothing.
        base: The configuration's folder.
        file: The file's name otherwise.
        key: The key of the configuration.

    Raises:
        ConfigError: There is no such folder.
    """
    if configured:
        return resolve(base, configured)
    if folder := os.environ.get("STATE_DIRECTORY", "").partition(":")[0]:
        return Path(folder) / file
    try:
        home = Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state")
    except RuntimeError:
        raise ConfigError(
            f"there is no home folder to keep {file} in", where=key, hint=f"set {key} to a file"
        ) from None
    return home / "hftd" / file
