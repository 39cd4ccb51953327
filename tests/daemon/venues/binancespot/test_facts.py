"""What Spot's messages mean."""

import contextlib
import json
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemon.messages import (
    BY_QUERY,
    CONFIRMED,
    REFUSED,
    UNKNOWN,
    Cancel,
    Funds,
    Modify,
    Query,
    Submit,
    Transfer,
)
from daemon.session.catalog import steps_of
from daemon.session.errors import OddItemError, RequestError, WireError
from daemon.session.facts import AccessExpired, Leaving, Other
from daemon.session.trading.incoming import outcome_of_reply
from daemon.venues.binance.instruments import read_exchange_info
from daemon.venues.binance.signing import Ed25519Signer, HmacSigner
from daemon.venues.binancespot.config import BinanceSpotConfig
from daemon.venues.binancespot.facts import REST, LoginFacts, OrderFacts
from daemon.venues.binancespot.orders import read_reply
from daemon.venues.binancespot.user import read_account, read_commission, read_event, read_trades
from hftd import constants as c

from .made import ACCOUNT, BTC, INFO, LIMITS, ORDER, STEPS, TRADE, execution_report, told

KEY = "vmPUZE6mv9SD5VNHk4HlWFsOr6aKE2zvsw0MuIgwCIPy6utIco14y7Ju91duEh8A"
SECRET = "NhqPtmdSJYdKjVHjA7PZj4Mge3R5YNiP1e3UZjInClVN65XAbvqqM6A7H5fATj0j"
PEM = (
    "-----BEGIN PRIVATE KEY-----\n"
    "MC4CAQAwBQYDK2VwBCIEIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f\n"
    "-----END PRIVATE KEY-----\n"
)
FACTS = OrderFacts(STEPS)
STEP = STEPS["BTCUSDT"]
PLACE = Submit(1, "a1", "BTCUSDT", c.BUY, c.LIMIT, c.GTC, 8_000_000, 100)


def body(value) -> bytes:
    return json.dumps(value).encode()


def written(command, facts=FACTS, signer=None):
    return json.loads(
        facts.writer(signer or HmacSigner(KEY, SECRET), 5000).request(command, STEP, 1645423376532)
    )


# ---- requests


@pytest.mark.parametrize(
    ("tif", "order_type", "expected"),
    [
        (c.GTC, c.LIMIT, {"type": "LIMIT", "timeInForce": "GTC", "price": "80000.00"}),
        (c.IOC, c.LIMIT, {"type": "LIMIT", "timeInForce": "IOC", "price": "80000.00"}),
        (c.FOK, c.LIMIT, {"type": "LIMIT", "timeInForce": "FOK", "price": "80000.00"}),
        (c.GTX, c.LIMIT, {"type": "LIMIT_MAKER", "price": "80000.00"}),
        (c.IOC, c.MARKET, {"type": "MARKET"}),
    ],
)
def test_post_only_is_a_type_without_a_time_in_force(tif, order_type, expected):
    command = Submit(1, "a1", "BTCUSDT", c.SELL, order_type, tif, 8_000_000, 100)
    asked = written(command)
    assert asked["method"] == "order.place" and asked["id"] == 1
    params = {key: asked["params"].get(key) for key in ("type", "timeInForce", "price")}
    assert {key: value for key, value in params.items() if value is not None} == expected
    assert (asked["params"]["quantity"], asked["params"]["newOrderRespType"]) == ("0.00100", "RESULT")
    method, path, rest = FACTS.rest_request(command, STEP)
    assert (method, path) == ("POST", "/api/v3/order")
    assert dict(rest).items() <= asked["params"].items()


def test_parameters_are_signed_sorted_by_name_and_as_they_are():
    asked = written(PLACE)["params"]
    signature = asked.pop("signature")
    payload = "&".join(f"{key}={asked[key]}" for key in sorted(asked))
    assert HmacSigner(KEY, SECRET).sign(payload) == signature
    assert "signature" not in written(PLACE, signer=Ed25519Signer(KEY, PEM))["params"]


