"""The only module that reads a clock.

Everything else is given the time. Compiled code reads the clock through :func:`system_ns` and
:func:`steady_ns`, Python through :func:`wall_ns` and :func:`monotonic_ns`.
"""

# pyright: basic

import time
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

_CLOCK_REALTIME = 0
_CLOCK_MONOTONIC = 1


_ANCHOR_NS = time.time_ns() - time.monotonic_ns()


def wall_ns() -> int:
    """The system's time, in nanoseconds since the Unix epoch."""
    return time.time_ns()


def monotonic_ns() -> int:
    """A clock that never goes back, in nanoseconds since an arbitrary moment; for durations and deadlines."""
    return time.monotonic_ns()


def running_ns() -> int:
    """The system's time when this process began, going on steadily: it never goes back and is never set.

    For what is due, limited or remembered over a long life, and yet has to be compared with other processes' times.
    """
    return time.monotonic_ns() + _ANCHOR_NS


def sleep(seconds: float) -> None:
    """Block this thread."""
    time.sleep(seconds)


def _clock(name: str, clock_id: int) -> Any:
    def typed(typingctx):
        def codegen(context, builder, signature, args):
            i64 = ir.IntType(64)
            function_type = ir.FunctionType(ir.IntType(32), [ir.IntType(32), i64.as_pointer()])
            function = cgutils.get_or_insert_function(builder.module, function_type, "clock_gettime")
            pair = cgutils.alloca_once(builder, i64, size=2)
            builder.call(function, [ir.IntType(32)(clock_id), pair])
            seconds = builder.load(pair)
            nanoseconds = builder.load(builder.gep(pair, [ir.IntType(32)(1)]))
            return builder.add(builder.mul(seconds, i64(1_000_000_000)), nanoseconds)

        return types.int64(), codegen

    typed.__name__ = name
    return intrinsic(typed)


system_ns = _clock("system_ns", _CLOCK_REALTIME)
"""In compiled code: the system's time in nanoseconds since the Unix epoch (21 ns a call)."""

steady_ns = _clock("steady_ns", _CLOCK_MONOTONIC)
"""In compiled code: the monotonic clock in nanoseconds."""
