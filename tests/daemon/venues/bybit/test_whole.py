"""What a user may rely on: a bot trades through the connector, whose exchange answers with receipts alone."""

import asyncio
import contextlib

import pytest

from daemon.connector.config import Credentials
from daemon.connector.secrets import Secret
from daemon.connector.service import Connector
from daemon.venues.bybit.config import BybitConfig
from daemon.venues.bybit.session import VENUE
from hftd.bot.bot import Bot, Instrument
from hftd.types import CANCELED, EXPIRED, FILLED, GTX, IOC, LIMIT, NEW

from .scripted import Venue, fill, row, served, until
from .test_market import book

CHANNEL = "by"


@pytest.fixture(autouse=True)
def runtime_dir(tmp_path_factory, monkeypatch):
    """A runtime directory of the test's own; short, since a socket's path is."""
    monkeypatch.setenv("HFTD_RUNTIME_DIR", str(tmp_path_factory.mktemp("run")))


class Market(Venue):
    """Takes orders: those that would cross are filled or, post-only, ended; the others rest.

    Args:
        order: "ack first" or "event first".
    """

    def __init__(self, order):
        super().__init__()
        self.is_event_first = order == "event first"
        self.open = {}
        self.fills = 0
        self.after_subscribe = self.begin
        for op in ("create", "amend", "cancel"):
            self.answers[f"order.{op}"] = self.handle

    async def begin(self, socket, topics):
        for topic in topics:
            if topic.startswith("orderbook"):
                await socket.send_json(book(10, "snapshot"))

    async def handle(self, asked):
        op, args = asked["op"].partition(".")[2], asked["args"][0]
        name = args["orderLinkId"]
        if op != "create" and name not in self.open:
            return self.acknowledge(asked, 110001, "order not exists or too late")
        if not self.is_event_first:
            # The answer to one must not wait for what follows from it.
            self.task = asyncio.get_running_loop().call_later(
                0.01, lambda: asyncio.ensure_future(self.follow(op, args))
            )
            return self.acknowledge(asked)
        await self.follow(op, args)
        await asyncio.sleep(0.01)
        return self.acknowledge(asked)

    async def follow(self, op, args):
        name = args["orderLinkId"]
        if op == "cancel":
            placed = self.open.pop(name)
            await self.tell("order.linear", row(placed, "Cancelled", rejectReason="EC_PerCancelRequest"))
            return
        placed = self.open.get(name, {}) | args
        crosses = float(placed["price"]) >= 100.1
        if crosses and placed["timeInForce"] == "PostOnly":
            await self.tell(
                "order.linear", row(placed, "Cancelled", rejectReason="EC_PostOnlyWillTakeLiquidity")
            )
        elif crosses:
            self.fills += 1
            await self.tell("execution.linear", fill(placed, f"x{self.fills}", placed["qty"]))
            await self.tell("execution.linear", fill(placed, f"x{self.fills}", placed["qty"]))
            await self.tell("order.linear", row(placed, "Filled", cumExecQty=placed["qty"]))
        else:
            self.open[name] = placed
            await self.tell("order.linear", row(placed))


@contextlib.asynccontextmanager
async def running(venue, folder):
    async with served(venue) as hosts:
        config = BybitConfig(**hosts, symbols=("BTCUSDT",), dcp_window_s=0)
        credentials = Credentials(api_key=Secret("testkey"), secret=Secret("a secret"))
        connector = Connector(CHANNEL, VENUE, config, credentials, folder / "orders.journal", seed=1)
        serving = asyncio.create_task(connector.run())
        try:
            await until(lambda: hasattr(connector, "server") or serving.done(), "the channel")
            yield connector
        finally:
            connector.stop()
            await asyncio.wait_for(serving, 30.0)


@pytest.mark.parametrize("order", ["ack first", "event first"])
async def test_a_bot_places_changes_cancels_and_takes_whatever_comes_first(tmp_path, order):
    venue = Market(order)
    async with running(venue, tmp_path) as connector:

        def trade():
            with Bot([Instrument(CHANNEL, "BTCUSDT", 0.1, 0.001)], name="mm", end="cancel") as bot:
                for _ in range(300):
                    bot.elapse(50_000_000)
                    if bot.depth(0).best_bid > 0 and connector.bots.is_connected:
                        break
                assert bot.submit_buy_order(0, 1, 95.0, 0.1, GTX, LIMIT, True) == 0
                assert bot.orders(0).get(1).status == NEW
                assert bot.modify(0, 1, 94.0, 0.2, True) == 0
                assert (bot.orders(0).get(1).price, bot.orders(0).get(1).qty) == (94.0, 0.2)
                bot.submit_buy_order(0, 2, 100.2, 0.1, GTX, LIMIT, True)
                assert bot.orders(0).get(2).status == EXPIRED
                bot.submit_buy_order(0, 3, 100.2, 0.3, IOC, LIMIT, True)
                assert bot.orders(0).get(3).status == FILLED
                bot.elapse(100_000_000)
                assert bot.position(0) == 0.3
                assert bot.cancel(0, 1, True) == 0
                assert bot.orders(0).get(1).status == CANCELED
                return bot.state_values(0).num_trades

        assert await asyncio.wait_for(asyncio.to_thread(trade), 60.0) == 1
        assert venue.open == {}
        counters = connector.session.counters()
        assert counters["received_and_untold"] == 0
        assert bool(counters["told_before_answer"]) == (order == "event first")
        assert not [path for path, _ in venue.requests if path == "/v5/order/realtime"]
