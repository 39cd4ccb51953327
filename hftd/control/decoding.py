"""Control messages as they come: those of this version are decoded, those of others are known as such."""

import contextlib
from typing import Any

import msgspec

from hftd import wire
from hftd.channel import layout
from hftd.errors import ProtocolError


def version_error(theirs: Any) -> ProtocolError:
    """The error for another protocol version; it names both."""
    return ProtocolError(
        f"this side speaks protocol version {layout.PROTOCOL_VERSION}, the other side version {theirs}",
        hint="run the same version of hftd on both sides: update the older one and restart it",
    )


class VersionError(ProtocolError):
    """The other side speaks another protocol version."""


def decode_message(data: bytes) -> wire.Control:
    """Decode one control message.

    Raises:
        ProtocolError: It is not a message of the protocol; a `VersionError` if it is one of another version.
    """
    greetings = (wire.Hello, wire.Welcome, wire.Ask)
    try:
        message = wire.control_decoder.decode(data)
        if not isinstance(message, greetings) or message.version == layout.PROTOCOL_VERSION:
            return message
        theirs: Any = message.version
    except Exception as error:
        # Too deeply nested, no UTF-8: decoders raise more than their own errors.
        # Another version's greeting may have another form, but number and version stand first in all of them.
        theirs = None
        with contextlib.suppress(Exception):
            match msgspec.msgpack.decode(data):
                case [32 | 33 | 36, int(version), *_] if version != layout.PROTOCOL_VERSION:
                    theirs = version
                case _:
                    pass
        if theirs is None:
            raise ProtocolError(
                f"the other side sent {len(data)} bytes that are no message: {error}",
                hint="something else than hftd uses this socket",
            ) from error
    mismatch = version_error(theirs)
    raise VersionError(mismatch.what, hint=mismatch.hint)
