"""Waking and waiting: the bot's wake word (a futex), the daemon's doorbells (eventfds), the replay's words.

A bot spins a bounded while, then sleeps; whoever has news increments its wake word, and pays for a system
call only if the bot sleeps. Nothing yields the processor in a loop: where both sides share a core, spin 0
ns.

The protocol against lost wake-ups is the usual one: the sleeper says that it sleeps, a full fence, looks
again; the waker publishes, a full fence, looks whether the other sleeps.
"""

# ruff: noqa: ARG001 (the signatures are numba's)
# pyright: basic, reportCallIssue=false, reportArgumentType=false

import platform
from typing import Final

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from hftd.channel.layout import (
    BOT_ASLEEP,
    BOT_GRANTED_SEQ,
    BOT_WAIT_FLAGS,
    BOT_WAIT_INSTRUMENT,
    BOT_WAIT_ORDER_ID,
    BOT_WAIT_SEQ,
    BOT_WAIT_UNTIL_NS,
    BOT_WAKE,
)
from hftd.clock import steady_ns
from hftd.compiled.jit import inline
from hftd.compiled.native import (
    add_u32,
    fence,
    load_acquire,
    load_acquire_u32,
    load_i64,
    pause,
    stack_bytes,
    store_i64,
    store_release,
    store_u32,
    syscall6,
)
from hftd.rows import Address, Ns

# Numbers of write, ppoll, epoll_pwait, futex.
_NUMBERS: Final = {"x86_64": (1, 271, 281, 202), "aarch64": (64, 73, 22, 98)}
if platform.machine() not in _NUMBERS:
    raise ImportError(f"hftd knows the system calls of {' and '.join(_NUMBERS)}, not of {platform.machine()}")
_WRITE, _PPOLL, _EPOLL_PWAIT, _FUTEX = _NUMBERS[platform.machine()]
# Shared between processes: without FUTEX_PRIVATE_FLAG.
_FUTEX_WAIT: Final = 0
_FUTEX_WAKE: Final = 1
_ALL_WAITERS: Final = 0x7FFFFFFF
_POLLIN: Final = 1
_EVENTS: Final = 16
"""Doorbells that one look takes; those that are left make the next wait return at once."""
_EVENTS_BYTES: Final = 256  # a struct epoll_event has 16, or 12 where it is packed
_PAUSES_A_LOOK: Final = 16
_SLEEP_NS_MAX: Final = 3_600_000_000_000
"""One sleep lasts an hour at most; callers look again and go on."""


@intrinsic
def _stack_words(typingctx):
    """The address of four words on the caller's stack, for structures that system calls read."""

    def codegen(context, builder, signature, args):
        i64 = ir.IntType(64)
        return builder.ptrtoint(cgutils.alloca_once(builder, i64, size=4), i64)

    return types.int64(), codegen


