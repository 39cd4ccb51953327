"""The attributes that compiled strategies read: each is a load at a fixed offset, or little more."""

# pyright: basic

from collections.abc import Callable
from typing import Any, NamedTuple

from llvmlite import ir
from numba import types
from numba.core import cgutils

from hftd.compiled.layout import book_dtype, offset_of, order_dtype, session_dtype
from hftd.hbt.types import F64, I64, DepthType, HbtType, OrderType, StateValuesType, load
from hftd.types import INVALID_MAX, INVALID_MIN, NEW, NONE, PARTIALLY_FILLED, state_values_dtype


class Attribute(NamedTuple):
    """An attribute's type, and the code that reads it."""

    numba_type: types.Type
    lower: Callable[..., Any]  # (context, builder, address) -> value


def _field(dtype, path, numba_type) -> Attribute:
    offset = offset_of(dtype, path)
    llvm_type = F64 if numba_type is types.float64 else I64

    def lower(context, builder, address):
        value = load(builder, address, offset, llvm_type)
        if numba_type is types.boolean:
            return builder.icmp_signed("!=", value, I64(0))
        return value

    return Attribute(numba_type, lower)


def _best_price(path, none) -> Attribute:
    """A best price: NaN where there is none."""
    tick_offset = offset_of(book_dtype, path)
    size_offset = offset_of(book_dtype, "tick_size")

    def lower(context, builder, address):
        tick = load(builder, address, tick_offset, I64)
        price = builder.fmul(builder.sitofp(tick, F64), load(builder, address, size_offset, F64))
        return builder.select(builder.icmp_signed("==", tick, I64(none)), F64(float("nan")), price)

    return Attribute(types.float64, lower)


def _price(path) -> Attribute:
    tick_offset = offset_of(order_dtype, path)
    size_offset = offset_of(order_dtype, "tick_size")

    def lower(context, builder, address):
        tick = load(builder, address, tick_offset, I64)
        return builder.fmul(builder.sitofp(tick, F64), load(builder, address, size_offset, F64))

    return Attribute(types.float64, lower)


def level_qty(context, builder, book, side, tick):
    """The quantity of a level: a load inside the window, a call for a far level."""
    base = load(builder, book, offset_of(book_dtype, "base_tick"), I64)
    window = load(builder, book, offset_of(book_dtype, "window_ticks"), I64)
    quantities = load(builder, book, offset_of(book_dtype, "bids" if side > 0 else "asks"), I64)
    index = builder.sub(tick, base)
    result = cgutils.alloca_once(builder, F64)
    with builder.if_else(builder.icmp_unsigned("<", index, window), likely=True) as (near, far):
        with near:
            address = builder.add(quantities, builder.shl(index, I64(3)))
            builder.store(builder.load(builder.inttoptr(address, F64.as_pointer())), result)
        with far:
            function_type = ir.FunctionType(F64, [I64, I64, I64])
            function = load(builder, book, offset_of(book_dtype, "fn_far_qty"), I64)
            call = builder.call(
                builder.inttoptr(function, function_type.as_pointer()), [book, I64(side), tick]
            )
            builder.store(call, result)
    return builder.load(result)


def _best_qty(path, side) -> Attribute:
    offset = offset_of(book_dtype, path)

    def lower(context, builder, address):
        return level_qty(context, builder, address, side, load(builder, address, offset, I64))

    return Attribute(types.float64, lower)


def _cancellable(context, builder, address):
    status = load(builder, address, offset_of(order_dtype, "status"), I64)
    request = load(builder, address, offset_of(order_dtype, "req"), I64)
    live = builder.or_(
        builder.icmp_signed("==", status, I64(NEW)),
        builder.icmp_signed("==", status, I64(PARTIALLY_FILLED)),
    )
    return builder.and_(live, builder.icmp_signed("==", request, I64(NONE)))


def _is_valid(context, builder, address):
    return builder.icmp_signed("==", load(builder, address, offset_of(book_dtype, "not_valid"), I64), I64(0))


ATTRIBUTES: dict[type, dict[str, Attribute]] = {
    HbtType: {
        "current_timestamp": _field(session_dtype, "now_ns", types.int64),
        "num_assets": _field(session_dtype, "num_assets", types.int64),
    },
    DepthType: {
        "best_bid_tick": _field(book_dtype, "best_bid_tick", types.int64),
        "best_ask_tick": _field(book_dtype, "best_ask_tick", types.int64),
        "best_bid": _best_price("best_bid_tick", INVALID_MIN),
        "best_ask": _best_price("best_ask_tick", INVALID_MAX),
        "best_bid_qty": _best_qty("best_bid_tick", 1),
        "best_ask_qty": _best_qty("best_ask_tick", -1),
        "tick_size": _field(book_dtype, "tick_size", types.float64),
        "lot_size": _field(book_dtype, "lot_size", types.float64),
        "roi_lb_tick": _field(book_dtype, "roi_lb_tick", types.int64),
        "roi_ub_tick": _field(book_dtype, "roi_ub_tick", types.int64),
        "is_valid": Attribute(types.boolean, _is_valid),
    },
    OrderType: {
        "price": _price("price_tick"),
        "exec_price": _price("exec_price_tick"),
        "cancellable": Attribute(types.boolean, _cancellable),
        **{
            name: _field(order_dtype, name, types.float64)
            for name in ("qty", "leaves_qty", "exec_qty", "tick_size")
        },
        **{
            name: _field(order_dtype, name, types.int64)
            for name in (
                "price_tick",
                "exec_price_tick",
                "exch_timestamp",
                "local_timestamp",
                "order_type",
                "req",
                "status",
                "side",
                "time_in_force",
                "reason",
            )
        },
        "order_id": _field(order_dtype, "order_id", types.uint64),
        "maker": _field(order_dtype, "maker", types.boolean),
    },
    StateValuesType: {
        name: _field(state_values_dtype, name, types.int64 if name == "num_trades" else types.float64)
        for name in state_values_dtype.names or ()
    },
}
"""By type and name."""
