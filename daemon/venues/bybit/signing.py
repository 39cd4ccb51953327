"""Keys and signatures: HMAC-SHA256, and RSA for keys that the user has made.

REST signs ``timestamp + key + window + payload``, the payload being the query or the body exactly as it is sent; the
login of a WebSocket ``GET/realtime`` and the time at which it expires.
"""

from typing import Final
from urllib.parse import quote

import msgspec

from daemon.session.facts import Params, Signer
from daemon.venues.keys import HmacSigner, PemSigner, is_pem

LOGIN_MS: Final = 10_000
"""How long a login holds on its way."""


def make_signer(api_key: str, secret: str) -> HmacSigner | PemSigner:
    """The signer for a key: a secret in PEM is an RSA key, any other text an HMAC secret.

    Raises:
        ConfigError: One of them is missing or unreadable; the message holds neither.
    """
    if is_pem(secret):
        return PemSigner(api_key, secret, "RSA")
    return HmacSigner(api_key, secret.strip(), has_session=True)


class Verbatim(str):
    """A parameter that is sent as it came: a cursor is percent-encoded already."""

    __slots__ = ()


def query(params: Params) -> str:
    """A query string, percent-encoded: what is signed is what is sent."""
    return "&".join(
        f"{name}={value if isinstance(value, Verbatim) else quote(str(value), safe='')}"
        for name, value in params
    )


def signed_headers(payload: str, signer: Signer, timestamp_ms: int, window_ms: int) -> dict[str, str]:
    """The headers of a signed REST request."""
    text = f"{timestamp_ms}{signer.api_key}{window_ms}{payload}"
    return {
        "X-BAPI-API-KEY": signer.api_key,
        "X-BAPI-TIMESTAMP": str(timestamp_ms),
        "X-BAPI-RECV-WINDOW": str(window_ms),
        "X-BAPI-SIGN": signer.sign(text),
    }


def login(signer: Signer, now_ms: int, names: dict[str, str]) -> bytes:
    """The login of a WebSocket; `names` is the request's id under its name."""
    expires = now_ms + LOGIN_MS
    args = [signer.api_key, expires, signer.sign(f"GET/realtime{expires}")]
    return msgspec.json.encode({**names, "op": "auth", "args": args})
