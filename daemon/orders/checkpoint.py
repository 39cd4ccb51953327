"""What order management knows, as rows with which a journal's next file begins.

It is taken piece by piece, between which orders and executions go on. That is right since a row is the whole of a thing
as it is, and since what is written from the first piece on follows the last one in the file: whatever a piece has too
old or too new is brought to the same by the rows of that time. What can't be told apart so is in one piece, the last.
"""

from collections.abc import Iterable, Iterator
from itertools import chain, islice
from typing import TYPE_CHECKING

import msgspec

from daemon.orders.journal import ROWS_A_RECORD, Forgotten, Halt, Row, Steps
from daemon.orders.order import Order

if TYPE_CHECKING:
    from daemon.orders.positions import Ledger
    from daemon.orders.state import Store


def checkpoint(store: "Store") -> Iterator[list[Row]]:
    """All that is known, in pieces.

    Closed orders are in it as long as order management remembers them (`state.REMEMBER_NS`), and executions as far as
    they are known by their ids (`positions.MAX_TRADES`).
    """
    waiting = [row for rows in store.waiting.values() for row in rows if isinstance(row, Order)]
    rows = chain(store.trades.rows(), store.money.days.rows(), waiting, list(store.orders.values()))
    while piece := list[Row](islice(rows, ROWS_A_RECORD)):
        yield piece
    yield list(_rest(store))


def _rest(store: "Store") -> Iterable[Row]:
    begin = store.run_row()
    for identity in sorted(store.own - {0, begin.identity}):
        yield msgspec.structs.replace(begin, run=0, identity=identity)
    yield begin
    yield Forgotten(store.forgotten_ts, store.trades.forgotten(), store.money.forgotten_ns)
    if store.halt_reason:
        yield Halt(store.halt_reason, ends=store.halt_ends)
    yield from store.money.rows()
    for bot in store.bots.values():
        yield bot.row
        if bot.halt_reason:
            yield Halt(bot.halt_reason, bot.name)
        yield from bot.forced.values()
    for symbol, ledger in store.ledgers.items():
        if symbol not in store.unfit and (ledger.books or ledger.other_lots or symbol in store.steps):
            yield steps_of(ledger)
            yield from ledger.books.values()
    for symbol in {**store.waiting, **store.steps}:
        # What is set aside, in the steps in which it was written.
        if symbol not in store.ledgers or symbol in store.unfit:
            if symbol in store.steps:
                yield store.steps[symbol]
            yield from (row for row in store.waiting.get(symbol, ()) if not isinstance(row, Order))


def steps_of(ledger: "Ledger") -> Steps:
    """In which steps an instrument's rows are."""
    instrument = ledger.instrument
    return Steps(
        ledger.symbol,
        str(instrument.tick_size),
        str(instrument.lot_size),
        ledger.other_lots,
        ledger.has_holding,
        ledger.unsettled_ns,
        instrument.base,
        instrument.quote,
        instrument.contract_size,
        instrument.inverse,
        instrument.is_spot,
    )