def test_a_reduction_keeps_its_place_and_its_name_and_any_other_change_is_a_replacement():
    less = Modify(2, "a1", "9", "BTCUSDT", c.BUY, 8_000_000, 60, c.GTX, 20, is_reduction=True)
    asked = written(less)
    assert asked["method"] == "order.amend.keepPriority"
    assert (
        asked["params"].items()
        >= {"origClientOrderId": "a1", "newClientOrderId": "a1", "newQty": "0.00060"}.items()
    )
    other = Modify(3, "a1", "9", "BTCUSDT", c.BUY, 8_000_100, 60, c.GTX, 20)
    asked = written(other, OrderFacts(STEPS, "EXPIRE_TAKER"))
    assert asked["method"] == "order.cancelReplace"
    expected = {
        "cancelOrigClientOrderId": "a1",
        "cancelReplaceMode": "STOP_ON_FAILURE",
        "newClientOrderId": "a1",
        "type": "LIMIT_MAKER",
        "price": "80001.00",
        "quantity": "0.00040",
        "selfTradePreventionMode": "EXPIRE_TAKER",
    }
    assert asked["params"].items() >= expected.items()
    assert FACTS.rest_request(less, STEP)[:2] == ("PUT", "/api/v3/order/amend/keepPriority")
    assert FACTS.rest_request(other, STEP)[:2] == ("POST", "/api/v3/order/cancelReplace")


def test_cancels_and_questions_name_the_order_by_our_id_else_by_the_exchanges():
    assert written(Cancel(1, "a1", "9", "BTCUSDT"))["params"]["origClientOrderId"] == "a1"
    asked = written(Query(1, "", "9", "BTCUSDT"))
    assert asked["method"] == "order.status" and asked["params"]["orderId"] == "9"
    assert FACTS.rest_request(Cancel(1, "a1", "", "BTCUSDT"), STEP) == (
        "DELETE",
        "/api/v3/order",
        [("symbol", "BTCUSDT"), ("origClientOrderId", "a1")],
    )


@pytest.mark.parametrize(
    "command",
    [
        Submit(1, "a 1", "BTCUSDT", c.BUY, c.LIMIT, c.GTC, 1, 1),
        Cancel(1, "", "x", "BTCUSDT"),
        Modify(1, "a1", "", "BTCUSDT", c.BUY, 5, 20, c.GTC, 20),
    ],
)
def test_what_can_not_be_sent_is_refused_here(command):
    with pytest.raises(RequestError):
        written(command)


def test_the_signatures_are_those_of_the_documentation():
    signer = HmacSigner(KEY, SECRET)
    message = json.loads(LoginFacts(has_session=False).login(signer, 1747385641636)[1])
    assert message["method"] == "userDataStream.subscribe.signature"
    assert (
        message["params"]["signature"] == "681110a6057ad58657af22f5640fab9dd17418834cdfccdc81be8b0f7b2cde3e"
    )
    signed = LoginFacts(has_session=True)
    message = json.loads(signed.login(Ed25519Signer(KEY, PEM), 1649729878532)[1])
    assert message["method"] == "session.logon"
    assert message["params"]["signature"] == (
        "OIe2IwMR3NP+oRgf/Hbo4Wf1DQyOmGvT5NrO+vm69t5WJn7jxvFQvS6nRtYpyFgebeGilE89v0rBSxL5N7EhCA=="
    )
    assert [json.loads(one[1])["method"] for one in signed.topics()] == ["userDataStream.subscribe"]
    assert LoginFacts(has_session=False).topics() == ()


# ---- answers


def outcome(command, answer):
    return outcome_of_reply(FACTS, command, read_reply(body(answer)), STEPS)


def test_an_answer_is_the_order_and_what_was_counted():
    answer = {"id": 1, "status": 200, "result": ORDER | {"type": "LIMIT_MAKER"}, "rateLimits": LIMITS}
    found = outcome(PLACE, answer)
    assert (found.kind, found.report.status, found.report.time_in_force) == (CONFIRMED, c.NEW, c.GTX)
    assert found.exch_ns == 1768635167519 * 10**6
    assert read_reply(body(answer)).counts() == {"orders_10s": 1, "orders_1d": 2, "weight_1m": 546}


def test_a_cancel_has_an_id_of_its_own_and_is_about_the_order():
    answer = ORDER | {
        "clientOrderId": "4wACYCgVtUwAAgAAAAAA",
        "origClientOrderId": "a1",
        "status": "CANCELED",
    }
    found = outcome(Cancel(1, "a1", "", "BTCUSDT"), {"id": 1, "status": 200, "result": answer})
    assert (found.kind, found.report.client_id, found.report.status) == (CONFIRMED, "a1", c.CANCELED)


