"""A compiled strategy as a function of two addresses, to be called from compiled code.

The machine code that is called is the very one that a backtest calls: only the way of its arguments is another.
"""

# pyright: basic

from functools import cache
from typing import Any

import numpy as np
from llvmlite import ir
from numba import cfunc, types
from numba.core import cgutils

from hftd.compiled.native import intrinsic

_I64 = ir.IntType(64)
_KINDS: dict[type, Any] = {bool: types.boolean, int: types.int64, float: types.float64}


def fits(values: list[Any]) -> bool:
    """Whether a strategy with these parameters can be called so: numbers and recorders alone."""
    return all(type(value) in _KINDS or hasattr(value, "address") for value in values)


def words_of(values: list[Any]) -> np.ndarray:
    """The arguments behind `hbt`, a word for each."""
    words = np.zeros(max(len(values), 1), np.int64)
    for number, value in enumerate(values):
        if type(value) is float:
            words[number : number + 1].view(np.float64)[0] = value
        else:
            words[number] = value.address if hasattr(value, "address") else int(value)
    return words


def strategy_address(dispatcher: Any) -> tuple[int, tuple[Any, ...], Any]:
    """The address of a compiled strategy's machine code, the types of its arguments and that of its result."""
    (compiled,) = dispatcher.overloads.values()
    address = compiled.library.get_pointer_to_function(compiled.fndesc.llvm_func_name)
    return int(address), tuple(compiled.signature.args), compiled.signature.return_type


@cache
def entry_of(kinds: tuple[Any, ...], result: Any) -> Any:
    """A C function `(words) -> int64` that calls a strategy of such arguments; other than 0 is an exception.

    Its words are the strategy's address, the session and the arguments behind it.
    """

    @intrinsic
    def call(typingctx, words):  # noqa: ARG001 - numba's
        def codegen(context, builder, signature, args):  # noqa: ARG001 - numba's
            pointer = builder.inttoptr(args[0], _I64.as_pointer())

            def word(number):
                return builder.load(cgutils.gep_inbounds(builder, pointer, number))

            values = [word(1)]
            for number, kind in enumerate(kinds[1:]):
                value = word(2 + number)
                if kind == types.float64:
                    value = builder.bitcast(value, ir.DoubleType())
                elif kind == types.boolean:
                    value = builder.icmp_unsigned("!=", value, _I64(0))
                values.append(value)
            function_type = context.call_conv.get_function_type(result, kinds)
            function = builder.inttoptr(word(0), function_type.as_pointer())
            status, _ = context.call_conv.call_function(builder, function, result, kinds, values)
            return builder.zext(status.is_error, _I64)

        return types.int64(types.int64), codegen

    def enter(words):
        return call(words)

    compiled: Any = cfunc
    return compiled("int64(int64)", nopython=True)(enter)
