"""Several assets of a run as one portfolio: their exposure by asset, gross and net, and how they go together."""

# pyright: basic

from typing import Any, Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from hftd.errors import UsageError
from sim.results.report.shapes import AssetReport, Options, Portfolio
from sim.stats.sampling import window_starts

_FEWEST: Final = 10
"""Of fewer samples a correlation says nothing."""


def portfolio(assets: list[AssetReport], resample: str) -> Portfolio | None:
    """What there is to say of assets that were recorded at the same times; None if there is nothing.

    Args:
        assets: Two or more, their frames in the common currency's terms (:func:`in_common`).
        resample: The distance of the samples for correlations.
    """
    if len(assets) < 2 or not all(len(one.frame) for one in assets):
        return None
    times = assets[0].frame["timestamp"]
    if any(not np.array_equal(one.frame["timestamp"], times) for one in assets[1:]):
        return None
    exposures = [
        np.nan_to_num(np.sign(one.frame["position"]) * in_common(one, "position_value_", assets))
        for one in assets
    ]
    gross, net = np.abs(exposures).sum(axis=0), np.abs(np.sum(exposures, axis=0))
    starts = window_starts(times.astype("datetime64[ns]").astype(np.int64), resample)
    last = np.flatnonzero(np.append(starts[1:] != starts[:-1], True))
    with np.errstate(divide="ignore", invalid="ignore"):
        moves = [np.diff(np.log(one.frame["price"][last])) for one in assets]
    gains = [
        np.diff((in_common(one, "equity_wo_fee", assets) - in_common(one, "fee", assets))[last])
        for one in assets
    ]
    return Portfolio(
        names=[one.name for one in assets],
        exposures=exposures,
        gross_max=float(gross.max()),
        gross_mean=float(gross.mean()),
        net_max=float(net.max()),
        net_mean=float(net.mean()),
        samples=len(last) - 1,
        prices=_matrix(moves),
        pnl=_matrix(gains),
    )


def named_apart(assets: list[AssetReport]) -> list[AssetReport]:
    """Assets of one symbol on several channels get the channel's name too."""
    names = [one.name for one in assets]
    return [
        one
        if names.count(one.name) == 1 or one.meta is None
        else msgspec.structs.replace(one, name=f"{one.meta.channel}:{one.meta.symbol}")
        for one in assets
    ]


def valued(assets: list[AssetReport], options: Options, where: str) -> list[AssetReport]:
    """The assets, each with the one at whose price its money is counted.

    Raises:
        UsageError: The run has no asset of the name that is to say the price, or it is of another kind of money itself.
    """
    names = [_names(one) for one in assets]
    made: list[AssetReport] = []
    for number, one in enumerate(assets):
        via = next((options.valued_at[name] for name in names[number] if name in options.valued_at), None)
        if via is None:
            made.append(one)
            continue
        at = next((k for k, of in enumerate(names) if via in of), None)
        if at is None or at == number or any(name in options.valued_at for name in names[at]):
            raise UsageError(
                f"the money of {one.name} can't be valued at the price of {via}",
                where=where,
                hint=f"name another asset of the run: {', '.join(other.name for other in assets)}",
            )
        made.append(msgspec.structs.replace(one, valued_at=at))
    return made


def _names(one: AssetReport) -> tuple[str, ...]:
    return (one.name,) if one.meta is None else (f"{one.meta.channel}:{one.meta.symbol}", one.meta.symbol)


def in_common(one: AssetReport, key: str, assets: list[AssetReport]) -> NDArray[Any]:
    """A column of an asset's frame in the currency that all assets are added up in.

    Money of an inverse asset is valued at its own price; that of an asset whose money is another asset's coin
    (`valued_at`) at that asset's price of the moment.
    """
    column = one.frame[key]
    is_inverse = one.meta is not None and one.meta.is_inverse
    if key == "equity_wo_fee" and not is_inverse:
        # A flat position is worth nothing, whatever the price: an asset that waits for its book does not hide the rest.
        column = np.where(np.isnan(column) & (one.frame["position"] == 0), one.frame["balance"], column)
    if key == "num_trades_":
        return column
    if is_inverse:
        return column * one.frame["price"]
    if key == "position_value_":
        column = np.nan_to_num(column)
    if one.valued_at is None:
        return column
    via = assets[one.valued_at].frame["price"]
    # Nothing is worth nothing before the other one has a price, too.
    return np.where(np.isnan(via) & (column == 0.0), 0.0, column * via)


def _matrix(columns: list[NDArray[Any]]) -> list[list[float | None]]:
    return [[_correlation(one, other) for other in columns] for one in columns]


def _correlation(one: NDArray[Any], other: NDArray[Any]) -> float | None:
    is_known = np.isfinite(one) & np.isfinite(other)
    if is_known.sum() < _FEWEST:
        return None
    one, other = one[is_known] - one[is_known].mean(), other[is_known] - other[is_known].mean()
    scale = float(np.sqrt((one @ one) * (other @ other)))
    return float(one @ other) / scale if scale > 0.0 else None
