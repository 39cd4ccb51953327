"""What order management shows of itself to `hftd status`: counters, orders, positions, refusals, what needs a person.

Refusals are kept by bot, symbol, reason and the exchange's own number, at most `KINDS_MAX` kinds; others count as one
more kind without a name. The first of a kind is always logged, and of the others at most `LOGGED_A_MINUTE`.
"""

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Final

import msgspec
import structlog

from daemon.messages import Outcome
from daemon.orders.order import NEVER
from daemon.warnings import Warn
from hftd.constants import (
    BUY,
    NONE,
    PARTIALLY_FILLED,
    REASON_DISCONNECTED,
    REASON_DUPLICATE,
    REASON_FOK,
    REASON_HALTED,
    REASON_LIMIT_PRICE,
    REASON_LIMIT_QTY,
    REASON_LIQUIDATION,
    REASON_POST_ONLY,
    REASON_UNKNOWN_ORDER,
    reason_name,
)
from hftd.control import status

if TYPE_CHECKING:
    from daemon.orders.bot import Bot, Flattening
    from daemon.orders.commands import Commands
    from daemon.orders.money.watching import Money
    from daemon.orders.order import Order
    from daemon.orders.positions import Ledger
    from daemon.orders.requests import BotRequests
    from daemon.orders.state import Store

MAX_ORDERS_SHOWN = 100
"""Of each bot; the others are counted."""
MAX_BALANCES_SHOWN = 200
STUCK_NS = 5_000_000_000
"""A position that is to be closed and is not after so long needs a person."""
UNKNOWN_NS = 5_000_000_000
"""An outcome that is not known after so long needs one; it is asked about meanwhile."""
KINDS_MAX: Final = 500
LOGGED_A_MINUTE: Final = 60
RECENT_NS: Final = 60_000_000_000
"""A refusal needs a person's attention for so long."""
ORDINARY: Final = frozenset({REASON_UNKNOWN_ORDER, REASON_POST_ONLY, REASON_FOK, REASON_DUPLICATE})
"""What comes in the ordinary course of trading: the market, or an answer on its way, was faster."""
_SHOWN_OTHERWISE: Final = frozenset({REASON_HALTED, REASON_DISCONNECTED, REASON_LIQUIDATION})
"""States with a warning of their own."""
_MINUTE_NS: Final = 60_000_000_000

_log = structlog.get_logger("hftd.orders")

Key = tuple[str, str, int, int]