def replacement(cancel="SUCCESS", new="SUCCESS", cancelled=None, made=None):
    gone = ORDER | {
        "clientOrderId": "x",
        "origClientOrderId": "a1",
        "status": "CANCELED",
        "executedQty": "0.0002",
    }
    there = ORDER | {"orderId": 55471195856, "origQty": "0.0006", "type": "LIMIT_MAKER"}
    return {
        "cancelResult": cancel,
        "newOrderResult": new,
        "cancelResponse": cancelled or gone,
        "newOrderResponse": there if made is None else made,
    }


MODIFY = Modify(3, "a1", "55471195855", "BTCUSDT", c.BUY, 8_000_000, 80, c.GTX, 20)


def test_a_replacement_is_the_new_order_and_the_one_that_ended():
    found = outcome(MODIFY, {"id": 3, "status": 200, "result": replacement()})
    assert found.kind == CONFIRMED
    assert (found.report.exch_order_id, found.report.qty_lots) == ("55471195856", 60)
    assert (found.former.exch_order_id, found.former.status, found.former.cum_lots) == (
        "55471195855",
        c.CANCELED,
        20,
    )


@pytest.mark.parametrize("way", ["ws", "rest"])
@pytest.mark.parametrize(
    ("status", "code", "data", "kind", "reason", "has_former"),
    [
        (
            400,
            -2022,
            replacement("FAILURE", "NOT_ATTEMPTED", {"code": -2011, "msg": "Unknown order sent."}, None),
            REFUSED,
            c.REASON_UNKNOWN_ORDER,
            False,
        ),
        (
            409,
            -2021,
            replacement(
                new="FAILURE", made={"code": -2010, "msg": "Order would immediately match and take."}
            ),
            REFUSED,
            c.REASON_POST_ONLY,
            True,
        ),
        (
            409,
            -2021,
            replacement(
                new="FAILURE", made={"code": -2010, "msg": "Account has insufficient balance for .."}
            ),
            REFUSED,
            c.REASON_MARGIN,
            True,
        ),
        (409, -2021, replacement(new="FAILURE", made={"code": -1007, "msg": "Timeout"}), UNKNOWN, 0, False),
        (409, -2021, {}, UNKNOWN, 0, False),
    ],
)
def test_a_replacement_that_fails_says_which_half(way, status, code, data, kind, reason, has_former):
    error = {"code": code, "msg": "Order cancel-replace failed.", "data": data}
    if way == "ws":
        found = outcome(MODIFY, {"id": 3, "status": status, "error": error})
    else:
        found = FACTS.outcome_of_error(MODIFY, status, REST.error_of(status, body(error)))
    assert (found.kind, found.reason, found.former is not None) == (kind, reason, has_former)


def test_a_reduction_is_answered_with_the_order_as_it_is():
    command = Modify(2, "a1", "9", "BTCUSDT", c.BUY, 8_000_000, 60, c.GTC, 0, is_reduction=True)
    amended = {key: ORDER[key] for key in ORDER if key not in ("origQty", "transactTime")}
    amended |= {"qty": "0.00060000", "origClientOrderId": "a1", "cumulativeQuoteQty": "0"}
    result = {"transactTime": 1768635167520, "executionId": 5, "amendedOrder": amended}
    found = outcome(command, {"id": 2, "status": 200, "result": result})
    assert (found.kind, found.report.qty_lots, found.report.exch_ns) == (CONFIRMED, 60, 1768635167520 * 10**6)


