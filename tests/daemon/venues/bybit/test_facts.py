"""What a user may rely on: bytes are read as the exchange means them, and nothing else is made of others."""

import base64
import contextlib
import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemon.connector.config import load_connector
from daemon.connector.venue import find_venue
from daemon.messages import CONFIRMED, REFUSED, UNKNOWN, Cancel, Modify, Query, Submit
from daemon.orders.ids.client_ids import ClientIds
from daemon.orders.ids.wire_ids import PLAIN, from_plain, to_plain
from daemon.session.catalog import steps_of
from daemon.session.errors import WireError
from daemon.session.facts import ControlReply, Other, Pong, UnknownEvent
from daemon.session.manners import RECEIVED
from daemon.venues.bybit import codes, wire
from daemon.venues.bybit.book import BookSync
from daemon.venues.bybit.config import BybitConfig
from daemon.venues.bybit.facts import ORDERS, REST, MarketFacts
from daemon.venues.bybit.requests import Requests, rest_request
from daemon.venues.bybit.signing import (
    HmacSigner,
    Verbatim,
    login,
    make_signer,
    query,
    signed_headers,
)
from daemon.venues.bybit.user import read_event
from hftd import constants as c
from hftd.errors import ConfigError
from hftd.venues.bybit import market
from hftd.venues.reader import BOOK, DEPTH, TRADES, MarketReader
from tests.laws import ROOT

from .conftest import BTC, ETH
from .scripted import IDS, row

KNOWN = steps_of([BTC, ETH])
READER = MarketReader(market.read, odd="block")
SIGNER = HmacSigner("XXXXXXXXXX", "bybit-secret-0123456789")


@pytest.mark.parametrize(
    ("payload", "now_ms", "signature"),
    [
        (
            "category=linear&symbol=BTCUSDT",
            1658384314791,
            "e484b40c9ec80ab7802e36e24d7c08c8eadc3809d209c57aa1f44b055ce09386",
        ),
        ("", 1658384314791, "c3b256e58fd296887b20b8beef8a8b2101a5c0b18dbae3be8696b7646355dd83"),
        (
            (
                '{"category":"linear","symbol":"BTCUSDT","side":"Buy","orderType":"Limit","qty":"0.001","price":"30000",'
                '"timeInForce":"PostOnly","orderLinkId":"t-1"}'
            ),
            1658385579423,
            "854373918783c9141c1d40bf7331a64016c433b1fd174292f2b9cf68fc586de5",
        ),
    ],
)
def test_requests_are_signed_as_the_exchange_does_it(payload, now_ms, signature):
    assert signed_headers(payload, SIGNER, now_ms, 5000)["X-BAPI-SIGN"] == signature


def test_a_login_is_signed_over_its_end_and_a_signed_body_is_the_one_that_is_sent():
    said = json.loads(login(SIGNER, 1662350400000 - 10_000, {"req_id": "auth"}))
    signature = "57ddb0389b1d81e2a1cd0986a02bce963a98011080a0b22d8d8e5c9ba13107cf"
    assert said["args"] == ["XXXXXXXXXX", 1662350400000, signature]
    sent = REST.signed(
        "POST", "/v5/order/create", [("category", "linear"), ("positionIdx", 0)], "signed", SIGNER, 5, 9
    )
    assert (sent.query, sent.body) == ("", b'{"category":"linear","positionIdx":0}')
    assert sent.headers["X-BAPI-SIGN"] == SIGNER.sign('5XXXXXXXXXX9{"category":"linear","positionIdx":0}')
    assert "bybit-secret" not in repr(SIGNER)


def test_a_private_key_of_rsa_signs_and_one_of_another_kind_is_refused_without_a_word_of_it():
    serialization = pytest.importorskip("cryptography.hazmat.primitives.serialization")
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ed25519, padding, rsa

    def pem_of(key):
        return key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        ).decode()

    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    signature = base64.b64decode(make_signer("XXXXXXXXXX", pem_of(key)).sign("a text"))
    key.public_key().verify(signature, b"a text", padding.PKCS1v15(), hashes.SHA256())
    with pytest.raises(ConfigError, match="another kind"):
        make_signer("XXXXXXXXXX", pem_of(ed25519.Ed25519PrivateKey.generate()))


