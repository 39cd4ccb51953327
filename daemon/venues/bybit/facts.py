"""What the machines are told of Bybit; see `daemon.session.facts` and `daemon.session.manners`."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final, Literal

import msgspec

from daemon.connector.limiter import RateLimit
from daemon.messages import Command, Outcome, Report
from daemon.session.catalog import Steps
from daemon.session.errors import Odd
from daemon.session.facts import Auth, Error, Event, Params, Question, Signed, Signer
from daemon.session.manners import Heartbeat
from daemon.session.trading.login import Entrance
from daemon.venues.bybit import codes, orders, user, wire
from daemon.venues.bybit.account import read_server_time
from daemon.venues.bybit.book import BookSync
from daemon.venues.bybit.requests import CATEGORY, Requests, rest_request
from daemon.venues.bybit.signing import login, query, signed_headers
from hftd.venues.bybit import market
from hftd.venues.reader import MarketReader

BANNED_S: Final = 600.0
"""An address that asks too often is to be quiet for so long."""
BUSY_S: Final = 5.0
LIMITS: Final = (
    # 600 in 5 seconds of an address, and 50 a second of any one question: the second is the smaller.
    RateLimit("weight_5s", 240, 5_000_000_000, 60, 12),
    RateLimit("orders_1s", 10, 1_000_000_000),
    RateLimit("amends_1s", 10, 1_000_000_000),
    RateLimit("cancels_1s", 10, 1_000_000_000),
)
"""Of an account without a grade; each answer says what this one has."""
HEARTBEAT: Final = Heartbeat(lambda number: f'{{"req_id":"p{number}","op":"ping"}}')
_PARTS: Final = MappingProxyType({"orderbook": "depth", "publicTrade": "trade"})


class RestFacts:
    """REST."""

    weight = "weight_5s"
    time_path = "/v5/market/time"
    clock_codes = codes.CLOCK_CODES
    again_codes = codes.AGAIN_CODES
    read_server_time = staticmethod(read_server_time)
    verdict = staticmethod(codes.verdict)

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
        """A question's parameters are its query, a command's its body."""
        del path
        is_query = method == "GET"
        text = query(params) if is_query else msgspec.json.encode(dict(params)).decode()
        headers: dict[str, str] = {}
        if auth != "none":
            assert signer is not None
            headers = signed_headers(text, signer, now_ms, window_ms)
        if is_query:
            return Signed(text, headers)
        return Signed("", headers | {"Content-Type": "application/json"}, text.encode())

    def error_of(self, status: int, body: bytes) -> Error | None:
        """The error in an answer, most often with HTTP's 200."""
        error = orders.read_error(body)
        if error is not None and (error.code or status == 200):
            return error if error.code else None
        return Error(0, body[:200].decode("utf-8", "replace"))

    def counts_of_headers(self, headers: Mapping[str, str]) -> dict[str, int]:
        """Counts are by paths: see `limits_of_call`."""
        del headers
        return {}

    def limits_of_call(self, path: str, headers: Mapping[str, str]) -> list[tuple[str, int, int]]:
        """A limit by the limiter's name, what it allows, and what is used of it."""
        found = orders.limit_of(orders.LIMIT_NAMES.get(path, ""), headers)
        return [found] if found else []

    def quiet_s(self, status: int, error: Error | None, headers: Mapping[str, str], now_ms: int) -> float:
        """Only what is about the address; too many requests of one kind hold up nothing else."""
        del headers, now_ms
        if status == 403 and error is not None and "too frequent" in error.msg.lower():
            return BANNED_S
        return BUSY_S if status == 429 or (error is not None and error.code in (10403, 10429)) else 0.0

    def allowed(self, words: str) -> int:
        """Errors do not say."""
        del words
        return 0


