"""Custom models: njit functions that the engine calls where it has models.

Each takes the model's `state` first: a NumPy record of any dtype that the user gives (fields are read and written by
name; arrays inside it too), which lives as long as the backtest and is shared by the model's functions. `order` is the
own order at the exchange (`own_order_dtype`: side, price_tick, qty, leaves_qty, front_qty, cum_trade_qty, exec_qty,
exec_price_tick, maker, and user0 to user3 for the model's own use), `request` a request on its way
(`request_dtype`: kind, side, price_tick, qty, local_ts), `market` what the exchange sees (`market_dtype`: now_ns,
rows_seen, best_bid_tick, best_ask_tick, tick_size, lot_size).

The functions are compiled for these arguments once, kept compiled, and called through their address; they run at the
engine's speed. One that raises ends the run with an error (:mod:`sim.model.guard`).
"""

import copy
import inspect
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hftd.compiled.jit import cache_dir, from_cache, source_hash
from hftd.errors import StrategyError

Function = Callable[..., Any]
State = NDArray[Any] | None

_NO_STATE = np.dtype([("unused", "i8")])


@dataclass(frozen=True)
class CustomQueue:
    """A queue model.

    Args:
        enter: `enter(state, order, market, level_qty)`: the order joins a level of that quantity. `front_qty` is the
            level's quantity then.
        trade: `trade(state, order, market, qty)`: a trade at the order's price.
        depth: `depth(state, order, market, before_qty, after_qty)`: the level changed.
        reached: `reached(state, order, market) -> float`: the quantity of the order that may fill after a trade; 0 for
            none. Where fills are whole, anything of a lot or more fills all of it.
        state: A record, or an array of one.
    """

    enter: Function
    trade: Function
    depth: Function
    reached: Function
    state: State = None


@dataclass(frozen=True)
class CustomFee:
    """A fee model.

    Args:
        fee: `fee(state, order, amount) -> float`: the fee of the order's last execution (`exec_qty`,
            `exec_price_tick`, `maker`), whose value is `amount`. Positive is a cost.
        state: A record, or an array of one.
    """

    fee: Function
    state: State = None


@dataclass(frozen=True)
class CustomLatency:
    """An order latency.

    Args:
        entry: `entry(state, request, market) -> int`: nanoseconds from the request to the exchange; negative refuses
            it, and the notice arrives after the absolute value.
        response: `response(state, market) -> int`: nanoseconds from the exchange back.
        state: A record, or an array of one.
    """

    entry: Function
    response: Function
    state: State = None


@dataclass(frozen=True)
class CustomExchange:
    """What an exchange does beyond the rules: either function may be left out.

    Args:
        admit: `admit(state, order, market) -> bool`: whether a new or moved order is taken; else it expires.
        cross: `cross(state, order, market) -> float`: how much of a resting order fills when the opposite best
            reaches its price or a trade goes through it; without it, all of it.
        state: A record, or an array of one.
    """

    admit: Function | None = None
    cross: Function | None = None
    state: State = None


@dataclass
class Compiled:
    """A user's functions as the engine calls them: addresses, and what keeps them alive."""

    addresses: dict[str, int] = field(default_factory=dict)
    state: int = 0
    keep: list[Any] = field(default_factory=list)


def load_model(name: str, parameters: dict[str, Any], base: Path, kind: type[Any], where: str) -> Any:
    """A model that a configuration names, with a state that no other asset or run has.

    Args:
        name: `module:name` or `path/to/file.py:name` of a model of this module, or of a function that makes one.
        parameters: The function's arguments, by name.
        base: The folder that paths are relative to, and where modules are looked for too.
        kind: The class that it must be of.
        where: How to name it in errors.

    Raises:
        StrategyError: It can't be found, the parameters do not fit, or it is no such model.
    """
    from hftd.bot.strategy import load_named

    where = f"{where}: {name}"
    found: Any = load_named(name, base, where, what="model")
    if callable(found):
        try:
            inspect.signature(found).bind(**parameters)
        except TypeError as error:
            names = ", ".join(inspect.signature(found).parameters) or "none"
            raise StrategyError(
                f"its parameters do not fit: {error}", where=where, hint=f"they are: {names}"
            ) from None
        try:
            found = found(**parameters)
        except Exception as error:
            raise StrategyError(f"it failed: {type(error).__name__}: {error}", where=where) from error
    elif parameters:
        raise StrategyError("it is no function, so it takes no parameters", where=where)
    if not isinstance(found, kind):
        raise StrategyError(
            f"it is {type(found).__name__}, but must be a {kind.__name__}",
            where=where,
            hint=f"name a sim.{kind.__name__}, or a function that returns one",
        )
    return replace(found, state=copy.deepcopy(found.state))


def _state_row(state: State, where: str) -> NDArray[Any]:
    if state is None:
        return np.zeros(1, _NO_STATE)
    row = np.atleast_1d(np.asarray(state))
    if row.dtype.names is None or row.shape != (1,) or row.dtype.hasobject:
        raise StrategyError(
            f"its state is {row.shape} of {row.dtype}",
            where=where,
            hint="a state is one record: np.zeros(1, [('name', 'f8'), ...])",
        )
    return row


def _arguments(name: str) -> tuple[list[str], str]:
    """The kinds of a function's arguments behind the state, and of its guard's result."""
    return {
        "enter": (["order", "market", "float64"], "int64"),
        "trade": (["order", "market", "float64"], "int64"),
        "depth": (["order", "market", "float64", "float64"], "int64"),
        "reached": (["order", "market"], "float64"),
        "fee": (["order", "float64"], "float64"),
        "entry": (["request", "market"], "int64"),
        "response": (["market"], "int64"),
        "admit": (["order", "market"], "int64"),
        "cross": (["order", "market"], "float64"),
    }[name]


def compile_model(model: Any) -> Compiled:
    """Compile a custom model's functions for the engine, or load them from the cache.

    Raises:
        StrategyError: A function is no njit function, or can't be compiled for its arguments.
    """
    import numba

    from hftd.compiled.layout import request_dtype
    from sim.model.guard import guarded
    from sim.model.layout import market_dtype, own_order_dtype

    kind = type(model).__name__
    row = _state_row(model.state, kind)
    kinds: dict[str, Any] = {
        "order": numba.from_dtype(own_order_dtype),
        "market": numba.from_dtype(market_dtype),
        "request": numba.from_dtype(request_dtype),
        "float64": numba.float64,
    }
    made = Compiled(state=int(row.ctypes.data), keep=[row])
    for name in model.__dataclass_fields__:
        function = getattr(model, name)
        if name == "state" or function is None:
            continue
        where = f"{kind}.{name} ({getattr(function, '__name__', function)})"
        python_function = getattr(function, "py_func", None)
        if python_function is None:
            raise StrategyError("it is not compiled", where=where, hint="decorate it with @njit")
        arguments, result = _arguments(name)
        signature = getattr(numba, result)(numba.from_dtype(row.dtype), *(kinds[one] for one in arguments))
        folder = cache_dir() / f"models-{source_hash(python_function.__module__)}"
        try:
            make = numba.cfunc(signature, cache=True)
            compiled = from_cache(folder, partial(make, guarded(name, function)))
        except Exception as error:
            # Numba raises what it meets; a field that a record has not is a KeyError.
            lines = [line for line in f"{type(error).__name__}: {error}".splitlines() if line.strip()]
            raise StrategyError("it can't be compiled:\n  " + "\n  ".join(lines[:16]), where=where) from None
        made.addresses[name] = int(compiled.address or 0)
        made.keep.append(compiled)
    return made
