"""What was refused, by whom and in which words: for the log, `hftd status` and the bots.

Kinds are kept by bot, symbol, reason and the exchange's own number, at most `KINDS_MAX` of them; others count as one
more kind without a name. The first of a kind is always logged, and of the others at most `LOGGED_A_MINUTE`.
"""

from collections.abc import Iterator
from typing import Final

import structlog

from daemon.orders.messages import Outcome
from daemon.warnings import Warn
from hftd.constants import (
    REASON_DISCONNECTED,
    REASON_DUPLICATE,
    REASON_FOK,
    REASON_HALTED,
    REASON_LIMIT_PRICE,
    REASON_LIMIT_QTY,
    REASON_LIQUIDATION,
    REASON_POST_ONLY,
    REASON_UNKNOWN_ORDER,
    reason_name,
)
from hftd.control import status

KINDS_MAX: Final = 500
LOGGED_A_MINUTE: Final = 60
RECENT_NS: Final = 60_000_000_000
"""A refusal needs a person's attention for so long."""
ORDINARY: Final = frozenset({REASON_UNKNOWN_ORDER, REASON_POST_ONLY, REASON_FOK, REASON_DUPLICATE})
"""What comes in the ordinary course of trading: the market, or an answer on its way, was faster."""
_SHOWN_OTHERWISE: Final = frozenset({REASON_HALTED, REASON_DISCONNECTED, REASON_LIQUIDATION})
"""States with a warning of their own."""
_MINUTE_NS: Final = 60_000_000_000

_log = structlog.get_logger("hftd.orders")

Key = tuple[str, str, int, int]


class Kind:
    """One kind of refusal.

    Attributes:
        words: The exchange's, of the last one; empty for a refusal of the connector's own.
        hint: What a person can do.
        count: How many there were; `last_ns` when the last one came, on the clock of order management.
    """

    __slots__ = ("count", "hint", "last_ns", "words")

    def __init__(self) -> None:
        self.words = ""
        self.hint = ""
        self.count = 0
        self.last_ns = 0


class Refusals:
    """See the module."""

    def __init__(self) -> None:
        self.kinds: dict[Key, Kind] = {}
        self._minute = -1
        self._logged = 0
        self._unlogged = 0

    def note(
        self, bot: str, symbol: str, reason: int, now_ns: int, *, order_id: int, what: str, outcome: Outcome
    ) -> None:
        """The exchange, or the way there, refused something.

        Args:
            bot: Whose request it was.
            symbol: The instrument.
            reason: A REASON_*.
            now_ns: Now.
            order_id: The order's.
            what: "new", "modify", "cancel" or "query".
            outcome: With the exchange's words.
        """
        kind, is_new = self._kind((bot, symbol, reason, outcome.code), now_ns)
        kind.words = outcome.message
        kind.hint = outcome.hint
        if not is_new and not self._may_log(now_ns):
            return
        _log.log(
            20 if reason in ORDINARY else 30,
            "refused",
            bot=bot,
            symbol=symbol,
            order_id=order_id,
            what=what,
            reason=reason_name(reason),
            code=outcome.code,
            words=outcome.message,
            **({"hint": outcome.hint} if outcome.hint else {}),
        )

    def note_own(self, bot: str, symbol: str, reason: int, now_ns: int) -> None:
        """The connector itself refused a request: by a limit, a filter, a halt."""
        self._kind((bot, symbol, reason, 0), now_ns)

    def _kind(self, key: Key, now_ns: int) -> tuple[Kind, bool]:
        kind = self.kinds.get(key)
        is_new = kind is None
        if kind is None:
            if len(self.kinds) >= KINDS_MAX:
                key, is_new = ("", "", 0, 0), ("", "", 0, 0) not in self.kinds
            kind = self.kinds.setdefault(key, Kind())
        kind.count += 1
        kind.last_ns = now_ns
        return kind, is_new

    def _may_log(self, now_ns: int) -> bool:
        minute = now_ns // _MINUTE_NS
        if minute != self._minute:
            if self._unlogged:
                _log.warning("refusals that were not logged", count=self._unlogged)
            self._minute, self._logged, self._unlogged = minute, 0, 0
        if self._logged >= LOGGED_A_MINUTE:
            self._unlogged += 1
            return False
        self._logged += 1
        return True

    def last_words(self, bot: str, symbol: str, reason: int) -> str:
        """The last refusal of a bot's order for that reason, in the exchange's words if there are any."""
        last: Kind | None = None
        for (owner, where, why, _), kind in self.kinds.items():
            if owner == bot and where == symbol and why == reason and kind.words:
                if last is None or kind.last_ns >= last.last_ns:
                    last = kind
        return f"{reason_name(reason)}: {last.words}" if last else reason_name(reason)

    def shown(self, now_ns: int) -> list[status.Refusal]:
        """For `hftd status`, the last ones first."""
        found = sorted(self.kinds.items(), key=lambda item: -item[1].last_ns)
        return [
            status.Refusal(
                bot=bot,
                symbol=symbol,
                reason=reason,
                name=reason_name(reason) if bot else "further kinds",
                code=code,
                words=kind.words,
                hint=kind.hint,
                count=kind.count,
                age_ns=now_ns - kind.last_ns,
            )
            for (bot, symbol, reason, code), kind in found
        ]

    def warnings(self, now_ns: int) -> Iterator[Warn]:
        """Bots that are being refused what they ask for."""
        for (bot, symbol, reason, code), kind in self.kinds.items():
            if (
                now_ns - kind.last_ns > RECENT_NS
                or reason in ORDINARY
                or reason in _SHOWN_OTHERWISE
                or not bot
            ):
                continue
            name = reason_name(reason)
            if REASON_LIMIT_QTY <= reason <= REASON_LIMIT_PRICE:
                yield Warn(
                    "limit_reached",
                    f"{bot}: {symbol}: {kind.count:,} orders were refused by a limit of the connector, {name}: "
                    "is the limit right, or does the bot run away?",
                    f"{bot} {symbol} {name}",
                )
                continue
            who = "the exchange" if code else "the connector"
            words = f": {kind.words}" if kind.words else ""
            hint = f"; {kind.hint}" if kind.hint else ""
            yield Warn(
                "orders_refused",
                f"{bot}: {symbol}: {who} refused {kind.count:,} requests, {name}{words}{hint}",
                f"{bot} {symbol} {code or name}",
            )
