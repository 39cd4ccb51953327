"""A process that plays parts of a sweep: `python -m sim.sweeps.worker`.

It reads tasks from stdin, a line of JSON each, and answers on what was its stdout. The first line says what all points
have in common. It ends with its stdin, and at once when whoever started it dies.
"""

import ctypes
import os
import signal
import sys
from pathlib import Path
from typing import Any, Final

import msgspec

from hftd.bot.config import BotConfig
from hftd.errors import HftdError
from sim.config import ReplayConfig
from sim.sweeps.points import Point

_PR_SET_PDEATHSIG: Final = 1


class Common(msgspec.Struct, frozen=True, kw_only=True):
    """What all points of a sweep have in common, as it is told to a worker.

    Attributes:
        replay: The run's configuration.
        replay_base: Its folder.
        bot: The bot's.
        bot_base: Its folder.
        parent: The process that started the worker.
    """

    replay: ReplayConfig
    replay_base: str
    bot: BotConfig
    bot_base: str
    parent: int


class Task(msgspec.Struct, frozen=True, kw_only=True):
    """Points to play on a day.

    Attributes:
        date: The day.
        first: The number of the first point.
        points: The points.
        alone: Whether each is played in a backtest of its own.
    """

    date: str
    first: int
    points: list[Point]
    alone: bool = False


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """What came of a task, or how far it is.

    Attributes:
        row: A finished point's, as `sim.sweeps.figures.Row`.
        done: Whether that is all.
        error: What is wrong for all of them.
    """

    row: msgspec.Raw = msgspec.Raw(b"null")
    done: bool = False
    error: list[str] = []


def main() -> None:
    """Work until stdin ends."""
    # What the strategies print goes elsewhere than the answers.
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    common = msgspec.json.decode(sys.stdin.buffer.readline(), type=Common)
    if os.getppid() != common.parent:
        return
    for line in sys.stdin.buffer:
        try:
            _work(common, msgspec.json.decode(line, type=Task), lambda answer: _say(answers, answer))
        except HftdError as error:
            _say(answers, Answer(done=True, error=[error.what, error.where, error.hint]))


def _say(to: Any, answer: Answer) -> None:
    to.write(msgspec.json.encode(answer) + b"\n")
    to.flush()


_SETUPS: dict[int, Any] = {}


def _work(common: Common, task: Task, say: Any) -> None:
    from sim.sweeps.figures import row_of
    from sim.sweeps.play import Outcome, Setup, play

    if id(common) not in _SETUPS:
        _SETUPS[id(common)] = Setup(
            common.replay, Path(common.replay_base), common.bot, Path(common.bot_base)
        )

    def use(number: int, outcome: Outcome) -> None:
        row = row_of(task.first + number, task.date, task.points[number], outcome)
        say(Answer(row=msgspec.Raw(msgspec.json.encode(row))))

    play(_SETUPS[id(common)], [task.date], task.points, use, alone=task.alone)
    say(Answer(done=True))


if __name__ == "__main__":
    main()
