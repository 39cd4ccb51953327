"""Compiling, and keeping what was compiled.

Two kinds of compiled code:

- **Kernels**: hftd's own functions, each compiled for a fixed signature to a C function whose address is kept in
  the state that the caller passes along. A strategy calls them through that address (2 ns) instead of having
  their code compiled into it again, so a strategy compiles in half a second whatever the engine's size.
- **Strategies** and other users' functions, see :mod:`hftd.bot.strategy`.

Both are kept in `cache_dir()`. Numba keys an entry by the file of the function alone and does not notice a changed
callee in another file, so the folder's name carries a hash of all sources that the code was made from.
"""

# pyright: basic

import contextlib
import gc
import grp
import hashlib
import os
import pwd
import re
import shutil
import signal
import stat
import sys
import tempfile
import threading
from collections.abc import Callable, Generator
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

from hftd.log import LazyLogger

_log = LazyLogger("hftd.compiled.jit")
_CACHING = threading.RLock()
_Function = TypeVar("_Function", bound=Callable[..., Any])


def why_unsafe(path: Path) -> str:
    """Why code must not be loaded from a folder: somebody else may write it, or put another one in its place.

    Empty if it is this user's alone. Folders above it may be root's, and may be open to others if only the owners of
    what is in them may move that (the sticky bit), or to the user's own group.
    """
    uid = os.getuid()
    # As it was named and as it is: a link on the way may be turned elsewhere, too.
    for step in {*_upwards(Path(os.path.abspath(path))), *_upwards(path.resolve())}:  # noqa: PTH100 - keeps links
        found = step.lstat()
        if found.st_uid not in (uid, 0):
            return f"{step} belongs to another user (uid {found.st_uid})"
        if stat.S_ISLNK(found.st_mode):
            continue
        others = found.st_mode & (0o002 if _is_private(found.st_gid) else 0o022)
        if others and not found.st_mode & stat.S_ISVTX:
            return f"others may write {step} (mode {stat.S_IMODE(found.st_mode):04o})"
    found = path.stat()
    if found.st_uid != uid:
        return f"{path} belongs to another user (uid {found.st_uid})"
    if found.st_mode & 0o022:
        return f"others may write {path} (mode {stat.S_IMODE(found.st_mode):04o})"
    return ""


def _is_private(gid: int) -> bool:
    """Whether a group is the user's alone, as many systems give each user one: it is called as they are."""
    try:
        return grp.getgrgid(gid).gr_name == pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return False


def _upwards(path: Path) -> list[Path]:
    return [path, *path.parents]


@cache
def cache_dir() -> Path:
    """The folder of compiled code: `$HFTD_CACHE_DIR`, else `$XDG_CACHE_HOME/hftd`, else `~/.cache/hftd`.

    Where none of them can be written, a folder in the system's temporary directory that only this user may enter. Code
    is run from here, so a folder that others may write is not taken.

    Raises:
        ConfigError: `$HFTD_CACHE_DIR` is such a folder.
    """
    from hftd.errors import ConfigError

    named = os.environ.get("HFTD_CACHE_DIR")
    candidates = [named]
    if home := os.environ.get("XDG_CACHE_HOME"):
        candidates.append(f"{home}/hftd")
    with contextlib.suppress(RuntimeError):
        candidates.append(str(Path.home() / ".cache" / "hftd"))
    candidates.append(f"{tempfile.gettempdir()}/hftd-{os.getuid()}")
    for candidate in filter(None, candidates):
        path = Path(candidate)
        with contextlib.suppress(OSError):
            path.mkdir(parents=True, exist_ok=True, mode=0o700)
            why = why_unsafe(path)
            if why and candidate == named:
                raise ConfigError(
                    f"compiled code is not kept there: {why}",
                    where="HFTD_CACHE_DIR",
                    hint=f"chmod go-w it, or set HFTD_CACHE_DIR to a folder that only user {os.getuid()} may write",
                )
            if why:
                _log.warning("compile_cache_unsafe", why=why)
            elif os.access(path, os.W_OK | os.X_OK):
                return path
    return Path(tempfile.mkdtemp(prefix="hftd-"))


_IMPORT = re.compile(
    rb"^\s*(?:from\s+([\w.]+)\s+import\s+(\([^)]*\)|[^#\n]*)|import\s+([\w., ]+))", re.MULTILINE
)
_NAME = re.compile(r"\w+")
# What only type checkers import takes no part in compiled code.
_FOR_TYPES = re.compile(rb"^if TYPE_CHECKING:\n(?:[ \t]+[^\n]*\n|\n)*", re.MULTILINE)
_OURS = ("hftd", "sim", "daemon", "strategies")


def _source_of(name: str) -> Path | None:
    """The source file of a module of ours or of the user's; None for installed and built-in ones."""
    top = name.partition(".")[0]
    if top in sys.stdlib_module_names:
        return None
    root = getattr(sys.modules.get(top), "__file__", None)
    if root is None or not root.endswith(".py"):
        return None
    top_path = Path(root)
    if "site-packages" in top_path.parts and top not in _OURS:
        return None
    if top_path.name != "__init__.py":
        return top_path if name == top else None
    path = top_path.parent.joinpath(*name.split(".")[1:])
    for candidate in (path.with_suffix(".py"), path / "__init__.py"):
        if candidate.is_file():
            return candidate
    return None


