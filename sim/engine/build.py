"""The engine's memory, set up from descriptions, and the way to its files.

This is the engine's only contact with Python objects: everything below it is addresses.
"""

import ctypes
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hftd.compiled.arena import Arena
from hftd.compiled.layout import MAX_ORDERS, offset_of, request_dtype, update_dtype
from hftd.compiled.order_index import FIRST_INDEX_BITS, INDEX_BYTES
from hftd.errors import CURE, DataError, HftdError, StrategyError
from hftd.hbt import feed
from hftd.hbt.local import fill_book, fill_market_orders
from hftd.types import (
    DEPTH_EVENT,
    DEPTH_SNAPSHOT_EVENT,
    ERR_DATA,
    ERR_RING_FULL,
    INVALID_MIN,
    KIND_MASK,
)
from sim.engine import orders, run
from sim.feed import prepare
from sim.feed.asset import AssetModel
from sim.feed.columns import Prepared, kinds_of, set_buffers
from sim.feed.feeding import Feed, load_rows
from sim.feed.layout import BLOCK_ROWS
from sim.model.layout import (
    CHUNK_ROWS,
    LATENCY_CUSTOM,
    LATENCY_INTERPOLATED,
    MAX_ANSWERS,
    MAX_REQUESTS,
    MODEL_FUNCTIONS,
    NEVER,
    WAY_RESPONSE,
    engine_dtype,
    exchange_dtype,
    lane_dtype,
    own_order_dtype,
    stream_dtype,
)
from sim.models import Compiled, compile_model

_BOOK = offset_of(exchange_dtype, "book")
_STREAM = offset_of(exchange_dtype, "stream")
_NEXT_FILE = ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_int64, ctypes.c_int64, ctypes.c_int64)
_FAILED = ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_int64)