class Counters(msgspec.Struct):
    """What order management counts.

    Attributes:
        repeated_executions: Came again, and were not counted again.
        old_executions: Of before what is remembered, and not counted.
        missed_executions: Found by reconciliations only.
        written_off_lots: Executed, as the exchange says, but it tells no execution.
        untold_executions: Lots whose execution was missing when an order's end was told.
        foreign_reports: About orders that are not ours.
        late_outcomes: Of commands that had been given up.
        revived: Orders that were given up, and live.
        differences: Positions that were not what was expected.
        unheard_requests: Of bots that are not attached.
        not_flattened: Positions that could not be closed at once when their bot's end asked for it.
        forced_closes: Parts of bots' positions that the exchange closed by itself.
        missed_markouts: Executions' markouts that are not known: the book was not valid, or it was too late.
        refused: BotRequests refused here, by their reason.
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
    forced_closes: int = 0
    missed_markouts: int = 0
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
    balances: list[status.Balance]
    limits: list[status.Used]
    foreign_orders: int
    counters: dict[str, int]
    refusals: list[status.Refusal]
    profits: list[status.Profit]
    days: list[status.Profit]


class Kind:
    """One kind of refusal.

    Attributes:
        words: The exchange's, of the last one; empty for a refusal of the connector's own.
        hint: What a person can do.
        count: How many there were.
        last_ns: When the last one came, on the clock of order management.
        written: How many of them the journal has; of the connector's own.
        written_ns: Since when it has.
    """

    __slots__ = ("count", "hint", "last_ns", "words", "written", "written_ns")

    def __init__(self) -> None:
        self.words = ""
        self.hint = ""
        self.count = 0
        self.last_ns = 0
        self.written = 0
        self.written_ns = 0


class Refusals:
    """What was refused, by whom and in which words."""

    def __init__(self) -> None:
        self.on_counted: Callable[[str, int], None] = lambda _bot, _now_ns: None
        """Told of each refusal of a new order or a change that counts for `max_refusals_per_min`."""
        self.kinds: dict[Key, Kind] = {}
        self._unwritten: dict[Key, Kind] = {}
        self.write_ns = NEVER
        """When `to_write` has something."""
        self._minute = -1
        self._logged = 0
        self._unlogged = 0

    def note(
        self, bot: str, symbol: str, reason: int, now_ns: int, *, order_id: int, what: str, outcome: Outcome
    ) -> None:
        """The exchange, or the way there, refused something.

        Args:
            bot: Whose request it was.
            symbol: The instrument.
            reason: A REASON_*.
            now_ns: Now.
            order_id: The order's.
            what: "new", "modify", "cancel" or "query".
            outcome: With the exchange's words.
        """
        kind, is_new = self._kind((bot, symbol, reason, outcome.code), now_ns)
        kind.words = outcome.message
        kind.hint = outcome.hint
        if not is_new and not self._may_log(now_ns):
            return
        _log.log(
            20 if reason in ORDINARY else 30,
            "order_refused",
            bot=bot,
            symbol=symbol,
            order_id=order_id,
            what=what,
            reason=reason_name(reason),
            code=outcome.code,
            words=outcome.message,
            **({"hint": outcome.hint} if outcome.hint else {}),
        )

    def note_own(self, bot: str, symbol: str, reason: int, now_ns: int) -> None:
        """The connector itself refused a request: by a limit, a filter, a halt."""
        key = bot, symbol, reason, 0
        kind, _ = self._kind(key, now_ns)
        if self.kinds.get(key) is kind:
            self._unwritten[key] = kind
            self.write_ns = min(self.write_ns, kind.written_ns + _MINUTE_NS if kind.written else now_ns)
        if REASON_LIMIT_QTY <= reason <= REASON_LIMIT_PRICE:
            self.on_counted(bot, now_ns)

    def to_write(self, now_ns: int) -> Iterator[tuple[str, str, int, int]]:
        """What the journal is to have of the connector's own refusals: bot, instrument, reason, and how many more."""
        waiting, self._unwritten, self.write_ns = self._unwritten, {}, NEVER
        for key, kind in waiting.items():
            due_ns = kind.written_ns + _MINUTE_NS if kind.written else now_ns
            if due_ns > now_ns:
                self._unwritten[key] = kind
                self.write_ns = min(self.write_ns, due_ns)
                continue
            yield *key[:3], kind.count - kind.written
            kind.written, kind.written_ns = kind.count, now_ns

    def _kind(self, key: Key, now_ns: int) -> tuple[Kind, bool]:
        kind = self.kinds.get(key)
        is_new = kind is None
        if kind is None:
            if len(self.kinds) >= KINDS_MAX:
                key, is_new = ("", "", 0, 0), ("", "", 0, 0) not in self.kinds
            kind = self.kinds.setdefault(key, Kind())
        kind.count += 1
        kind.last_ns = now_ns
        return kind, is_new

    def _may_log(self, now_ns: int) -> bool:
        minute = now_ns // _MINUTE_NS
        if minute != self._minute:
            if self._unlogged:
                _log.warning("refusals_not_logged", count=self._unlogged)
            self._minute, self._logged, self._unlogged = minute, 0, 0
        if self._logged >= LOGGED_A_MINUTE:
            self._unlogged += 1
            return False
        self._logged += 1
        return True

    def last_words(self, bot: str, symbol: str, reason: int) -> str:
        """The last refusal of a bot's order for that reason, in the exchange's words if there are any."""
        last: Kind | None = None
        for (owner, where, why, _), kind in self.kinds.items():
            if owner == bot and where == symbol and why == reason and kind.words:
                if last is None or kind.last_ns >= last.last_ns:
                    last = kind
        return f"{reason_name(reason)}: {last.words}" if last else reason_name(reason)

    def shown(self, now_ns: int) -> list[status.Refusal]:
        """For `hftd status`, the last ones first."""
        found = sorted(self.kinds.items(), key=lambda item: -item[1].last_ns)
        return [
            status.Refusal(
                bot=bot,
                symbol=symbol,
                reason=reason,
                name=reason_name(reason) if bot else "further kinds",
                code=code,
                words=kind.words,
                hint=kind.hint,
                count=kind.count,
                age_ns=now_ns - kind.last_ns,
            )
            for (bot, symbol, reason, code), kind in found
        ]

    def warnings(self, now_ns: int) -> Iterator[Warn]:
        """Bots that are being refused what they ask for."""
        for (bot, symbol, reason, code), kind in self.kinds.items():
            if (
                now_ns - kind.last_ns > RECENT_NS
                or reason in ORDINARY
                or reason in _SHOWN_OTHERWISE
                or not bot
            ):
                continue
            name = reason_name(reason)
            if REASON_LIMIT_QTY <= reason <= REASON_LIMIT_PRICE:
                yield Warn(
                    "limit_reached",
                    f"{bot}: {symbol}: {kind.count:,} orders were refused by a limit of the connector, {name}: "
                    "is the limit right, or does the bot run away?",
                    f"{bot} {symbol} {name}",
                )
                continue
            who = "the exchange" if code else "the connector"
            words = f": {kind.words}" if kind.words else ""
            hint = f"; {kind.hint}" if kind.hint else ""
            yield Warn(
                "orders_refused",
                f"{bot}: {symbol}: {who} refused {kind.count:,} requests, {name}{words}{hint}",
                f"{bot} {symbol} {code or name}",
            )