@pytest.mark.parametrize(
    ("status", "code", "words", "kind", "reason"),
    [
        (400, -2010, "Account has insufficient balance for requested action.", REFUSED, c.REASON_MARGIN),
        (400, -2010, "Order would immediately match and take.", REFUSED, c.REASON_POST_ONLY),
        (400, -2010, "Duplicate order sent.", REFUSED, c.REASON_DUPLICATE),
        (400, -2010, "Market is closed.", REFUSED, c.REASON_NOT_TRADING),
        (400, -2010, "This symbol is not permitted for this account.", REFUSED, c.REASON_PERMISSION),
        (400, -2010, "Something else.", REFUSED, c.REASON_EXCHANGE),
        (400, -1013, "Filter failure: LOT_SIZE", REFUSED, c.REASON_FILTER),
        (400, -2038, "Order amend (quantity increase) is not supported.", REFUSED, c.REASON_FILTER),
        (400, -2011, "Unknown order sent.", REFUSED, c.REASON_UNKNOWN_ORDER),
        (400, -2013, "Order does not exist.", REFUSED, c.REASON_UNKNOWN_ORDER),
        (400, -1015, "Too many new orders", REFUSED, c.REASON_RATE_LIMIT),
        (429, -1003, "Too much request weight used", REFUSED, c.REASON_RATE_LIMIT),
        (503, -1008, "Server is currently overloaded", REFUSED, c.REASON_RATE_LIMIT),
        (400, -2015, "Invalid API-key, IP, or permissions for action.", REFUSED, c.REASON_PERMISSION),
        (504, -1007, "Timeout waiting for response", UNKNOWN, 0),
        (500, -1000, "An unknown error occurred", UNKNOWN, 0),
        (502, 0, "", UNKNOWN, 0),
    ],
)
def test_each_error_is_refused_for_its_reason_or_unknown(status, code, words, kind, reason):
    found = outcome(PLACE, {"id": 1, "status": status, "error": {"code": code, "msg": words}})
    assert (found.kind, found.reason, found.code) == (kind, reason, code)


@pytest.mark.parametrize(
    ("status", "tif", "reason"),
    [
        ("EXPIRED", "FOK", c.REASON_FOK),
        ("EXPIRED", "IOC", c.REASON_EXPIRED),
        ("EXPIRED", "GTC", c.REASON_NONE),
        ("EXPIRED_IN_MATCH", "GTC", c.REASON_SELF_TRADE),
        ("CANCELED", "IOC", c.REASON_NONE),
    ],
)
def test_an_answer_with_an_order_that_has_ended_says_why_where_its_terms_do(status, tif, reason):
    report = outcome(
        PLACE, {"id": 1, "status": 200, "result": ORDER | {"status": status, "timeInForce": tif}}
    ).report
    assert report.reason == reason


def test_what_the_exchange_says_of_the_connection_is_no_answer():
    reply = read_reply(body({"event": {"e": "serverShutdown", "E": 1770123456789}}))
    assert reply.is_last and reply.id is None
    revoked = read_reply(
        body({"id": None, "status": 401, "error": {"code": -2015, "msg": "Invalid API-key"}})
    )
    assert not revoked.is_last and revoked.status == 401


# ---- events


def event(message, odd=None):
    return read_event(body(message), STEPS, odd)


def test_an_execution_has_its_fee_in_whatever_asset():
    fill = execution_report(
        x="TRADE",
        X="PARTIALLY_FILLED",
        l="0.00040000",
        z="0.00040000",
        L="79999.99",
        n="0.00000040",
        N="BTC",
        t=7,
        m=True,
    )
    (report,) = event(fill)
    execution = report.execution
    assert (report.status, report.cum_lots, report.qty_lots) == (c.PARTIALLY_FILLED, 40, 100)
    assert (execution.trade_id, execution.qty_lots, execution.price_tick) == ("7", 40, 7_999_999)
    assert (execution.fee, execution.fee_asset, execution.is_maker) == (0.0000004, "BTC", True)
    assert report.exch_ns == 1768640962930 * 10**6


