import asyncio
import json

import msgspec
import pytest
import structlog
from aiohttp import web

from daemon.messages import CONFIRMED, UNTOLD
from daemon.session.trading import account as trading_module
from daemon.session.trading import incoming
from daemon.venues.binance.signing import make_signer
from hftd import constants as c
from hftd.clock import running_ns
from hftd.errors import ConfigError

from .conftest import API_KEY, SECRET
from .scripted import Venue, place, trading_with, until
from .test_account import INFO
from .test_orders import ORDER
from .test_signing import PEM
from .test_user import FILL, event_of


async def test_user_events_become_reports_holdings_and_balances():
    venue = Venue()
    async with trading_with(venue) as (_trading, core):
        await venue.tell(event_of(**FILL).decode())
        await venue.tell(
            {
                "e": "ACCOUNT_UPDATE",
                "E": 9,
                "T": 8,
                "a": {"B": [{"a": "USDT", "wb": "5"}], "P": [{"s": "BTCUSDT", "pa": "1"}]},
            }
        )
        await until(lambda: core.balances, "the balance")
        assert core.reports[0].execution.trade_id == "77" and core.holdings[0].qty_lots == 1000


async def test_nonsense_on_the_user_stream_is_counted_and_the_stream_goes_on():
    venue = Venue()
    async with trading_with(venue) as (trading, core):
        for text in (
            "",
            "{",
            '{"e":"ORDER_TRADE_UPDATE","o":{}}',
            '{"e":"NEW_KIND"}',
            event_of(s="XUSDT").decode(),
        ):
            await venue.tell(text)
        await venue.tell(event_of().decode())
        await until(lambda: core.reports, "the report")
        assert trading.counts["unreadable"] == 4 and trading.counts["other_events"] == 1
        assert len(venue.users) == 1 and core.connections == [True]


async def test_a_margin_call_is_a_warning_for_a_while(monkeypatch):
    venue = Venue()
    async with trading_with(venue) as (trading, _core):
        assert list(trading.warnings()) == []
        await venue.tell({"e": "MARGIN_CALL", "E": 9, "cw": "3.1", "p": [{"s": "BTCUSDT", "ps": "BOTH"}]})
        await until(lambda: [one.key for one in trading.warnings()] == ["margin_call"], "the warning")
        monkeypatch.setattr(incoming, "MARGIN_SHOWN_NS", 1)
        assert list(trading.warnings()) == []


async def test_a_fault_in_handling_one_event_does_not_end_the_stream():
    venue = Venue()
    async with trading_with(venue) as (trading, core):
        trading._incoming._handlers = msgspec.structs.replace(
            trading._incoming._handlers, on_holding=lambda holding: 1 / 0
        )
        await venue.tell({"e": "ACCOUNT_UPDATE", "E": 9, "T": 8, "a": {"P": [{"s": "BTCUSDT", "pa": "1"}]}})
        await venue.tell(event_of().decode())
        await until(lambda: core.reports, "the report")
        assert trading.counts["failed_events"] == 1


async def test_an_expired_listen_key_is_replaced_and_the_core_told_to_ask():
    venue = Venue()
    async with trading_with(venue) as (_trading, core):
        await venue.tell({"e": "listenKeyExpired", "E": 1, "listenKey": "listenkey1"})
        await until(lambda: core.connections == [True, False, True], "the reconnect")
        assert venue.user_keys == ["listenkey1", "listenkey2"]


async def test_a_user_stream_that_breaks_is_made_again():
    venue = Venue()
    async with trading_with(venue) as (_trading, core):
        await venue.users[0].close()
        await until(lambda: core.connections == [True, False, True], "the reconnect")


async def test_the_listen_key_is_extended_and_a_dead_one_replaced():
    venue = Venue()
    async with trading_with(venue, extend_every_s=0.1) as (_trading, _core):
        await until(lambda: len(venue.extensions) >= 2, "extensions")
        venue.rest_answers["PUT listenKey"] = lambda request: web.json_response(
            {"code": -1125, "msg": "This listenKey does not exist."}, status=400
        )
        await until(lambda: len(venue.users) >= 2, "another stream")
        assert venue.user_keys[:2] == ["listenkey1", "listenkey2"]


async def test_a_user_stream_is_replaced_before_the_exchange_ends_it_without_a_gap():
    venue = Venue()
    async with trading_with(venue, life_s=0.5) as (_trading, core):
        await until(lambda: len(venue.users) >= 2, "another stream")
        assert not venue.users[0].closed and core.connections == [True]


async def test_a_user_stream_that_is_silent_about_a_confirmed_order_is_made_again(monkeypatch):
    monkeypatch.setattr(incoming, "FIRST_EVENT_S", 0.2)
    venue = Venue()
    async with trading_with(venue) as (trading, _core):
        trading.send(place(1))
        await until(lambda: len(venue.users) >= 2, "another stream")
        assert trading.counts["user_stream_silent"] == 1


