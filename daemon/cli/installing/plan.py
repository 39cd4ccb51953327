"""What is to be done to a machine, as steps that can be shown before they are done; again they find nothing to do.

Everything is checked before the first step. If one fails all the same, such as at a full disk, files are put back.
"""

import contextlib
import grp
import os
import pwd
import shutil
import stat
import subprocess
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Final, NamedTuple, Protocol

from daemon.cli.installing.checks import check
from daemon.cli.installing.units import (
    FAILED,
    GROUP,
    KINDS,
    SYSUSERS,
    TARGET,
    Wanted,
    is_as_made,
    is_made,
    originals,
    other_name,
    render,
    wanted_of,
)
from hftd.errors import ConfigError, HftdError, UsageError

DROP_IN: Final = "10-hftd.conf"
_COMMAND_S: Final = 60.0


class Places(NamedTuple):
    """Where things are: of the system, or of a user's own systemd.

    Attributes:
        units: Folder of units.
        configs: Folder of hftd's configurations.
        sysusers: The file for systemd-sysusers; None: no users are made.
        runtime: A folder that is there while this systemd runs.
    """

    units: Path
    configs: Path
    sysusers: Path | None
    runtime: Path

    @property
    def is_user(self) -> bool:
        """Of a user's own."""
        return self.sysusers is None

    @property
    def systemctl(self) -> list[str]:
        """The command."""
        return ["systemctl", "--user"] if self.is_user else ["systemctl"]

    @property
    def links(self) -> Path:
        """What the target wants."""
        return self.units / f"{TARGET}.wants"


def places(*, is_user: bool) -> Places:
    """Where things are on this machine."""
    if not is_user:
        system = Path("/etc/systemd/system")
        return Places(
            system, Path("/etc/hftd"), Path("/etc/sysusers.d/hftd.conf"), Path("/run/systemd/system")
        )
    home = Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config")
    runtime = Path(os.environ.get("XDG_RUNTIME_DIR") or f"/run/user/{os.getuid()}")
    return Places(home / "systemd" / "user", home / "hftd", None, runtime / "systemd")


class Step(Protocol):
    """Something that is done, or was done before."""

    @property
    def what(self) -> str:
        """In a line."""
        ...

    @property
    def is_done(self) -> bool:
        """Whether it holds already."""
        ...

    def do(self, undo: ExitStack) -> None:
        """Do it, and say how it is undone."""
        ...


class Written(NamedTuple):
    """A file."""

    path: Path
    text: str

    @property
    def what(self) -> str:
        """In a line."""
        return f"write {self.path}"

    @property
    def is_done(self) -> bool:
        """Whether it has this text."""
        return _text(self.path) == self.text

    def do(self, undo: ExitStack) -> None:
        """Write it, whole or not at all."""
        before = _text(self.path)
        _make_folder(self.path.parent, undo)
        with tempfile.NamedTemporaryFile("w", dir=self.path.parent, prefix=".hftd-", delete=False) as file:
            undo.callback(Path(file.name).unlink, missing_ok=True)
            file.write(self.text)
            file.flush()
            os.fsync(file.fileno())
        Path(file.name).chmod(0o644)
        if before is None:
            undo.callback(self.path.unlink, missing_ok=True)
        else:
            undo.callback(self.path.write_text, before)
        Path(file.name).replace(self.path)


class Linked(NamedTuple):
    """What enables a unit: a link in the folder of what the target wants."""

    path: Path
    unit: str

    @property
    def what(self) -> str:
        """In a line."""
        return f"have {TARGET} start {self.path.name}"

    @property
    def is_done(self) -> bool:
        """Whether it is there."""
        return self.path.is_symlink() and self.path.readlink() == Path("..") / self.unit

    def do(self, undo: ExitStack) -> None:
        """Link."""
        _make_folder(self.path.parent, undo)
        self.path.unlink(missing_ok=True)
        self.path.symlink_to(Path("..") / self.unit)
        undo.callback(self.path.unlink, missing_ok=True)


