"""Signatures of requests: HMAC-SHA256, and Ed25519."""

import base64
import binascii
import hashlib
import hmac
from collections.abc import Mapping

from sim.exchange.config import AccountSection
from sim.exchange.ed25519 import read_public_key, verify_ed25519


class Verifier:
    """Checks an account's signatures.

    Args:
        section: The account's configuration.

    Raises:
        ValueError: Its public key is none.
    """

    def __init__(self, section: AccountSection) -> None:
        self._secret = section.secret.encode()
        self._public_key = read_public_key(section.public_key) if section.public_key else b""

    @property
    def has_ed25519(self) -> bool:
        """Whether the key may log on to a session."""
        return bool(self._public_key)

    def verify(self, payload: bytes, signature: str) -> bool:
        """Whether the account has signed this."""
        if self._secret and hmac_hex(self._secret, payload) == signature:
            return True
        return self.verify_ed25519(payload, signature)

    def verify_ed25519(self, payload: bytes, signature: str) -> bool:
        """As `verify`, for Ed25519 only."""
        if not self._public_key:
            return False
        try:
            raw = base64.b64decode(signature, validate=True)
        except (binascii.Error, ValueError):
            return False
        return verify_ed25519(self._public_key, payload, raw)


def hmac_hex(secret: bytes, payload: bytes) -> str:
    """The signature by a secret."""
    return hmac.new(secret, payload, hashlib.sha256).hexdigest()


def sorted_payload(params: Mapping[str, str]) -> bytes:
    """What a request of the WebSocket API signs: all parameters by name, without the signature."""
    return "&".join(f"{k}={params[k]}" for k in sorted(params) if k != "signature").encode()
