"""Configuration files: TOML in, checked structs out, and errors that name the line.

A configuration is described by `Section` classes; `load` reads a file into one. Whatever is wrong with the
file becomes one `ConfigError` that names the key, its section, its line, and what would have been right.
"""

import math
import re
import tomllib
from pathlib import Path
from string import Formatter
from typing import TypeVar

import msgspec

from hftd.config_errors import explain
from hftd.errors import ConfigError

SIZE_MAX_BYTES = 1 << 20
"""A configuration larger than this is taken for something else."""

_NAME = re.compile(r"[A-Za-z0-9._-]{1,64}")
_FILE_PLACEHOLDERS = ("channel", "symbol", "date")

_Config = TypeVar("_Config")


class Section(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A table of a configuration file: unknown keys are refused, and numbers are finite."""

    def __post_init__(self) -> None:
        for key in self.__struct_fields__:
            value = getattr(self, key)
            for number in value if isinstance(value, tuple) else (value,):  # pyright: ignore[reportUnknownVariableType]
                if isinstance(number, float) and not math.isfinite(number):
                    raise ValueError(f"`{key}` must be a finite number, is {number}")


def load(path: Path | str, type: type[_Config]) -> _Config:  # noqa: A002
    """Read a TOML file into a struct.

    Args:
        path: The file.
        type: A `Section` or another msgspec struct.

    Raises:
        ConfigError: The file is missing or can't be read, is no TOML, or does not fit `type`.
    """
    path = Path(path)
    text = _read(path)
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        what, line = _syntax_error(str(error), text)
        where = f"{path}:{line}" if line else str(path)
        raise ConfigError(
            f"this is not valid TOML: {what}", where=where, hint=_quoted_line(text, line)
        ) from None
    except RecursionError:
        raise ConfigError("the tables are nested too deeply", where=str(path)) from None
    try:
        return msgspec.convert(data, type)
    except msgspec.ValidationError as error:
        raise explain(str(error), path=path, text=text, data=data, type=type) from None


def resolve(base: Path, path: str) -> Path:
    """A path that a configuration mentions: relative to its folder `base`; `~` is the home."""
    try:
        return base / Path(path).expanduser()
    except RuntimeError:
        raise ConfigError(f"'{path}' means a home folder that does not exist", where=str(base)) from None


def check_name(key: str, name: str) -> None:
    """Names of bots and channels: 1 to 64 letters, digits, dots, underscores and hyphens.

    Raises:
        ValueError: It is not such a name; `load` makes it a `ConfigError`.
    """
    if not _NAME.fullmatch(name) or name in (".", ".."):
        raise ValueError(
            f"`{key}` must be 1 to 64 characters of A-Z, a-z, 0-9, '.', '_' and '-', is {quoted(name)}"
        )


def check_file_pattern(key: str, pattern: str) -> None:
    """Patterns of data files know `{channel}`, `{symbol}` and `{date}`.

    Raises:
        ValueError: It has another placeholder, or a brace that is not closed.
    """
    try:
        placeholders = [name for _, name, _, _ in Formatter().parse(pattern) if name is not None]
    except ValueError as error:
        raise ValueError(f"`{key}` is not a pattern: {error}") from None
    if not pattern:
        raise ValueError(f"`{key}` must name files, is empty")
    for name in placeholders:
        if name not in _FILE_PLACEHOLDERS:
            known = ", ".join(f"{{{known}}}" for known in _FILE_PLACEHOLDERS)
            raise ValueError(f"`{key}` has the unknown placeholder {{{name}}}; known are {known}")


def check_range(key: str, pair: tuple[float, float] | None) -> None:
    """A range of interest, `[lower, upper]` in prices.

    Raises:
        ValueError: The lower price is not below the upper one.
    """
    if pair is not None and not pair[0] < pair[1]:
        raise ValueError(f"`{key}` must be [lower, upper] with lower < upper, is [{pair[0]}, {pair[1]}]")


def check_unique(what: str, names: list[str]) -> None:
    """Names that must not repeat.

    Raises:
        ValueError: One does.
    """
    for name in names:
        if names.count(name) > 1:
            raise ValueError(f"{what} {quoted(name)} is listed {names.count(name)} times")


def quoted(text: str) -> str:
    """A user's text in a message: quoted, control characters escaped, cut to a readable length."""
    return repr(text if len(text) <= 80 else text[:77] + "...")


def _read(path: Path) -> str:
    try:
        with path.open("rb") as file:
            raw = file.read(SIZE_MAX_BYTES + 1)
    except FileNotFoundError:
        beside = sorted(other.name for other in path.parent.glob("*.toml"))[:8]
        hint = f"looked for {path.absolute()}"
        if beside:
            hint += f"; that folder has {', '.join(beside)}"
        elif not path.parent.is_dir():
            hint += ", and that folder does not exist"
        raise ConfigError("there is no such file", where=str(path), hint=hint) from None
    except IsADirectoryError:
        raise ConfigError("this is a folder, not a file", where=str(path)) from None
    except OSError as error:
        raise ConfigError(f"the file can't be read: {error.strerror}", where=str(path)) from None
    if len(raw) > SIZE_MAX_BYTES:
        raise ConfigError(
            f"the file is larger than {SIZE_MAX_BYTES:,} bytes: no configuration", where=str(path)
        )
    try:
        return raw.decode().removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise ConfigError("this is not UTF-8 text", where=f"{path}:{line}") from None


def _syntax_error(message: str, text: str) -> tuple[str, int]:
    """The parser's message and its line; the line is 0 where there is none."""
    if found := re.fullmatch(r"(.*) \(at line (\d+), column (\d+)\)", message, re.DOTALL):
        return f"{found[1]}, column {found[3]}", int(found[2])
    if found := re.fullmatch(r"(.*) \(at end of document\)", message, re.DOTALL):
        return f"{found[1]}, at the end of the file", len(text.splitlines())
    return message, 0


def _quoted_line(text: str, number: int) -> str:
    lines = text.splitlines()
    return f"the line is: {lines[number - 1].strip()[:100]}" if 0 < number <= len(lines) else ""
