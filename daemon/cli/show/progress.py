"""Progress on stderr: a bar on a terminal, else a line each few seconds, or lines of JSON for a program.

All of them implement :class:`hftd.progress.Progress` and are context managers.
"""

import sys
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Self, TextIO

import msgspec

from daemon.cli.compiling import watching
from daemon.cli.show import text
from hftd.clock import monotonic_ns
from hftd.progress import Silent

LINE_EVERY_NS = 3_000_000_000
_JSON_EVERY_NS = 200_000_000
_WINDOW_NS = 5_000_000_000
_SAMPLES_MAX = 64


class Shown(Silent):
    """A progress that is shown between entering and leaving it; this one shows nothing."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *rest: object) -> None:
        return None


class Meter:
    """The rate over the last seconds, and the time that is left at that rate."""

    def __init__(self) -> None:
        self._samples: deque[tuple[int, int]] = deque(maxlen=_SAMPLES_MAX)
        self.rows = 0
        self.rows_total = 0
        self.now_ns = 0

    def update(self, rows: int, rows_total: int, now_ns: int) -> None:
        """Take a reading; samples closer than a fraction of the window are not kept."""
        self.rows, self.rows_total, self.now_ns = rows, rows_total, now_ns
        at_ns = monotonic_ns()
        if not self._samples or at_ns - self._samples[-1][0] >= _WINDOW_NS // _SAMPLES_MAX:
            self._samples.append((at_ns, rows))
        while len(self._samples) > 2 and at_ns - self._samples[0][0] > _WINDOW_NS:
            self._samples.popleft()

    @property
    def rows_per_s(self) -> float:
        """Rows a second; 0 until it can be known."""
        if len(self._samples) < 2:
            return 0.0
        (start_ns, start), (end_ns, end) = self._samples[0], self._samples[-1]
        return (end - start) / max(end_ns - start_ns, 1) * 1e9

    @property
    def left_s(self) -> float:
        """Seconds to the end; NaN if it can't be known."""
        if self.rows_per_s <= 0 or self.rows_total <= 0:
            return float("nan")
        return max(self.rows_total - self.rows, 0) / self.rows_per_s

    def describe(self) -> str:
        """All of it in a line."""
        parts = [text.moment(self.now_ns)]
        if self.rows_total > 0:
            parts.append(
                f"{min(self.rows / self.rows_total, 1):4.0%}  {self.rows:,} of {self.rows_total:,} rows"
            )
        else:
            parts.append(text.count(self.rows, "row"))
        if self.rows_per_s > 0:
            parts.append(text.rate(self.rows_per_s, 1))
        if self.left_s == self.left_s and self.left_s > 0:
            parts.append(f"{text.duration(self.left_s)} left")
        return "  ".join(parts)


class Lines(Shown):
    """Plain lines, for a stderr that is not a terminal: one each few seconds, and one for each stage."""

    def __init__(self, stream: TextIO | None = None, *, every_ns: int = LINE_EVERY_NS) -> None:
        self.stream = stream
        self.every_ns = every_ns
        self.meter = Meter()
        self._next_ns = monotonic_ns() + every_ns

    def say(self, text: str) -> None:
        """A stage."""
        self._line(text)

    def update(self, rows: int, rows_total: int, now_ns: int) -> None:
        """How far it is; written if it is time for a line."""
        self.meter.update(rows, rows_total, now_ns)
        if monotonic_ns() >= self._next_ns:
            self._next_ns = monotonic_ns() + self.every_ns
            self._line(self.meter.describe())

    def _line(self, text: str) -> None:
        _write(text, self.stream)


class JsonLines(Shown):
    """Lines of JSON, for a program that draws its own: `say`, or `rows`, `rows_total` and `now_ns`."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self.stream = stream
        self._next_ns = 0

    def say(self, text: str) -> None:
        """A stage."""
        self._line({"say": text})

    def update(self, rows: int, rows_total: int, now_ns: int) -> None:
        """How far it is, five times a second, and the end in any case."""
        if monotonic_ns() >= self._next_ns or rows == rows_total:
            self._next_ns = monotonic_ns() + _JSON_EVERY_NS
            self._line({"rows": rows, "rows_total": rows_total, "now_ns": now_ns})

    def _line(self, message: dict[str, Any]) -> None:
        _write(msgspec.json.encode(message).decode(), self.stream)


def _write(line: str, stream: TextIO | None = None) -> None:
    to = stream or sys.stderr
    to.write(f"{line}\n")
    to.flush()


def _bar(before: str, *after: str, **options: Any) -> Any:
    """A bar on stderr, between columns of text."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn

    columns = [TextColumn(before), BarColumn(), TaskProgressColumn(), *map(TextColumn, after)]
    # The clock is ours, as everywhere.
    return Progress(*columns, console=Console(stderr=True), get_time=lambda: monotonic_ns() / 1e9, **options)


