"""The trading side against a scripted Spot: user data by subscription, replacements, and planned ends."""

import asyncio
import json
from decimal import Decimal

import msgspec
import pytest
from aiohttp import web

from daemon.messages import CONFIRMED, REFUSED, UNKNOWN, Cancel, Funds, Modify, Submit, Transfer
from daemon.venues.binance.signing import Ed25519Signer
from daemon.venues.binancespot.session import trading_of
from hftd import constants as c
from hftd.errors import ConfigError
from tests.daemon.venues.binancefutures.scripted import Core, Venue, trading_with, until

from .made import ACCOUNT, INFO, LIMITS, ORDER, TRADE, execution_report, told
from .test_facts import KEY, PEM, replacement


def answer(asked, **changes):
    params = asked["params"]
    name = params.get("newClientOrderId") or params.get("origClientOrderId")
    result = ORDER | {"clientOrderId": name} | changes
    return {"id": asked["id"], "status": 200, "result": result, "rateLimits": LIMITS}


def error(asked, code, words="", status=400, **more):
    return {"id": asked["id"], "status": status, "error": {"code": code, "msg": words} | more}


class Spot(Venue):
    """A Spot that answers as it does where a test says nothing else; the account's events come by its WebSocket API."""

    prefix = "/api"
    info = INFO

    def __init__(self):
        super().__init__()
        self.subscriptions = []  # of each: the method
        self.refused = None
        for method in ("order.place", "order.status"):
            self.answers[method] = answer
        self.answers["order.cancel"] = lambda asked: answer(
            asked,
            clientOrderId="x",
            origClientOrderId=asked["params"]["origClientOrderId"],
            status="CANCELED",
        )
        self.answers["userDataStream.subscribe.signature"] = self._subscribe
        self.answers["userDataStream.subscribe"] = self._subscribe
        self.rest_answers["GET account"] = lambda _request: ACCOUNT
        self.rest_answers["GET openOrders"] = lambda _request: []

    @staticmethod
    def trading_of(config, api_url, _user_url, signer, http, handlers, **more):
        return trading_of(config, api_url, signer, http, handlers, **more)

    def _subscribe(self, asked):
        self.subscriptions.append(asked["method"])
        if self.refused is not None:
            return error(asked, *self.refused)
        return {"id": asked["id"], "status": 200, "result": {"subscriptionId": 0}, "rateLimits": LIMITS}

    async def _ws_api(self, request):
        # Events go to the sockets that have subscribed.
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        self.sockets.append(socket)
        async for message in socket:
            asked = json.loads(message.data)
            method, params = asked["method"], asked.get("params", {})
            if method == "session.logon":
                status, body = self.logon
                await socket.send_json({"id": asked["id"], "status": status} | body)
                continue
            if method.startswith("userDataStream"):
                self.users.append(socket)
            else:
                self._note(method, params)
            result = self.answers[method](asked)
            if asyncio.iscoroutine(result):
                result = await result
            if result is not None and not socket.closed:
                await socket.send_str(json.dumps(result))
        return socket


@pytest.fixture
def core(monkeypatch):
    """Has what balances are told."""
    funds = []
    handlers = Core.handlers

    def with_funds(self):
        return msgspec.structs.replace(handlers(self), on_funds=funds.append)

    monkeypatch.setattr(Core, "handlers", with_funds)
    return funds


def place(request, client_id="a1", tif=c.GTX):
    return Submit(request, client_id, "BTCUSDT", c.BUY, c.LIMIT, tif, 8_000_000, 100)


async def ended(core, request):
    await until(lambda: core.outcome(request) is not None, "the outcome")
    return core.outcome(request)


