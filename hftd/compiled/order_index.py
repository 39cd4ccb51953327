"""Orders by id: a hash table of ids and slots, in compiled code.

Open addressing; a slot is stored plus one, so an empty entry is zero, as new memory is.
"""

# pyright: basic

from hftd.compiled.jit import inline
from hftd.compiled.layout import MAX_ORDERS, index_dtype
from hftd.compiled.native import high_bits, load_i64, record_at, store_i64, wrapping_product
from hftd.rows import Address

index_at = record_at(index_dtype)

FIRST_INDEX_BITS = 6
MAX_INDEX_BITS = MAX_ORDERS.bit_length()  # at most half full
INDEX_BYTES = 16 << MAX_INDEX_BITS

# Multiplicative hashing by the golden ratio (Knuth, TAOCP 6.4): spreads sequential and strided ids alike.
_GOLDEN = -7046029254386353131


@inline
def _home(order_id: int, bits: int):
    return high_bits(wrapping_product(order_id, _GOLDEN), bits)


@inline
def index_find(index, order_id):
    """The slot of an order id, or -1."""
    x = index_at(index)
    mask = (1 << x.bits) - 1
    i = _home(order_id, x.bits)
    while True:
        entry = x.entries + 16 * i
        slot = load_i64(entry + 8)
        if slot == 0:
            return -1
        if load_i64(entry) == order_id:
            return slot - 1
        i = (i + 1) & mask


@inline
def _index_put(entries: Address, bits: int, order_id: int, slot: int) -> None:
    mask = (1 << bits) - 1
    i = _home(order_id, bits)
    while load_i64(entries + 16 * i + 8) != 0:
        i = (i + 1) & mask
    store_i64(entries + 16 * i, order_id)
    store_i64(entries + 16 * i + 8, slot + 1)


@inline
def index_insert(index, order_id, slot):
    """Add an id that is not there; the index doubles when it is half full."""
    x = index_at(index)
    size = 1 << x.bits
    if 2 * (x.count + 1) > size:
        for i in range(size):
            entry = x.entries + 16 * i
            used = load_i64(entry + 8)
            if used != 0:
                _index_put(x.spare, x.bits + 1, load_i64(entry), used - 1)
                store_i64(entry + 8, 0)
        x.entries, x.spare = x.spare, x.entries
        x.bits += 1
    _index_put(x.entries, x.bits, order_id, slot)
    x.count += 1


@inline
def index_remove(index, order_id):
    """Take an id away; the entries behind it move up, so no tombstones are left (Knuth, TAOCP 6.4 R)."""
    x = index_at(index)
    mask = (1 << x.bits) - 1
    i = _home(order_id, x.bits)
    while load_i64(x.entries + 16 * i + 8) != 0 and load_i64(x.entries + 16 * i) != order_id:
        i = (i + 1) & mask
    if load_i64(x.entries + 16 * i + 8) == 0:
        return
    hole = i
    while True:
        i = (i + 1) & mask
        entry = x.entries + 16 * i
        if load_i64(entry + 8) == 0:
            break
        home = _home(load_i64(entry), x.bits)
        # It may move into the hole unless its home lies between the hole and where it is.
        if ((i - home) & mask) >= ((i - hole) & mask):
            store_i64(x.entries + 16 * hole, load_i64(entry))
            store_i64(x.entries + 16 * hole + 8, load_i64(entry + 8))
            hole = i
    store_i64(x.entries + 16 * hole + 8, 0)
    x.count -= 1
