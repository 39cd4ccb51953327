"""User data by subscription on a connection of the WebSocket API: by its logon, or signed, of several accounts."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, ClassVar, Final

import msgspec

from sim.exchange.accounts.accounts import Account
from sim.exchange.accounts.processing import KEY, NOTHING, SIGNED, Operation, Params
from sim.exchange.binance.errors import refusal
from sim.exchange.binance.orders import whole
from sim.exchange.binance.times import in_microseconds
from sim.exchange.binance.wsapi import Session, WsApi
from sim.exchange.core import Exchange
from sim.exchange.rules.refusals import RefusedError, Why
from sim.exchange.streams.streams import Listener

SUBSCRIPTIONS_MAX: Final = 1000
"""Of one connection, counted from its beginning."""
_WEIGHT: Final = 2
_encode = msgspec.json.Encoder().encode


class Subscription(msgspec.Struct, eq=False):
    """An account's events on a connection.

    Attributes:
        by_logon: Whether it ends with the logon.
        until_ms: When the exchange ends it; 0: it does not.
    """

    session: Session
    number: int
    account: Account
    listener: Listener
    by_logon: bool
    until_ms: int


def user_key(account: Account) -> str:
    """Under which an account's events go out: no stream can have that name."""
    return f"user:{account.api_key}"


class SpotWsApi(WsApi):
    """See `WsApi`."""

    facts: ClassVar[Mapping[str, Any]] = {"userDataStream": False}

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._subscriptions: list[Subscription] = []
        self._made: dict[Session, int] = {}

    def of_session(self, session: Session, method: str) -> Operation | None:
        """Subscribe, unsubscribe, and list."""
        act: Callable[..., Any]
        match method:
            case "userDataStream.subscribe":
                act, needs = partial(self._subscribe, by_logon=True), KEY
            case "userDataStream.subscribe.signature":
                act, needs = partial(self._subscribe, by_logon=False), SIGNED
            case "userDataStream.unsubscribe":
                act, needs = self._unsubscribe, NOTHING
            case "session.subscriptions":
                act, needs = self._list, NOTHING
            case _:
                return None
        return Operation(partial(act, session), needs, _WEIGHT)

    def _of(self, session: Session) -> list[Subscription]:
        return [one for one in self._subscriptions if one.session is session]

    def _subscribe(
        self, session: Session, exchange: Exchange, account: Account, _params: Params, *, by_logon: bool
    ) -> Any:
        if by_logon and session.account is not account:
            raise RefusedError(Why.NO_KEY)
        if any(one.account is account for one in self._of(session)):
            raise refusal(-2035, "User Data Stream subscription already active.")
        number = self._made.get(session, 0)
        if number >= SUBSCRIPTIONS_MAX:
            raise refusal(-2042, "The number of subscription IDs on this connection is used up.")
        if not number:
            session.connection.on_end.append(lambda: self._forget(session))
        self._made[session] = number + 1
        listener = Listener(session.connection)
        head = b'{"subscriptionId":' + str(number).encode() + b',"event":'
        listener.wrap = lambda _, payload: head + payload + b"}"
        listener.finish = in_microseconds if session.fine else None
        life_s = exchange.chaos.next_s("listen_key_s")
        until_ms = exchange.now_ms + max(int(life_s * 1000), 1) if life_s > 0.0 else 0
        found = Subscription(session, number, account, listener, by_logon, until_ms)
        self._subscriptions.append(found)
        exchange.users.listen(account.user_key, listener)
        self._tell(session)
        return {"subscriptionId": number}

    def _unsubscribe(self, session: Session, _exchange: Exchange, _account: None, params: Params) -> Any:
        chosen = self._of(session)
        if params.get("subscriptionId"):
            chosen = [one for one in chosen if one.number == whole(params, "subscriptionId")]
            if not chosen:
                raise refusal(-2036, "User Data Stream subscription not active.")
        for one in chosen:
            self._leave(one)
        return {}

    def _list(self, session: Session, _exchange: Exchange, _account: None, _params: Params) -> Any:
        return [{"subscriptionId": one.number} for one in self._of(session)]

    def _leave(self, subscription: Subscription) -> None:
        self._subscriptions.remove(subscription)
        self._exchange.users.leave(subscription.account.user_key, subscription.listener)
        self._tell(subscription.session)

    def _tell(self, session: Session) -> None:
        session.facts["userDataStream"] = any(one.by_logon for one in self._of(session))

    def _forget(self, session: Session) -> None:
        self._subscriptions = [one for one in self._subscriptions if one.session is not session]
        self._made.pop(session, None)

    def on_logout(self, session: Session) -> None:
        """The subscription by the logon ends; signed ones stay."""
        for one in self._of(session):
            if one.by_logon:
                self._leave(one)

    # The exchange ends subscriptions.

    def terminate(self, subscription: Subscription) -> None:
        """Say that a subscription is over."""
        event = _encode({"e": "eventStreamTerminated", "E": self._exchange.clock.server_ms()})
        subscription.session.connection.send(subscription.listener.written("", event))
        self._leave(subscription)
        subscription.account.count("subscriptions terminated")

    def expire(self, account: Account) -> None:
        """All of an account."""
        for one in [one for one in self._subscriptions if one.account is account]:
            self.terminate(one)

    def on_time(self) -> None:
        """Those whose time is over."""
        now_ms = self._exchange.now_ms
        for one in [one for one in self._subscriptions if one.until_ms and now_ms >= one.until_ms]:
            self.terminate(one)
