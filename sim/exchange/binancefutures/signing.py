"""Signatures of requests: HMAC-SHA256, and Ed25519 (RFC 8032)."""

import base64
import binascii
import hashlib
import hmac
from collections.abc import Mapping
from typing import Final

from sim.exchange.config import AccountSection

# The curve: RFC 8032, 5.1.
_P: Final = 2**255 - 19
_L: Final = 2**252 + 27742317777372353535851937790883648493
_D: Final = -121665 * pow(121666, -1, _P) % _P
_SQRT_M1: Final = pow(2, (_P - 1) // 4, _P)

_Point = tuple[int, int, int, int]


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


def read_public_key(text: str) -> bytes:
    """The 32 bytes of an Ed25519 key: PEM, or base64.

    Raises:
        ValueError: It is none.
    """
    lines = [line.strip() for line in text.strip().splitlines()]
    raw = base64.b64decode("".join(line for line in lines if not line.startswith("-----")))
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
