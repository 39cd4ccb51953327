"""Limits: weights of requests by address, order counts by account, bans."""

from typing import Final, NamedTuple

from sim.exchange.accounts.accounts import Account
from sim.exchange.rules.clock import ExchangeClock
from sim.exchange.rules.config import LimitsSection
from sim.exchange.rules.refusals import RefusedError, Why

TEN_SECONDS_MS: Final = 10_000
MINUTE_MS: Final = 60_000
DAY_MS: Final = 86_400_000
LOOPBACK: Final = "127.0.0.1"
_BAN_MAX_S: Final = 3 * 86_400.0
_POOLS: Final = ("rest", "ws-api")


class Allowance(NamedTuple):
    """What somebody may still use of something.

    Attributes:
        limit: In a window.
        left: In the running one.
        reset_ms: When there is something left: now, or at the end of the window.
    """

    limit: int
    left: int
    reset_ms: int


class _Address:
    """What an address has used of a pool."""

    def __init__(self) -> None:
        self.refused = 0
        self.bans = 0
        self.banned_until_ms = 0


class Limits:
    """Counts, in windows that begin with the clock's.

    Args:
        settings: The configured limits; may be replaced while it runs.
        clock: The exchange's.
    """

    def __init__(self, settings: LimitsSection, clock: ExchangeClock) -> None:
        self.settings = settings
        self._clock = clock
        self._addresses: dict[tuple[str, str], _Address] = {}
        self._windows: dict[tuple[str, str, int], tuple[int, int]] = {}

    def count(self, who: str, what: str, window_ms: int) -> int:
        """How much somebody has used of something in the running window."""
        window, count = self._windows.get((who, what, window_ms), (0, 0))
        return count if window == self._clock.server_ms() // window_ms else 0

    def use(self, who: str, what: str, window_ms: int, amount: int = 1) -> int:
        """Count what somebody uses. Returns what it has used in the running window."""
        count = self.count(who, what, window_ms) + amount
        self._windows[who, what, window_ms] = self._clock.server_ms() // window_ms, count
        return count

    def allowance(self, who: str, what: str, window_ms: int, limit: int) -> Allowance:
        """What is left."""
        left, now_ms = limit - self.count(who, what, window_ms), self._clock.server_ms()
        return Allowance(limit, max(left, 0), now_ms if left > 0 else (now_ms // window_ms + 1) * window_ms)

    def allow(self, who: str, what: str, window_ms: int, limit: int) -> None:
        """Count a use where there is one left; one that is refused is not counted. A limit of 0 limits nothing.

        Raises:
            RefusedError: There is nothing left.
        """
        if limit and self.count(who, what, window_ms) >= limit:
            raise RefusedError(Why.TOO_MANY_ORDERS)
        self.use(who, what, window_ms)

    # Weights.

    def charge(self, address: str, weight: int, pool: str = "rest") -> int:
        """Count a request's weight. Returns what the address has used in this minute.

        Raises:
            RefusedError: It has used too much, or is banned.
        """
        self.check_ban(address, pool)
        found = self._address(address, pool)
        settings, now_ms = self.settings, self._clock.server_ms()
        limit = settings.weight_1m if pool == "rest" else settings.ws_api_weight_1m
        if not self.count(address, pool, MINUTE_MS):
            found.refused = 0
        used = self.use(address, pool, MINUTE_MS, weight)
        if limit and used > limit:
            found.refused += 1
            if settings.bans_after and found.refused > settings.bans_after:
                self.ban(address, min(settings.ban_s * 2**found.bans, _BAN_MAX_S))
                self.check_ban(address, pool)
            retry_s = (MINUTE_MS - now_ms % MINUTE_MS) // 1000 + 1
            raise RefusedError(Why.OVER_LIMIT, who=address, limit=limit, retry_s=retry_s)
        return used

    def refund(self, address: str, weight: int, pool: str = "rest") -> None:
        """A request that was charged is not counted after all."""
        self.use(address, pool, MINUTE_MS, -min(weight, self.used(address, pool)))

    def ban(self, address: str, seconds: float) -> None:
        """Ban an address."""
        for pool in _POOLS:
            found = self._address(address, pool)
            found.bans += 1
            found.refused = 0
            found.banned_until_ms = self._clock.server_ms() + int(seconds * 1000)

    def check_ban(self, address: str, pool: str = "rest") -> None:
        """Refuse what comes from an address that is banned.

        Raises:
            RefusedError: It is.
        """
        until_ms, now_ms = self._address(address, pool).banned_until_ms, self._clock.server_ms()
        if now_ms < until_ms:
            retry_s = max((until_ms - now_ms + 999) // 1000, 1)
            raise RefusedError(Why.BANNED, address=address, until_ms=until_ms, retry_s=retry_s)

    def unban(self) -> None:
        """Forget all bans and weights."""
        self._addresses.clear()
        self._windows = {key: one for key, one in self._windows.items() if key[1] not in _POOLS}

    def use_up(self, weight: int, address: str = LOOPBACK) -> None:
        """Another client on an address has used so much."""
        for pool in _POOLS:
            self.use(address, pool, MINUTE_MS, weight)

    def used(self, address: str, pool: str = "rest") -> int:
        """What an address has used in this minute."""
        return self.count(address, pool, MINUTE_MS)

    def _address(self, address: str, pool: str) -> _Address:
        return self._addresses.setdefault((address, pool), _Address())

    # Order counts.

    def count_order(self, account: Account, ten_s: int = 1, minute: int = 1) -> None:
        """Count orders of an account.

        Raises:
            RefusedError: There are too many.
        """
        (done_10s, done_1m), settings = self.order_counts(account), self.settings
        if (settings.orders_10s and done_10s + ten_s > settings.orders_10s) or (
            settings.orders_1m and done_1m + minute > settings.orders_1m
        ):
            raise RefusedError(Why.TOO_MANY_ORDERS)
        if settings.orders_1d and self.count(account.api_key, "orders", DAY_MS) + minute > settings.orders_1d:
            raise RefusedError(Why.TOO_MANY_ORDERS)
        self._count_orders(account, ten_s, minute)

    def give_back(self, account: Account) -> None:
        """An order is executed for the first time: where fills give back, it is counted no more."""
        if self.settings.fills_give_back:
            self._count_orders(account, -1, -1)

    def _count_orders(self, account: Account, ten_s: int, minute: int) -> None:
        for window_ms, amount in ((TEN_SECONDS_MS, ten_s), (MINUTE_MS, minute), (DAY_MS, minute)):
            # Not what was counted in a window that is over.
            amount = max(amount, -self.count(account.api_key, "orders", window_ms))
            self.use(account.api_key, "orders", window_ms, amount)

    def order_counts(self, account: Account) -> tuple[int, int]:
        """How many orders an account has sent in the running ten seconds and in the running minute."""
        key = account.api_key
        return self.count(key, "orders", TEN_SECONDS_MS), self.count(key, "orders", MINUTE_MS)
