"""How compiled strategies see `hbt` and what it hands out: Numba types around plain addresses.

An attribute is one load at a fixed offset; a method is a call through an address in the session's table. Nothing is
allocated, nothing is counted, and none of the engine's code is compiled into the strategy. The types' names carry a
hash of the layout, so a cached strategy is never run against another layout.
"""

# pyright: basic

import operator
from collections.abc import Callable
from typing import Any, NamedTuple

from llvmlite import ir
from numba import types
from numba.core import cgutils, utils
from numba.core.typing.templates import AbstractTemplate, AttributeTemplate, infer_getattr, signature
from numba.extending import (
    NativeValue,
    intrinsic,
    lower_builtin,
    lower_getattr_generic,
    models,
    overload,
    overload_method,
    register_model,
    typeof_impl,
    unbox,
)

from hftd.jit import source_hash
from hftd.layout import (
    asset_dtype,
    book_dtype,
    offset_of,
    order_dtype,
    orders_dtype,
    recorder_dtype,
    session_dtype,
)
from hftd.types import INVALID_MAX, INVALID_MIN, NEW, NONE, PARTIALLY_FILLED, event_dtype, state_values_dtype

_I64 = ir.IntType(64)
_F64 = ir.DoubleType()
_ASSET_BYTES = asset_dtype.itemsize


_LAYOUT = source_hash("hftd.layout")


class AddressType(types.Type):
    """A Numba type whose values are addresses of a record of ours."""

    def __init__(self, what: str) -> None:
        super().__init__(name=f"hftd.{what}.{_LAYOUT}")


class HbtType(AddressType):
    """A session."""


class DepthType(AddressType):
    """A book."""


class OrdersType(AddressType):
    """The orders of an asset, by the asset's address."""


class ValuesType(AddressType):
    """An iterator over orders: the address of its cursor."""


class OrderType(AddressType):
    """An order."""


class StateValuesType(AddressType):
    """The state values of an asset."""


class RecorderType(AddressType):
    """A recorder of time series."""


hbt_type = HbtType("hbt")
depth_type = DepthType("depth")
orders_type = OrdersType("orders")
values_type = ValuesType("values")
order_type = OrderType("order")
state_values_type = StateValuesType("state_values")
recorder_type = RecorderType("recorder")
_ALL = (HbtType, DepthType, OrdersType, ValuesType, OrderType, StateValuesType, RecorderType)


class _AddressModel(models.PrimitiveModel):
    def __init__(self, dmm, fe_type):
        super().__init__(dmm, fe_type, _I64)


def _unbox_address(typ, obj, c):
    attribute = c.pyapi.object_getattr_string(obj, "address")
    value = c.pyapi.long_as_longlong(attribute)
    c.pyapi.decref(attribute)
    return NativeValue(value, is_error=cgutils.is_not_null(c.builder, c.pyapi.err_occurred()))


for _type in _ALL:
    register_model(_type)(_AddressModel)
    unbox(_type)(_unbox_address)


def python_class(numba_type: types.Type) -> Callable[[type], type]:
    """Let objects of a Python class, which have an `address`, be passed to compiled code as this type."""

    def wrap(cls: type) -> type:
        typeof_impl.register(cls)(lambda value, context: numba_type)
        return cls

    return wrap


def _load(builder, address, offset, llvm_type):
    pointer = builder.inttoptr(builder.add(address, _I64(offset)), llvm_type.as_pointer())
    return builder.load(pointer)


# --- Attributes -------------------------------------------------------------------------------------------------


class _Attribute(NamedTuple):
    numba_type: types.Type
    lower: Callable[..., Any]  # (context, builder, address) -> value


def _field(dtype, path, numba_type) -> _Attribute:
    offset = offset_of(dtype, path)
    llvm_type = _F64 if numba_type is types.float64 else _I64

    def lower(context, builder, address):
        value = _load(builder, address, offset, llvm_type)
        if numba_type is types.boolean:
            return builder.icmp_signed("!=", value, _I64(0))
        return value

    return _Attribute(numba_type, lower)


