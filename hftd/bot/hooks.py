"""Hooks: Python functions of the user that are told of orders, errors and alerts, in the main thread.

They run beside the strategy, never in its way: what they are told may be some milliseconds old, and where they are
slower than the news, news are dropped and counted. A hook that raises is logged and counted, and called again with the
next.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from hftd import wire
from hftd.bot.config import HooksSection
from hftd.bot.hook_queue import Alert, HookQueue, Note
from hftd.clock import stamp_ns
from hftd.constants import ALERT_FORCED_CLOSE, EXPIRED, REASON_NONE, REJECTED, reason_name
from hftd.log import LazyLogger

NOTES_A_TURN: Final = 256
"""After so many the main thread looks at its leases again."""

ORDER_REFUSED: Final = "order refused"
BOOK_NOT_VALID: Final = "book not valid"
BOOK_VALID: Final = "book valid"
CONNECTION_LOST: Final = "disconnected"
CONNECTION_BACK: Final = "connected"
LAPPED: Final = "lapped"
DAEMON_LOST: Final = "daemon lost"
DAEMON_BACK: Final = "daemon back"
DAEMON_STILL: Final = "daemon stands still"
DAEMON_GOES_ON: Final = "daemon goes on"
HALTED: Final = "halted"
FORCED_CLOSE: Final = "forced close"
TRADED_BY_HAND: Final = "traded by hand"

KINDS_MAX: Final = 100
"""Of a daemon's notices so many are kept apart for the end of the run; further ones are counted."""

_STATES = {
    wire.BOOK_INVALID: BOOK_NOT_VALID,
    wire.BOOK_VALID: BOOK_VALID,
    wire.DISCONNECTED: CONNECTION_LOST,
    wire.CONNECTED: CONNECTION_BACK,
    wire.HALTED: HALTED,
}

_log = LazyLogger("hftd.bot")


@dataclass(frozen=True, slots=True)
class OrderNote:
    """What an order has become.

    Attributes:
        asset_no: The bot's number of the asset.
        status: NEW, FILLED ...; with `req` REJECTED that of the request's order is not told.
        executed: Whether this is about an execution: `exec_qty` at `exec_price`, as `maker`.
        exch_ts: When the exchange did it, 0 if it did not get that far.
        local_ts: When the request that this answers was sent.
        reason: A REASON_* of `hftd.constants`.
        position: After it, if it is about an execution.
    """

    asset_no: int
    symbol: str
    order_id: int
    status: int
    req: int
    side: int
    price: float
    qty: float
    leaves_qty: float
    executed: bool
    exec_price: float
    exec_qty: float
    maker: bool
    exch_ts: int
    local_ts: int
    reason: int
    position: float


@dataclass(frozen=True, slots=True)
class ErrorNote:
    """What went wrong, or is well again.

    Attributes:
        kind: One of the names of this module: "order refused", "book not valid", "book valid", "disconnected",
            "halted", "connected", "lapped", "daemon lost", "daemon back", "daemon stands still", "daemon goes on";
            "forced close": the exchange closed a part of the bot's position by itself (the strategy sees what is left);
            "traded by hand": somebody else traded what it holds.
        message: For people.
        asset_no: The asset, -1 if it is about a channel or the bot.
        order_id: Of a refused order or request, else 0.
        reason: A REASON_* of `hftd.constants`, for a refusal.
    """

    kind: str
    message: str
    asset_no: int = -1
    order_id: int = 0
    reason: int = REASON_NONE


@dataclass
class Hooks:
    """The functions to call; None for those that are not wanted.

    Attributes:
        failed: How often one raised, and what, by its name.
    """

    order: Callable[[OrderNote], Any] | None = None
    error: Callable[[ErrorNote], Any] | None = None
    alert: Callable[[Alert], Any] | None = None
    failed: dict[str, tuple[int, str]] = field(default_factory=dict[str, tuple[int, str]])

    @property
    def any(self) -> bool:
        """Whether there is one."""
        return bool(self.order or self.error or self.alert)

    def call(self, name: str, note: OrderNote | ErrorNote | Alert) -> None:
        """Call one, if it is there; what it raises goes no further."""
        function = getattr(self, name)
        if function is None:
            return
        try:
            function(note)
        except Exception as error:
            count, first = self.failed.get(name, (0, f"{type(error).__name__}: {error}"))
            self.failed[name] = count + 1, first
            if count == 0:
                _log.exception("hook_raised", hook=name)


def load_hooks(section: HooksSection, base: Path) -> Hooks:
    """Find the configured hooks.

    Raises:
        StrategyError: One can't be found or imported.
    """
    from hftd.bot.strategy import load_function

    hooks = Hooks()
    for name in ("order", "error", "alert"):
        if given := getattr(section, name):
            setattr(hooks, name, load_function(given, base, f"{name} hook {given}"))
    return hooks


