"""Dead-man switches that a connection holds back: whoever is not well lets go of it.

One of the whole account (`AccountSwitch`) is set once over REST, and fires when the private connections that take part
in it are gone or silent; it is held by the user data stream. One of a connection (`ConnectionSwitch`) is asked for on
each one that orders go out on, and cancels those when it ends.

Once the connector has been sick for `PATIENCE_S`, in which its own cancels may get out, that connection is closed, and
stays closed until the connector is well again. Switches by symbol are countdowns (`daemon.session.trading.countdown`).
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from typing import Final

import structlog

from daemon.connector.supervise import Backoff
from daemon.session.errors import EXPECTED, ExchangeError
from daemon.warnings import Warn
from hftd.clock import monotonic_ns

LOOK_S: Final = 0.25
PATIENCE_S: Final = 5.0
EVERY_S: Final = 600.0
"""How often it is set again: somebody else may have changed it."""

_log = structlog.get_logger("hftd.connector")


class _Held:
    """What a healthy connector holds back, by a connection."""

    def __init__(self) -> None:
        self._sick_ns = 0  # since when (monotonic); 0: it is well
        self.is_set = False

    def may_hold(self, is_healthy: bool) -> bool:
        """Whether the connection that holds the switch back may be open; asked several times a second."""
        if is_healthy or not self.is_set:
            self._sick_ns = 0
            return True
        now_ns = monotonic_ns()
        self._sick_ns = self._sick_ns or now_ns
        return now_ns - self._sick_ns < PATIENCE_S * 1e9


class ConnectionSwitch(_Held):
    """See the module."""

    def __init__(self) -> None:
        super().__init__()
        self._why = ""

    def asked(self, problem: str) -> None:
        """A connection has asked for it; `problem` is empty if it has it."""
        self.is_set = not problem
        if problem and problem != self._why:
            _log.warning("connection_switch_not_set", why=problem)
        self._why = problem

    def warnings(self) -> Iterator[Warn]:
        """What needs a person."""
        if self._why:
            yield Warn(
                "dead_man_switch",
                f"the dead-man switch of the connection for orders is off: the exchange refuses it ({self._why}); open "
                "orders stay if this connector dies",
            )


class AccountSwitch(_Held):
    """See the module.

    Args:
        put: Sets the switch at the exchange, to so many seconds.
        window_s: To how many.
        is_joined: Whether the user data stream takes part in it.
        key: Of the configuration, for the warning.
        seed: Of waits.
    """

    def __init__(
        self,
        put: Callable[[int], Awaitable[None]],
        window_s: int,
        *,
        is_joined: Callable[[], bool],
        key: str,
        seed: int,
    ) -> None:
        super().__init__()
        self._put = put
        self._window_s = window_s
        self._is_joined = is_joined
        self._key = key
        self._backoff = Backoff(1.0, EVERY_S, seed)
        self._why = "it has not been set yet"
        self._is_refused = False
        self._set_ns = 0

    @property
    def is_armed(self) -> bool:
        """Whether the exchange has it, and the stream that holds it back takes part in it."""
        return self.is_set and self._is_joined()

    def age_ns(self) -> int:
        """Since it was set last; -1: never."""
        return monotonic_ns() - self._set_ns if self._set_ns else -1

    async def run(self, is_up: Callable[[], bool]) -> None:
        """Set it whenever the user data stream has come up, and now and then; until cancelled."""
        while True:
            while not is_up():  # noqa: ASYNC110 - several things make it so
                await asyncio.sleep(LOOK_S)
            try:
                await self._put(self._window_s)
            except EXPECTED as error:
                self._is_refused = isinstance(error, ExchangeError)
                # Without an answer it is as it was.
                self.is_set = self.is_set and not self._is_refused
                self._why = str(error)
                if not self._backoff.failures:
                    _log.warning("account_switch_not_set", why=self._why)
                await self._backoff.pause(error)
                continue
            self._backoff.reset()
            self._is_refused = False
            if not self.is_set:
                _log.info("account_switch_set", window_s=self._window_s)
            self.is_set = True
            self._set_ns = monotonic_ns()
            await asyncio.sleep(LOOK_S)
            for _ in range(int(EVERY_S / LOOK_S)):
                if not is_up():
                    break
                await asyncio.sleep(LOOK_S)

    def warnings(self) -> Iterator[Warn]:
        """What needs a person."""
        if self.is_armed:
            return
        if self.is_set:
            why = "the account's events come without it"
        else:
            why = f"the exchange refuses it ({self._why})" if self._is_refused else self._why
        yield Warn(
            "dead_man_switch",
            f"the account's dead-man switch is off: {why}; open orders stay if this connector dies. "
            f"If the account can't have one, set {self._key} = 0",
        )
