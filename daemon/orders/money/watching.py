"""Watches what bots and the account lose, and says when a limit is reached; halting is its owner's (`manager.py`).

Limits are on amounts (`max_day_loss`, `max_drawdown`), each in the asset that is won or lost, and on counts in a minute
(`max_refusals_per_min`, `max_unknown_per_min`). The account's profit is that of all of its bots, those that are
gone included, and funding of which it is not known for what it is; what somebody trades by hand, and its funding, is in
nobody's.

Amounts are judged after each execution, before anything that follows from it leaves, and each `LOOK_NS`. A position
is valued at the middle of its book, or for `UNMARKED_NS` at the last valid one. Then, and after a restart until the
account was compared with the exchange's, its value is not known: nothing is judged, and whoever has a limit on amounts
may send nothing but what reduces a position (`Bot.is_blind`).

Limits: as many times as the limit on counts says are kept for each owner.
"""

import math
from collections import deque
from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Final

import msgspec

from daemon.messages import Funding
from daemon.orders.money import earning
from daemon.orders.money.kept import APART_NS
from daemon.orders.money.profit import DAY_NS, Funded, Profit, Watch
from daemon.warnings import Warn
from hftd.control import status
from hftd.errors import RefusedError

if TYPE_CHECKING:
    from daemon.orders.limits import AccountLimits, BotLimits
    from daemon.orders.positions import Ledger
    from daemon.orders.snapshot import Counters
    from daemon.orders.state import Store

LOOK_NS: Final = 100_000_000
IDLE_NS: Final = 1_000_000_000
"""Between two looks where nobody has a limit on amounts."""
UNMARKED_NS: Final = 10_000_000_000
MINUTE_NS: Final = 60_000_000_000
NEAR: Final = 0.8
"""A limit of which so much is used is a warning."""
STEPS: Final = 1000
"""A peak is kept in steps of this part of the limit, so that not each tick of a rise is written."""
DAYS_SHOWN: Final = 7
ACCOUNT: Final = ""
"""The owner of the account's limits."""
NOBODY: Final = "-"
"""Whose funding is that was paid for what of a position is no bot's; it is in nobody's profit."""


class Breach(msgspec.Struct, frozen=True):
    """A limit is reached: whose, and which, for people."""

    owner: str
    words: str


class _Owner(msgspec.Struct):
    """What an owner has earned, by asset, when it was last looked at.

    Attributes:
        today: Since the day began.
        in_all: Since its books began.
        unvalued: A symbol whose position has no value; empty if all have.
    """

    today: dict[str, Profit] = {}
    in_all: dict[str, float] = {}
    unvalued: str = ""


