"""Profits over the day of UTC, as far as they were looked at: a point each half minute, for each daemon and asset."""

from typing import Any, Final

import msgspec

from daemon.ops.web.tables import plain
from hftd.control import status

STEP_NS: Final = 30_000_000_000
POINTS_MAX: Final = 2880
CURVES_MAX: Final = 64
"""So many are kept; further ones are not."""


class Curve(msgspec.Struct):
    """One account's profit in one asset.

    Attributes:
        day_ns: When the day began, by the exchange's clock.
        points: Pairs of seconds since the epoch and the profit since the day's start; at most `POINTS_MAX`.
    """

    daemon: str
    asset: str
    day_ns: int
    points: list[list[float]] = []


class Curves:
    """All of them."""

    def __init__(self) -> None:
        self._all: dict[tuple[str, str], Curve] = {}

    def add(self, daemon: status.DaemonStatus) -> list[Any]:
        """Take a daemon's profits over.

        Returns:
            Of each one: the daemon's name, the asset, the day's start and the last point, which takes the place of one
            of the same time.
        """
        told: list[Any] = []
        name = plain(daemon.name)
        at_s = daemon.now_ns // STEP_NS * (STEP_NS // 1_000_000_000)
        for one in daemon.profits:
            key = name, plain(one.asset)
            curve = self._all.get(key)
            if curve is None or curve.day_ns != one.day_ns:
                if curve is None and len(self._all) >= CURVES_MAX:
                    continue
                curve = self._all[key] = Curve(*key, one.day_ns)
            points = curve.points
            if points and points[-1][0] >= at_s:
                points[-1][1] = one.total
            else:
                points.append([at_s, one.total])
                # A clock that runs wild makes no endless day.
                del points[:-POINTS_MAX]
            told.append([*key, one.day_ns // 1_000_000_000, points[-1]])
        return told

    def all(self) -> list[Any]:
        """Each whole curve: the daemon's name, the asset, the day's start in seconds, all its points."""
        return [
            [one.daemon, one.asset, one.day_ns // 1_000_000_000, one.points] for one in self._all.values()
        ]
