"""API keys, and what signs with them; how a request is put into words is each venue's.

A key or secret never shows in a text of these objects; `daemon.redaction` takes them out of what others wrote.
"""

import base64
import hashlib
import re
from typing import Any, Final, Literal

from hftd.errors import ConfigError

_KEY: Final = re.compile(r"[A-Za-z0-9_.+/=-]{1,256}", re.ASCII)
_BLOCK: Final = 64  # bytes of a SHA-256 block


class HmacSigner:
    """HMAC-SHA256 in lowercase hex.

    The key's two half-done hashes are kept (RFC 2104), which halves the time of a signature.

    Args:
        has_session: Whether such a key logs a WebSocket on once for all.
    """

    def __init__(self, api_key: str, secret: str, *, has_session: bool = False) -> None:
        self.api_key = _checked(api_key)
        self.has_session = has_session
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
        return f"{type(self).__name__}(***)"


class PemSigner:
    """A private key, PKCS 8 in PEM, without a password; signatures are in base64.

    Args:
        kind: Ed25519, or RSA with SHA-256 and PKCS 1 v1.5.
    """

    has_session = True

    def __init__(self, api_key: str, pem: str, kind: Literal["Ed25519", "RSA"]) -> None:
        # Imported here: a connector with an HMAC key needs none of it.
        from cryptography.exceptions import UnsupportedAlgorithm
        from cryptography.hazmat.primitives import hashes
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
        from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
        from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
        from cryptography.hazmat.primitives.serialization import load_pem_private_key

        self.api_key = _checked(api_key)
        hint = f"give an {kind} key as PEM (PKCS 8, no password), or the secret of an HMAC key"
        try:
            key: Any = load_pem_private_key(pem.strip().encode(), password=None)
        except (ValueError, TypeError, UnsupportedAlgorithm):
            # Without the cause: its text may show parts of the key.
            raise ConfigError("the API secret is no readable private key", hint=hint) from None
        if not isinstance(key, Ed25519PrivateKey if kind == "Ed25519" else RSAPrivateKey):
            raise ConfigError("the API secret is a private key of another kind", hint=hint)
        self._args: tuple[Any, ...] = () if kind == "Ed25519" else (PKCS1v15(), hashes.SHA256())
        self._sign: Any = key.sign

    def sign(self, payload: str) -> str:
        """The signature: 88 characters for Ed25519. REST may want it percent-encoded."""
        return base64.b64encode(self._sign(payload.encode(), *self._args)).decode()

    def __repr__(self) -> str:
        return f"{type(self).__name__}(***)"


def is_pem(secret: str) -> bool:
    """Whether a secret is a private key as a text, and not one of HMAC."""
    return "-----BEGIN" in secret


def _checked(api_key: str) -> str:
    api_key = api_key.strip()
    if not _KEY.fullmatch(api_key):
        raise ConfigError(
            "the API key is empty or has characters that none has",
            hint="set the API key as the exchange shows it",
        )
    return api_key
