"""Who asks, and when: keys, signatures, and the clock."""

import base64
import binascii
import hashlib
import hmac
from collections.abc import Iterable
from typing import Final, NamedTuple

from sim.exchange.accounts import Account
from sim.exchange.clock import ExchangeClock
from sim.exchange.ed25519 import read_public_key, verify_ed25519
from sim.exchange.refusals import RefusedError, Why

WINDOW_MAX_MS: Final = 60_000
AHEAD_MAX_MS: Final = 1000


class Stamp(NamedTuple):
    """When a signed request was made, and how long it may take."""

    time_ms: int
    window_ms: int


class Authentication:
    """Knows the accounts by their keys.

    Args:
        clock: The exchange's.
        accounts: All of them.
    """

    def __init__(self, clock: ExchangeClock, accounts: Iterable[Account]) -> None:
        self._clock = clock
        self._accounts = {account.api_key: account for account in accounts}

    def account(self, api_key: str) -> Account:
        """The account of an API key.

        Raises:
            RefusedError: There is no key, or nobody has it.
        """
        if not api_key:
            raise RefusedError(Why.NO_KEY)
        account = self._accounts.get(api_key)
        if account is None:
            raise RefusedError(Why.UNKNOWN_KEY)
        return account

    def verify(self, account: Account, payload: bytes, signature: str, *, ed25519_only: bool = False) -> None:
        """Check a signature: the HMAC-SHA256 of the payload in hex, or Ed25519 in base64.

        Raises:
            RefusedError: It is not the account's.
        """
        if not signature:
            raise RefusedError(Why.NO_SIGNATURE)
        section = account.section
        if ed25519_only and not section.public_key:
            raise RefusedError(Why.NOT_ED25519)
        if section.secret and not ed25519_only and hmac_hex(section.secret.encode(), payload) == signature:
            return
        if not section.public_key or not _is_ed25519(section.public_key, payload, signature):
            raise RefusedError(Why.BAD_SIGNATURE)

    def check_time(self, stamp: Stamp) -> Stamp:
        """The rule of the clock: not more than a second ahead, not older than the window; returns it.

        Raises:
            RefusedError: It is.
        """
        if stamp.window_ms > WINDOW_MAX_MS:
            raise RefusedError(Why.WINDOW_TOO_LONG)
        now_ms = self._clock.server_ms()
        if stamp.time_ms >= now_ms + AHEAD_MAX_MS:
            raise RefusedError(Why.EARLY)
        if now_ms - stamp.time_ms > stamp.window_ms:
            raise RefusedError(Why.LATE)
        return stamp


def _is_ed25519(public_key: str, payload: bytes, signature: str) -> bool:
    try:
        raw = base64.b64decode(signature, validate=True)
    except (binascii.Error, ValueError):
        return False
    return verify_ed25519(read_public_key(public_key), payload, raw)


def hmac_hex(secret: bytes, payload: bytes) -> str:
    """The signature by a secret."""
    return hmac.new(secret, payload, hashlib.sha256).hexdigest()
