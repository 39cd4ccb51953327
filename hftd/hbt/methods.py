"""The methods that compiled strategies call: calls through addresses in the session's table, or a few loads.

None of the engine's code is compiled into a strategy.
"""

# pyright: basic

from collections.abc import Callable
from typing import Any, NamedTuple

from llvmlite import ir
from numba import types
from numba.core import cgutils

from hftd.compiled.layout import (
    BY_HALT,
    asset_dtype,
    offset_of,
    order_dtype,
    orders_dtype,
    recorder_dtype,
    session_dtype,
)
from hftd.constants import BOOK_INVALID, BOOK_VALID, CONNECTED, DISCONNECTED, HALTED
from hftd.hbt.attributes import level_qty
from hftd.hbt.types import (
    F64,
    I64,
    DepthType,
    HbtType,
    OrdersType,
    RecorderType,
    ValuesType,
    depth_type,
    hbt_type,
    load,
    order_type,
    orders_type,
    state_values_type,
    values_type,
)

_ASSET_BYTES = asset_dtype.itemsize


class Method(NamedTuple):
    """A method's arguments and result, and the code that calls it."""

    arguments: tuple[tuple[str, types.Type], ...]
    returns: types.Type
    lower: Callable[..., Any]  # (context, builder, address, arguments) -> value


def _call(path, *, dtype=session_dtype, before=(), returns: types.Type = types.int64) -> Callable[..., Any]:
    """Call the function whose address stands in the record, with the record's address and the arguments.

    Args:
        path: The field with the function's address.
        dtype: The record.
        before: Pairs of a position and a constant to put among the arguments.
        returns: `types.none` to drop the result.
    """
    offset = offset_of(dtype, path)

    def lower(context, builder, address, arguments):
        values = [address, *arguments]
        for position, constant in before:
            values.insert(position, I64(constant))
        function_type = ir.FunctionType(I64, [value.type for value in values])
        function = builder.inttoptr(load(builder, address, offset, I64), function_type.as_pointer())
        result = builder.call(function, values)
        return context.get_dummy_value() if returns is types.none else result

    return lower


def _asset_part(path) -> Callable[..., Any]:
    """The address of a part of an asset; an asset number that the bot doesn't have gives asset 0's."""
    offset = offset_of(asset_dtype, path) if path else 0

    def lower(context, builder, address, arguments):
        return builder.add(asset_at_number(builder, address, arguments[0]), I64(offset))

    return lower


def _store(builder, session, field, value):
    address = builder.add(session, I64(offset_of(session_dtype, field)))
    builder.store(value, builder.inttoptr(address, I64.as_pointer()))


def asset_at_number(builder, session, asset_no):
    """The address of an asset; of asset 0 for a number that the bot doesn't have, which is counted and said later."""
    count = load(builder, session, offset_of(session_dtype, "num_assets"), I64)
    inside = builder.icmp_unsigned("<", asset_no, count)
    with builder.if_then(builder.not_(inside), likely=False):
        times = load(builder, session, offset_of(session_dtype, "wrong_assets"), I64)
        _store(builder, session, "wrong_assets", builder.add(times, I64(1)))
        _store(builder, session, "wrong_asset", asset_no)
    assets = load(builder, session, offset_of(session_dtype, "assets"), I64)
    return builder.add(assets, builder.mul(builder.select(inside, asset_no, I64(0)), I64(_ASSET_BYTES)))


def _position(context, builder, address, arguments):
    asset = asset_at_number(builder, address, arguments[0])
    return load(builder, asset, offset_of(asset_dtype, "state.position"), F64)


def _code_of(path, codes, otherwise) -> Callable[..., Any]:
    """A code by the value of a field of an asset: pairs of a value and its code, and the code of all other values."""

    def lower(context, builder, address, arguments):
        asset = asset_at_number(builder, address, arguments[0])
        value = load(builder, asset, offset_of(asset_dtype, path), I64)
        code = I64(otherwise)
        for known, known_code in codes:
            code = builder.select(builder.icmp_signed("==", value, I64(known)), I64(known_code), code)
        return code

    return lower


_BOOK = ((0, BOOK_VALID),)
_WAY = ((0, CONNECTED), (BY_HALT, HALTED))


def find_order(context, builder, orders, arguments):
    """Through the asset's session-independent table: the orders' address is the asset's."""
    function_type = ir.FunctionType(I64, [I64, I64])
    function = load(builder, orders, offset_of(asset_dtype, "fn_find_order"), I64)
    return builder.call(builder.inttoptr(function, function_type.as_pointer()), [orders, arguments[0]])


def _get_order(context, builder, orders, arguments):
    found = find_order(context, builder, orders, arguments)
    optional = context.make_helper(builder, types.Optional(order_type))
    optional.data = found
    optional.valid = builder.icmp_signed("!=", found, I64(0))
    return optional._getvalue()


def _values(context, builder, orders, arguments):
    """The next of the asset's eight cursors, set to the oldest order: as deep as loops may nest."""
    base = offset_of(asset_dtype, "orders")
    turn_address = builder.add(orders, I64(base + offset_of(orders_dtype, "cursor")))
    turn_pointer = builder.inttoptr(turn_address, I64.as_pointer())
    turn = builder.and_(builder.add(builder.load(turn_pointer), I64(1)), I64(7))
    builder.store(turn, turn_pointer)
    first = load(builder, orders, base + offset_of(orders_dtype, "first"), I64)
    cursors = builder.add(orders, I64(base + offset_of(orders_dtype, "cursors")))
    cursor = builder.add(cursors, builder.shl(turn, I64(3)))
    builder.store(first, builder.inttoptr(cursor, I64.as_pointer()))
    return cursor


