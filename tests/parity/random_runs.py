"""Random small markets and random programs on them, from a seed."""

from dataclasses import dataclass, replace
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hftd.types import (
    ALL_ASSETS,
    BUY_EVENT,
    DEPTH_CLEAR_EVENT,
    DEPTH_EVENT,
    DEPTH_SNAPSHOT_EVENT,
    END_OF_DATA,
    EXCH_EVENT,
    FILLED,
    GTC,
    GTX,
    INVALID_MAX,
    LIMIT,
    LOCAL_EVENT,
    MARKET,
    NEW,
    PARTIALLY_FILLED,
    SELL_EVENT,
    TRADE_EVENT,
    event_dtype,
)
from tests.parity import interpret as step
from tests.parity.engines import Asset, Rows, latencies, ours, theirs
from tests.parity.model import Book, until_they_part

START_TS = 1_700_000_000_000_000_000
ORDER_IDS = 12
QUEUES = (("risk_adverse", 0.0), ("log", 0.0), ("log2", 0.0), ("power", 1.0), ("power", 2.0), ("power", 3.0),
          ("power2", 1.0), ("power2", 2.0), ("power3", 3.0))  # fmt: skip
FEES = (("value", (-0.00005, 0.0007)), ("quantity", (-0.25, 0.5)), ("flat", (0.125, 1.5)))
BOTH = EXCH_EVENT | LOCAL_EVENT


@dataclass
class Case:
    """A run, repeatable from its seed."""

    seed: int
    assets: list[Asset]
    program: NDArray[Any]
    start_tick: int
    has_refusals: bool
    order_ids: int = ORDER_IDS


class Feed:
    """Rows in an order that is valid for both clocks; now and then one is split by clock."""

    def __init__(self, rng: np.random.Generator, max_latency_ns: int) -> None:
        self.rng = rng
        self.rows: list[tuple[Any, ...]] = []
        self.late: list[tuple[Any, ...]] = []
        self.local_ts = 0
        self.max_latency_ns = max_latency_ns

    def add(self, ev: int, ts: int, px: float, qty: float) -> None:
        local_ts = ts + int(self.rng.integers(0, self.max_latency_ns + 1))
        if self.rng.random() < 0.15:
            self.rows.append((EXCH_EVENT | ev, ts, local_ts, px, qty))
            if self.rng.random() < 0.8:
                self.late.append((LOCAL_EVENT | ev, ts, local_ts + 3 * self.max_latency_ns, px, qty))
            return
        self.local_ts = max(self.local_ts, local_ts)
        self._flush(self.local_ts)
        self.rows.append((BOTH | ev, ts, self.local_ts, px, qty))

    def _flush(self, local_ts: int) -> None:
        self.late.sort(key=lambda row: row[2])
        while self.late and self.late[0][2] <= local_ts:
            self.local_ts = max(self.local_ts, self.late[0][2])
            self.rows.append(self.late.pop(0))

    def done(self) -> Rows:
        self._flush(1 << 62)
        rows = np.zeros(len(self.rows), event_dtype)
        for number, values in enumerate(self.rows):
            for name, value in zip(("ev", "exch_ts", "local_ts", "px", "qty"), values, strict=True):
                rows[name][number] = value
        return rows