def test_a_cursor_goes_back_as_it_came_and_everything_else_is_encoded():
    assert (
        query([("symbol", "A B"), ("cursor", Verbatim("d7%3A17%2Cx"))]) == "symbol=A%20B&cursor=d7%3A17%2Cx"
    )


@given(
    prefix=st.from_regex(r"[A-Za-z0-9_-]{1,8}", fullmatch=True),
    bot=st.text(max_size=5),
    order_id=st.integers(0, 2**64 - 1),
    run=st.integers(1, 2**18 - 1),
    identity=st.integers(1, 2**24 - 1),
)
def test_an_id_of_ours_comes_back_from_the_signs_that_the_exchange_takes(
    prefix, bot, order_id, run, identity
):
    ours = ClientIds(prefix, run, identity).make(bot, order_id)
    sent = to_plain(ours)
    assert PLAIN.fullmatch(sent)
    assert from_plain(sent) == ours


@given(st.from_regex(r"[A-Za-z0-9_-]{0,36}", fullmatch=True))
def test_an_id_of_others_passes_as_it_is_or_stands_for_exactly_one_of_ours(text):
    read = from_plain(text)
    assert read == text or to_plain(read) == text


def request_of(command):
    return json.loads(Requests(5000).request(command, KNOWN[command.symbol], 1711001595207))


def test_commands_are_written_as_the_trade_socket_takes_them():
    name = IDS.make("bot", 3)
    place = Submit(7, name, "BTCUSDT", c.SELL, c.LIMIT, c.GTX, 431870, 100, True)
    assert request_of(place) == {
        "reqId": "1711001595207-7",
        "header": {"X-BAPI-TIMESTAMP": "1711001595207", "X-BAPI-RECV-WINDOW": "5000"},
        "op": "order.create",
        "args": [
            {
                "category": "linear",
                "symbol": "BTCUSDT",
                "side": "Sell",
                "qty": "0.100",
                "orderType": "Limit",
                "price": "43187.0",
                "timeInForce": "PostOnly",
                "reduceOnly": True,
                "positionIdx": 0,
                "orderLinkId": to_plain(name),
            }
        ],
    }
    market = request_of(Submit(8, name, "BTCUSDT", c.BUY, c.MARKET, c.GTC, 0, 5))["args"][0]
    assert market["orderType"] == "Market"
    assert not {"price", "timeInForce"} & set(market)
    amend = request_of(Modify(9, "", "id-1", "BTCUSDT", c.BUY, 431880, 200))
    assert (amend["op"], amend["args"][0]["orderId"], amend["args"][0]["qty"]) == (
        "order.amend",
        "id-1",
        "0.200",
    )
    assert request_of(Cancel(10, name, "id-1", "BTCUSDT"))["args"][0]["orderLinkId"] == to_plain(name)
    assert rest_request(Query(11, name, "", "BTCUSDT"), KNOWN["BTCUSDT"])[:2] == ("GET", "/v5/order/realtime")


def reply(data, command):
    read = ORDERS.read_reply(json.dumps(data).encode())
    assert not isinstance(read, Pong)
    error = read.failure()
    if error is None:
        return ORDERS.outcome_of_order(command, read.result, KNOWN)
    return ORDERS.outcome_of_error(command, read.status, error)