class Folder(NamedTuple):
    """A folder, which is left alone where it is."""

    path: Path
    mode: int

    @property
    def what(self) -> str:
        """In a line."""
        return f"make the folder {self.path}, mode {self.mode:o}"

    @property
    def is_done(self) -> bool:
        """Whether it is there."""
        return self.path.is_dir()

    def do(self, undo: ExitStack) -> None:
        """Make it."""
        _make_folder(self.path, undo)
        self.path.chmod(self.mode)


class Users(NamedTuple):
    """The users of the units."""

    path: Path

    @property
    def what(self) -> str:
        """In a line."""
        return f"make the users of {self.path}: systemd-sysusers {self.path}"

    @property
    def is_done(self) -> bool:
        """Whether all are there."""
        lines = [line.split() for line in (originals() / SYSUSERS).read_text().splitlines()]
        try:
            grp.getgrnam(GROUP)
            return all(pwd.getpwnam(line[1]) for line in lines if line[:1] == ["u"])
        except KeyError:
            return False

    def do(self, undo: ExitStack) -> None:
        """Make them; they stay, since files may be theirs by then."""
        del undo
        run(["systemd-sysusers", str(self.path)])


class Readable(NamedTuple):
    """A configuration, or the folder of them, that the units' users may read."""

    path: Path

    @property
    def what(self) -> str:
        """In a line."""
        return f"let the group {GROUP} read {self.path}"

    @property
    def is_done(self) -> bool:
        """Whether they may."""
        found, bits = self.path.stat(), self._bits
        if found.st_mode & bits == bits:
            return True
        try:
            return found.st_gid == grp.getgrnam(GROUP).gr_gid and found.st_mode >> 3 & bits == bits
        except KeyError:
            return False

    def do(self, undo: ExitStack) -> None:
        """Give it to the group."""
        found = self.path.stat()
        undo.callback(os.chown, self.path, found.st_uid, found.st_gid)
        undo.callback(self.path.chmod, stat.S_IMODE(found.st_mode))
        shutil.chown(self.path, group=GROUP)
        self.path.chmod(stat.S_IMODE(found.st_mode) & 0o700 | self._bits << 3)

    @property
    def _bits(self) -> int:
        return 0o5 if self.path.is_dir() else 0o4


class Reloaded(NamedTuple):
    """systemd, which has read the units."""

    where: Places

    @property
    def what(self) -> str:
        """In a line."""
        return f"have systemd read them: {' '.join(self.where.systemctl)} daemon-reload"

    @property
    def is_done(self) -> bool:
        """Whether there is no systemd that could."""
        return not self.where.runtime.is_dir() or shutil.which("systemctl") is None

    def do(self, undo: ExitStack) -> None:
        """Have it read them."""
        del undo
        run([*self.where.systemctl, "daemon-reload"])


def _text(path: Path) -> str | None:
    try:
        return path.read_text()
    except FileNotFoundError:
        return None


def _make_folder(path: Path, undo: ExitStack) -> None:
    missing = [one for one in (path, *path.parents) if not one.exists()]
    for one in reversed(missing):
        one.mkdir(mode=0o755)
        undo.callback(one.rmdir)


