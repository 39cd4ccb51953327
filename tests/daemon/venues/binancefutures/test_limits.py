"""What a user may rely on: cancels, halts and the dead-man switch find room whatever else goes on; bans are kept."""

import asyncio

import pytest
import structlog
from aiohttp import web

from daemon.connector.limiter import Limiter, Priority, RateLimit
from daemon.messages import CONFIRMED, REFUSED, Cancel, Query, Submit
from daemon.session.errors import BannedError, FateUnknownError, NotSentError
from daemon.session.trading.countdown import FIRST_S, Countdowns
from daemon.venues.binancefutures.facts import limits_of
from hftd import constants as c
from hftd.clock import running_ns

from .scripted import Venue, place, trading_with, until
from .test_account import INFO

MINUTE_NS = 60 * 10**9
LIMITS = [("weight_1m", 2400, MINUTE_NS, 600, 120), ("ws_weight_1m", 2400, MINUTE_NS, 600, 120)]


def withdraw(request, client_id="a1"):
    return Cancel(request, client_id, "", "BTCUSDT")


def ban(seconds=120):
    return lambda _request: web.json_response(
        {"code": -1003, "msg": "Way too many requests; IP banned"},
        status=418,
        headers={"Retry-After": str(seconds)},
    )


def used_up(limiter):
    """Everything that is regular, or of orders, has taken what it can."""
    for priority in (Priority.REGULAR, Priority.ORDERS):
        for name in ("weight_1m", "ws_weight_1m"):
            while limiter.take({name: 1}, running_ns(), priority) == 0:
                pass


async def test_five_hundred_cancels_go_at_once_when_the_ordinary_budget_is_used_up():
    venue = Venue()
    async with trading_with(venue, limits=LIMITS, countdown_s=0) as (trading, core):
        used_up(trading._limiter)
        for request in range(1, 501):
            trading.send(withdraw(request, f"a{request}"))
        assert trading._sender.sent_ws == 500
        assert trading._sender.refused_here == 0
        await until(lambda: len(core.outcomes) == 500, "the answers")


async def test_questions_about_orders_do_not_use_what_is_kept_for_cancels():
    venue = Venue()
    async with trading_with(venue, limits=LIMITS, countdown_s=0) as (trading, core):
        trading._limiter.set_limit(RateLimit("weight_1m", 400, MINUTE_NS, 100, 20))
        for request in range(1, 501):
            trading.send(Query(request, f"a{request}", "", "BTCUSDT"))
        assert trading._sender.sent_ws <= 300
        for request in range(501, 601):
            trading.send(withdraw(request, f"a{request}"))
        assert [one for one in core.outcomes if one.kind == REFUSED and one.request > 500] == []


async def test_in_a_ban_rest_is_quiet_cancels_go_by_websocket_and_new_orders_are_refused():
    venue = Venue()
    asked = []

    async def count(request):
        asked.append(request.path)
        return ban()(request)

    async with trading_with(venue) as (trading, core):
        trading.send(place(1))
        await until(lambda: core.outcome(1) and venue.countdowns, "the order and its countdown")
        for name in (
            "GET openOrders",
            "GET time",
            "POST countdownCancelAll",
            "PUT listenKey",
            "DELETE order",
        ):
            venue.rest_answers[name] = count
        with pytest.raises(BannedError):
            await trading.open_orders()
        for _ in range(3):
            with pytest.raises(NotSentError) as caught:
                await trading.open_orders()
            assert 100 < caught.value.wait_s <= 120
        trading.send(place(2, "a2"))
        assert core.outcome(2).reason == c.REASON_RATE_LIMIT
        trading.send(withdraw(3))
        await until(lambda: core.outcome(3), "the cancel")
        assert core.outcome(3).kind == CONFIRMED
        assert asked == ["/fapi/v1/openOrders"]
        # Streams stay up.
        assert core.connections == [True]
        assert len(venue.users) == 1