@pytest.mark.parametrize(
    ("code", "kind", "reason"),
    [
        (110001, REFUSED, c.REASON_UNKNOWN_ORDER),
        (110007, REFUSED, c.REASON_MARGIN),
        (110003, REFUSED, c.REASON_FILTER),
        (110017, REFUSED, c.REASON_REDUCE_ONLY),
        (110072, REFUSED, c.REASON_DUPLICATE),
        (10001, REFUSED, c.REASON_FILTER),
        (10002, REFUSED, c.REASON_EXCHANGE),
        (10006, REFUSED, c.REASON_RATE_LIMIT),
        (10019, REFUSED, c.REASON_DISCONNECTED),
        (10000, UNKNOWN, 0),
        (10014, UNKNOWN, 0),
        (10016, UNKNOWN, 0),
        (40004, UNKNOWN, 0),
        (987654, UNKNOWN, 0),
    ],
)
def test_what_the_exchange_says_no_to_is_refused_and_what_it_does_not_know_is_unknown(code, kind, reason):
    data = {
        "reqId": "5-7",
        "retCode": code,
        "retMsg": "words",
        "op": "order.create",
        "data": {},
        "connId": "c",
    }
    outcome = reply(data, Submit(7, "a", "BTCUSDT", c.BUY, c.LIMIT, c.GTC, 1, 1))
    assert (outcome.request, outcome.kind, outcome.reason) == (7, kind, reason)


@pytest.mark.parametrize("status", [500, 502, 504, 408])
def test_answers_from_in_front_of_the_exchange_are_unknown(status):
    assert codes.verdict(status, 0, "<html>") == (UNKNOWN, 0)


def test_an_answer_without_an_error_is_a_receipt_and_one_about_another_order_is_unknown():
    command = Submit(7, "a", "BTCUSDT", c.BUY, c.LIMIT, c.GTC, 1, 1)
    data = {"reqId": "5-7", "retCode": 0, "op": "order.create", "data": {"orderId": "1", "orderLinkId": "a"}}
    assert reply(data, command).kind == RECEIVED
    assert reply(data | {"data": {"orderLinkId": "b"}}, command).kind == UNKNOWN
    body = b'{"retCode":0,"result":{"orderId":"1","orderLinkId":"a"},"time":1}'
    assert ORDERS.outcome_of_order(command, body, KNOWN).kind == RECEIVED


@pytest.mark.parametrize(
    ("state", "cancel", "reject", "status", "reason"),
    [
        ("Cancelled", "UNKNOWN", "EC_PostOnlyWillTakeLiquidity", c.EXPIRED, c.REASON_POST_ONLY),
        ("Rejected", "", "EC_PostOnlyWillTakeLiquidity", c.EXPIRED, c.REASON_POST_ONLY),
        ("Cancelled", "UNKNOWN", "EC_NoImmediateQtyToFill", c.EXPIRED, c.REASON_EXPIRED),
        ("Cancelled", "UNKNOWN", "EC_NoEnoughQtyToFill", c.EXPIRED, c.REASON_FOK),
        ("PartiallyFilledCanceled", "UNKNOWN", "EC_CancelForNoFullFill", c.EXPIRED, c.REASON_EXPIRED),
        ("Cancelled", "CancelBySmp", "EC_NoError", c.EXPIRED, c.REASON_SELF_TRADE),
        ("Cancelled", "CancelByUser", "EC_PerCancelRequest", c.CANCELED, c.REASON_NONE),
        ("Cancelled", "CancelAllBeforeLiq", "EC_NoError", c.CANCELED, c.REASON_LIQUIDATION),
        ("Cancelled", "CancelByReduceOnly", "EC_NoError", c.CANCELED, c.REASON_REDUCE_ONLY),
        ("Filled", "CancelByUser", "EC_OrigClOrdIDDoesNotExist", c.FILLED, c.REASON_NONE),
        ("Untriggered", "", "", c.NEW, c.REASON_NONE),
        ("Rejected", "", "EC_Others", c.REJECTED, c.REASON_EXCHANGE),
    ],
)
def test_states_are_what_they_are_in_a_simulation(state, cancel, reject, status, reason):
    assert codes.end_of(state, cancel, reject) == (status, reason)


