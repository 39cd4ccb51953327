"""Who trades in the fast soak: bots that do whatever comes to their mind, and somebody else on their account."""

import random
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from hftd import wire
from hftd.constants import BUY, CANCELED, FOK, GTC, GTX, IOC, LIMIT, MARKET, NEW, NONE, REPLACED, SELL
from sim.exchange.rules.refusals import RefusedError
from tests.daemon.orders.world import BotModel, LocalOrder
from tests.soak.books import Asked, Step
from tests.soak.schedule import MS

if TYPE_CHECKING:
    from tests.soak.fast import Soak

ORDER_IDS = 12
"""Of each bot in each instrument: they are used again and again."""
POLICIES = ("cancel", "keep", "flatten")
_SIDES = {BUY: "BUY", SELL: "SELL"}


class RandomBot:
    """A bot that does whatever comes to its mind, and may be killed."""

    def __init__(self, soak: "Soak", name: str, on_end: str) -> None:
        self.soak = soak
        self.name = name
        self.on_end = on_end
        self.is_alive = True
        self.pace_ns = soak.rng.choice((60 * MS, 120 * MS, 300 * MS))
        self.steps: dict[str, Step] = {}
        self.numbers: dict[str, int] = {}
        self.models: dict[str, BotModel] = {}
        self.forget()

    def forget(self) -> None:
        """What it knew is gone."""
        self.models = {symbol: BotModel(self.name) for symbol in self.soak.product.traded}

    def ask(self, message: Any) -> None:
        """A request."""
        self.soak.events["requests"] += 1
        self.soak.trader.manager.request(self.name, message, self.soak.local_ns)

    def apply(self, update: Any) -> None:
        """What it is told."""
        for symbol, number in self.numbers.items():
            if number == update.instrument:
                self.models[symbol].apply(update)

    def attach(self) -> None:
        """A lease, as the bot's library takes it up: what it is told, then inquiries after what it left."""
        soak, trader = self.soak, self.soak.trader
        steps = {
            symbol: trader.counts_in[symbol] for symbol in soak.product.traded if symbol in trader.counts_in
        }
        if self.steps and steps != self.steps:
            # It is written for other steps: somebody has to start it anew.
            self.forget()
        self.steps = steps
        self.numbers = {symbol: trader.manager.store.ledgers[symbol].number for symbol in steps}
        told = trader.manager.attach(
            self.name, list(self.numbers.values()), soak.bot_limits, self.on_end, soak.local_ns
        )
        for update in told:
            self.apply(update)
        for symbol, number in self.numbers.items():
            for order_id, order in list(self.models[symbol].orders.items()):
                if not order.is_inactive:
                    self.ask(wire.Inquire(number, order_id, order.local_ts))

    def act(self) -> None:
        """One decision, and when the next."""
        soak = self.soak
        if soak.is_calm:
            return
        soak.schedule.after(int(soak.rng.expovariate(1.0 / self.pace_ns)) + 1, self.act)
        if self.is_alive and soak.is_attached(self.name) and self.numbers:
            self._decide(soak.rng)

    def _decide(self, rng: random.Random) -> None:
        symbol = rng.choice(list(self.numbers))
        number, model = self.numbers[symbol], self.models[symbol]
        order_id = rng.randrange(1, ORDER_IDS + 1)
        order = model.orders.get(order_id)
        if order is None or order.is_inactive:
            self._submit(rng, symbol, order_id)
        elif order.req == NONE and rng.random() < 0.5:
            order.req, order.local_ts = CANCELED, self.soak.local_ns
            self.ask(wire.Cancel(number, order_id, order.local_ts))
        elif order.req == NONE:
            tick = rng.choice(self._touch(symbol)) + rng.randrange(-12, 13)
            qty = rng.randrange(5, 60) * float(self.steps[symbol].lot)
            order.prior = order.price_tick, order.qty
            order.price_tick, order.qty, order.req, order.local_ts = tick, qty, REPLACED, self.soak.local_ns
            self._note(symbol, order_id, "modify", None, tick, qty)
            self.ask(
                wire.Modify(
                    instrument=number, order_id=order_id, price_tick=tick, qty=qty, local_ts=order.local_ts
                )
            )

    def _touch(self, symbol: str) -> tuple[int, int]:
        """The best prices in the bot's ticks."""
        tick = self.steps[symbol].tick
        bid, ask = self.soak.exchange.best(symbol)
        return int(bid // tick), int(-(-ask // tick))

    def _note(self, symbol: str, order_id: int, what: str, side: int | None, tick: int, qty: float) -> None:
        """Write down what is asked for, as it must reach the exchange."""
        step = self.steps[symbol]
        price, lots = tick * step.tick, round(qty / float(step.lot)) * step.lot
        for word in _SIDES.values() if side is None else (_SIDES[side],):
            asked = self.soak.asked.setdefault((self.name, order_id), [])
            asked.append(Asked(what, symbol, word, price, lots))

    def _submit(self, rng: random.Random, symbol: str, order_id: int) -> None:
        soak, model = self.soak, self.models[symbol]
        side = rng.choice((BUY, SELL))
        if abs(model.state.position) > soak.product.position_max:
            side = SELL if model.state.position > 0 else BUY
        bid, ask = self._touch(symbol)
        kind, tif = rng.choice(
            (
                (LIMIT, GTC),
                (LIMIT, GTC),
                (LIMIT, GTX),
                (LIMIT, GTX),
                (LIMIT, IOC),
                (LIMIT, FOK),
                (MARKET, IOC),
            )
        )
        away = rng.choice((-2, 0, 0, 1, 2, 5, 15))
        tick = bid - away if side == BUY else ask + away
        if tif in (IOC, FOK):
            tick = ask + 2 if side == BUY else bid - 2
        qty = rng.randrange(5, 60) * float(self.steps[symbol].lot)
        soak.latest.pop((self.name, symbol, order_id), None)
        local_ns = soak.local_ns
        model.orders[order_id] = LocalOrder(local_ns, req=NEW, price_tick=tick, qty=qty, leaves_qty=qty)
        self._note(symbol, order_id, "place", side, 0 if kind == MARKET else tick, qty)
        self.ask(
            wire.Submit(
                instrument=self.numbers[symbol],
                order_id=order_id,
                side=side,
                order_type=kind,
                time_in_force=tif,
                price_tick=tick,
                qty=qty,
                local_ts=local_ns,
            )
        )


class Stranger:
    """Somebody else who trades on the account: by hand, say. Nobody but he touches his orders."""

    def __init__(self, soak: "Soak") -> None:
        self.soak = soak
        self.placed: list[tuple[str, str]] = []
        self.cancelled: set[str] = set()

    def act(self) -> None:
        """One decision."""
        soak, rng = self.soak, self.soak.rng
        if soak.is_calm:
            return
        soak.schedule.after(int(rng.expovariate(1.0 / (300 * MS))), self.act)
        exchange = soak.exchange
        exchange.go()
        symbol = rng.choice((*soak.product.traded, soak.product.later))
        if symbol not in exchange.core.instruments:
            return
        if self.placed and rng.random() < 0.4:
            symbol, name = rng.choice(self.placed)
            if name in exchange.account.open_by_client_id:
                self.cancelled.add(name)
                exchange.core.venue.cancel(exchange.account, soak.product.by_hand_again(symbol, name))
            return
        side, takes_own = rng.choice(("BUY", "SELL")), False
        bid, ask = exchange.best(symbol)
        tick = exchange.tick(symbol)
        price = bid - rng.randrange(-1, 30) * tick if side == "BUY" else ask + rng.randrange(-1, 30) * tick
        if "self-trades" in soak.mishaps and rng.random() < 0.5:
            takes_own = True
            inside = [
                one
                for one in exchange.open_orders(symbol)
                if bid <= Decimal(one.price) <= ask and one.is_ours
            ]
            if inside:
                met = rng.choice(inside)
                side, price = "SELL" if met.side > 0 else "BUY", Decimal(met.price)
        name = f"web_{len(self.placed)}"
        try:
            qty, price = f"{rng.randrange(5, 40) * exchange.lot(symbol):f}", f"{price // tick * tick:f}"
            asked = soak.product.by_hand(symbol, name, side, qty, price, takes_own=takes_own)
            exchange.core.venue.place(exchange.account, asked)
        except RefusedError:
            # The rules are the same for him.
            return
        self.placed.append((symbol, name))