def take_snapshot(
    store: "Store",
    commands: "Commands",
    requests: "BotRequests",
    counters: Counters,
    refusals: Refusals,
    money: "Money",
    now_ns: int,
) -> Snapshot:
    """What is known now."""
    money.refresh(now_ns)
    bots = [
        _bot(store, bot, money, now_ns)
        for bot in store.bots.values()
        if bot.is_attached
        or bot.alive
        or bot.row.is_ending
        or bot.forced
        or bot.halt_reason
        or _holds(store, bot.name)
    ]
    counted = {
        name: value for name, value in msgspec.structs.asdict(counters).items() if isinstance(value, int)
    }
    counted |= {f"refused_{reason}": count for reason, count in sorted(counters.refused.items())}
    counted |= {
        "orders_sent": store.orders_sent,
        "orders_remembered": len(store.orders),
        "executions_remembered": len(store.trades),
        "in_flight": len(commands.in_flight),
        "queries": commands.queries,
        "outcome_timeouts": commands.timeouts,
        "journal_bytes": store.journal.size if store.journal else 0,
    }
    if store.wallet.purses:
        counted |= {
            "balance_differences": store.wallet.differences,
            "balance_transfers": store.wallet.transfers,
        }
    limits = [
        status.Used(name="open orders", used=len(store.alive), limit=requests.limits.max_open_orders),
        status.Used(
            name="orders a second",
            used=requests.order_rate.used(now_ns),
            limit=requests.limits.max_orders_per_s or 0.0,
        ),
        *money.used("", requests.limits, now_ns),
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
        balances=_balances(store),
        limits=limits,
        foreign_orders=counters.foreign_orders,
        counters=counted,
        refusals=refusals.shown(now_ns),
        profits=money.profits(""),
        days=money.days(),
    )


def _balances(store: "Store") -> list[status.Balance]:
    """What the account has, by asset; of assets that it has nothing of, none."""
    found = sorted((asset, purse) for asset, purse in store.wallet.purses.items() if purse.total)
    return [
        status.Balance(
            asset=asset,
            total=float(purse.total),
            free=float(purse.free),
            locked=float(purse.total - purse.free),
        )
        for asset, purse in found[:MAX_BALANCES_SHOWN]
    ]