async def test_where_the_websocket_api_is_banned_too_the_connection_is_down_until_it_is_over():
    venue = Venue()
    venue.answers["order.cancel"] = lambda asked: {
        "id": asked["id"],
        "status": 418,
        "error": {"code": -1003, "msg": "banned", "data": {"retryAfter": 0}},
    }
    async with trading_with(venue) as (trading, core):
        trading._rest.quiet(3600, running_ns())
        await until(lambda: core.connections == [True, False], "the ban is told")
        trading.send(withdraw(2))
        assert core.outcome(2).reason == c.REASON_RATE_LIMIT
        trading._limiter._banned_until_ns = trading._limiter._ordinary_until_ns = running_ns()
        # Its end is a connection that comes up: upon that order management sends what it kept, cancels first.
        await until(lambda: core.connections == [True, False, True], "the end of the ban")


async def test_many_refusals_in_a_ban_are_few_lines_in_the_log():
    venue = Venue()
    venue.rest_answers["GET openOrders"] = ban()
    with structlog.testing.capture_logs() as logs:
        async with trading_with(venue, backoff_s=0.05, backoff_max_s=0.05) as (trading, _core):
            await asyncio.gather(*(trading.open_orders() for _ in range(20)), return_exceptions=True)
            await asyncio.sleep(0.5)
    assert len([one for one in logs if one["event"] == "address_banned"]) == 1
    assert len(logs) < 20


@pytest.mark.parametrize(
    ("words", "used", "allowed"),
    [
        ("Too many requests; current limit of IP(203.0.113.7) is 1200 requests per minute.", 3, 1200),
        ("Too much request weight used; current limit is 600 request weight per 1 MINUTE.", 3, 600),
        ("Too many requests", 1900, 1900),
        ("Too many requests", 2, 1200),
    ],
)
async def test_a_limit_that_the_exchange_lowered_is_kept(words, used, allowed):
    venue = Venue()
    venue.rest_answers["GET openOrders"] = lambda _request: web.json_response(
        {"code": -1003, "msg": words},
        status=429,
        headers={"Retry-After": "300", "X-MBX-USED-WEIGHT-1M": str(used)},
    )
    async with trading_with(venue, limits=LIMITS) as (trading, _core):
        trading._limiter.set_limit(RateLimit("weight_1m", 2400, MINUTE_NS, 600, 120))
        with pytest.raises(NotSentError):
            await trading.open_orders()
        assert trading._limiter.limit_of("weight_1m").limit == allowed
        assert trading.statistics()["limits_lowered"] == 1


@pytest.mark.parametrize("name", ["openOrders", "countdownCancelAll"])
async def test_a_page_instead_of_an_answer_is_a_failure_of_that_question(name):
    venue = Venue()
    for method in ("GET", "POST"):
        venue.rest_answers[f"{method} {name}"] = lambda _request: web.Response(text="<html>soon back</html>")
    async with trading_with(venue, countdown_s=1, countdown_every_s=0.1) as (trading, core):
        if name == "openOrders":
            with pytest.raises(Exception, match="no JSON"):
                await trading.open_orders()
        else:
            trading.send(place(1))
            await until(lambda: trading.counts["countdown_failures"], "the failure")
            assert trading.counts["countdowns"] == 0
            await until(lambda: [one.key for one in trading.warnings()] == ["countdown_late"], "the warning")
        assert core.connections == [True]


# The dead-man switch.


def many(count):
    symbols = [INFO["symbols"][0] | {"symbol": f"S{k:03}USDT"} for k in range(count)]
    return INFO | {"symbols": [*INFO["symbols"], *symbols]}


class Switches:
    """Countdowns in virtual time."""

    def __init__(self, monkeypatch, limit=2400, **more):
        self.now_ns = 10**9
        self.put_at = {}
        self.worst_s = 0.0
        self.offs = []
        self.fails = set()
        self.limiter = Limiter(list(limits_of("weight_1m", limit, MINUTE_NS)))
        monkeypatch.setattr("daemon.session.trading.countdown.monotonic_ns", lambda: self.now_ns)
        from collections import Counter

        settings = {"countdown_s": 120.0, "every_s": 30.0, "may_refresh": lambda: True} | more
        self.all = Countdowns(
            self.put, self.limiter, counts=Counter(), seed=1, limit="weight_1m", weight=10, **settings
        )

    async def put(self, symbol, ms):
        if symbol in self.fails:
            raise FateUnknownError("no answer")
        if ms == 0:
            self.offs.append(symbol)
            return
        assert self.limiter.take({"weight_1m": 10}, self.now_ns, Priority.URGENT) == 0
        self.worst_s = max(self.worst_s, (self.now_ns - self.put_at.get(symbol, self.now_ns)) / 1e9)
        self.put_at[symbol] = self.now_ns

    async def live(self, seconds):
        for _ in range(int(seconds * 4)):
            self.now_ns += 250_000_000
            self.all._start_due(self.now_ns)
            for _ in range(3):
                await asyncio.sleep(0)