@cache
def _imports_of(path: Path, name: str) -> tuple[bytes, frozenset[str]]:
    """A source file's text, and the modules that it may import."""
    text = path.read_bytes()
    package = name if path.name == "__init__.py" else name.rpartition(".")[0]
    found: set[str] = set()
    for source, names, plain in _IMPORT.findall(_FOR_TYPES.sub(b"", text)):
        if plain:
            found.update(part.split(" as ")[0].strip() for part in plain.decode().split(","))
            continue
        base = source.decode()
        if base.startswith("."):
            up = len(base) - len(base.lstrip("."))
            base = ".".join(
                [*package.split(".")[: len(package.split(".")) - up + 1], base.lstrip(".")]
            ).strip(".")
        found.add(base)
        found.update(f"{base}.{part}" for part in _NAME.findall(names.decode()))
    return text, frozenset(found)


@cache
def source_hash(name: str) -> str:
    """A hash of all that a module's compiled code is made from.

    That is its source and the sources of all that it imports, directly or not, as far as they are hftd's or the
    user's; and the versions of the tools that compile them.

    Args:
        name: A module that is imported.
    """
    import llvmlite
    import numba
    import numpy as np

    digest = hashlib.blake2b(digest_size=8)
    digest.update(f"{sys.version} {numba.__version__} {llvmlite.__version__} {np.__version__}".encode())
    for module, (_, text) in sorted(sources_of(name).items()):
        digest.update(module.encode() + text)
    return digest.hexdigest()


def sources_of(name: str) -> dict[str, tuple[Path, bytes]]:
    """The path and text of a module, and of all that it imports, directly or not, as far as it is hftd's or the user's.

    The texts are those of the first time that somebody asked in this process.

    Args:
        name: A module that is imported.
    """
    seen: set[str] = set()
    todo = [name]
    found: dict[str, tuple[Path, bytes]] = {}
    while todo:
        current = todo.pop()
        if current in seen:
            continue
        seen.add(current)
        path = _source_of(current)
        if path is not None:
            text, imported = _imports_of(path, current)
            found[current] = path, text
            todo.extend(imported - seen)
    return found


def kernels_dir(name: str) -> Path:
    """The folder for the compiled code of one of our modules."""
    return cache_dir() / f"kernels-{source_hash(name)}"


@contextlib.contextmanager
def caching_in(folder: Path) -> Generator[None, None, None]:
    """Functions that are defined with `cache=True` meanwhile keep their code in `folder`."""
    import numba.core.config

    config: Any = numba.core.config
    folder.mkdir(parents=True, exist_ok=True)
    # The folder is numba's, one for all threads: who prepares archives compiles beside who runs.
    with _CACHING:
        before = config.CACHE_DIR
        config.CACHE_DIR = str(folder)
        try:
            yield
        finally:
            config.CACHE_DIR = before


@contextlib.contextmanager
def uninterrupted() -> Generator[None, None, None]:
    """Ctrl-C waits until what is compiled is done; a second one does not.

    Python raises KeyboardInterrupt wherever a long call returns. In llvmlite that is between a call that takes a module
    over and the line that notes it: then both free it, and the process ends by signal 11.
    """
    is_mine = threading.current_thread() is threading.main_thread()
    if not is_mine or signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        yield
        return
    came: list[int] = []

    def note(number: int, _frame: object) -> None:
        came.append(number)
        signal.signal(signal.SIGINT, signal.default_int_handler)

    signal.signal(signal.SIGINT, note)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        if came:
            raise KeyboardInterrupt


@contextlib.contextmanager
def rarely_collected() -> Generator[None, None, None]:
    """Python looks for garbage less often: a compiler makes a great many objects that stay, and each look visits all.

    It takes a seventh of the time to compile.
    """
    before = gc.get_threshold()
    gc.set_threshold(100_000, 50, 50)
    try:
        yield
    finally:
        gc.set_threshold(*before)


def from_cache(folder: Path, make: Callable[[], Any]) -> Any:
    """Compile a function, or load it from a folder; where what is in there is broken, throw it away first.

    Args:
        folder: Where compiled code is kept.
        make: Compiles the function with `cache=True`; it is called a second time if the first one failed, and what
            is wrong with the function itself is raised then.
    """
    with caching_in(folder), uninterrupted(), rarely_collected():
        try:
            return make()
        except Exception:
            # A torn file, a disk that was full, another version's classes: unpickling raises what it likes.
            shutil.rmtree(folder, ignore_errors=True)
    with caching_in(folder), uninterrupted(), rarely_collected():
        return make()


_DIVISION = "numpy"
"""A division by zero gives an infinity or NaN, as the processor does. An exception can't leave compiled code that
compiled code has called: it would be printed, and the caller would go on with half of the work done."""


