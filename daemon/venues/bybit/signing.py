"""Keys and signatures: HMAC-SHA256, and RSA for keys that the user has made.

REST signs ``timestamp + key + window + payload``, the payload being the query or the body exactly as it is sent; the
login of a WebSocket ``GET/realtime`` and the time at which it expires. A key or secret never shows in a text of these
objects.
"""

import base64
import hashlib
import hmac
import re
from typing import Final
from urllib.parse import quote

import msgspec

from daemon.session.facts import Params, Signer
from hftd.errors import ConfigError

LOGIN_MS: Final = 10_000
"""How long a login holds on its way."""
_KEY: Final = re.compile(r"[A-Za-z0-9_-]{1,128}", re.ASCII)
_PEM_HINT: Final = "give the RSA private key as PEM (PKCS 8, no password), or the secret of an HMAC key"


class HmacSigner:
    """HMAC-SHA256 in lowercase hex."""

    has_session = True

    def __init__(self, api_key: str, secret: str) -> None:
        self.api_key = _checked(api_key)
        if not secret:
            raise ConfigError("the API secret is empty", hint="set the secret that belongs to the API key")
        self._mac = hmac.new(secret.encode(), digestmod=hashlib.sha256)

    def sign(self, payload: str) -> str:
        """The signature, 64 hexadecimal digits."""
        mac = self._mac.copy()
        mac.update(payload.encode())
        return mac.hexdigest()

    def __repr__(self) -> str:
        return "HmacSigner(***)"


class RsaSigner:
    """RSA with SHA-256 and PKCS 1 v1.5, in base64.

    Args:
        pem: The private key, PKCS 8 in PEM, without a password.
    """

    has_session = True

    def __init__(self, api_key: str, pem: str) -> None:
        # Imported here: a connector with an HMAC key needs none of it.
        try:
            from cryptography.exceptions import UnsupportedAlgorithm
            from cryptography.hazmat.primitives import hashes
            from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
            from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
            from cryptography.hazmat.primitives.serialization import load_pem_private_key
        except ImportError:
            raise ConfigError(
                "the API secret is a private key, and the package cryptography is not installed",
                hint="pip install cryptography, or use an HMAC key",
            ) from None
        self.api_key = _checked(api_key)
        try:
            key = load_pem_private_key(pem.strip().encode(), password=None)
        except (ValueError, TypeError, UnsupportedAlgorithm):
            # Without the cause: its text may show parts of the key.
            raise ConfigError("the API secret is no readable private key", hint=_PEM_HINT) from None
        if not isinstance(key, RSAPrivateKey):
            raise ConfigError("the API secret is a private key of another kind", hint=_PEM_HINT)
        self._sign = lambda payload: key.sign(payload, PKCS1v15(), hashes.SHA256())

    def sign(self, payload: str) -> str:
        """The signature in base64."""
        return base64.b64encode(self._sign(payload.encode())).decode()

    def __repr__(self) -> str:
        return "RsaSigner(***)"


def make_signer(api_key: str, secret: str) -> HmacSigner | RsaSigner:
    """The signer for a key: a secret in PEM is an RSA key, any other text an HMAC secret.

    Raises:
        ConfigError: One of them is missing or unreadable; the message holds neither.
    """
    if "-----BEGIN" in secret:
        return RsaSigner(api_key, secret)
    return HmacSigner(api_key, secret.strip())


def _checked(api_key: str) -> str:
    api_key = api_key.strip()
    if not _KEY.fullmatch(api_key):
        raise ConfigError(
            "the API key is empty or has characters that none has",
            hint="set the API key as the exchange shows it",
        )
    return api_key


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
