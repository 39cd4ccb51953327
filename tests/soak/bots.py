"""Who trades in the fast soak: bots that do whatever comes to their mind, and somebody else on their account."""

import random
from typing import TYPE_CHECKING, Any

from daemon.orders.limits import BotLimits
from hftd.channel import wire
from hftd.constants import BUY, CANCELED, FOK, GTC, GTX, IOC, LIMIT, MARKET, NEW, NONE, REPLACED, SELL
from tests.orders.world import BotModel, LocalOrder
from tests.soak.books import LOT
from tests.soak.schedule import MS
from tests.soak.venue import SYMBOL

if TYPE_CHECKING:
    from tests.soak.fast import Soak

ORDER_IDS = 20
"""Of each bot: they are used again and again."""
POLICIES = ("cancel", "keep", "flatten")


class RandomBot:
    """A bot that does whatever comes to its mind, and may be killed."""

    def __init__(self, soak: "Soak", name: str, on_end: str) -> None:
        self.soak = soak
        self.name = name
        self.on_end = on_end
        self.model = BotModel(name)
        self.is_alive = True
        self.pace_ns = soak.rng.choice((4 * MS, 8 * MS, 25 * MS))

    def ask(self, message: Any) -> None:
        """A request."""
        self.soak.events["requests"] += 1
        self.soak.trader.manager.request(self.name, message, self.soak.now_ns)

    def attach(self) -> None:
        """A lease, as the bot's library takes it up: what it is told, then inquiries after what it left."""
        soak = self.soak
        manager = soak.trader.manager
        for update in manager.attach(self.name, [0], BotLimits(), self.on_end, soak.now_ns):
            self.model.apply(update)
        for order_id, order in list(self.model.orders.items()):
            if not order.is_inactive:
                self.ask(wire.Inquire(0, order_id, order.local_ts))

    def act(self) -> None:
        """One decision, and when the next."""
        soak = self.soak
        if soak.is_calm:
            return
        soak.schedule.after(int(soak.rng.expovariate(1.0 / self.pace_ns)) + 1, self.act)
        if self.is_alive and soak.is_attached(self.name):
            self._decide(soak.rng)

    def _decide(self, rng: random.Random) -> None:
        order_id = rng.randrange(1, ORDER_IDS + 1)
        order = self.model.orders.get(order_id)
        if order is None or order.is_inactive:
            self._submit(rng, order_id)
        elif order.req == NONE and rng.random() < 0.5:
            order.req, order.local_ts = CANCELED, self.soak.now_ns
            self.ask(wire.Cancel(0, order_id, self.soak.now_ns))
        elif order.req == NONE:
            bid, ask = self.soak.exchange.touch()
            tick = rng.choice((bid, ask)) + rng.randrange(-12, 13)
            qty = rng.randrange(5, 60) * LOT
            order.prior = order.price_tick, order.qty
            order.price_tick, order.qty, order.req, order.local_ts = tick, qty, REPLACED, self.soak.now_ns
            self.ask(wire.Modify(0, order_id, tick, qty, self.soak.now_ns))

    def _submit(self, rng: random.Random, order_id: int) -> None:
        soak = self.soak
        side = rng.choice((BUY, SELL))
        if abs(self.model.state.position) > 3.0:
            side = SELL if self.model.state.position > 0 else BUY
        bid, ask = soak.exchange.touch()
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
        qty = rng.randrange(5, 60) * LOT
        soak.latest.pop((self.name, order_id), None)
        self.model.orders[order_id] = LocalOrder(
            soak.now_ns, req=NEW, price_tick=tick, qty=qty, leaves_qty=qty
        )
        self.ask(wire.Submit(0, order_id, side, kind, tif, tick, qty, soak.now_ns))


class Stranger:
    """Somebody else who trades on the account: by hand, say. Nobody but he touches his orders."""

    def __init__(self, soak: "Soak") -> None:
        self.soak = soak
        self.placed: list[str] = []
        self.cancelled: set[str] = set()

    def act(self) -> None:
        """One decision."""
        soak, rng = self.soak, self.soak.rng
        if soak.is_calm:
            return
        soak.schedule.after(int(rng.expovariate(1.0 / (400 * MS))), self.act)
        exchange = soak.exchange
        exchange.go()
        bid, ask = exchange.touch()
        if self.placed and rng.random() < 0.4:
            name = rng.choice(self.placed)
            if name in exchange.account.open_by_client_id:
                self.cancelled.add(name)
                exchange.venue.desk.cancel(exchange.account, {"symbol": SYMBOL, "origClientOrderId": name})
            return
        name = f"web_{len(self.placed)}"
        side = rng.choice(("BUY", "SELL"))
        tick = bid - rng.randrange(-1, 30) if side == "BUY" else ask + rng.randrange(-1, 30)
        exchange.venue.desk.place(
            exchange.account,
            {
                "symbol": SYMBOL,
                "side": side,
                "type": "LIMIT",
                "timeInForce": "GTC",
                "quantity": f"{rng.randrange(5, 40) * LOT:.3f}",
                "price": f"{tick / 10:.1f}",
                "newClientOrderId": name,
                "selfTradePreventionMode": "NONE",
            },
        )
        self.placed.append(name)
