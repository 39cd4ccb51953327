"""What is left of the market's resting orders, by id, in compiled code: for feeds that tell by how much one shrinks.

The memory is zeros at first. More orders than `ORDERS_MAX` are not followed.
"""

# pyright: basic

from typing import Final

from hftd.compiled.jit import inline
from hftd.compiled.layout import MAX_MARKET_ORDERS, index_dtype
from hftd.compiled.native import load_i64, record_at, store_i64
from hftd.compiled.order_index import index_find, index_insert, index_remove

ORDERS_MAX: Final = MAX_MARKET_ORDERS
"""As many as the book of an engine has room for."""
_BITS_AT_FIRST: Final = 12
_BITS_MAX: Final = (2 * ORDERS_MAX - 1).bit_length()
_ENTRY: Final = 16
_ORDER: Final = 16
# index, free slot + 1, slots used; entries, spare entries, orders.
_INDEX_SIZE: Final = (index_dtype.itemsize + 7) // 8 * 8
_FREE: Final = _INDEX_SIZE
_USED: Final = _INDEX_SIZE + 8
_ENTRIES: Final = _INDEX_SIZE + 16
_SPARE: Final = _ENTRIES + (_ENTRY << _BITS_MAX)
_ORDERS: Final = _SPARE + (_ENTRY << _BITS_MAX)
RESTING_BYTES: Final = _ORDERS + ORDERS_MAX * _ORDER

_index_at = record_at(index_dtype)


@inline
def prepare_resting(memory):
    """Make the memory ready; once, before anything else."""
    index = _index_at(memory)
    if index.bits == 0:
        index.entries = memory + _ENTRIES
        index.spare = memory + _SPARE
        index.bits = _BITS_AT_FIRST


@inline
def find_resting(memory, order_id: int):
    """The address of an order's price (int64) and, behind it, its quantity (int64); 0 if it is not there."""
    slot = index_find(memory, order_id)
    return 0 if slot < 0 else memory + _ORDERS + slot * _ORDER


@inline
def set_resting(memory, order_id: int, px: float, qty: float):
    """An order is there with this price and quantity; one that is known changes to them."""
    at = find_resting(memory, order_id)
    if at == 0:
        slot = load_i64(memory + _FREE) - 1
        if slot >= 0:
            store_i64(memory + _FREE, load_i64(memory + _ORDERS + slot * _ORDER))
        else:
            slot = load_i64(memory + _USED)
            if slot == ORDERS_MAX:
                return
            store_i64(memory + _USED, slot + 1)
        index_insert(memory, order_id, slot)
        at = memory + _ORDERS + slot * _ORDER
    store_i64(at, px)
    store_i64(at + 8, qty)


@inline
def remove_resting(memory, order_id: int):
    """An order is gone; one that is not there stays so."""
    slot = index_find(memory, order_id)
    if slot < 0:
        return
    index_remove(memory, order_id)
    store_i64(memory + _ORDERS + slot * _ORDER, load_i64(memory + _FREE))
    store_i64(memory + _FREE, slot + 1)


@inline
def clear_resting(memory):
    """All orders are gone."""
    index = _index_at(memory)
    if index.count:
        for i in range(1 << index.bits):
            store_i64(index.entries + i * _ENTRY + 8, 0)
        index.count = 0
    store_i64(memory + _FREE, 0)
    store_i64(memory + _USED, 0)
