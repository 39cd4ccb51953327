"""The only module that reads a clock.

Everything else is given the time. Which clock is for what (`tests/test_laws.py` has the list of who may use it):

- **monotonic** (`monotonic_ns`; compiled `steady_ns`): durations and deadlines within a process: time-outs, pauses,
  ages.
- **since boot** (`boot_ns`; compiled `lasting_ns`): the same where time in which the machine slept counts: a bot's
  waits, and how long a request has waited.
- **running** (`running_ns`): what is due, limited or remembered in order management, and what is compared with the
  exchange's time, after the measured offset is added to it (`daemon.connector.watch.offset`).
- **stamps** (`stamp_ns`; compiled `hftd.bot.local_time`): when something was seen or sent (`local_ts`, a strategy's
  `current_timestamp`): the system's time, except that it never goes back.
- **wall** (`wall_ns`; compiled `system_ns`): what people or files are told, and to see whether the clock was set. Never
  for a duration or a deadline.

Only the last one is set by NTP, by hand, or by a virtual machine's host. Stamps follow it forward at once; when it was
set back, they go on by seven eighths of the time that passes, until the two are one again.
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
_CLOCK_BOOTTIME = 7
LOCAL_LAG = 8
"""While it waits for the wall clock, the local time passes slower by one part in so many."""


def wall_ns() -> int:
    """The system's time, in nanoseconds since the Unix epoch; it may be set, forward and back."""
    return time.time_ns()


def monotonic_ns() -> int:
    """A clock that never goes back, in nanoseconds since an arbitrary moment; for durations and deadlines."""
    return time.monotonic_ns()


def boot_ns() -> int:
    """Nanoseconds since the machine was started, those in which it slept included; all processes have the same."""
    return time.clock_gettime_ns(_CLOCK_BOOTTIME)


_ANCHOR_NS = time.time_ns() - boot_ns()
_stamp_ns = 0
_stamp_boot_ns = 0


def running_ns() -> int:
    """The system's time when this process began, going on steadily: it never goes back and is never set.

    It goes on while the machine sleeps. By how much the exchange's clock differs from it is measured; a wrong clock at
    the process's start is a part of that difference.
    """
    return boot_ns() + _ANCHOR_NS


def stamp_ns() -> int:
    """The system's time, except that it never goes back in this process; for stamps, from one thread."""
    global _stamp_ns, _stamp_boot_ns
    now_ns = boot_ns()
    passed_ns = now_ns - _stamp_boot_ns
    _stamp_ns = max(wall_ns(), _stamp_ns + passed_ns - passed_ns // LOCAL_LAG)
    _stamp_boot_ns = now_ns
    return _stamp_ns


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

lasting_ns = _clock("lasting_ns", _CLOCK_BOOTTIME)
"""In compiled code: nanoseconds since the machine was started."""
