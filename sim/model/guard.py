"""What stands between the engine and a user's function, for no exception leaves compiled code that the engine calls.

Numba would print it and go on with whatever stood in the memory of the result. So each function is called by a guard,
whose result says that it failed; the engine then ends the run with an error (:mod:`sim.model.custom`).
"""

# pyright: basic

import hashlib
from collections.abc import Callable
from types import FunctionType
from typing import Any

from sim.config import MAX_LATENCY_NS
from sim.model.layout import LATENCY_FAILED, QTY_FAILED

_MAX_LATENCY_NS = MAX_LATENCY_NS


def function(*_arguments: Any) -> Any:
    """Stands for the user's function, which each guard has under this name."""


def _told(state, order, market, qty):
    try:
        function(state, order, market, qty)
    except Exception:
        return 1
    return 0


def _told_of_two(state, order, market, before_qty, after_qty):
    try:
        function(state, order, market, before_qty, after_qty)
    except Exception:
        return 1
    return 0


def _asked(state, order, other):
    try:
        return float(function(state, order, other))
    except Exception:
        return QTY_FAILED


def _asked_whether(state, order, market):
    try:
        return 1 if function(state, order, market) else 0
    except Exception:
        return -1


def _asked_entry(state, request, market):
    try:
        latency_ns = function(state, request, market)
    except Exception:
        return LATENCY_FAILED
    return int(latency_ns) if -_MAX_LATENCY_NS < latency_ns < _MAX_LATENCY_NS else LATENCY_FAILED


def _asked_response(state, market):
    try:
        latency_ns = function(state, market)
    except Exception:
        return LATENCY_FAILED
    return int(latency_ns) if -_MAX_LATENCY_NS < latency_ns < _MAX_LATENCY_NS else LATENCY_FAILED


_GUARDS: dict[str, Callable[..., Any]] = {
    "enter": _told,
    "trade": _told,
    "depth": _told_of_two,
    "reached": _asked,
    "fee": _asked,
    "entry": _asked_entry,
    "response": _asked_response,
    "admit": _asked_whether,
    "cross": _asked,
}


def _digest(python_function: FunctionType) -> str:
    """Tells functions of one name apart, as numba does: by their code and by what they close over."""
    from numba.core.serialize import dumps

    cells = tuple(cell.cell_contents for cell in python_function.__closure__ or ())
    text = python_function.__code__.co_code + (dumps(cells) if cells else b"")
    return hashlib.blake2b(text, digest_size=8).hexdigest()


def guarded(name: str, user_function: Any) -> FunctionType:
    """The guard of a user's njit function, to be compiled in its place.

    It says to stand where the user's function does, so that what is compiled of it is kept as long as that is.
    """
    python_function = user_function.py_func
    template: Any = _GUARDS[name]
    code = template.__code__.replace(
        co_filename=python_function.__code__.co_filename,
        co_firstlineno=python_function.__code__.co_firstlineno,
    )
    guard = FunctionType(code, {**template.__globals__, "function": user_function}, python_function.__name__)
    guard.__module__ = python_function.__module__
    guard.__qualname__ = f"{python_function.__qualname__}_{name}_{_digest(python_function)}"
    return guard
