"""What an exchange's folder says of itself to a recorder: `collect.py` there has one `COLLECT`, a `Collectable`."""

import importlib
import pkgutil
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from typing import Any, Literal

import msgspec

from daemon.connector.limiter import RateLimit
from daemon.session.facts import MarketFacts, RestFacts
from daemon.session.manners import Heartbeat
from hftd.errors import ConfigError


class Asked(msgspec.Struct, frozen=True):
    """Where whole books and the exchange's time are asked for.

    Attributes:
        url: Of REST, without a slash at its end.
        facts: How it is spoken.
        limits: Until the exchange has told its own.
    """

    url: str
    facts: RestFacts
    limits: Sequence[RateLimit]


class Source(msgspec.Struct, frozen=True):
    """An exchange's public streams, as one configuration wants them.

    Attributes:
        url: Of the WebSocket.
        facts: How market data is spoken. Its reader gives the ids of trades too, see `keep_trade_ids`.
        rest: None: nothing is asked for, all of a book comes by the streams.
        life_s: The exchange closes a connection after so long.
        heartbeat: How a connection is kept alive; None: by the exchange.
        is_streamed: The first message of a depth stream is a whole book.
        trades: How ids of trades follow each other: "counted" one by one, or "named" by texts in any order.
        stale_after_s: A connection that is silent for so long is dead.
        first_message_s: A subscription without a first message within this is made again.
    """

    url: str
    facts: MarketFacts
    rest: Asked | None
    life_s: float
    heartbeat: Heartbeat | None = None
    is_streamed: bool = False
    trades: Literal["counted", "named"] = "named"
    stale_after_s: float = 10.0
    first_message_s: float = 10.0


class Collectable(msgspec.Struct, frozen=True):
    """An exchange that can be recorded.

    Attributes:
        config_type: What its table of the configuration may have, `symbols` among it.
        source: Its streams, given a configuration of that type.
        spell: How it spells a symbol that a user gave.
    """

    config_type: type[Any]
    source: Callable[[Any], Source]
    spell: Callable[[str], str] = str.upper


def collectable_names() -> list[str]:
    """The exchanges that can be recorded: the folders with a `collect.py`."""
    import daemon.venues

    found = (one.name for one in pkgutil.iter_modules(daemon.venues.__path__) if one.ispkg)
    return sorted(name for name in found if find_spec(f"daemon.venues.{name}.collect") is not None)


def find_collectable(name: str) -> Collectable:
    """An exchange by its name.

    Raises:
        ConfigError: There is none of that name.
    """
    names = collectable_names()
    if name not in names:
        raise ConfigError(f"there is no exchange {name!r} to record", hint=f"there is {', '.join(names)}")
    return importlib.import_module(f"daemon.venues.{name}.collect").COLLECT