def test_events_of_the_private_socket_are_reports_positions_and_balances():
    name = IDS.make("bot", 4)
    order = row({"symbol": "BTCUSDT", "orderLinkId": to_plain(name), "price": "43187.0"}, "PartiallyFilled")

    def read(topic, *items, odd=None):
        data = {"topic": topic, "creationTime": 1759432560944, "data": list(items)}
        return read_event(json.dumps(data).encode(), KNOWN, odd)

    (report,) = read("order.linear", order)
    assert (report.client_id, report.price_tick, report.qty_lots) == (name, 431870, 100)
    assert read("order", order) == [report]
    position = {"symbol": "BTCUSDT", "side": "Sell", "size": "0.2", "entryPrice": "233.02", "positionIdx": 0}
    assert read("position.linear", position)[0].qty_lots == -200
    assert (
        read("position.linear", {"symbol": "BTCUSDT", "side": "", "size": "0", "positionIdx": 0})[0].qty_lots
        == 0
    )
    (balance,) = read("wallet", {"coin": [{"coin": "USDT", "walletBalance": "1000.5"}]})
    assert (balance.asset, balance.wallet) == ("USDT", 1000.5)
    taxed = {
        "symbol": "BTCUSDT",
        "execId": "e",
        "orderId": "o",
        "side": "Buy",
        "execPrice": "233.0",
        "execQty": "0.2",
        "execTime": "1759432560940",
        "execFee": "0.0256322",
        "feeCurrency": "USDT",
        "extraFees": [{"feeCoin": "USDT", "fee": "0.004613796"}],
    }
    (report,) = read("execution.linear", taxed)
    assert report.execution.fee == pytest.approx(0.03024599, abs=1e-8)
    assert read("execution.fast.linear", taxed) == [Other("execution.fast.linear")]
    (report,) = read("execution", taxed | {"execType": "BustTrade"})
    assert report.execution.is_forced
    odd = []
    assert len(read("order.linear", order | {"symbol": "NOPEUSDT"}, order, odd=odd)) == 1
    assert [one.symbol for one in odd] == ["NOPEUSDT"]
    with pytest.raises(WireError):
        read("order.linear", order | {"orderStatus": "Odd"})


@given(
    st.recursive(
        st.none() | st.integers() | st.text(), lambda one: st.lists(one) | st.dictionaries(st.text(), one)
    )
)
def test_no_bytes_do_harm(value):
    for data in (json.dumps(value).encode(), json.dumps({"topic": "order", "data": [value]}).encode()):
        for read in (
            lambda one: READER.read(one, 1),
            wire.read_other,
            ORDERS.read_reply,
            lambda one: read_event(one, KNOWN, []),
        ):
            with contextlib.suppress(WireError):
                read(data)


@given(st.lists(st.tuples(st.sampled_from("sd"), st.integers(1, 8)), max_size=30))
def test_a_book_that_is_joined_has_had_each_change_since_its_snapshot(messages):
    sync, expected = BookSync(), None
    for kind, u in messages:
        if kind == "s":
            sync.snapshot(u)
            expected = u
        elif sync.diff(u, u - 1) == 1:
            assert expected == u - 1
            expected = u
        else:
            expected = None
        assert sync.is_joined == (expected is not None)


def test_pongs_of_all_shapes_are_known_and_nothing_else_is_one():
    public = b'{"success":true,"ret_msg":"pong","conn_id":"c","req_id":"7","op":"ping"}'
    assert isinstance(wire.read_other(public), Pong)
    private = b'{"req_id":"1","op":"pong","args":["1727434943071"],"conn_id":"c"}'
    assert read_event(private, KNOWN, None) == [Pong()]
    trade = b'{"retCode":0,"retMsg":"OK","op":"pong","data":["1711002002529"],"connId":"c"}'
    assert isinstance(ORDERS.read_reply(trade), Pong)
    assert isinstance(
        wire.read_other(b'{"success":true,"ret_msg":"","req_id":"7","op":"subscribe"}'), ControlReply
    )


