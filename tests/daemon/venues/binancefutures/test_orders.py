import json

import pytest

from daemon.messages import BY_QUERY, BY_REPLY, CONFIRMED, REFUSED, UNKNOWN, Cancel, Query, Submit
from daemon.session.errors import WireError
from daemon.session.facts import Error
from daemon.session.trading.incoming import outcome_of_reply
from daemon.venues.binance.orders import (
    outcome_of_error,
    outcome_of_order,
    read_error,
    read_orders,
    read_reply,
    read_reply_id,
)
from daemon.venues.binancefutures.facts import ORDERS
from hftd import constants as c

ORDER = {
    "orderId": 325078477,
    "symbol": "BTCUSDT",
    "status": "NEW",
    "clientOrderId": "a1",
    "price": "43187.00",
    "origQty": "0.100",
    "executedQty": "0.000",
    "cumQty": "0.000",
    "timeInForce": "GTC",
    "type": "LIMIT",
    "reduceOnly": False,
    "closePosition": False,
    "side": "BUY",
    "positionSide": "BOTH",
    "stopPrice": "0.00",
    "workingType": "CONTRACT_PRICE",
    "priceProtect": False,
    "origType": "LIMIT",
    "priceMatch": "NONE",
    "selfTradePreventionMode": "NONE",
    "goodTillDate": 0,
    "updateTime": 1702555534435,
}
PLACE = Submit(7, "a1", "BTCUSDT", c.BUY, c.LIMIT, c.GTC, 431870, 100)


def reply_of(**changes):
    reply = {
        "id": 7,
        "status": 200,
        "result": ORDER,
        "rateLimits": [
            {"rateLimitType": "ORDERS", "interval": "SECOND", "intervalNum": 10, "limit": 300, "count": 1},
            {
                "rateLimitType": "REQUEST_WEIGHT",
                "interval": "MINUTE",
                "intervalNum": 1,
                "limit": 2400,
                "count": 9,
            },
            {"rateLimitType": "NEW_KIND", "interval": "MINUTE", "intervalNum": 1, "limit": 2400, "count": 9},
        ],
    } | changes
    return read_reply(json.dumps(reply).encode())


def test_an_acknowledged_order_is_confirmed_with_its_state(steps):
    outcome = outcome_of_reply(ORDERS, PLACE, reply_of(), steps)
    assert (outcome.request, outcome.kind, outcome.exch_ns) == (7, CONFIRMED, 1702555534435 * 10**6)
    report = outcome.report
    assert (report.source, report.client_id, report.exch_order_id) == (BY_REPLY, "a1", "325078477")
    assert (report.status, report.price_tick, report.qty_lots, report.cum_lots) == (c.NEW, 431870, 100, 0)
    assert (report.side, report.order_type, report.time_in_force) == (c.BUY, c.LIMIT, c.GTC)


def test_the_counts_of_a_reply_are_read_and_the_two_pools_of_weight_kept_apart():
    assert reply_of().counts() == {"orders_10s": 1, "ws_weight_1m": 9}


def test_a_question_is_answered_by_a_report_of_that_source(steps):
    outcome = outcome_of_order(Query(1, "a1", "", "BTCUSDT"), json.dumps(ORDER).encode(), steps)
    assert outcome.kind == CONFIRMED and outcome.report.source == BY_QUERY


@pytest.mark.parametrize(
    "result",
    [
        ORDER | {"clientOrderId": "another"},
        ORDER | {"symbol": "ETHUSDT"},
        ORDER | {"symbol": "NEWUSDT"},
        ORDER | {"status": "PONDERING"},
        ORDER | {"side": "HOLD"},
        ORDER | {"price": "43187.05"},
        ORDER | {"origQty": "1e30"},
        ORDER | {"orderId": 2**70},
        ORDER | {"updateTime": 10**40},
        ORDER | {"updateTime": "x"},
        {},
        [],
        None,
        "x",
    ],
)
def test_a_success_that_can_not_be_read_or_is_about_another_order_is_unknown(steps, result):
    assert outcome_of_reply(ORDERS, PLACE, reply_of(result=result), steps).kind == UNKNOWN


CODES = [
    (-2011, c.REASON_UNKNOWN_ORDER),
    (-2013, c.REASON_UNKNOWN_ORDER),
    (-5022, c.REASON_POST_ONLY),
    (-5021, c.REASON_FOK),
    (-2022, c.REASON_REDUCE_ONLY),
    (-2019, c.REASON_MARGIN),
    (-2018, c.REASON_MARGIN),
    (-2027, c.REASON_MARGIN),
    (-4014, c.REASON_FILTER),
    (-4023, c.REASON_FILTER),
    (-4164, c.REASON_FILTER),
    (-1111, c.REASON_FILTER),
    (-2025, c.REASON_FILTER),
    (-1015, c.REASON_RATE_LIMIT),
    (-1003, c.REASON_RATE_LIMIT),
    (-1008, c.REASON_RATE_LIMIT),
    (-4116, c.REASON_DUPLICATE),
    (-5024, c.REASON_NOT_TRADING),
    (-1021, c.REASON_EXCHANGE),
    (-1022, c.REASON_PERMISSION),
    (-2015, c.REASON_PERMISSION),
    (-5028, c.REASON_EXCHANGE),
    (-5027, c.REASON_EXCHANGE),
    (-5043, c.REASON_EXCHANGE),
    (-9999, c.REASON_EXCHANGE),
]