@pytest.mark.parametrize(
    ("changes", "client_id", "status", "reason", "tif"),
    [
        ({}, "a1", c.NEW, 0, c.GTC),
        ({"o": "LIMIT_MAKER"}, "a1", c.NEW, 0, c.GTX),
        ({"x": "REPLACED", "C": "a1", "q": "0.0005"}, "a1", c.NEW, 0, c.GTC),
        ({"x": "CANCELED", "X": "CANCELED", "c": "web_9", "C": "a1"}, "a1", c.CANCELED, 0, c.GTC),
        ({"x": "TRADE_PREVENTION", "X": "EXPIRED_IN_MATCH"}, "a1", c.EXPIRED, c.REASON_SELF_TRADE, c.GTC),
        (
            {"x": "EXPIRED", "X": "EXPIRED", "f": "IOC", "eR": "UNFILLED_IOC_QUANTITY_EXPIRED"},
            "a1",
            c.EXPIRED,
            c.REASON_EXPIRED,
            c.IOC,
        ),
        (
            {"x": "EXPIRED", "X": "EXPIRED", "f": "FOK", "eR": "UNFILLED_FOK_ORDER_EXPIRED"},
            "a1",
            c.EXPIRED,
            c.REASON_FOK,
            c.FOK,
        ),
        (
            {"x": "EXPIRED", "X": "EXPIRED", "eR": "EXECUTION_RULE_PRICE_RANGE_EXCEEDED"},
            "a1",
            c.EXPIRED,
            c.REASON_FILTER,
            c.GTC,
        ),
        (
            {"x": "REJECTED", "X": "REJECTED", "r": "INSUFFICIENT_BALANCES"},
            "a1",
            c.REJECTED,
            c.REASON_MARGIN,
            c.GTC,
        ),
    ],
)
def test_an_orders_event_is_its_state_by_the_orders_own_id(changes, client_id, status, reason, tif):
    (report,) = event(execution_report(**changes))
    assert (report.client_id, report.status, report.reason) == (client_id, status, reason)
    assert (report.time_in_force, report.execution) == (tif, None)


def test_balances_and_transfers_are_exact():
    assert event(
        told(
            {
                "e": "outboundAccountPosition",
                "E": 2,
                "u": 1,
                "B": [{"a": "BTC", "f": "0.00012672", "l": "8.10"}],
            }
        )
    ) == [Funds("BTC", Decimal("0.00012672"), Decimal("8.10"), 10**6)]
    assert event(told({"e": "balanceUpdate", "E": 2, "a": "BTC", "d": "-100.5", "T": 1})) == [
        Transfer("BTC", Decimal("-100.5"), 10**6)
    ]


def test_the_ends_of_a_subscription_and_of_a_connection_are_told_apart():
    assert event(told({"e": "eventStreamTerminated", "E": 1})) == [AccessExpired()]
    assert event({"event": {"e": "serverShutdown", "E": 1}}) == [Leaving()]
    assert event({"id": None, "status": 401, "error": {"code": -2015, "msg": ""}}) == [AccessExpired()]
    assert event({"id": "x", "status": 200, "result": {}}) == [Other("answer")]
    assert event(told({"e": "listStatus", "E": 1, "g": 3})) == [Other("listStatus")]


def test_one_odd_balance_does_not_spoil_the_others():
    odd = []
    items = [{"a": "BTC", "f": "nan", "l": "0"}, {"a": "ETH", "f": "1", "l": "0"}]
    (funds,) = event(told({"e": "outboundAccountPosition", "E": 2, "u": 1, "B": items}), odd)
    assert funds.asset == "ETH" and len(odd) == 1


def test_an_order_that_can_not_be_taken_over_is_named():
    with pytest.raises(OddItemError):
        event(execution_report(s="NOPE"))
    odd, ended = FACTS.odd_of_event(body(execution_report(s="NOPE", c="x", C="a1")), "why")
    assert [(one.what, one.client_id) for one in odd] == [("open order", "a1")] and ended == ""
    _, ended = FACTS.odd_of_event(body(execution_report(s="NOPE", x="CANCELED", X="CANCELED")), "why")
    assert ended == "55472337221"


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(),
        lambda x: st.lists(x) | st.dictionaries(st.sampled_from("eEsBaflXiq") | st.text(), x),
    )
)
def test_whatever_comes_is_read_or_set_aside(value):
    for message in (value, told(value) if isinstance(value, dict) else value):
        with contextlib.suppress(WireError):
            read_event(body(message), STEPS, [])


@given(st.integers(0, 10**9), st.integers(0, 10**9), st.integers(0, 100), st.booleans())
def test_amounts_come_through_without_a_rounding(price, qty, fee, is_maker):
    texts = {"p": f"{price / 100:.8f}", "q": f"{qty * 0.00001:.8f}"}
    lots = round(qty)
    (report,) = event(
        execution_report(
            x="TRADE",
            X="FILLED",
            l=texts["q"],
            z=texts["q"],
            L=texts["p"],
            n=f"{fee / 10**8:.8f}",
            N="BNB",
            t=1,
            m=is_maker,
            **texts,
        )
    )
    assert (report.qty_lots, report.price_tick) == (lots, price)
    if lots:
        assert Decimal(str(report.execution.fee)) == Decimal(fee) / 10**8