def feed(
    rng: np.random.Generator,
    start_tick: int,
    tick_size: float,
    lot_size: float,
    num_rows: int,
    farthest: int = 9_000_000,
) -> Rows:
    """A market around a mid price that wanders: levels, trades, clears, snapshots, crossings."""
    # Seldom is a market that comes apart on the way, since the reference is wrong from there on.
    clears = rng.random() < 0.3
    deletes = rng.choice([0.1, 0.3])
    market = Feed(rng, int(rng.choice([0, 1_000, 200_000])))
    ts = START_TS
    mid = start_tick
    for away in range(1, 12):
        for side, sign in ((BUY_EVENT, -1), (SELL_EVENT, 1)):
            qty = int(rng.integers(1, 20)) * lot_size
            kind = DEPTH_SNAPSHOT_EVENT if clears else DEPTH_EVENT
            market.rows.append((BOTH | side | kind, ts, ts, (mid + sign * away) * tick_size, qty))
    market.local_ts = ts
    for _ in range(num_rows):
        ts += int(rng.choice([0, 0, 1, 1_000, 50_000, 1_000_000]))
        mid += int(rng.choice([-1, 0, 0, 0, 0, 1]))
        chance = rng.random()
        qty = int(rng.integers(1, 12)) * lot_size
        side, sign = (BUY_EVENT, -1) if rng.random() < 0.5 else (SELL_EVENT, 1)
        if chance < 0.6:
            away = int(rng.integers(-1, 9)) if rng.random() < 0.97 else int(rng.integers(0, farthest))
            qty = 0.0 if rng.random() < deletes else qty
            market.add(side | DEPTH_EVENT, ts, (mid + sign * away) * tick_size, qty)
        elif chance < 0.95:
            taker = rng.choice([SELL_EVENT if sign < 0 else BUY_EVENT] * 15 + [0])
            market.add(int(taker) | TRADE_EVENT, ts, (mid + sign * int(rng.integers(-1, 4))) * tick_size, qty)
        elif chance < 0.97:
            market.add(
                side | DEPTH_SNAPSHOT_EVENT, ts, (mid + sign * int(rng.integers(1, 9))) * tick_size, qty
            )
        elif chance < 0.99 or not clears:
            market.add(int(rng.choice([5, 100, 104])) | side, ts, float("nan"), 0.0)
        else:
            px = float(rng.choice([np.inf, np.nan, (mid + sign * 2) * tick_size]))
            market.add(int(rng.choice([0, side])) | DEPTH_CLEAR_EVENT, ts, px, 0.0)
    return market.done()


def program(
    rng: np.random.Generator, num_assets: int, num_steps: int, *, market_orders: bool
) -> NDArray[Any]:
    """Steps of all kinds; the first starts the clock."""
    rows = np.zeros(num_steps, step.step_dtype)
    waits = [step.ELAPSE, step.WAIT_FEED, step.WAIT_RESPONSE]
    rows["op"] = rng.choice(
        [
            *waits,
            step.SUBMIT_BUY,
            step.SUBMIT_SELL,
            step.CANCEL,
            step.MOVE,
            step.SHRINK,
            step.CLEAR,
            step.CLEAR_TRADES,
        ],
        num_steps,
        p=[0.2, 0.12, 0.06, 0.17, 0.17, 0.1, 0.06, 0.04, 0.06, 0.02],
    )
    rows["op"][0] = step.ELAPSE
    rows["asset_no"] = rng.integers(0, num_assets, num_steps)
    everywhere = np.isin(rows["op"], [step.CLEAR, step.CLEAR_TRADES]) & (rng.random(num_steps) < 0.3)
    rows["asset_no"][everywhere] = ALL_ASSETS
    rows["order_id"] = rng.integers(0, ORDER_IDS, num_steps)
    rows["duration"] = rng.choice([0, 1, 1_000, 60_000, 1_000_000, 5_000_000], num_steps)
    rows["away"] = rng.integers(-4, 4, num_steps)
    rows["lots"] = rng.integers(1, 9, num_steps)
    rows["time_in_force"] = rng.choice([GTX, GTX, GTX, GTC, GTC, 2, 3], num_steps)
    if market_orders:
        rows["order_type"] = np.where(rng.random(num_steps) < 0.1, MARKET, LIMIT)
    rows["wait"] = rng.random(num_steps) < np.where(np.isin(rows["op"], waits), 0.5, 0.1)
    return rows


