"""What order management shows of itself to `hftd status`."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import msgspec

from daemon.warnings import Warn
from hftd.channel import status
from hftd.constants import BUY, NONE, PARTIALLY_FILLED

if TYPE_CHECKING:
    from daemon.orders.account import Ledger
    from daemon.orders.courier import Courier
    from daemon.orders.machine import Order
    from daemon.orders.requests import Requests
    from daemon.orders.store import Bot, Store

MAX_ORDERS_SHOWN = 100
"""Of each bot; the others are counted."""


class Counters(msgspec.Struct):
    """What order management counts.

    Attributes:
        repeated_executions: Came again, and were not counted again.
        old_executions: Of before what is remembered, and not counted.
        missed_executions: Found by reconciliations only.
        written_off_lots: Executed, as the exchange says, without an execution to be had.
        untold_executions: Lots whose execution was missing when an order's end was told.
        foreign_reports: About orders that are not ours.
        late_outcomes: Of commands that had been given up.
        revived: Orders that were given up, and live.
        differences: Positions that were not what was expected.
        unheard_requests: Of bots that are not attached.
        refused: Requests refused here, by their reason.
    """

    repeated_executions: int = 0
    old_executions: int = 0
    missed_executions: int = 0
    written_off_lots: int = 0
    untold_executions: int = 0
    foreign_reports: int = 0
    foreign_executions: int = 0
    late_outcomes: int = 0
    revived: int = 0
    adopted: int = 0
    differences: int = 0
    unheard_requests: int = 0
    journal_errors: int = 0
    not_flattened: int = 0
    reconciliations: int = 0
    foreign_orders: int = 0
    refused: dict[int, int] = {}

    def refuse(self, reason: int) -> None:
        """Count a refusal."""
        self.refused[reason] = self.refused.get(reason, 0) + 1


class Snapshot(msgspec.Struct, frozen=True, kw_only=True):
    """The parts of a `status.DaemonStatus` that order management knows."""

    is_halted: bool
    halt_reason: str
    bots: list[status.Bot]
    account: list[status.Position]
    limits: list[status.Used]
    foreign_orders: int
    counters: dict[str, int]


def take_snapshot(
    store: "Store", courier: "Courier", requests: "Requests", counters: Counters, now_ns: int
) -> Snapshot:
    """What is known now."""
    bots = [
        _bot(store, bot, now_ns)
        for bot in store.bots.values()
        if bot.is_attached or bot.alive or bot.row.is_ending or _holds(store, bot.name)
    ]
    counted = {
        name: value for name, value in msgspec.structs.asdict(counters).items() if isinstance(value, int)
    }
    counted |= {f"refused_{reason}": count for reason, count in sorted(counters.refused.items())}
    counted |= {
        "orders_sent": store.orders_sent,
        "orders_remembered": len(store.orders),
        "executions_remembered": len(store.trades),
        "in_flight": len(courier.in_flight),
        "queries": courier.queries,
        "outcome_timeouts": courier.timeouts,
        "journal_bytes": store.journal.size if store.journal else 0,
    }
    limits = [
        status.Used(name="open orders", used=len(store.alive), limit=requests.limits.max_open_orders),
        status.Used(
            name="orders a second",
            used=requests.gate.used(now_ns),
            limit=requests.limits.max_orders_per_s or 0.0,
        ),
    ]
    return Snapshot(
        is_halted=bool(store.halt_reason),
        halt_reason=store.halt_reason,
        bots=bots,
        account=[
            status.Position(symbol=ledger.symbol, position=ledger.qty(ledger.account_lots))
            for ledger in store.ledgers.values()
            if ledger.books or ledger.account_lots
        ],
        limits=limits,
        foreign_orders=counters.foreign_orders,
        counters=counted,
    )


def _holds(store: "Store", name: str) -> bool:
    return any(name in one.books and one.books[name].position_lots for one in store.ledgers.values())


def _bot(store: "Store", bot: "Bot", now_ns: int) -> status.Bot:
    orders = list(bot.alive.values())
    ledgers = [ledger for ledger in store.ledgers.values() if bot.name in ledger.books]
    return status.Bot(
        name=bot.name,
        is_attached=bot.is_attached,
        on_end=bot.row.on_end,
        pull_quotes=bot.row.pull_quotes,
        symbols=bot.symbols,
        since_ns=bot.since_ns,
        orders=[_order(store.ledgers[order.symbol], order, now_ns) for order in orders[:MAX_ORDERS_SHOWN]],
        orders_left_out=max(0, len(orders) - MAX_ORDERS_SHOWN),
        positions=[_position(ledger, bot.name) for ledger in ledgers],
        limits=[
            status.Used(name="open orders", used=len(bot.alive), limit=bot.limits.max_open_orders or 0),
            status.Used(
                name="orders a second",
                used=bot.gate.used(now_ns),
                limit=bot.limits.max_orders_per_s or 0.0,
            ),
        ],
        requests=bot.requests,
        updates=bot.updates,
        refused=bot.refused,
        fills=bot.fills,
    )


def _position(ledger: "Ledger", bot: str) -> status.Position:
    state = ledger.state(ledger.books[bot])
    return status.Position(
        symbol=ledger.symbol,
        position=state.position,
        balance=state.balance,
        fee=state.fee,
        num_trades=state.num_trades,
        trading_volume=state.trading_volume,
        trading_value=state.trading_value,
    )


def _order(ledger: "Ledger", order: "Order", now_ns: int) -> status.OpenOrder:
    if order.status == NONE:
        stands = "pending"
    else:
        stands = "partially filled" if order.shown_status == PARTIALLY_FILLED else "new"
    return status.OpenOrder(
        symbol=order.symbol,
        order_id=order.order_id,
        client_id=order.client_id,
        side="buy" if order.side == BUY else "sell",
        price=ledger.price(order.price_tick),
        qty=ledger.qty(order.qty_lots - order.base_lots),
        leaves_qty=ledger.qty(order.leaves_lots),
        status=stands,
        request=_under_way(order),
        age_ns=now_ns - order.placed_ns,
    )


def _under_way(order: "Order") -> str:
    from daemon.orders.machine import DONE

    if order.is_unsure:
        return "unknown"
    if order.cancel_wanted:
        return "cancel"
    if order.amend is not None:
        return "modify"
    return "" if order.place == DONE else "new"


def warnings_of(store: "Store") -> Iterator[Warn]:
    """What of order management needs a person."""
    for ledger in store.ledgers.values():
        for asset, fee in ledger.foreign_fees.items():
            yield Warn(
                "fees_in_other_asset",
                f"{ledger.symbol}: fees of {fee:g} {asset} are not in its bots' fees",
                f"{ledger.symbol} {asset}",
            )
    if store.trades.reused:
        yield Warn(
            "trade_ids_reused",
            f"{store.trades.reused:,} executions came with ids that the journal has for others, and are not counted: "
            "has the exchange begun anew? then end this connector and delete its journal",
        )
    for symbol in store.waiting_symbols():
        books, orders = store.left_in(symbol)
        yield Warn(
            "set_aside",
            f"{symbol}: the exchange does not list it; what the journal has of it ({books} bots' accounts, {orders} "
            "orders that were open) is kept as it is, and is not traded",
            symbol,
        )
    for symbol, why in store.unfit.items():
        yield Warn("set_aside", f"{symbol}: {why}", symbol)
    if store.gaps:
        yield Warn("executions_missing", f"executions of {len(store.gaps)} orders are missing")
