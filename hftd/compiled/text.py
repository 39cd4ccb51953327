"""Bytes of Python in compiled code: where they stand, and a byte among them."""

# pyright: basic
# ruff: noqa: ARG001 (numba calls intrinsics with arguments that they may not need)

from typing import Final

from llvmlite import ir
from numba import types
from numba.core import cgutils

from hftd.compiled.native import intrinsic

BYTES: Final = types.Bytes(types.uint8, 1, "C")
"""Python's bytes, in the signature of an `entry`."""
_I64: Final = ir.IntType(64)


@intrinsic
def address_of(typingctx, buffer):
    """In compiled code: the address of the first byte of bytes or of an array."""
    if not isinstance(buffer, types.Buffer):
        return None

    def codegen(context, builder, signature, args):
        array = context.make_array(signature.args[0])(context, builder, args[0])
        return builder.ptrtoint(array.data, _I64)

    return types.int64(buffer), codegen


@intrinsic
def find_byte(typingctx, address, byte, size):
    """The address of the first such byte, or 0."""

    def codegen(context, builder, signature, args):
        pointer = ir.IntType(8).as_pointer()
        function_type = ir.FunctionType(pointer, [pointer, ir.IntType(32), _I64])
        function = cgutils.get_or_insert_function(builder.module, function_type, "memchr")
        found = builder.call(
            function, [builder.inttoptr(args[0], pointer), builder.trunc(args[1], ir.IntType(32)), args[2]]
        )
        return builder.ptrtoint(found, _I64)

    return types.int64(types.int64, types.int64, types.int64), codegen
