"""Keys and signatures: HMAC-SHA256 and Ed25519.

The exchange signs over exactly what is sent: on REST the query string, on the WebSocket API all parameters but the
signature, sorted by name, as ``k=v&k=v`` without percent-encoding. A key or secret never shows in a text of these
objects; `daemon.redaction` takes them out of what others wrote.
"""

import base64
import hashlib
import re
from collections.abc import Iterable
from typing import Final
from urllib.parse import quote

from daemon.session.facts import Signer
from daemon.session.rest import RECV_WINDOW_MS
from hftd.errors import ConfigError

_KEY: Final = re.compile(r"[A-Za-z0-9_.+/=-]{1,256}", re.ASCII)
_BLOCK: Final = 64  # bytes of a SHA-256 block


class HmacSigner:
    """HMAC-SHA256 in lowercase hex.

    The key's two half-done hashes are kept (RFC 2104), which halves the time of a signature.
    """

    has_session = False

    def __init__(self, api_key: str, secret: str) -> None:
        self.api_key = _checked(api_key)
        key = secret.encode()
        if not key:
            raise ConfigError("the API secret is empty", hint="set the secret that belongs to the API key")
        if len(key) > _BLOCK:
            key = hashlib.sha256(key).digest()
        key = key.ljust(_BLOCK, b"\0")
        self._inner = hashlib.sha256(bytes(byte ^ 0x36 for byte in key))
        self._outer = hashlib.sha256(bytes(byte ^ 0x5C for byte in key))

    def sign(self, payload: str) -> str:
        """The signature, 64 hexadecimal digits."""
        inner = self._inner.copy()
        inner.update(payload.encode())
        outer = self._outer.copy()
        outer.update(inner.digest())
        return outer.hexdigest()

    def __repr__(self) -> str:
        return "HmacSigner(***)"


class Ed25519Signer:
    """Ed25519 in base64.

    Args:
        pem: The private key, PKCS 8 in PEM, without a password.
    """

    has_session = True

    def __init__(self, api_key: str, pem: str) -> None:
        # Imported here: a connector with an HMAC key needs none of it.
        try:
            from cryptography.exceptions import UnsupportedAlgorithm
            from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
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
        if not isinstance(key, Ed25519PrivateKey):
            raise ConfigError("the API secret is a private key of another kind", hint=_PEM_HINT)
        self._sign = key.sign

    def sign(self, payload: str) -> str:
        """The signature, 88 characters that must be percent-encoded on REST."""
        return base64.b64encode(self._sign(payload.encode())).decode()

    def __repr__(self) -> str:
        return "Ed25519Signer(***)"


_PEM_HINT: Final = "give an Ed25519 key as PEM (PKCS 8, no password), or the secret of an HMAC key"


def make_signer(api_key: str, secret: str) -> HmacSigner | Ed25519Signer:
    """The signer for a key: a secret in PEM is an Ed25519 key, any other text an HMAC secret.

    Raises:
        ConfigError: One of them is missing or unreadable; the message holds neither.
    """
    if "-----BEGIN" in secret:
        return Ed25519Signer(api_key, secret)
    return HmacSigner(api_key, secret.strip())


def _checked(api_key: str) -> str:
    api_key = api_key.strip()
    if not _KEY.fullmatch(api_key):
        raise ConfigError(
            "the API key is empty or has characters that none has",
            hint="set the API key as the exchange shows it",
        )
    return api_key


def signed_query(
    params: Iterable[tuple[str, object]],
    signer: Signer,
    timestamp_ms: int,
    recv_window_ms: int = RECV_WINDOW_MS,
) -> str:
    """The query string of a signed REST request, with time and signature.

    Args:
        params: Names and values in any order.
        signer: Of the API key.
        timestamp_ms: Now, by the exchange's clock.
        recv_window_ms: How old the request may be when it is handled.
    """
    payload = query((*params, ("recvWindow", recv_window_ms), ("timestamp", timestamp_ms)))
    return f"{payload}&signature={quote(signer.sign(payload), safe='')}"


def query(params: Iterable[tuple[str, object]]) -> str:
    """A query string, percent-encoded: what is signed is what is sent."""
    return "&".join(f"{name}={quote(str(value), safe='')}" for name, value in params)


def session_logon(request_id: str, signer: Signer, timestamp_ms: int) -> bytes:
    """The request that logs a WebSocket on (Ed25519 keys only)."""
    payload = f"apiKey={signer.api_key}&timestamp={timestamp_ms}"
    return (
        f'{{"id":"{request_id}","method":"session.logon","params":{{"apiKey":"{signer.api_key}",'
        f'"timestamp":{timestamp_ms},"signature":"{signer.sign(payload)}"}}}}'
    ).encode()
