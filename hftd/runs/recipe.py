"""What a run was made from: enough to make it again, and to see what has changed since.

A run's file holds a `Recipe` in its description. A bot knows its own part; what is played to it is told by the replay,
in its Welcome, as a `Market`. A live channel tells none: its market will not come again.
"""

import hashlib
import sys
import threading
from collections.abc import Callable, Sequence
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

import msgspec

from hftd.compiled.jit import sources_of
from hftd.version import __version__

PACKAGES: Final = ("hftd", "sim")
"""What results are made by, besides a user's files."""
_TOOLS: Final = ("numba", "llvmlite", "numpy")
_PIECE: Final = 1 << 22
NO_TEXT: Final = "a path is not text (UTF-8)"
"""Why a run can't be made again whose file can't say where it was made."""


class FileNote(msgspec.Struct, frozen=True, kw_only=True):
    """A file that a run was made from.

    Attributes:
        path: Absolute.
        role: "data", "snapshot", "latency", "strategy" or "model".
        bytes: Its size.
        sha256: Of what is in it, as `sha256sum` says; empty if it was not known when the file was written last.
    """

    path: str
    role: str
    bytes: int = 0
    sha256: str = ""


class Market(msgspec.Struct, frozen=True, kw_only=True):
    """What was played, as the one who played it knows.

    Attributes:
        config: The replay's configuration.
        base: The folder that its paths are relative to.
        dates: The days, `YYYYMMDD`.
        code: The hash of the program's own sources there.
        models: The sources of custom models.
        why_not: Why the run can't be made again; empty if it can.
    """

    config: dict[str, Any]
    base: str
    dates: list[str]
    code: str
    models: list[FileNote] = []
    why_not: str = ""


def unknown_market(why_not: str) -> Market:
    """A market of which only is known why it can't be told."""
    return Market(config={}, base="", dates=[], code="", why_not=why_not)


class Recipe(msgspec.Struct, frozen=True, kw_only=True):
    """What a run was made from.

    Attributes:
        bot: The bot's configuration.
        base: The folder that its paths are relative to.
        cwd: The folder in which it was started, where modules are looked for, too.
        market: What was played; None if the run was live.
        files: Strategy, models, archives and recorded latencies.
        versions: Of hftd and of what compiles, by name.
        code: The hash of hftd's own sources.
        life_rows: As of `hftd backtest --explain`; 0 if the life of orders was not recorded.
        why_not: Why the run can't be made again; empty if it can.
    """

    bot: dict[str, Any]
    base: str
    cwd: str
    market: Market | None
    files: list[FileNote]
    versions: dict[str, str]
    code: str
    life_rows: int = 0
    why_not: str = ""


def code_hash() -> str:
    """The hash of hftd's own sources, as far as results depend on them."""
    digest = hashlib.sha256()
    for package in PACKAGES:
        spec = find_spec(package)
        for folder in (spec.submodule_search_locations or []) if spec is not None else []:
            root = Path(folder)
            for path in sorted(root.rglob("*.py")):
                digest.update(f"{package}/{path.relative_to(root)}".encode() + b"\0")
                digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


def versions() -> dict[str, str]:
    """Of hftd, Python and the compilers."""
    found = {"hftd": __version__, "python": sys.version.split()[0]}
    for name in _TOOLS:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "?"
    return found


def source_notes(module: str, role: str) -> list[FileNote]:
    """A user's module and what it imports of the user's, as it was when it was loaded.

    Args:
        module: One that is imported.
        role: "strategy" or "model".
    """
    return [
        FileNote(path=str(path), role=role, bytes=len(text), sha256=hashlib.sha256(text).hexdigest())
        for name, (path, text) in sorted(sources_of(module).items())
        if name.partition(".")[0] not in PACKAGES
    ]


def hash_file(path: Path) -> FileNote:
    """A file's size and hash; its role is empty.

    Raises:
        OSError: It can't be read.
    """
    digest = hashlib.sha256()
    size = 0
    with path.open("rb") as file:
        while piece := file.read(_PIECE):
            digest.update(piece)
            size += len(piece)
    return FileNote(path=str(path), role="", bytes=size, sha256=digest.hexdigest())


