"""Keys, signatures and the clock."""

import base64

import pytest

from sim.exchange.rules.auth import hmac_hex, read_public_key, verify_ed25519
from tests.sim.exchange.client import SECRET, running

# RFC 8032, 7.1: secret key, public key, message, signature.
VECTORS = [
    (
        "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
        "",
        "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b",
    ),
    (
        "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
        "72",
        "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00",
    ),
    (
        "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
        "af82",
        "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a",
    ),
]


@pytest.mark.parametrize(("key", "message", "signature"), VECTORS)
def test_ed25519_signatures_of_the_standard_are_good(key: str, message: str, signature: str):
    raw = bytes.fromhex(signature)
    assert verify_ed25519(bytes.fromhex(key), bytes.fromhex(message), raw)
    assert not verify_ed25519(bytes.fromhex(key), bytes.fromhex(message) + b"x", raw)
    for at in (0, 31, 32, 63):
        changed = bytearray(raw)
        changed[at] ^= 1
        assert not verify_ed25519(bytes.fromhex(key), bytes.fromhex(message), bytes(changed))


def test_a_public_key_is_read_from_pem_and_from_base64():
    raw = bytes(range(32))
    pem_body = base64.b64encode(bytes.fromhex("302a300506032b6570032100") + raw).decode()
    pem = f"-----BEGIN PUBLIC KEY-----\n{pem_body}\n-----END PUBLIC KEY-----\n"
    assert read_public_key(pem) == read_public_key(base64.b64encode(raw).decode()) == raw
    with pytest.raises(ValueError, match="no Ed25519 key"):
        read_public_key("AAAA")


def test_the_exchanges_own_example_of_a_signature_comes_out():
    secret = b"2b5eb11e18796d12d88f13dc27dbbd02c2cc51ff7059765ed9821957d82bb4d9"
    payload = (
        b"symbol=BTCUSDT&side=BUY&type=LIMIT&quantity=1&price=9000&timeInForce=GTC"
        b"&recvWindow=5000&timestamp=1591702613943"
    )
    expected = "3c661234138461fcc7a7d8746c6558c9842d4e10870d2ecbedf7777cad694af9"
    assert hmac_hex(secret, payload) == expected


async def test_a_key_that_is_not_known_and_a_wrong_signature_are_refused():
    async with running() as (_, client):
        query = client.sign({})
        assert (await client.raw("GET", "/fapi/v3/balance", query, key="nobody"))[1]["code"] == -2015
        assert (await client.raw("GET", "/fapi/v3/balance", query, key=""))[1]["code"] == -2014
        assert (await client.raw("GET", "/fapi/v3/balance", query[:-1] + "0"))[1]["code"] == -1022
        unsigned, _, signature = query.rpartition("&")
        assert (await client.raw("GET", "/fapi/v3/balance", unsigned))[1]["code"] == -1102
        # It must be the last.
        assert (await client.raw("GET", "/fapi/v3/balance", f"{signature}&{unsigned}"))[1]["code"] == -1022
        assert (await client.raw("GET", "/fapi/v3/balance", query))[0] == 200


async def test_query_and_body_are_signed_together_and_the_query_wins():
    async with running() as (exchange, client):
        query = "symbol=BTCUSDT&side=BUY&type=LIMIT&timeInForce=GTC&price=999.0"
        body = f"quantity=0.010&price=1&timestamp={exchange.clock.server_ms()}"
        signature = hmac_hex(SECRET.encode(), (query + body).encode())
        status, order = await client.raw("POST", "/fapi/v1/order", query, f"{body}&signature={signature}")
        assert (status, order["price"]) == (200, "999.00")
        status, order = await client.raw("POST", "/fapi/v1/order", f"{query}&signature={signature}", body)
        assert (status, order["price"]) == (200, "999.00")


@pytest.mark.parametrize(
    ("ahead_ms", "window", "code"),
    [
        (999, None, 0),
        (1000, None, -1021),
        (-5000, None, 0),
        (-5001, None, -1021),
        (-100, 100, 0),
        (-101, 100, -1021),
        (-60_000, 60_000, 0),
        (0, 60_001, -1131),
    ],
)
async def test_a_request_may_be_a_second_ahead_and_its_window_old(
    ahead_ms: int, window: int | None, code: int
):
    async with running() as (exchange, client):
        params = {"timestamp": exchange.clock.server_ms() + ahead_ms}
        if window is not None:
            params["recvWindow"] = window
        _, content = await client.call("GET", "v3/balance", **params)
        assert (content["code"] if isinstance(content, dict) else 0) == code


async def test_the_exchanges_clock_may_be_off():
    async with running() as (exchange, client):
        right = {"timestamp": exchange.clock.server_ms()}
        exchange.clock.offset_ms = -2000
        assert await client.code("GET", "v3/balance", **right) == -1021
        assert (await client.good("GET", "v1/time"))["serverTime"] == right["timestamp"] - 2000
        await client.good("GET", "v3/balance")
