"""Open orders at the exchange that are nobody's any more, and are somebody's duty.

Two kinds: orders of this connector that can't be taken over as they are (off the lot, in an instrument that is set
aside), and those of another connector of ours on the same account that no longer runs. The exchange's dead-man switch
is one for account and symbol: a connector that lives and refreshes it keeps the dead one's orders alive. So the living
one does what the switch would have done: it cancels them when the other has been gone for as long (`guard_ns`).
It never touches orders of a connector that runs, or of which it can't know that.

Limits: `STRAYS_MAX` at a time; of more, the rest come up with the next list of open orders. Each cancel is repeated,
after `BACKOFF_NS` and twice as long each time up to `BACKOFF_MAX_NS`, until the exchange does not list the order any
more.
"""

from collections import deque
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Final

import msgspec
import structlog

from daemon.orders.client_ids import read_any
from daemon.orders.messages import CONFIRMED, REFUSED, Cancel, Outcome, Report
from daemon.warnings import Warn
from hftd.constants import REASON_UNKNOWN_ORDER

if TYPE_CHECKING:
    from daemon.orders.courier import Courier
    from daemon.orders.store import Store
    from daemon.orders.telling import Sent

STRAYS_MAX: Final = 500
BURST: Final = 20
"""Cancels in one go: the limits of requests are shared with orders that are somebody's."""
OUTCOME_NS: Final = 10_000_000_000
BACKOFF_NS: Final = 500_000_000
BACKOFF_MAX_NS: Final = 30_000_000_000
HEARD_MAX: Final = 256
"""Connectors elsewhere of which it is remembered when they were heard of."""

_log = structlog.get_logger("hftd.orders")


class Kin(msgspec.Struct, frozen=True):
    """Another connector of ours that trades the account on this machine, or did.

    Attributes:
        identity: Its number in its orders' ids.
        name: Its channel.
        dead_since_ns: Since when it is known not to run; 0 while it does.
    """

    identity: int
    name: str
    prefix: str
    dead_since_ns: int = 0


class _Stray(msgspec.Struct):
    symbol: str
    client_id: str
    exch_order_id: str
    why: str
    due_ns: int
    identity: int = 0  # of the connector that is gone; 0 for our own
    seen_ns: int = 0  # when the exchange last listed it as one that can't be taken over
    tries: int = 0
    request: int = 0


