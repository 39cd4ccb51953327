"""What stands before every request: weights, order counts, bans; keys, signatures, the clock."""

import re
from typing import Any, Final

from sim.exchange.binancefutures.accounts import Account
from sim.exchange.binancefutures.errors import (
    ApiError,
    ahead_of_time,
    bad_key,
    bad_key_format,
    bad_signature,
    missing,
    outside_window,
    too_many_orders,
)
from sim.exchange.binancefutures.signing import Verifier
from sim.exchange.clock import ExchangeClock
from sim.exchange.config import LimitsSection

TEN_SECONDS_MS: Final = 10_000
MINUTE_MS: Final = 60_000
WINDOW_DEFAULT_MS: Final = 5000
WINDOW_MAX_MS: Final = 60_000
AHEAD_MAX_MS: Final = 1000
_BAN_MAX_S: Final = 3 * 86_400.0
_WHOLE: Final = re.compile(r"[0-9]{1,16}")


class _Address:
    """What an address has used."""

    def __init__(self) -> None:
        self.minute = 0
        self.weight = 0
        self.refused = 0
        self.bans = 0
        self.banned_until_ms = 0


class Gate:
    """Limits and authentication.

    Args:
        limits: The configured limits.
        clock: The exchange's.
        accounts: All of them.
    """

    def __init__(self, limits: LimitsSection, clock: ExchangeClock, accounts: list[Account]) -> None:
        self.limits = limits
        self._clock = clock
        self._accounts = {account.api_key: account for account in accounts}
        self._verifiers = {account.api_key: Verifier(account.section) for account in accounts}
        self._addresses: dict[tuple[str, str], _Address] = {}

    # Weights.

    def charge(self, address: str, weight: int, pool: str = "rest") -> int:
        """Count a request's weight. Returns what the address has used in this minute.

        Raises:
            ApiError: It has used too much, or is banned.
        """
        found = self._address(address, pool)
        now_ms = self._clock.server_ms()
        if now_ms < found.banned_until_ms:
            raise self._ban_error(address, found.banned_until_ms, now_ms)
        limit = self.limits.weight_1m if pool == "rest" else self.limits.ws_api_weight_1m
        found.weight += weight
        if limit and found.weight > limit:
            found.refused += 1
            if self.limits.bans_after and found.refused > self.limits.bans_after:
                self.ban(address, min(self.limits.ban_s * 2**found.bans, _BAN_MAX_S))
                raise self._ban_error(address, found.banned_until_ms, now_ms)
            retry_s = (MINUTE_MS - now_ms % MINUTE_MS) // 1000 + 1
            raise ApiError(
                -1003,
                f"Too many requests; current limit of IP({address}) is {limit} requests per minute.",
                429,
                {"Retry-After": str(retry_s)},
            )
        return found.weight

    def ban(self, address: str, seconds: float) -> None:
        """Ban an address."""
        for pool in ("rest", "ws-api"):
            found = self._address(address, pool)
            found.bans += 1
            found.refused = 0
            found.banned_until_ms = self._clock.server_ms() + int(seconds * 1000)

    def check_ban(self, address: str) -> None:
        """Raise if an address is banned."""
        found = self._address(address, "rest")
        now_ms = self._clock.server_ms()
        if now_ms < found.banned_until_ms:
            raise self._ban_error(address, found.banned_until_ms, now_ms)

    def unban(self) -> None:
        """Forget all bans and weights."""
        self._addresses.clear()

    def use(self, weight: int, address: str = "127.0.0.1") -> None:
        """Another client on an address has used so much."""
        for pool in ("rest", "ws-api"):
            self._address(address, pool).weight += weight

    def used(self, address: str, pool: str = "rest") -> int:
        """What an address has used in this minute."""
        return self._address(address, pool).weight

    def _address(self, address: str, pool: str) -> _Address:
        found = self._addresses.get((address, pool))
        if found is None:
            found = self._addresses[address, pool] = _Address()
        minute = self._clock.server_ms() // MINUTE_MS
        if minute != found.minute:
            found.minute, found.weight, found.refused = minute, 0, 0
        return found

    @staticmethod
    def _ban_error(address: str, until_ms: int, now_ms: int) -> ApiError:
        retry_s = max((until_ms - now_ms + 999) // 1000, 1)
        return ApiError(
            -1003,
            f"Way too many requests; IP({address}) banned until {until_ms}. "
            "Please use the websocket for live updates to avoid bans.",
            418,
            {"Retry-After": str(retry_s)},
        )

    # Order counts.

    def count_order(self, account: Account, ten_s: int = 1, minute: int = 1) -> None:
        """Count orders of an account.

        Raises:
            ApiError: There are too many.
        """
        counts = self.order_counts(account)
        limits = self.limits
        if (limits.orders_10s and counts["10S"] + ten_s > limits.orders_10s) or (
            limits.orders_1m and counts["1M"] + minute > limits.orders_1m
        ):
            raise too_many_orders()
        now_ms = self._clock.server_ms()
        account.order_times["10S"] = (now_ms // TEN_SECONDS_MS, counts["10S"] + ten_s)
        account.order_times["1M"] = (now_ms // MINUTE_MS, counts["1M"] + minute)

    def order_counts(self, account: Account) -> dict[str, int]:
        """How many orders there were in the running windows, which begin with the clock's."""
        now_ms = self._clock.server_ms()
        found = {}
        for name, length_ms in (("10S", TEN_SECONDS_MS), ("1M", MINUTE_MS)):
            window, count = account.order_times.get(name, (0, 0))
            found[name] = count if window == now_ms // length_ms else 0
        return found

    def rate_limits(self, address: str, account: Account | None, *, orders: bool) -> list[dict[str, Any]]:
        """As replies of the WebSocket API have them."""
        rows = [
            _rate("REQUEST_WEIGHT", "MINUTE", 1, self.limits.ws_api_weight_1m, self.used(address, "ws-api"))
        ]
        if orders and account is not None:
            counts = self.order_counts(account)
            rows = [
                _rate("ORDERS", "SECOND", 10, self.limits.orders_10s, counts["10S"]),
                _rate("ORDERS", "MINUTE", 1, self.limits.orders_1m, counts["1M"]),
                *rows,
            ]
        return rows

    # Who is it?

    def by_key(self, api_key: str) -> Account:
        """The account of an API key."""
        if not api_key:
            raise bad_key_format()
        account = self._accounts.get(api_key)
        if account is None:
            raise bad_key()
        return account

    def verify(self, account: Account, payload: bytes, signature: str, *, ed25519_only: bool = False) -> None:
        """Check a signature."""
        if not signature:
            raise missing("signature")
        verifier = self._verifiers[account.api_key]
        if ed25519_only:
            if not verifier.has_ed25519:
                raise ApiError(-4056, "Only Ed25519 keys are supported for session.logon.")
            good = verifier.verify_ed25519(payload, signature)
        else:
            good = verifier.verify(payload, signature)
        if not good:
            raise bad_signature()

    def check_time(self, timestamp: str, window: str) -> tuple[int, int]:
        """The rule of the clock: not more than a second ahead, not older than the window.

        Returns:
            The request's time and window, for the check at the matching engine.
        """
        if not _WHOLE.fullmatch(timestamp):
            raise missing("timestamp")
        if window and not _WHOLE.fullmatch(window):
            raise missing("recvWindow")
        window_ms = int(window) if window else WINDOW_DEFAULT_MS
        if window_ms > WINDOW_MAX_MS:
            raise ApiError(-1131, "recvWindow must be less than 60000.")
        stamp_ms, now_ms = int(timestamp), self._clock.server_ms()
        if stamp_ms >= now_ms + AHEAD_MAX_MS:
            raise ahead_of_time()
        if now_ms - stamp_ms > window_ms:
            raise outside_window()
        return stamp_ms, window_ms


def _rate(kind: str, interval: str, number: int, limit: int, count: int) -> dict[str, Any]:
    return {
        "rateLimitType": kind,
        "interval": interval,
        "intervalNum": number,
        "limit": limit,
        "count": count,
    }