class HookCaller:
    """Takes notes from their queue and calls the hooks with them.

    Args:
        hooks: The functions.
        instruments: (symbol, tick size) of each asset.
    """

    def __init__(self, hooks: Hooks, instruments: list[tuple[str, float]]) -> None:
        self.hooks = hooks
        self.notes = HookQueue(
            wants_orders=hooks.order is not None or hooks.error is not None,
            wants_states=hooks.error is not None,
        )
        self._instruments = instruments
        self._said: dict[tuple[int, int, int, int], tuple[int, str]] = {}
        self._unsaid = 0
        self._words: tuple[int, int, str] = (-1, 0, "")

    def tell(self, most: int = NOTES_A_TURN) -> bool:
        """Call the hooks with what is there, at most so many times. Returns whether all was told."""
        for _ in range(most):
            taken = self.notes.take()
            if taken is None:
                return True
            self._tell(*taken)
        return False

    def error(self, note: ErrorNote) -> None:
        """Call the error hook with what the main thread found out itself."""
        self.hooks.call("error", note)

    def _tell(self, asset_no: int, note: Note) -> None:
        match note:
            case wire.OrderUpdate():
                self._tell_order(asset_no, note)
            case wire.Status(state=state):
                symbol = self._instruments[asset_no][0]
                kind = _STATES.get(state, "unknown state")
                self.error(ErrorNote(kind, f"{symbol}: {kind}", asset_no))
            case wire.Notice():
                self._tell_notice(asset_no, note)
            case Alert():
                self.hooks.call("alert", note)

    def _tell_notice(self, asset_no: int, notice: wire.Notice) -> None:
        key = notice.kind, asset_no, notice.reason, notice.code
        if key in self._said or len(self._said) < KINDS_MAX:
            self._said[key] = self._said.get(key, (0, ""))[0] + 1, notice.words
        else:
            self._unsaid += 1
        if notice.kind == wire.NOTICE_REFUSED:
            # The update that says so follows.
            self._words = asset_no, notice.order_id, notice.words
            return
        kind = FORCED_CLOSE if notice.kind == wire.NOTICE_FORCED_CLOSE else TRADED_BY_HAND
        symbol = self._instruments[asset_no][0]
        _log.warning("notice_received", kind=kind, symbol=symbol, words=notice.words)
        self.error(ErrorNote(kind, f"{symbol}: {notice.words}", asset_no, 0, notice.reason))
        if kind == FORCED_CLOSE:
            self.hooks.call("alert", Alert(asset_no, ALERT_FORCED_CLOSE, stamp_ns(), notice.position))

    def _tell_order(self, asset_no: int, update: wire.OrderUpdate) -> None:
        symbol, tick_size = self._instruments[asset_no]
        if self.hooks.order is not None:
            self.hooks.call(
                "order",
                OrderNote(
                    asset_no=asset_no,
                    symbol=symbol,
                    order_id=update.order_id,
                    status=update.status,
                    req=update.req,
                    side=update.side,
                    price=update.price_tick * tick_size,
                    qty=update.qty,
                    leaves_qty=update.leaves_qty,
                    executed=update.executed != 0,
                    exec_price=update.exec_price_tick * tick_size,
                    exec_qty=update.exec_qty,
                    maker=update.maker != 0,
                    exch_ts=update.exch_ts,
                    local_ts=update.local_ts,
                    reason=update.reason,
                    position=update.position,
                ),
            )
        if update.req == REJECTED or (update.status == EXPIRED and update.reason != REASON_NONE):
            what = f"{symbol}: order {update.order_id} refused, {reason_name(update.reason)}"
            if self._words[:2] == (asset_no, update.order_id):
                what = f"{what}: {self._words[2]}"
            self.error(ErrorNote(ORDER_REFUSED, what, asset_no, update.order_id, update.reason))

    def _summary(self, kind: int, asset_no: int, reason: int, _code: int, count: int, words: str) -> str:
        symbol = self._instruments[asset_no][0]
        if kind == wire.NOTICE_REFUSED:
            return f"{symbol}: {count:,} requests were refused, {reason_name(reason)}: {words}"
        return f"{symbol}: {words}" + (f"; {count:,} times in all" if count > 1 else "")

    def warnings(self) -> list[str]:
        """What daemons had to say, what was not told, and what the hooks raised."""
        found = [self._summary(*key, *said) for key, said in self._said.items()]
        if self._unsaid:
            found.append(f"{self._unsaid:,} more notices of the daemon; `hftd status` has all refusals")
        found += [
            f"the {name} hook raised {count:,} times, first {first}"
            for name, (count, first) in self.hooks.failed.items()
        ]
        if self.notes.dropped:
            found.append(f"{self.notes.dropped:,} notes for hooks were dropped: the hooks are too slow")
        return found