def case(seed: int, *, roi: bool = False, partial: bool = False) -> Case:
    """The run of a seed; with partial fills at least one of its assets has them."""
    rng = np.random.default_rng(seed)
    # Of their own, so that the market and the strategy of a seed stay what they were.
    model_rng = np.random.default_rng([seed, 1])
    num_assets = int(rng.choice([1, 1, 2]))
    tick_size = float(rng.choice([0.01, 0.1, 0.5, 1.0]))
    lot_size = 0.001
    start_tick = int(rng.choice([1_000, 300_000] if roi else [1_000, 60_000_000, -10, 3]))
    num_rows = int(rng.integers(5, 300))
    assets: list[Asset] = []
    market_orders = True
    has_refusals = False
    for number in range(num_assets):
        partial_fills = partial and (number == 0 or model_rng.random() < 0.5)
        # No inverse contract has a price of nothing; and a hundred ticks is as far as the reference lets market
        # orders walk.
        inverse = start_tick >= 1_000 and model_rng.random() < 0.4
        fee_model, fees = FEES[int(model_rng.integers(len(FEES)))]
        near = inverse or partial_fills
        rows = feed(rng, start_tick, tick_size, lot_size, num_rows, 60 if near else 9_000_000)
        rows, never_empty = until_they_part(rows, tick_size, lot_size)
        market_orders &= never_empty
        first_ts, last_ts = int(rows["exch_ts"].min()), int(rows["local_ts"].max())
        chance = rng.random()
        if chance < 0.4:
            latency: Any = tuple(int(rng.choice([0, 1_000, 70_000, 2_000_000])) for _ in range(2))
        elif chance < 0.45:
            latency = (-50_000, 1_000)
            has_refusals = True
        else:
            refusals = bool(rng.random() < 0.5)
            has_refusals |= refusals
            latency = latencies(rng, first_ts, last_ts, refusals=refusals, step=2_000_000)
        cuts = np.sort(rng.integers(1, len(rows), int(rng.integers(0, 3)))) if len(rows) > 1 else []
        assets.append(
            Asset(
                [part.copy() for part in np.split(rows, cuts) if len(part)],
                tick_size,
                lot_size,
                QUEUES[int(rng.integers(len(QUEUES)))],
                latency,
                feed_offset=int(rng.choice([0, 0, 5_000])),
                roi=((start_tick - 200) * tick_size, (start_tick + 200) * tick_size) if roi else None,
                trades_capacity=int(rng.choice([0, 10_000])),
                contract_size=float(rng.choice([1.0, 0.01])),
                inverse=inverse,
                fee_model=fee_model,
                fees=fees,
                partial=partial_fills,
                prepared=bool(model_rng.random() < 0.3),
            )
        )
    steps = program(rng, num_assets, int(rng.integers(5, 120)), market_orders=market_orders)
    if has_refusals:
        # A refused modification leaves what it asked for on the reference's order.
        steps["op"][np.isin(steps["op"], [step.MOVE, step.SHRINK])] = step.CANCEL
    if partial:
        # A remainder that trades of whole lots fill exactly would stay in the reference's book.
        steps["lots"] -= 0.25
    return Case(seed, assets, steps, start_tick, has_refusals)


ACCOUNT = ("position", "balance", "fee", "num_trades", "volume", "value")
Seen = tuple[NDArray[Any], NDArray[Any], NDArray[Any], NDArray[Any]]


def run(hbt: Any, made: Case) -> Seen:
    """What is seen in the run of a case: codes, times, assets, orders by step."""
    steps, assets = len(made.program), len(made.assets)
    seen = (
        np.zeros(steps, np.int64),
        np.zeros(steps, np.int64),
        np.zeros((steps, assets), step.asset_dtype),
        np.zeros((steps, assets, made.order_ids), step.order_dtype),
    )
    first = made.assets[0]
    exact = first.roi is None
    step.interpret(hbt, made.program, made.start_tick, first.tick_size, first.lot_size, exact, *seen)
    return seen


def both(reference: ModuleType, made: Case) -> tuple[Seen, Seen]:
    """What is seen in the run of a case on the reference and on ours.

    Where fills are partial the reference's account tells of the last execution of an order only, and the account of
    ours becomes what that comes to; the answer to a modification tells the execution that the bot knew of when it
    sent it, so from there on the two are taken to be the same.
    """
    with theirs(reference, made.assets) as hbt:
        expected = run(hbt, made)
    hbt = ours(made.assets)
    hbt.record_every(1 << 60)
    seen = run(hbt, made)
    hbt.check()
    for asset_no, asset in enumerate(made.assets):
        if asset.partial:
            keep_last_executions(asset, asset_no, seen, hbt.fills())
            hide_executions_after_modifications(made, asset_no, expected, seen)
    return expected, seen


