"""The object `hbt` as Python sees it: the same memory as compiled strategies, a little slower.

A plain Python strategy uses this object; a compiled one is given only its address.
"""

import ctypes
import itertools
from collections.abc import Iterator, Sequence
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from hftd.compiled.arena import Arena
from hftd.compiled.layout import BY_HALT, MAX_LAST_TRADES, asset_dtype, offset_of, session_dtype
from hftd.errors import OrderError
from hftd.hbt import arguments, portfolio, session
from hftd.hbt.latencies import clean_latencies
from hftd.hbt.local import AssetSpec, Contract, fill_book, fill_orders, left_out_of_market_orders
from hftd.hbt.recorder import RecorderMemory
from hftd.hbt.types import hbt_type
from hftd.hbt.typing import python_class
from hftd.hbt.views import Depth, Orders, StateValues, view
from hftd.rows import ROW_BYTES
from hftd.types import (
    ALL_ASSETS,
    BOOK_INVALID,
    BOOK_VALID,
    BUY,
    CONNECTED,
    DISCONNECTED,
    HALTED,
    INVALID_MAX,
    INVALID_MIN,
    SELL,
    event_dtype,
    fill_dtype,
    latency_dtype,
    record_dtype,
    request_row_dtype,
)

_NO_TIME = INVALID_MAX
_NUMBERS = itertools.count(1)
_ALERT = ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_int64, ctypes.c_int64, ctypes.c_int64, ctypes.c_double)


