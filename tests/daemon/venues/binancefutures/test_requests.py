import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemon.messages import Cancel, Modify, Query, Submit
from daemon.session.catalog import steps_of
from daemon.session.errors import RequestError
from daemon.venues.binance.requests import Requests, rest_request
from daemon.venues.binance.signing import HmacSigner
from hftd.constants import BUY, FOK, GTC, GTX, IOC, LIMIT, MARKET, SELL

from .conftest import API_KEY, BTC, SECRET

SIGNER = HmacSigner(API_KEY, SECRET)
STEPS = steps_of([BTC])["BTCUSDT"]
client_ids = st.from_regex(r"[.A-Z:/a-z0-9_-]{1,36}", fullmatch=True)
places = st.builds(
    Submit,
    st.integers(0, 2**31),
    client_ids,
    st.just("BTCUSDT"),
    st.sampled_from([BUY, SELL]),
    st.sampled_from([LIMIT, MARKET]),
    st.sampled_from([GTC, GTX, FOK, IOC]),
    st.integers(1, 10**9),
    st.integers(1, 10**9),
    st.booleans(),
)
amends = st.builds(
    Modify,
    st.integers(0, 2**31),
    client_ids,
    st.just("7"),
    st.just("BTCUSDT"),
    st.sampled_from([BUY, SELL]),
    st.integers(1, 10**9),
    st.integers(1, 10**9),
)
others = st.one_of(
    st.builds(
        kind,
        st.integers(0, 2**31),
        st.one_of(client_ids, st.just("")),
        st.just("325078477"),
        st.just("BTCUSDT"),
    )
    for kind in (Cancel, Query)
)
commands = st.one_of(places, amends, others)


def signed_payload(params):
    """What the exchange signs: all parameters but the signature, sorted by name."""
    return "&".join(f"{name}={params[name]}" for name in sorted(params) if name != "signature")


@given(commands, st.integers(0, 2**42))
def test_a_request_is_signed_over_its_sorted_parameters(command, timestamp_ms):
    request = json.loads(Requests(SIGNER, has_session=False).request(command, STEPS, timestamp_ms))
    params = request["params"]
    assert request["id"] == command.request
    assert params["signature"] == SIGNER.sign(signed_payload(params))
    assert (
        params["apiKey"] == API_KEY and params["timestamp"] == timestamp_ms and params["recvWindow"] == 5000
    )


@given(commands, st.integers(0, 2**42))
def test_a_logged_on_socket_carries_the_same_without_key_and_signature(command, timestamp_ms):
    plain = json.loads(Requests(SIGNER, has_session=True).request(command, STEPS, timestamp_ms))
    signed = json.loads(Requests(SIGNER, has_session=False).request(command, STEPS, timestamp_ms))
    del signed["params"]["signature"], signed["params"]["apiKey"]
    assert plain == signed


@given(commands)
def test_rest_says_the_same_as_the_websocket(command):
    params = json.loads(Requests(SIGNER, has_session=True).request(command, STEPS, 5))["params"]
    del params["timestamp"], params["recvWindow"]
    method, pairs = rest_request(command, STEPS)
    assert dict(pairs) == {name: str(value) for name, value in params.items()}
    assert method == {Submit: "POST", Modify: "PUT", Cancel: "DELETE", Query: "GET"}[type(command)]


def test_a_post_only_order_as_the_exchange_wants_it():
    place = Submit(7, "a1", "BTCUSDT", BUY, LIMIT, GTX, 431870, 100)
    assert Requests(SIGNER, has_session=True).request(place, STEPS, 1702555533821) == (
        b'{"id":7,"method":"order.place","params":{"newClientOrderId":"a1","price":"43187.0","quantity":"0.100",'
        b'"recvWindow":5000,"side":"BUY","symbol":"BTCUSDT","timeInForce":"GTX","timestamp":1702555533821,'
        b'"type":"LIMIT"}}'
    )


def test_a_market_order_has_no_price_and_no_time_in_force():
    place = Submit(8, "a1", "BTCUSDT", SELL, MARKET, GTC, 0, 2, True)
    params = json.loads(Requests(SIGNER, has_session=True).request(place, STEPS, 5))["params"]
    assert params == {
        "newClientOrderId": "a1",
        "quantity": "0.002",
        "recvWindow": 5000,
        "reduceOnly": "true",
        "side": "SELL",
        "symbol": "BTCUSDT",
        "timestamp": 5,
        "type": "MARKET",
    }


def test_methods_and_names_of_orders():
    requests = Requests(SIGNER, has_session=True)
    by_ours = json.loads(requests.request(Cancel(1, "a1", "77", "BTCUSDT"), STEPS, 5))
    assert (by_ours["method"], by_ours["params"]["origClientOrderId"]) == ("order.cancel", "a1")
    by_theirs = json.loads(requests.request(Query(1, "", "77", "BTCUSDT"), STEPS, 5))
    assert (by_theirs["method"], by_theirs["params"]["orderId"]) == ("order.status", 77)
    amend = json.loads(requests.request(Modify(1, "a1", "", "BTCUSDT", BUY, 10, 20), STEPS, 5))
    assert (amend["method"], amend["params"]["price"], amend["params"]["quantity"]) == (
        "order.modify",
        "1.0",
        "0.020",
    )


@pytest.mark.parametrize("client_id", ["", 'a"', "a b", "a\n", "ä", "a" * 37, "a,b"])
def test_what_is_no_client_id_is_never_sent(client_id):
    place = Submit(7, client_id, "BTCUSDT", BUY, LIMIT, GTX, 1, 1)
    with pytest.raises(RequestError):
        Requests(SIGNER, has_session=True).request(place, STEPS, 5)
    with pytest.raises(RequestError):
        rest_request(place, STEPS)
    with pytest.raises(RequestError):
        Requests(SIGNER, has_session=True).request(Cancel(1, client_id, 'x"', "BTCUSDT"), STEPS, 5)
