"""What the machines are told of Binance's futures, of each member by its `Product`; see `daemon.session.facts`."""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final, Literal

import msgspec

from daemon.collector.source import Asked, Source
from daemon.connector.limiter import RateLimit
from daemon.messages import Command, Outcome, Report
from daemon.session.catalog import Steps
from daemon.session.errors import Odd
from daemon.session.facts import Auth, Error, Event, Params, Question, Signed, Signer
from daemon.venues.binance import codes, orders, user, wire
from daemon.venues.binance.account import read_server_time
from daemon.venues.binance.book import BookSync
from daemon.venues.binance.config import BinanceConfig, FamilyConfig
from daemon.venues.binance.instruments import counts_of_headers
from daemon.venues.binance.product import Product
from daemon.venues.binance.requests import Requests, rest_request
from daemon.venues.binance.signing import query, session_logon, signed_query
from hftd.venues.binance import market
from hftd.venues.reader import MarketReader

BAN_S: Final = MappingProxyType({429: 5.0, 418: 120.0})
"""How long to be quiet if the answer does not say."""
_ALLOWED: Final = re.compile(r"current limit.{0,80}? is (\d{1,7}) request")
"""How the exchange says what it allows in a minute when that was too much."""
URGENT_SHARE: Final = 4
"""One part in so many of the request weight is for cancels alone: 600 of 2400, at once."""
ORDERS_SHARE: Final = 20
"""And one in so many for questions about single orders."""
SNAPSHOT_LEVELS: Final = 1000
SNAPSHOT_WEIGHT: Final = 20
LEVELS: Final = 5
LEVELS_WEIGHT: Final = 2
TRADES_WEIGHT: Final = 5
_PARTS: Final = MappingProxyType({"depth": "depth", "bookTicker": "best", "trade": "trade"})