def keep_last_executions(asset: Asset, asset_no: int, seen: Seen, fills: NDArray[Any]) -> None:
    """Make of an account what the reference has: of each order that is filled the last execution."""
    assets, orders = seen[2:]
    rows, own = orders[:, asset_no], fills[fills["asset_no"] == asset_no]
    is_filled = (rows["known"] == 1) & (rows["status"] == FILLED)
    is_new = is_filled.copy()
    is_new[1:] &= ~is_filled[:-1]
    account = np.zeros((len(rows), len(ACCOUNT)))
    for step_no, order_id in np.argwhere(is_new):
        row = rows[step_no, order_id]
        known = own[(own["order_id"] == order_id) & (own["exch_ts"] == row["exch_ts"])]
        maker = known["maker"][-1]
        if not maker and row["side"] < 0 and row["time_in_force"] == GTC and row["order_type"] == LIMIT:
            # Of a sell that takes, the reference executes the level at its limit apart from the remainder.
            is_over = (seen[0][:step_no] == END_OF_DATA).any()
            sent_to = INVALID_MAX if is_over else int(row["exch_ts"])
            level = bid_qty_at(asset, sent_to, int(row["exec_price_tick"]))
            if row["exec_price_tick"] == row["price_tick"] and row["exec_qty"] - level > asset.lot_size / 2:
                gone = np.flatnonzero(~is_filled[step_no:, order_id])
                until = step_no + int(gone[0]) if len(gone) else len(rows)
                rows["exec_qty"][step_no:until, order_id] -= level
        price, qty = row["exec_price_tick"] * asset.tick_size, row["exec_qty"]
        amount = asset.amounts(price, qty)
        fee = asset.fees_of(amount, qty, maker)
        account[step_no:] += row["side"] * qty, -row["side"] * amount, fee, 1, qty, amount
    for name, column in zip(ACCOUNT, account.T, strict=True):
        assets[name][:, asset_no] = column


def bid_qty_at(asset: Asset, exch_ts: int, tick: int) -> float:
    """What stood at a level at the exchange."""
    book = Book(asset.tick_size, asset.lot_size)
    for row in np.concatenate(asset.data):
        if row["exch_ts"] <= exch_ts and int(row["ev"]) & EXCH_EVENT:
            book.apply(int(row["ev"]), float(row["px"]), float(row["qty"]))
    return book.bids.levels.get(tick, 0.0)


def hide_executions_after_modifications(made: Case, asset_no: int, *runs: Seen) -> None:
    """Forget what orders that were once modified tell of their last execution, and whether there was one."""
    steps = made.program
    modified = np.isin(steps["op"], [step.MOVE, step.SHRINK]) & (steps["asset_no"] == asset_no)
    for order_id in np.unique(steps["order_id"][modified]):
        first = np.flatnonzero(modified & (steps["order_id"] == order_id))[0]
        for seen in runs:
            for name in ("exec_qty", "exec_price_tick"):
                seen[3][name][first:, asset_no, order_id] = 0
            status = seen[3]["status"][first:, asset_no, order_id]
            status[status == PARTIALLY_FILLED] = NEW


def differences(made: Case, expected: Seen, seen: Seen) -> list[str]:
    """The first step at which the two differ, in words; nothing if they are equal."""
    found: dict[int, list[str]] = {}

    def compare(name: str, theirs: NDArray[Any], ours: NDArray[Any]) -> None:
        if theirs.dtype.kind == "f":
            equal = np.isclose(theirs, ours, rtol=1e-9, atol=1e-9, equal_nan=True)
        else:
            equal = theirs == ours
        for place in np.argwhere(~equal)[:3]:
            where = tuple(int(n) for n in place)
            found.setdefault(where[0], []).append(
                f"{name}{list(where[1:])}: {theirs[where]} there, {ours[where]} here"
            )

    compare("code", expected[0], seen[0])
    compare("time", expected[1], seen[1])
    for names, number in ((step.asset_dtype.names, 2), (step.order_dtype.names, 3)):
        for name in names or ():
            # Of an order that was refused on its way the reference tells the time of an earlier answer.
            if not (made.has_refusals and name in ("order_exch_ts", "order_resp_ts")):
                compare(name, expected[number][name], seen[number][name])
    if not found:
        return []
    first = min(found)
    row = made.program[first]
    told = ", ".join(f"{name}={row[name]}" for name in step.step_dtype.names[1:] or ())
    return [f"seed {made.seed}, step {first}: {step.OPS[row['op']]} ({told})", *found[first]]


def unclamped(made: Case) -> Case:
    """The case with the reference's queue models: nothing else may be what differs."""
    return replace(made, assets=[replace(asset, unclamped=True) for asset in made.assets])


def with_own_ids(made: Case) -> Case:
    """The case with an id for each order, and without modifications: what became of each can be told."""
    steps = made.program.copy()
    steps["op"][np.isin(steps["op"], [step.MOVE, step.SHRINK])] = step.CANCEL
    submits = np.isin(steps["op"], [step.SUBMIT_BUY, step.SUBMIT_SELL])
    sent = np.cumsum(submits)
    # The others name one of the last few that were sent.
    steps["order_id"] = np.where(submits, sent - 1, np.maximum(sent - 1 - steps["order_id"] % 4, 0))
    return replace(made, program=steps, order_ids=int(sent[-1]) + 1)