@pytest.mark.parametrize(
    ("at_s", "is_counted", "is_silent"), [(0.15, False, True), (0.15, True, False), (-1.0, False, False)]
)
async def test_fills_that_the_user_stream_did_not_tell_make_it_anew_once(
    monkeypatch, at_s, is_counted, is_silent
):
    for name in ("_MISSED_AFTER_NS", "_SURELY_UP_NS"):
        monkeypatch.setattr(trading_module, name, 50_000_000)
    venue, times = Venue(), []
    fill = {"symbol": "BTCUSDT", "id": 8, "orderId": 5, "side": "BUY", "price": "1", "qty": "1"}
    venue.rest_answers["GET userTrades"] = lambda request: [fill | {"time": times[0]}]
    venue.rest_answers["GET order"] = lambda request: {"clientOrderId": "hftd-x", "symbol": "BTCUSDT"}
    async with trading_with(venue) as (trading, _core):
        times.append(trading._offset.corrected_ms(running_ns()) + int(at_s * 1000))
        await asyncio.sleep(0.3)
        for _ in range(2):
            found = await trading.executions("BTCUSDT", 0, lambda *_trade: is_counted)
            assert [one.trade_id for one in found] == ["8"]
            await until(lambda: len(venue.users) == 1 + is_silent and trading._user.is_up, "the stream")
        assert trading.counts["user_stream_silent"] == is_silent


async def test_a_lost_order_socket_alone_is_no_disconnection_while_rest_stands_in():
    venue = Venue()
    async with trading_with(venue) as (trading, core):
        venue.is_ws_refused = True
        await venue.sockets[0].close()
        await until(lambda: trading._sender.socket is None, "the loss")
        trading.send(place(1))
        await until(lambda: core.outcome(1), "the outcome")
        assert core.outcome(1).kind == CONFIRMED and core.connections == [True]


async def test_without_rest_a_lost_order_socket_is_a_disconnection():
    venue = Venue()
    async with trading_with(venue, is_rest_fallback=False) as (_trading, core):
        await venue.sockets[0].close()
        await until(lambda: core.connections == [True, False, True], "the reconnect")


async def test_the_countdown_is_refreshed_while_all_is_well_and_left_to_run_out_otherwise():
    venue, health = Venue(), [True]
    async with trading_with(venue, countdown_s=7, countdown_every_s=0.1, is_healthy=lambda: health[0]) as (
        trading,
        _core,
    ):
        await asyncio.sleep(0.2)
        assert venue.countdowns == []
        trading.send(place(1))
        await until(lambda: len(venue.countdowns) >= 3, "refreshes")
        assert set(venue.countdowns) == {("BTCUSDT", 7000)}
        health[0] = False
        await asyncio.sleep(0.15)
        count = len(venue.countdowns)
        await asyncio.sleep(0.3)
        assert len(venue.countdowns) == count
        health[0] = True
        await until(lambda: len(venue.countdowns) > count, "another refresh")
        await trading.countdown("BTCUSDT", 0)
        assert venue.countdowns[-1] == ("BTCUSDT", 0)
        count = len(venue.countdowns)
        await asyncio.sleep(0.3)
        assert len(venue.countdowns) == count


async def test_hedge_mode_is_refused_with_a_hint():
    venue = Venue()
    venue.is_hedge = True
    async with trading_with(venue, wait=False) as (trading, _core):
        with pytest.raises(ConfigError, match="hedge"):
            await trading.run()


@pytest.mark.parametrize("code", [-2014, -2015, -1022])
async def test_a_key_that_the_exchange_does_not_take_ends_with_one_message(code):
    venue = Venue()
    venue.rest_answers["GET positionSide/dual"] = lambda request: web.json_response(
        {"code": code, "msg": f"bad key {API_KEY}"}, status=401
    )
    async with trading_with(venue, wait=False) as (trading, _core):
        with pytest.raises(ConfigError) as caught:
            await trading.run()
        assert API_KEY not in str(caught.value)


async def test_the_exchange_is_waited_for_at_the_start():
    venue = Venue()
    answers = iter([web.Response(status=503), web.Response(status=200, text="{"), None])
    venue.rest_answers["GET exchangeInfo"] = lambda request: next(answers, None)
    async with trading_with(venue) as (_trading, core):
        assert core.connections == [True]


