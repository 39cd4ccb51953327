"""Why a connection could not be made, in words that say what to do."""

import ssl
from typing import Final

import aiohttp

# OpenSSL's X509_V_ERR_*, as `SSLCertVerificationError.verify_code` has them (x509_vfy.h).
_NOT_YET_VALID: Final = 9
_EXPIRED: Final = 10
_SELF_SIGNED: Final = frozenset({18, 19})
_UNKNOWN_ISSUER: Final = frozenset({2, 20, 21, 27})
_OTHER_HOST: Final = frozenset({62, 64})

_STATUSES: Final = {
    401: "it wants a key, or another one",
    403: "its firewall refuses us: too many requests, or a country that it does not serve",
    404: "there is no such path: is the address, and the route in it, right?",
    418: "it bans this address: it says so after requests that went on after a 429",
    429: "too many requests",
    451: "it does not serve this country",
}


def why_not(error: BaseException) -> str:
    """Why a connection could not be made or broke, for the log and `hftd status`.

    Args:
        error: What was raised.
    """
    found = _certificate_error(error)
    if found is not None:
        return f"{_named(error)}the exchange's certificate is not accepted: {_of_certificate(found)}"
    if isinstance(error, aiohttp.ClientConnectorSSLError):
        return f"{_named(error)}no TLS: {error.os_error}; is it wss or https there, and not ws or http?"
    if isinstance(error, aiohttp.WSServerHandshakeError):
        what = _STATUSES.get(error.status, "this is no WebSocket")
        return f"{error.request_info.real_url.host} answered the handshake with {error.status}: {what}"
    return str(error) or type(error).__name__


def _named(error: BaseException) -> str:
    return f"{error.host}: " if isinstance(error, aiohttp.ClientConnectorError) else ""


def _certificate_error(error: BaseException) -> ssl.SSLCertVerificationError | None:
    """What is wrong with a certificate, if that is what it was."""
    seen: BaseException | None = error
    for _ in range(5):
        if seen is None:
            return None
        if isinstance(seen, ssl.SSLCertVerificationError) and hasattr(seen, "verify_code"):
            return seen
        inner = getattr(seen, "certificate_error", None)
        seen = inner if isinstance(inner, BaseException) else seen.__cause__
    return None


def _of_certificate(error: ssl.SSLCertVerificationError) -> str:
    code, words = error.verify_code, error.verify_message
    if code == _EXPIRED:
        return f"it has expired ({words}); if it should not have, this machine's clock is wrong"
    if code == _NOT_YET_VALID:
        return f"it is not valid yet ({words}): this machine's clock is behind; set it, and see to its time service"
    if code in _OTHER_HOST:
        return (
            f"it is that of another host ({words}): is the address right, or does something stand in between?"
        )
    if code in _SELF_SIGNED:
        return f"it is signed by itself ({words}): is the address right, or does something stand in between?"
    if code in _UNKNOWN_ISSUER:
        return (
            f"its authority is not known to this machine ({words}): install the system's certificates "
            "(ca-certificates), or set SSL_CERT_FILE; or something stands between us and the exchange"
        )
    return words
