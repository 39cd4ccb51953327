"""Listen keys: what an account's user events are heard by, for an hour at a time."""

import random
from typing import Final

from sim.exchange.accounts.accounts import Account
from sim.exchange.binance.errors import refusal
from sim.exchange.binance.product import product_of
from sim.exchange.core import Exchange
from sim.exchange.rules.refusals import RefusedError

_LETTERS: Final = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"


def keys_of(exchange: Exchange) -> "ListenKeys":
    """Those of an exchange."""
    return product_of(exchange).keys


def is_listen_key(text: str) -> bool:
    """Whether it may be one: streams have an @."""
    return len(text) >= 40 and text.isalnum()


def _dead() -> RefusedError:
    return refusal(-1125, "This listenKey does not exist.")


class ListenKeys:
    """An account's live key is its `user_key`.

    Args:
        exchange: The exchange.
    """

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange
        self._clock = exchange.clock
        self._life_ms = int(exchange.config.limits.listen_key_s * 1000)
        seed = exchange.config.exchange.ids_seed
        self._random = random.Random(f"{seed}/listen keys")  # noqa: S311 - it must repeat
        self._until_ms: dict[int, int] = {}

    def start(self, account: Account) -> str:
        """The account's listen key: the live one, which then lives longer, or a new one."""
        if account.user_key:
            return self.keep(account)
        account.user_key = "".join(self._random.choice(_LETTERS) for _ in range(64))
        life_ms = int(self._exchange.chaos.next_s("listen_key_s") * 1000) or self._life_ms
        self._until_ms[account.number] = self._clock.server_ms() + life_ms
        return account.user_key

    def keep(self, account: Account) -> str:
        """Let the listen key live longer."""
        if not account.user_key:
            raise _dead()
        if self._exchange.chaos.settings.listen_key_s <= 0.0:
            self._until_ms[account.number] = self._clock.server_ms() + self._life_ms
        return account.user_key

    def stop(self, account: Account) -> None:
        """The end of the listen key, as its owner wants it."""
        if not account.user_key:
            raise _dead()
        self._until_ms.pop(account.number, None)
        account.user_key = ""

    def expire(self, account: Account) -> None:
        """The end of the listen key, as the exchange says it: its connections go quiet."""
        key = account.user_key
        if not key:
            return
        said = {"e": "listenKeyExpired", "E": self._clock.server_ms(), "listenKey": key}
        self._exchange.users.tell(account, said)
        self.stop(account)
        account.count("listen keys expired")

    def on_time(self) -> None:
        """Listen keys whose time is over."""
        now_ms = self._clock.server_ms()
        for account in self._exchange.accounts:
            until_ms = self._until_ms.get(account.number)
            if until_ms is not None and now_ms >= until_ms:
                self.expire(account)
