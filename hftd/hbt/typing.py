"""What makes Numba know the types of `hbt`: their attributes, their methods, and the Python classes that go with them.

Whatever an attribute or a method is lowered to stands in :mod:`hftd.hbt.attributes` and :mod:`hftd.hbt.methods`; what
needs more than that is here.
"""

# pyright: basic

import inspect
import operator
from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar

import numpy as np
from llvmlite import ir
from numba import types
from numba.core.typing.templates import AbstractTemplate, AttributeTemplate, infer_getattr, signature
from numba.extending import (
    as_numba_type,
    lower_builtin,
    lower_getattr_generic,
    overload,
    overload_attribute,
    overload_method,
    typeof_impl,
)
from numba.np.numpy_support import carray

from hftd.compiled.layout import asset_dtype, book_dtype, offset_of
from hftd.compiled.native import call_code, intrinsic
from hftd.hbt.attributes import ATTRIBUTES
from hftd.hbt.methods import METHODS, Method, asset_at_number, find_order
from hftd.hbt.types import ALL_TYPES, I64, DepthType, HbtType, OrdersType, load
from hftd.types import (
    BUY_EVENT,
    DEPTH_SNAPSHOT_EVENT,
    EXCH_EVENT,
    INVALID_MIN,
    LOCAL_EVENT,
    SELL_EVENT,
    event_dtype,
)

_i64, _f64 = types.int64, types.float64
_Class = TypeVar("_Class", bound=type)


class ClassType(NamedTuple):
    """What annotations of a jitclass's fields look for: `depth: Depth.class_type.instance_type`."""

    instance_type: types.Type


def python_class(numba_type: types.Type) -> Callable[[_Class], _Class]:
    """Let objects of a Python class, which have an `address`, be passed to compiled code as this type.

    The class is an annotation of a jitclass's field as well, by itself and by its `class_type.instance_type`.
    """

    def wrap(cls: _Class) -> _Class:
        typeof_impl.register(cls)(lambda value, context: numba_type)
        as_numba_type.register(cls, numba_type)
        cls.class_type = ClassType(numba_type)  # pyright: ignore[reportAttributeAccessIssue]
        return cls

    return wrap


def _fits(given: types.Type, wanted: types.Type) -> bool:
    if isinstance(given, types.Literal):
        given = given.literal_type
    if given == wanted:
        return True
    return wanted in (_i64, _f64) and isinstance(given, (types.Number, types.Boolean))


def _template(owner: type, name: str, method: Method) -> type[AbstractTemplate]:
    names = [argument for argument, _ in method.arguments]
    # Numba folds keyword arguments by this signature.
    stub_source = f"def {name}({', '.join(names)}): pass"
    scope: dict[str, Any] = {}
    exec(stub_source, scope)  # noqa: S102 (our own table's names)
    python_signature = inspect.signature(scope[name])

    class Template(AbstractTemplate):
        key = f"{owner.__name__}.{name}"

        def generic(self, args, kws):
            bound = python_signature.bind(*args, **kws)
            given = [bound.arguments[argument] for argument in names]
            for value, (_, wanted) in zip(given, method.arguments, strict=True):
                if not _fits(value, wanted):
                    return None
            made = signature(method.returns, *given, recvr=self.this)  # pyright: ignore[reportAttributeAccessIssue]
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
    attributes = ATTRIBUTES.get(owner, {})
    templates = {name: _template(owner, name, method) for name, method in METHODS.get(owner, {}).items()}

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


for _type in ALL_TYPES:
    _register(_type)

# --- What needs more than a load or a call ------------------------------------------------------------------------


@intrinsic
def _count_orders(typingctx, orders):
    def codegen(context, builder, sig, args):
        return load(builder, args[0], offset_of(asset_dtype, "orders.count"), I64)

    return types.int64(orders), codegen


@intrinsic
def _has_order(typingctx, orders, order_id):
    def codegen(context, builder, sig, args):
        found = find_order(context, builder, args[0], [args[1]])
        return builder.icmp_signed("!=", found, I64(0))

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
        return asset_at_number(builder, args[0], args[1])

    return types.int64(hbt, types.int64), codegen


@intrinsic
def _load_asset(typingctx, asset, offset):
    if not isinstance(offset, types.IntegerLiteral):
        return None

    def codegen(context, builder, sig, args):
        return load(builder, args[0], offset.literal_value, I64)

    return types.int64(types.int64, offset), codegen


