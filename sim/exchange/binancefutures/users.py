"""User data: listen keys, and the events that go to those who have one."""

import random
from collections.abc import Callable
from typing import Any, Final

import msgspec

from sim.exchange.binancefutures.accounts import Account, Order, Position, Trade
from sim.exchange.binancefutures.errors import dead_listen_key
from sim.exchange.binancefutures.feeds import Feed
from sim.exchange.binancefutures.shapes import account_event, order_event, trade_lite
from sim.exchange.chaos import Chaos
from sim.exchange.clock import ExchangeClock
from sim.exchange.connection import Connection

_LETTERS: Final = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"


class UserListener:
    """A connection that user events go to.

    Args:
        connection: The connection.
        events: The kinds of events that it wants; empty: all.
        combined: Whether messages are wrapped with the listen key.
    """

    def __init__(self, connection: Connection, events: frozenset[str], combined: bool) -> None:
        self.connection = connection
        self.events = events
        self.combined = combined


class Users:
    """Listen keys and user events.

    Args:
        clock: The exchange's.
        chaos: Delays, doubles, loses, expires.
        life_s: How long a listen key lives.
        seed: Of the keys.
    """

    def __init__(self, clock: ExchangeClock, chaos: Chaos, life_s: float, seed: int) -> None:
        self._clock = clock
        self._chaos = chaos
        self._life_ms = int(life_s * 1000)
        self._random = random.Random(f"{seed}/listen keys")  # noqa: S311 - it must repeat
        self._accounts: dict[str, Account] = {}
        self._listeners: dict[str, list[UserListener]] = {}
        self._encoder = msgspec.json.Encoder()
        self.feeds: dict[str, Feed] = {}
        self.delay_ns: Callable[[], int] = int
        self.is_silent: Callable[[], bool] = bool
        """Whether user data says nothing now."""
        self.events_sent = 0

    # Listen keys.

    def start(self, account: Account) -> str:
        """The account's listen key: the live one, which then lives longer, or a new one."""
        if not account.listen_key:
            account.listen_key = "".join(self._random.choice(_LETTERS) for _ in range(64))
            self._accounts[account.listen_key] = account
            seconds = self._chaos.next_s("listen_key_s")
            account.listen_key_until_ms = self._clock.server_ms() + (int(seconds * 1000) or self._life_ms)
        else:
            self.keep(account)
        return account.listen_key

    def keep(self, account: Account) -> str:
        """Let the listen key live longer."""
        if not account.listen_key:
            raise dead_listen_key()
        if self._chaos.settings.listen_key_s <= 0.0:
            account.listen_key_until_ms = self._clock.server_ms() + self._life_ms
        return account.listen_key

    def stop(self, account: Account) -> None:
        """The end of the listen key, as its owner wants it."""
        if not account.listen_key:
            raise dead_listen_key()
        self._accounts.pop(account.listen_key, None)
        account.listen_key = ""

    def expire(self, account: Account) -> None:
        """The end of the listen key, as the exchange says it: its connections go quiet."""
        key = account.listen_key
        if not key:
            return
        now_ms = self._clock.server_ms()
        body = self._encoder.encode({"e": "listenKeyExpired", "E": now_ms, "listenKey": key})
        for listener in self._listeners.get(key, ()):
            self._send(listener, key, body, 0, "")
        self._accounts.pop(key, None)
        account.listen_key = ""
        account.count("listen keys expired")

    def on_time(self) -> None:
        """Listen keys whose time is over."""
        now_ms = self._clock.server_ms()
        for account in list(self._accounts.values()):
            if now_ms >= account.listen_key_until_ms:
                self.expire(account)

    def is_listen_key(self, text: str) -> bool:
        """Whether it may be one: streams have an @."""
        return len(text) >= 40 and text.isalnum()

    def listen(self, key: str, listener: UserListener) -> None:
        """A connection wants a key's events; a key that is none is not refused, and has none."""
        self._listeners.setdefault(key, []).append(listener)
        listener.connection.on_end.append(lambda: self._drop(key, listener))

    def _drop(self, key: str, listener: UserListener) -> None:
        listeners = self._listeners.get(key, [])
        if listener in listeners:
            listeners.remove(listener)
        if not listeners:
            self._listeners.pop(key, None)

    # Events.

    def on_order(self, order: Order, what: str, ts_ns: int, trade: Trade | None = None) -> None:
        """An order's news."""
        listeners = self._heard(order.account)
        if not listeners:
            return
        time_ms, now_ms = self._clock.stamp_ms(ts_ns), self._clock.server_ms()
        if trade is not None and what == "TRADE":
            self._emit(order.account, listeners, trade_lite(order, trade, time_ms, now_ms))
        self._emit(order.account, listeners, order_event(order, what, trade, time_ms, now_ms))

    def on_account(self, account: Account, position: Position, ts_ns: int) -> None:
        """A balance and a position."""
        listeners = self._heard(account)
        if not listeners:
            return
        mark_tick = self.feeds[position.instrument.symbol].mark_tick()
        time_ms, now_ms = self._clock.stamp_ms(ts_ns), self._clock.server_ms()
        self._emit(account, listeners, account_event(account, position, mark_tick, time_ms, now_ms))

    def _heard(self, account: Account) -> list[UserListener]:
        return self._listeners.get(account.listen_key, []) if account.listen_key else []

    def _emit(self, account: Account, listeners: list[UserListener], event: dict[str, Any]) -> None:
        if self.is_silent():
            return
        kind: str = event["e"]
        body = self._encoder.encode(event)
        chaos = self._chaos
        for listener in list(listeners):
            if listener.events and kind not in listener.events:
                continue
            if chaos.strikes("event_lost"):
                continue
            delay_ns = self.delay_ns() + chaos.late_ns("event_late")
            key = kind
            if chaos.strikes("event_shuffled"):
                key = "*"
                delay_ns += int(chaos.of("event_shuffled/ns").random() * chaos.settings.late_ms * 1e6)
            self._send(listener, account.listen_key, body, delay_ns, key)
            if chaos.strikes("event_doubled"):
                again_ns = int(chaos.of("event_doubled/ns").random() * chaos.settings.late_ms * 1e6)
                self._send(listener, account.listen_key, body, delay_ns + again_ns, "*")

    def _send(self, listener: UserListener, listen_key: str, body: bytes, delay_ns: int, key: str) -> None:
        if listener.combined:
            body = b'{"stream":"' + listen_key.encode() + b'","data":' + body + b"}"
        self.events_sent += 1
        listener.connection.send(body, delay_ns, key)