def run(command: Sequence[str]) -> str:
    """Run a command of systemd's. Returns what it said.

    Raises:
        HftdError: It failed, or is not there.
    """
    try:
        done = subprocess.run(  # noqa: S603
            command, capture_output=True, text=True, timeout=_COMMAND_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        why = getattr(error, "strerror", None) or f"it did not end within {_COMMAND_S:.0f} s"
        raise HftdError(
            f"`{' '.join(command)}` failed: {why}", hint="is this a machine with systemd?"
        ) from None
    if done.returncode:
        raise HftdError(f"`{' '.join(command)}` failed: {(done.stderr or done.stdout).strip()}")
    return done.stdout


# Installing.


def plan(wanted: Sequence[Wanted], where: Places, hftd: Path, exchange: str) -> tuple[list[Step], list[str]]:
    """The steps that install daemons, and what a person should know.

    Args:
        wanted: The daemons.
        where: Of the system, or of a user.
        hftd: What units run.
        exchange: Of a connector that is not called as its exchange; "" for none.

    Raises:
        HftdError: A configuration is missing or wrong, or a name or a file is somebody else's.
    """
    notes = _check_configs(wanted, where, exchange)
    if where.is_user:
        notes.append("so that it runs while you are not logged in: loginctl enable-linger")
    files = {where.units / file: render(file, hftd, is_user=where.is_user) for file in _files_of(wanted)}
    for one in wanted:
        if given := exchange or _exchange_of(where, one):
            files[_drop_in(where, one)] = other_name(one, given, hftd, is_user=where.is_user)
    users: list[Step] = []
    if where.sysusers is not None:
        users = [Written(where.sysusers, render(SYSUSERS, hftd, is_user=False)), Users(where.sysusers)]
        users.append(Folder(where.configs, 0o755))
        configs = dict.fromkeys(where.configs / one.config for one in wanted if one.config)
        users += [Readable(path) for path in (where.configs, *configs) if path.exists()]
    for path in [*files, *([where.sysusers] if where.sysusers else [])]:
        _check_free(path)
    _verify(files, wanted, is_user=where.is_user)
    steps = [*users, *(Written(path, text) for path, text in files.items())]
    steps += [Linked(where.links / one.unit, KINDS[one.kind].unit) for one in wanted]
    return [*steps, Reloaded(where)], notes


def _files_of(wanted: Iterable[Wanted]) -> list[str]:
    return [TARGET, FAILED, *dict.fromkeys(KINDS[one.kind].unit for one in wanted)]


def _drop_in(where: Places, wanted: Wanted) -> Path:
    return where.units / f"{wanted.unit}.d" / DROP_IN


def installed(where: Places) -> list[Wanted]:
    """What is installed."""
    with contextlib.suppress(FileNotFoundError):
        found = (wanted_of(path.name) for path in sorted(where.links.iterdir()))
        return [one for one in found if one is not None]
    return []


def _check_configs(wanted: Sequence[Wanted], where: Places, exchange: str) -> list[str]:
    claims: dict[str, Wanted] = {}
    notes: list[str] = []
    for one in wanted:
        found = check(one, where.configs, exchange or _exchange_of(where, one), is_user=where.is_user)
        notes += found.notes
        if other := claims.setdefault(found.claim, one) if found.claim else None:
            _check_same(found.claim, one, other)
    for one in installed(where):
        # What is wrong with it now is no reason to install nothing else.
        with contextlib.suppress(HftdError):
            given = _exchange_of(where, one)
            claim = check(one, where.configs, given, is_user=where.is_user).claim
            if claim in claims:
                _check_same(claim, claims[claim], one)
    return notes


def _exchange_of(where: Places, wanted: Wanted) -> str:
    """The exchange that an installed connector's drop-in names; "" without one."""
    words = (_text(_drop_in(where, wanted)) or "").split()
    return words[words.index("--connector") + 1] if "--connector" in words else ""


def _check_same(claim: str, one: Wanted, other: Wanted) -> None:
    # Two collectors are one that takes the other's place.
    if one != other and {one.kind, other.kind} != {"collect"}:
        raise UsageError(
            f"{one.name} and {other.name} would both be the {claim}",
            hint="give one of them another name, in its configuration or on the command line",
        )


def _check_free(path: Path) -> None:
    if path.is_symlink():
        raise UsageError(
            "it is a link, such as `systemctl mask` makes", where=str(path), hint="remove it first"
        )
    text = _text(path)
    if text is None or is_as_made(text):
        return
    if is_made(text):
        hint = "put your changes into a drop-in (`systemctl edit`), and remove the file"
        raise UsageError("this file was changed since `hftd install` made it", where=str(path), hint=hint)
    raise UsageError(
        "there is such a file, and `hftd install` has not made it",
        where=str(path),
        hint="if it is an older one of hftd's, remove it; what you changed there belongs into a drop-in",
    )


def _verify(files: Mapping[Path, str], wanted: Iterable[Wanted], *, is_user: bool) -> None:
    """Have systemd itself look at the units, where it is.

    Raises:
        HftdError: It finds something wrong.
    """
    if shutil.which("systemd-analyze") is None:
        return
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        for path, text in files.items():
            if path.suffix in (".service", ".target"):
                (folder / path.name).write_text(text)
        names = [str(folder / one.unit) for one in wanted]
        for one in wanted:
            # It takes an instance for a template only under its own name.
            if not (folder / one.unit).exists():
                (folder / one.unit).write_text((folder / KINDS[one.kind].unit).read_text())
        done = subprocess.run(  # noqa: S603
            ["systemd-analyze", "verify", "--recursive-errors=no", *(["--user"] if is_user else []), *names],  # noqa: S607
            # Not the real runtime folder: nothing that runs is to be looked at.
            env=os.environ | {"SYSTEMD_UNIT_PATH": f"{folder}:", "XDG_RUNTIME_DIR": made},
            capture_output=True,
            text=True,
            timeout=_COMMAND_S,
            check=False,
        )
    said = [line for line in done.stderr.splitlines() if "hftd" in line]
    if done.returncode and said:
        raise ConfigError(f"systemd does not take a unit: {said[0]}", hint="please report it")


def do(steps: Iterable[Step]) -> Iterator[tuple[Step, bool]]:
    """Do what is not done yet, and tell of each step whether there was something to do.

    Raises:
        HftdError: One failed; files are as they were.
    """
    with ExitStack() as undo:
        for step in steps:
            is_new = not step.is_done
            try:
                if is_new:
                    step.do(undo)
            except OSError as error:
                raise HftdError(
                    f"{step.what}: {error.strerror or error}", hint="the files are as they were before"
                ) from None
            yield step, is_new
        undo.pop_all()


# Uninstalling.


def made(where: Places, wanted: Sequence[Wanted]) -> tuple[list[Path], list[Path]]:
    """What `hftd install` made for these daemons, or for all: files and links to be removed, and files that stay
    since they were changed by hand.

    Raises:
        UsageError: One of them is not installed.
    """
    there = installed(where)
    for one in wanted:
        if one not in there:
            names = ", ".join(other.name for other in there) or "nothing"
            raise UsageError(
                f"{one.name} is not installed", where=str(where.units), hint=f"installed: {names}"
            )
    leaving = list(wanted or there)
    staying = [one for one in there if one not in leaving]
    kept = {KINDS[one.kind].unit for one in staying}
    names = (
        {made.unit for made in KINDS.values()} if not wanted else {KINDS[one.kind].unit for one in leaving}
    )
    files = [_drop_in(where, one) for one in leaving]
    files += [where.units / name for name in sorted(names - kept)]
    if not staying:
        files += [where.units / FAILED, where.units / TARGET, *([where.sysusers] if where.sysusers else [])]
    texts = {path: text for path in files if (text := _text(path)) is not None and is_made(text)}
    changed = [path for path, text in texts.items() if not is_as_made(text)]
    links = [where.links / one.unit for one in leaving]
    return [*links, *(path for path in texts if path not in changed)], changed


def running(where: Places, wanted: Iterable[Wanted]) -> list[str]:
    """The units of these that run now, or are about to."""
    units = [one.unit for one in wanted]
    if not units or Reloaded(where).is_done:
        return []
    done = subprocess.run(  # noqa: S603
        [*where.systemctl, "is-active", *units],
        capture_output=True,
        text=True,
        timeout=_COMMAND_S,
        check=False,
    )
    states = done.stdout.split()
    return [
        unit
        for unit, state in zip(units, states, strict=False)
        if state not in ("inactive", "failed", "unknown")
    ]


def remove(paths: Iterable[Path], where: Places) -> None:
    """Remove them, and the folders that are empty then.

    Raises:
        HftdError: One can't be removed.
    """
    folders = {where.links}
    for path in paths:
        folders.add(path.parent)
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            raise HftdError(f"it can't be removed: {error.strerror}", where=str(path)) from None
    for folder in folders - {where.units}:
        if folder.name.endswith((".wants", ".d")) and folder.is_relative_to(where.units):
            with contextlib.suppress(OSError):
                folder.rmdir()
    reloaded = Reloaded(where)
    if not reloaded.is_done:
        reloaded.do(ExitStack())
