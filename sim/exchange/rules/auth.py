"""Who asks, and when: keys, signatures (HMAC, and Ed25519 by RFC 8032), and the clock.

The check of an Ed25519 signature takes a few milliseconds: clients sign once for each session.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Iterable
from typing import TYPE_CHECKING, Final, NamedTuple

from sim.exchange.rules.clock import ExchangeClock
from sim.exchange.rules.refusals import RefusedError, Why

if TYPE_CHECKING:
    from sim.exchange.accounts.accounts import Account

WINDOW_MAX_MS: Final = 60_000
AHEAD_MAX_MS: Final = 1000

# The curve: RFC 8032, 5.1.
_P: Final = 2**255 - 19
_L: Final = 2**252 + 27742317777372353535851937790883648493
_D: Final = -121665 * pow(121666, -1, _P) % _P
_SQRT_M1: Final = pow(2, (_P - 1) // 4, _P)

_Point = tuple[int, int, int, int]


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

    def revoke(self, account: Account) -> None:
        """Nobody has the account's key from now on."""
        self._accounts.pop(account.api_key, None)

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


def read_public_key(text: str) -> bytes:
    """The 32 bytes of an Ed25519 key: PEM, or base64.

    Raises:
        ValueError: The value is not valid.
    """
    lines = [line.strip() for line in text.strip().splitlines()]
    try:
        raw = base64.b64decode("".join(line for line in lines if not line.startswith("-----")), validate=True)
    except ValueError:
        raw = b""
    # A SubjectPublicKeyInfo ends with the key (RFC 8410).
    if len(raw) == 44:
        raw = raw[12:]
    if len(raw) != 32:
        raise ValueError("`public_key` is no Ed25519 key: PEM, or its 32 bytes in base64")
    return raw


def verify_ed25519(public_key: bytes, message: bytes, signature: bytes) -> bool:
    """RFC 8032, 5.1.7."""
    if len(signature) != 64:
        return False
    a, r = _decode(public_key), _decode(signature[:32])
    s = int.from_bytes(signature[32:], "little")
    if a is None or r is None or s >= _L:
        return False
    digest = hashlib.sha512(signature[:32] + public_key + message).digest()
    k = int.from_bytes(digest, "little") % _L
    return _equal(_multiply(s, _BASE), _add(r, _multiply(k, a)))


def _decode(data: bytes) -> _Point | None:
    y = int.from_bytes(data, "little")
    sign, y = y >> 255, y & ((1 << 255) - 1)
    if y >= _P:
        return None
    u, v = (y * y - 1) % _P, (_D * y * y + 1) % _P
    square = u * pow(v, -1, _P) % _P
    x = pow(square, (_P + 3) // 8, _P)
    if (x * x - square) % _P:
        x = x * _SQRT_M1 % _P
    if (x * x - square) % _P or (x == 0 and sign):
        return None
    if x & 1 != sign:
        x = _P - x
    return x, y, 1, x * y % _P


def _add(p: _Point, q: _Point) -> _Point:
    a = (p[1] - p[0]) * (q[1] - q[0]) % _P
    b = (p[1] + p[0]) * (q[1] + q[0]) % _P
    c = 2 * p[3] * q[3] * _D % _P
    d = 2 * p[2] * q[2] % _P
    e, f, g, h = b - a, d - c, d + c, b + a
    return e * f % _P, g * h % _P, f * g % _P, e * h % _P


def _multiply(factor: int, point: _Point) -> _Point:
    result: _Point = (0, 1, 1, 0)
    while factor:
        if factor & 1:
            result = _add(result, point)
        point = _add(point, point)
        factor >>= 1
    return result


def _equal(p: _Point, q: _Point) -> bool:
    return (p[0] * q[2] - q[0] * p[2]) % _P == 0 and (p[1] * q[2] - q[1] * p[2]) % _P == 0


def _base() -> _Point:
    point = _decode((4 * pow(5, -1, _P) % _P).to_bytes(32, "little"))
    assert point is not None
    return point


_BASE: Final = _base()
