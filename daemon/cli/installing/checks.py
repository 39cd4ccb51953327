"""Whether what is to be installed can run: each configuration is read as its daemon does, before any change."""

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Final, NamedTuple

from daemon.cli.installing.units import Wanted
from hftd.config import load
from hftd.errors import ConfigError, UsageError

_STATE: Final = Path("/var/lib/hftd")
_COLLECTED: Final = Path("/var/lib/hftd-collect")
_HIDDEN: Final = tuple(map(Path, ("/home", "/root", "/run/user", "/tmp", "/var/tmp")))  # noqa: S108
"""What ProtectHome= and PrivateTmp= keep units from seeing."""
_NOBODY: Final = 65534
_TRY_S: Final = 60.0


class Found(NamedTuple):
    """What a configuration says.

    Attributes:
        claim: A name that nobody else may have, such as "channel binancefutures"; "" for none.
        notes: What a person should know.
    """

    claim: str = ""
    notes: tuple[str, ...] = ()


def check(wanted: Wanted, folder: Path, exchange: str, *, is_user: bool) -> Found:
    """Read the configuration of a daemon.

    Args:
        wanted: It.
        folder: Where configurations are.
        exchange: That of a connector, if it is not called so; else "".
        is_user: It runs as this user.

    Raises:
        HftdError: It is missing or wrong.
    """
    if not wanted.config:
        return Found()
    path = folder / wanted.config
    if not path.is_file():
        raise ConfigError(
            f"{wanted.name} has no configuration",
            where=str(path),
            hint=f"write it first{_originals(wanted, exchange)}",
        )
    match wanted.kind:
        case "connector":
            return _connector(wanted, path, exchange, is_user=is_user)
        case "bot":
            from hftd.bot.config import BotConfig

            return Found(f"bot {load(path, BotConfig).bot.name}")
        case "collect":
            return _collect(path, is_user=is_user)
        case "alert":
            return _alert(path, is_user=is_user)
        case _:
            from sim.archive import parse_dates

            parse_dates(wanted.instance)
            if wanted.kind == "replay":
                from sim.config import ReplayConfig

                load(path, ReplayConfig)
            else:
                from sim.exchange.rules.config import ExchangeConfig

                load(path, ExchangeConfig)
            return Found()


def _originals(wanted: Wanted, exchange: str) -> str:
    from daemon.cli.run.demo import originals

    name = {"bot": "bot-live.toml", "connector": f"{exchange or wanted.instance}.toml"}.get(
        wanted.kind, wanted.config
    )
    path = originals() / name
    return f", from {path}" if path.is_file() else ""


def _connector(wanted: Wanted, path: Path, exchange: str, *, is_user: bool) -> Found:
    from daemon.connector.config import load_connector
    from daemon.connector.venue import check_addresses, find_venue

    try:
        venue = find_venue(exchange or wanted.instance)
    except ConfigError as error:
        hint = f"install it by itself, with --connector EXCHANGE; {error.hint.partition(';')[0]}"
        raise ConfigError(error.what, where=wanted.name, hint=hint) from None
    config, credentials = load_connector(path, venue.config_type, venue.name, {})
    check_addresses(venue.name, config, str(path))
    claim = f"channel {wanted.instance}"
    if is_user:
        return Found(
            claim, () if credentials.are_there else (f"{wanted.name}: no keys in {path}: market data alone",)
        )
    secret = f"/etc/credstore.encrypted/{wanted.instance}"
    encrypt = f"systemd-creds encrypt --name={venue.name} keys.toml {secret}"
    if credentials.are_there:
        raise ConfigError(
            "this file holds keys, which the connector's user can't read and others should not",
            where=str(path),
            hint=f"put these lines into keys.toml, run `{encrypt}`, and delete keys.toml",
        )
    if config.journal and not Path(config.journal).is_relative_to(_STATE):
        raise ConfigError(
            f"`journal` is {config.journal!r}, and the unit may write below {_STATE} only",
            where=str(path),
            hint=f"leave the key out: it is {_STATE}/{wanted.instance}.journal then",
        )
    keys = f"{wanted.name}: there are no keys, so it serves market data alone: {encrypt}"
    return Found(claim, () if Path(secret).exists() else (keys,))


