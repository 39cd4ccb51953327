"""The trading side against a scripted COIN-M: what is otherwise than at USD-M."""

import json

import pytest

from daemon.messages import BY_REPLY, CONFIRMED, REFUSED, UNKNOWN, Modify, Submit
from daemon.session.trading import incoming
from daemon.venues.binancecoinm.session import trading_of
from hftd import constants as c
from tests.daemon.venues.binancefutures.scripted import Venue, trading_with, until

from .made import INFO, ORDER, QUARTER, UNTOLD_LIMITS, position, user_order


def answer(asked, **changes):
    params = asked["params"]
    name = params.get("newClientOrderId") or params.get("origClientOrderId")
    return {
        "id": asked["id"],
        "status": 200,
        "result": ORDER | {"clientOrderId": name} | changes,
        "rateLimits": UNTOLD_LIMITS,
    }


def error(asked, code, words=""):
    return {
        "id": asked["id"],
        "status": 400,
        "error": {"code": code, "msg": words},
        "rateLimits": UNTOLD_LIMITS,
    }


class CoinM(Venue):
    """A COIN-M whose streams are on one path, and that answers as it does where a test says nothing else."""

    prefix = "/dapi"
    user_path = ""
    trading_of = staticmethod(trading_of)

    def __init__(self):
        super().__init__()
        self.info = INFO
        self.answers["order.place"] = answer
        self.answers["order.modify"] = answer
        self.rest_answers["PUT listenKey"] = lambda _request: {"listenKey": f"listenkey{self.listen_keys}"}


def place(request, client_id="a1", tif=c.GTX):
    return Submit(request, client_id, "BTCUSD_PERP", c.BUY, c.LIMIT, tif, 431_870, 100)


async def ended(core, request):
    await until(lambda: core.outcome(request) is not None, "the outcome")
    return core.outcome(request)


async def test_an_order_is_confirmed_by_an_answer_whose_limits_are_not_told_and_the_next_one_passes():
    venue = CoinM()
    async with trading_with(venue, limits=[("weight_1m", 2400, 60 * 10**9)]) as (trading, core):
        for request in (1, 2, 3):
            trading.send(place(request, f"a{request}"))
            outcome = await ended(core, request)
            assert outcome.kind == CONFIRMED and outcome.report.source == BY_REPLY
        sent = venue.requests[0]
        assert (sent[0], sent[1]["quantity"], sent[1]["price"]) == ("order.place", "100", "43187.0")
        limits = trading._limiter.statistics(1)
        assert limits["weight_1m"]["limit"] == 2400, "as exchangeInfo has it, not -1"
        assert "ws_weight_1m" not in limits


async def test_an_extension_that_answers_with_the_same_key_changes_nothing_and_another_key_is_connected_anew():
    venue = CoinM()
    async with trading_with(venue, extend_every_s=0.05) as (trading, core):
        put = []
        venue.rest_answers["PUT listenKey"] = lambda _request: put.append(1) or {"listenKey": "listenkey1"}
        await until(lambda: len(put) >= 2, "two extensions")
        assert venue.user_keys == ["listenkey1"] and core.connections == [True]
        venue.rest_answers["PUT listenKey"] = lambda _request: {"listenKey": "another"}
        await until(lambda: len(venue.user_keys) >= 2, "another connection")
        venue.rest_answers["PUT listenKey"] = lambda _request: {}
        await until(lambda: trading._user.is_up and core.connections[-1], "the connection")


async def test_a_listen_key_that_connects_and_stays_silent_is_given_up_for_another(monkeypatch):
    monkeypatch.setattr(incoming, "FIRST_EVENT_S", 0.2)
    venue = CoinM()
    async with trading_with(venue) as (trading, core):
        trading.send(place(1))
        assert (await ended(core, 1)).kind == CONFIRMED
        await until(lambda: venue.user_keys[:2] == ["listenkey1", "listenkey2"], "another key")
        assert trading.counts["user_stream_silent"] == 1


@pytest.mark.parametrize("way", ["error", "event"])
async def test_a_post_only_order_that_would_cross_is_refused_at_once_or_taken_and_expires(way):
    venue = CoinM()
    if way == "error":
        venue.answers["order.place"] = lambda asked: error(asked, -5022, "could not be executed as maker")
    async with trading_with(venue) as (trading, core):
        trading.send(place(1))
        outcome = await ended(core, 1)
        if way == "error":
            assert (outcome.kind, outcome.reason) == (REFUSED, c.REASON_POST_ONLY)
            return
        assert outcome.kind == CONFIRMED
        await venue.tell(user_order(x="NEW", X="NEW"))
        await venue.tell(user_order(x="EXPIRED", X="EXPIRED"))
        await until(lambda: len(core.reports) == 2, "both events")
        assert [(one.status, one.reason) for one in core.reports] == [
            (c.NEW, 0),
            (c.EXPIRED, c.REASON_POST_ONLY),
        ]


