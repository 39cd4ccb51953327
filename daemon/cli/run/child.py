"""`python -m daemon.cli.run.child PARENT ...` is `hftd ...` as a child that does not outlive its parent."""

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1
INTERRUPTED = 130
"""As shells report a process that SIGINT ended."""


def bind(parent: int) -> bool:
    """Be sent SIGINT when the parent ends, however it ends. Returns whether the parent is still there."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGINT)
    # It may have ended before that call.
    return os.getppid() == parent


if __name__ == "__main__":
    if not bind(int(sys.argv.pop(1))):
        sys.exit(INTERRUPTED)
    from daemon.cli import main

    main()
