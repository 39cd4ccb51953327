"""The soak in one process, where time is the test's: thousands of seeds, each the same whenever it is run.

Real: order management and its journal, the bytes of requests and replies, signatures, the local exchange with its
matching, user events and chaos. Modelled: the sockets (`venue.Wire`), the connector's loop around them
(`trader.Trader`) and the bots' side of an order (`tests.daemon.orders.world.BotModel`).
"""

import functools
import random
import tempfile
from collections import Counter
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from daemon.orders.journal import ROTATE_BYTES, Journal
from daemon.orders.limits import BotLimits
from daemon.orders.manager import Update
from daemon.orders.order import Order
from hftd.types import event_dtype
from sim.exchange.accounts.mishaps import Rule
from sim.exchange.rules.chaos import ChaosSection
from sim.exchange.rules.config import LatencySection
from sim.generate import MarketInstrument, generate_day
from tests.soak.books import (
    Asked,
)
from tests.soak.bots import POLICIES, RandomBot, Stranger
from tests.soak.comparing import Comparison
from tests.soak.schedule import MS, SECOND, Schedule
from tests.soak.trader import DyingJournal, Killed, Trader
from tests.soak.venue import Exchange
from tests.soak.venues import PRODUCTS, USDM
from tests.soak.weather import chosen, refusal, weather

MARKETS = 2
"""Markets that are generated and played again and again, at other moments."""
ACTIVE_S = 12
SETTLE_S = 120
TINY_BYTES = 8_000
"""A journal that is full after some dozen records."""
MARKET_GOES_ON_S = 5
"""When nothing goes wrong any more, the market goes on so long, and then stands still."""


@functools.lru_cache(MARKETS * len(PRODUCTS))
def market(venue: str, number: int, active_s: float) -> dict[str, Any]:
    """Rows of lively markets."""
    product = PRODUCTS[venue]
    instruments = [
        MarketInstrument(
            "soak",
            one.symbol,
            float(one.tick_size),
            float(one.lot_size),
            product.prices[one.symbol],
            trades_per_s=product.updates_per_s[one.symbol] / 10.0,
            updates_per_s=product.updates_per_s[one.symbol],
            touch_qty=product.touch_qty,
            trade_qty=product.trade_qty,
        )
        for one in product.symbols
    ]
    days = generate_day(1000 + number, instruments, "20240808", active_s + MARKET_GOES_ON_S + 1.0)
    return {symbol: np.ascontiguousarray(rows, event_dtype) for symbol, rows in days.items()}


KINDS = {
    "tears": ("orders", "user"),
    "kills": ("kill", "kill in send", "kill in write"),
    "bots' kills": ("kill a bot", "kill a bot"),
    "refusals": ("refusals", "refusals"),
    "filters": ("filters",),
    "suspensions": ("suspend",),
    "forced closes": ("resume",),
}
"""What a mishap does, now and then; those that are not here come otherwise."""


@dataclass
class Result:
    """What a seed came to.

    Attributes:
        faults: What did not agree; empty if all did.
        digest: Of all bytes on all wires and their times: the same for the same seed.
    """

    seed: int
    faults: list[str] = field(default_factory=list)
    digest: str = ""
    events: Counter[str] = field(default_factory=Counter)
    chaos: Counter[str] = field(default_factory=Counter)

    @property
    def is_good(self) -> bool:
        """Whether all books agree."""
        return not self.faults

    @property
    def messages(self) -> int:
        """All that was said: requests, replies, user events, updates, the market's messages."""
        return sum(self.events[name] for name in ("on the wires", "market", "requests", "updates"))


