"""From what is the matter at each look to what is said: each alert once, when it has lasted, and that it is over.

What comes and goes is not said each time: an alert that comes again within an hour must have been over for twice as
long as the last time before it is said to be over. That something is the matter is never said later for that.
"""

from collections.abc import Iterable, Mapping
from typing import Final

import msgspec

from daemon.ops.alerts.config import RULES, AlertConfig
from daemon.ops.alerts.rules import Problem
from daemon.ops.alerts.texts import cleaned

AGAIN_NS: Final = 3_600_000_000_000
"""What comes again within this is the same that comes and goes."""
SETTLE_MAX_NS: Final = 600_000_000_000
TIMES_MAX: Final = 10
PAST_MAX: Final = 1000
"""Alerts that are over and remembered; the oldest is forgotten."""


class Notice(msgspec.Struct, frozen=True):
    """Something to be said.

    Attributes:
        rule: Of `RULES`.
        severity: CRITICAL or WARNING.
        daemon: Its name; "" for this process and its machine.
        subject: As of the problem.
        text: What is the matter, cleaned.
        is_over: Whether it is over.
        lasted_s: For how long it has been the matter.
    """

    rule: str
    severity: str
    daemon: str
    subject: str
    text: str
    is_over: bool
    lasted_s: float


class KeptState(msgspec.Struct, frozen=True):
    """Something that is the matter.

    Attributes:
        rule: Of `RULES`.
        daemon: Its name; "" for this process and its machine.
        subject: As of the problem.
        text: What was said of it.
        since_ns: Since when, on the wall clock.
        told_ns: When it was told last; None: not yet.
        times: How often it came and went.
    """

    rule: str
    daemon: str
    subject: str
    text: str
    since_ns: int
    told_ns: int | None
    times: int


class _State:
    """One problem, from its beginning until it is said to be over."""

    __slots__ = ("kept_text", "problem", "seen_ns", "since_ns", "times", "told_ns")

    def __init__(self, problem: Problem, now_ns: int, times: int) -> None:
        self.problem = problem
        # A text may change at each look, which is no reason to write a file.
        self.kept_text = problem.text
        self.since_ns = self.seen_ns = now_ns
        self.told_ns: int | None = None
        self.times = times


class States:
    """Which alerts there are, and since when.

    Args:
        config: After how long they are said.
    """

    def __init__(self, config: AlertConfig) -> None:
        self._after_ns = {
            rule: int(getattr(config.rules, key) * 1e9) if key else 0
            for rule, (_, key, _) in RULES.items()
            if rule not in config.rules.off
        }
        self._settle_ns = int(config.watch.settle_s * 1e9)
        self._remind_ns = int(config.watch.remind_s * 1e9)
        self._states: dict[tuple[str, str, str], _State] = {}
        self._past: dict[tuple[str, str, str], tuple[int, int]] = {}

    def look(
        self, problems: Mapping[tuple[str, str, str], Problem], held: set[str], now_ns: int
    ) -> list[Notice]:
        """What is to be said now.

        Args:
            problems: What is the matter, by key.
            held: Daemons of which nothing is known.
            now_ns: When, on the monotonic clock.
        """
        said: list[Notice] = []
        for key, problem in problems.items():
            state = self._states.get(key)
            if state is None:
                times, over_ns = self._past.get(key, (0, 0))
                times = times if now_ns - over_ns < AGAIN_NS else 0
                state = self._states[key] = _State(problem, now_ns, times)
            state.problem, state.seen_ns = problem, now_ns
            told_ns = state.told_ns
            is_due = told_ns is None or (self._remind_ns and now_ns - told_ns >= self._remind_ns)
            if is_due and now_ns - state.since_ns >= self._after_ns[problem.rule]:
                state.told_ns = now_ns
                state.kept_text = problem.text
                said.append(self._notice(state, now_ns, is_over=False))
        for key, state in list(self._states.items()):
            if key in problems:
                continue
            if state.told_ns is None:
                del self._states[key]
            elif state.problem.daemon in held and state.problem.rule != "daemon_down":
                state.seen_ns = now_ns
            elif now_ns - state.seen_ns >= min(self._settle_ns << state.times, SETTLE_MAX_NS):
                del self._states[key]
                self._past.pop(key, None)
                self._past[key] = (min(state.times + 1, TIMES_MAX), now_ns)
                if len(self._past) > PAST_MAX:
                    del self._past[next(iter(self._past))]
                said.append(self._notice(state, state.seen_ns, is_over=True))
        return said

    def kept(self, ahead_ns: int) -> tuple[KeptState, ...]:
        """What is the matter, to be kept.

        Args:
            ahead_ns: How far the wall clock is ahead of the monotonic one.
        """
        return tuple(
            KeptState(
                rule=one.problem.rule,
                daemon=one.problem.daemon,
                subject=one.problem.subject,
                text=one.kept_text,
                since_ns=one.since_ns + ahead_ns,
                told_ns=None if one.told_ns is None else one.told_ns + ahead_ns,
                times=one.times,
            )
            for one in self._states.values()
        )

    def restore(self, kept: Iterable[KeptState], ahead_ns: int, now_ns: int) -> None:
        """Go on from what an earlier process kept.

        Args:
            kept: What was the matter.
            ahead_ns: As of `kept`, now.
            now_ns: When, on the monotonic clock.
        """
        for one in kept:
            if one.rule not in self._after_ns:
                continue
            problem = Problem(one.rule, one.daemon, one.subject, one.text)
            state = self._states[problem.key] = _State(problem, now_ns, min(max(one.times, 0), TIMES_MAX))
            # The clock may have been set back.
            state.since_ns = min(one.since_ns - ahead_ns, now_ns)
            state.told_ns = None if one.told_ns is None else min(one.told_ns - ahead_ns, now_ns)

    def _notice(self, state: _State, until_ns: int, *, is_over: bool) -> Notice:
        problem = state.problem
        return Notice(
            rule=problem.rule,
            severity=RULES[problem.rule][0],
            daemon=cleaned(problem.daemon),
            subject=cleaned(problem.subject),
            text=cleaned(problem.text),
            is_over=is_over,
            lasted_s=(until_ns - state.since_ns) / 1e9,
        )