def _reason(error: Exception) -> str:
    """In words that can be written."""
    if isinstance(error, UnicodeEncodeError):
        return NO_TEXT
    return str(error).encode(errors="backslashreplace").decode() or type(error).__name__


class Noting:
    """Notes what a run is made from while it runs: archives are hashed beside it.

    Args:
        bot: The bot's configuration, as plain values.
        base: Its folder.
        inputs: Finds what a market is played from: pairs of role and path. It is called beside the run.
        life_rows: As of `Recipe`.
    """

    def __init__(
        self,
        bot: dict[str, Any],
        base: Path,
        inputs: Callable[[Market], Sequence[tuple[str, Path]]],
        life_rows: int = 0,
    ) -> None:
        self._bot = bot
        self._base = base
        self._inputs = inputs
        self._life_rows = life_rows
        self._recipe: Recipe | None = None
        self._stamps: dict[str, tuple[int, int]] = {}
        self._thread: threading.Thread | None = None

    def begin(self, module: str, market: Market | None) -> None:
        """The run begins.

        Args:
            module: The strategy's, which is loaded.
            market: What is played; None if the run is live.
        """
        try:
            self._recipe = self._begun(module, market)
            # Whatever writes the run's file later must be able to.
            msgspec.json.encode(self._recipe)
        except Exception as error:
            # A run, which may be live, is worth more than what is noted of it.
            why = f"what it was made from could not be noted: {_reason(error)}"
            if market is not None:
                market = unknown_market(why)
            self._recipe = Recipe(
                bot={}, base="", cwd="", market=market, files=[], versions={}, code="", why_not=why
            )
        if market is not None and not market.why_not:
            self._thread = threading.Thread(target=self._look, args=(market,), name="noting", daemon=True)
            self._thread.start()

    def _begun(self, module: str, market: Market | None) -> Recipe:
        files = source_notes(module, "strategy")
        if market is not None:
            files += market.models
        return Recipe(
            bot=self._bot,
            base=str(self._base.resolve()),
            cwd=str(Path.cwd()),
            market=market,
            files=files,
            versions=versions(),
            code=code_hash(),
            life_rows=self._life_rows,
            why_not=market.why_not if market is not None else "",
        )

    def _look(self, market: Market) -> None:
        """Sizes first, so that a bot that is killed soon leaves them; then hashes."""
        recipe = self._recipe
        if recipe is None:
            return
        try:
            own = recipe.files
            found = [(role, path.resolve()) for role, path in self._inputs(market)]
            notes: list[FileNote] = []
            for role, path in found:
                stat = path.stat()
                self._stamps[str(path)] = stat.st_size, stat.st_mtime_ns
                notes.append(FileNote(path=str(path), role=role, bytes=stat.st_size))
            listed = msgspec.structs.replace(recipe, files=own + notes)
            # Before it is seen by whoever writes the run's file.
            msgspec.json.encode(listed)
            self._recipe = listed
            notes = [msgspec.structs.replace(hash_file(Path(one.path)), role=one.role) for one in notes]
            self._recipe = msgspec.structs.replace(recipe, files=own + notes)
        except Exception as error:
            # A run is worth more than what is noted of it.
            why = f"its inputs could not be noted: {_reason(error)}"
            self._recipe = msgspec.structs.replace(recipe, why_not=why)

    def now(self) -> Recipe | None:
        """As far as it is known by now."""
        return self._recipe

    def finish(self) -> Recipe | None:
        """What the run was made from, once it is over; None if it never began."""
        if self._thread is not None:
            self._thread.join()
        recipe = self._recipe
        if recipe is None or recipe.why_not:
            return recipe
        for path, stamp in self._stamps.items():
            try:
                stat = Path(path).stat()
            except OSError:
                # A file that is gone meanwhile was read, or the run would have failed.
                continue
            if (stat.st_size, stat.st_mtime_ns) != stamp:
                return msgspec.structs.replace(recipe, why_not=f"{path} was written while the run read it")
        return recipe
