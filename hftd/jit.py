"""Compiling, and keeping what was compiled.

Two kinds of compiled code:

- **Kernels**: hftd's own functions, each compiled for a fixed signature to a C function whose address is kept in
  the state that the caller passes along. A strategy calls them through that address (2 ns) instead of having
  their code compiled into it again, so a strategy compiles in half a second whatever the engine's size.
- **Strategies** and other users' functions, see :mod:`hftd.bot.strategy`.

Both are kept in `cache_dir()`. Numba keys an entry by the file of the function alone and does not notice a changed
callee in another file, so the folder's name carries a hash of all sources that the code was made from.
"""

import contextlib
import hashlib
import os
import sys
import tempfile
import types
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

_PACKAGES = ("hftd", "sim")
_Function = TypeVar("_Function", bound=Callable[..., Any])


@cache
def cache_dir() -> Path:
    """The folder of compiled code: `$HFTD_CACHE_DIR`, else `$XDG_CACHE_HOME/hftd`, else `~/.cache/hftd`.

    Where none of them can be written, a folder in the system's temporary directory that only this user may enter.
    """
    candidates = [os.environ.get("HFTD_CACHE_DIR")]
    if home := os.environ.get("XDG_CACHE_HOME"):
        candidates.append(f"{home}/hftd")
    with contextlib.suppress(RuntimeError):
        candidates.append(str(Path.home() / ".cache" / "hftd"))
    candidates.append(f"{tempfile.gettempdir()}/hftd-{os.getuid()}")
    for candidate in filter(None, candidates):
        path = Path(candidate)
        with contextlib.suppress(OSError):
            path.mkdir(parents=True, exist_ok=True, mode=0o700)
            # Code is run from here: a folder that another user owns is not taken.
            if path.stat().st_uid == os.getuid() and os.access(path, os.W_OK | os.X_OK):
                return path
    return Path(tempfile.mkdtemp(prefix="hftd-"))


@cache
def source_hash() -> str:
    """A hash of hftd's and sim's compiled sources and of the tools that compile them."""
    import llvmlite
    import numba
    import numpy as np

    digest = hashlib.blake2b(digest_size=8)
    digest.update(f"{sys.version} {numba.__version__} {llvmlite.__version__} {np.__version__}".encode())
    root = Path(__file__).resolve().parent.parent
    for package in _PACKAGES:
        for path in sorted((root / package).rglob("*.py")):
            text = path.read_bytes()
            # Only modules that use numba or lay out memory can change compiled code.
            if b"numba" in text or b"layout" in text or b"dtype" in text:
                digest.update(path.name.encode() + text)
    return digest.hexdigest()


@contextlib.contextmanager
def caching_in(folder: Path) -> Iterator[None]:
    """Functions that are defined with `cache=True` meanwhile keep their code in `folder`."""
    import numba

    folder.mkdir(parents=True, exist_ok=True)
    before = numba.config.CACHE_DIR  # pyright: ignore[reportAttributeAccessIssue]
    numba.config.CACHE_DIR = str(folder)  # pyright: ignore[reportAttributeAccessIssue]
    try:
        yield
    finally:
        numba.config.CACHE_DIR = before  # pyright: ignore[reportAttributeAccessIssue]


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

            with caching_in(cache_dir() / f"kernels-{source_hash()}"), _report(self.name) as reported:
                self._compiled = cfunc(self.signature, cache=True, nopython=True)(self.function)
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
def _report(name: str) -> Iterator[Callable[[bool], None]]:
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

    def compiled(self) -> Any:
        """Numba's dispatcher, which checks the arguments (150 to 300 ns a call)."""
        if self._compiled is None:
            from numba import njit

            with caching_in(cache_dir() / f"kernels-{source_hash()}"), _report(self.name) as reported:
                self._compiled = njit(self.signature, cache=True, nogil=self.nogil)(self.function)
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
    """`njit` for a function that is only called from kernels and strategies: compiled into its callers."""
    from numba import njit

    return njit(nogil=True)(function)


def module_sources(module: types.ModuleType) -> list[Path]:
    """The source files that a user's module and the user's modules it imports are made from, sorted.

    Modules of the standard library and of installed packages do not count: their versions stand in
    `source_hash()` or do not reach compiled code.
    """
    seen: set[str] = set()
    found: set[Path] = set()
    todo = [module]
    while todo:
        current = todo.pop()
        if current.__name__ in seen:
            continue
        seen.add(current.__name__)
        file = getattr(current, "__file__", None)
        if not file or not file.endswith(".py"):
            continue
        path = Path(file).resolve()
        if "site-packages" in path.parts or path.is_relative_to(Path(os.__file__).resolve().parent):
            continue
        found.add(path)
        for value in list(vars(current).values()):
            owner = value if isinstance(value, types.ModuleType) else None
            if owner is None and (name := getattr(value, "__module__", None)):
                owner = sys.modules.get(name) if isinstance(name, str) else None
            if owner is not None:
                todo.append(owner)
    return sorted(found)