async def test_an_ed25519_key_logs_the_socket_on_and_requests_carry_no_signature():
    pytest.importorskip("cryptography")
    venue = Venue()
    async with trading_with(venue, signer=make_signer(API_KEY, PEM)) as (trading, core):
        trading.send(place(1))
        await until(lambda: core.outcome(1), "the outcome")
        assert "signature" not in venue.requests[0][1] and "apiKey" not in venue.requests[0][1]
        venue.answers["order.place"] = lambda asked: {
            "id": asked["id"],
            "status": 401,
            "error": {"code": -2015, "msg": "x"},
        }
        trading.send(place(2))
        await until(lambda: len(venue.sockets) == 2, "another logon")


async def test_a_refused_logon_leaves_orders_to_rest_and_is_tried_again():
    pytest.importorskip("cryptography")
    venue = Venue()
    venue.logon = (400, {"error": {"code": -1021, "msg": "time"}})
    async with trading_with(venue, signer=make_signer(API_KEY, PEM), wait=False) as (trading, core):
        await until(lambda: len(venue.sockets) >= 3 and core.connections == [True], "logons")
        trading.send(place(1))
        await until(lambda: core.outcome(1), "the outcome")
        assert venue.requests[0][0] == "POST order"
        venue.logon = (200, {})
        await until(lambda: trading._sender.socket is not None, "the logon")


async def test_secrets_are_in_no_log_and_no_repr():
    venue = Venue()
    with structlog.testing.capture_logs() as logs:
        async with trading_with(venue) as (trading, _core):
            key = "listenkey1"
            await venue.tell({"e": "ACCOUNT_UPDATE", "a": [key, API_KEY]})
            await venue.sockets[0].send_str(
                f'{{"id":null,"status":400,"error":{{"code":-1,"msg":"{API_KEY} {key}"}}}}'
            )
            await venue.sockets[0].send_str(f'{{"id":1,"x":"{API_KEY}","signature":"abcdef"}}')
            await until(
                lambda: trading.counts["unreadable"] == 2 and trading.counts["late_replies"] == 1,
                "the errors",
            )
            venue.rest_answers["POST listenKey"] = lambda request: web.Response(
                status=400, text=f"no {API_KEY}"
            )
            await venue.users[0].close()
            venue.is_ws_refused = True
            await venue.sockets[0].close()
            await until(
                lambda: trading.user_supervision.failures >= 2 and trading.orders_supervision.failures >= 2,
                "failures",
            )
            text = " ".join(map(repr, (trading, trading._rest, trading._user, trading._signer)))
    shown = json.dumps(logs, default=repr) + text
    assert len(logs) >= 5
    for secret in (API_KEY, SECRET, "listenkey1", "abcdef"):
        assert secret not in shown


async def test_what_the_account_is_asked_over_rest():
    venue = Venue()
    order = {
        "orderId": 5,
        "symbol": "BTCUSDT",
        "status": "NEW",
        "clientOrderId": "hftd-x",
        "price": "1.0",
        "origQty": "1",
        "executedQty": "0",
        "side": "BUY",
    }
    trades = [
        {"symbol": "BTCUSDT", "id": 8, "orderId": 5, "side": "BUY", "price": "1", "qty": "1", "time": 0},
        {"symbol": "BTCUSDT", "id": 9, "orderId": 6, "side": "BUY", "price": "1", "qty": "1", "time": 0},
        {"symbol": "BTCUSDT", "id": 10, "orderId": 7, "side": "BUY", "price": "1", "qty": "1", "time": 0},
    ]
    venue.rest_answers["GET openOrders"] = lambda request: [
        order,
        order | {"symbol": "FOREIGN", "clientOrderId": "web_1"},
    ]

    def trade_page(request):
        start = int(request.query["startTime"])
        return [one | {"time": start + index} for index, one in enumerate(trades)]

    venue.rest_answers["GET userTrades"] = trade_page

    def one_order(request):
        if request.query["orderId"] == "6":
            return order | {"orderId": 6, "clientOrderId": "hftd-y"}
        return web.json_response({"code": -2013, "msg": "Order does not exist."}, status=400)

    venue.rest_answers["GET order"] = one_order
    async with trading_with(venue) as (trading, _core):
        from hftd.clock import wall_ns

        assert [one.client_id for one in await trading.open_orders()] == ["hftd-x"]
        executions = await trading.executions("BTCUSDT", wall_ns() - 10**9)
        assert [(one.trade_id, one.client_id) for one in executions] == [
            ("8", "hftd-x"),
            ("9", "hftd-y"),
            ("10", UNTOLD),
        ]
        assert await trading.holdings() == [] and await trading.balances() == []
        venue.rest_answers["GET commissionRate"] = lambda request: {
            "symbol": "BTCUSDT",
            "makerCommissionRate": "0.0002",
            "takerCommissionRate": "0.0004",
        }
        assert (await trading.commission("BTCUSDT")).maker == 0.0002
        await trading.cancel_all("BTCUSDT")
        assert [one.symbol for one in await trading.instruments()] == ["BTCUSDT"]
        venue.rest_answers["GET openOrders"] = lambda request: [order | {"price": "nan"}]
        assert await trading.open_orders() == []
        assert [(one.key, one.symbol) for one in trading.warnings()] == [("set_aside", "BTCUSDT")]
        assert trading.statistics()["set_aside_open_order"] == 2