class Soak:
    """One seed.

    Args:
        seed: Of everything.
        folder: For the journal.
        active_s: How long bots trade and everything goes wrong, in the test's seconds.
        venue: The exchange, of `venues.PRODUCTS`.
        only: The mishaps (of `weather.FAST`) that there are, instead of those of the seed.
        trader_type: The connector; tests put a faulty one here.
        journal_type: The journal; tests put a faulty one here.
    """

    bot_limits = BotLimits()

    def __init__(
        self,
        seed: int,
        folder: Path,
        *,
        active_s: float = ACTIVE_S,
        venue: str = USDM.name,
        only: Collection[str] = (),
        trader_type: type[Trader] = Trader,
        journal_type: type[Journal] = DyingJournal,
    ) -> None:
        self.seed = seed
        self.product = PRODUCTS[venue]
        self.rng = rng = random.Random(f"soak {seed}")
        self.path = folder / "orders.journal"
        self.is_calm = False
        self.events: Counter[str] = Counter()
        self.chaos: Counter[str] = Counter()
        self.latest: dict[tuple[str, str, int], str] = {}
        self.asked: dict[tuple[str, int], list[Asked]] = {}
        self.mishaps = chosen(rng, only, self.product.leaves_out)
        self._trader_type = trader_type
        self._journal_type = journal_type
        if hasattr(journal_type, "is_calm"):
            wrong: Any = journal_type
            wrong.is_calm = staticmethod(lambda: self.is_calm)
        rows = market(venue, seed % MARKETS, active_s)
        self.schedule = Schedule(min(int(one["exch_ts"].min()) for one in rows.values()))
        self._end_ns = self.now_ns + int(active_s * SECOND)
        entry = rng.choice(((0.0, 0.0), (0.1, 3.0), (1.0, 40.0)))
        event = rng.choice(((0.0, 0.0), (0.0, 5.0), (0.0, 80.0)))
        latency = LatencySection(entry_ms=entry, reply_ms=rng.choice((entry, event)), event_ms=event)
        self.exchange = Exchange(
            self.schedule,
            rows,
            weather(seed, rng, self.mishaps),
            latency,
            self.product,
            seed,
            rng.choice((0, 0, -700, 450)),
        )
        self._weather = self.exchange.core.chaos.settings

        self.bots = {
            f"bot{number}": RandomBot(self, f"bot{number}", rng.choice(POLICIES)) for number in range(4)
        }
        self.stranger = Stranger(self)
        self.lives = 0
        self.most_ahead_ns = 0
        self.trader = self._new_trader()
        for bot in self.bots.values():
            self.guard(bot.attach)
            self.schedule.after(rng.randrange(SECOND), bot.act)
        if "by hand" in self.mishaps or "self-trades" in self.mishaps:
            self.schedule.after(SECOND, self.stranger.act)
        if "listings" in self.mishaps:
            for number in range(1, 4):
                self.schedule.after(int(active_s * SECOND * number / 4), self._list)
        self._next_mishap()

    @property
    def now_ns(self) -> int:
        """Now."""
        return self.schedule.now_ns

    @property
    def local_ns(self) -> int:
        """Now, by the clock of the machine on which connector and bots are."""
        return self.schedule.local_ns

    def is_attached(self, name: str) -> bool:
        """Whether a bot has a lease."""
        if self.trader.is_dead:
            return False
        bot = self.trader.manager.store.bots.get(name)
        return bot is not None and bot.is_attached

    # Processes.

    def _new_trader(self) -> Trader:
        self.lives += 1
        if "clock" in self.mishaps:
            # A process reads the wall's clock once, at its start.
            self.schedule.ahead_ns = self.rng.choice((0, 60, -60, 3, -3, 3600)) * SECOND
            self.most_ahead_ns = max(self.most_ahead_ns, self.schedule.ahead_ns)
        return self._trader_type(
            self.exchange,
            self.path,
            self._emit,
            f"{self.seed} {self.lives}",
            lambda: self.is_calm,
            self._placed,
            self._journal_type,
            # Every third seed's begins a new file all the time.
            ROTATE_BYTES if self.seed % 3 else TINY_BYTES,
        )

    def _emit(self, name: str, update: Update) -> None:
        self.events["updates"] += 1
        self.bots[name].apply(update)

    def _placed(self, order: Order) -> None:
        self.latest[order.bot, order.symbol, order.order_id] = order.client_id

    def guard(self, act: Callable[[], Any]) -> None:
        """Do something in which the connector may be killed."""
        try:
            act()
        except Killed:
            self._connector_died()

    def _connector_died(self) -> None:
        if self.trader.is_dead:
            return
        self.chaos["connector killed"] += 1
        self.trader.die()
        self.schedule.after(
            self.rng.choice((50 * MS, 500 * MS, 3 * SECOND)), lambda: self.guard(self._start_again)
        )

    def _start_again(self) -> None:
        self.trader = self._new_trader()
        for bot in self.bots.values():
            if bot.is_alive:
                wait_ns = self.rng.randrange(10 * MS, 2 * SECOND)
                self.schedule.after(wait_ns, functools.partial(self._return, bot, self.trader))

    def _return(self, bot: RandomBot, trader: Trader) -> None:
        if trader is self.trader and not trader.is_dead and bot.is_alive and not self.is_attached(bot.name):
            self.guard(bot.attach)

    # Mishaps.

    def _next_mishap(self) -> None:
        self.schedule.after(int(self.rng.expovariate(1.0 / (0.8 * SECOND))), self._mishap)

    def _mishap(self) -> None:
        if self.is_calm:
            return
        self._next_mishap()
        rng, trader = self.rng, self.trader
        what = rng.choice(
            [one for name, ones in KINDS.items() if name in self.mishaps for one in ones] or [""]
        )
        if what == "refusals":
            self.chaos["refusals"] += 1
            self.exchange.core.outages.add(msgspec.convert(refusal(rng, self.product), Rule))
        elif what == "filters":
            self._change_filters()
        elif what == "resume" and not trader.is_dead:
            # The owner has looked.
            self.guard(lambda: trader.manager.resume(self.local_ns))
        elif what == "suspend" and not trader.is_dead:
            self.chaos["suspensions"] += 1
            trader.suspend(rng.choice((100 * MS, SECOND, 4 * SECOND)))
        if not what or (trader.is_dead and what != "kill a bot"):
            return
        if what in ("orders", "user"):
            self.chaos[f"{what} torn"] += 1
            trader.tear(what)
        elif what == "kill":
            self._connector_died()
        elif what == "kill in send":
            trader.send_fuse = rng.randrange(6)
        elif what == "kill in write":
            if isinstance(trader.journal, DyingJournal):
                trader.journal.fuse, trader.journal.share = rng.randrange(8), rng.random()
        elif what in ("kill a bot", "both"):
            self._kill_bot(rng.choice(list(self.bots.values())))
            if what == "both":
                self._connector_died()

    def _change_filters(self) -> None:
        """An instrument takes fewer, larger or only some orders."""
        symbol = self.rng.choice(self.product.traded)
        changes = self.rng.choice(
            (
                {"max_orders": str(self.rng.randrange(1, 20))},
                *self.product.narrow,
                self.product.given[symbol],
            )
        )
        if symbol in self.exchange.core.instruments:
            self.chaos["filters changed"] += 1
            self.exchange.core.change(symbol, changes)

    def _list(self) -> None:
        """An instrument comes, or goes."""
        venue, later = self.exchange.core, self.product.later
        self.chaos["listings"] += 1
        if later in venue.instruments:
            venue.delist(later)
        else:
            venue.list_again(later)

    def _kill_bot(self, bot: RandomBot) -> None:
        if not bot.is_alive:
            return
        self.chaos["bot killed"] += 1
        bot.is_alive = False
        if self.is_attached(bot.name):
            self.guard(lambda: self.trader.manager.detach(bot.name, self.local_ns))
        if self.rng.random() < 0.85:
            wait_ns = self.rng.choice((20 * MS, SECOND, 12 * SECOND))
            self.schedule.after(wait_ns, lambda: self._new_bot(bot))

    def _new_bot(self, bot: RandomBot) -> None:
        if self.is_calm:
            return
        # What it knew is gone.
        bot.forget()
        bot.is_alive = True
        self._return(bot, self.trader)

    # The run.

    def run(self) -> Result:
        """All of it, and what it came to."""
        result = Result(self.seed)
        schedule = self.schedule
        while self.now_ns < self._end_ns:
            self.guard(schedule.step)
        self._calm_down()
        if not self._settle():
            result.faults.append(f"it does not settle: {self._unsettled()}")
        self._compare(result, "at rest")
        if result.is_good:
            self._last_ends(result)
        result.digest = schedule.digest
        result.events, result.chaos = self.events, self.chaos
        result.events["journal's files"] = self.trader.journal.number
        result.events["on the wires"] = schedule.written
        result.events["market"] = self.exchange.market_messages
        result.chaos.update(self.exchange.core.chaos.counters)
        result.chaos["self-trades"] = self.exchange.account.counters.get("self-trades", 0)
        return result

    def _calm_down(self) -> None:
        self.is_calm = True
        venue = self.exchange.core
        venue.chaos.set(ChaosSection(seed=self.seed, inside_snapshot=0.0))
        venue.outages.mend()
        self.schedule.after(MARKET_GOES_ON_S * SECOND, venue.market.end)
        has_odd_steps = bool(self.mishaps & {"steps", "listings"})
        for symbol in self.product.traded:
            # What was traded in odd steps is a whole number of the finest.
            finest = self.product.finest[symbol] if has_odd_steps else {}
            venue.change(symbol, self.product.given[symbol] | finest | {"status": ""})
        if not self.trader.is_dead:
            self.guard(lambda: self.trader.manager.resume(self.local_ns))
        if has_odd_steps:
            # As `hftd status` asks for it.
            self._connector_died()
        self.trader.send_fuse = -1
        if isinstance(self.trader.journal, DyingJournal):
            self.trader.journal.fuse = -1

    def _settle(self) -> bool:
        """Let time pass until nothing is under way; False if that does not come."""
        calm_ns = 0
        end_ns = self.now_ns + SETTLE_S * SECOND
        while self.now_ns < end_ns:
            until_ns = self.now_ns + SECOND
            while self.now_ns < until_ns:
                self.guard(self.schedule.step)
            trader = self.trader
            quiet = (
                not trader.is_dead and trader.is_quiet and self.local_ns - trader.settled_at_ns < 4 * SECOND
            )
            ending = not trader.is_dead and any(
                one.is_closing or one.away_since_ns for one in trader.manager.store.bots.values()
            )
            calm_ns = calm_ns + SECOND if quiet and not ending else 0
            if calm_ns >= 8 * SECOND:
                return True
        return False

    def _unsettled(self) -> str:
        manager = self.trader.manager
        ending = [one.row for one in manager.store.bots.values() if one.is_closing or one.away_since_ns]
        return f"{manager.commands.in_flight}, {ending}, gaps {manager.store.gaps}, up {self.trader.is_up}"

    def _compare(self, result: Result, when: str) -> None:
        comparison = Comparison(self)
        result.faults += [f"{when}: {one}" for one in comparison.run()]
        for name, count in comparison.counts.items():
            self.events[name] = count

    def _last_ends(self, result: Result) -> None:
        """All bots die; what they leave is what they asked for."""
        for bot in self.bots.values():
            if self.is_attached(bot.name):
                bot.is_alive = False
                self.trader.manager.detach(bot.name, self.local_ns)
        if not self._settle():
            result.faults.append(f"it does not settle in the end: {self._unsettled()}")
        self._compare(result, "in the end")


def run_seed(seed: int, *, kind: type[Soak] = Soak, **options: Any) -> Result:
    """One seed; what it finds is in the result, and an exception in it is a fault too."""
    with tempfile.TemporaryDirectory(prefix="soak") as folder:
        soak: Soak | None = None
        try:
            soak = kind(seed, Path(folder), **options)
            with soak.schedule.is_the_time(soak.product.clocks):
                return soak.run()
        finally:
            if soak is not None:
                soak.trader.journal.close()


__all__ = ["Result", "Soak", "run_seed"]
