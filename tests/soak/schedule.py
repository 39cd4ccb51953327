"""Time that goes when it is told to, and what happens at which moment of it."""

import contextlib
import hashlib
import heapq
import itertools
from collections.abc import Callable, Coroutine, Generator, Iterable, Iterator
from typing import Any
from unittest import mock

MS = 1_000_000
SECOND = 1_000_000_000


class Pause:
    """Awaited in a coroutine that a `Schedule` drives: so long nothing happens in it."""

    def __init__(self, ns: int) -> None:
        self.ns = ns

    def __await__(self) -> Generator[int, None, None]:
        yield self.ns


class Schedule:
    """What happens when; things of one moment happen in the order in which they were made.

    Args:
        now_ns: The first moment.
    """

    def __init__(self, now_ns: int) -> None:
        self.now_ns = now_ns
        self.ahead_ns = 0
        """How far the connector's machine's clock is ahead."""
        self.written = 0
        self._due: list[tuple[int, int, Callable[[], Any]]] = []
        self._numbers = itertools.count()
        self._digest = hashlib.sha256()

    @property
    def local_ns(self) -> int:
        """What the clock of the connector's machine shows."""
        return self.now_ns + self.ahead_ns

    def at(self, ns: int, act: Callable[[], Any]) -> None:
        """Do something then."""
        heapq.heappush(self._due, (max(ns, self.now_ns), next(self._numbers), act))

    def after(self, ns: int, act: Callable[[], Any]) -> None:
        """Do something so much later."""
        self.at(self.now_ns + ns, act)

    def drive(self, coroutine: Coroutine[Any, Any, Any], done: Callable[[Any], None] | None = None) -> None:
        """Let a coroutine go until its next `Pause`, and on after it."""
        try:
            wait_ns = coroutine.send(None)
        except StopIteration as end:
            if done is not None:
                done(end.value)
        else:
            self.after(wait_ns, lambda: self.drive(coroutine, done))

    def step(self) -> None:
        """The next thing happens."""
        self.now_ns, _, act = heapq.heappop(self._due)
        act()

    def write(self, *words: object) -> None:
        """Say what happens: what a run said is the same when it is run again."""
        self.written += 1
        self._digest.update(f"{self.now_ns}{words}".encode())

    @property
    def digest(self) -> str:
        """Of all that was said so far."""
        return self._digest.hexdigest()[:16]

    @contextlib.contextmanager
    def is_the_time(self, clocks: Iterable[str]) -> Iterator[None]:
        """The exchange's ways and the connector's readers live in this time, not in the system's.

        Args:
            clocks: Modules of an exchange's facts that look at a clock.
        """

        async def pause(delay_ns: int) -> None:
            if delay_ns > 0:
                await Pause(delay_ns)

        reads = "daemon.session.trading.incoming"
        with contextlib.ExitStack() as stack:
            stack.enter_context(mock.patch("sim.exchange.accounts.processing._pause", pause))
            for clock in (
                f"{reads}.monotonic_ns",
                f"{reads}.running_ns",
                *(f"{one}.running_ns" for one in clocks),
            ):
                stack.enter_context(mock.patch(clock, lambda: self.local_ns))
            yield
