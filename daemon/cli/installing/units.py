"""The units that come with hftd, made fit for a machine: its executable, and what a user's own systemd can do.

Each file that is made says so in its first line, with a checksum of what follows. So one that was changed by hand, or
that somebody else wrote, is known, and neither overwritten nor removed.
"""

import hashlib
import re
from pathlib import Path
from typing import Final, NamedTuple

from hftd.control.protocol import check_name
from hftd.errors import UsageError

TARGET: Final = "hftd.target"
FAILED: Final = "hftd-failed@.service"
SYSUSERS: Final = "hftd-sysusers.conf"
GROUP: Final = "hftd"
_ENV: Final = "/usr/bin/env hftd"
_HEADER: Final = (
    "# Made by `hftd install`, sha256 {digest}. Changes belong into a drop-in (`systemctl edit`);\n"
    "# `hftd uninstall` takes this file away.\n"
)
_MADE: Final = re.compile(r"# Made by `hftd install`, sha256 ([0-9a-f]{64})\..*\n#.*\n")
_SYSTEM_ONLY: Final = re.compile(
    r"(User|Group|(Runtime|State|Cache)Directory\w*|WorkingDirectory|LoadCredentialEncrypted|InaccessiblePaths|"
    r"Private(Tmp|Devices|Network)|Protect\w+|CapabilityBoundingSet|IPAddress\w+)=|Wants=network-online|After="
)
"""What a user's own systemd can't do, or where it must not: folders are those that hftd uses without systemd."""


class Kind(NamedTuple):
    """What can be installed: its unit's file, and its configuration's, with `{}` for the instance; "" for none."""

    unit: str
    config: str


KINDS: Final = {
    "connector": Kind("hftd-connector@.service", "{}.toml"),
    "bot": Kind("hftd-bot@.service", "{}.toml"),
    "replay": Kind("hftd-replay@.service", "replay.toml"),
    "exchange": Kind("hftd-exchange@.service", "exchange.toml"),
    "collect": Kind("hftd-collect@.service", "collect.toml"),
    "metrics": Kind("hftd-metrics.service", ""),
    "web": Kind("hftd-web.service", ""),
    "alert": Kind("hftd-alert.service", "alerts.toml"),
}


class Wanted(NamedTuple):
    """One daemon: its kind, and its instance, such as `binancefutures`; "" where there is one of the kind only."""

    kind: str
    instance: str

    @property
    def name(self) -> str:
        """As it is given on the command line."""
        return f"{self.kind}@{self.instance}" if self.instance else self.kind

    @property
    def unit(self) -> str:
        """As systemd calls it."""
        return KINDS[self.kind].unit.replace("@.", f"@{self.instance}.")

    @property
    def config(self) -> str:
        """The file name of its configuration; "" for none."""
        return KINDS[self.kind].config.format(self.instance)


def parse(name: str) -> Wanted:
    """`connector@binancefutures`, `metrics` and so on.

    Raises:
        UsageError: There is no such kind, or an instance is missing or too much.
        ConfigError: The instance is not a name.
    """
    kind, has_instance, instance = name.partition("@")
    if kind not in KINDS:
        known = ", ".join(f"{one}@NAME" if "@" in KINDS[one].unit else one for one in KINDS)
        raise UsageError(f"{name!r} is nothing to install", hint=f"there is {known}")
    if "@" in KINDS[kind].unit and not instance:
        raise UsageError(f"{name!r} lacks an instance", hint=f"such as {kind}@{_EXAMPLES[kind]}")
    if "@" not in KINDS[kind].unit and has_instance:
        raise UsageError(f"there is one {kind} only", hint=f"name it {kind}")
    return Wanted(kind, check_name(instance) if instance else "")


_EXAMPLES: Final = {
    "connector": "binancefutures: the name of its configuration and channel",
    "bot": "mm: the name of its configuration",
    "replay": "20220831: the day",
    "exchange": "20220831: the day",
    "collect": "a: any letter",
}


def wanted_of(unit: str) -> Wanted | None:
    """The reverse of `Wanted.unit`; None for another unit."""
    for kind, made in KINDS.items():
        pattern = re.escape(made.unit).replace("@", "@(.+)")
        if found := re.fullmatch(pattern, unit):
            return Wanted(kind, found[1] if found.groups() else "")
    return None


def originals() -> Path:
    """Where the units are that come with hftd: in a wheel inside of the package, in a clone beside it."""
    import daemon

    package = Path(daemon.__file__ or "").resolve().parent
    inside = package / "systemd"
    return inside if inside.is_dir() else package.parent / "systemd"


def render(file: str, hftd: Path, *, is_user: bool) -> str:
    """A unit as it is installed.

    Args:
        file: Its name in `originals`.
        hftd: The executable.
        is_user: For a user's own systemd.
    """
    text = (originals() / file).read_text().replace(_ENV, str(hftd))
    if is_user:
        lines = (line for line in text.splitlines() if not _SYSTEM_ONLY.match(line))
        text = "\n".join(map(_without_folders, lines)) + "\n"
        text = text.replace("WantedBy=multi-user.target", "WantedBy=default.target")
    return signed(text)


def _without_folders(line: str) -> str:
    if not line.startswith("Environment="):
        return line
    words = line.removeprefix("Environment=").split()
    return f"Environment={' '.join(word for word in words if not word.startswith('HFTD_'))}"


def other_name(wanted: Wanted, exchange: str, hftd: Path, *, is_user: bool) -> str:
    """The drop-in of a connector that is not called as its exchange; its credential has the exchange's name inside."""
    lines = [
        "[Service]",
        "ExecStart=",
        f"ExecStart={hftd} connector --config %E/hftd/%i.toml --connector {exchange} --name %i --log json",
    ]
    if not is_user:
        lines += ["LoadCredentialEncrypted=", f"LoadCredentialEncrypted={exchange}:{wanted.instance}"]
    return signed("\n".join(lines) + "\n")


def signed(text: str) -> str:
    """The text of a file, behind the lines by which it is known."""
    return _HEADER.format(digest=hashlib.sha256(text.encode()).hexdigest()) + text


def is_made(text: str) -> bool:
    """Whether a file's text was made here."""
    return _MADE.match(text) is not None


def is_as_made(text: str) -> bool:
    """Whether it was made here, and nobody has changed it since."""
    found = _MADE.match(text)
    return found is not None and found[1] == hashlib.sha256(text[found.end() :].encode()).hexdigest()