@pytest.mark.parametrize(("code", "reason"), CODES)
def test_each_error_code_has_its_reason(code, reason):
    outcome = outcome_of_error(PLACE, 400, Error(code, "words"))
    assert (outcome.kind, outcome.reason) == (REFUSED, reason)
    assert str(code) in outcome.message and "words" in outcome.message


@pytest.mark.parametrize("code", [-1000, -1001, -1006, -1007])
@pytest.mark.parametrize("status", [400, 408, 500, 503])
def test_what_the_exchange_does_not_know_is_unknown(code, status):
    assert outcome_of_error(PLACE, status, Error(code, "Timeout waiting for response")).kind == UNKNOWN


def test_503_has_three_meanings():
    unknown = Error(-1, "Unknown error, please check your request or try again later.")
    assert outcome_of_error(PLACE, 503, Error(0, unknown.msg)).kind == UNKNOWN
    failed = outcome_of_error(PLACE, 503, Error(0, "Service Unavailable."))
    assert (failed.kind, failed.reason) == (REFUSED, c.REASON_EXCHANGE)
    assert outcome_of_error(PLACE, 503, Error(-1000, "Service Unavailable.")).kind == REFUSED
    assert outcome_of_error(PLACE, 503, Error(-1007, "Service Unavailable.")).kind == UNKNOWN
    throttled = outcome_of_error(PLACE, 503, Error(-1008, "Request throttled by system-level protection."))
    assert (throttled.kind, throttled.reason) == (REFUSED, c.REASON_RATE_LIMIT)


@pytest.mark.parametrize(
    ("status", "kind", "reason"),
    [
        (408, UNKNOWN, 0),
        (500, UNKNOWN, 0),
        (502, UNKNOWN, 0),
        (503, UNKNOWN, 0),
        (504, UNKNOWN, 0),
        (429, REFUSED, c.REASON_RATE_LIMIT),
        (418, REFUSED, c.REASON_RATE_LIMIT),
        (403, REFUSED, c.REASON_PERMISSION),
        (404, REFUSED, c.REASON_EXCHANGE),
        (302, UNKNOWN, 0),
        (200, UNKNOWN, 0),
    ],
)
def test_answers_without_a_code_are_judged_by_their_status(status, kind, reason):
    assert read_error(b"<html>Bad Gateway</html>") is None
    outcome = outcome_of_error(PLACE, status, None, "<html>")
    assert (outcome.kind, outcome.reason) == (kind, reason)


def test_a_refused_cancel_is_read_from_a_reply(steps):
    reply = reply_of(
        status=400, result=None, error={"code": -2011, "msg": "Unknown order sent.", "data": {"x": 1}}
    )
    outcome = outcome_of_reply(ORDERS, Cancel(7, "a1", "", "BTCUSDT"), reply, steps)
    assert (outcome.kind, outcome.reason) == (REFUSED, c.REASON_UNKNOWN_ORDER)


def test_a_ban_says_until_when():
    reply = reply_of(
        status=418, error={"code": -1003, "msg": "x", "data": {"serverTime": 1, "retryAfter": 1659146400000}}
    )
    assert reply.failure().retry_after_ms == 1659146400000
    for data in (None, 5, {"retryAfter": "x"}, {"retryAfter": 10**30}, []):
        assert (
            reply_of(status=418, error={"code": -1003, "msg": "x", "data": data}).failure().retry_after_ms
            == 0
        )


def test_the_id_of_an_otherwise_unreadable_reply_is_still_found():
    data = b'{"id":7,"status":"two hundred"}'
    with pytest.raises(WireError):
        read_reply(data)
    assert read_reply_id(data) == 7
    assert read_reply_id(b'{"id":7,"status"') is None


def test_one_order_of_a_list_that_can_not_be_read_does_not_hide_the_others(steps):
    orders = [
        ORDER,
        ORDER | {"status": "?", "clientOrderId": "x9"},
        5,
        ORDER | {"clientOrderId": "b2", "type": "MARKET"},
    ]
    reports, unread = read_orders(json.dumps(orders).encode(), steps)
    assert [one.client_id for one in reports] == ["a1", "b2"]
    assert [one.client_id for one in unread] == ["x9", ""]
    assert reports[1].order_type == c.MARKET
