"""API keys, and what signs with them; how a request is put into words is each venue's.

A key or secret never shows in a text of these objects; `daemon.redaction` takes them out of what others wrote.
"""

import base64
import hashlib
import re
from typing import Any, Final, Literal

from hftd.errors import ConfigError

_KEY: Final = re.compile(r"[A-Za-z0-9_.+/=-]{1,256}", re.ASCII)
_WALLET_KEY: Final = re.compile(r"(?:0[xX])?([0-9A-Fa-f]{64})", re.ASCII)
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
    r"""A private key in PEM, without a password; signatures are in base64.

    Args:
        pem: The key. Where it came through JSON or an environment, its lines may end with a backslash and an n.
        kind: Ed25519; RSA with SHA-256 and PKCS 1 v1.5; EC: P-256 with SHA-256, whose signature is r and s, 32 bytes
            each, as JSON Web Tokens have it (RFC 7518, section 3.4).
    """

    has_session = True

    def __init__(self, api_key: str, pem: str, kind: Literal["Ed25519", "RSA", "EC"]) -> None:
        # Imported here: a connector with an HMAC key needs none of it.
        from cryptography.exceptions import UnsupportedAlgorithm
        from cryptography.hazmat.primitives import hashes
        from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, SECP256R1, EllipticCurvePrivateKey
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
        from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
        from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
        from cryptography.hazmat.primitives.serialization import load_pem_private_key

        self.api_key = _checked(api_key)
        hint = f"give the {kind} key that belongs to the API key as PEM, without a password"
        try:
            key: Any = load_pem_private_key(pem.replace("\\n", "\n").strip().encode(), password=None)
        except (ValueError, TypeError, UnsupportedAlgorithm):
            # Without the cause: its text may show parts of the key.
            raise ConfigError("the API secret is not a readable private key", hint=hint) from None
        wanted = {"Ed25519": Ed25519PrivateKey, "RSA": RSAPrivateKey, "EC": EllipticCurvePrivateKey}[kind]
        if not isinstance(key, wanted) or (kind == "EC" and not isinstance(key.curve, SECP256R1)):
            raise ConfigError("the API secret is a private key of another kind", hint=hint)
        sha = hashes.SHA256()
        self._args: tuple[Any, ...] = {"Ed25519": (), "RSA": (PKCS1v15(), sha), "EC": (ECDSA(sha),)}[kind]
        self._sign: Any = key.sign
        self._form = _r_and_s if kind == "EC" else bytes

    def sign(self, payload: str) -> str:
        """The signature: 88 characters for Ed25519. REST may want it percent-encoded."""
        return base64.b64encode(self._form(self._sign(payload.encode(), *self._args))).decode()

    def __repr__(self) -> str:
        return f"{type(self).__name__}(***)"


def _r_and_s(der: bytes) -> bytes:
    from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

    r, s = decode_dss_signature(der)
    return r.to_bytes(32, "big") + s.to_bytes(32, "big")


def wallet_key(text: str) -> bytes:
    """A wallet's private key, 32 bytes.

    Args:
        text: 64 hexadecimal digits, with or without 0x.

    Raises:
        ConfigError: It is something else; the message does not hold it.
    """
    found = _WALLET_KEY.fullmatch(text.strip())
    if found is None:
        raise ConfigError(
            "the wallet key is not a private key", hint="give its 64 hexadecimal digits, with or without 0x"
        )
    return bytes.fromhex(found[1])


def is_pem(secret: str) -> bool:
    """Whether a secret is a private key as a text, and not one of HMAC."""
    return "-----BEGIN" in secret


def _checked(api_key: str) -> str:
    api_key = api_key.strip()
    if not _KEY.fullmatch(api_key):
        raise ConfigError(
            "the API key is empty or has invalid characters",
            hint="set the API key as the exchange shows it",
        )
    return api_key