def _best_price(path, none) -> _Attribute:
    """A best price: NaN where there is none."""
    tick_offset = offset_of(book_dtype, path)
    size_offset = offset_of(book_dtype, "tick_size")

    def lower(context, builder, address):
        tick = _load(builder, address, tick_offset, _I64)
        price = builder.fmul(builder.sitofp(tick, _F64), _load(builder, address, size_offset, _F64))
        return builder.select(builder.icmp_signed("==", tick, _I64(none)), _F64(float("nan")), price)

    return _Attribute(types.float64, lower)


def _price(path) -> _Attribute:
    tick_offset = offset_of(order_dtype, path)
    size_offset = offset_of(order_dtype, "tick_size")

    def lower(context, builder, address):
        tick = _load(builder, address, tick_offset, _I64)
        return builder.fmul(builder.sitofp(tick, _F64), _load(builder, address, size_offset, _F64))

    return _Attribute(types.float64, lower)


def _level_qty(context, builder, book, side, tick):
    """The quantity of a level: a load inside the window, a call for a far level."""
    base = _load(builder, book, offset_of(book_dtype, "base_tick"), _I64)
    window = _load(builder, book, offset_of(book_dtype, "window_ticks"), _I64)
    quantities = _load(builder, book, offset_of(book_dtype, "bids" if side > 0 else "asks"), _I64)
    index = builder.sub(tick, base)
    result = cgutils.alloca_once(builder, _F64)
    with builder.if_else(builder.icmp_unsigned("<", index, window), likely=True) as (near, far):
        with near:
            address = builder.add(quantities, builder.shl(index, _I64(3)))
            builder.store(builder.load(builder.inttoptr(address, _F64.as_pointer())), result)
        with far:
            function_type = ir.FunctionType(_F64, [_I64, _I64, _I64])
            function = _load(builder, book, offset_of(book_dtype, "fn_far_qty"), _I64)
            call = builder.call(
                builder.inttoptr(function, function_type.as_pointer()), [book, _I64(side), tick]
            )
            builder.store(call, result)
    return builder.load(result)


def _best_qty(path, side) -> _Attribute:
    offset = offset_of(book_dtype, path)

    def lower(context, builder, address):
        return _level_qty(context, builder, address, side, _load(builder, address, offset, _I64))

    return _Attribute(types.float64, lower)


def _cancellable(context, builder, address):
    status = _load(builder, address, offset_of(order_dtype, "status"), _I64)
    request = _load(builder, address, offset_of(order_dtype, "req"), _I64)
    live = builder.or_(
        builder.icmp_signed("==", status, _I64(NEW)),
        builder.icmp_signed("==", status, _I64(PARTIALLY_FILLED)),
    )
    return builder.and_(live, builder.icmp_signed("==", request, _I64(NONE)))