async def test_a_change_has_both_values_and_may_be_answered_with_an_order_that_it_cancelled():
    venue = CoinM()
    venue.answers["order.modify"] = lambda asked: answer(asked, status="CANCELED", executedQty="30")
    async with trading_with(venue) as (trading, core):
        trading.send(place(1))
        await ended(core, 1)
        trading.send(Modify(2, "a1", "", "BTCUSD_PERP", c.BUY, 431_880, 30))
        outcome = await ended(core, 2)
        sent = venue.requests[-1][1]
        assert (sent["price"], sent["quantity"], sent["side"]) == ("43188.0", "30", "BUY")
        assert outcome.kind == CONFIRMED
        assert (outcome.report.status, outcome.report.cum_lots) == (c.CANCELED, 30)


@pytest.mark.parametrize("code", [-4188, -5028])
async def test_either_number_of_the_engines_time_window_samples_the_clock_again(code):
    venue = CoinM()
    venue.answers["order.place"] = lambda asked: error(asked, code, "Timestamp")
    async with trading_with(venue) as (trading, core):
        before = venue.times_asked
        trading.send(place(1))
        outcome = await ended(core, 1)
        assert (outcome.kind, outcome.reason) == (REFUSED, c.REASON_EXCHANGE)
        await until(lambda: venue.times_asked > before, "another sample")


async def test_a_request_that_the_socket_can_not_read_has_no_number_and_its_fate_is_unknown():
    venue = CoinM()
    refused = {"id": None, "status": 400, "error": {"code": -1000, "msg": "Invalid JSON request."}}
    venue.answers["order.place"] = lambda _asked: json.dumps(refused)
    async with trading_with(venue) as (trading, core):
        trading.send(place(1))
        assert (await ended(core, 1)).kind == UNKNOWN


async def test_the_dead_man_switch_is_set_by_symbol_and_answered_in_text():
    venue = CoinM()
    async with trading_with(venue, countdown_s=7, countdown_every_s=0.1) as (trading, core):
        trading.send(place(1))
        await ended(core, 1)
        await until(lambda: len(venue.countdowns) >= 2, "two refreshes")
        assert venue.countdowns[0] == ("BTCUSD_PERP", 7000)
        assert trading.counts["countdown_failures"] == 0


async def test_a_position_in_a_contract_that_is_not_listed_as_trading_is_asked_for_by_its_coin():
    venue = CoinM()
    asked, flat = [], [position("ETHUSD_261225", "0")]

    def positions(request):
        asked.append(dict(request.query).get("marginAsset"))
        if asked[-1] == "ETH":
            return [position("ETHUSD_261225", "5")]
        return [position("BTCUSD_PERP", "-7"), *flat]

    venue.rest_answers["GET positionRisk"] = positions
    async with trading_with(venue) as (trading, _core):
        assert {one.symbol: one.qty_lots for one in await trading.holdings()} == {
            "BTCUSD_PERP": -7,
            "ETHUSD_261225": 0,
        }
        assert asked == [None], "all contracts trade: one question has them all"
        flat.clear()
        held = {one.symbol: one.qty_lots for one in await trading.holdings()}
        assert asked == [None, None, "ETH"], "whatever is known of its status so far"
        assert held == {"BTCUSD_PERP": -7, "ETHUSD_261225": 5}
        venue.info = INFO | {"symbols": [INFO["symbols"][0], QUARTER | {"contractStatus": "DELIVERING"}]}
        await trading.instruments()
        held = {one.symbol: one.qty_lots for one in await trading.holdings()}
        assert asked == [None, None, "ETH", None, "ETH"]
        assert held == {"BTCUSD_PERP": -7, "ETHUSD_261225": 5}
        venue.info = INFO | {"symbols": [INFO["symbols"][0]]}
        await trading.instruments()
        await trading.holdings()
        assert asked[-1] is None, "it has been delivered"


async def test_a_position_in_a_contract_that_neither_answer_lists_is_not_told():
    venue = CoinM()
    venue.rest_answers["GET positionRisk"] = lambda request: (
        [] if "marginAsset" in request.query else [position("BTCUSD_PERP", "-7")]
    )
    async with trading_with(venue) as (trading, _core):
        told = {one.symbol: one.is_told for one in await trading.holdings()}
        assert told == {"BTCUSD_PERP": True, "ETHUSD_261225": False}
        venue.info = INFO | {"symbols": [INFO["symbols"][0]]}
        await trading.instruments()
        told = {one.symbol: one.is_told for one in await trading.holdings()}
        assert told == {"BTCUSD_PERP": True}, "what has been delivered is flat"
