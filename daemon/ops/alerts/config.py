"""The configuration of `hftd alert`: what is an alert, whom it is sent to, and where those addresses come from.

A target's address is a URL as Apprise takes it (https://github.com/caronc/apprise/wiki), and most have a token in them.
So it is a secret like a connector's: it comes from the environment, from systemd's credentials, or from this file if
nobody but its owner may read it (:mod:`daemon.connector.secrets`).
"""

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Final, Literal

import msgspec

from daemon.connector.secrets import Secret, find_secrets, variable_of
from hftd.config import Section, check_name, check_unique, load, quoted, resolve
from hftd.errors import ConfigError

TARGETS_MAX: Final = 16
CRITICAL: Final = "critical"
WARNING: Final = "warning"

RULES: Final = {
    # rule: (severity, the key of [rules] with the seconds after which it is told, what it says)
    "daemon_down": (CRITICAL, "daemon_down_s", "a daemon does not answer, or is gone"),
    "daemon_restarted": (WARNING, "", "a daemon was started anew: was it you?"),
    "connection_lost": (CRITICAL, "connection_lost_s", "a connection to the exchange is down"),
    "book_not_valid": (WARNING, "book_not_valid_s", "a book is not valid"),
    "halted": (CRITICAL, "", "no new orders are taken, or the connector does not do its work"),
    "outcome_unknown": (CRITICAL, "outcome_unknown_s", "what became of a request is not known"),
    "reconciliation": (CRITICAL, "", "the account differed from what was recorded, or can't be compared"),
    "limit_reached": (WARNING, "", "a limit is reached"),
    "pnl": (CRITICAL, "", "profit and loss is below a limit, or moved by more than it may"),
    "refusals": (WARNING, "", "a bot's requests are refused"),
    "bot_died": (CRITICAL, "bot_died_s", "a bot ended otherwise than in order"),
    "clock_off": (WARNING, "clock_off_s", "this machine's clock is off, was set, or can't be compared"),
    "disk_low": (CRITICAL, "", "little is left on a disk"),
    "recording_gap": (WARNING, "recording_gap_s", "a collector misses something"),
    "delivery": (WARNING, "delivery_s", "alerts can't be delivered to a target"),
    "warning": (WARNING, "warning_s", "whatever else `hftd status` warns of"),
}
"""The rules, by their stable names; docs/alerts.md lists them."""

_TARGET: Final = re.compile(r"[a-z0-9_]{1,32}")
_Seconds = Annotated[float, msgspec.Meta(ge=0, le=86_400)]


class WatchSection(Section, frozen=True):
    """`[watch]`: what is looked at, and how often.

    Attributes:
        daemons: Names that must be there: without one of them it is down from the start. Others are watched too,
            once they have been seen.
        every_s: Between two looks.
        settle_s: What is over must have been over for so long before that is said.
        remind_s: What goes on is said again after so long; 0: once only.
        folders: Whose disks must have room.
        state: The file of what was told; relative to the configuration. Empty: in the state folder.
    """

    daemons: tuple[str, ...] = ()
    every_s: Annotated[float, msgspec.Meta(ge=0.1, le=60)] = 2.0
    settle_s: _Seconds = 10.0
    remind_s: Annotated[float, msgspec.Meta(ge=0, le=604_800)] = 0.0
    folders: tuple[str, ...] = ()
    state: str = ""

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in self.daemons:
            check_name("daemons", name)
        check_unique("the daemon", list(self.daemons))


class RulesSection(Section, frozen=True):
    """`[rules]`: after how long, or from which value on, something is an alert; those in `off` are none."""

    off: tuple[str, ...] = ()
    daemon_down_s: _Seconds = 10.0
    connection_lost_s: _Seconds = 10.0
    book_not_valid_s: _Seconds = 15.0
    outcome_unknown_s: _Seconds = 10.0
    limit_share: Annotated[float, msgspec.Meta(gt=0, le=1)] = 0.95
    refusals_per_min: Annotated[int, msgspec.Meta(ge=1)] = 10
    bot_died_s: _Seconds = 2.0
    clock_off_s: _Seconds = 0.0
    disk_free_gb: Annotated[float, msgspec.Meta(ge=0)] = 1.0
    recording_gap_s: _Seconds = 0.0
    delivery_s: _Seconds = 15.0
    warning_s: _Seconds = 30.0
    ignored_warnings: tuple[str, ...] = ("no_keys",)

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in self.off:
            if name not in RULES:
                raise ValueError(f"`off` names the rule {quoted(name)}; there are {', '.join(RULES)}")