async def test_as_many_symbols_as_there_is_room_for_are_all_refreshed_in_time_and_the_rest_keeps_its_share(
    monkeypatch,
):
    switches = Switches(monkeypatch)
    count = switches.all.capacity
    assert 150 <= count <= 170
    for k in range(count):
        assert switches.all.has_room()
        switches.all.watch([f"S{k}"])
    assert not switches.all.has_room()
    await switches.live(600)
    assert len(switches.put_at) == count
    assert switches.worst_s < 100
    assert max(switches.all.ages_s().values()) < 100
    assert list(switches.all.warnings()) == []
    # A reconciliation and a few snapshots have room at any time.
    assert switches.limiter.take({"weight_1m": 300}, switches.now_ns, Priority.REGULAR) == 0


async def test_one_symbol_is_refreshed_four_times_within_its_countdown(monkeypatch):
    switches = Switches(monkeypatch)
    switches.all.watch(["A"])
    await switches.live(300)
    assert switches.worst_s <= 31


async def test_a_symbol_whose_refreshes_fail_is_said_to_be_late_and_the_others_are_not(monkeypatch):
    switches = Switches(monkeypatch)
    switches.all.watch(["A", "B", "C"])
    await switches.live(40)
    switches.fails = {"B"}
    switches.all.watch(["D"])
    switches.fails.add("D")
    await switches.live(FIRST_S + 2)
    assert [(one.key, one.symbol) for one in switches.all.warnings()] == [("countdown_late", "D")]
    await switches.live(100)
    assert {one.symbol for one in switches.all.warnings()} == {"B", "D"}
    assert switches.worst_s <= 40
    switches.fails = set()
    await switches.live(20)
    assert list(switches.all.warnings()) == []


async def test_a_symbol_without_orders_for_long_is_let_go_and_switched_off_unless_somebody_has_orders_there(
    monkeypatch,
):
    switches = Switches(monkeypatch)
    switches.all.watch(["A", "B", "C"])
    for _ in range(5):
        await switches.live(60)
        switches.all.end_list(switches.all.begin_list(), {"A"}, {"A", "B"})
    await switches.live(5)
    assert switches.offs == ["C"]
    assert switches.all.watched == {"A", "B"}
    switches.all.watch(["C"])
    await switches.live(1)
    assert switches.now_ns - switches.put_at["C"] <= 10**9


async def test_an_order_placed_since_the_list_keeps_its_symbol(monkeypatch):
    switches = Switches(monkeypatch)
    switches.all.watch(["A"])
    for _ in range(5):
        await switches.live(60)
        switches.all.placed.add("A")
        switches.all.end_list(switches.all.begin_list(), set(), set())
    assert switches.offs == []


async def test_a_first_order_in_one_more_symbol_than_can_be_kept_is_refused_with_what_to_do():
    venue = Venue()
    venue.rest_answers["GET exchangeInfo"] = lambda _request: many(3)
    async with trading_with(venue, limits=LIMITS, countdown_s=1.5, countdown_every_s=0.4) as (trading, core):
        for request, symbol in enumerate(("BTCUSDT", "S000USDT", "S001USDT"), 1):
            trading.send(place(request, f"a{request}", symbol))
        await until(lambda: core.outcome(2), "the outcomes")
        assert (core.outcome(3).kind, core.outcome(3).reason) == (REFUSED, c.REASON_RATE_LIMIT)
        assert "dead-man switch of 2" in core.outcome(3).message
        # What only closes a position is never in the way of that.
        closing = Submit(4, "a4", "S001USDT", c.SELL, c.MARKET, c.GTC, 0, 100, reduce_only=True)
        trading.send(closing)
        await until(lambda: core.outcome(4), "the outcome")
        assert core.outcome(4).kind == CONFIRMED
