"""What executions, payments and midnights make of a bot's book: its profit and where its day began."""

from typing import TYPE_CHECKING

from daemon.orders.money.profit import DAY_NS, Profit, Start, closed_part
from hftd.constants import INVALID_MAX, INVALID_MIN

if TYPE_CHECKING:
    from daemon.orders.positions import BotBook, Ledger


def worth(ledger: "Ledger", lots: float, price: float) -> float:
    """A position's value in what the instrument settles in; below 0 if it is short."""
    qty = ledger.contract_size * lots * ledger.lot_num / ledger.lot_den
    if not ledger.inverse:
        return qty * price
    return qty / price if price > 0.0 else 0.0


def middle(ledger: "Ledger") -> float:
    """The middle between the best prices; 0 unless the book is valid and has both."""
    bid, ask = ledger.best_bid_tick, ledger.best_ask_tick
    if not ledger.is_book_valid or bid in (0, INVALID_MIN) or ask in (0, INVALID_MAX):
        return 0.0
    return (bid + ask) * ledger.tick_num / (2 * ledger.tick_den)


def held_lots(ledger: "Ledger", book: "BotBook") -> float:
    """A bot's position, parts of a lot included."""
    if not book.dust:
        return book.position_lots
    return book.position_lots + float(book.dust) * ledger.lot_den / ledger.lot_num


def executed(
    ledger: "Ledger", book: "BotBook", held: float, change: float, amount: float, price: float, exch_ns: int
) -> None:
    """An execution: its part of the profit.

    Args:
        ledger: The instrument.
        book: The bot's book; its position may be the new one already.
        held: Its position before it, in lots.
        change: By how much it changes.
        amount: What it is worth, above 0.
        price: At which.
        exch_ns: When, by the exchange's clock.
    """
    sign = -1 if ledger.inverse else 1
    if book.cost is None:
        # Of a journal of before costs were kept: what was held counts from here.
        book.cost = worth(ledger, held, price)
    day = exch_ns // DAY_NS
    start = _start(book, held, day)
    book.cost, realised = closed_part(book.cost, held, change, amount, sign)
    book.realised += realised
    if 0 < day < start.day:
        before = _unrealised_at(ledger, start)
        cost = worth(ledger, start.lots, price) if start.cost is None else start.cost
        start.cost, realised = closed_part(cost, start.lots, change, amount, sign)
        start.lots += change
        start.realised += realised
        ledger.days.add(day, book.bot, ledger.settles_in, realised=realised)
        if start.mark:
            more = _unrealised_at(ledger, start) - before
            last = start.prior_day or start.day - 1
            ledger.days.add(last, book.bot, ledger.settles_in, unrealised=more)


def paid_fee(ledger: "Ledger", book: "BotBook", fee: float, exch_ns: int) -> None:
    """A fee, in what the instrument settles in."""
    start = _start(book, held_lots(ledger, book))
    book.fee += fee
    day = exch_ns // DAY_NS
    if 0 < day < start.day:
        start.fee += fee
        ledger.days.add(day, book.bot, ledger.settles_in, fee=fee)


def funded(ledger: "Ledger", book: "BotBook", amount: float, exch_ns: int) -> None:
    """A payment for holding the position: above 0 if it was received."""
    start = _start(book, held_lots(ledger, book))
    book.funding += amount
    day = exch_ns // DAY_NS
    if 0 < day < start.day:
        start.funding += amount
        ledger.days.add(day, book.bot, ledger.settles_in, funding=amount)


def _start(book: "BotBook", held: float, day: int = 0) -> Start:
    """How the day began; of a book that is new, as it is now."""
    if book.start is None:
        book.start = Start(day, book.realised, book.fee, book.funding, held, book.cost)
    return book.start


def _unrealised_at(ledger: "Ledger", start: Start) -> float:
    if not start.lots or not start.mark or start.cost is None:
        return 0.0
    value = worth(ledger, start.lots, start.mark) - start.cost
    return -value if ledger.inverse else value


def unrealised(ledger: "Ledger", book: "BotBook") -> float:
    """What a bot's position is worth at the mark above its cost; 0 if either is not known."""
    held = held_lots(ledger, book)
    if not held or not ledger.mark or book.cost is None:
        return 0.0
    value = worth(ledger, held, ledger.mark) - book.cost
    return -value if ledger.inverse else value


def today(ledger: "Ledger", book: "BotBook") -> Profit:
    """What a bot has earned in an instrument since the day began."""
    start = _start(book, held_lots(ledger, book))
    if start.lots and not start.mark:
        # What the day began with is not known: the value has not changed.
        change = 0.0
    else:
        change = unrealised(ledger, book) - _unrealised_at(ledger, start)
    return Profit(book.realised - start.realised, change, book.fee - start.fee, book.funding - start.funding)


def in_all(ledger: "Ledger", book: "BotBook") -> Profit:
    """What a bot has earned in an instrument since its book began."""
    return Profit(book.realised, unrealised(ledger, book), book.fee, book.funding)


def roll(ledger: "Ledger", book: "BotBook", day: int) -> bool:
    """Begin a day if it is a new one, and value what is held as soon as there is a mark; whether anything changed."""
    start = book.start
    if start is not None and start.day >= day and (start.mark or not start.lots):
        return False
    held = held_lots(ledger, book)
    if book.cost is None and (ledger.mark or not held):
        book.cost = worth(ledger, held, ledger.mark)
    start = _start(book, held)
    is_new = start.day < day
    if is_new and start.day:
        start = book.start = _next(ledger, book, start, day, held)
    elif is_new:
        # Nothing is known of before: the day began with it.
        start.day = day
    has_value = bool(start.lots and ledger.mark and not start.mark)
    if has_value:
        start.mark = ledger.mark
        if start.cost is None:
            start.cost = worth(ledger, start.lots, ledger.mark)
    if has_value or (is_new and not start.lots):
        # The day before is closed with this value.
        more = _unrealised_at(ledger, start) - start.prior
        start.prior = 0.0
        if more and start.prior_day:
            ledger.days.add(start.prior_day, book.bot, ledger.settles_in, unrealised=more)
    return is_new or has_value


def _next(ledger: "Ledger", book: "BotBook", start: Start, day: int, held: float) -> Start:
    """Close a day, but for what its position is worth at its end, and begin the next."""
    ledger.days.add(
        start.day,
        book.bot,
        ledger.settles_in,
        realised=book.realised - start.realised,
        fee=book.fee - start.fee,
        funding=book.funding - start.funding,
    )
    prior = _unrealised_at(ledger, start) if start.mark or not start.lots else start.prior
    return Start(day, book.realised, book.fee, book.funding, held, book.cost, 0.0, prior, start.day)


def ended(ledger: "Ledger", book: "BotBook") -> Profit:
    """A book is forgotten: its day is kept. Returns what it had earned in all."""
    profit = today(ledger, book)
    if book.start is not None and book.start.day:
        ledger.days.add(
            book.start.day,
            book.bot,
            ledger.settles_in,
            realised=profit.realised,
            unrealised=profit.unrealised,
            fee=profit.fee,
            funding=profit.funding,
        )
    return in_all(ledger, book)