# ---- the account


def test_the_account_its_fills_and_fees_are_read():
    funds, may_trade = read_account(body(ACCOUNT))
    assert may_trade and funds[0] == Funds(
        "BTC", Decimal("0.50000000"), Decimal("0.10000000"), 1768635167000 * 10**6
    )
    odd = []
    (trade,) = read_trades(body([TRADE, {"symbol": "BTCUSDT"}]), odd)
    assert (trade.side, trade.maker, trade.commissionAsset, len(odd)) == ("BUY", False, "BTC", 1)
    rates = {"maker": "0.00100000", "taker": "0.00110000", "buyer": "0", "seller": "0"}
    found = read_commission(
        body(
            {
                "symbol": "BTCUSDT",
                "standardCommission": rates,
                "taxCommission": {"maker": "0.0001", "taker": "0"},
            }
        )
    )
    assert (found.maker, found.taker) == (0.0011, 0.0011)


def test_an_instrument_is_a_pair_of_assets_and_may_have_any_letters():
    info = read_exchange_info(body(INFO), is_spot=True)
    one, other = info.instruments
    assert (one.is_spot, one.replaces, one.min_notional, one.market_max_qty_lots) == (
        True,
        True,
        5.0,
        10_000_000,
    )
    assert (one.base, one.quote, one.lot_size) == ("BTC", "USDT", BTC.lot_size)
    assert other.symbol == "币安人生USDT"
    place = Submit(1, "a1", other.symbol, c.BUY, c.LIMIT, c.GTC, 1, 1)
    request = FACTS.writer(HmacSigner(KEY, SECRET), 5000).request(place, steps_of([other])[other.symbol], 1)
    assert json.loads(request)["params"]["symbol"] == other.symbol
    assert info.limits["orders_1d"] == (200_000, 86_400 * 10**9)


@pytest.mark.parametrize("changes", [{"status": "HALT"}, {"isSpotTradingAllowed": False}])
def test_what_is_not_traded_is_there_and_says_so(changes):
    symbols = [INFO["symbols"][0] | changes]
    (one,) = read_exchange_info(body(INFO | {"symbols": symbols}), is_spot=True).instruments
    assert not one.is_trading and one.trouble


def test_an_old_order_is_unknown_and_a_listed_one_is_read():
    answer = {"id": 1, "status": 400, "error": {"code": -2026, "msg": "archived"}}
    assert outcome(Query(1, "a1", "", "BTCUSDT"), answer).reason == c.REASON_UNKNOWN_ORDER
    report = FACTS.read_order(body(ORDER | {"updateTime": 5}), STEPS, BY_QUERY)
    assert report.exch_ns == 5 * 10**6


# ---- configuration


def test_the_testnet_is_meant_unless_another_host_is_named():
    config = BinanceSpotConfig()
    assert config.market_url() == "wss://stream.testnet.binance.vision/stream?timeUnit=MICROSECOND"
    assert config.orders_url() == "wss://ws-api.testnet.binance.vision/ws-api/v3"
    assert not hasattr(config, "countdown_s"), "there is no switch to be set"
    mainnet = BinanceSpotConfig(
        stream_url="wss://stream.binance.com:9443/ws",
        api_url="https://api2.binance.com",
        time_unit="milliseconds",
    )
    assert mainnet.market_url() == "wss://stream.binance.com:9443/stream"
    assert mainnet.orders_url() == "wss://ws-api.binance.com:443/ws-api/v3"
    data_only = BinanceSpotConfig(
        stream_url="wss://data-stream.binance.vision", api_url="https://data-api.binance.vision"
    )
    assert data_only.orders_url() == ""


@pytest.mark.parametrize(
    "keys",
    [
        {"api_url": "https://fapi.binance.com"},
        {"stream_url": "wss://dstream.binance.com"},
        {"api_url": "https://api.binance.com"},
        {"api_url": "https://demo-api.binance.com"},
        {"ws_api_url": "wss://ws-api.binance.com:443/ws-api/v3"},
    ],
)
def test_addresses_of_another_product_or_environment_are_refused(keys):
    with pytest.raises(ValueError, match=r"another product|one environment"):
        BinanceSpotConfig(**keys)
