"""A spot account's truth in the words of contracts, and its balances.

An order that took the place of another one is one with it, and what the base has changed by is a position. Fees may be
taken in the base: `Truth` takes them from a bot's position, and counts them by their value.
"""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from daemon.orders.manager import OrderManager
from hftd.control.status import Balance
from tests.soak.books import MONEY, Faults, Truth

UNIT = Decimal("1e-8")


def as_one(raw: dict[str, Any]) -> None:
    """The orders of one client id, of which each took the place of the one before, become the last of them.

    What those before executed is added to its quantity and to what it executed; their executions are its own.
    """
    lives: dict[str, list[dict[str, Any]]] = {}
    for order in raw["orders"]:
        lives.setdefault(order["client_id"], []).append(order)
    now = {}
    raw["orders"] = [_merged(orders) for orders in lives.values()]
    for orders in lives.values():
        open_ones = [one for one in orders if one["status"] in ("NEW", "PARTIALLY_FILLED")]
        assert open_ones in ([], [orders[-1]]), f"two orders of one client id are open: {open_ones}"
        now |= {one["order_id"]: orders[-1]["order_id"] for one in orders}
    for trade in raw["trades"]:
        trade["order_id"] = now[trade["order_id"]]


def _merged(orders: list[dict[str, Any]]) -> dict[str, Any]:
    *former, last = orders
    if not former:
        return last
    merged = dict(last)
    for lots, qty in (("lots", "qty"), ("executed_lots", "executed_qty")):
        merged[lots] = last[lots] + sum(one["executed_lots"] for one in former)
        merged[qty] = f"{Decimal(last[qty]) + sum(Decimal(one['executed_qty']) for one in former):f}"
    return merged


def add_positions(raw: dict[str, Any], bases: Mapping[str, str], lot: Decimal) -> None:
    """What each base has changed by since the beginning; in lots it is the nearest number of them.

    Args:
        raw: The truth; it gets `positions`.
        bases: By symbol.
        lot: The quantity's step.
    """
    wallets = {one["asset"]: one for one in raw["wallets"]}
    raw["positions"] = []
    for symbol, base in bases.items():
        if base not in wallets:
            # An instrument that this exchange does not have.
            continue
        qty = (wallets[base]["balance"] - wallets[base]["start_balance"]) * UNIT
        raw["positions"].append({"symbol": symbol, "qty": f"{qty:f}", "lots": round(qty / lot)})


def compare_balances(faults: Faults, truth: Truth, manager: OrderManager, whose: str) -> None:
    """What the account has of each asset, and what of it is locked, to the last unit."""
    store = manager.store
    purses = store.wallet.purses
    # Executions that do not fit today's lots are set aside: nothing is concluded about what they changed.
    instruments = [store.ledgers[symbol].instrument for symbol in store.unfit if symbol in store.ledgers]
    open_to_doubt = {asset for one in instruments for asset in (one.base, one.quote)}
    for one in truth.raw["wallets"]:
        name, purse = f"{whose}: the balance of {one['asset']}", purses.get(one["asset"])
        if purse is None:
            faults.say(f"{name} is not known")
            continue
        # What is locked is said, whatever is there.
        faults.expect(name, purse.total * int(MONEY), max(one["balance"], one["reserved"]))
        faults.expect(f"{name}, locked", (purse.ours + purse.others) * int(MONEY), one["reserved"])
        if one["asset"] not in open_to_doubt:
            faults.expect(f"{name} differs since", purse.differs_since_ns, 0)


def compare_shown(faults: Faults, truth: Truth, shown: Sequence[Balance]) -> None:
    """The same of what `hftd status` shows, as near as its numbers can be."""
    found = {one.asset: one for one in shown}
    for one in truth.raw["wallets"]:
        name = f"status: the balance of {one['asset']}"
        told = found.get(one["asset"]) or Balance(asset=one["asset"], total=0.0, free=0.0)
        faults.near(name, told.total, max(one["balance"], one["reserved"]) / MONEY, 2e-8)
        faults.near(f"{name}, locked", told.locked, one["reserved"] / MONEY, 2e-8)


def compare_foreign_fees(faults: Faults, truth: Truth, manager: OrderManager, whose: str) -> None:
    """What each bot paid in an asset that is neither base nor quote, to the last unit."""
    for symbol in truth.bases:
        ledger = manager.store.ledgers.get(symbol)
        for name in truth.bots:
            book = ledger.books.get(name) if ledger is not None else None
            known = {asset: round(fee * MONEY) for asset, fee in (book.other_fees if book else {}).items()}
            paid = {
                asset: round(fee * MONEY) for asset, fee in truth.total(name, symbol).foreign_fees.items()
            }
            faults.expect(f"{whose}: bot {name}, {symbol}, fees in other assets", known, paid)