def _has_next(context, builder, cursor, arguments):
    return builder.icmp_signed("!=", load(builder, cursor, 0, I64), I64(0))


def _step(builder, cursor):
    # Behind the last order stands an empty one: a strategy that does not ask must not bring the process down.
    zeros = cgutils.global_constant(
        builder, "no_order", ir.Constant(ir.ArrayType(ir.IntType(8), order_dtype.itemsize), None)
    )
    zeros.align = 8  # pyright: ignore[reportAttributeAccessIssue]
    found = load(builder, cursor, 0, I64)
    order = builder.select(builder.icmp_signed("==", found, I64(0)), builder.ptrtoint(zeros, I64), found)
    following = load(builder, order, offset_of(order_dtype, "next"), I64)
    builder.store(following, builder.inttoptr(cursor, I64.as_pointer()))
    return order


def _get_value(context, builder, cursor, arguments):
    return _step(builder, cursor)


def _next_value(context, builder, cursor, arguments):
    result = cgutils.alloca_once_value(builder, I64(0))
    with builder.if_then(_has_next(context, builder, cursor, ())):
        builder.store(_step(builder, cursor), result)
    optional = context.make_helper(builder, types.Optional(order_type))
    optional.data = builder.load(result)
    optional.valid = builder.icmp_signed("!=", optional.data, I64(0))
    return optional._getvalue()


def _qty_at_tick(side):
    def lower(context, builder, address, arguments):
        return level_qty(context, builder, address, side, arguments[0])

    return lower


_i64, _f64 = types.int64, types.float64
_ASSET = ("asset_no", _i64)
_ORDER = ("order_id", _i64)
_PRICE_QTY = (("price", _f64), ("qty", _f64))
_SUBMIT = (_ASSET, _ORDER, *_PRICE_QTY, ("time_in_force", _i64), ("order_type", _i64), ("wait", _i64))

METHODS: dict[type, dict[str, Method]] = {
    HbtType: {
        "elapse": Method((("duration", _i64),), _i64, _call("fn_elapse")),
        "elapse_bt": Method((("duration", _i64),), _i64, _call("fn_elapse")),
        "wait_next_feed": Method(
            (("include_order_resp", _i64), ("timeout", _i64)), _i64, _call("fn_wait_next_feed")
        ),
        "wait_order_response": Method(
            (_ASSET, _ORDER, ("timeout", _i64)), _i64, _call("fn_wait_order_response")
        ),
        "submit_buy_order": Method(_SUBMIT, _i64, _call("fn_submit", before=((3, 1),))),
        "submit_sell_order": Method(_SUBMIT, _i64, _call("fn_submit", before=((3, -1),))),
        "modify": Method((_ASSET, _ORDER, *_PRICE_QTY, ("wait", _i64)), _i64, _call("fn_modify")),
        "cancel": Method((_ASSET, _ORDER, ("wait", _i64)), _i64, _call("fn_cancel")),
        "clear_inactive_orders": Method(
            (_ASSET,), types.none, _call("fn_clear_inactive_orders", returns=types.none)
        ),
        "clear_last_trades": Method((_ASSET,), types.none, _call("fn_clear_last_trades", returns=types.none)),
        "clear_user_events": Method((_ASSET,), types.none, _call("fn_clear_user_events", returns=types.none)),
        "close": Method((), _i64, _call("fn_close")),
        "_goto_end": Method((), _i64, _call("fn_goto_end")),
        "depth": Method((_ASSET,), depth_type, _asset_part("book")),
        "orders": Method((_ASSET,), orders_type, _asset_part("")),
        "state_values": Method((_ASSET,), state_values_type, _asset_part("state")),
        "position": Method((_ASSET,), _f64, _position),
        "book_state": Method((_ASSET,), _i64, _code_of("book.not_valid", _BOOK, BOOK_INVALID)),
        "connection": Method((_ASSET,), _i64, _code_of("disconnected", _WAY, DISCONNECTED)),
        "alert": Method((_ASSET, ("code", _i64), ("value", _f64)), _i64, _call("fn_alert")),
        "_take_parameters": Method((), types.none, _call("fn_take_parameters", returns=types.none)),
    },
    DepthType: {
        "bid_qty_at_tick": Method((("price_tick", _i64),), _f64, _qty_at_tick(1)),
        "ask_qty_at_tick": Method((("price_tick", _i64),), _f64, _qty_at_tick(-1)),
    },
    OrdersType: {
        "get": Method((_ORDER,), types.Optional(order_type), _get_order),
        "values": Method((), values_type, _values),
    },
    ValuesType: {
        "has_next": Method((), types.boolean, _has_next),
        "get": Method((), order_type, _get_value),
        "next": Method((), types.Optional(order_type), _next_value),
    },
    RecorderType: {
        "record": Method(
            (("hbt", hbt_type),), types.none, _call("fn_record", dtype=recorder_dtype, returns=types.none)
        ),
    },
}
"""By type and name."""