@intrinsic
def _as_pointer(typingctx, address):
    def codegen(context, builder, sig, args):
        return builder.inttoptr(args[0], ir.IntType(8).as_pointer())

    return types.voidptr(types.int64), codegen


_TRADES = offset_of(asset_dtype, "trades")
_TRADES_LEN = offset_of(asset_dtype, "trades_len")
_USER_EVENTS = offset_of(asset_dtype, "user_events")
_USER_EVENTS_LEN = offset_of(asset_dtype, "user_events_len")
_FEED_SEEN = offset_of(asset_dtype, "feed_seen")
_FEED_EXCH = offset_of(asset_dtype, "feed_exch_ts")
_FEED_LOCAL = offset_of(asset_dtype, "feed_local_ts")
_ORDER_SEEN = offset_of(asset_dtype, "order_seen")
_ORDER_REQ = offset_of(asset_dtype, "order_req_ts")
_ORDER_EXCH = offset_of(asset_dtype, "order_exch_ts")
_ORDER_RESP = offset_of(asset_dtype, "order_resp_ts")


def _kept_rows(first, length):
    """The rows that an asset keeps, as a view."""

    def impl(hbt, asset_no):
        asset = _asset_of(hbt, asset_no)
        return carray(_as_pointer(_load_asset(asset, first)), (_load_asset(asset, length),), event_dtype)

    return impl


@overload_method(HbtType, "last_trades")
def _last_trades(hbt, asset_no):
    return _kept_rows(_TRADES, _TRADES_LEN)


@overload_method(HbtType, "user_events")
def _user_events(hbt, asset_no):
    return _kept_rows(_USER_EVENTS, _USER_EVENTS_LEN)


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


# --- Books as arrays ------------------------------------------------------------------------------------------------


@intrinsic
def _load_book(typingctx, depth, offset):
    if not isinstance(offset, types.IntegerLiteral):
        return None

    def codegen(context, builder, sig, args):
        return load(builder, args[0], offset.literal_value, I64)

    return types.int64(depth, offset), codegen


@intrinsic
def _address_of(typingctx, depth):
    def codegen(context, builder, sig, args):
        return args[0]

    return types.int64(depth), codegen


_BIDS = offset_of(book_dtype, "bids")
_ASKS = offset_of(book_dtype, "asks")
_WINDOW = offset_of(book_dtype, "window_ticks")
_ROI_LOW = offset_of(book_dtype, "roi_lb_tick")
_WRITE_LEVELS = offset_of(book_dtype, "fn_write_levels")
_SNAPSHOT_BIDS = EXCH_EVENT | LOCAL_EVENT | BUY_EVENT | DEPTH_SNAPSHOT_EVENT
_SNAPSHOT_ASKS = EXCH_EVENT | LOCAL_EVENT | SELL_EVENT | DEPTH_SNAPSHOT_EVENT


def _side_array(field):
    """A side of the range of interest as an array by tick; empty where there is no range."""

    def impl(depth):
        size = _load_book(depth, _WINDOW) if _load_book(depth, _ROI_LOW) != INVALID_MIN else 0
        return carray(_as_pointer(_load_book(depth, field)), (size,), np.float64)

    return impl


@overload_attribute(DepthType, "bid_depth")
def _bid_depth(depth):
    return _side_array(_BIDS)


@overload_attribute(DepthType, "ask_depth")
def _ask_depth(depth):
    return _side_array(_ASKS)


@overload_method(DepthType, "snapshot")
def _snapshot(depth):
    def impl(depth):
        book = _address_of(depth)
        write = _load_book(depth, _WRITE_LEVELS)
        bids = call_code(write, (book, 1, 0, 0))
        asks = call_code(write, (book, -1, 0, 0))
        levels = np.empty(2 * (bids + asks), np.int64)
        first = levels.ctypes.data
        call_code(write, (book, 1, first, bids))
        call_code(write, (book, -1, first + 16 * bids, asks))
        quantities = levels.view(np.float64)
        rows = np.zeros(bids + asks, event_dtype)
        for i in range(bids + asks):
            rows[i].ev = _SNAPSHOT_BIDS if i < bids else _SNAPSHOT_ASKS
            rows[i].px = levels[2 * i] * depth.tick_size
            rows[i].qty = quantities[2 * i + 1]
        return rows

    return impl


@overload_method(DepthType, "snapshot_free")
def _snapshot_free(depth, rows):
    """HftBacktest's scripts free their snapshots; here they are plain arrays."""
    return lambda depth, rows: None