@inline
def futex_wait(address: Address, expected: int, timeout_ns: Ns):
    """Sleep while the 32-bit word holds `expected`, at most `timeout_ns`; it may return early."""
    words = _stack_words()
    timeout_ns = max(0, min(timeout_ns, _SLEEP_NS_MAX))
    store_i64(words, timeout_ns // 1_000_000_000)
    store_i64(words + 8, timeout_ns % 1_000_000_000)
    return syscall6(_FUTEX, address, _FUTEX_WAIT, expected, words, 0, 0)


@inline
def futex_wake(address: Address):
    """Wake all who sleep on a 32-bit word; returns how many."""
    return syscall6(_FUTEX, address, _FUTEX_WAKE, _ALL_WAITERS, 0, 0, 0)


@inline
def bell_ring(bot_page: Address):
    """Wake a bot, after its news were published."""
    add_u32(bot_page + BOT_WAKE, 1)
    fence()
    if load_i64(bot_page + BOT_ASLEEP) != 0:
        futex_wake(bot_page + BOT_WAKE)


@inline
def bell_seen(bot_page: Address):
    """The wake word: read it before looking for news, and give it to `bell_wait`."""
    return load_acquire_u32(bot_page + BOT_WAKE)


@inline
def bell_wait(bot_page: Address, seen: int, spin_ns: Ns, timeout_ns: Ns):
    """Wait until the bell rings after `seen` was read: spin `spin_ns`, then sleep, `timeout_ns` in all.

    Returns:
        The wake word, which is `seen` after the time is over (or an hour, or a signal: callers loop).
    """
    word = bot_page + BOT_WAKE
    now = load_acquire_u32(word)
    if now != seen or timeout_ns <= 0:
        return now
    start_ns = steady_ns()
    elapsed_ns = 0
    spin_ns = min(spin_ns, timeout_ns)
    while elapsed_ns < spin_ns:
        for _ in range(_PAUSES_A_LOOK):
            pause()
            now = load_acquire_u32(word)
            if now != seen:
                return now
        elapsed_ns = steady_ns() - start_ns
    if elapsed_ns >= timeout_ns:
        return now
    store_i64(bot_page + BOT_ASLEEP, 1)
    fence()
    # The kernel compares the word once more, so a ring in between is not slept through.
    if load_acquire_u32(word) == seen:
        futex_wait(word, seen, timeout_ns - elapsed_ns)
    store_i64(bot_page + BOT_ASLEEP, 0)
    return load_acquire_u32(word)


@inline
def next_spin_ns(spin_ns: Ns, max_ns: Ns, came: int):
    """How long to spin at the next wait, after one that spun: longer if what was waited for came, else half.

    Where the other side has a processor of its own it answers within the spin. Where it does not, spinning only
    keeps it from answering, and soon there is none; the callers try again now and then.
    """
    if came:
        return min(max_ns, spin_ns * 2 + 1000)
    return 0 if spin_ns < 1000 else spin_ns // 2


TRY_SPIN_EVERY: Final = 1024
"""Waits after which one spins all the same, to see whether there is a free processor now."""


@inline
def doorbell_arm(asleep_address: Address):
    """Before the daemon sleeps: ask for the doorbell. Then look at the rings once more."""
    store_i64(asleep_address, 1)
    fence()


@inline
def doorbell_disarm(asleep_address: Address):
    """The daemon is awake and looks at its rings anyway."""
    store_i64(asleep_address, 0)


@inline
def doorbell_ring(fd: int, asleep_address: Address):
    """Wake the daemon if it sleeps, after a request was committed."""
    fence()
    if load_i64(asleep_address) != 0:
        # Cleared first: the write that follows wakes the daemon whatever it stores meanwhile.
        store_i64(asleep_address, 0)
        words = _stack_words()
        store_i64(words, 1)
        syscall6(_WRITE, fd, words, 8, 0, 0, 0)


@inline
def doorbell_wait(fd: int, asleep_address: Address, timeout_ns: Ns):
    """Sleep until a doorbell rings, at most `timeout_ns`; `doorbell_arm` and a look at the rings go first.

    The eventfds themselves are never read: a bot has them too, and could make that block.

    Args:
        fd: Of `hftd.channel.endpoint.Doorbells`; -1 to sleep only.
        asleep_address: Cleared on return; 0 if the caller has several and disarms them itself.
        timeout_ns: How long.

    Returns:
        1 if it rang, 0 if not.
    """
    words = _stack_words()
    timeout_ns = max(0, min(timeout_ns, _SLEEP_NS_MAX))
    store_i64(words, timeout_ns // 1_000_000_000)
    store_i64(words + 8, timeout_ns % 1_000_000_000)
    store_u32(words + 16, fd)
    store_u32(words + 20, _POLLIN)
    ready = syscall6(_PPOLL, words + 16, 1, words, 0, 8, 0)
    if asleep_address != 0:
        store_i64(asleep_address, 0)
    if ready <= 0:
        return 0
    events = stack_bytes(_EVENTS_BYTES)
    return 1 if syscall6(_EPOLL_PWAIT, fd, events, _EVENTS, 0, 0, 8) > 0 else 0


@inline
def wait_ask(bot_page: Address, until_ns: Ns, flags: int, instrument: int, order_id: int):
    """The bot says what it waits for; returns the number that a replay answers. A connector ignores it."""
    seq = load_i64(bot_page + BOT_WAIT_SEQ) + 1
    store_i64(bot_page + BOT_WAIT_UNTIL_NS, until_ns)
    store_i64(bot_page + BOT_WAIT_FLAGS, flags)
    store_i64(bot_page + BOT_WAIT_INSTRUMENT, instrument)
    store_i64(bot_page + BOT_WAIT_ORDER_ID, order_id)
    store_release(bot_page + BOT_WAIT_SEQ, seq)
    return seq


@inline
def wait_asked(bot_page: Address):
    """The number of the bot's last wait; its words hold while the number is not granted."""
    return load_acquire(bot_page + BOT_WAIT_SEQ)


@inline
def wait_grant(bot_page: Address, seq: int):
    """The replay answers a wait: all that the bot may see until its end is published. Ring next.

    A negative number answers the wait of its absolute value, and says that the data is over.
    """
    store_release(bot_page + BOT_GRANTED_SEQ, seq)


@inline
def wait_granted(bot_page: Address):
    """The number of the last wait that the replay answered."""
    return load_acquire(bot_page + BOT_GRANTED_SEQ)
