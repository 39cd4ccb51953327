"""Raw memory, atomics and system calls for compiled code.

Everything here is called from `@njit` code. Addresses are int64. Nothing checks bounds: the callers own the
layouts (:mod:`hftd.compiled.layout`, :mod:`hftd.channel.layout`) and stay inside them.

Loads and stores with `acquire` and `release` pair up between processes over shared memory as in the C11 memory
model; on x86-64 they are plain moves that the compiler must not reorder, on AArch64 `ldar` and `stlr`.
"""

# pyright: basic

import platform
from typing import Any

import numpy as np
from llvmlite import ir
from numba import extending, types
from numba.core import cgutils

intrinsic: Any = extending.intrinsic
"""Numba's; type checkers would see the generator's signature instead of the intrinsic's."""

_I8 = ir.IntType(8)
_I32 = ir.IntType(32)
_I64 = ir.IntType(64)
_F64 = ir.DoubleType()


def _loader(name: str, llvm_type: ir.Type, numba_type: types.Type, ordering: str = "") -> Any:
    """An intrinsic `f(address) -> value`; narrow integers are widened without sign."""

    def typed(typingctx, address):
        def codegen(context, builder, signature, args):
            pointer = builder.inttoptr(args[0], llvm_type.as_pointer())
            size = llvm_type.width // 8 if isinstance(llvm_type, ir.IntType) else 8
            if ordering:
                value = builder.load_atomic(pointer, ordering, size)
            else:
                value = builder.load(pointer, align=1)
            if isinstance(llvm_type, ir.IntType) and llvm_type.width < 64:
                value = builder.zext(value, _I64)
            return value

        if isinstance(address, types.Integer):
            return numba_type(types.int64), codegen
        return None

    typed.__name__ = name
    return intrinsic(typed)


def _storer(name: str, llvm_type: ir.Type, numba_type: types.Type, ordering: str = "") -> Any:
    """An intrinsic `f(address, value)`; narrow integers are cut."""

    def typed(typingctx, address, value):
        def codegen(context, builder, signature, args):
            pointer = builder.inttoptr(args[0], llvm_type.as_pointer())
            stored = args[1]
            if isinstance(llvm_type, ir.IntType) and llvm_type.width < 64:
                stored = builder.trunc(stored, llvm_type)
            size = llvm_type.width // 8 if isinstance(llvm_type, ir.IntType) else 8
            if ordering:
                builder.store_atomic(stored, pointer, ordering, size)
            else:
                builder.store(stored, pointer, align=1)
            return context.get_dummy_value()

        if isinstance(address, types.Integer):
            return types.void(types.int64, numba_type), codegen
        return None

    typed.__name__ = name
    return intrinsic(typed)


load_i64 = _loader("load_i64", _I64, types.int64)
load_f64 = _loader("load_f64", _F64, types.float64)
load_u8 = _loader("load_u8", _I8, types.int64)
load_u32 = _loader("load_u32", _I32, types.int64)
store_i64 = _storer("store_i64", _I64, types.int64)
store_f64 = _storer("store_f64", _F64, types.float64)
store_u8 = _storer("store_u8", _I8, types.int64)
store_u32 = _storer("store_u32", _I32, types.int64)

load_acquire = _loader("load_acquire", _I64, types.int64, "acquire")
store_release = _storer("store_release", _I64, types.int64, "release")
load_acquire_u32 = _loader("load_acquire_u32", _I32, types.int64, "acquire")
store_release_u32 = _storer("store_release_u32", _I32, types.int64, "release")


@intrinsic
def fence(typingctx):
    """A full fence: what is stored before it is visible before anything after it is loaded."""

    def codegen(context, builder, signature, args):
        builder.fence("seq_cst")
        return context.get_dummy_value()

    return types.void(), codegen


def _fence(name: str, ordering: str) -> Any:
    def typed(typingctx):
        def codegen(context, builder, signature, args):
            builder.fence(ordering)
            return context.get_dummy_value()

        return types.void(), codegen

    typed.__name__ = name
    return intrinsic(typed)


fence_acquire = _fence("fence_acquire", "acquire")
"""What is loaded before it is not loaded again or later than anything after it; costs nothing on x86-64."""
fence_release = _fence("fence_release", "release")
"""What is stored before it is visible before anything that is stored after it; costs nothing on x86-64."""


def _prefetch(name: str, is_write: int) -> Any:
    def typed(typingctx, address):
        def codegen(context, builder, signature, args):
            pointer = builder.inttoptr(args[0], _I8.as_pointer())
            function_type = ir.FunctionType(ir.VoidType(), [_I8.as_pointer(), _I32, _I32, _I32])
            function = cgutils.get_or_insert_function(builder.module, function_type, "llvm.prefetch.p0")
            builder.call(function, [pointer, _I32(is_write), _I32(3), _I32(1)])
            return context.get_dummy_value()

        return types.void(types.int64), codegen

    typed.__name__ = name
    return intrinsic(typed)


prefetch_read = _prefetch("prefetch_read", 0)
"""Ask for the cache line of an address, that will be read; any address is allowed."""
prefetch_write = _prefetch("prefetch_write", 1)
"""Ask for the cache line of an address, and take it from the other cores: it will be written."""


@intrinsic
def add_u32(typingctx, address, value):
    """Add to a 32-bit word atomically; returns what it was."""

    def codegen(context, builder, signature, args):
        pointer = builder.inttoptr(args[0], _I32.as_pointer())
        old = builder.atomic_rmw("add", pointer, builder.trunc(args[1], _I32), "seq_cst")
        return builder.zext(old, _I64)

    return types.int64(types.int64, types.int64), codegen