class Strays:
    """See the module.

    Args:
        store: What is known.
        courier: Numbers commands.
        out: Where they go.
    """

    def __init__(self, store: "Store", courier: "Courier", out: "deque[Sent]") -> None:
        self._store = store
        self._courier = courier
        self._out = out
        self._strays: dict[str, _Stray] = {}
        self.requests: dict[int, _Stray] = {}
        self.kin: dict[int, Kin] = {}
        self.look: Callable[[int], dict[int, Kin]] = lambda _now_ns: self.kin
        """Finds out who else trades the account on this machine, or did; given the time."""
        self.guard_ns = 0
        """How long another connector must be gone before its orders are cancelled; 0: they never are."""
        self.others: dict[int, int] = {}
        """Open orders of connectors of ours that are not this one, by their number (0: of the old form)."""
        self._heard_ns: dict[int, int] = {}
        self.cancelled = 0

    def __len__(self) -> int:
        return len(self._strays)

    def look_around(self, now_ns: int) -> None:
        """Find out who else is there: the orders of one that is back are its own affair."""
        kin = self.kin = self.look(now_ns)
        prefix = self._store.ids.prefix
        self._store.adopts_old = not any(
            one.prefix == prefix and not one.dead_since_ns for one in kin.values()
        )
        for stray in list(self._strays.values()):
            if stray.identity and (stray.identity not in kin or not kin[stray.identity].dead_since_ns):
                self._drop(stray)

    def add(
        self, symbol: str, client_id: str, exch_order_id: str, why: str, now_ns: int, identity: int = 0
    ) -> None:
        """See to it that an open order ends."""
        if (known := self._strays.get(client_id)) is not None:
            known.seen_ns = now_ns
        if known is not None or len(self._strays) >= STRAYS_MAX:
            return
        self._strays[client_id] = _Stray(
            symbol, client_id, exch_order_id, why, now_ns, identity, seen_ns=now_ns
        )
        _log.warning("an order is nobody's, and is cancelled", symbol=symbol, client_id=client_id, why=why)

    # --- The list of open orders --------------------------------------------------------------------------------

    def listed(self, foreign: list[Report], now_ns: int) -> None:
        """The open orders that are not this connector's, of a list that is complete."""
        self.others = {}
        for report in foreign:
            found = read_any(report.client_id)
            if found is None:
                continue
            prefix, ours = found
            if ours.identity == 0 and prefix != self._store.ids.prefix:
                # Of the old form, and of another prefix: whose it is can't be told.
                continue
            self.others[ours.identity] = self.others.get(ours.identity, 0) + 1
            kin = self.kin.get(ours.identity)
            if self.guard_ns and kin and kin.dead_since_ns and now_ns - kin.dead_since_ns >= self.guard_ns:
                why = f"the connector {kin.name!r} does not run any more"
                self.add(report.symbol, report.client_id, report.exch_order_id, why, now_ns, ours.identity)

    def forget_unlisted(self, there: set[str], asked_ns: int) -> None:
        """Strays that the exchange lists no more have ended.

        Those that can't be read are not in the list `there`: they were heard of since it was asked for (`add`).
        """
        for client_id, stray in list(self._strays.items()):
            if client_id not in there and stray.seen_ns < asked_ns:
                self._end(stray)

    def heard(self, report: Report, now_ns: int) -> None:
        """The exchange told of an order that is not this connector's: whose it is, runs or has run just now."""
        found = read_any(report.client_id)
        if found is not None and (len(self._heard_ns) < HEARD_MAX or found[1].identity in self._heard_ns):
            self._heard_ns[found[1].identity] = now_ns

    # --- Cancels ------------------------------------------------------------------------------------------------

    def tick(self, now_ns: int) -> None:
        """Send what is due."""
        if any(stray.identity and stray.due_ns <= now_ns for stray in self._strays.values()):
            # Never those of one that has come back this very moment.
            self.look_around(now_ns)
        sent = 0
        for stray in self._strays.values():
            if stray.due_ns > now_ns:
                continue
            if sent == BURST:
                break
            sent += 1
            self.requests.pop(stray.request, None)
            stray.request = self._courier.next_request()
            self.requests[stray.request] = stray
            stray.due_ns = now_ns + OUTCOME_NS
            self._out.append(Cancel(stray.request, stray.client_id, stray.exch_order_id, stray.symbol))

    def take(self, outcome: Outcome, now_ns: int) -> None:
        """How one of `requests` ended."""
        stray = self.requests.pop(outcome.request)
        if outcome.kind == CONFIRMED or (outcome.kind == REFUSED and outcome.reason == REASON_UNKNOWN_ORDER):
            self._end(stray)
            return
        stray.request = 0
        stray.due_ns = now_ns + min(BACKOFF_NS << min(stray.tries, 10), BACKOFF_MAX_NS)
        stray.tries += 1

    def _end(self, stray: _Stray) -> None:
        self.cancelled += 1
        self._drop(stray)

    def _drop(self, stray: _Stray) -> None:
        self.requests.pop(stray.request, None)
        self._strays.pop(stray.client_id, None)

    # --- For people ---------------------------------------------------------------------------------------------

    def warnings(self) -> Iterator[Warn]:
        """Orders of other connectors of ours, and connectors that should not be two."""
        for identity, count in self.others.items():
            said = f"{count} open orders are of another connector of ours"
            kin = self.kin.get(identity)
            if kin is None:
                yield Warn(
                    "orders_of_other_connector",
                    f"{said} ({_named(identity)}), which does not run on this machine"
                    + (", and was heard of lately" if identity in self._heard_ns else "")
                    + ". They are left alone. If it runs nowhere, cancel them at the exchange: while this connector "
                    "refreshes the exchange's dead-man switch in their symbols, the switch does not cancel them",
                    _named(identity),
                )
            elif kin.dead_since_ns:
                yield Warn(
                    "orders_of_other_connector",
                    f"{said}, {kin.name!r}, which does not run any more: "
                    + (
                        f"they are cancelled when it has been gone for {self.guard_ns / 1e9:g} s; start it again to "
                        "keep them"
                        if self.guard_ns
                        else "start it again, or cancel them at the exchange"
                    ),
                    kin.name,
                )
        for kin in self.kin.values():
            if not kin.dead_since_ns and kin.prefix == self._store.ids.prefix:
                yield Warn(
                    "other_connector",
                    f"the connector {kin.name!r} trades this account with the same order_prefix {kin.prefix!r}: their "
                    "orders are told apart all the same; give one of them another order_prefix",
                    kin.name,
                )
        for stray in self._strays.values():
            yield Warn(
                "stray_order",
                f"{stray.symbol}: the order {stray.client_id} is being cancelled: {stray.why}",
                stray.client_id,
            )


def _named(identity: int) -> str:
    return f"number {identity:06x}" if identity else "before they had numbers"
