"""What the machines are told of Binance Spot; the family has the rest."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final

import msgspec

from daemon.connector.limiter import RateLimit
from daemon.messages import Command, Outcome
from daemon.session.catalog import Steps
from daemon.session.errors import Odd
from daemon.session.facts import Error, Event, Params, Question, Signer
from daemon.session.trading.login import Entrance
from daemon.venues.binance import codes, facts
from daemon.venues.binance.facts import limits_of
from daemon.venues.binance.product import Product
from daemon.venues.binance.signing import session_logon
from daemon.venues.binancespot import orders, user, wire
from hftd import constants as c
from hftd.venues.binance import market

_MINUTE_NS: Final = 60_000_000_000
_SECOND_NS: Final = 1_000_000_000
SNAPSHOT_WEIGHT: Final = 50
LEVELS_WEIGHT: Final = 5
TRADES_WEIGHT: Final = 25

REASONS: Final = MappingProxyType(
    {
        **codes.REASONS,
        # A reduction that would be none; orders that are too old; a status that is another.
        -2038: c.REASON_FILTER,
        -2026: c.REASON_UNKNOWN_ORDER,
        -1220: c.REASON_NOT_TRADING,
        # These are futures'.
        **dict.fromkeys((-2021, -2022), c.REASON_EXCHANGE),
    }
)
HINTS: Final = MappingProxyType(
    {
        **{code: codes.HINTS[code] for code in (-1021, -1022, -2014)},
        -2015: "check the key, that it may trade spot, the addresses that it is bound to (this machine's must be "
        "among them), and that it is one of this host (testnet, demo and mainnet have their own)",
        -2016: "the exchange has no trading window for it now",
    }
)

SPOT: Final = Product(
    prefix="/api",
    st=0,
    is_inverse=False,
    positions=("", 0),
    balances=("/api/v3/account", 20),
    hides_positions=False,
    ws_pool="",
    income_weight=0,
    tells_listen_key=False,
    clock_codes=frozenset({-1021}),
    instrument_codes=frozenset({-1111, -1121, -1220}),
    reasons=REASONS,
    hints=HINTS,
    limits=(
        *limits_of("weight_1m", 6000, _MINUTE_NS, ""),
        RateLimit("orders_10s", 100, 10 * _SECOND_NS),
        RateLimit("orders_1d", 200_000, 86_400 * _SECOND_NS),
    ),
    version="v3",
)


class RestFacts(facts.RestFacts):
    """REST."""

    def __init__(self) -> None:
        super().__init__(SPOT)

    def verdict(self, status: int, code: int, message: str) -> tuple[str, int]:
        """What an answer other than a success means."""
        return orders.verdict(status, code, message, REASONS)

    def error_of(self, status: int, body: bytes) -> Error | None:
        """The error in an answer."""
        if status == 200:
            return None
        return orders.read_error(body) or Error(0, body[:200].decode("utf-8", "replace"))


class OrderFacts(facts.OrderFacts):
    """Orders: the WebSocket API, REST, and the user data stream.

    Args:
        steps: The symbols that are known; a replacement that failed half speaks of an order.
        prevention: Of self-trades; empty for the exchange's own.
    """

    cost_order: Mapping[str, int] = MappingProxyType({"orders_10s": 1, "orders_1d": 1, "weight_1m": 1})
    cost_cancel: Mapping[str, int] = MappingProxyType({"weight_1m": 1})
    cost_amend: Mapping[str, int] = MappingProxyType({"orders_10s": 1, "orders_1d": 1, "weight_1m": 4})
    cost_query: Mapping[str, int] = MappingProxyType({"weight_1m": 4})

    def __init__(self, steps: Mapping[str, Steps], prevention: str = "") -> None:
        super().__init__(SPOT)
        self._steps = steps
        self._prevention = prevention

    def read_reply(self, data: bytes) -> orders.Reply:
        """A WebSocket API message."""
        return orders.read_reply(data)

    def writer(self, signer: Signer, window_ms: int) -> orders.Requests:
        """Writes WebSocket API requests."""
        return orders.Requests(signer, window_ms, self._prevention)

    def rest_request(self, command: Command, steps: Steps) -> tuple[str, str, Params]:
        """A command over REST."""
        method, path, params = orders.rest_request(command, steps, self._prevention)
        return method, f"{SPOT.rest}/{path}", params

    def outcome_of_order(self, command: Command, data: Any, steps: Mapping[str, Steps]) -> Outcome:
        """A command that was answered with an order."""
        return orders.outcome_of_order(command, data, steps)

    def outcome_of_error(self, command: Command, status: int, error: Error | None, text: str = "") -> Outcome:
        """A command that was answered with an error."""
        return orders.outcome_of_error(command, status, error, text, self._steps, REASONS, HINTS)

    def read_event(self, data: bytes, steps: Mapping[str, Steps], odd: list[Odd] | None) -> Sequence[Event]:
        """A message of the user data stream."""
        return user.read_event(data, steps, odd)

    def odd_of_event(self, data: bytes, why: str) -> tuple[list[Odd], str]:
        """What of it is to be set aside."""
        return user.odd_of_event(data, why)


class LoginFacts:
    """How one is let into the user data stream: logged on with an Ed25519 key, or by a signed subscription."""

    LOGON = "logon"
    SUBSCRIBE = "subscribe"

    def __init__(self, *, has_session: bool) -> None:
        self._has_session = has_session

    def login(self, signer: Signer, now_ms: int) -> tuple[str, bytes]:
        """The logon; for a key that has no sessions the subscription itself."""
        if self._has_session:
            return self.LOGON, session_logon(self.LOGON, signer, now_ms)
        signature = signer.sign(f"apiKey={signer.api_key}&timestamp={now_ms}")
        params = {"apiKey": signer.api_key, "timestamp": now_ms, "signature": signature}
        return self.SUBSCRIBE, msgspec.json.encode(
            {"id": self.SUBSCRIBE, "method": "userDataStream.subscribe.signature", "params": params}
        )

    def topics(self) -> Sequence[tuple[str, bytes, bool]]:
        """What follows a logon."""
        if not self._has_session:
            return ()
        asked = {"id": self.SUBSCRIBE, "method": "userDataStream.subscribe"}
        return ((self.SUBSCRIBE, msgspec.json.encode(asked), False),)

    def read_entrance(self, data: bytes) -> Entrance | None:
        """An answer; None for an event."""
        reply = orders.read_reply(data)
        if reply.id is None:
            return None
        error = reply.failure()
        if error is not None or reply.status != 200:
            code, words = (error.code, error.msg) if error else (0, "")
            return Entrance(str(reply.id), f"{reply.status} {words}", code)
        return Entrance(str(reply.id))


class MarketFacts(facts.MarketFacts):
    """Market data: combined streams.

    Args:
        depth: How often the book's changes come, "100ms" or "1000ms".
        best_prices: "fused" into the book, "events" beside it, or "none".
    """

    controls_a_second = 4.0
    """The exchange takes five messages a second, pings and pongs included."""
    sync = wire.SpotSync
    read_other = staticmethod(wire.read_other)
    read_market = market.read_spot

    def __init__(self, depth: str, best_prices: str) -> None:
        super().__init__(SPOT, depth, best_prices)

    def streams(self, symbol: str) -> tuple[str, ...]:
        """The streams of a symbol, the depth's first. Without an interval the depth's comes once a second."""
        depth, *others = super().streams(symbol)
        return (depth.removesuffix("@1000ms"), *others)

    def ask_snapshot(self, symbol: str) -> Question:
        """The whole book."""
        return msgspec.structs.replace(super().ask_snapshot(symbol), weight=SNAPSHOT_WEIGHT)

    def ask_levels(self, symbol: str) -> Question:
        """A few levels."""
        return msgspec.structs.replace(super().ask_levels(symbol), weight=LEVELS_WEIGHT)

    def ask_trades(self, symbol: str) -> Question:
        """The latest trade."""
        return msgspec.structs.replace(super().ask_trades(symbol), weight=TRADES_WEIGHT)


REST: Final = RestFacts()
