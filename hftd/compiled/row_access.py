"""Reading, writing and judging rows (:mod:`hftd.rows`) in compiled code. All of it is inlined: a field is one load.

Whether a row can be, by its times, its price in ticks and its quantity, is asked here and nowhere else. What readers
ask differs in this, on purpose:

- Books, fusing, the engine, the replay and the checker know the tick size, and take `is_sound`. Where the two are
  different errors, a quantity below zero is told from garbage.
- Converters do not know the tick size, and take `is_price` and `is_qty`. `sim.archive.check` asks for numbers only.
- Requests for orders want a quantity above zero, and one below `LOTS_MAX` where the lot size is known.
"""

# pyright: basic

from hftd.compiled.jit import inline
from hftd.compiled.native import copy_bytes, load_f64, load_i64, move_bytes, store_f64, store_i64
from hftd.rows import (
    EV,
    EXCH_TS,
    FVAL,
    IVAL,
    LOCAL_TS,
    ORDER_ID,
    PX,
    QTY,
    QTY_MAX,
    ROW_BYTES,
    TICK_MAX,
    TS_MAX,
    Address,
    Ns,
)


@inline
def ev_of(row: Address) -> int:
    """The flags and the kind of a row."""
    return load_i64(row + EV)


@inline
def exch_ts_of(row: Address) -> Ns:
    """When a row happened."""
    return load_i64(row + EXCH_TS)


@inline
def local_ts_of(row: Address) -> Ns:
    """When a row is received."""
    return load_i64(row + LOCAL_TS)


@inline
def px_of(row: Address) -> float:
    """The price of a row."""
    return load_f64(row + PX)


@inline
def qty_of(row: Address) -> float:
    """The quantity of a row."""
    return load_f64(row + QTY)


@inline
def order_id_of(row: Address) -> int:
    """The order that a row is about, its unsigned id as the int64 of the same bits."""
    return load_i64(row + ORDER_ID)


@inline
def set_ev(row: Address, ev: int) -> None:
    """Change the flags and the kind of a row."""
    store_i64(row + EV, ev)


@inline
def set_local_ts(row: Address, local_ts: Ns) -> None:
    """Change when a row is received."""
    store_i64(row + LOCAL_TS, local_ts)


@inline
def set_px(row: Address, px: float) -> None:
    """Change the price of a row."""
    store_f64(row + PX, px)


@inline
def write_row(row: Address, ev: int, exch_ts: Ns, local_ts: Ns, px: float, qty: float) -> None:
    """Write a row of no order to an address."""
    store_i64(row + EV, ev)
    store_i64(row + EXCH_TS, exch_ts)
    store_i64(row + LOCAL_TS, local_ts)
    store_f64(row + PX, px)
    store_f64(row + QTY, qty)
    store_i64(row + ORDER_ID, 0)
    store_i64(row + IVAL, 0)
    store_i64(row + FVAL, 0)


@inline
def copy_row(target: Address, row: Address) -> None:
    """Copy a row to an address that it does not overlap."""
    copy_bytes(target, row, ROW_BYTES)


@inline
def move_row(target: Address, row: Address) -> None:
    """Copy a row to an address that may be its own."""
    move_bytes(target, row, ROW_BYTES)


@inline
def is_tick(ticks: float) -> bool:
    """Whether a price in ticks, whole or not, can be one; NaN can't."""
    return ticks > -TICK_MAX and ticks < TICK_MAX


@inline
def is_price(px: float) -> bool:
    """Whether a price can be one where the tick size is not known: as if it were 1."""
    return is_tick(px)


@inline
def is_qty(qty: float) -> bool:
    """Whether a quantity can be one: zero or more, and no NaN."""
    return qty >= 0.0 and qty < QTY_MAX


@inline
def is_time(ts: Ns) -> bool:
    """Whether a time can be one; without `abs`, which leaves the least of all int64 negative."""
    return -TS_MAX <= ts <= TS_MAX


@inline
def is_sound(ticks: float, qty: float) -> bool:
    """Whether a row with this price in ticks and this quantity can be; of rows to which both of them matter."""
    return is_tick(ticks) and is_qty(qty)
