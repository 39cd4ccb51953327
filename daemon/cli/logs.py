"""What the daemons' libraries log, as lines among a command's own on stderr; stdout is for results.

Whatever is wrong with a line or with stderr, whoever logs does not hear of it and does not wait: see
:mod:`daemon.log_writer`. No line shows a secret, nor a traceback the values of variables.
"""

import io
import os
import sys
from collections.abc import Callable, MutableMapping
from typing import Any

from daemon import log_writer
from daemon.log_events import MAIN, SENTENCES, named, sentence, shown
from daemon.log_writer import LogWriter
from daemon.redaction import redacted
from hftd.control.recent import keep
from hftd.errors import UsageError

LEVELS = {"debug": 10, "info": 20, "warning": 30, "error": 40}


class _Stderr(io.TextIOBase):
    """What stands for `sys.stderr` in a daemon: writing to it never waits and never raises."""

    encoding = "utf-8"  # pyright: ignore[reportAssignmentType]
    errors = "backslashreplace"  # pyright: ignore[reportAssignmentType]

    def __init__(self, real: Any, writer: LogWriter) -> None:
        self.real = real
        self.writer = writer

    def write(self, text: str) -> int:  # pyright: ignore[reportIncompatibleMethodOverride]
        self.writer.write(redacted(text))
        return len(text)

    def writable(self) -> bool:
        return True

    def flush(self) -> None:
        """There is nothing to wait for."""

    def fileno(self) -> int:
        return self.real.fileno()

    def isatty(self) -> bool:
        return self.real.isatty()


def take_stderr() -> LogWriter | None:
    """From now on let all that is said on `sys.stderr` go through a `LogWriter`; again does nothing.

    None if stderr has no descriptor, such as a test's buffer: it is left as it is.
    """
    stream = sys.stderr
    if isinstance(stream, _Stderr):
        return stream.writer
    try:
        fd = stream.fileno()
        stream.flush()
    except (OSError, ValueError, AttributeError):
        return None
    writer = log_writer.current = LogWriter(fd)
    sys.stderr = _Stderr(stream, writer)
    return writer


def give_stderr_back() -> None:
    """Write what waits, in a limited time, and undo `take_stderr`."""
    stream = sys.stderr
    if isinstance(stream, _Stderr):
        sys.stderr = stream.real
        log_writer.current = None
        if not stream.writer.close():
            # Else the interpreter, at its exit, may wait for whoever does not read.
            sys.stderr = None  # type: ignore[assignment]


class _Logger:
    """Hands each line, whatever its level, to `say`."""

    def __init__(self, say: Callable[[str], None]) -> None:
        for name in (*LEVELS, "exception", "critical", "fatal", "warn", "msg", "log"):
            setattr(self, name, say)


def _with_sentence(_logger: Any, _level: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """The event, for programs: its key, its sentence, its fields. One whose key is not known stays as it is."""
    key = event.get("event", "")
    said = sentence(key, event)
    return {"event": key, "sentence": said, **event} if said else event


def _for_people(_logger: Any, _level: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """The event, for people: its key and sentence, and those of its fields that the sentence does not show whole."""
    key = event.get("event", "")
    said = sentence(key, event)
    if not said:
        return event
    told = {name for name in named(SENTENCES[key]) if name in event and str(event[name]) in said}
    return {name: value for name, value in event.items() if name not in told} | {"event": f"{key}: {said}"}


def _keep(level: str, event: MutableMapping[str, Any]) -> None:
    """Keep what a person may want to see for those that ask this daemon; whatever is wrong with it, the log goes on."""
    key = event.get("event", "")
    if LEVELS.get(level, 40) < LEVELS["warning"] and key not in MAIN:
        return
    try:
        said = sentence(key, event) or str(key)
        rest = event.keys() - named(SENTENCES.get(key, "")) - {"event", "exc_info"}
        facts = "".join(f"  {name}={shown(name, event)}" for name in event if name in rest)
        keep(level, str(key), redacted(said + facts))
    except Exception:
        keep(level, str(key), "an event that can't be shown")


def _line(_logger: Any, level: str, event: MutableMapping[str, Any]) -> str:
    trace = event.pop("exception", "")
    words = [str(event.pop("event", "")), *(f"{name}={value}" for name, value in event.items())]
    return "  ".join([f"{level}:", *words]) + (f"\n{trace}" if trace else "")


def _level(default: str) -> int:
    name = os.environ.get("HFTD_LOG", "").lower() or default
    if name not in LEVELS:
        raise UsageError(f"HFTD_LOG is {name!r}", hint=f"it is one of {', '.join(LEVELS)}")
    return LEVELS[name]


def _guarded(least: int, *processors: Any) -> Callable[[Any, str, MutableMapping[str, Any]], str]:
    """The processors as one that always comes to a line, without secrets; what is below the level is only kept."""
    import structlog

    def process(logger: Any, level: str, event: MutableMapping[str, Any]) -> str:
        what = event.get("event", "")
        _keep(level, event)
        if LEVELS.get(level, 40) < least:
            raise structlog.DropEvent
        made: Any = event
        try:
            for one in processors:
                made = one(logger, level, made)
            return redacted(str(made))
        except Exception as error:
            # Something in it can't be shown.
            return f'{{"event": {str(what)!r}, "level": "{level}", "log_error": "{type(error).__name__}"}}'

    return process


def _silently(say: Callable[[str], None]) -> Callable[[str], None]:
    def attempt(line: str) -> None:
        try:
            say(line)
        except Exception:
            # There is nobody who could be told; whoever logs goes on.
            return

    return attempt


def log_events(log_format: str) -> None:
    """Log to stderr what a daemon does: JSON, a line an event, or for people; from `info` on, or the level in HFTD_LOG.

    Args:
        log_format: "json", "people", or "auto": for people if stderr is a terminal.

    Raises:
        UsageError: HFTD_LOG names no level.
    """
    import structlog

    level = _level("info")
    writer = take_stderr()
    stream = sys.stderr
    is_json = log_format == "json" or (log_format == "auto" and not stream.isatty())
    stamped = [structlog.processors.add_log_level, structlog.processors.TimeStamper(fmt="iso", utc=True)]
    if is_json:
        show = [
            _with_sentence,
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(default=repr),
        ]
    else:
        # Not the usual formatter: it shows the variables of all frames.
        plain = structlog.dev.plain_traceback
        colors = stream.isatty()
        show = [_for_people, structlog.dev.ConsoleRenderer(colors=colors, exception_formatter=plain)]
    process = _guarded(level, *stamped, *show)
    if writer is not None and is_json:
        writer.note = lambda count: (
            process(None, "warning", {"event": "log_lines_dropped", "count": count}) + "\n"
        )

    def say(line: str) -> None:
        stream.write(f"{line}\n")

    structlog.configure(
        processors=[process],
        wrapper_class=structlog.make_filtering_bound_logger(min(level, LEVELS["info"])),
        logger_factory=lambda *_: _Logger(_silently(say)),
        cache_logger_on_first_use=True,
    )


def log_to(say: Callable[[str], None]) -> None:
    """Say what is logged; from warnings on, or from the level in HFTD_LOG.

    Raises:
        UsageError: HFTD_LOG names no level.
    """
    import structlog

    level = _level("warning")
    structlog.configure(
        processors=[_guarded(level, _for_people, structlog.processors.format_exc_info, _line)],
        wrapper_class=structlog.make_filtering_bound_logger(min(level, LEVELS["info"])),
        logger_factory=lambda *_: _Logger(_silently(say)),
        cache_logger_on_first_use=False,
    )
