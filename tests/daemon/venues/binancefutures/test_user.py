import json

import pytest

from daemon.messages import BY_STREAM, Execution, Funding, Holding
from daemon.session.errors import WireError
from daemon.session.facts import AccessExpired, Balance, Other
from daemon.venues.binance.user import read_event
from hftd import constants as c

ORDER = {
    "s": "BTCUSDT",
    "c": "cid",
    "S": "SELL",
    "o": "LIMIT",
    "f": "GTC",
    "q": "0.001",
    "p": "9910",
    "ap": "0",
    "sp": "0",
    "x": "NEW",
    "X": "NEW",
    "i": 8886774,
    "l": "0",
    "z": "0",
    "L": "0",
    "N": "USDT",
    "n": "0",
    "T": 1568879465650,
    "t": 0,
    "b": "0",
    "a": "9.91",
    "m": False,
    "R": False,
    "wt": "CONTRACT_PRICE",
    "ot": "LIMIT",
    "ps": "BOTH",
    "cp": False,
    "pP": False,
    "si": 0,
    "ss": 0,
    "rp": "0",
    "V": "EXPIRE_MAKER",
    "pm": "NONE",
    "gtd": 0,
    "er": "0",
}
FILL = {
    "x": "TRADE",
    "X": "PARTIALLY_FILLED",
    "q": "0.010",
    "l": "0.004",
    "z": "0.006",
    "L": "9910.10",
    "n": "-0.00198",
    "t": 77,
    "m": True,
}


def event_of(**changes):
    return json.dumps(
        {"e": "ORDER_TRADE_UPDATE", "E": 1568879465651, "T": 1568879465650, "o": ORDER | changes}
    ).encode()


def report_of(steps, **changes):
    (report,) = read_event(event_of(**changes), steps)
    return report


def test_a_new_order_is_a_report_without_an_execution(steps):
    report = report_of(steps)
    assert (report.source, report.client_id, report.exch_order_id) == (BY_STREAM, "cid", "8886774")
    assert (report.side, report.status, report.price_tick, report.qty_lots) == (c.SELL, c.NEW, 99100, 1)
    assert report.execution is None and report.exch_ns == 1568879465650 * 10**6


def test_a_fill_carries_its_execution_with_fee_and_maker_flag(steps):
    report = report_of(steps, **FILL)
    assert (report.status, report.cum_lots, report.has_fee) == (c.PARTIALLY_FILLED, 6, True)
    assert report.execution == Execution(
        symbol="BTCUSDT",
        trade_id="77",
        client_id="cid",
        exch_order_id="8886774",
        side=c.SELL,
        price_tick=99101,
        qty_lots=4,
        is_maker=True,
        fee=-0.00198,
        fee_asset="USDT",
        exch_ns=1568879465650 * 10**6,
    )


@pytest.mark.parametrize("fee", [{"n": None, "N": None}, {"n": ""}])
def test_a_fill_may_have_no_fee(steps, fee):
    assert report_of(steps, **FILL | fee).execution.fee == 0.0


def test_a_short_form_of_a_fill_knows_the_fill_alone(steps):
    data = (
        b'{"e":"TRADE_LITE","E":9,"T":8,"s":"BTCUSDT","q":"0.040","p":"0","m":false,"c":"cid","S":"BUY",'
        b'"L":"64089.20","l":"0.040","t":109100866,"i":8886774}'
    )
    (report,) = read_event(data, steps)
    assert (report.status, report.cum_lots, report.has_fee) == (c.NONE, 0, False)
    assert (report.execution.trade_id, report.execution.price_tick, report.execution.qty_lots) == (
        "109100866",
        640892,
        40,
    )


@pytest.mark.parametrize(
    ("changes", "status", "reason"),
    [
        ({"x": "CANCELED", "X": "CANCELED"}, c.CANCELED, 0),
        ({"x": "EXPIRED", "X": "EXPIRED", "f": "GTX"}, c.EXPIRED, c.REASON_POST_ONLY),
        ({"x": "EXPIRED", "X": "EXPIRED", "f": "FOK"}, c.EXPIRED, c.REASON_FOK),
        ({"x": "EXPIRED", "X": "EXPIRED", "f": "IOC", "er": "2"}, c.EXPIRED, c.REASON_EXPIRED),
        ({"x": "EXPIRED", "X": "EXPIRED", "er": "1"}, c.EXPIRED, c.REASON_SELF_TRADE),
        ({"x": "EXPIRED", "X": "EXPIRED", "er": "4"}, c.EXPIRED, c.REASON_REDUCE_ONLY),
        ({"x": "EXPIRED", "X": "EXPIRED_IN_MATCH"}, c.EXPIRED, c.REASON_SELF_TRADE),
        (
            {"x": "CALCULATED", "X": "FILLED", "l": "0.001", "L": "9910", "t": 5, "z": "0.001"},
            c.FILLED,
            c.REASON_LIQUIDATION,
        ),
        ({"x": "AMENDMENT", "X": "NEW", "p": "9911"}, c.NEW, 0),
        ({"x": "NEW", "X": "NEW_ADL"}, c.NEW, 0),
    ],
)
def test_how_orders_end_is_told_with_a_reason(steps, changes, status, reason):
    report = report_of(steps, **changes)
    assert (report.status, report.reason) == (status, reason)


