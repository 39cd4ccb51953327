"""Keys and signatures: HMAC-SHA256 and Ed25519.

The exchange signs over exactly what is sent: on REST the query string, on the WebSocket API all parameters but the
signature, sorted by name, as ``k=v&k=v`` without percent-encoding.
"""

from collections.abc import Iterable
from urllib.parse import quote

from daemon.session.facts import Signer
from daemon.session.rest import RECV_WINDOW_MS
from daemon.venues.keys import HmacSigner, PemSigner, is_pem


class Ed25519Signer(PemSigner):
    """A key of the kind that logs a WebSocket on."""

    def __init__(self, api_key: str, pem: str) -> None:
        super().__init__(api_key, pem, "Ed25519")


def make_signer(api_key: str, secret: str) -> HmacSigner | Ed25519Signer:
    """The signer for a key: a secret in PEM is an Ed25519 key, any other text an HMAC secret.

    Raises:
        ConfigError: One of them is missing or unreadable; the message holds neither.
    """
    if is_pem(secret):
        return Ed25519Signer(api_key, secret)
    return HmacSigner(api_key, secret.strip())


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