class OrderFacts:
    """Orders: the trade socket, REST, and the private socket."""

    cost_order: Mapping[str, int] = MappingProxyType({"orders_1s": 1})
    cost_amend: Mapping[str, int] = MappingProxyType({"amends_1s": 1})
    cost_cancel: Mapping[str, int] = MappingProxyType({"cancels_1s": 1})
    cost_query: Mapping[str, int] = MappingProxyType({"weight_5s": 1})
    instrument_codes = codes.INSTRUMENT_CODES
    too_many_orders_code = 0
    logon_id = orders.LOGON_ID
    read_reply = staticmethod(orders.read_reply)
    read_reply_id = staticmethod(orders.read_reply_id)
    outcome_of_error = staticmethod(orders.outcome_of_error)

    def limits_of(self, name: str, limit: int, interval_ns: int) -> list[RateLimit]:
        """The instruments' list has none."""
        return [RateLimit(name, limit, interval_ns)]

    def writer(self, signer: Signer, window_ms: int) -> Requests:
        """Writes requests of the trade socket, which are not signed one by one."""
        del signer
        return Requests(window_ms)

    def rest_request(self, command: Command, steps: Steps) -> tuple[str, str, Params]:
        """A command over REST."""
        return rest_request(command, steps)

    def outcome_of_order(self, command: Command, data: Any, steps: Mapping[str, Steps]) -> Outcome:
        """A command that was answered without an error."""
        return orders.outcome_of_answer(command, data, steps)

    def logon(self, signer: Signer, timestamp_ms: int) -> bytes:
        """Of the trade socket."""
        return login(signer, timestamp_ms, {"reqId": orders.LOGON_ID})

    def read_order(self, data: Any, steps: Mapping[str, Steps], source: str) -> Report:
        """An order."""
        return orders.read_order(data, steps, source)

    def read_event(self, data: bytes, steps: Mapping[str, Steps], odd: list[Odd] | None) -> Sequence[Event]:
        """A message of the private socket."""
        return user.read_event(data, steps, odd)

    def odd_of_event(self, data: bytes, why: str) -> tuple[list[Odd], str]:
        """Items are set aside one by one as they are read."""
        del data, why
        return [], ""


class LoginFacts:
    """The private socket's login.

    Args:
        has_switch: Whether the account's dead-man switch is used.
    """

    def __init__(self, has_switch: bool) -> None:
        self._has_switch = has_switch

    def login(self, signer: Signer, now_ms: int) -> tuple[str, bytes]:
        """The login."""
        return user.LOGIN_ID, login(signer, now_ms, {"req_id": user.LOGIN_ID})

    def topics(self) -> list[tuple[str, bytes, bool]]:
        """The account's events; the switch is not for every account, so it is asked for apart."""
        names = [f"order.{CATEGORY}", f"execution.{CATEGORY}", f"position.{CATEGORY}", "wallet"]
        found = [("topics", _subscription("topics", names), False)]
        if self._has_switch:
            found.append((SWITCH_ID, _subscription(SWITCH_ID, ["dcp.future"]), True))
        return found

    def read_entrance(self, data: bytes) -> Entrance | None:
        """An answer."""
        return user.read_entrance(data)


SWITCH_ID: Final = "dcp"


def _subscription(number: str, topics: Sequence[str], op: str = "subscribe") -> bytes:
    return msgspec.json.encode({"req_id": number, "op": op, "args": list(topics)})


class MarketFacts:
    """Market data.

    Args:
        depth: How many levels of a book are followed.
    """

    streams_max = 500
    """All topics of a connection may have 21,000 characters."""
    streams_a_message = 10
    controls_a_second = 5.0
    best_is_book = False
    sync = BookSync
    read_other = staticmethod(wire.read_other)
    read_last_trade_ms = staticmethod(wire.read_last_trade_ms)

    def __init__(self, depth: int) -> None:
        self._depth = depth

    def reader(self) -> MarketReader:
        """Reads books and trades, and the answer about a book."""
        return MarketReader(market.read, odd="block")

    def streams(self, symbol: str) -> tuple[str, ...]:
        """The topics of a symbol, the book's first."""
        return f"orderbook.{self._depth}.{symbol}", f"publicTrade.{symbol}"

    def part_of(self, stream: str) -> str:
        """Which part of a market a topic is."""
        return _PARTS.get(stream.partition(".")[0], stream)

    def control(
        self, method: Literal["SUBSCRIBE", "UNSUBSCRIBE"], streams: Sequence[str], number: int
    ) -> str:
        """A subscription."""
        return _subscription(str(number), streams, method.lower()).decode()

    def ask_snapshot(self, symbol: str) -> Question:
        """Books come by the stream."""
        return self.ask_levels(symbol)

    def ask_levels(self, symbol: str) -> Question:
        """The levels that the smallest book has."""
        return Question(
            "/v5/market/orderbook", (("category", CATEGORY), ("symbol", symbol), ("limit", 50)), 1
        )

    def ask_trades(self, symbol: str) -> Question:
        """The latest trade."""
        return Question(
            "/v5/market/recent-trade", (("category", CATEGORY), ("symbol", symbol), ("limit", 1)), 1
        )


REST: Final = RestFacts()
ORDERS: Final = OrderFacts()
