"""Values of a run's file of which no figures can be made."""

# pyright: basic

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from hftd.errors import DataError
from hftd.runfile import RunFile
from sim.results.explain import life_of
from sim.stats.executions import Executions

VALUE_MAX: Final = 1e100
"""Of products and sums of such values each is a number still."""
_HINT: Final = "the file is broken, or what wrote it computed with wrong prices"


def check_life(run: RunFile) -> None:
    """Refuse a life of other columns.

    Raises:
        DataError: It has some.
    """
    if run.life is not None:
        life_of(run)


def check_values(run: RunFile, number: int, done: Executions) -> None:
    """Refuse values of which no figures can be made.

    Args:
        run: The run.
        number: The asset.
        done: Its executions.

    Raises:
        DataError: A value is infinite or beyond `VALUE_MAX`, or is none where there must be one; or the price of an
            inverse contract is 0.
    """
    meta, rows = run.asset(number), run.records[number]
    where = f"{run.path}, {meta.symbol}"
    if not 0 < meta.contract_size <= VALUE_MAX:
        raise DataError(f"the contract size is {meta.contract_size:g}", where=where, hint=_HINT)
    for name in ("position", "balance", "fee", "trading_volume", "trading_value"):
        _check(rows[name], f"`{name}` of row", where)
    _check(rows["price"], "`price` of row", where, may_be_nan=True, is_divisor=meta.is_inverse)
    _check(done.qty, "the quantity of execution", where)
    _check(done.price, "the price of execution", where, is_divisor=meta.is_inverse)
    _check(done.fee, "the fee of execution", where, may_be_nan=True)
    _check(done.mid, "the mid price at execution", where, may_be_nan=True, is_divisor=meta.is_inverse)


def _check(
    values: NDArray[Any], what: str, where: str, *, may_be_nan: bool = False, is_divisor: bool = False
) -> None:
    sizes = np.abs(values)
    is_good = sizes <= VALUE_MAX
    if is_divisor:
        is_good &= sizes >= 1 / VALUE_MAX
    if may_be_nan:
        is_good |= np.isnan(values)
    if not is_good.all():
        first = int(np.argmin(is_good))
        raise DataError(
            f"{what} {first:,} is {values[first]:g}: no figures can be made of that", where=where, hint=_HINT
        )
