"""A journal's rows as what people ask for: orders, fills, days, events.

A view is a table: names of columns, and rows of as many cells. Prices and quantities are exact decimals. What the
connector keeps as binary fractions is shown as it was told (a fee), or, where it is a sum, with twelve figures.

Limits: orders and fills are held back until `WINDOW` more have come, since what comes late changes them.
"""

import datetime
from collections import OrderedDict
from collections.abc import Iterable, Iterator
from decimal import Decimal
from typing import Final, NamedTuple

from daemon.ops.records.reading import Entry
from daemon.orders.files.rows import Begin, BotRow, Halt, ParametersSet, Refused, Steps
from daemon.orders.ids.trades import Traded
from daemon.orders.money.profit import DAY_NS, Day, Funded, Profit
from daemon.orders.order import DONE, Order
from daemon.orders.positions import BotBook, Forced
from hftd.constants import (
    BUY,
    CANCELED,
    EXPIRED,
    FILLED,
    FOK,
    GTC,
    GTX,
    IOC,
    LIMIT,
    MARKET,
    NEW,
    NONE,
    PARTIALLY_FILLED,
    REJECTED,
    reason_name,
)

WINDOW: Final = 60_000
"""More than what order management remembers, and so may still change."""
NOBODY: Final = "-"
_NS: Final = 1_000_000_000

Cell = str | int | Decimal | bool | None

STATUSES: Final = {
    NONE: "pending",
    NEW: "open",
    PARTIALLY_FILLED: "partially filled",
    FILLED: "filled",
    CANCELED: "canceled",
    EXPIRED: "expired",
    REJECTED: "rejected",
}
TYPES: Final = {LIMIT: "limit", MARKET: "market"}
TIMES_IN_FORCE: Final = {GTC: "GTC", GTX: "GTX", FOK: "FOK", IOC: "IOC"}

ORDERS: Final = (
    "submitted",
    "submitted_ns",
    "exchange_time",
    "exchange_ns",
    "ended",
    "ended_ns",
    "bot",
    "symbol",
    "side",
    "type",
    "time_in_force",
    "reduce_only",
    "price",
    "quantity",
    "executed",
    "status",
    "reason",
    "exchange_code",
    "exchange_words",
    "client_id",
    "exchange_order_id",
    "bot_order_id",
)
FILLS: Final = (
    "exchange_time",
    "exchange_ns",
    "received",
    "received_ns",
    "bot",
    "symbol",
    "side",
    "price",
    "quantity",
    "amount",
    "amount_asset",
    "fee",
    "fee_asset",
    "liquidity",
    "forced",
    "trade_id",
    "client_id",
    "exchange_order_id",
)
DAYS: Final = ("day", "asset", "bot", "realised", "unrealised", "fees", "funding", "total", "is_over")
EVENTS: Final = ("time", "time_ns", "event", "bot", "symbol", "by", "amount", "asset", "reason", "what", "id")


class Chosen(NamedTuple):
    """Which rows are wanted: from a moment on, before another one, of a bot, of a symbol."""

    from_ns: int = 0
    to_ns: int = 1 << 63
    bot: str = ""
    symbol: str = ""

    def has(self, at_ns: int, bot: str, symbol: str) -> bool:
        """Whether a row is one of them. What has no time is in all."""
        in_time = not at_ns or self.from_ns <= at_ns < self.to_ns
        return in_time and self.bot in ("", bot) and self.symbol in ("", symbol)