def _collect(path: Path, *, is_user: bool) -> Found:
    from daemon.collector.config import load_collect

    config, _, recordings, archives = load_collect(path)
    for key, folder in (("folder", recordings), ("archives", archives)):
        if not is_user and (key == "folder" or config.convert) and not folder.is_relative_to(_COLLECTED):
            raise ConfigError(
                f"`{key}` is {folder}, and the unit may write below {_COLLECTED} only",
                where=str(path),
                hint=f'set {key} = "{_COLLECTED}/{key}", which may be the mount point of another disk',
            )
    return Found(f"channel {config.name}")


def _alert(path: Path, *, is_user: bool) -> Found:
    from daemon.ops.alerts.config import AlertConfig

    if find_spec("apprise") is None:
        raise UsageError(
            "alerts are sent by Apprise, which is not installed", hint="pip install 'hftd[alerts]'"
        )
    config = load(path, AlertConfig)
    secret = "/etc/credstore.encrypted/alerts"  # noqa: S105 - a path
    sections = {**config.targets, **({"heartbeat": config.heartbeat} if config.heartbeat else {})}
    has_urls = any(one.url for one in sections.values())
    if is_user or (Path(secret).exists() and not has_urls):
        return Found()
    lines = ", ".join(f'alert_{name} = "..."' for name in sections)
    raise ConfigError(
        "this file holds addresses, which are secrets that the unit's user can't read and others should not"
        if has_urls
        else f"there are no addresses for {', '.join(sections)}",
        where=str(path),
        hint=f"write {lines} into a file, run `systemd-creds encrypt --name=alerts FILE {secret}`, and delete it",
    )


def find_executable(given: Path | None, *, is_user: bool) -> Path:
    """The `hftd` that units run; a link stays one, so that another version can be put behind it.

    Raises:
        UsageError: It can't be run by the units' users, or others may change it.
    """
    path = Path(os.path.abspath(given or Path(sys.prefix) / "bin" / "hftd"))  # noqa: PTH100 - a link stays a link
    where, hint = (
        str(path),
        "`python3 -m venv /opt/hftd/VERSION`, and hftd in there: docs/deploy.md has the steps",
    )
    if not os.access(path, os.X_OK) or not path.is_file():
        raise UsageError("there is no hftd to run", where=where, hint="give it by --hftd PATH")
    if (
        not where.isascii()
        or not where.replace("/", "").replace("-", "").replace("_", "").replace(".", "").isalnum()
    ):
        raise UsageError("a path in a unit may have letters, digits and . _ - alone", where=where, hint=hint)
    if is_user:
        return path
    real = path.resolve()
    for one in (path, real):
        if any(one.is_relative_to(hidden) for hidden in _HIDDEN):
            raise UsageError("units of the system don't see what is in there", where=str(one), hint=hint)
    for one in (real, *real.parents):
        found = one.stat()
        if found.st_uid != 0 or found.st_mode & 0o022:
            raise UsageError("others than root may change what the units run", where=str(one), hint=hint)
    if why := _trouble(path):
        raise UsageError(f"another user than root can't run it: {why}", where=where, hint=hint)
    return path


def _trouble(path: Path) -> str:
    """Why a user who owns nothing can't run it; "" if that user can."""
    try:
        ran = subprocess.run(  # noqa: S603
            [path, "--version"],
            user=_NOBODY,
            group=_NOBODY,
            extra_groups=[],
            cwd="/",
            env={"PATH": "/usr/bin:/bin"},
            capture_output=True,
            text=True,
            timeout=_TRY_S,
            check=False,
        )
    except OSError as error:
        return error.strerror or str(error)
    except subprocess.TimeoutExpired:
        return f"it did not end within {_TRY_S:.0f} s"
    if ran.returncode:
        return (ran.stderr.strip().splitlines() or [f"exit code {ran.returncode}"])[-1]
    return ""
