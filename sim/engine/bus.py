"""What is on its way between a bot and the exchange: first in, first out, for each lane and direction."""

# pyright: basic

from hftd.compiled.jit import inline
from hftd.compiled.native import load_i64, record_at
from hftd.rows import Address, Ns
from sim.model.layout import MAX_ANSWERS, MAX_REQUESTS, NEVER, bus_dtype

bus_at = record_at(bus_dtype)
REQUESTS_MASK = MAX_REQUESTS - 1
UPDATES_MASK = MAX_ANSWERS - 1
# Both kinds of entry begin with the time of their arrival.


@inline
def bus_is_full(bus: Address, mask: int) -> bool:
    """Whether there is no room for another entry."""
    b = bus_at(bus)
    return b.tail - b.head > mask


@inline
def bus_push(bus: Address, entry_bytes: int, mask: int, ts: Ns):
    """The address of a new entry, which arrives at `ts`, or with the one before it if that arrives later."""
    b = bus_at(bus)
    # What was delivered already does not hold the later ones up.
    arrive_ts = max(ts, b.last_ts) if b.head != b.tail else ts
    entry = b.entries + (b.tail & mask) * entry_bytes
    if b.head == b.tail:
        b.head_ts = arrive_ts
    b.last_ts = arrive_ts
    b.tail += 1
    return entry


@inline
def bus_pop(bus: Address, entry_bytes: int, mask: int):
    """Take the first entry away; its memory stays as it is until two more are pushed."""
    b = bus_at(bus)
    slot = b.head & mask
    entry = b.entries + slot * entry_bytes
    b.head += 1
    if b.head == b.tail:
        b.head_ts = NEVER
        # Begin anew, in memory that is near; but not in the entry that was taken.
        b.head = int(slot == 0)
        b.tail = b.head
    else:
        b.head_ts = load_i64(b.entries + (b.head & mask) * entry_bytes)
    return entry