def utc(at_ns: int) -> str:
    """A moment as in 2024-08-08T12:00:00.000000001Z; empty for none."""
    if at_ns <= 0:
        return ""
    try:
        at = datetime.datetime.fromtimestamp(at_ns // _NS, datetime.UTC)
    except (ValueError, OverflowError):
        return ""
    return f"{at:%Y-%m-%dT%H:%M:%S}.{at_ns % _NS:09}Z"


def day_text(day: int) -> str:
    """Days since the epoch as in 2024-08-08."""
    return utc(max(1, day * DAY_NS))[:10]


def exact(value: float) -> Decimal:
    """A number as it was told: the shortest decimal that is this float."""
    return Decimal(repr(float(value)))


def rounded(value: float) -> Decimal:
    """A sum of money, without what adding binary fractions left: in 1e-8, and to twelve figures."""
    return Decimal(f"{round(value, 8) + 0.0:.12g}")


def _steps(steps: dict[str, Steps], symbol: str) -> tuple[Decimal, Decimal] | None:
    found = steps.get(symbol)
    return (Decimal(found.tick_size), Decimal(found.lot_size)) if found is not None else None


def orders(entries: Iterable[Entry], chosen: Chosen) -> Iterator[list[Cell]]:
    """Each order once, as it was in the end, in the order in which they ended; those that are open come last."""
    steps: dict[str, Steps] = {}
    words: OrderedDict[str, Refused] = OrderedDict()
    ended: OrderedDict[str, list[Cell]] = OrderedDict()
    alive: dict[str, tuple[Order, Decimal, Decimal]] = {}
    for row, _, _ in entries:
        if isinstance(row, Steps):
            steps[row.symbol] = row
        elif isinstance(row, Refused):
            words[row.client_id] = row
            if len(words) > WINDOW:
                words.popitem(last=False)
        elif isinstance(row, Order) and chosen.has(row.submitted_ns, row.bot, row.symbol):
            tick, lot = _steps(steps, row.symbol) or (Decimal("NaN"), Decimal("NaN"))
            if not row.finished_ns:
                ended.pop(row.client_id, None)
                alive[row.client_id] = row, tick, lot
                continue
            alive.pop(row.client_id, None)
            ended[row.client_id] = _order(row, tick, lot, words.get(row.client_id))
            if len(ended) > WINDOW:
                yield ended.popitem(last=False)[1]
    yield from ended.values()
    for row, tick, lot in alive.values():
        yield _order(row, tick, lot, words.get(row.client_id))


def _order(row: Order, tick: Decimal, lot: Decimal, refused: Refused | None) -> list[Cell]:
    is_unknown = not row.finished_ns and row.submit_phase != DONE and row.status == NONE
    return [
        utc(row.submitted_ns),
        row.submitted_ns,
        utc(row.exch_ns),
        row.exch_ns,
        utc(row.finished_ns),
        row.finished_ns,
        row.bot,
        row.symbol,
        "buy" if row.side == BUY else "sell",
        TYPES.get(row.order_type, str(row.order_type)),
        TIMES_IN_FORCE.get(row.time_in_force, str(row.time_in_force)),
        row.reduce_only,
        _of(row.price_tick, tick) if row.order_type == LIMIT else None,
        _of(row.qty_lots, lot),
        _of(row.executed_lots + row.written_off_lots, lot),
        "unknown" if is_unknown else STATUSES.get(row.status, str(row.status)),
        reason_name(row.reason) if row.reason else "",
        refused.code if refused is not None else None,
        refused.words if refused is not None else "",
        row.client_id,
        row.exch_order_id,
        row.order_id,
    ]


def _of(count: int, step: Decimal) -> Decimal | None:
    return None if step.is_nan() else count * step


class Fill(NamedTuple):
    """An execution; `steps` is None if the journal does not say in which they are."""

    row: Traded
    at_ns: int
    steps: Steps | None

    @property
    def qty(self) -> Decimal | None:
        """Its quantity."""
        return self.row.qty_lots * Decimal(self.steps.lot_size) if self.steps is not None else None

    @property
    def price(self) -> Decimal | None:
        """Its price."""
        if self.row.price:
            return exact(self.row.price)
        return self.row.price_tick * Decimal(self.steps.tick_size) if self.steps is not None else None

    @property
    def amount(self) -> Decimal | None:
        """What it is worth, in what the instrument settles in."""
        steps, qty, price = self.steps, self.qty, self.price
        if steps is None or qty is None or price is None or not (steps.quote or steps.base):
            return None
        size = exact(steps.contract_size)
        if not steps.inverse:
            return size * qty * price
        return round(size * qty / price, 12) if price else None

    @property
    def asset(self) -> str:
        """What it settles in."""
        return "" if self.steps is None else self.steps.base if self.steps.inverse else self.steps.quote


def fills_of(entries: Iterable[Entry], chosen: Chosen) -> Iterator[Fill]:
    """Each execution once. A fee that was told later is with it; an exchange's own one is that of the account."""
    steps: dict[str, Steps] = {}
    held: OrderedDict[tuple[str, str, int], Fill] = OrderedDict()
    placed: OrderedDict[str, tuple[str, str]] = OrderedDict()
    count = 0
    for row, at_ns, is_state in entries:
        if isinstance(row, Steps):
            steps[row.symbol] = row
        elif isinstance(row, Order):
            placed[row.client_id] = row.bot, row.exch_order_id
            if len(placed) > WINDOW:
                placed.popitem(last=False)
        elif isinstance(row, Forced) and not row.trade_id and not is_state:
            # The position told of it, and no execution.
            count += 1
            told = Traded(
                row.symbol,
                "",
                row.exch_ns,
                True,
                row.client_id,
                row.side,
                row.price_tick,
                row.qty_lots,
                row.fee,
                bot=row.bot,
                is_forced=True,
            )
            held[row.symbol, f"forced {count}", row.side] = Fill(told, at_ns, steps.get(row.symbol))
        elif isinstance(row, Traded) and not is_state:
            key = row.symbol, row.trade_id, row.side
            if row.client_id and not row.bot and not row.is_forced:
                # Old journals name the order alone.
                bot, exch_order_id = placed.get(row.client_id, ("", ""))
                row.bot, row.exch_order_id = bot, row.exch_order_id or exch_order_id
            known = held.get(key)
            if known is None and row.qty_lots:
                held[key] = Fill(row, at_ns, steps.get(row.symbol))
            elif known is not None and row.qty_lots:
                held[key] = known._replace(row=row)
            elif known is not None and row.fee:
                # The totals of an order told of more fees than were known.
                known.row.fee = float(exact(known.row.fee) + exact(row.fee))
        if len(held) > WINDOW:
            fill = held.popitem(last=False)[1]
            if chosen.has(fill.row.exch_ns, fill.row.bot, fill.row.symbol):
                yield fill
    yield from (one for one in held.values() if chosen.has(one.row.exch_ns, one.row.bot, one.row.symbol))


def fills(entries: Iterable[Entry], chosen: Chosen) -> Iterator[list[Cell]]:
    """Executions, in the order in which they were heard of."""
    for fill in fills_of(entries, chosen):
        row = fill.row
        yield [
            utc(row.exch_ns),
            row.exch_ns,
            utc(fill.at_ns),
            fill.at_ns or None,
            row.bot,
            row.symbol,
            "buy" if row.side == BUY else "sell",
            fill.price,
            fill.qty,
            fill.amount,
            fill.asset,
            exact(row.fee) if row.has_fee else None,
            row.fee_asset,
            "maker" if row.is_maker else "taker",
            row.is_forced,
            row.trade_id,
            row.client_id,
            row.exch_order_id,
        ]


def profits(
    entries: Iterable[Entry],
) -> tuple[dict[tuple[int, str, str], Profit], dict[tuple[str, str], BotBook], int]:
    """What was earned by day, asset and bot; the books that are open; and the last day that began."""
    found: dict[tuple[int, str, str], Profit] = {}
    books: dict[tuple[str, str], BotBook] = {}
    steps: dict[str, Steps] = {}
    for row, _, _ in entries:
        if isinstance(row, Steps):
            steps[row.symbol] = row
        elif isinstance(row, Day):
            found[row.day, row.asset, row.bot] = Profit(row.realised, row.unrealised, row.fee, row.funding)
        elif isinstance(row, BotBook):
            books[row.bot, row.symbol] = row
    today = max((one.start.day for one in books.values() if one.start is not None), default=0)
    for (bot, symbol), book in books.items():
        start, known = book.start, steps.get(symbol)
        if start is None or not start.day:
            continue
        asset = "" if known is None else known.base if known.inverse else known.quote
        more = Profit(book.realised - start.realised, 0.0, book.fee - start.fee, book.funding - start.funding)
        found.setdefault((start.day, asset, bot), Profit()).add(more)
    return found, books, today


def days(entries: Iterable[Entry], chosen: Chosen) -> Iterator[list[Cell]]:
    """The account's profit by UTC day and asset, or a bot's, as the connector says it.

    Of a day that is not over the value of what is held is not known here.
    """
    found, _, today = profits(entries)
    total: dict[tuple[int, str], Profit] = {}
    for (day, asset, bot), profit in found.items():
        if (bot == chosen.bot if chosen.bot else bot != NOBODY) and chosen.has(
            max(1, day * DAY_NS), chosen.bot, ""
        ):
            total.setdefault((day, asset), Profit()).add(profit)
    for (day, asset), profit in sorted(total.items()):
        is_over = day < today
        if not is_over or any((profit.realised, profit.unrealised, profit.fee, profit.funding)):
            yield [
                day_text(day),
                asset,
                chosen.bot,
                rounded(profit.realised),
                rounded(profit.unrealised) if is_over else None,
                rounded(profit.fee),
                rounded(profit.funding),
                rounded(profit.total) if is_over else None,
                is_over,
            ]


def events(entries: Iterable[Entry], chosen: Chosen) -> Iterator[list[Cell]]:
    """Starts, halts and who resumed, leases, refusals, forced closes, funding."""
    leases: dict[str, bool | None] = {}
    halted: set[str] = set()
    for row, at_ns, is_state in entries:
        if isinstance(row, BotRow):
            had, leases[row.name] = leases.get(row.name, False), row.has_lease
            if is_state or had is row.has_lease:
                continue
            told = [
                "bot attached" if row.has_lease else "bot left",
                row.name,
                "",
                "",
                None,
                "",
                "",
                row.on_end,
                "",
            ]
        elif isinstance(row, Halt):
            is_new = bool(row.reason)
            (halted.add if is_new else halted.discard)(row.bot)
            if is_state:
                continue
            by = row.by or ("a limit" if row.ends else "the connector" if is_new else "")
            told = ["halted" if is_new else "resumed", row.bot, "", by, None, "", row.reason, "", ""]
        elif is_state:
            continue
        elif isinstance(row, Begin):
            # No lease outlives the connector: who had one attaches again, or is given up.
            leases = {name: None for name, has in leases.items() if has}
            told = ["connector started", "", "", "", None, "", "", f"run {row.run}", f"{row.identity:06x}"]
        elif isinstance(row, ParametersSet):
            told = ["parameters set", row.bot, "", row.by, None, "", "", row.values, ""]
        elif isinstance(row, Refused) and not row.client_id:
            what = f"{row.count:,} {'request' if row.count == 1 else 'requests'}"
            told = [
                "refused",
                row.bot,
                row.symbol,
                "the connector",
                None,
                "",
                reason_name(row.reason),
                what,
                "",
            ]
        elif isinstance(row, Refused):
            what = " ".join(filter(None, (row.what, str(row.code) if row.code else "", row.words)))
            told = [
                "refused",
                row.bot,
                row.symbol,
                "",
                None,
                "",
                reason_name(row.reason),
                what,
                row.client_id,
            ]
        elif isinstance(row, Forced):
            side = "bought" if row.side == BUY else "sold"
            what = f"the exchange {side} {row.qty_lots} lots of the position"
            told = [
                "forced close",
                row.bot,
                row.symbol,
                "the exchange",
                None,
                "",
                "",
                what,
                row.trade_id or row.client_id,
            ]
        elif isinstance(row, Funded):
            if row.same_as:
                continue
            at_ns = row.exch_ns
            told = ["funding", "", row.symbol, "", exact(row.amount), row.asset, "", "", row.payment_id]
        else:
            continue
        if chosen.has(at_ns, str(told[1]), str(told[2])):
            yield [utc(at_ns), at_ns or None, *told]