class Engine:
    """The exchange sides of all assets of a run, and the streams of their events.

    Args:
        models: The assets, in the order of their numbers.
        num_lanes: How many bots there may be.
        local_books: The addresses of the local side's books, if it runs here too (in a backtest). Otherwise
            (in a replay) the lanes are set up as bots come.
        publishes_rows: Whether the local streams are read row by row, to be published.
        on_failure: Is told of the error that ends a backtest, at that moment.
    """

    def __init__(
        self,
        models: list[AssetModel],
        num_lanes: int = 1,
        local_books: list[int] | None = None,
        *,
        publishes_rows: bool = False,
        on_failure: Callable[[BaseException], None] | None = None,
    ) -> None:
        self.models = models
        self.arena = Arena()
        self.error: BaseException | None = None
        self.warnings: list[str] = []
        self.num_lanes = num_lanes
        self._models: list[Compiled] = []
        self._local_books = local_books or []
        self._publishes_rows = publishes_rows
        self.exchanges = self.arena.records(exchange_dtype, len(models))
        self.locals = self.arena.records(stream_dtype, len(models))
        self.lanes = self.arena.records(lane_dtype, len(models) * num_lanes).reshape(len(models), num_lanes)
        self.engine = self.arena.records(engine_dtype, 1)
        row = self.engine[0]
        row["num_assets"] = len(models)
        row["exchanges"] = self.exchanges.ctypes.data
        row["locals"] = self.locals.ctypes.data
        row["fn_prepare"] = prepare.prepare.address
        row["fn_advance_exchange"] = run.advance_exchange.address
        row["fn_advance_local"] = run.advance_local.address
        self._next_file = _NEXT_FILE(self._on_next_file)
        row["fn_next_file"] = ctypes.cast(self._next_file, ctypes.c_void_p).value
        self._on_failure = on_failure
        self._failed = _FAILED(self._on_failed)
        if on_failure is not None:
            row["fn_failed"] = ctypes.cast(self._failed, ctypes.c_void_p).value
        self.address = int(self.engine.ctypes.data)
        self.feeds = [self._feed(asset_no, model) for asset_no, model in enumerate(models)]
        for asset_no, model in enumerate(models):
            self._fill_exchange(asset_no, model)
        if self._local_books:
            for one in self.feeds:
                one.check_heads()

    def _feed(self, asset_no: int, model: AssetModel) -> Feed:
        exchange = int(self.exchanges.ctypes.data) + asset_no * exchange_dtype.itemsize + _STREAM
        local = int(self.locals.ctypes.data) + asset_no * stream_dtype.itemsize
        return Feed(
            asset_no,
            model,
            [self.stream(asset_no, 0), self.stream(asset_no, 1)],
            [exchange, local],
            wants_rows=self._publishes_rows,
            warnings=self.warnings,
        )

    def _fill_exchange(self, asset_no: int, model: AssetModel) -> None:
        where = f"asset {model.name or asset_no}"
        if not model.data:
            raise DataError("there is no feed data", where=where, hint="give files or arrays with .data()")
        if model.fuse_bbo and any(isinstance(source, Prepared) for source in model.data):
            raise DataError(
                "rows that were prepared can't be fused any more",
                where=where,
                hint="fuse them with sim.fuse before they are prepared",
            )
        x = self.exchanges[asset_no]
        fill_book(x["book"], model.spec(), self.arena)
        if model.by_order:
            fill_market_orders(x["book"], self.arena)
            x["fn_orders"] = orders.exchange_orders.address
        book = int(self.exchanges.ctypes.data) + asset_no * exchange_dtype.itemsize + _BOOK
        if model.initial_snapshot is not None:
            self.load_snapshot(asset_no, book)
        self._fill_stream(x["stream"], model, book, is_local=False)
        if self._local_books:
            self._fill_stream(self.locals[asset_no], model, self._local_books[asset_no], is_local=True)
            if model.initial_snapshot is not None:
                self.load_snapshot(asset_no, self._local_books[asset_no])
        else:
            self._fill_stream(self.locals[asset_no], model, 0, is_local=True)
        x["lanes"] = self.lanes[asset_no].ctypes.data
        if self._local_books:
            x["num_lanes"] = self.num_lanes
            for lane in self.lanes[asset_no]:
                self.fill_lane(lane, asset_no)
        x["next_request_ts"] = x["next_turn_ts"] = NEVER
        x["pool"] = self.arena.reserve(own_order_dtype.itemsize * MAX_ORDERS)
        for name in ("buy_ticks", "buy_orders", "sell_ticks", "sell_orders"):
            x[name] = self.arena.reserve(8 * MAX_ORDERS)
        for name in (
            "queue_model",
            "queue_power",
            "latency_factor",
            "exchange_model",
            "modify_model",
            "share_trades",
            "asset_model",
            "contract_size",
            "fee_model",
            "maker_fee",
            "taker_fee",
            "buyer_fee",
            "seller_fee",
        ):
            x[name] = getattr(model, name)
        loaded: dict[int, NDArray[Any]] = {}
        for way, latency in enumerate(model.latencies):
            row = x["latencies"][way]
            row["constant_ns"] = latency.constant_ns
            if latency.data:
                # The same recording may serve several ways.
                rows = loaded.setdefault(id(latency), latency.load(where))
                row["model"] = LATENCY_INTERPOLATED
                row["rows"], row["count"] = self.arena.keep(rows), len(rows)

        self._fill_custom(x, model)

    def _fill_custom(self, x: Any, model: AssetModel) -> None:
        """Where the engine finds a user's models."""
        if model.custom_queue is not None:
            made = self._compiled(model.custom_queue)
            for name in ("enter", "trade", "depth", "reached"):
                x[f"fn_queue_{name}"] = made.addresses[name]
            x["queue_state"] = made.state
        if model.custom_fee is not None:
            made = self._compiled(model.custom_fee)
            x["fn_fee"], x["fee_state"] = made.addresses["fee"], made.state
        if model.custom_latency is not None:
            made = self._compiled(model.custom_latency)
            for way in range(4):
                row = x["latencies"][way]
                row["model"], row["state"] = LATENCY_CUSTOM, made.state
                row["function"] = made.addresses["response" if way == WAY_RESPONSE else "entry"]
        if model.custom_exchange is not None:
            made = self._compiled(model.custom_exchange)
            x["fn_admit"] = made.addresses.get("admit", 0)
            x["fn_cross"] = made.addresses.get("cross", 0)
            x["exchange_state"] = made.state

    def _compiled(self, model: Any) -> Compiled:
        """A user's model, ready to be called; kept as long as the engine."""
        self._models.append(compile_model(model))
        return self._models[-1]

    def fill_lane(self, lane: Any, instrument: int) -> None:
        """Set up a lane's memory."""
        for bus, size, dtype in (
            ("to_exch", MAX_REQUESTS, request_dtype),
            ("to_local", MAX_ANSWERS, update_dtype),
        ):
            lane[bus]["entries"] = self.arena.reserve(size * dtype.itemsize)
            lane[bus]["head_ts"] = NEVER
        lane["index"]["entries"] = self.arena.reserve(INDEX_BYTES)
        lane["index"]["spare"] = self.arena.reserve(INDEX_BYTES)
        lane["index"]["bits"] = FIRST_INDEX_BITS
        lane["instrument"] = instrument

    def _fill_stream(self, stream: Any, model: AssetModel, book: int, *, is_local: bool) -> None:
        stream["next_ts"] = NEVER
        stream["is_local"] = int(is_local)
        stream["offset_ns"] = model.feed_offset_ns
        stream["last_ts"] = INVALID_MIN
        stream["file_no"] = -1
        stream["book"] = book
        stream["kinds"] = kinds_of(by_order=model.by_order, is_local=is_local)
        if book == 0:
            return
        set_buffers(stream, self.arena, CHUNK_ROWS, BLOCK_ROWS)

    def load_snapshot(self, asset_no: int, book: int) -> None:
        """Apply an asset's initial snapshot to a book."""
        rows = load_rows(self.models[asset_no].initial_snapshot)
        kinds = rows["ev"] & KIND_MASK
        if self.models[asset_no].by_order and np.isin(kinds, (DEPTH_EVENT, DEPTH_SNAPSHOT_EVENT)).any():
            raise DataError(
                "the initial snapshot holds levels, but the asset's book is made from single orders",
                where=f"asset {self.models[asset_no].name or asset_no}",
                hint="give rows of added orders (kind 10), the first in each queue first",
            )
        from sim.archive import find_no_level

        wrong = find_no_level(rows, self.models[asset_no].tick_size)
        if wrong is not None:
            values = ", ".join(f"{name}={rows[name][wrong]}" for name in ("px", "qty"))
            raise DataError(
                f"row {wrong} of the initial snapshot ({values}) has a price or quantity that can't be",
                where=f"asset {self.models[asset_no].name or asset_no}",
                hint=f"`hftd snapshot` makes one from an archive; {CURE} drops such rows",
            )
        feed.load_book.call(book, rows.ctypes.data, len(rows))

    def rows_of(self, asset_no: int, file_no: int) -> NDArray[Any]:
        """All rows of a file of an asset at once, kept until both sides are done with it."""
        return self.feeds[asset_no].rows_of(file_no)

    def rows_total(self) -> int:
        """The rows of all files; those that were not opened yet are guessed to be like those that were."""
        total = 0
        for one in self.feeds:
            if known := one.file_rows:
                total += sum(known.values()) * len(one.model.data) // len(known)
        return total

    def stream(self, asset_no: int, is_local: int) -> Any:
        """The record of a side's stream."""
        return self.locals[asset_no] if is_local else self.exchanges[asset_no]["stream"]

    def _on_next_file(self, _engine: int, asset_no: int, is_local: int) -> int:
        """Called from compiled code: point the stream to the next rows. Returns 1 if there are none."""
        feed = self.feeds[asset_no]
        if self.error is not None:
            # The first error is the one that is told: nothing goes on behind it.
            return 2
        try:
            return 0 if feed.next(is_local) else 1
        except HftdError as error:
            self.error = error
        except (OSError, MemoryError) as error:
            self.error = DataError(
                str(error), where=feed.where(int(self.stream(asset_no, is_local)["file_no"]))
            )
        except BaseException as error:
            # Out of a callback nothing gets by itself: it would be printed, and the file left out.
            self.error = error
        return 2

    def _on_failed(self, _engine: int) -> int:
        """Called from compiled code: an error ends the run."""
        try:
            self.check()
        except BaseException as error:
            # Out of a callback nothing gets by itself.
            with suppress(Exception):
                if self._on_failure is not None:
                    self._on_failure(error)
        return 0

    def stop(self) -> None:
        """The run is over: what of its files is half prepared is given up."""
        for one in self.feeds:
            one.stop()

    def _model_error(self, asset_no: int) -> StrategyError:
        """Which function of a user's model ended the run."""
        model = self.models[asset_no]
        name = MODEL_FUNCTIONS[int(self.exchanges[asset_no]["failed_function"]) - 1]
        models = (model.custom_queue, model.custom_fee, model.custom_latency, model.custom_exchange)
        used = next(one for one in models if getattr(one, name, None) is not None)
        what = "it raised an exception"
        if name == "fee":
            what += " or returned what is no number"
        elif name in ("entry", "response"):
            what += " or returned what is no latency below a year"
        function = getattr(getattr(used, name), "__name__", "")
        return StrategyError(
            what,
            where=f"{type(used).__name__}.{name} ({function}) of asset {model.name or asset_no}",
            hint="a division by zero raises one, too; without @njit, and called by hand, it shows which",
        )

    def check(self) -> None:
        """Raise what stopped the engine, if something did."""
        if self.error is not None:
            raise self.error
        for asset_no in range(len(self.models)):
            for is_local in (0, 1):
                stream = self.stream(asset_no, is_local)
                if stream["error"]:
                    raise self.feeds[asset_no].row_error(is_local)
            if self.exchanges[asset_no]["failed_function"]:
                raise self._model_error(asset_no)
            if self.exchanges[asset_no]["error"] == ERR_DATA:
                raise DataError(
                    "an order for an inverse contract was filled at a price that is not above 0",
                    where=f"asset {self.models[asset_no].name or asset_no}",
                    hint="the value of an inverse contract is its size divided by the price",
                )
            if self.exchanges[asset_no]["error"] == ERR_RING_FULL:
                raise HftdError(
                    f"more than {MAX_ANSWERS} answers to orders are on their way",
                    where=f"asset {self.models[asset_no].name or asset_no}",
                    hint="a shorter response latency, or fewer orders, keep it below",
                )