class PnlSection(Section, frozen=True):
    """One of `[[pnl]]`: what profit and loss may be, of a bot or of a daemon's bots together; each asset by itself.

    Attributes:
        daemon: Its name; without one, each connector by itself.
        bot: Its name; without one, all bots of the daemon together.
        asset: What the instruments settle in; without one, each.
        below: An alert when the day's (UTC) is below this.
        move: An alert when it moves by more than this, up or down ...
        within_min: ... within so many minutes.
    """

    daemon: str = ""
    bot: str = ""
    asset: str = ""
    below: float | None = None
    move: Annotated[float, msgspec.Meta(gt=0)] | None = None
    within_min: Annotated[float, msgspec.Meta(gt=0, le=1440)] = 5.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.below is None and self.move is None:
            raise ValueError("`below` or `move` must be there: else it is never an alert")


class TargetSection(Section, frozen=True):
    """`[targets.NAME]`: whom alerts are sent to.

    Attributes:
        url: As Apprise takes it; better by the environment or a credential.
        severity: "critical": those alone; "warning": all.
    """

    url: str = ""
    severity: Literal["critical", "warning"] = WARNING


class HeartbeatSection(Section, frozen=True):
    """`[heartbeat]`: an http or https address that is asked for as long as daemons are watched and alerts get out.

    Attributes:
        url: The address; better by the environment or a credential.
        every_s: Between two times.
    """

    url: str = ""
    every_s: Annotated[float, msgspec.Meta(ge=1, le=86_400)] = 60.0


class AlertConfig(Section, frozen=True):
    """The whole file."""

    watch: WatchSection = WatchSection()
    rules: RulesSection = RulesSection()
    pnl: Annotated[tuple[PnlSection, ...], msgspec.Meta(max_length=100)] = ()
    targets: dict[str, TargetSection] = msgspec.field(default_factory=dict)
    heartbeat: HeartbeatSection | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 1 <= len(self.targets) <= TARGETS_MAX:
            raise ValueError(f"`targets` must have 1 to {TARGETS_MAX} tables, has {len(self.targets)}")
        for name in self.targets:
            if not _TARGET.fullmatch(name) or name == "heartbeat":
                raise ValueError(
                    f"`targets` must be named by 1 to 32 characters of a-z, 0-9 and '_' (and not 'heartbeat'), "
                    f"one is {quoted(name)}"
                )


class Addresses(msgspec.Struct, frozen=True):
    """Where alerts go.

    Attributes:
        targets: Their URLs, by name.
        heartbeat: Its address; None without one.
        variables: The variables in which they may have come.
    """

    targets: dict[str, Secret]
    heartbeat: Secret | None
    variables: tuple[str, ...]


def load_alerts(path: Path, environ: Mapping[str, str] = os.environ) -> tuple[AlertConfig, Addresses]:
    """Read the configuration and find the addresses.

    Raises:
        ConfigError: The file is wrong, an address is missing, or others may read the file that has one.
    """
    config = load(path, AlertConfig)
    for folder in config.watch.folders:
        if not resolve(path.parent, folder).is_dir():
            raise ConfigError(f"`folders` has {quoted(folder)}, and there is no such folder", where=str(path))
    parts = {part_of(name): target.url for name, target in config.targets.items()}
    if config.heartbeat is not None:
        parts[part_of("heartbeat")] = config.heartbeat.url
    found = find_secrets(parts, path, "alerts", environ)
    for part, secret in found.items():
        if not secret:
            name = part.removeprefix("alert_")
            raise ConfigError(
                f"there is no address for {name!r}",
                where=str(path),
                hint=f"set {variable_of(part)}, or a systemd credential {part!r}, or `url` in a file of mode 600",
            )
    heartbeat = found.pop(part_of("heartbeat"), None)
    if heartbeat is not None and not heartbeat.reveal().startswith(("http://", "https://")):
        raise ConfigError("the heartbeat's address does not begin with http:// or https://", where=str(path))
    targets = {part.removeprefix("alert_"): secret for part, secret in found.items()}
    return config, Addresses(targets, heartbeat, tuple(parts))


def part_of(name: str) -> str:
    """A target's name as the part of credentials that has its address."""
    return f"alert_{name}"
