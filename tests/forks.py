"""Python processes that start at once: copies of one that has imported everything and loaded all compiled code.

A process of hftd imports and loads for a second or two before it does anything, and tests start hundreds. `Forked` is
`subprocess.Popen` of `python -m MODULE ...` or `python -c CODE ...` without that: each test process keeps one other
process, which it asks for copies of itself. A copy has descriptors, environment, folder and arguments of its own, is a
child of the test's process like any other, and ends as Python ends.
"""

import contextlib
import ctypes
import fcntl
import gc
import json
import os
import runpy
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
_WORDS_MAX = 1 << 17
_FDS_MAX = 16
_SET_CHILD_SUBREAPER = 36
_ONE_AT_A_TIME = threading.Lock()


@contextlib.contextmanager
def _adopting() -> Iterator[None]:
    """Processes whose parent ends become children of this one."""
    libc = ctypes.CDLL(None)
    libc.prctl(_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    try:
        yield
    finally:
        libc.prctl(_SET_CHILD_SUBREAPER, 0, 0, 0, 0)


class Forked(subprocess.Popen[Any]):
    """A process that runs a module, as `python -m` does, or a program.

    Args:
        arguments: The module, or `-c` and a program; and what follows.
        cwd: Its working directory.
        env: Its environment.
        others: As those of `subprocess.Popen`: `stdin`, `stdout`, `stderr`, `text`, `pass_fds`.
    """

    def _execute_child(  # pyright: ignore[reportIncompatibleMethodOverride]
        self, args: Any, _executable: Any, _preexec_fn: Any, _close_fds: Any, pass_fds: Any, cwd: Any, env: Any,
        _startupinfo: Any, _creationflags: Any, _shell: Any, *ends: Any,
    ) -> None:  # fmt: skip
        """What `subprocess.Popen` calls to start the process, once it has made the pipes."""
        pipes = ends[:6]
        streams = [end if end != -1 else own for own, end in enumerate((pipes[0], pipes[3], pipes[5]))]
        request = {
            "arguments": [str(one) for one in args],
            "cwd": str(cwd or Path.cwd()),
            "env": dict(os.environ if env is None else env),
            "fds": list(pass_fds),
        }
        with _ONE_AT_A_TIME, _adopting():
            wire = _server()
            socket.send_fds(wire, [json.dumps(request).encode()], [*streams, *pass_fds])
            self.pid = int(wire.recv(64))
            assert wire.recv(64) == b"adopted"
        self._child_created = True
        self._close_pipe_fds(*pipes)  # type: ignore[attr-defined]


def run(
    arguments: Sequence[str | Path], *, timeout: float = 100, **settings: Any
) -> subprocess.CompletedProcess[str]:
    """As `subprocess.run` with captured text."""
    settings = {"stdin": subprocess.DEVNULL, "text": True} | settings
    with Forked(arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **settings) as process:
        try:
            out, err = process.communicate(timeout=timeout)
        except BaseException:
            process.kill()
            raise
    return subprocess.CompletedProcess(process.args, process.returncode, out, err)


@cache
def _server() -> socket.socket:
    """The connection to this process's server, which ends with it."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with theirs:
        subprocess.Popen(
            [sys.executable, "-m", "tests.forks", str(theirs.fileno())], cwd=ROOT, pass_fds=[theirs.fileno()]
        )
    assert ours.recv(64) == b"ready"
    return ours


def _load() -> None:
    """Import what the processes of hftd import, and load their compiled code."""
    from hftd.compiled.jit import kernels_dir
    from tests.compiled import functions

    for one in functions(is_others=False):
        # What was not compiled yet is compiled by whoever needs it.
        if kernels_dir(one.function.__module__).is_dir():
            one.compiled()


def _serve(wire: socket.socket) -> dict[str, Any]:
    """Answer requests with process ids; in a copy, return what it is to do."""
    wire.send(b"ready")
    while True:
        words, fds, _, _ = socket.recv_fds(wire, _WORDS_MAX, _FDS_MAX)
        if not words:
            os._exit(0)
        between = os.fork()
        if between == 0:
            pid = os.fork()
            if pid != 0:
                # Its parent ends, and the process that asked takes it over.
                wire.send(str(pid).encode())
                os._exit(0)
            os.close(wire.detach())
            request = json.loads(words)
            wanted = [0, 1, 2, *request["fds"]]
            # First out of the way of each other.
            kept = [fcntl.fcntl(fd, fcntl.F_DUPFD, max(wanted) + 1) for fd in fds]
            for fd, number in zip(kept, wanted, strict=True):
                os.dup2(fd, number)
            for fd in range(3, max(kept) + 1):
                if fd not in wanted:
                    with contextlib.suppress(OSError):
                        os.close(fd)
            return request
        os.waitpid(between, 0)
        wire.send(b"adopted")
        for fd in fds:
            os.close(fd)


def _become(request: dict[str, Any]) -> tuple[str, str]:
    """Take over what a new process is given; the module to run, or `-c` and the program."""
    from hftd.compiled.jit import cache_dir

    module, *arguments = request["arguments"]
    program = arguments.pop(0) if module == "-c" else ""
    os.environ.clear()
    os.environ.update(request["env"])
    cache_dir.cache_clear()
    os.chdir(request["cwd"])
    sys.argv = [module, *arguments]
    sys.path[0] = request["cwd"]
    sys.path[1:1] = [one for one in os.environ.get("PYTHONPATH", "").split(os.pathsep) if one not in sys.path]
    return module, program


if __name__ == "__main__":
    _load()
    gc.collect()
    gc.freeze()
    _module, _program = _become(_serve(socket.socket(fileno=int(sys.argv[1]))))
    # At the top, so that whatever they raise ends this process as it would end any.
    if _program:
        exec(compile(_program, "<string>", "exec"), {"__name__": "__main__"})
    else:
        runpy.run_module(_module, run_name="__main__", alter_sys=True)
