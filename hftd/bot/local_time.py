"""A bot's local time: the system's, except that it never goes back; `hftd.clock.stamp_ns` in compiled code."""

# pyright: basic

from typing import Any

from hftd.clock import LOCAL_LAG, lasting_ns, system_ns
from hftd.compiled.jit import inline


@inline
def local_now(b: Any):
    """The time for stamps, in nanoseconds since the Unix epoch.

    Args:
        b: The bot's backend, which remembers the last one and (`boot_ns`) when that was.
    """
    now_ns = lasting_ns()
    passed_ns = now_ns - b.boot_ns
    b.local_ns = max(system_ns(), b.local_ns + passed_ns - passed_ns // LOCAL_LAG)
    b.boot_ns = now_ns
    return b.local_ns
