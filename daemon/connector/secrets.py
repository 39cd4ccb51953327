"""A connector's secrets: where they come from, and a type that does not show them.

What an exchange's credentials consist of, its configuration declares (`ConnectorConfig.parts`) in words of `PARTS`.
Each part is looked for in this order: the environment (``HFTD_API_KEY``, ``HFTD_SECRET``: ``HFTD_`` and the part's
name), systemd's credentials (``$CREDENTIALS_DIRECTORY/api_key``, ``.../secret``, or one file with the connector's name
that has all as TOML), the configuration file. A file that holds a secret must be readable by its owner only.
"""

import contextlib
import ctypes
import os
import stat
import tomllib
from collections.abc import Iterable, Mapping
from hmac import compare_digest
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, NoReturn

from daemon.redaction import hide
from hftd.errors import ConfigError

PARTS: Final = MappingProxyType(
    {
        "api_key": "the key, as the exchange shows it",
        "secret": "what belongs to the key: a secret text, or a private key in PEM",
        "passphrase": "what was set when the key was made",
        "account": "the address of the account",
        "wallet_key": "the private key of a wallet that may trade for the account, as 64 hexadecimal digits",
    }
)
"""What credentials can consist of: the names of keys in configurations, and what each is."""
SIZE_MAX_BYTES: Final = 1 << 16
_PR_SET_DUMPABLE: Final = 4
_ENV_START, _ENV_END = 49, 50  # fields of /proc/PID/stat, the first one after the name being 2
_ENV_MAX_BYTES: Final = 4 << 20


class Secret:
    """A text that no log, message or copy over a pipe shows; only `reveal` does."""

    __slots__ = ("_text",)

    def __init__(self, text: str = "") -> None:
        self._text = text
        if text:
            hide(text)

    def reveal(self) -> str:
        """The text itself."""
        return self._text

    def __repr__(self) -> str:
        return "Secret(***)" if self._text else "Secret()"

    __str__ = __repr__

    def __format__(self, format_spec: str) -> str:
        return repr(self)

    def __bool__(self) -> bool:
        return bool(self._text)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and compare_digest(self._text.encode(), other._text.encode())

    def __hash__(self) -> int:
        return id(self)

    def __reduce__(self) -> NoReturn:
        raise TypeError("a secret is not pickled")


def variable_of(part: str) -> str:
    """The environment variable of a part of credentials."""
    return f"HFTD_{part.upper()}"


def close_process() -> bool:
    """Let no other process of this user look into this one: no core dumps, no debugger, no /proc/PID/environ or mem.

    Root may still. To be called before there is a secret in memory. Returns whether the system did it.
    """
    return ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0) == 0


def forget_environment(parts: Iterable[str] = PARTS) -> None:
    """Take the secrets out of this process's environment, and out of the copy of it that the system shows.

    Children do not inherit them, and what runs in this process (a strategy, a library) does not find them there.
    Whoever started the process may have them in its own environment still: a file or a credential is better.
    """
    import posix

    names = [variable_of(part).encode() for part in parts]
    with contextlib.suppress(OSError, ValueError, IndexError):
        _wipe_initial_environment(names)
    for name in names:
        os.environb.pop(name, None)
        # The interpreter's own copy, from which `os.environ` was made.
        posix.environ.pop(name, None)


def _wipe_initial_environment(names: list[bytes]) -> None:
    """Overwrite values in the block that the kernel made at the start, where /proc/PID/environ reads."""
    fields = Path("/proc/self/stat").read_text().rpartition(")")[2].split()
    start, end = int(fields[_ENV_START - 2]), int(fields[_ENV_END - 2])
    if not 0 < end - start <= _ENV_MAX_BYTES:
        return
    block = ctypes.string_at(start, end - start)
    at = 0
    for entry in block.split(b"\0"):
        name, is_set, value = entry.partition(b"=")
        if is_set and name in names:
            ctypes.memset(start + at + len(name) + 1, ord("*"), len(value))
        at += len(entry) + 1


