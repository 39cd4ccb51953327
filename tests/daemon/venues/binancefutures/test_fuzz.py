"""Whatever bytes come in, a parser gives values or one error of its own, never anything else."""

import json
from functools import partial

from hypothesis import given
from hypothesis import strategies as st

from daemon.messages import CONFIRMED, UNKNOWN, Outcome, Query, Report
from daemon.session.catalog import steps_of
from daemon.session.errors import WireError
from daemon.session.trading.incoming import outcome_of_reply
from daemon.venues.binance.account import (
    execution_of,
    read_balances,
    read_commission,
    read_holdings,
    read_is_hedge_mode,
    read_listen_key,
    read_server_time,
    read_trades,
)
from daemon.venues.binance.instruments import read_exchange_info
from daemon.venues.binance.orders import (
    outcome_of_error,
    outcome_of_order,
    read_error,
    read_orders,
    read_reply,
    read_reply_id,
)
from daemon.venues.binance.user import read_event
from daemon.venues.binancefutures.facts import ORDERS

from .conftest import BTC, ETH
from .test_account import INFO
from .test_orders import ORDER, PLACE
from .test_user import FILL
from .test_user import ORDER as EVENT_ORDER

STEPS = steps_of([BTC, ETH])
LITE = {
    "e": "TRADE_LITE",
    "E": 9,
    "T": 8,
    "s": "BTCUSDT",
    "q": "0.040",
    "p": "0",
    "m": False,
    "c": "cid",
    "S": "BUY",
    "L": "64089.20",
    "l": "0.040",
    "t": 109100866,
    "i": 8886774,
}
SAMPLES = [
    {"e": "ORDER_TRADE_UPDATE", "E": 1, "T": 1, "o": EVENT_ORDER | FILL},
    LITE,
    {
        "e": "ACCOUNT_UPDATE",
        "E": 9,
        "T": 8,
        "a": {"B": [{"a": "USDT", "wb": "1"}], "P": [{"s": "BTCUSDT", "pa": "1", "ep": "1", "ps": "BOTH"}]},
    },
    {"id": 7, "status": 200, "result": ORDER, "rateLimits": INFO["rateLimits"]},
    {
        "id": 7,
        "status": 400,
        "error": {"code": -2011, "msg": "Unknown order sent.", "data": {"retryAfter": 5}},
    },
    [ORDER, ORDER],
    INFO,
    [{"symbol": "BTCUSDT", "positionSide": "BOTH", "positionAmt": "1", "entryPrice": "1", "updateTime": 1}],
    [
        {
            "symbol": "BTCUSDT",
            "id": 9,
            "orderId": 2,
            "side": "SELL",
            "price": "1",
            "qty": "1",
            "commission": "1",
            "commissionAsset": "USDT",
            "time": 4,
            "maker": True,
        }
    ],
    [{"asset": "USDT", "balance": "1", "updateTime": 7}],
    {"symbol": "BTCUSDT", "makerCommissionRate": "0.1", "takerCommissionRate": "0.1"},
    {"listenKey": "abc"},
    {"serverTime": 5},
    {"dualSidePosition": True},
    ORDER,
]
nasty = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(allow_nan=False),
    st.text(max_size=30),
    st.sampled_from(
        [
            2**63,
            -(2**63) - 1,
            10**300,
            "1e999999999",
            "NaN",
            "-Infinity",
            "9" * 500,
            "1_000",
            "",
            "٣",
            [],
            {},
            "0x1F",
        ]
    ),
    st.lists(st.integers(), max_size=3),
    st.dictionaries(st.text(max_size=3), st.integers(), max_size=3),
)


@st.composite
def altered(draw):
    """A real message with one place of it changed, taken away or added to, or cut off, or with bytes changed."""
    sample = json.loads(json.dumps(draw(st.sampled_from(SAMPLES))))
    for _ in range(draw(st.integers(0, 2))):
        spot = sample
        while True:
            keys = list(spot) if isinstance(spot, dict) else list(range(len(spot)))
            if not keys:
                break
            key = draw(st.sampled_from(keys))
            if isinstance(spot[key], dict | list) and spot[key] and draw(st.booleans()):
                spot = spot[key]
                continue
            what = draw(st.integers(0, 3))
            if what == 0:
                del spot[key]
            elif what == 1 and isinstance(spot, dict):
                spot[draw(st.text(max_size=5))] = draw(nasty)
            else:
                spot[key] = draw(nasty)
            break
    data = bytearray(json.dumps(sample).encode())
    how = draw(st.integers(0, 5))
    if how == 0:
        del data[draw(st.integers(0, len(data))) :]
    elif how == 1 and data:
        data[draw(st.integers(0, len(data) - 1))] = draw(st.integers(0, 255))
    return bytes(data)


messages = st.one_of(altered(), st.binary(max_size=200))


def in_range(report):
    assert all(
        abs(one) < 2**63 for one in (report.price_tick, report.qty_lots, report.cum_lots, report.exch_ns)
    )


def read(reader, *args):
    try:
        return reader(*args)
    except WireError:
        return None


@given(messages)
def test_any_user_event_is_read_or_an_error(data):
    for value in read(read_event, data, STEPS) or []:
        if isinstance(value, Report):
            in_range(value)


@given(messages)
def test_any_reply_ends_a_command_in_one_of_its_three_ways(data):
    reply = read(read_reply, data)
    if reply is None:
        assert read_reply_id(data) is None or isinstance(read_reply_id(data), int | str)
    else:
        reply.counts()
        outcome = outcome_of_reply(ORDERS, PLACE, reply, STEPS)
        assert isinstance(outcome, Outcome) and outcome.request == PLACE.request
        if outcome.kind == CONFIRMED:
            in_range(outcome.report)
        if (error := reply.failure()) is not None:
            assert error.retry_after_ms >= 0
    assert outcome_of_order(Query(1, "a1", "", "BTCUSDT"), data, STEPS).kind in (CONFIRMED, UNKNOWN)
    outcome_of_error(PLACE, 400, read_error(data), "")


@given(messages)
def test_any_answer_over_rest_is_read_or_an_error(data):
    for reader in (
        read_exchange_info,
        partial(read_exchange_info, is_inverse=True),
        read_server_time,
        read_balances,
        read_commission,
        read_listen_key,
        read_is_hedge_mode,
    ):
        read(reader, data)
    read(read_holdings, data, STEPS)
    orders = read(read_orders, data, STEPS)
    for report in orders[0] if orders else []:
        in_range(report)
    for trade in read(read_trades, data) or []:
        read(execution_of, trade, "cid", STEPS)