def _holds(store: "Store", name: str) -> bool:
    return any(name in one.books and one.books[name].position_lots for one in store.ledgers.values())


def _bot(store: "Store", bot: "Bot", money: "Money", now_ns: int) -> status.Bot:
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
                used=bot.order_rate.used(now_ns),
                limit=bot.limits.max_orders_per_s or 0.0,
            ),
            *money.used(bot.name, bot.limits, now_ns),
        ],
        halt_reason=bot.halt_reason,
        profits=money.profits(bot.name),
        requests=bot.requests,
        updates=bot.updates,
        refused=bot.refused,
        fills=bot.fills,
        outcomes=dict(bot.outcomes),
        latencies=list(bot.latencies.told()),
        markouts=list(bot.markouts.told()),
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
        age_ns=now_ns - order.submitted_ns,
    )


def _under_way(order: "Order") -> str:
    if order.is_unsure:
        return "unknown"
    if order.cancel_wanted:
        return "cancel"
    if order.modify is not None:
        return "modify"
    return "new" if order.is_submitting else ""


def is_stuck(flattening: "Flattening", now_ns: int) -> bool:
    """Whether a position that is to be closed needs a person."""
    return flattening.is_void or flattening.tries > 0 or now_ns - flattening.since_ns >= STUCK_NS


def whose(ledger: "Ledger", bot: str = "") -> str:
    """Whose an instrument's position is; `bot` need not be named."""
    held = [
        f"the bot {name} {ledger.qty(book.position_lots):+g}"
        for name, book in ledger.books.items()
        if book.position_lots and name != bot
    ]
    if ledger.other_lots:
        held.append(f"no bot {ledger.qty(ledger.other_lots):+g}")
    others = f"; {', '.join(held)}" if held else ""
    return f"it holds {ledger.qty(ledger.account_lots):g}{others}"


def warnings_of(store: "Store", refusals: Refusals, policy: str, now_ns: int) -> Iterator[Warn]:
    """What of order management needs a person.

    Args:
        store: What is known.
        refusals: What was refused.
        policy: `on_forced_close`.
        now_ns: Now, on the clock of order management.
    """
    if store.halt_reason:
        yield Warn("halted", f"halted, no orders are taken: {store.halt_reason}; go on by `hftd resume`")
    journal = store.journal
    if journal is not None and journal.is_broken:
        yield Warn(
            "journal_broken",
            f"the journal {journal.path} can't be written, so no orders are taken: make room on its disk, then "
            "`hftd resume`",
        )
    elif journal is not None:
        yield from journal.troubles.warnings()
    for bot in store.bots.values():
        yield from _warnings_of_bot(store, bot, policy, now_ns)
    for ledger in store.ledgers.values():
        yield from _warnings_of_ledger(store, ledger)
    yield from _warnings_of_orders(store, now_ns)
    yield from refusals.warnings(now_ns)
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
    for client_id in store.off_grid:
        order = store.orders[client_id]
        yield Warn(
            "off_grid_order",
            f"{order.symbol}: the order {client_id} of {order.bot!r} has a price on no tick of today's; it is shown at "
            "the nearest one",
            client_id,
        )
    if store.gaps:
        yield Warn(
            "executions_missing",
            f"executions of {len(store.gaps)} orders are missing; they are asked for",
            after_s=2.0,
        )


