"""A backtest in this process: the engine behind a session."""

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

from hftd import failures
from hftd.compiled.layout import asset_dtype, book_dtype, offset_of
from hftd.errors import OrderError, UsageError
from hftd.hbt.hbt import Hbt
from hftd.hbt.local import AssetSpec, fill_book, fill_market_orders
from hftd.types import INVALID_MAX
from sim.engine import run
from sim.engine.build import Engine
from sim.feed.asset import AssetModel, BacktestAsset

if TYPE_CHECKING:
    from sim.engine.lives import Lives

_BOOK = offset_of(asset_dtype, "book")


class Backtest(Hbt):
    """A simulation of assets, and the `hbt` that a strategy trades on.

    Args:
        models: The assets of the strategy, in the order of their numbers.
        timeline: Further assets of the run that the strategy does not trade: they only count for the time.
        specs: What the local side knows of the assets, where that is not what the exchange knows.
        is_quiet: An error that ends the run is not written to stderr when it happens: whoever made the backtest asks.
        num_lanes: How many bots there are at each exchange; this one's lane is the first.

    Raises:
        DataError: An asset has no data, or it can't be read.
        OrderError: An asset can't be traded as it is described.
    """

    def __init__(
        self,
        models: list[AssetModel],
        timeline: list[AssetModel] | None = None,
        specs: list[AssetSpec] | None = None,
        *,
        is_quiet: bool = False,
        num_lanes: int = 1,
    ) -> None:
        super().__init__(specs or [model.spec() for model in models])
        books = [self._asset(asset_no) + _BOOK for asset_no in range(len(models))]
        for row, model in zip(self._assets, models, strict=True):
            if model.by_order:
                fill_market_orders(row["book"], self._arena)
        # An asset that is only on the timeline has a local book that nobody looks at.
        self._timeline = self._arena.records(book_dtype, len(timeline or []))
        for row, model in zip(self._timeline, timeline or [], strict=True):
            fill_book(row, model.spec(), self._arena)
        first = int(self._timeline.ctypes.data)
        books += [first + number * book_dtype.itemsize for number in range(len(timeline or []))]
        self._lives: Lives | None = None
        row = self._session[0]
        self._number = int(row["number"])
        on_failure = None if is_quiet else partial(failures.tell, self._number)
        self.engine = Engine([*models, *(timeline or [])], num_lanes, books, on_failure=on_failure)
        row["backend"] = self.engine.address
        row["fn_begin"] = run.begin.address
        row["fn_advance"] = run.advance.address
        row["fn_send"] = run.send.address

    def begin(self) -> None:
        """Set the clock to the earliest event, where a bot of a replay finds it; else the first wait does."""
        if self.current_timestamp == INVALID_MAX:
            run.begin.call(self.address)
            self.check()

    def warnings(self) -> list[str]:
        """As in `Hbt`, and what is odd in the data."""
        lives = [] if self._lives is None else self._lives.warnings()
        return [*super().warnings(), *self.engine.warnings, *lives]

    def pull_quotes(self) -> None:
        """While the data says that its book is not valid, orders end, and new ones and changes are refused."""
        self.engine.lanes["pulls_quotes"] = 1

    def record_life(self, rows_max: int | None = None) -> None:
        """Keep what happens to each order from now on, and why; before the first one is sent.

        Args:
            rows_max: The most rows for each asset, 2,097,152 (285 MB) if it is not given; further ones are counted.

        Raises:
            UsageError: It is called twice, or the number can't be.
        """
        from sim.engine.lives import MAX_LIFE_ROWS, Lives

        if self._lives is not None:
            raise UsageError("the life of orders is recorded already", hint="call record_life once")
        self._lives = Lives(self.engine, MAX_LIFE_ROWS if rows_max is None else rows_max)
        self._lives.open_lanes(0, 0)

    def life(self) -> NDArray[Any]:
        """What happened to the orders so far, shape (n,), `hftd.hbt.life.life_dtype`, by time.

        Raises:
            UsageError: It is not recorded.
        """
        if self._lives is None:
            raise UsageError(
                "the life of orders is not recorded", hint="call record_life() before the first order is sent"
            )
        return self._lives.rows()

    @property
    def life_dropped(self) -> int:
        """Rows of the life of orders that had no room."""
        return 0 if self._lives is None else self._lives.dropped

    def close(self) -> int:
        """Done with it. Returns 0.

        Raises:
            HftdError: An error had stopped the simulation. To a strategy that only looks for the end, as those of
                HftBacktest do, the data were just shorter.
        """
        code = super().close()
        self.engine.stop()
        self.check()
        return code

    def check(self) -> None:
        """Raise the error that stopped the simulation (a call returned 100 then), if there is one."""
        failures.see(self._number)
        self.engine.check()

    @property
    def error(self) -> BaseException | None:
        """The error that stopped the simulation (a call returned 100 then); None if there is none."""
        try:
            self.check()
        except BaseException as error:
            return error
        return None


def _models(assets: Any) -> list[AssetModel]:
    if not isinstance(assets, (list, tuple)) or not all(isinstance(one, BacktestAsset) for one in assets):
        raise OrderError(
            "a backtest is made of a list of BacktestAsset", hint="also where it is only one: [asset]"
        )
    return [asset.model for asset in assets]


def HashMapMarketDepthBacktest(assets: list[BacktestAsset]) -> Backtest:  # noqa: N802 (HftBacktest's name)
    """A backtest over any range of prices."""
    return Backtest([replace(model, roi_lb=0.0, roi_ub=0.0) for model in _models(assets)])


def ROIVectorMarketDepthBacktest(assets: list[BacktestAsset]) -> Backtest:  # noqa: N802 (HftBacktest's name)
    """A backtest in which levels outside each asset's range of interest are ignored."""
    return Backtest(_models(assets))