@pytest.mark.parametrize("has_session", [False, True])
async def test_one_is_let_in_by_a_signed_subscription_or_by_a_logon(has_session):
    venue = Spot()
    signer = Ed25519Signer(KEY, PEM) if has_session else None
    async with trading_with(venue, countdown_s=0, signer=signer) as (trading, core):
        ways = ["userDataStream.subscribe"] if has_session else ["userDataStream.subscribe.signature"]
        assert venue.subscriptions == ways and core.connections == [True]
        trading.send(place(1))
        assert (await ended(core, 1)).kind == CONFIRMED
        assert ("signature" in venue.requests[0][1]) is not has_session
        assert venue.requests[0][1]["type"] == "LIMIT_MAKER"
        assert trading.is_up


async def test_a_subscription_that_is_refused_is_tried_again():
    venue = Spot()
    venue.refused = (-1000, "not now")
    async with trading_with(venue, countdown_s=0, wait=False) as (_, core):
        await until(lambda: len(venue.subscriptions) >= 2, "another try")
        assert core.connections == []
        venue.refused = None
        await until(lambda: core.connections == [True], "the connection")


async def test_events_of_orders_balances_and_transfers_are_told(core):
    venue = Spot()
    async with trading_with(venue, countdown_s=0) as (_, known):
        await venue.tell(execution_report())
        await venue.tell(
            told({"e": "outboundAccountPosition", "E": 2, "u": 1, "B": [{"a": "BTC", "f": "1.5", "l": "0"}]})
        )
        await venue.tell(told({"e": "balanceUpdate", "E": 2, "a": "BTC", "d": "0.5", "T": 3}))
        await until(lambda: known.reports and len(core) == 2, "all three")
        assert known.reports[0].client_id == "a1"
        assert core == [
            Funds("BTC", Decimal("1.5"), Decimal(0), 10**6),
            Transfer("BTC", Decimal("0.5"), 3 * 10**6),
        ]


async def test_a_subscription_that_is_over_is_made_again():
    venue = Spot()
    async with trading_with(venue, countdown_s=0) as (trading, known):
        await venue.tell(told({"e": "eventStreamTerminated", "E": 1}))
        await until(lambda: len(venue.subscriptions) == 2 and trading.is_up, "another subscription")
        assert known.connections == [True, False, True]


async def test_before_a_planned_end_there_are_other_connections_already():
    venue = Spot()
    async with trading_with(venue, countdown_s=0) as (trading, known):
        before = list(venue.sockets)
        for socket in before:
            await socket.send_json({"event": {"e": "serverShutdown", "E": 1}})
        await until(lambda: len(venue.sockets) == 4 and len(venue.subscriptions) == 2, "others")
        await until(lambda: trading._sender.socket is not None, "the socket")
        trading.send(place(1))
        assert (await ended(known, 1)).kind == CONFIRMED
        assert known.connections == [True], "nothing was missed meanwhile"
        assert trading.counts["planned_ends"] == 1


async def test_a_key_that_is_taken_back_ends_the_session():
    venue = Spot()
    async with trading_with(venue, countdown_s=0, signer=Ed25519Signer(KEY, PEM)) as (_, _known):
        revoked = {"id": None, "status": 401, "error": {"code": -2015, "msg": "Invalid API-key"}}
        before = len(venue.sockets)
        for socket in list(venue.sockets):
            await socket.send_json(revoked)
        await until(lambda: len(venue.sockets) >= before + 2, "other connections")


async def test_a_change_is_a_replacement_and_both_its_halves_are_told():
    venue = Spot()
    venue.answers["order.cancelReplace"] = lambda asked: {
        "id": asked["id"],
        "status": 200,
        "result": replacement(),
        "rateLimits": LIMITS,
    }
    async with trading_with(venue, countdown_s=0) as (trading, core):
        trading.send(Modify(1, "a1", "55471195855", "BTCUSDT", c.BUY, 8_000_000, 80, c.GTX, 20))
        outcome = await ended(core, 1)
        assert (outcome.kind, outcome.report.exch_order_id) == (CONFIRMED, "55471195856")
        assert outcome.former.exch_order_id == "55471195855"
        venue.answers["order.cancelReplace"] = lambda asked: error(
            asked,
            -2021,
            "partly",
            409,
            data=replacement(new="FAILURE", made={"code": -2010, "msg": "immediately match"}),
        )
        trading.send(Modify(2, "a1", "55471195855", "BTCUSDT", c.BUY, 8_000_000, 80, c.GTX, 20))
        outcome = await ended(core, 2)
        assert (outcome.kind, outcome.reason, outcome.former is None) == (REFUSED, c.REASON_POST_ONLY, False)