def _warnings_of_bot(store: "Store", bot: "Bot", policy: str, now_ns: int) -> Iterator[Warn]:
    name = bot.name
    if bot.halt_reason:
        yield Warn(
            "bot_halted",
            f"{name} is halted, its orders are refused: {bot.halt_reason}; look, then go on by `hftd resume`",
            name,
        )
    for symbol, row in bot.forced.items():
        what = "bought" if row.side == BUY else "sold"
        follows = {
            "tell": "it may go on",
            "refuse": "its new orders there are refused unless they only reduce its position",
            "halt": "all is halted",
        }[policy]
        qty = f"{store.ledgers[symbol].qty(row.qty_lots):g}" if symbol in store.ledgers else "a part"
        yield Warn(
            "forced_close",
            f"{name}: the exchange closed a part of its position in {symbol}, {what} {qty} last "
            f"({row.client_id or 'without an execution'}): {follows}; look, then `hftd resume`",
            f"{name} {symbol}",
        )
    is_closing = bot.row.is_ending or (bot.row.on_end == "flatten" and store.is_limited(bot))
    if bot.is_attached and not is_closing:
        return
    if not bot.is_attached and bot.alive and not bot.row.is_ending:
        kept = [order for order in bot.alive.values() if not order.cancel_wanted]
        if kept:
            yield Warn(
                "orders_without_bot",
                f"{name} is away and {len(kept)} of its orders are open: start it again, or cancel them by `hftd halt`",
                name,
            )
    for symbol, ledger in store.ledgers.items():
        book = ledger.books.get(name)
        if book is None or not book.position_lots:
            continue
        position = f"{ledger.qty(book.position_lots):g}"
        flattening = bot.flattening.get(symbol)
        if not is_closing:
            yield Warn(
                "position_without_bot",
                f"{name} is away and holds {position} {symbol}: start it again, or close it by hand",
                f"{name} {symbol}",
            )
        elif flattening is not None and is_stuck(flattening, now_ns):
            age_s = (now_ns - flattening.since_ns) // 1_000_000_000
            why = flattening.why or "its orders are not finished"
            next_ns = flattening.due_ns - now_ns
            again = f"; again in {next_ns / 1e9:.0f} s" if next_ns > 0 and not flattening.is_void else ""
            yield Warn(
                "not_flattened",
                f"{name}: its position of {position} {symbol} is to be closed and is not, for {age_s} s: {why}{again}",
                f"{name} {symbol}",
            )


def _warnings_of_ledger(store: "Store", ledger: "Ledger") -> Iterator[Warn]:
    for asset, fee in ledger.foreign_fees.items():
        yield Warn(
            "fees_in_other_asset",
            f"{ledger.symbol}: fees of {fee:g} {asset} are not in its bots' fees{_valued(ledger, asset)}",
            f"{ledger.symbol} {asset}",
        )
    if not ledger.other_lots:
        return
    held = sum(book.position_lots for book in ledger.books.values())
    if held or any(book.position_lots or store.bots[name].is_attached for name, book in ledger.books.items()):
        yield Warn(
            "position_differs",
            f"{ledger.symbol}: the account holds {ledger.qty(ledger.account_lots):g}, its bots "
            f"{ledger.qty(held):g} together: {ledger.qty(ledger.other_lots):+g} are no bot's, but somebody else's "
            "or of before",
            ledger.symbol,
        )


def _valued(ledger: "Ledger", asset: str) -> str:
    if ledger.wallet is None:
        return ""
    return (
        f": {asset} had no valid book in {ledger.settles_in} here; follow {asset}{ledger.settles_in} (`symbols`) to "
        "have them counted by their value"
    )


def _warnings_of_orders(store: "Store", now_ns: int) -> Iterator[Warn]:
    unsure = [one for one in store.alive.values() if one.is_unsure and now_ns - _asked_ns(one) >= UNKNOWN_NS]
    if unsure:
        oldest_s = max(now_ns - _asked_ns(one) for one in unsure) // 1_000_000_000
        named = ", ".join(f"{one.symbol} {one.client_id}" for one in unsure[:3])
        yield Warn(
            "outcomes_unknown",
            f"what became of {len(unsure)} requests is not known for up to {oldest_s} s; it is asked for: {named}",
        )
    staying = [
        one
        for one in store.alive.values()
        if one.cancel_wanted and one.cancel_tries > 1 and not one.is_unsure
    ]
    if staying:
        named = ", ".join(f"{one.symbol} {one.client_id}" for one in staying[:3])
        yield Warn(
            "orders_not_cancelled",
            f"{len(staying)} orders are to be cancelled and are still open; it is tried again: {named}",
            after_s=UNKNOWN_NS / 1e9,
        )


def _asked_ns(order: "Order") -> int:
    return order.modify.sent_ns if order.modify is not None else order.submitted_ns