@pytest.mark.parametrize(
    ("changes", "lots", "price"),
    [
        ({"x": "CALCULATED", "X": "FILLED", "l": "0.003", "L": "9910.05", "ap": "9900"}, 3, 9910.05),
        (
            {"x": "TRADE", "X": "FILLED", "l": "0.003", "L": "0", "ap": "9900", "c": "adl_autoclose"},
            3,
            9900.0,
        ),
        ({"x": "CALCULATED", "X": "FILLED", "l": "0.003", "L": "9910", "t": 5}, 0, 9910.0),
        ({"x": "TRADE", "X": "FILLED", "l": "0.003", "L": "9910"}, 0, 0.0),
        ({"x": "NEW", "X": "NEW", "c": "autoclose-1"}, 0, 0.0),
    ],
)
def test_the_exchanges_own_order_without_the_id_of_a_trade_says_what_it_closed_and_at_which_price(
    steps, changes, lots, price
):
    report = report_of(steps, **changes)
    assert (report.forced_lots, report.forced_price) == (lots, price)
    assert (report.execution is None) == (changes.get("t", 0) == 0)


def test_a_short_form_without_the_id_of_a_trade_is_no_execution(steps):
    data = (
        b'{"e":"TRADE_LITE","E":9,"T":8,"s":"BTCUSDT","q":"0.040","p":"0","m":false,"c":"autoclose-1","S":"BUY",'
        b'"L":"64089.20","l":"0.040","t":0,"i":8886774}'
    )
    (report,) = read_event(data, steps)
    assert report.execution is None


def test_positions_and_balances_are_told_as_they_changed(steps):
    data = (
        b'{"e":"ACCOUNT_UPDATE","E":9,"T":8,"a":{"m":"ORDER","S":"x","B":[{"a":"USDT","wb":"122624.1","cw":"100.1",'
        b'"bc":"0"}],"P":[{"s":"BTCUSDT","pa":"-20.5","ep":"6563.6","bep":"6563.5","cr":"0","up":"2850.2",'
        b'"mt":"cross","iw":"0","ps":"BOTH"},{"s":"BTCUSDT","pa":"0","ep":"0","ps":"LONG"}]}}'
    )
    assert read_event(data, steps) == [
        Holding("BTCUSDT", -20500, 6563.6, 8_000_000),
        Balance("USDT", 122624.1, 8_000_000),
    ]


@pytest.mark.parametrize(
    ("named", "positions", "symbol"),
    [
        (b'"S":"BTCUSDT",', b"", "BTCUSDT"),
        (b"", b'{"s":"ETHUSDT","pa":"2","ep":"1","ps":"BOTH"}', "ETHUSDT"),
        (b'"S":null,', b"", ""),
    ],
)
def test_a_payment_of_funding_is_told_beside_the_balance(steps, named, positions, symbol):
    data = (
        b'{"e":"ACCOUNT_UPDATE","E":9,"T":8,"a":{"m":"FUNDING_FEE",'
        + named
        + b'"B":[{"a":"USDT","wb":"99.5",'
        b'"cw":"99.5","bc":"-0.5"},{"a":"BNB","wb":"1","bc":"0"}],"P":[' + positions + b"]}}"
    )
    *_, balance, funding, _other = read_event(data, steps)
    assert balance == Balance("USDT", 99.5, 8_000_000)
    assert funding == Funding(symbol, "USDT", -0.5, 8_000_000, funding.payment_id, BY_STREAM)
    assert read_event(data, steps)[-2] == funding, "on another connection it is the same one"


def test_other_events_are_named_and_an_expired_key_is_said(steps):
    assert read_event(b'{"e":"ALGO_UPDATE","o":{"s":5}}', steps) == [Other("ALGO_UPDATE")]
    assert read_event(b'{"e":"listenKeyExpired","E":1,"listenKey":"k"}', steps) == [AccessExpired()]


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b"5",
        b'{"e":5}',
        b'{"e":"ORDER_TRADE_UPDATE"}',
        b'{"E":1}',
        b"\xff\xfe",
        b'{"e":"ACCOUNT_UPDATE","a":{"P":[{"s":"BTCUSDT","pa":"x"}]}}',
        b'{"e":"ACCOUNT_UPDATE","a":{"P":[{"s":"BTCUSDT","pa":"1","ps":"LONG"}]}}',
        b'{"e":"ACCOUNT_UPDATE","a":{"B":[{"a":"USDT","wb":"nan"}]}}',
        b"[" * 100_000,
        event_of(p="nan"),
        event_of(S="UP"),
        event_of(X="?"),
        event_of(s="NEWUSDT"),
        event_of(i=2**80),
        event_of(q="1e99"),
        event_of(T=10**30),
        event_of(T=-1),
        event_of(z="0.0005"),
    ],
)
def test_what_can_not_be_read_is_one_error(steps, data):
    with pytest.raises(WireError):
        read_event(data, steps)