@python_class(hbt_type)
class Hbt:
    """What a strategy is given: the market, the orders, the clock.

    A backtest and a bot are both one of these; they differ in what stands behind it.
    All durations and times are in nanoseconds.
    """

    MAX_FILLS = 1 << 24
    MAX_RECORDS = 1 << 24
    MAX_LATENCIES = 1 << 22
    MAX_REQUESTS = 1 << 24

    def __init__(self, specs: list[AssetSpec]) -> None:
        if not specs:
            raise OrderError("there is no asset", hint="give at least one")
        self._arena = Arena()
        self._specs = specs
        self._assets = self._arena.records(asset_dtype, len(specs))
        for asset_no, (row, spec) in enumerate(zip(self._assets, specs, strict=True)):
            fill_book(row["book"], spec, self._arena)
            fill_orders(row["orders"], self._arena)
            row["asset_no"] = asset_no
            if spec.last_trades_capacity > 0:
                # The capacity says that trades are wanted; as in HftBacktest it is no limit on them.
                row["trades_cap"] = MAX_LAST_TRADES
                row["trades"] = self._arena.reserve(ROW_BYTES * MAX_LAST_TRADES)
            if spec.user_events_capacity > 0:
                row["user_events_cap"] = spec.user_events_capacity
                row["user_events"] = self._arena.reserve(ROW_BYTES * spec.user_events_capacity)
            row["fn_find_order"] = session.find.address
        self._session = self._arena.records(session_dtype, 1)
        row = self._session[0]
        row["now_ns"] = _NO_TIME
        row["number"] = next(_NUMBERS)
        row["num_assets"] = len(specs)
        row["assets"] = self._assets.ctypes.data
        row["record_next_ns"] = INVALID_MAX
        for name, function in session.TABLE.items():
            row[name] = function.address
        self._recorder: RecorderMemory | None = None
        self._notes: Any = None
        self._portfolio: Any = None
        self.address = int(self._session.ctypes.data)

    # The market and the account.

    @property
    def current_timestamp(self) -> int:
        """The time of the strategy's clock."""
        return int(self._session["now_ns"][0])

    @property
    def num_assets(self) -> int:
        """How many assets there are; they are numbered from 0."""
        return len(self._specs)

    def _asset(self, asset_no: int) -> int:
        number = arguments.whole(asset_no, "the asset number")
        if not 0 <= number < len(self._specs):
            raise IndexError(f"there is no asset {asset_no}: the bot has {len(self._specs)}")
        return int(self._assets.ctypes.data) + number * asset_dtype.itemsize

    def _row(self, asset_no: int) -> Any:
        """The record of an asset."""
        self._asset(asset_no)
        return self._assets[int(asset_no)]

    def depth(self, asset_no: int) -> Depth:
        """The order book of an asset."""
        return Depth(self._asset(asset_no) + offset_of(asset_dtype, "book"))

    def orders(self, asset_no: int) -> Orders:
        """The orders of an asset by id."""
        return Orders(self._asset(asset_no))

    def position(self, asset_no: int) -> float:
        """The position in an asset: positive if long."""
        return float(self._row(asset_no)["state"]["position"])

    def state_values(self, asset_no: int) -> StateValues:
        """Position, balance, fees and trades of an asset."""
        return StateValues(self._asset(asset_no) + offset_of(asset_dtype, "state"))

    def _kept(self, asset_no: int, what: str) -> NDArray[Any]:
        row = self._row(asset_no)
        count = int(row[f"{what}_len"])
        rows = view(int(row[what]), event_dtype, count) if count else np.empty(0, event_dtype)
        # Fields are read as attributes in compiled code; so they can be here.
        return cast(NDArray[Any], rows.view(np.recarray))

    def last_trades(self, asset_no: int) -> NDArray[Any]:
        """The trades since `clear_last_trades`, shape (n,), `event_dtype`; a view that the next wait changes."""
        return self._kept(asset_no, "trades")

    def user_events(self, asset_no: int) -> NDArray[Any]:
        """The user events (kinds from 100 on) since `clear_user_events`, shape (n,), `event_dtype`; a view."""
        return self._kept(asset_no, "user_events")

    def feed_latency(self, asset_no: int) -> tuple[int, int] | None:
        """The last feed's exchange and local time, None before the first."""
        row = self._row(asset_no)
        return (int(row["feed_exch_ts"]), int(row["feed_local_ts"])) if row["feed_seen"] else None

    def order_latency(self, asset_no: int) -> tuple[int, int, int] | None:
        """The last answer's request, exchange and receipt time, None before the first."""
        row = self._row(asset_no)
        if not row["order_seen"]:
            return None
        return int(row["order_req_ts"]), int(row["order_exch_ts"]), int(row["order_resp_ts"])

    def book_state(self, asset_no: int) -> int:
        """BOOK_VALID, or BOOK_INVALID while it is synchronised or stale; in a backtest where its data has a gap."""
        return BOOK_INVALID if self._row(asset_no)["book"]["not_valid"] else BOOK_VALID

    def connection(self, asset_no: int) -> int:
        """CONNECTED; DISCONNECTED while orders do not get through, HALTED while the connector takes no new ones.

        Always connected in a backtest.
        """
        why = int(self._row(asset_no)["disconnected"])
        return CONNECTED if not why else HALTED if why == BY_HALT else DISCONNECTED

    def alert(self, asset_no: int, code: int, value: float) -> int:
        """Have the alert hook called, soon and from another thread; without one it does nothing. Returns 0."""
        function = _ALERT(int(self._session["fn_alert"][0]))
        number, code = arguments.whole(asset_no, "the asset number"), arguments.whole(code, "the code")
        return function(self.address, number, code, arguments.number(value, "the value"))

    # Time and requests. The codes are those of `hftd.types`.

    def elapse(self, duration: float) -> int:
        """Let time pass. Returns 0, or 1 at the end of the data or when the bot is told to stop."""
        return session.elapse.call(self.address, arguments.duration_ns(duration, "the duration"))

    elapse_bt = elapse

    def wait_next_feed(self, include_order_resp: bool, timeout: float) -> int:
        """Wait for market data. Returns 0 on timeout, 1 at the end, 2 for a feed, 3 for an answer to an order."""
        include = arguments.flag(include_order_resp, "include_order_resp")
        timeout_ns = arguments.duration_ns(timeout, "the timeout")
        return session.wait_next_feed.call(self.address, include, timeout_ns)

    def wait_order_response(self, asset_no: int, order_id: int, timeout: float) -> int:
        """Wait for the answer to an order's request. Returns 0 on it and on timeout, 1 at the end."""
        number, order_id = arguments.whole(asset_no, "the asset number"), arguments.order_id(order_id)
        timeout_ns = arguments.duration_ns(timeout, "the timeout")
        return session.wait_order_response.call(self.address, number, order_id, timeout_ns)

    def submit_buy_order(
        self,
        asset_no: int,
        order_id: int,
        price: float,
        qty: float,
        time_in_force: int,
        order_type: int,
        wait: bool,
    ) -> int:
        """Send a buy order. Returns 0, 1 at the end of the data if it waits, or an error code."""
        return self._submit(BUY, asset_no, order_id, price, qty, time_in_force, order_type, wait)

    def submit_sell_order(
        self,
        asset_no: int,
        order_id: int,
        price: float,
        qty: float,
        time_in_force: int,
        order_type: int,
        wait: bool,
    ) -> int:
        """Send a sell order. Returns 0, 1 at the end of the data if it waits, or an error code."""
        return self._submit(SELL, asset_no, order_id, price, qty, time_in_force, order_type, wait)

    def _submit(
        self,
        side: int,
        asset_no: int,
        order_id: int,
        price: float,
        qty: float,
        time_in_force: int,
        order_type: int,
        wait: bool,
    ) -> int:
        return session.submit.call(
            self.address,
            arguments.whole(asset_no, "the asset number"),
            arguments.order_id(order_id),
            side,
            arguments.number(price, "the price"),
            arguments.number(qty, "the quantity"),
            arguments.whole(time_in_force, "the time in force"),
            arguments.whole(order_type, "the order type"),
            arguments.flag(wait, "wait"),
        )

    def modify(self, asset_no: int, order_id: int, price: float, qty: float, wait: bool) -> int:
        """Ask for another price or quantity. Returns as `submit_buy_order`."""
        return session.modify.call(
            self.address,
            arguments.whole(asset_no, "the asset number"),
            arguments.order_id(order_id),
            arguments.number(price, "the price"),
            arguments.number(qty, "the quantity"),
            arguments.flag(wait, "wait"),
        )

    def cancel(self, asset_no: int, order_id: int, wait: bool) -> int:
        """Ask to cancel an order. Returns as `submit_buy_order`."""
        number, order_id = arguments.whole(asset_no, "the asset number"), arguments.order_id(order_id)
        return session.cancel.call(self.address, number, order_id, arguments.flag(wait, "wait"))

    def _some_assets(self, asset_no: int) -> int:
        number = arguments.whole(asset_no, "the asset number")
        if number != ALL_ASSETS:
            self._asset(number)
        return number

    def clear_inactive_orders(self, asset_no: int) -> None:
        """Forget the orders that are expired, filled or canceled; `ALL_ASSETS` for every asset."""
        session.clear_inactive_orders.call(self.address, self._some_assets(asset_no))

    def clear_last_trades(self, asset_no: int) -> None:
        """Empty `last_trades`; `ALL_ASSETS` for every asset."""
        session.clear_last_trades.call(self.address, self._some_assets(asset_no))

    def clear_user_events(self, asset_no: int) -> None:
        """Empty `user_events`; `ALL_ASSETS` for every asset."""
        session.clear_user_events.call(self.address, self._some_assets(asset_no))

    def _goto_end(self) -> int:
        return session.goto_end.call(self.address)

    def close(self) -> int:
        """Done with it. Returns 0."""
        return session.close.call(self.address)

    # The runtime's side.

    def begin(self) -> None:
        """Set the clock before the strategy first looks at it; a bot's is set when it attaches."""

    def stop(self) -> None:
        """From another thread or a signal handler: whatever lets time pass returns 1 from now on."""
        self._session[0]["stop"] = 1

    @property
    def stopped(self) -> bool:
        """Whether it was told to stop."""
        return bool(self._session[0]["stop"])

    @property
    def ended(self) -> bool:
        """Whether the data is over."""
        return bool(self._session[0]["ended"])

    @property
    def sim_seconds(self) -> float:
        """The time that has passed on the strategy's clock since it first moved."""
        row = self._session[0]
        return 0.0 if row["now_ns"] == _NO_TIME else int(row["now_ns"] - row["start_ns"]) / 1e9

    def rows(self) -> int:
        """How many rows of market data the local side has seen."""
        return int(self._assets["rows"].sum())

    def open_orders(self) -> int:
        """How many orders are not over."""
        orders = self._assets["orders"]
        return int((orders["count"] - orders["inactive"]).sum())

    def check(self) -> None:
        """Raise what broke the backend (a call returned 100 then), if something did."""

    def warnings(self) -> list[str]:
        """What the user should know of the run: what had no room and was left out."""
        found: list[str] = []
        for spec, row in zip(self._specs, self._assets, strict=True):
            name = spec.name or f"asset {row['asset_no']}"
            for field, what in (
                ("trades_dropped", "trades had no room in last_trades: clear_last_trades makes room"),
                ("user_events_dropped", "user events had no room: clear_user_events makes room"),
                ("latencies_dropped", "order latencies were not recorded: there is room for 4.2 million"),
                ("fills_dropped", "fills were not recorded: there is room for 16.7 million"),
            ):
                kept = field.removesuffix("_dropped")
                if row[field] and row[f"{kept}_cap"]:
                    found.append(f"{name}: {int(row[field]):,} {what}")
            if row["fills_missed"]:
                found.append(
                    f"{name}: {int(row['fills_missed']):,} executions while the daemon was away are in the account's "
                    "state, but not among the fills"
                )
            if row["book"]["far_dropped"]:
                found.append(
                    f"{name}: {int(row['book']['far_dropped']):,} levels far from the market had no room"
                )
            found += [f"{name}: {what}" for what in left_out_of_market_orders(row["book"])]
        if self._portfolio is not None and self._portfolio["refused"][0]:
            found.append(f"the limits of [portfolio] refused {int(self._portfolio['refused'][0]):,} requests")
        if times := int(self._session[0]["wrong_assets"]):
            number = int(self._session[0]["wrong_asset"])
            found.append(
                f"the strategy asked {times:,} times for an asset that it does not have, last for number {number}, and "
                f"was given asset 0: it has {self.num_assets}, numbered from 0"
            )
        if dropped := int(self._session[0]["requests_dropped"]):
            found.append(f"{dropped:,} requests were not recorded: there is room for 16.7 million")
        if self._recorder is not None and self._recorder.dropped:
            found.append(f"{self._recorder.dropped:,} records had no room: sample less often")
        return found

    def record_every(self, interval_ns: int) -> None:
        """Keep a row of state for each asset, at the first wake in each interval, every fill and every latency."""
        self._recorder = RecorderMemory(self.num_assets, self.MAX_RECORDS // self.num_assets)
        row = self._session[0]
        row["record"] = self._recorder.address
        row["record_interval_ns"] = interval_ns
        row["record_next_ns"] = INVALID_MIN
        for asset in self._assets:
            asset["fills_cap"] = self.MAX_FILLS // self.num_assets
            asset["fills"] = self._arena.reserve(fill_dtype.itemsize * int(asset["fills_cap"]))
            asset["latencies_cap"] = self.MAX_LATENCIES // self.num_assets
            asset["latencies"] = self._arena.reserve(latency_dtype.itemsize * int(asset["latencies_cap"]))

    def share_parameters(self, address: int) -> None:
        """Let the strategy take over what is set in an `hftd.parameters.shared.SharedParameters` at that address."""
        self._session[0]["parameters"] = address

    def _take_parameters(self) -> None:
        """At the top of a strategy's loop: see `hftd.parameters.rewriting`."""
        session.TABLE["fn_take_parameters"].call(self.address)

    def limit_portfolio(self, contracts: Sequence[Contract], gross_value: float, net_value: float) -> None:
        """Refuse orders that could make all positions together worth more than this; 0 for no limit.

        Args:
            contracts: What a position in each asset is worth.
            gross_value: Of the values of all positions, long or short, in quote currency.
            net_value: Of what is left when long and short are set off.
        """
        self._portfolio = portfolio.limit(self._arena, self._assets, contracts, gross_value, net_value)
        self._session[0]["portfolio"] = self._portfolio.ctypes.data
        self._session[0]["fn_refuses"] = portfolio.refuses.address

    def record_requests(self) -> None:
        """Keep a row for each request that is sent."""
        row = self._session[0]
        row["requests_cap"] = self.MAX_REQUESTS
        row["requests"] = self._arena.reserve(request_row_dtype.itemsize * self.MAX_REQUESTS)

    def requests(self) -> NDArray[Any]:
        """What `record_requests` kept, in the order of sending, shape (k,), `request_row_dtype`."""
        row = self._session[0]
        count = int(row["requests_len"])
        if count == 0:
            return np.empty(0, request_row_dtype)
        return view(int(row["requests"]), request_row_dtype, count).copy()

    def growing(self, recorder: RecorderMemory | None = None) -> Iterator[tuple[str, NDArray[Any]]]:
        """What is recorded, as far as it is there, where it stands; always the same arrays in the same order.

        "records", "orders"; then of each asset "fills", and "latency" with its number: rows as they came.

        Args:
            recorder: The strategy's own, in place of the one of `record_every`.
        """
        if (memory := recorder or self._recorder) is not None:
            yield "records", memory.growing()
        tables: list[tuple[str, Any, str, np.dtype[Any]]] = [
            ("orders", self._session[0], "requests", request_row_dtype)
        ]
        for number, asset in enumerate(self._assets):
            tables.append(("fills", asset, "fills", fill_dtype))
            tables.append((f"latency{number}", asset, "latencies", latency_dtype))
        for name, row, field, dtype in tables:
            count = int(row[f"{field}_len"])
            yield name, view(int(row[field]), dtype, count) if count else np.empty(0, dtype)

    def records(self) -> NDArray[Any]:
        """What `record_every` kept, shape (n, num_assets), `record_dtype`; the last row is of now."""
        if self._recorder is None:
            return np.empty((0, self.num_assets), record_dtype)
        rows = self._recorder.rows()
        if self.current_timestamp != _NO_TIME:
            last = RecorderMemory(self.num_assets, 1)
            session.record.call(last.address, self.address)
            if not len(rows) or rows[-1].tobytes() != last.rows()[0].tobytes():
                rows = np.concatenate([rows, last.rows()])
        return rows

    def fills(self) -> NDArray[Any]:
        """Every execution that the local side was told of, in time order, shape (n,), `fill_dtype`."""
        parts = [
            view(int(asset["fills"]), fill_dtype, int(asset["fills_len"])).copy()
            for asset in self._assets
            if asset["fills_len"]
        ]
        if not parts:
            return np.empty(0, fill_dtype)
        rows = np.concatenate(parts)
        return rows[np.argsort(rows["timestamp"], kind="stable")]

    def leave_for_hooks(self, notes: Any) -> None:
        """Leave what hooks are to be told in an `hftd.bot.hook_queue.HookQueue`."""
        notes.install(self._session[0])
        self._notes = notes

    def order_latencies(self) -> NDArray[Any]:
        """How long the ways of every answered request took, shape (m,), `latency_dtype`, asset after asset.

        In the form that `intp_order_latency` reads, with the asset's number as padding: see :mod:`hftd.hbt.latencies`.
        """
        parts = [
            clean_latencies(view(int(asset["latencies"]), latency_dtype, int(asset["latencies_len"])), number)
            for number, asset in enumerate(self._assets)
            if asset["latencies_len"]
        ]
        return np.concatenate(parts) if parts else np.empty(0, latency_dtype)
