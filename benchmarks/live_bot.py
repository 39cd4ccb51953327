"""The bot of the live benchmark: `python -m benchmarks.live_bot CHANNEL SPIN_US CORE OUT.npz`.

It says "ready", reads a line FIRST LAST EVERY, then looks at the rows of each message from number FIRST to LAST, and
answers each whose number is a multiple of EVERY by an order (0: none).
"""

# pyright: basic

import os
import sys

import numpy as np
from numba import njit

from benchmarks.live_exchange import FIRST_MS
from hftd import IOC, LIMIT
from hftd.bot.bot import Bot, Instrument
from hftd.channel.layout import BOT_LAPPED
from hftd.clock import system_ns

_WAIT_NS = 1_000_000_000
_IDLE_MAX = 30


@njit(nogil=True)
def watch(hbt, first, last, every, seen, local, submits):
    """Stamp each message in `seen` by its number from `first` on, and each submit in `submits` (number, time).

    Returns how many submits there were.
    """
    count = 0
    before = first - 1
    idle = 0
    while idle < _IDLE_MAX:
        code = hbt.wait_next_feed(False, _WAIT_NS)
        now_ns = system_ns()
        if code == 1:
            break
        latency = hbt.feed_latency(0)
        if latency is None or code == 0:
            idle += 1
            continue
        exch_ns, local_ns = latency
        number = exch_ns // 1_000_000 - FIRST_MS
        if number <= before:
            continue
        idle = 0
        if number > last:
            break
        before = number
        seen[number - first] = now_ns
        local[number - first] = local_ns
        if every > 0 and number % every == 0:
            hbt.clear_inactive_orders(0)
            price = hbt.depth(0).best_bid - 100.0
            submits[count, 0] = number
            submits[count, 1] = system_ns()
            hbt.submit_buy_order(0, count + 1, price, 0.01, IOC, LIMIT, False)
            count += 1
    return count


def main() -> None:
    """Watch, and keep what was seen."""
    channel, spin_us, core, out = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
    with Bot([Instrument(channel, "BTCUSDT", 0.1, 0.001)], name="bench", spin_us=spin_us) as bot:
        # After the attach: a bot that has one processor alone does not spin.
        os.sched_setaffinity(0, {core})
        none = np.zeros(1, np.int64)
        watch(bot, 0, -1, 0, none, none, np.zeros((1, 2), np.int64))
        print("ready", flush=True)
        first, last, every = map(int, sys.stdin.readline().split())
        arrays = np.zeros(last - first + 1, np.int64), np.zeros(last - first + 1, np.int64)
        submits = np.zeros((last - first + 2, 2), np.int64)
        count = watch(bot, first, last, every, *arrays, submits)
        lapped = bot.page.word(BOT_LAPPED)
        np.savez(out, seen=arrays[0], local=arrays[1], submits=submits[:count], lapped=lapped)
        for warning in bot.warnings():
            print(warning, file=sys.stderr)


if __name__ == "__main__":
    main()
