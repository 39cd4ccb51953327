"""What is said of alerts, for any target: one line each, and nothing in it that a target takes for more than text."""

from typing import Final

TEXT_MAX: Final = 300
"""So many characters of what a daemon or an exchange said are told."""
_PLAIN: Final = str.maketrans({"<": "(", ">": ")", "[": "(", "]": ")", "`": "'", "@": "(at)", "*": "+"})


def cleaned(text: str, limit: int = TEXT_MAX) -> str:
    """Text from outside, harmless.

    Line ends, control characters and characters that turn the direction of writing become spaces; what marks links,
    mentions or HTML becomes something alike; a URL is no link any more.

    Args:
        text: Any.
        limit: A longer one is cut.
    """
    shown = "".join(c if c.isprintable() else " " for c in text[: 4 * limit])
    shown = " ".join(shown.translate(_PLAIN).replace("://", ":/ /").split())
    return shown if len(shown) <= limit else f"{shown[: limit - 3]}..."


def duration(seconds: float) -> str:
    """Such as `12 s`, `3 min`, `5.2 h`."""
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"