async def test_a_symbol_that_the_exchange_knows_no_more_and_an_odd_fill_are_set_aside():
    venue = Venue()
    good = {"symbol": "BTCUSDT", "id": 8, "orderId": 5, "side": "BUY", "price": "1", "qty": "1", "time": 0}
    fills = [good, good | {"id": 9, "qty": "0.0001"}, good | {"id": 10, "side": "HOLD"}]

    def trade_page(request):
        if request.query["symbol"] == "GONEUSDT":
            return web.json_response({"code": -1121, "msg": "Invalid symbol."}, status=400)
        return [one | {"time": int(request.query["startTime"])} for one in fills]

    venue.rest_answers["GET userTrades"] = trade_page
    # Whose order it is, is known even if the order itself can't be taken over.
    venue.rest_answers["GET order"] = lambda request: {"clientOrderId": "hftd-x", "symbol": "BTCUSDT"}
    async with trading_with(venue) as (trading, _core):
        from hftd.clock import wall_ns

        for _ in range(2):
            found = await trading.executions("BTCUSDT", wall_ns() - 10**9)
            assert [(one.trade_id, one.client_id) for one in found] == [("8", "hftd-x")]
            assert await trading.executions("GONEUSDT", wall_ns() - 10**9) == []
        assert {one.symbol for one in trading.warnings()} == {"BTCUSDT", "GONEUSDT"}
        assert trading.statistics()["set_aside_fill"] == 2, "each once, however often it is listed"
        assert trading.catalog.instruments["BTCUSDT"].trouble == "set_aside"


async def test_questions_are_asked_again_after_a_failure_and_a_wrong_clock():
    venue = Venue()
    answers = iter(
        [
            web.Response(status=502),
            web.json_response(
                {"code": -1021, "msg": "Timestamp for this request is outside of the recvWindow."}, status=400
            ),
        ]
    )
    venue.rest_answers["GET openOrders"] = lambda request: next(answers, None)
    async with trading_with(venue) as (trading, _core):
        before = venue.times_asked
        assert await trading.open_orders() == []
        assert venue.times_asked == before + 1


async def test_a_ban_over_rest_lasts_as_long_as_it_says():
    venue = Venue()
    venue.rest_answers["GET openOrders"] = lambda request: web.json_response(
        {"code": -1003, "msg": "Way too many requests"}, status=418, headers={"Retry-After": "120"}
    )
    async with trading_with(venue) as (trading, core):
        with pytest.raises(Exception, match=r"bans this address"):
            await trading.open_orders()
        trading.send(place(1))
        assert core.outcome(1).reason == c.REASON_RATE_LIMIT


async def test_before_and_after_its_run_nothing_is_sent():
    venue = Venue()
    venue.is_hedge = True
    async with trading_with(venue, wait=False) as (trading, core):
        trading.send(place(1))
        assert core.outcome(1).reason == c.REASON_DISCONNECTED
    async with trading_with(Venue()) as (trading, core):
        pass
    trading.send(place(1))
    assert core.outcome(1).reason == c.REASON_DISCONNECTED


async def test_an_instrument_keeps_its_number_when_the_list_changes():
    venue = Venue()
    async with trading_with(venue) as (trading, _core):
        new = INFO["symbols"][0] | {"symbol": "AAVEUSDT"}
        venue.rest_answers["GET exchangeInfo"] = lambda request: INFO | {"symbols": [new, *INFO["symbols"]]}
        assert {one.symbol: one.number for one in await trading.instruments()} == {
            "BTCUSDT": 0,
            "AAVEUSDT": 1,
        }


async def test_the_countdown_is_kept_for_orders_of_an_earlier_run():
    venue = Venue()
    venue.rest_answers["GET openOrders"] = lambda request: [ORDER | {"clientOrderId": "hftd-x"}]
    async with trading_with(venue) as (trading, _core):
        await trading.open_orders()
        await until(lambda: venue.countdowns, "the countdown")


async def test_a_fault_in_handling_one_outcome_does_not_end_the_socket():
    venue = Venue()
    async with trading_with(venue) as (trading, core):
        handlers = trading._incoming._handlers
        trading._incoming._handlers = msgspec.structs.replace(handlers, on_outcome=lambda outcome: 1 / 0)
        trading.send(place(1))
        await until(lambda: trading.counts["failed_events"] == 1, "the fault")
        trading._incoming._handlers = handlers
        trading.send(place(2))
        await until(lambda: core.outcome(2), "the outcome")
        assert len(venue.sockets) == 1