async def test_rest_stands_in_for_the_socket_and_says_the_same():
    venue = Spot()
    failed = {
        "code": -2021,
        "msg": "partly",
        "data": replacement(new="FAILURE", made={"code": -2010, "msg": "no"}),
    }
    venue.rest_answers["POST order/cancelReplace"] = lambda _request: web.json_response(failed, status=409)
    venue.rest_answers["POST order"] = lambda request: (
        ORDER | {"clientOrderId": request.query["newClientOrderId"]}
    )
    venue.rest_answers["DELETE order"] = lambda request: (
        ORDER
        | {
            "clientOrderId": "x",
            "origClientOrderId": request.query["origClientOrderId"],
            "status": "CANCELED",
        }
    )
    async with trading_with(venue, countdown_s=0, order_path="rest") as (trading, core):
        trading.send(place(1))
        assert (await ended(core, 1)).kind == CONFIRMED
        trading.send(Modify(2, "a1", "", "BTCUSDT", c.BUY, 8_000_100, 100, c.GTX, 0))
        outcome = await ended(core, 2)
        assert (outcome.kind, outcome.former is not None) == (REFUSED, True)
        trading.send(Cancel(3, "a1", "", "BTCUSDT"))
        assert (await ended(core, 3)).report.status == c.CANCELED


async def test_what_was_counted_is_believed_and_a_timeout_is_unknown():
    venue = Spot()
    limits = [("weight_1m", 6000, 60 * 10**9), ("orders_10s", 100, 10 * 10**9)]
    async with trading_with(venue, countdown_s=0, limits=limits) as (trading, core):
        trading.send(place(1))
        await ended(core, 1)
        assert trading._limiter.statistics(1)["weight_1m"]["used"] >= 546
        venue.answers["order.place"] = lambda asked: error(asked, -1007, "Timeout", 504)
        trading.send(place(2, "a2"))
        assert (await ended(core, 2)).kind == UNKNOWN


async def test_the_account_is_asked_for_orders_fills_and_balances():
    venue = Spot()
    asked = []

    def trades(request):
        asked.append(dict(request.query))
        return [TRADE | {"time": int(request.query["startTime"]) + 1}]

    venue.rest_answers["GET myTrades"] = trades
    venue.rest_answers["GET openOrders"] = lambda _request: [
        ORDER | {"updateTime": 1},
        ORDER | {"symbol": "NOPE"},
    ]
    async with trading_with(venue, countdown_s=0) as (trading, _core):
        (order,) = await trading.open_orders()
        assert order.client_id == "a1"
        funds = await trading.funds()
        assert [one.asset for one in funds] == ["BTC", "USDT"]
        assert await trading.holdings() == []
        now_ns = trading._offset.corrected_ns(0)
        fills = await trading.executions("BTCUSDT", max(0, now_ns))
        assert {(one.client_id, one.fee_asset) for one in fills} == {("a1", "BTC")}
        assert all(int(one["endTime"]) - int(one["startTime"]) < 86_400_000 for one in asked)


async def test_an_account_that_may_not_trade_ends_the_connector():
    venue = Spot()
    venue.rest_answers["GET account"] = lambda _request: ACCOUNT | {"canTrade": False}
    async with trading_with(venue, countdown_s=0, wait=False) as (trading, _core):
        with pytest.raises(ConfigError, match="may not trade"):
            await trading.run()