class Money:
    """See the module.

    Args:
        store: What is known.
        limits: The account's.
        counters: To know whether the account was compared with the exchange's.
    """

    def __init__(self, store: "Store", limits: "AccountLimits", counters: "Counters") -> None:
        self._store = store
        self._kept = store.money
        self._limits = limits
        self._counters = counters
        self._bots: dict[str, _Owner] = {}
        self._ledgers: dict[str, dict[str, Ledger]] = {}
        self._times: dict[tuple[str, str], deque[int]] = {}
        self._counted: list[Breach] = []
        self._due_ns = 0
        self.day = 0

    # --- Looking --------------------------------------------------------------------------------------------------

    def check(self, limits: "BotLimits", ledgers: "Sequence[Ledger]") -> None:
        """Refuse a bot whose losses would have no limit though there are limits on losses.

        Raises:
            RefusedError: An instrument settles in an asset that a limit does not name.
        """
        for ledger in ledgers:
            for table, owner in (("[limits]", self._limits), ("the bot's limits", limits)):
                for key in ("max_day_loss", "max_drawdown"):
                    limit: float | dict[str, float] | None = getattr(owner, key)
                    if isinstance(limit, dict) and ledger.settles_in not in limit:
                        asset = ledger.settles_in
                        raise RefusedError(
                            f"{ledger.symbol} settles in {asset}, for which `{key}` of {table} says nothing",
                            hint=f"add {asset} = ... to it in the connector's configuration",
                        )

    def failed(self) -> list[Breach]:
        """Profits could not be computed: with a limit on losses nobody may trade on."""
        bots = self._store.bots.values()
        if self._has_amounts(self._limits) or any(self._has_amounts(bot.limits) for bot in bots):
            return [
                Breach(ACCOUNT, "what was lost can't be computed: the log has the trace; please report it")
            ]
        return []

    def is_due(self, now_ns: int) -> bool:
        """Whether it is time for `look`."""
        return now_ns >= self._due_ns

    def look(self, now_ns: int) -> list[Breach]:
        """Value all positions, begin a new day if it is one; the limits that are reached."""
        store = self._store
        self.day = max(self.day, store.to_exchange(now_ns) // DAY_NS)
        self._ledgers = {}
        for ledger in store.ledgers.values():
            if not ledger.books:
                continue
            _mark(ledger, now_ns)
            for name, book in ledger.books.items():
                if not (book.num_trades or book.position_lots):
                    # There is nothing to it yet.
                    continue
                self._ledgers.setdefault(name, {})[ledger.symbol] = ledger
                if earning.roll(ledger, book, self.day):
                    store.book_changed(book)
        bots = store.bots.values()
        if not self._has_amounts(self._limits) and not any(self._has_amounts(bot.limits) for bot in bots):
            self._due_ns = now_ns + IDLE_NS
            return self._take_counted()
        self._due_ns = now_ns + LOOK_NS
        self._bots = {name: self._see(name, now_ns) for name in self._ledgers}
        return self._judge(store.bots)

    @property
    def has_news(self) -> bool:
        """Whether there is something to judge at once."""
        return bool(self._counted) or bool(self._store.changed_books)

    def judge(self, now_ns: int) -> list[Breach]:
        """Executions and payments were counted, or refusals: the limits that are reached by them."""
        store = self._store
        if not self.day:
            return self.look(now_ns)
        names: set[str] = set()
        for name, symbol in store.changed_books:
            bot = store.bots.get(name)
            if self._has_amounts(self._limits) or (bot is not None and self._has_amounts(bot.limits)):
                ledger = store.ledgers[symbol]
                self._ledgers.setdefault(name, {})[symbol] = ledger
                _mark(ledger, now_ns)
                names.add(name)
        for name in names:
            self._bots[name] = self._see(name, now_ns)
        return self._judge(names) if names else self._take_counted()

    def _see(self, name: str, now_ns: int) -> _Owner:
        seen = _Owner()
        for symbol, ledger in self._ledgers.get(name, {}).items():
            book = ledger.books.get(name)
            if book is None:
                continue
            asset = ledger.settles_in
            seen.today.setdefault(asset, Profit()).add(earning.today(ledger, book))
            seen.in_all[asset] = seen.in_all.get(asset, 0.0) + earning.in_all(ledger, book).total
            is_held = book.position_lots or book.dust
            if is_held and (not ledger.mark or now_ns - ledger.marked_ns > UNMARKED_NS):
                seen.unvalued = symbol
        for row in self._kept.days.of(self.day):
            if row.bot == name:
                seen.today.setdefault(row.asset, Profit()).add(row)
        return seen

    def account(self) -> _Owner:
        """The account's, of what the bots' was when they were last looked at."""
        account = _Owner()
        for seen in self._bots.values():
            for asset, profit in seen.today.items():
                account.today.setdefault(asset, Profit()).add(profit)
            for asset, total in seen.in_all.items():
                account.in_all[asset] = account.in_all.get(asset, 0.0) + total
            account.unvalued = account.unvalued or seen.unvalued
        for row in self._kept.days.of(self.day):
            if row.bot not in self._bots and row.bot != NOBODY:
                account.today.setdefault(row.asset, Profit()).add(row)
        return account

    # --- Judging --------------------------------------------------------------------------------------------------

    @staticmethod
    def _has_amounts(limits: "BotLimits | AccountLimits") -> bool:
        return limits.max_day_loss is not None or limits.max_drawdown is not None

    @property
    def _is_compared(self) -> bool:
        """Whether what was executed while no connector ran is known."""
        return self._counters.reconciliations > 0 or not self._store.is_restored

    def _take_counted(self) -> list[Breach]:
        counted, self._counted = self._counted, []
        return counted

    def _judge(self, names: Collection[str]) -> list[Breach]:
        found = self._take_counted()
        is_compared = self._is_compared
        unvalued = ""
        if self._has_amounts(self._limits):
            account = self.account()
            unvalued = account.unvalued if is_compared else "the account"
            if not unvalued:
                found += self._reached(ACCOUNT, self._limits, account)
        for name, bot in self._store.bots.items():
            if name not in names:
                bot.is_blind = bot.is_blind or bool(unvalued)
                continue
            seen = self._bots.get(name) or _Owner()
            bot.is_blind = bool(unvalued)
            if self._has_amounts(bot.limits):
                if seen.unvalued or not is_compared:
                    bot.is_blind = True
                else:
                    found += self._reached(name, bot.limits, seen)
        # Bots first: what halts them stays their own where the account is halted as well.
        return sorted(found, key=lambda one: one.owner == ACCOUNT)

    def _reached(self, owner: str, limits: "BotLimits | AccountLimits", seen: _Owner) -> Iterator[Breach]:
        for asset, profit in seen.today.items():
            watch, total = self._kept.watch(owner, asset), seen.in_all.get(asset, 0.0)
            if not math.isfinite(profit.total + total):
                raise ArithmeticError(
                    f"the profit of {owner or 'the account'} is {profit} {asset}, {total} in all"
                )
            if watch.day == self.day and watch.base is None:
                # A halt was lifted.
                watch.base, watch.peak = profit.total, total
                self._kept.watch_changed(watch)
            limit = amount_of(limits.max_day_loss, asset)
            loss = self._loss(watch, profit)
            if limit and loss >= limit:
                yield Breach(
                    owner,
                    f"the day's loss of {loss:.8g} {asset} has reached the limit of {limit:g} (max_day_loss)",
                )
            limit = amount_of(limits.max_drawdown, asset)
            if not limit:
                continue
            # Where the limit is new, what was lost today counts.
            peak = total - profit.total if watch.peak is None else watch.peak
            if watch.peak is None or total > peak + limit / STEPS:
                peak = watch.peak = max(peak, total)
                self._kept.watch_changed(watch)
            if peak - total >= limit:
                yield Breach(
                    owner,
                    f"the drawdown of {peak - total:.8g} {asset} has reached the limit of {limit:g} "
                    "(max_drawdown)",
                )

    def _loss(self, watch: Watch, profit: Profit) -> float:
        base = watch.base if watch.day == self.day and watch.base is not None else 0.0
        return base - profit.total

    def lifted(self, owner: str, now_ns: int) -> None:
        """A person has lifted an owner's halt: what it loses counts from here."""
        # It may have been halted before this process, and be away.
        self.look(now_ns)
        self.refresh(now_ns)
        assets = {asset for one, asset in self._kept.watches if one == owner}
        seen = self.account() if owner == ACCOUNT else self._bots.get(owner) or _Owner()
        for asset in sorted({*assets, *seen.today}):
            # Both are what the next look finds: just now it may not be known.
            self._kept.watch_changed(Watch(owner, asset, None, self.day, None))
        for key in [key for key in self._times if key[0] == owner]:
            del self._times[key]

    # --- Counts ---------------------------------------------------------------------------------------------------

    def refused(self, bot: str, now_ns: int) -> None:
        """A new order of a bot, or a change, was refused."""
        self._count("max_refusals_per_min", "refusals", bot, now_ns)

    def unknown(self, bot: str, now_ns: int) -> None:
        """It is not known what became of a new order of a bot, or of a change."""
        self._count("max_unknown_per_min", "unknown outcomes", bot, now_ns)

    def _count(self, key: str, what: str, name: str, now_ns: int) -> None:
        bot = self._store.bots.get(name)
        owners = [(ACCOUNT, self._limits), *([(name, bot.limits)] if bot is not None else [])]
        for owner, limits in owners:
            limit: int | None = getattr(limits, key)
            if limit is None:
                continue
            times = self._times.setdefault((owner, key), deque(maxlen=limit))
            if times.maxlen != limit:
                times = self._times[owner, key] = deque(times, maxlen=limit)
            times.append(now_ns)
            if len(times) == limit and now_ns - times[0] <= MINUTE_NS:
                self._counted.append(
                    Breach(owner, f"{limit:,} {what} within a minute have reached the limit ({key})")
                )

    # --- Funding --------------------------------------------------------------------------------------------------

    def take_funding(self, funding: Funding) -> None:
        """A payment for holding a position: of each bot in proportion to what it holds now."""
        store = self._store
        row = Funded(
            funding.symbol,
            funding.asset,
            funding.amount,
            funding.exch_ns,
            funding.payment_id,
            funding.told_by,
        )
        begin_ns = self._kept.paid.begin_ns if self._kept.paid else store.since_ns(row.symbol)
        if row.exch_ns < begin_ns or self._kept.is_counted(row) or not self._kept.count(row):
            return
        rest = funding.amount
        ledger = self._funded_ledger(funding)
        if ledger is not None and ledger.account_lots:
            for book in ledger.books.values():
                part = funding.amount * (book.position_lots / ledger.account_lots)
                if part:
                    rest -= part
                    earning.funded(ledger, book, part, funding.exch_ns)
                    store.book_changed(book)
            if ledger.other_lots:
                self._kept.days.add(funding.exch_ns // DAY_NS, NOBODY, funding.asset, funding=rest)
            # What is left beyond that is what was rounded.
            return
        self._kept.days.add(funding.exch_ns // DAY_NS, ACCOUNT, funding.asset, funding=rest)
        self._kept.moved(funding.asset, rest)

    def payments_since_ns(self) -> int:
        """From which exchange time on payments are to be asked for; one may be listed as late as `APART_NS`."""
        paid = self._kept.paid
        if paid is None:
            # However long it takes until the exchange answers.
            paid = self._kept.know_paid(self._store.settled_ns, self._store.settled_ns)
        return max(paid.begin_ns, paid.known_ns - APART_NS)

    def take_payments(self, payments: Iterable[Funding], until_ns: int) -> None:
        """All payments since `payments_since_ns`, up to a moment of the exchange's clock."""
        for payment in payments:
            self.take_funding(payment)
        self._kept.know_paid(self._store.settled_ns, until_ns)

    def _funded_ledger(self, funding: Funding) -> "Ledger | None":
        """The instrument that a payment is for; where that is not told, the only one that it can be."""
        ledgers = self._store.ledgers
        if funding.symbol:
            ledger = ledgers.get(funding.symbol)
            return ledger if ledger is not None and ledger.settles_in == funding.asset else None
        held = [
            one
            for one in ledgers.values()
            if one.account_lots and one.settles_in == funding.asset and one.wallet is None
        ]
        return held[0] if len(held) == 1 else None

    # --- For people -----------------------------------------------------------------------------------------------

    def profits(self, name: str) -> list[status.Profit]:
        """A bot's, or the account's, profit of the day by asset."""
        seen = self.account() if name == ACCOUNT else self._bots.get(name) or _Owner()
        return [
            _shown(self.day, asset, profit, seen.in_all.get(asset)) for asset, profit in seen.today.items()
        ]

    def refresh(self, now_ns: int) -> None:
        """See all bots, whether they have limits or not."""
        self._bots = {name: self._see(name, now_ns) for name in self._ledgers}

    def days(self) -> list[status.Profit]:
        """The account's last days that are over, by asset, the newest first."""
        found: list[status.Profit] = []
        for day in self._kept.days.last(DAYS_SHOWN + 1):
            if day >= self.day:
                continue
            by_asset: dict[str, Profit] = {}
            for row in self._kept.days.of(day):
                if row.bot == NOBODY:
                    continue
                by_asset.setdefault(row.asset, Profit()).add(row)
            found += [_shown(day, asset, profit, None) for asset, profit in sorted(by_asset.items())]
        return found

    def used(self, owner: str, limits: "BotLimits | AccountLimits", now_ns: int) -> list[status.Used]:
        """How much of an owner's limits is used."""
        found: list[status.Used] = []
        seen = self.account() if owner == ACCOUNT else self._bots.get(owner) or _Owner()
        for asset, profit in seen.today.items():
            watch = self._kept.watch(owner, asset)
            if limit := amount_of(limits.max_day_loss, asset):
                loss = max(0.0, self._loss(watch, profit))
                found.append(status.Used(name=f"loss of the day, {asset}", used=loss, limit=limit))
            if limit := amount_of(limits.max_drawdown, asset):
                fallen = 0.0 if watch.peak is None else watch.peak - seen.in_all.get(asset, 0.0)
                found.append(status.Used(name=f"drawdown, {asset}", used=max(0.0, fallen), limit=limit))
        for key, name in (
            ("max_refusals_per_min", "refusals a minute"),
            ("max_unknown_per_min", "unknown outcomes a minute"),
        ):
            limit = getattr(limits, key)
            if limit is not None:
                times = self._times.get((owner, key), ())
                recent = sum(now_ns - at_ns <= MINUTE_NS for at_ns in times)
                found.append(status.Used(name=name, used=recent, limit=limit))
        return found

    def warnings(self, now_ns: int) -> Iterator[Warn]:
        """What needs a person: limits that are nearly reached, and what can't be judged."""
        # Whoever is halted has a warning that says why.
        owners: list[tuple[str, BotLimits | AccountLimits]] = []
        if not self._store.halt_ends:
            owners.append((ACCOUNT, self._limits))
        bots = self._store.bots.values()
        owners += [(bot.name, bot.limits) for bot in bots if bot.is_attached and not bot.halt_reason]
        for owner, limits in owners:
            whose = owner or "the account"
            for one in self.used(owner, limits, now_ns):
                if one.limit and one.used >= NEAR * one.limit:
                    yield Warn(
                        "limit_near",
                        f"{whose}: {one.name}: {one.used:.8g} of {one.limit:g}: when it is reached no new orders "
                        "are taken",
                        f"{whose} {one.name}",
                    )
            if self._has_amounts(limits):
                seen = self.account() if owner == ACCOUNT else self._bots.get(owner) or _Owner()
                if seen.unvalued:
                    yield Warn(
                        "profit_unknown",
                        f"{whose}: {seen.unvalued} has no valid book, so its position has no value and the limits on "
                        "losses can't be judged: nothing is taken but what reduces a position; follow the symbol "
                        "(`symbols`), or close the position",
                        whose,
                        after_s=5.0,
                    )
                elif not self._is_compared:
                    yield Warn(
                        "profit_unknown",
                        f"{whose}: the account was not compared with the exchange's since the start, so the limits on "
                        "losses can't be judged: nothing is taken but what reduces a position",
                        whose,
                        after_s=5.0,
                    )


def amount_of(limit: "float | dict[str, float] | None", asset: str) -> float:
    """A limit on an amount of an asset; 0 if there is none."""
    if isinstance(limit, dict):
        return limit.get(asset, 0.0)
    return limit or 0.0


def _mark(ledger: "Ledger", now_ns: int) -> None:
    if middle := earning.middle(ledger):
        ledger.mark, ledger.marked_ns = middle, now_ns


def _shown(day: int, asset: str, profit: Profit, in_all: float | None) -> status.Profit:
    return status.Profit(
        day_ns=day * DAY_NS,
        asset=asset,
        total=profit.total,
        realised=profit.realised,
        unrealised=profit.unrealised,
        fee=profit.fee,
        funding=profit.funding,
        in_all=in_all,
    )
