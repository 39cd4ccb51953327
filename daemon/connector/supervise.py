"""What is tried again: a back-off with a limit and a budget; connections, with planned ends before the exchange's."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from random import Random
from typing import Any, Final

import aiohttp
import structlog

from daemon.connector.reasons import why_not
from hftd.clock import monotonic_ns, running_ns
from hftd.errors import HftdError, UsageError

STABLE_S: Final = 30.0
"""A connection that held so long begins its back-off from the start."""
BUDGET: Final = 60
"""So many tries within `BUDGET_S`, however often things went well in between; after that each waits the limit."""
BUDGET_S: Final = 60.0

CONNECT_S: Final = 15.0
"""A stream's connection that is not made within this is given up. No other limit ends the wait for an answer to the
request that opens it."""

_log = structlog.get_logger("hftd.connector")


class ConnectionBrokenError(HftdError):
    """A connection is of no use any more, and is to be made again: closed, stale, silent, out of step.

    Attributes:
        wait_s: Not before so long: the exchange bans us until then.
    """

    wait_s: float = 0.0


EXPECTED_ERRORS: Final = (
    ConnectionBrokenError,
    OSError,
    TimeoutError,
    asyncio.IncompleteReadError,
    aiohttp.ClientError,
    aiohttp.WebSocketError,
)
"""What breaks connections in the ordinary course; anything else is logged with its trace."""


class Backoff:
    """The pauses of one thing that is tried again. Whatever is retried, anywhere, waits by one of these.

    Waits double up to a limit, each drawn from the upper half of its span, so that clients do not come in step. A
    budget holds where failures and successes alternate, and `reset` would begin with the first wait each time.

    Args:
        first_s: The longest first wait.
        limit_s: No wait is longer, unless the failure itself says for how long nothing can be done.
        seed: Of the jitter.
        budget: So many tries within `BUDGET_S`; the ones beyond it wait the limit.

    Attributes:
        count: How often it was tried again in all; for ``hftd status``.
        failures: How often in a row.
    """

    def __init__(self, first_s: float, limit_s: float, seed: int, *, budget: int = BUDGET) -> None:
        if not 0 < first_s <= limit_s:
            raise UsageError(f"a back-off can't go from {first_s} s to {limit_s} s")
        self._first_s = first_s
        self._limit_s = limit_s
        self._random = Random(seed)  # noqa: S311 - jitter is no secret
        self._span_s = first_s
        self._tries: deque[int] = deque(maxlen=budget)
        self.count = 0
        self.failures = 0

    def next_s(self, error: BaseException | None = None) -> float:
        """How long to wait now, and then try again.

        Args:
            error: What failed; if it has a `wait_s` (a ban), the wait is no shorter.
        """
        now_ns = monotonic_ns()
        tries = self._tries
        if len(tries) == tries.maxlen and now_ns - tries[0] < BUDGET_S * 1e9:
            self._span_s = self._limit_s
        tries.append(now_ns)
        self.count += 1
        self.failures += 1
        wait_s = self._span_s * (0.5 + 0.5 * self._random.random())
        self._span_s = min(2 * self._span_s, self._limit_s)
        return max(wait_s, getattr(error, "wait_s", 0.0))

    async def pause(self, error: BaseException | None = None) -> None:
        """Wait so long."""
        await asyncio.sleep(self.next_s(error))

    def reset(self) -> None:
        """Things went well: begin with the first wait again."""
        self._span_s = self._first_s
        self.failures = 0


def planned_life_s(limit_s: float, seed: int, early: float = 0.1) -> float:
    """How long to keep a connection that the exchange closes after `limit_s`.

    At most 95 % of it, so that the end is ours, and shorter by up to `early` of it, by chance.
    """
    return limit_s * (0.95 - early * Random(seed).random())  # noqa: S311


@dataclass(slots=True)
class Supervision:
    """What a supervised connection has gone through; for ``hftd status``."""

    name: str
    attempts: int = 0
    failures: int = 0
    planned_ends: int = 0
    is_up: bool = False
    since_ns: int = -1
    """When it came up, or went down, on the system's clock; -1 before."""
    last_error: str = ""

    def up(self) -> None:
        """The connection is made: called by what `supervised` runs."""
        self.is_up = True
        self.since_ns = running_ns()

    def down(self) -> None:
        """The connection is gone."""
        if self.is_up:
            self.is_up = False
            self.since_ns = running_ns()


async def supervised(
    name: str,
    connect_once: Callable[[], Awaitable[None]],
    backoff: Backoff,
    *,
    supervision: Supervision | None = None,
    on_down: Callable[[str], None] | None = None,
    stable_s: float = STABLE_S,
) -> None:
    """Run a connection again and again until cancelled.

    Args:
        name: For the log.
        connect_once: Connects, and runs the connection to its end. Returning is a planned end, after which the next
            begins at once (unless it was too short-lived to have been planned); raising is a failure, after which the
            back-off waits.
        backoff: The waits; they begin again after a connection that held `stable_s`.
        supervision: Where to count.
        on_down: Told why after each end, planned ones too, before the wait.
        stable_s: See there.

    Raises:
        UsageError: `connect_once` found that what the user gave is wrong (a key, a symbol): trying again is no use.
    """
    seen = supervision or Supervision(name)
    while True:
        seen.attempts += 1
        start_ns = monotonic_ns()
        failure: Exception | None = None
        try:
            await connect_once()
            why = "its planned end"
        except UsageError:
            raise
        except EXPECTED_ERRORS as error:
            failure, why = error, why_not(error)
        except Exception as error:
            failure, why = error, f"{type(error).__name__}: {error}"
            _log.exception("connection_crashed", connection=name)
        finally:
            seen.down()
        if on_down is not None:
            on_down(why)
        held_s = (monotonic_ns() - start_ns) / 1e9
        if held_s >= stable_s:
            backoff.reset()
        wait_s = 0.0
        if failure is None:
            seen.planned_ends += 1
        else:
            seen.failures += 1
            seen.last_error = why
        if failure is None and held_s >= stable_s:
            _log.info("connection_renewed", connection=name, held_s=round(held_s, 1))
        else:
            wait_s = backoff.next_s(failure)
            _log.warning(
                "connection_lost",
                connection=name,
                why=why,
                held_s=round(held_s, 3),
                again_in_s=round(wait_s, 3),
            )
        await asyncio.sleep(wait_s)


async def first_to_end(*runs: Coroutine[Any, Any, None]) -> None:
    """Run these together until the first one ends; then the others are cancelled, and its error, if any, is raised."""
    tasks = [asyncio.ensure_future(run) for run in runs]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    for task in tasks:
        if task in done:
            task.result()
