"""Secrets that got into a text all the same, taken out before the text leaves the process.

The first line is that nobody puts them there: `daemon.connector.secrets.Secret` does not show itself, and errors are
made without the texts that hold a query. This is the second one, for tracebacks, for what libraries say, and for what
nobody thought of: what is known to be secret goes by its value, the rest by the name that stands before it.
"""

import re
from collections import deque
from collections.abc import Iterable
from typing import Final
from urllib.parse import quote

_KNOWN_MAX: Final = 256
"""Listen keys come and go; the oldest is forgotten."""
_SHORTEST: Final = 8
"""A shorter text is no secret worth the name, and would take ordinary words out of the log."""
_HIDDEN: Final = "***"

_NAMED: Final = re.compile(
    r"""((?:signature|listen_?key|api_?key|x-mbx-apikey|secret|passphrase|wallet_?key)["']?\\?["']?\s*[:=,]\s*b?\\?["']?)[A-Za-z0-9+/=%_.-]{8,}""",
    re.IGNORECASE,
)
_PEM: Final = re.compile(r"-----BEGIN[^-]*PRIVATE KEY-----.*?(?:-----END[^-]*PRIVATE KEY-----|\Z)", re.DOTALL)

_SIGNATURE: Final = re.compile(r"""(signature["']?\s*[=:]\s*["']?)[A-Za-z0-9+/=%]+""")

_known: deque[str] = deque(maxlen=_KNOWN_MAX)


def hide(secret: str) -> None:
    """Let no text that goes through `redacted` hold this one, nor its lines, nor its percent-encoded form."""
    for line in (secret, *secret.splitlines()):
        text = line.strip()
        if len(text) < _SHORTEST or text.startswith("-----"):
            continue
        # Of hexadecimal digits also without what stands before them.
        for form in (text.removeprefix("0x"), quote(text, safe="")):
            if form not in _known:
                _known.append(form)


def redacted(text: str) -> str:
    """The text without what is secret in it."""
    for secret in _known:
        if secret in text:
            text = text.replace(secret, _HIDDEN)
    return _NAMED.sub(rf"\1{_HIDDEN}", _PEM.sub(_HIDDEN, text))


def redact(text: str, secrets: Iterable[str]) -> str:
    """A text for the log, without any of the secrets, in plain or percent-encoded form."""
    for secret in secrets:
        if secret:
            text = text.replace(secret, "***").replace(quote(secret, safe=""), "***")
    return _SIGNATURE.sub(r"\1***", text)