_ATTRIBUTES: dict[type, dict[str, _Attribute]] = {
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
    },
    OrderType: {
        "price": _price("price_tick"),
        "exec_price": _price("exec_price_tick"),
        "cancellable": _Attribute(types.boolean, _cancellable),
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


# --- Methods ----------------------------------------------------------------------------------------------------


class _Method(NamedTuple):
    arguments: tuple[tuple[str, types.Type], ...]
    returns: types.Type
    lower: Callable[..., Any]  # (context, builder, address, arguments) -> value


def _call(path, *, dtype=session_dtype, before=(), returns=types.int64) -> Callable[..., Any]:
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
            values.insert(position, _I64(constant))
        function_type = ir.FunctionType(_I64, [value.type for value in values])
        function = builder.inttoptr(_load(builder, address, offset, _I64), function_type.as_pointer())
        result = builder.call(function, values)
        return context.get_dummy_value() if returns is types.none else result

    return lower


def _asset_part(path) -> Callable[..., Any]:
    """The address of a part of an asset; an asset number that is none of the bot's gives asset 0's."""
    offset = offset_of(asset_dtype, path) if path else 0

    def lower(context, builder, address, arguments):
        return builder.add(_asset(builder, address, arguments[0]), _I64(offset))

    return lower


def _asset(builder, session, asset_no):
    count = _load(builder, session, offset_of(session_dtype, "num_assets"), _I64)
    inside = builder.icmp_unsigned("<", asset_no, count)
    assets = _load(builder, session, offset_of(session_dtype, "assets"), _I64)
    return builder.add(assets, builder.mul(builder.select(inside, asset_no, _I64(0)), _I64(_ASSET_BYTES)))


def _position(context, builder, address, arguments):
    asset = _asset(builder, address, arguments[0])
    return _load(builder, asset, offset_of(asset_dtype, "state.position"), _F64)


def _find_order(context, builder, orders, arguments):
    """Through the asset's session-independent table: the orders' address is the asset's."""
    function_type = ir.FunctionType(_I64, [_I64, _I64])
    function = _load(builder, orders, offset_of(asset_dtype, "fn_find_order"), _I64)
    return builder.call(builder.inttoptr(function, function_type.as_pointer()), [orders, arguments[0]])


def _get_order(context, builder, orders, arguments):
    found = _find_order(context, builder, orders, arguments)
    optional = context.make_helper(builder, types.Optional(order_type))
    optional.data = found
    optional.valid = builder.icmp_signed("!=", found, _I64(0))
    return optional._getvalue()


def _values(context, builder, orders, arguments):
    """The next of the asset's eight cursors, set to the oldest order: as deep as loops may nest."""
    base = offset_of(asset_dtype, "orders")
    turn_address = builder.add(orders, _I64(base + offset_of(orders_dtype, "cursor")))
    turn_pointer = builder.inttoptr(turn_address, _I64.as_pointer())
    turn = builder.and_(builder.add(builder.load(turn_pointer), _I64(1)), _I64(7))
    builder.store(turn, turn_pointer)
    first = _load(builder, orders, base + offset_of(orders_dtype, "first"), _I64)
    cursors = builder.add(orders, _I64(base + offset_of(orders_dtype, "cursors")))
    cursor = builder.add(cursors, builder.shl(turn, _I64(3)))
    builder.store(first, builder.inttoptr(cursor, _I64.as_pointer()))
    return cursor


def _has_next(context, builder, cursor, arguments):
    return builder.icmp_signed("!=", _load(builder, cursor, 0, _I64), _I64(0))


def _step(builder, cursor):
    order = _load(builder, cursor, 0, _I64)
    following = _load(builder, order, offset_of(order_dtype, "next"), _I64)
    builder.store(following, builder.inttoptr(cursor, _I64.as_pointer()))
    return order


def _get_value(context, builder, cursor, arguments):
    return _step(builder, cursor)


def _next_value(context, builder, cursor, arguments):
    result = cgutils.alloca_once_value(builder, _I64(0))
    with builder.if_then(_has_next(context, builder, cursor, ())):
        builder.store(_step(builder, cursor), result)
    optional = context.make_helper(builder, types.Optional(order_type))
    optional.data = builder.load(result)
    optional.valid = builder.icmp_signed("!=", optional.data, _I64(0))
    return optional._getvalue()


def _qty_at_tick(side):
    def lower(context, builder, address, arguments):
        return _level_qty(context, builder, address, side, arguments[0])

    return lower


_i64, _f64 = types.int64, types.float64
_ASSET = ("asset_no", _i64)
_ORDER = ("order_id", _i64)
_PRICE_QTY = (("price", _f64), ("qty", _f64))
_SUBMIT = (_ASSET, _ORDER, *_PRICE_QTY, ("time_in_force", _i64), ("order_type", _i64), ("wait", _i64))

_METHODS: dict[type, dict[str, _Method]] = {
    HbtType: {
        "elapse": _Method((("duration", _i64),), _i64, _call("fn_elapse")),
        "elapse_bt": _Method((("duration", _i64),), _i64, _call("fn_elapse")),
        "wait_next_feed": _Method(
            (("include_order_resp", _i64), ("timeout", _i64)), _i64, _call("fn_wait_next_feed")
        ),
        "wait_order_response": _Method(
            (_ASSET, _ORDER, ("timeout", _i64)), _i64, _call("fn_wait_order_response")
        ),
        "submit_buy_order": _Method(_SUBMIT, _i64, _call("fn_submit", before=((3, 1),))),
        "submit_sell_order": _Method(_SUBMIT, _i64, _call("fn_submit", before=((3, -1),))),
        "modify": _Method((_ASSET, _ORDER, *_PRICE_QTY, ("wait", _i64)), _i64, _call("fn_modify")),
        "cancel": _Method((_ASSET, _ORDER, ("wait", _i64)), _i64, _call("fn_cancel")),
        "clear_inactive_orders": _Method(
            (_ASSET,), types.none, _call("fn_clear_inactive_orders", returns=types.none)
        ),
        "clear_last_trades": _Method(
            (_ASSET,), types.none, _call("fn_clear_last_trades", returns=types.none)
        ),
        "close": _Method((), _i64, _call("fn_close")),
        "_goto_end": _Method((), _i64, _call("fn_goto_end")),
        "depth": _Method((_ASSET,), depth_type, _asset_part("book")),
        "orders": _Method((_ASSET,), orders_type, _asset_part("")),
        "state_values": _Method((_ASSET,), state_values_type, _asset_part("state")),
        "position": _Method((_ASSET,), _f64, _position),
    },
    DepthType: {
        "bid_qty_at_tick": _Method((("price_tick", _i64),), _f64, _qty_at_tick(1)),
        "ask_qty_at_tick": _Method((("price_tick", _i64),), _f64, _qty_at_tick(-1)),
    },
    OrdersType: {
        "get": _Method((_ORDER,), types.Optional(order_type), _get_order),
        "values": _Method((), values_type, _values),
    },
    ValuesType: {
        "has_next": _Method((), types.boolean, _has_next),
        "get": _Method((), order_type, _get_value),
        "next": _Method((), types.Optional(order_type), _next_value),
    },
    RecorderType: {
        "record": _Method(
            (("hbt", hbt_type),), types.none, _call("fn_record", dtype=recorder_dtype, returns=types.none)
        ),
    },
}


def _fits(given: types.Type, wanted: types.Type) -> bool:
    if isinstance(given, types.Literal):
        given = given.literal_type
    if given == wanted:
        return True
    return wanted in (_i64, _f64) and isinstance(given, (types.Number, types.Boolean))


def _template(owner: type, name: str, method: _Method) -> type[AbstractTemplate]:
    names = [argument for argument, _ in method.arguments]
    # Numba folds keyword arguments by this signature.
    stub_source = f"def {name}({', '.join(names)}): pass"
    scope: dict[str, Any] = {}
    exec(stub_source, scope)  # noqa: S102 (our own table's names)
    python_signature = utils.pysignature(scope[name])

    class Template(AbstractTemplate):
        key = f"{owner.__name__}.{name}"

        def generic(self, args, kws):
            bound = python_signature.bind(*args, **kws)
            given = [bound.arguments[argument] for argument in names]
            for value, (_, wanted) in zip(given, method.arguments, strict=True):
                if not _fits(value, wanted):
                    return None
            made = signature(method.returns, *given, recvr=self.this)
            return made.replace(pysig=python_signature)

    Template.__name__ = f"{owner.__name__}_{name}"

    @lower_builtin(Template.key, owner, *([types.Any] * len(names)))
    def lower(context, builder, sig, args):
        receiver, *values = args
        kinds = sig.args[1:] if len(sig.args) > len(values) else sig.args
        cast = [
            context.cast(builder, value, kind, wanted) if kind != wanted else value
            for value, kind, (_, wanted) in zip(values, kinds, method.arguments, strict=True)
        ]
        return method.lower(context, builder, receiver, cast)

    return Template


def _register(owner: type) -> None:
    attributes = _ATTRIBUTES.get(owner, {})
    templates = {name: _template(owner, name, method) for name, method in _METHODS.get(owner, {}).items()}

    @infer_getattr
    class Attributes(AttributeTemplate):
        key = owner

        def generic_resolve(self, typ, attr):
            if attr in attributes:
                return attributes[attr].numba_type
            if attr in templates:
                return types.BoundFunction(templates[attr], typ)
            return None

    @lower_getattr_generic(owner)
    def lower(context, builder, typ, value, attr):
        if attr in attributes:
            return attributes[attr].lower(context, builder, value)
        # A bound method's value is its receiver.
        return value


for _type in _ALL:
    _register(_type)


# --- What needs more than a load or a call ------------------------------------------------------------------------


@intrinsic
def _count_orders(typingctx, orders):
    def codegen(context, builder, sig, args):
        return _load(builder, args[0], offset_of(asset_dtype, "orders.count"), _I64)

    return types.int64(orders), codegen


@intrinsic
def _has_order(typingctx, orders, order_id):
    def codegen(context, builder, sig, args):
        found = _find_order(context, builder, args[0], [args[1]])
        return builder.icmp_signed("!=", found, _I64(0))

    return types.boolean(orders, types.int64), codegen


@overload(len)
def _orders_len(orders):
    if isinstance(orders, OrdersType):
        return lambda orders: _count_orders(orders)
    return None


@overload(operator.contains)
def _orders_contain(orders, order_id):
    if isinstance(orders, OrdersType):
        return lambda orders, order_id: _has_order(orders, order_id)
    return None


@intrinsic
def _asset_of(typingctx, hbt, asset_no):
    def codegen(context, builder, sig, args):
        return _asset(builder, args[0], args[1])

    return types.int64(hbt, types.int64), codegen


@intrinsic
def _load_asset(typingctx, asset, offset):
    if not isinstance(offset, types.IntegerLiteral):
        return None

    def codegen(context, builder, sig, args):
        return _load(builder, args[0], offset.literal_value, _I64)

    return types.int64(types.int64, offset), codegen


@intrinsic
def _as_pointer(typingctx, address):
    def codegen(context, builder, sig, args):
        return builder.inttoptr(args[0], ir.IntType(8).as_pointer())

    return types.voidptr(types.int64), codegen


_TRADES = offset_of(asset_dtype, "trades")
_TRADES_LEN = offset_of(asset_dtype, "trades_len")
_FEED_SEEN = offset_of(asset_dtype, "feed_seen")
_FEED_EXCH = offset_of(asset_dtype, "feed_exch_ts")
_FEED_LOCAL = offset_of(asset_dtype, "feed_local_ts")
_ORDER_SEEN = offset_of(asset_dtype, "order_seen")
_ORDER_REQ = offset_of(asset_dtype, "order_req_ts")
_ORDER_EXCH = offset_of(asset_dtype, "order_exch_ts")
_ORDER_RESP = offset_of(asset_dtype, "order_resp_ts")


@overload_method(HbtType, "last_trades")
def _last_trades(hbt, asset_no):
    from numba import carray

    def impl(hbt, asset_no):
        asset = _asset_of(hbt, asset_no)
        return carray(
            _as_pointer(_load_asset(asset, _TRADES)), (_load_asset(asset, _TRADES_LEN),), event_dtype
        )

    return impl


@overload_method(HbtType, "feed_latency")
def _feed_latency(hbt, asset_no):
    def impl(hbt, asset_no):
        asset = _asset_of(hbt, asset_no)
        if _load_asset(asset, _FEED_SEEN) == 0:
            return None
        return _load_asset(asset, _FEED_EXCH), _load_asset(asset, _FEED_LOCAL)

    return impl


@overload_method(HbtType, "order_latency")
def _order_latency(hbt, asset_no):
    def impl(hbt, asset_no):
        asset = _asset_of(hbt, asset_no)
        if _load_asset(asset, _ORDER_SEEN) == 0:
            return None
        return (
            _load_asset(asset, _ORDER_REQ),
            _load_asset(asset, _ORDER_EXCH),
            _load_asset(asset, _ORDER_RESP),
        )

    return impl


@lower_builtin("static_getitem", types.Optional, types.IntegerLiteral)
def _optional_tuple_item(context, builder, sig, args):
    """`hbt.feed_latency(a)[0]`: the type checker of Numba allows it, but only plain tuples can be lowered."""
    optional, index = sig.args
    tuple_value = context.cast(builder, args[0], optional, optional.type)
    return builder.extract_value(tuple_value, index.literal_value)