def limits_of(name: str, limit: int, interval_ns: int, ws_pool: str = "ws_") -> Iterator[RateLimit]:
    """A limit of the exchange, with what is kept of it for whom.

    Request weight is one pool for REST and another, `ws_pool` before its name, for the WebSocket API; or one for both.
    """
    if not name.startswith("weight"):
        yield RateLimit(name, limit, interval_ns)
        return
    for one in dict.fromkeys((name, f"{ws_pool}{name}")):
        yield RateLimit(one, limit, interval_ns, limit // URGENT_SHARE, limit // ORDERS_SHARE)


class RestFacts:
    """REST."""

    weight = "weight_1m"
    read_server_time = staticmethod(read_server_time)
    counts_of_headers = staticmethod(counts_of_headers)

    def __init__(self, product: Product) -> None:
        self.time_path = f"{product.rest}/time"
        self.clock_codes = product.clock_codes
        self._reasons = product.reasons

    def verdict(self, status: int, code: int, message: str) -> tuple[str, int]:
        """What an answer other than a success means."""
        return codes.verdict(status, code, message, self._reasons)

    def signed(
        self,
        method: str,
        path: str,
        params: Params,
        auth: Auth,
        signer: Signer | None,
        now_ms: int,
        window_ms: int,
    ) -> Signed:
        """All parameters stand in the query, the key in a header."""
        del method, path
        if auth == "none":
            return Signed(query(params), {})
        assert signer is not None
        headers = {"X-MBX-APIKEY": signer.api_key}
        if auth == "key":
            return Signed(query(params), headers)
        return Signed(signed_query(params, signer, now_ms, window_ms), headers)

    def error_of(self, status: int, body: bytes) -> Error | None:
        """The error in an answer."""
        if status == 200:
            return None
        return orders.read_error(body) or Error(0, body[:200].decode("utf-8", "replace"))

    def quiet_s(self, status: int, error: Error | None, headers: Mapping[str, str], now_ms: int) -> float:
        """Too many orders is about orders alone: cancels must still pass."""
        if status not in BAN_S or (error is not None and error.code == codes.TOO_MANY_ORDERS_CODE):
            return 0.0
        if error is not None and error.retry_after_ms:
            return max(0.0, (error.retry_after_ms - now_ms) / 1000)
        return retry_after_s(headers, status)

    def allowed(self, words: str) -> int:
        """What an error's words say that is allowed in a minute."""
        said = _ALLOWED.search(words)
        return int(said[1]) if said is not None else 0


def retry_after_s(headers: Mapping[str, str], status: int) -> float:
    """For how long an answer of this status, 429 or 418, wants to hear nothing."""
    text = headers.get("Retry-After", "")
    if text.isascii() and text.isdigit() and len(text) < 9:
        return float(text)
    return BAN_S[status]


class OrderFacts:
    """Orders: the WebSocket API, REST, and the user data stream."""

    cost_order: Mapping[str, int] = MappingProxyType({"orders_10s": 1, "orders_1m": 1})
    cost_cancel: Mapping[str, int] = MappingProxyType({"weight_1m": 1, "ws_weight_1m": 1})
    """On the WebSocket API it counts in both pools, where there are two."""
    too_many_orders_code = codes.TOO_MANY_ORDERS_CODE
    logon_id = "logon"
    read_reply_id = staticmethod(orders.read_reply_id)

    def __init__(self, product: Product) -> None:
        self.instrument_codes = product.instrument_codes
        self._product = product
        self._path = f"{product.rest}/order"

    def read_reply(self, data: bytes) -> orders.Reply:
        """A WebSocket API message."""
        return orders.read_reply(data, is_shared=not self._product.ws_pool)

    def outcome_of_error(self, command: Command, status: int, error: Error | None, text: str = "") -> Outcome:
        """A command that was answered with an error."""
        product = self._product
        return orders.outcome_of_error(command, status, error, text, product.reasons, product.hints)

    def limits_of(self, name: str, limit: int, interval_ns: int) -> Sequence[RateLimit]:
        """See `limits_of`."""
        return list(limits_of(name, limit, interval_ns, self._product.ws_pool))

    def writer(self, signer: Signer, window_ms: int) -> Requests:
        """Writes WebSocket API requests."""
        return Requests(signer, has_session=signer.has_session, recv_window_ms=window_ms)

    def rest_request(self, command: Command, steps: Steps) -> tuple[str, str, Params]:
        """A command over REST."""
        method, params = rest_request(command, steps)
        return method, self._path, params

    def outcome_of_order(self, command: Command, data: Any, steps: Mapping[str, Steps]) -> Outcome:
        """A command that was answered with an order."""
        return orders.outcome_of_order(command, data, steps)

    def logon(self, signer: Signer, timestamp_ms: int) -> bytes:
        """With Ed25519 keys only."""
        return session_logon(self.logon_id, signer, timestamp_ms)

    def read_order(self, data: Any, steps: Mapping[str, Steps], source: str) -> Report:
        """An order."""
        return orders.read_order(data, steps, source)

    def read_event(self, data: bytes, steps: Mapping[str, Steps], odd: list[Odd] | None) -> Sequence[Event]:
        """A message of the user data stream."""
        return user.read_event(data, steps, odd)

    def odd_of_event(self, data: bytes, why: str) -> tuple[list[Odd], str]:
        """What of it is to be set aside."""
        return user.odd_of_event(data, why)


class MarketFacts:
    """Market data: combined streams.

    Args:
        product: Whose.
        depth: How often the book's changes come, "0ms" or "100ms".
        best_prices: "fused" into the book, "events" beside it, or "none".
    """

    streams_max = 1024
    streams_a_message = 100
    controls_a_second = 5.0
    """The exchange takes ten messages a second, pings and pongs included."""
    sync = BookSync
    read_other = staticmethod(wire.read_other)
    read_market = market.read_futures
    read_last_trade_ms = staticmethod(wire.read_last_trade_ms)

    def __init__(self, product: Product, depth: str, best_prices: str) -> None:
        self._v1 = product.rest
        self._depth = depth
        self._has_best = best_prices != "none"
        self.best_is_book = best_prices == "fused"
        self._best_kinds = wire.TO_BE_FUSED if self.best_is_book else wire.AS_EVENTS

    def reader(self) -> MarketReader:
        """Reads depth, best prices, trades and snapshots."""
        return MarketReader(self.read_market, self._best_kinds)

    def streams(self, symbol: str) -> tuple[str, ...]:
        """The streams of a symbol, the depth's first."""
        name = symbol.lower()
        streams = (f"{name}@depth@{self._depth}", f"{name}@trade")
        return (*streams, f"{name}@bookTicker") if self._has_best else streams

    def part_of(self, stream: str) -> str:
        """Which part of a market a stream is."""
        return _PARTS.get(stream.partition("@")[2].partition("@")[0], stream)

    def control(
        self, method: Literal["SUBSCRIBE", "UNSUBSCRIBE"], streams: Sequence[str], number: int
    ) -> str:
        """A subscription."""
        return msgspec.json.encode({"method": method, "params": list(streams), "id": number}).decode()

    def ask_snapshot(self, symbol: str) -> Question:
        """The whole book."""
        return Question(
            f"{self._v1}/depth", (("symbol", symbol), ("limit", SNAPSHOT_LEVELS)), SNAPSHOT_WEIGHT
        )

    def ask_levels(self, symbol: str) -> Question:
        """A few levels."""
        return Question(f"{self._v1}/depth", (("symbol", symbol), ("limit", LEVELS)), LEVELS_WEIGHT)

    def ask_trades(self, symbol: str) -> Question:
        """The latest trade."""
        return Question(f"{self._v1}/trades", (("symbol", symbol), ("limit", 1)), TRADES_WEIGHT)


# ---- to be recorded


def source_of(
    config: FamilyConfig,
    url: str,
    market: MarketFacts,
    rest: RestFacts,
    limits: Sequence[RateLimit],
) -> Source:
    """A member's public streams as a collector records them, as its connector's configuration wants them."""
    return Source(
        url=url,
        facts=market,
        rest=Asked(config.rest_url(), rest, limits),
        life_s=config.connection_life_s,
        trades="counted",
        stale_after_s=config.stale_after_s,
        first_message_s=config.first_message_s,
    )


def futures_source(product: Product) -> Callable[[BinanceConfig], Source]:
    """What makes the streams of a futures market."""

    def source(config: BinanceConfig) -> Source:
        market = MarketFacts(product, config.depth, config.best_prices)
        return source_of(config, config.market_url(), market, RestFacts(product), product.limits)

    return source