@intrinsic
def pause(typingctx):
    """Tell the processor that this is a spin loop."""

    def codegen(context, builder, signature, args):
        machine = platform.machine()
        if machine == "x86_64":
            function_type = ir.FunctionType(ir.VoidType(), [])
            name = "llvm.x86.sse2.pause"
            builder.call(cgutils.get_or_insert_function(builder.module, function_type, name), [])
        elif machine == "aarch64":
            function_type = ir.FunctionType(ir.VoidType(), [_I32])
            function = cgutils.get_or_insert_function(builder.module, function_type, "llvm.aarch64.hint")
            builder.call(function, [_I32(1)])
        return context.get_dummy_value()

    return types.void(), codegen


def _memory_call(name: str, c_name: str) -> Any:
    def typed(typingctx, target, source, size):
        def codegen(context, builder, signature, args):
            byte_pointer = _I8.as_pointer()
            function_type = ir.FunctionType(byte_pointer, [byte_pointer, byte_pointer, _I64])
            function = cgutils.get_or_insert_function(builder.module, function_type, c_name)
            builder.call(
                function,
                [
                    builder.inttoptr(args[0], byte_pointer),
                    builder.inttoptr(args[1], byte_pointer),
                    args[2],
                ],
            )
            return context.get_dummy_value()

        return types.void(types.int64, types.int64, types.int64), codegen

    typed.__name__ = name
    return intrinsic(typed)


copy_bytes = _memory_call("copy_bytes", "memcpy")
"""copy_bytes(target, source, size): the two may not overlap."""
move_bytes = _memory_call("move_bytes", "memmove")
"""move_bytes(target, source, size): the two may overlap."""


@intrinsic
def syscall6(typingctx, number, a, b, c, d, e, f):
    """The libc's `syscall(number, a..f)`; returns its result, -1 on an error."""

    def codegen(context, builder, signature, args):
        function_type = ir.FunctionType(_I64, [_I64], var_arg=True)
        function = cgutils.get_or_insert_function(builder.module, function_type, "syscall")
        return builder.call(function, args)

    return types.int64(*([types.int64] * 7)), codegen


def _caller(name: str, llvm_type: ir.Type, numba_type: types.Type) -> Any:
    """An intrinsic `f(address, arguments)` that calls a C function which returns that type."""

    def typed(typingctx, address, arguments):
        if not isinstance(arguments, types.BaseTuple):
            return None
        kinds = [_F64 if isinstance(kind, types.Float) else _I64 for kind in arguments.types]  # pyright: ignore

        def codegen(context, builder, signature, args):
            values = cgutils.unpack_tuple(builder, args[1], len(kinds))
            function_type = ir.FunctionType(llvm_type, kinds)
            pointer = builder.inttoptr(args[0], function_type.as_pointer())
            return builder.call(pointer, values)

        return numba_type(types.int64, arguments), codegen

    typed.__name__ = name
    return intrinsic(typed)


call_code = _caller("call_code", _I64, types.int64)
"""call_code(address, arguments): call a C function with a tuple of int64 and float64; it returns an int64."""
call_float = _caller("call_float", _F64, types.float64)
"""As `call_code`, of a C function that returns a float64."""


def record_at(dtype: np.dtype[Any]) -> Any:
    """An intrinsic that views the memory at an address as a record of `dtype`, without a copy or an object."""
    from numba.np.numpy_support import from_dtype

    record_type = from_dtype(dtype)

    @intrinsic
    def at(typingctx, address):
        def codegen(context, builder, signature, args):
            return builder.inttoptr(args[0], context.get_value_type(record_type))

        if isinstance(address, types.Integer):
            return record_type(types.int64), codegen
        return None

    return at


@intrinsic
def round_away(typingctx, x):
    """The nearest integer to a float64, halves away from zero (exact below 2^52); without a branch."""

    def codegen(context, builder, signature, args):
        # The largest number below one half: adding a half would lift numbers just below k + 1/2.
        function_type = ir.FunctionType(_F64, [_F64, _F64])
        copysign = cgutils.get_or_insert_function(builder.module, function_type, "llvm.copysign.f64")
        half = builder.call(copysign, [_F64(0.49999999999999994), args[0]])
        return builder.fptosi(builder.fadd(args[0], half), _I64)

    return types.int64(types.float64), codegen


@intrinsic
def stack_bytes(typingctx, size):
    """The address of a constant number of bytes on the stack, until the kernel that asked returns."""
    if not isinstance(size, types.IntegerLiteral):
        return None

    def codegen(context, builder, signature, args):
        room = cgutils.alloca_once(builder, _I64, size=(signature.args[0].literal_value + 7) // 8)
        return builder.ptrtoint(room, _I64)

    return types.int64(size), codegen


@intrinsic
def wrapping_product(typingctx, a, b):
    """A * b modulo 2^64: Numba's own product promises LLVM that it does not overflow."""

    def codegen(context, builder, signature, args):
        return builder.mul(args[0], args[1])

    return types.int64(types.int64, types.int64), codegen


@intrinsic
def high_bits(typingctx, value, bits):
    """The highest `bits` bits (1 to 63) of a word, as a number."""

    def codegen(context, builder, signature, args):
        return builder.lshr(args[0], builder.sub(_I64(64), args[1]))

    return types.int64(types.int64, types.int64), codegen
