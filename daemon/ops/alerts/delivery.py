"""The way of alerts to one target, and the heartbeat: each a thread of its own, for which nothing waits.

What can't be delivered is tried again by a back-off, put together with what has come meanwhile. At most `QUEUE_MAX`
alerts wait; of more the oldest are dropped, and the next message says how many are missing. A target that refuses, or
takes longer than `SLOW_S`, is told of by `trouble`.
"""

import re
import threading
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from typing import Final
from urllib.parse import unquote, urlsplit

import structlog

from daemon.connector.secrets import Secret
from daemon.connector.supervise import Backoff
from daemon.ops.alerts.answers import bound_answers
from daemon.ops.alerts.config import CRITICAL
from daemon.ops.alerts.states import Notice
from daemon.ops.alerts.texts import cleaned, duration
from daemon.redaction import hide, redact
from hftd.clock import monotonic_ns
from hftd.errors import ConfigError

QUEUE_MAX: Final = 200
LINES_MAX: Final = 20
"""Alerts in one message; the others are in the next ones."""
SLOW_S: Final = 10.0
RETRY_FIRST_S: Final = 1.0
RETRY_MAX_S: Final = 60.0
CLOSE_S: Final = 5.0
"""So long the last alerts may take to get out when this process ends."""
HEARTBEAT_TIMEOUT_S: Final = 10.0
_PIECE_MIN: Final = 4
"""A shorter piece of an address is no secret, and would take ordinary words out of what is said."""
_WORD: Final = re.compile(r"[A-Z]?[a-z]{0,17}[0-9]{0,4}|[A-Z]{1,12}[0-9]{0,4}|[0-9]{1,10}")
"""A word of a name, such as those of `hftd-alerts2`, or a number."""
_PHRASE_WORDS: Final = 4
"""So many words make a name that nobody guesses."""

Send = Callable[[str, str, str], str]
"""Sends a title and a text of a kind ("failure", "warning", "success"); returns why it failed, "" if it did not."""

_log = structlog.get_logger("hftd.alert")