class Bar(Shown):
    """A bar on a terminal: simulated time, rows, rate, time left; stages are said above it."""

    def __init__(self) -> None:
        self.meter = Meter()
        fields = "{task.fields[rows]}", "[green]{task.fields[rate]}", "[cyan]{task.fields[left]}"
        self._progress = _bar("{task.fields[moment]}", *fields)
        self._task = self._progress.add_task(
            "", total=None, moment="", rows="", rate="", left="", visible=False
        )

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, *rest: object) -> None:
        self._progress.stop()

    def say(self, text: str) -> None:
        """A stage, above the bar."""
        self._progress.console.print(text, markup=False, highlight=False)

    def update(self, rows: int, rows_total: int, now_ns: int) -> None:
        """How far it is."""
        meter = self.meter
        meter.update(rows, rows_total, now_ns)
        self._progress.update(
            self._task,
            visible=True,
            completed=rows,
            total=rows_total or None,
            moment=text.moment(now_ns),
            rows=text.count(rows, "row"),
            rate=text.rate(meter.rows_per_s, 1) if meter.rows_per_s > 0 else "",
            left=f"{text.duration(meter.left_s)} left" if meter.left_s > 0 else "",
        )


def replay_progress(mode: str) -> Shown:
    """The progress for a value of `--progress`."""
    if mode == "none":
        return Shown()
    if mode == "json":
        return JsonLines()
    if mode == "auto" and sys.stderr.isatty():
        return Bar()
    return Lines()


class Share:
    """A share of work in one bar or in lines: called with (done, total); both in bytes, or 0 to 1 and 1.

    Args:
        what: The work, in a word or two.
        in_bytes: Whether the numbers are bytes, to be shown.
        passing: Whether the bar is there from the first call only, as there may be nothing to do, and goes at the end.
        tells_left: Whether the numbers are counts, told with the time that is left.
    """

    def __init__(
        self,
        what: str,
        *,
        mode: str = "auto",
        in_bytes: bool = False,
        passing: bool = False,
        tells_left: bool = False,
    ) -> None:
        self.what = what
        self._tells_left = tells_left
        self._first: tuple[int, float] | None = None
        self._json = mode == "json" and tells_left
        self.in_bytes = in_bytes
        self._bar: Any = None
        self._is_silent = mode == "none"
        self._next_ns = monotonic_ns() + LINE_EVERY_NS
        if mode == "auto" and sys.stderr.isatty():
            self._bar = _bar("{task.description}", "{task.fields[size]}", transient=passing)
            self._task = self._bar.add_task(what, total=None, size="", visible=not passing)

    def __enter__(self) -> Self:
        if self._bar is not None:
            self._bar.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, *rest: object) -> None:
        if self._bar is not None:
            self._bar.stop()

    def __call__(self, done: float, total: float) -> None:
        """So much of the total is done."""
        if self._json:
            if monotonic_ns() >= self._next_ns or done == total:
                self._next_ns = monotonic_ns() + _JSON_EVERY_NS
                _write(msgspec.json.encode({"done": int(done), "total": int(total)}).decode())
            return
        shown = f"{text.size(done)} of {text.size(total)}" if self.in_bytes else ""
        if self._tells_left:
            shown = f"{done:,.0f} of {total:,.0f}{self._left(done, total)}"
        if self._bar is not None:
            self._bar.update(self._task, visible=True, completed=done, total=total or None, size=shown)
        elif not self._is_silent and monotonic_ns() >= self._next_ns:
            self._next_ns = monotonic_ns() + LINE_EVERY_NS
            share = f"{done / total:.0%}" if total else ""
            _write(f"{self.what}: {share} {shown}".rstrip())

    def _left(self, done: float, total: float) -> str:
        """The time that is left, by what was done since the first call: what was there before took none."""
        now_ns = monotonic_ns()
        if self._first is None:
            self._first = now_ns, done
        start_ns, before = self._first
        if done <= before or done >= total:
            return ""
        return f"  {text.duration((now_ns - start_ns) / 1e9 * (total - done) / (done - before))} left"


@contextmanager
def working(what: str, mode: str, **options: Any) -> Iterator[Share]:
    """A `Share` of work, and what is compiled meanwhile, which is said above its bar."""
    with watching("none" if mode == "none" else "plain"), Share(what, mode=mode, **options) as share:
        yield share
