import base64
import json

import pytest

from daemon.redaction import redact
from daemon.venues.binance.signing import (
    Ed25519Signer,
    HmacSigner,
    make_signer,
    query,
    session_logon,
    signed_query,
)
from hftd.errors import ConfigError

from .conftest import API_KEY, SECRET

# The private key, public key and signature of RFC 8032, section 7.1, test 3.
SEED = "c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7"
SIGNED = (
    "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac"
    "18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a"
)
PKCS8 = bytes.fromhex("302e020100300506032b657004220420" + SEED)
PEM = f"-----BEGIN PRIVATE KEY-----\n{base64.b64encode(PKCS8).decode()}\n-----END PRIVATE KEY-----\n"


@pytest.mark.parametrize(
    ("secret", "payload", "signature"),
    [
        (
            SECRET,
            "symbol=BTCUSDT&side=BUY&type=LIMIT&quantity=1&price=9000&timeInForce=GTC&recvWindow=5000&timestamp=1591702613943",
            "3c661234138461fcc7a7d8746c6558c9842d4e10870d2ecbedf7777cad694af9",
        ),
        (
            "NhqPtmdSJYdKjVHjA7PZj4Mge3R5YNiP1e3UZjInClVN65XAbvqqM6A7H5fATj0j",
            "symbol=LTCBTC&side=BUY&type=LIMIT&timeInForce=GTC&quantity=1&price=0.1&recvWindow=5000&timestamp=1499827319559",
            "c8db56825ae71d6d79447849e617115f4a920fa2acdcab2b053c4b2838bd6b71",
        ),
    ],
)
def test_hmac_signatures_are_those_of_the_exchanges_documentation(secret, payload, signature):
    assert HmacSigner(API_KEY, secret).sign(payload) == signature


@pytest.mark.parametrize("length", [1, 63, 64, 65, 200])
def test_hmac_secrets_may_be_longer_than_a_hash_block(length):
    import hmac

    secret = "s" * length
    assert HmacSigner(API_KEY, secret).sign("a=1") == hmac.new(secret.encode(), b"a=1", "sha256").hexdigest()


def test_a_signed_query_is_signed_as_it_is_sent():
    params = [
        ("symbol", "BTCUSDT"),
        ("side", "BUY"),
        ("type", "LIMIT"),
        ("quantity", "1"),
        ("price", "9000"),
        ("timeInForce", "GTC"),
    ]
    text = signed_query(params, HmacSigner(API_KEY, SECRET), 1591702613943)
    assert text.endswith(
        "&timestamp=1591702613943&signature=3c661234138461fcc7a7d8746c6558c9842d4e10870d2ecbedf7777cad694af9"
    )
    assert query([("symbol", "币USDT"), ("c", "a:/b&c")]) == "symbol=%E5%B8%81USDT&c=a%3A%2Fb%26c"


def test_ed25519_signatures_are_those_of_the_rfc():
    pytest.importorskip("cryptography")
    signer = make_signer(API_KEY, PEM)
    assert isinstance(signer, Ed25519Signer)
    assert signer._sign(bytes.fromhex("af82")).hex() == SIGNED
    assert signer.sign("a=1") == base64.b64encode(signer._sign(b"a=1")).decode()


def test_a_session_logon_is_signed_over_key_and_time():
    pytest.importorskip("cryptography")
    signer = make_signer(API_KEY, PEM)
    params = json.loads(session_logon("logon", signer, 5))["params"]
    assert params == {
        "apiKey": API_KEY,
        "timestamp": 5,
        "signature": signer.sign(f"apiKey={API_KEY}&timestamp=5"),
    }


@pytest.mark.parametrize(
    ("key", "secret"),
    [
        ("", SECRET),
        ("a b", SECRET),
        (API_KEY, ""),
        (API_KEY, " \n"),
        ('k"', SECRET),
        (API_KEY, "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----"),
        (API_KEY, "-----BEGIN PRIVATE KEY-----"),
    ],
)
def test_keys_that_are_none_are_a_mistake_said_without_showing_them(key, secret):
    if "BEGIN" in secret:
        pytest.importorskip("cryptography")
    with pytest.raises(ConfigError) as caught:
        make_signer(key, secret)
    if secret.strip():
        assert secret not in str(caught.value)


def test_a_key_of_another_kind_is_said_to_be_one():
    pytest.importorskip("cryptography")
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

    pem = ec.generate_private_key(ec.SECP256R1()).private_bytes(
        Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()
    )
    with pytest.raises(ConfigError, match="another kind"):
        make_signer(API_KEY, pem.decode())


def test_secrets_are_in_no_repr_and_are_taken_out_of_texts():
    assert SECRET not in repr(HmacSigner(API_KEY, SECRET)) and API_KEY not in repr(
        HmacSigner(API_KEY, SECRET)
    )
    assert redact(f"https://x/ws/{API_KEY}?a=1", (API_KEY, "")) == "https://x/ws/***?a=1"
    assert redact("?a=1&signature=ab%2Bcd&b=2", ()) == "?a=1&signature=***&b=2"
    assert redact('{"signature":"abc+/=","x":1}', ()) == '{"signature":"***","x":1}'
    assert redact("key a%2Bb", ("a+b",)) == "key ***"