class Target:
    """One target, and what waits for it.

    Args:
        name: As in the configuration.
        severity: CRITICAL: it gets those alone.
        send: Sends one message; called in the target's thread, it may take its time and raise.
        host: This machine's name, for titles.
        seed: Of the back-off's jitter.
    """

    def __init__(self, name: str, severity: str, send: Send, *, host: str, seed: int) -> None:
        self.name = name
        self.delivered = 0
        self.dropped = 0
        self._severity = severity
        self._send = send
        self._host = host
        self._backoff = Backoff(RETRY_FIRST_S, RETRY_MAX_S, seed)
        self._queue: deque[Notice] = deque()
        self._batch: list[Notice] = []
        self._unsaid = 0
        self._why = ""
        self._busy_ns = 0
        self._is_closing = False
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._run, name=f"alerts to {name}", daemon=True)
        self._thread.start()

    @property
    def is_busy(self) -> bool:
        """Whether a message is on its way."""
        return self._busy_ns > 0

    def put(self, notices: Iterable[Notice]) -> None:
        """Have alerts sent; it never waits."""
        with self._changed:
            for notice in notices:
                if notice.severity != CRITICAL and self._severity == CRITICAL:
                    continue
                if len(self._queue) >= QUEUE_MAX:
                    self._queue.popleft()
                    self.dropped += 1
                    self._unsaid += 1
                self._queue.append(notice)
            self._changed.notify()

    def waiting(self) -> tuple[Notice, ...]:
        """What it has not taken, with what is on its way."""
        with self._changed:
            return (*self._batch, *self._queue)

    def trouble(self) -> str:
        """Why nothing gets there just now; "" if nothing is known to be wrong."""
        busy_ns, why = self._busy_ns, self._why
        if not why and busy_ns and monotonic_ns() - busy_ns > SLOW_S * 1e9:
            why = f"it has taken longer than {SLOW_S:g} s to answer"
        return f"{why}; {len(self._queue)} alerts wait, {self.dropped} were dropped" if why else ""

    def end(self) -> None:
        """Send what waits, once, and then no more; it does not wait for that."""
        with self._changed:
            self._is_closing = True
            self._changed.notify()

    def join(self, deadline_ns: int) -> None:
        """Wait until that is done, but no longer than to a time on the monotonic clock."""
        self._thread.join(max(0, deadline_ns - monotonic_ns()) / 1e9)

    # The thread.

    def _run(self) -> None:
        while True:
            with self._changed:
                while not self._queue:
                    if self._is_closing:
                        return
                    self._changed.wait()
                batch = self._batch = [self._queue.popleft() for _ in range(min(LINES_MAX, len(self._queue)))]
                missing, self._unsaid = self._unsaid, 0
            why = self._try(batch, missing)
            if not why:
                with self._changed:
                    self._batch = []
                self.delivered += len(batch)
                self._why = ""
                self._backoff.reset()
                continue
            if not self._why:
                _log.warning("alert_not_delivered", target=self.name, why=why)
            self._why = why
            with self._changed:
                # Those that came meanwhile are younger.
                room = QUEUE_MAX - len(self._queue)
                lost = max(0, len(batch) - room)
                self.dropped += lost
                self._unsaid += lost + missing
                self._queue.extendleft(reversed(batch[lost:]))
                self._batch = []
                if self._is_closing:
                    return
                self._changed.wait_for(lambda: self._is_closing, self._backoff.next_s())

    def _try(self, batch: list[Notice], missing: int) -> str:
        """Why it failed, "" if it did not."""
        self._busy_ns = monotonic_ns()
        try:
            return self._send(*message_of(batch, self._host, missing))
        except Exception as error:
            return f"{type(error).__name__}: {error}"
        finally:
            self._busy_ns = 0


def message_of(notices: Sequence[Notice], host: str, missing: int = 0) -> tuple[str, str, str]:
    """Title, text and kind of the message that says these.

    Args:
        notices: One at least.
        host: This machine's name.
        missing: How many were dropped before them.
    """
    lines = [_line(one) for one in notices]
    if missing:
        lines.append(f"{missing} earlier alerts were dropped: this target could not be reached")
    begun = [one for one in notices if not one.is_over]
    if not begun:
        kind = "success"
    else:
        kind = "failure" if any(one.severity == CRITICAL for one in begun) else "warning"
    if len(notices) == 1:
        one = notices[0]
        what = f"{'over' if one.is_over else one.severity}: {one.daemon or host} {one.rule.replace('_', ' ')}"
    else:
        what = f"{len(begun)} alerts, {len(notices) - len(begun)} over"
    return f"hftd on {host}: {what}", "\n".join(lines), kind


def _line(one: Notice) -> str:
    about = f"{one.daemon}: {one.text}" if one.daemon else one.text
    if one.is_over:
        return f"OVER after {duration(one.lasted_s)}: {one.rule}: {about}"
    since = f" (for {duration(one.lasted_s)})" if one.lasted_s >= 1 else ""
    return f"{one.severity.upper()}: {one.rule}: {about}{since}"


