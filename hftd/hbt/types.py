"""The Numba types of `hbt` and of what it hands out: plain addresses of records.

Nothing is allocated and nothing is counted. The types' names carry a hash of the layout and of what is made of it,
so a cached strategy is never run against another one.
"""

# pyright: basic

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import NativeValue, models, register_model, unbox

from hftd.compiled.jit import source_hash

I64 = ir.IntType(64)
F64 = ir.DoubleType()

# All that a strategy's machine code takes from here: the layout, and how it is read and called.
_LAYOUT = source_hash("hftd.hbt.typing")


class AddressType(types.Type):
    """A Numba type whose values are addresses of one of hftd's records."""

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
ALL_TYPES = (HbtType, DepthType, OrdersType, ValuesType, OrderType, StateValuesType, RecorderType)


class _AddressModel(models.PrimitiveModel):
    def __init__(self, dmm, fe_type):
        super().__init__(dmm, fe_type, I64)


def _unbox_address(typ, obj, c):
    attribute = c.pyapi.object_getattr_string(obj, "address")
    value = c.pyapi.long_as_longlong(attribute)
    c.pyapi.decref(attribute)
    return NativeValue(value, is_error=cgutils.is_not_null(c.builder, c.pyapi.err_occurred()))


for _type in ALL_TYPES:
    register_model(_type)(_AddressModel)
    unbox(_type)(_unbox_address)


def load(builder, address, offset, llvm_type):
    """Lower the load of a field."""
    pointer = builder.inttoptr(builder.add(address, I64(offset)), llvm_type.as_pointer())
    return builder.load(pointer)