def check_only_owner_reads(path: Path, why: str, parts: Iterable[str] = ("api_key", "secret")) -> None:
    """Refuse a file that others than its owner may read or write.

    Args:
        path: The file.
        why: It must not be so.
        parts: What may be handed over in the environment instead; none if nothing may.

    Raises:
        ConfigError: They may.
    """
    try:
        found = path.stat()
    except OSError as error:
        raise ConfigError(f"the file can't be read: {error.strerror}", where=str(path)) from None
    mode = stat.S_IMODE(found.st_mode)
    variables = [variable_of(part) for part in parts]
    instead = f", or hand the secrets over as {listed(variables)}" if variables else ""
    if mode & 0o077:
        raise ConfigError(
            f"{why}, but others than its owner may read or write it (mode {mode:04o})",
            where=str(path),
            hint=f"chmod 600 {path}{instead}",
        )
    if found.st_uid not in (os.geteuid(), 0):
        raise ConfigError(
            f"{why}, but it belongs to another user (uid {found.st_uid})",
            where=str(path),
            hint=f"chown it to the connector's user (uid {os.geteuid()})",
        )


def find_secrets(
    in_file: Mapping[str, str], path: Path, connector: str, environ: Mapping[str, str] = os.environ
) -> dict[str, Secret]:
    """The secrets by key, each from the first place that has it; an empty one does not count.

    Args:
        in_file: What the configuration itself has, by each key that it knows.
        path: The configuration, which is checked if it has one.
        connector: The connector's name, as that of a credential.
        environ: The environment.

    Raises:
        ConfigError: A file that holds a secret may be read by others, or a credential can't be read.
    """
    if any(in_file.values()):
        check_only_owner_reads(path, "this file holds a secret", in_file)
    from_systemd = _credentials(environ.get("CREDENTIALS_DIRECTORY", ""), connector, in_file)
    found: dict[str, Secret] = {}
    for key in in_file:
        text = environ.get(variable_of(key), "") or from_systemd.get(key, "") or in_file.get(key, "")
        found[key] = Secret(text.strip())
    return found


def listed(names: Iterable[str]) -> str:
    """Names for a sentence: ``a, b and c``."""
    *first, last = names
    return f"{', '.join(first)} and {last}" if first else last


def _credentials(directory: str, connector: str, parts: Iterable[str]) -> dict[str, str]:
    if not directory:
        return {}
    found: dict[str, str] = {}
    if (one := Path(directory) / connector).is_file():
        found.update(_toml_credential(one, parts))
    for key in parts:
        path = Path(directory) / key
        if path.is_file():
            found[key] = _read(path)
    return found


def _toml_credential(path: Path, parts: Iterable[str]) -> dict[str, str]:
    try:
        data: dict[str, Any] = tomllib.loads(_read(path))
    except tomllib.TOMLDecodeError:
        # What it says about the text might show the secret.
        raise ConfigError(
            "the credential is not valid TOML",
            where=str(path),
            hint="it has lines " + listed(f'{part} = "..."' for part in parts),
        ) from None
    unknown = [key for key in data if key not in parts]
    if unknown or not all(isinstance(value, str) for value in data.values()):
        raise ConfigError(
            f"the credential has other than the texts {listed(parts)}",
            where=str(path),
            hint="remove the rest",
        )
    return data


def _read(path: Path) -> str:
    try:
        raw = path.read_bytes()[: SIZE_MAX_BYTES + 1]
    except OSError as error:
        raise ConfigError(f"the credential can't be read: {error.strerror}", where=str(path)) from None
    if len(raw) > SIZE_MAX_BYTES:
        raise ConfigError(f"the credential is larger than {SIZE_MAX_BYTES} bytes", where=str(path))
    try:
        return raw.decode()
    except UnicodeDecodeError:
        raise ConfigError("the credential is not UTF-8 text", where=str(path)) from None