class Heartbeat:
    """Asks for an address again and again, as long as there is a reason to.

    Args:
        url: The address.
        every_s: Between two times.
        is_well: Whether daemons are watched and alerts get out; without that it is silent.
    """

    def __init__(self, url: Secret, every_s: float, is_well: Callable[[], bool]) -> None:
        self.sent = 0
        self._url = url
        self._every_s = every_s
        self._is_well = is_well
        self._why = ""
        self._busy_ns = 0
        self._closing = threading.Event()
        hide_address(url)
        self._thread = threading.Thread(target=self._run, name="heartbeat", daemon=True)
        self._thread.start()

    def trouble(self) -> str:
        """Why the last one did not get there, or why this one does not; "" if nothing is known to be wrong."""
        busy_ns = self._busy_ns
        if busy_ns and monotonic_ns() - busy_ns > 2 * HEARTBEAT_TIMEOUT_S * 1e9:
            return f"it has taken longer than {2 * HEARTBEAT_TIMEOUT_S:g} s to answer"
        return self._why

    def close(self) -> None:
        """No more; it does not wait for one that is under way."""
        self._closing.set()

    def _run(self) -> None:
        while not self._closing.is_set():
            if self._is_well():
                self._busy_ns = monotonic_ns()
                self._why = self._beat()
                self._busy_ns = 0
                self.sent += not self._why
            self._closing.wait(self._every_s)

    def _beat(self) -> str:
        import requests

        try:
            # Of what it answers nothing is read, which may be without end; a redirection that is looked at is read.
            with requests.get(
                self._url.reveal(),
                timeout=HEARTBEAT_TIMEOUT_S,
                stream=True,
                hooks={"response": lambda found, **_: found.headers.pop("Location", None) and None},
            ) as answer:
                code = answer.status_code
        except Exception as error:
            # Its text may have the address.
            return type(error).__name__
        if code in range(300, 400):
            return f"it answers {code}: give the address to which that leads"
        return "" if answer.ok else f"it answers {code}"


def sender(name: str, url: Secret) -> Send:
    """What sends to an address.

    Args:
        name: The target's.
        url: As Apprise takes it.

    Raises:
        ConfigError: Apprise is not installed, or does not take the address.
    """
    try:
        import apprise
    except ImportError:
        raise ConfigError(
            "alerts are sent by Apprise, which is not installed", hint="pip install 'hftd[alerts]'"
        ) from None
    bound_answers()
    pieces = hide_address(url)
    # What takes too long is left to go on: tried again beside itself it would leave a thread behind each time.
    asset = apprise.AppriseAsset(app_id="hftd", app_desc="hftd", app_url="", service_timeout=0)
    service = apprise.Apprise(asset=asset)
    if not service.add(url.reveal()):
        raise ConfigError(
            f"Apprise does not take the address of the target {name!r}",
            hint="its services and the form of their URLs: https://github.com/caronc/apprise/wiki",
        )

    def send(title: str, text: str, kind: str) -> str:
        done = service.notify(
            body=text,
            title=title,
            notify_type=apprise.NotifyType(kind),
            body_format=apprise.NotifyFormat.TEXT,
        )
        if done:
            return ""
        said = [one.message for one in done.logs()]
        return cleaned(redact(said[-1], pieces)) if said else "it was refused"

    return send


def hide_address(url: Secret) -> list[str]:
    """Let no log show what is secret of an address: what looks like a token, and passwords. Words stay.

    Returns:
        All of its parts, the longest first, for what a service says of it.
    """
    text = url.reveal()
    rest = text.partition("://")[2]
    parts = {text, rest}
    for separator in "/?&=:@,#":
        parts |= {piece for part in parts for piece in part.split(separator)}
    parts |= {unquote(part) for part in parts}
    login = urlsplit(f"//{rest}").netloc.rpartition("@")[0]
    password = login.partition(":")[2]
    pieces = sorted((part for part in parts if len(part) >= _PIECE_MIN), key=len, reverse=True)
    hide(text)
    for piece in {password, unquote(password), *pieces}:
        if piece and (piece in (password, unquote(password)) or _is_token(piece)):
            hide(piece)
    return pieces


def _is_token(piece: str) -> bool:
    """Whether a part of an address is secret: random letters and digits or a passphrase, and not a name."""
    if any(sign in piece for sign in "/?&=:@,# %"):
        return False
    words = re.split(r"[-_.+~]", piece)
    is_named = all(_WORD.fullmatch(word) for word in words if word)
    return not is_named or (len(words) >= _PHRASE_WORDS and "." not in piece)