class Kernel:
    """One compiled function with a fixed signature; compiled, or loaded from the cache, at the first use."""

    def __init__(self, function: Callable[..., Any], signature: str) -> None:
        self.function = function
        self.signature = signature
        self.name = f"{function.__module__}.{function.__qualname__}"
        self._compiled: Any = None

    @property
    def is_ready(self) -> bool:
        """Whether it was compiled or loaded in this process."""
        return self._compiled is not None

    def compiled(self) -> Any:
        """The numba cfunc."""
        if self._compiled is None:
            from numba import cfunc

            make: Any = cfunc
            with _report(self.name) as reported:
                self._compiled = from_cache(
                    kernels_dir(self.function.__module__),
                    lambda: make(self.signature, cache=True, nopython=True, error_model=_DIVISION)(
                        self.function
                    ),
                )
                reported(self._compiled.cache_hits > 0)
        return self._compiled

    @property
    def address(self) -> int:
        """The address of the C function. It holds in this process only: never bake it into compiled code."""
        return int(self.compiled().address)

    @property
    def call(self) -> Callable[..., Any]:
        """The function as ctypes sees it; calling it releases the GIL."""
        return self.compiled().ctypes


kernels: dict[str, Kernel] = {}
"""All kernels that were imported, by name."""

on_compiled: list[Callable[[str, float], None]] = []
"""Called with a kernel's name and the seconds it took, for each kernel that was not in the cache."""

on_compiling: list[Callable[[str], None]] = []
"""Called with a kernel's name before it is compiled or loaded."""


@contextlib.contextmanager
def _report(name: str) -> Generator[Callable[[bool], None], None, None]:
    from hftd.clock import monotonic_ns

    for listener in on_compiling:
        listener(name)
    hit = False

    def reported(was_hit: bool) -> None:
        nonlocal hit
        hit = was_hit

    start_ns = monotonic_ns()
    yield reported
    if not hit:
        for done in on_compiled:
            done(name, (monotonic_ns() - start_ns) / 1e9)


def kernel(signature: str) -> Callable[[Callable[..., Any]], Kernel]:
    """Make a function a kernel.

    Args:
        signature: Numba's notation, such as `"int64(int64, float64)"`.
    """

    def wrap(function: Callable[..., Any]) -> Kernel:
        made = Kernel(function, signature)
        kernels[made.name] = made
        return made

    return wrap


class Entry:
    """One compiled function that Python calls by numba's own wrapper, which is faster than ctypes.

    It takes what ctypes can't, such as bytes and arrays. It is compiled, or loaded from the cache, at its
    first call.
    """

    def __init__(self, function: Callable[..., Any], signature: str | tuple[Any, ...], nogil: bool) -> None:
        self.function = function
        self.signature = signature
        self.nogil = nogil
        self.name = f"{function.__module__}.{function.__qualname__}"
        self._compiled: Any = None
        entries[self.name] = self

    def compiled(self) -> Any:
        """Numba's dispatcher, which checks the arguments (150 to 300 ns a call)."""
        if self._compiled is None:
            from numba import njit

            with _report(self.name) as reported:
                self._compiled = from_cache(
                    kernels_dir(self.function.__module__),
                    lambda: njit(self.signature, cache=True, nogil=self.nogil, error_model=_DIVISION)(
                        self.function
                    ),
                )
                reported(bool(self._compiled.stats.cache_hits))
        return self._compiled

    @property
    def direct(self) -> Callable[..., Any]:
        """The compiled function without numba's choice of an overload: 60 ns a call with a few integers.

        It takes the arguments as what the signature says, with few checks: the caller guards their types.
        """
        (result,) = self.compiled().overloads.values()
        return result.entry_point

    def __call__(self, *args: Any) -> Any:
        """Call it, with the arguments checked."""
        return self.compiled()(*args)


entries: dict[str, Entry] = {}
"""All entries that were imported, by name."""


def entry(signature: str | tuple[Any, ...], nogil: bool = False) -> Callable[[Callable[..., Any]], Entry]:
    """Make a function an `Entry`.

    Args:
        signature: Numba's notation, or a tuple of numba types (the arguments; the result is inferred).
        nogil: Release the GIL during the call: for whatever waits or takes longer than microseconds.
    """

    def wrap(function: Callable[..., Any]) -> Entry:
        return Entry(function, signature, nogil)

    return wrap


def inline(function: _Function) -> _Function:
    """`njit` for a function that is only called from kernels and strategies: compiled into its callers.

    It has no entry from Python, which would take a quarter of the time to compile. One that is called from there all
    the same is compiled a second time, with an entry.
    """
    from numba import njit

    def with_entry(*_: Any, **__: Any) -> Any:
        nonlocal callable_one
        if callable_one is None:
            callable_one = njit(nogil=True)(function)
        return callable_one

    callable_one: Any = None

    # Its types do not know of all its options.
    compiler: Any = njit
    made = compiler(nogil=True, no_cpython_wrapper=True, no_cfunc_wrapper=True)(function)
    # What numba's dispatcher does for a call from Python: it looks for an entry among those that were inserted, and
    # compiles one if there is none.
    made._insert = lambda *_, **__: None
    made._compile_for_args = with_entry
    return made
