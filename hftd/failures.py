"""Errors that ended a run before its data, said where nobody asks for them.

A strategy sees a code and leaves its loop; scripts seldom look further, and what they have then looks like a shorter,
quieter day. So the error is written to `sys.stderr` when it happens, and a script that never looked at it ends with
exit code 1. Who looks is known by `check()`, `close()` and `error` of a backtest.
"""

import atexit
import ctypes
import multiprocessing
import sys
import threading
from contextlib import suppress

_unseen: set[int] = set()
_lock = threading.Lock()
_is_watching = False

EXIT_CODE = 1
"""Of a script that ended without anybody having looked at a run's error."""


def tell(run: int, error: BaseException) -> None:
    """Write the error of a run (by its number) to stderr, once; nobody has looked at it so far."""
    global _is_watching
    with _lock:
        if run in _unseen:
            return
        _unseen.add(run)
        if not _is_watching:
            _is_watching = True
            atexit.register(_at_exit)
    reason = str(error) or type(error).__name__
    _write(
        f"hftd: the backtest stopped before the end of its data: {reason}\n"
        "  elapse returned 100; hbt.error holds this error, and hbt.check() and hbt.close() raise it\n"
    )


def see(run: int) -> None:
    """Somebody looked at what became of a run."""
    with _lock:
        _unseen.discard(run)


def is_unseen(run: int) -> bool:
    """Whether a run ended with an error at which nobody has looked."""
    return run in _unseen


def any_unseen() -> bool:
    """Whether a run of this process ended with an error at which nobody has looked."""
    return bool(_unseen)


def _write(text: str) -> None:
    # A script without stderr, or with one that is closed, goes on all the same.
    with suppress(Exception):
        sys.stderr.write(text)
        sys.stderr.flush()


def _decides_exit_code() -> bool:
    """Whether this process is a script: a test run, a notebook and a worker have exit codes of their own."""
    return not (
        "pytest" in sys.modules
        or "ipykernel" in sys.modules
        or hasattr(sys, "ps1")
        or sys.flags.interactive
        or multiprocessing.parent_process() is not None
    )


def _at_exit() -> None:
    if not _unseen or not _decides_exit_code():
        return
    runs = "a backtest" if len(_unseen) == 1 else f"{len(_unseen):,} backtests"
    _write(
        f"hftd: {runs} stopped with an error that nobody asked for: exit code {EXIT_CODE}. End with hbt.close()\n"
    )
    # Python leaves no word in the exit code to what runs at its end. The C library's handlers run behind all of
    # Python's, so nothing is cut short: it writes out its own streams, then ends the process.
    with suppress(Exception):
        libc = ctypes.CDLL(None)
        for function, argument in ((libc._exit, EXIT_CODE), (libc.fflush, None)):
            # The last one that is registered runs first.
            libc.__cxa_atexit(
                ctypes.cast(function, ctypes.c_void_p), ctypes.c_void_p(argument), ctypes.c_void_p(None)
            )