def test_recorded_frames_are_read(recordings):
    seen = set()
    for path in [
        *(recordings / "frames" / "bybit").glob("*_derivatives.jsonl"),
        *(recordings / "frames").glob("*/public_*"),
    ]:
        for line in path.read_bytes().splitlines():
            if not line.startswith(b"{"):
                continue
            read = READER.read(line, 1)
            if read is not None:
                assert read.rows is not None and not read.bad_count
                seen.add(read.kind)
                continue
            other = wire.read_other(line)
            seen.add(other.name if isinstance(other, UnknownEvent) else type(other).__name__)
    assert {BOOK, DEPTH, TRADES, "ControlReply", "tickers"} <= seen


def test_the_configuration_that_comes_along_is_the_testnets_and_the_connector_finds_it():
    assert find_venue("bybit").config_type is BybitConfig
    config, credentials = load_connector(ROOT / "configs" / "bybit.toml", BybitConfig, "bybit", {})
    assert not credentials.are_there
    assert config.market_url() == "wss://stream-testnet.bybit.com/v5/public/linear"
    assert config.user_url() == "wss://stream-testnet.bybit.com/v5/private"
    assert config.orders_url() == "wss://stream-testnet.bybit.com/v5/trade"
    assert config == msgspec.structs.replace(BybitConfig(), order_prefix="test")
    assert MarketFacts(200).streams("BTCUSDT") == ("orderbook.200.BTCUSDT", "publicTrade.BTCUSDT")


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ({"api_url": "https://api.bybit.com"}, "one environment"),
        ({"stream_url": "ws://127.0.0.1:9080"}, "one environment"),
        (
            {"private_url": "wss://stream.bybit.com", "api_url": "https://api.bybit.com"},
            "one environment.*stream-testnet",
        ),
        (
            {"stream_url": "wss://stream.bybit.kz", "api_url": "https://api.bybit.com"},
            "one environment.*bybit.kz",
        ),
        (
            {
                "stream_url": "wss://stream-demo.bybit.com",
                "api_url": "https://api-demo.bybit.com",
                "order_entry": "rest",
            },
            "one environment",
        ),
        ({"dcp_window_s": 2}, "dcp_window_s"),
        ({"stream_url": "ws://stream.bybit.com"}, "encrypted"),
        (
            {
                "stream_url": "wss://stream.bybit.com",
                "private_url": "wss://stream-demo.bybit.com",
                "api_url": "https://api-demo.bybit.com",
            },
            "order_entry",
        ),
    ],
)
def test_addresses_that_do_not_belong_together_are_refused(keys, said):
    with pytest.raises(ValueError, match=said):
        BybitConfig(**keys)


@pytest.mark.parametrize(
    "keys",
    [
        {"stream_url": "wss://stream.bybit.com", "api_url": "https://api.bytick.com"},
        {"stream_url": "wss://stream.bybit.com", "api_url": "https://api.bybit.nl"},
        {"stream_url": "wss://stream.bybit.kz", "api_url": "https://api.bybit.kz"},
        {"stream_url": "wss://makers.example.com", "api_url": "https://api.bybit.com"},
        {
            "stream_url": "wss://stream.bybit.com",
            "private_url": "wss://stream-demo.bybit.com",
            "api_url": "https://api-demo.bybit.com",
            "order_entry": "rest",
        },
    ],
)
def test_addresses_that_belong_together_are_taken(keys):
    BybitConfig(**keys)


def test_a_question_is_answered_by_the_order_itself():
    name = IDS.make("bot", 8)
    item = row({"symbol": "BTCUSDT", "orderLinkId": to_plain(name)}, "Filled", cumExecQty="0.100")
    body = json.dumps({"retCode": 0, "result": {"list": [item], "nextPageCursor": "x"}}).encode()
    outcome = ORDERS.outcome_of_order(Query(1, name, "", "BTCUSDT"), body, KNOWN)
    assert (outcome.kind, outcome.report.status, outcome.report.cum_lots) == (CONFIRMED, c.FILLED, 100)
