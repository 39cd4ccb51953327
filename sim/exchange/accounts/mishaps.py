"""What goes wrong by chaos or by hand beside the wire: endpoints, and what happens to instruments and accounts.

Endpoints fail while others work: errors, pages of a gateway, answers that are slow, old or lost. Instruments get other
steps, are halted; positions are closed by force, or by somebody's own hand.
"""

from __future__ import annotations

import fnmatch
from collections.abc import Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

import msgspec

from sim.exchange.accounts.accounts import Account, Order, Payment
from sim.exchange.rules.chaos import Chaos
from sim.exchange.rules.instruments import Instrument
from sim.exchange.rules.refusals import RefusedError, Why

if TYPE_CHECKING:
    from sim.exchange.core import Exchange

Kind = Literal["error", "html", "slow", "stale", "lost"]
_Share = Annotated[float, msgspec.Meta(ge=0, le=1)]

RULES_MAX: Final = 100
STALE_MAX: Final = 1000
"""Answers that are kept to be given again."""

PAGE: Final = (
    b"<!DOCTYPE html><html><head><title>Sorry</title></head>"
    b"<body><h1>The request could not be satisfied.</h1></body></html>"
)
"""What stands before the exchange says this in its stead."""

STEPS: Final = (1, 1, 2, 5, 10)
"""Of a grid's step."""
SETTLEMENT: Final = "settlement"
"""How positions are closed of an instrument that is delisted; each venue has it."""
_KINDS: Final = ("error", "error", "html", "page", "slow", "stale", "lost")


class Rule(msgspec.Struct, forbid_unknown_fields=True):
    """One endpoint, and how it fails.

    Attributes:
        path: A pattern of a request's name: its method and path, or as a WebSocket names it; `*` is anything.
        kind: `error`: refused, and not done; `html`: a gateway's page with `status`; `slow`: done `ms` later; `stale`:
            what was answered first is answered again; `lost`: done, and never answered.
        seconds: How long; 0: until it is mended.
        times: How often; 0: always.
        share: Of the requests.
        status: HTTP's.
        code: The exchange's; 0: that of a service that is not available.
        msg: Its words.
        ms: How much slower.
        params: The parameters that a request must have, as text: `symbol=BTCUSDT&type=MARKET`.
    """

    path: str
    kind: Kind = "error"
    seconds: Annotated[float, msgspec.Meta(ge=0)] = 0.0
    times: Annotated[int, msgspec.Meta(ge=0)] = 0
    share: _Share = 1.0
    status: Annotated[int, msgspec.Meta(ge=200, le=599)] = 503
    code: int = 0
    msg: str = ""
    ms: Annotated[float, msgspec.Meta(ge=0, le=600_000)] = 1000.0
    params: str = ""
    until_ms: int = 0
    struck: int = 0

    def is_meant(self, name: str, params: dict[str, str]) -> bool:
        """Whether a request is one that it concerns."""
        if not fnmatch.fnmatchcase(name, self.path):
            return False
        wanted = (one.partition("=") for one in self.params.split("&") if one)
        return all(params.get(key) == value for key, _, value in wanted)


class PageError(Exception):
    """Something before the exchange answers, with a page.

    Args:
        status: HTTP's.
    """

    def __init__(self, status: int) -> None:
        super().__init__(f"a page, {status}")
        self.status = status


class Outages:
    """Which endpoints fail now.

    Args:
        chaos: Lets some fail now and then.
        endpoints: Patterns of those.
    """

    def __init__(self, chaos: Chaos, endpoints: Sequence[str]) -> None:
        self._endpoints = endpoints
        self.rules: list[Rule] = []
        self._chaos = chaos
        self._now_ms = 0
        self._next_ms = 0
        self._seconds = 0.0
        self._old: dict[tuple[str, str], Any] = {}

    def add(self, rule: Rule) -> None:
        """An endpoint begins to fail. Of too many rules the oldest is dropped."""
        if rule.seconds > 0.0:
            rule.until_ms = self._now_ms + int(rule.seconds * 1000)
        self.rules.append(rule)
        del self.rules[:-RULES_MAX]

    def mend(self) -> None:
        """All endpoints work."""
        self.rules.clear()
        self._old.clear()

    def on_time(self, now_ms: int) -> None:
        """Rules end, and chaos makes new ones."""
        self._now_ms = now_ms
        if self.rules:
            self.rules = [
                one
                for one in self.rules
                if (not one.until_ms or now_ms < one.until_ms) and (not one.times or one.struck < one.times)
            ]
        if self._chaos.is_due("outage_s", now_ms):
            chosen = self._chaos.of("outage")
            kind = chosen.choice(_KINDS)
            for_s = chosen.expovariate(1.0 / max(self._chaos.settings.outage_for_s, 0.001))
            self._chaos.count("outages")
            self.add(
                Rule(
                    chosen.choice(self._endpoints),
                    "html" if kind == "page" else kind,
                    seconds=min(for_s, 10.0 * self._chaos.settings.outage_for_s),
                    status=200 if kind == "page" else chosen.choice((500, 502, 503, 504)),
                    ms=chosen.choice((200.0, 2000.0, 12_000.0)),
                )
            )

    def find(self, name: str, params: dict[str, str]) -> Rule | None:
        """The rule that a request meets, if any."""
        for rule in self.rules:
            if rule.times and rule.struck >= rule.times:
                continue
            if rule.is_meant(name, params):
                if rule.share < 1.0 and self._chaos.of("outage/share").random() >= rule.share:
                    continue
                rule.struck += 1
                self._chaos.count(f"outage: {rule.kind}")
                return rule
        return None

    def old(self, name: str, params: dict[str, str], answer: Any) -> Any:
        """What was answered first, while this was stale."""
        kept = {key: value for key, value in sorted(params.items()) if key not in ("timestamp", "signature")}
        if len(self._old) >= STALE_MAX:
            self._old.clear()
        return self._old.setdefault((name, str(kept)), answer)


def refuse(rule: Rule) -> None:
    """Raise what a rule says, if it lets a request fail before it is done.

    Raises:
        RefusedError: It is refused.
        PageError: It is answered by something else.
    """
    if rule.kind == "error":
        retry = {"retry_s": 1} if rule.status in (418, 429) else {}
        raise RefusedError(Why.OTHER, code=rule.code, msg=rule.msg, status=rule.status, **retry)
    if rule.kind == "html":
        raise PageError(rule.status)


class Mishaps:
    """Lets them happen, by the settings and the numbers of chaos.

    Args:
        exchange: The exchange.
    """

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange
        self._chaos = exchange.chaos
        self._halted: dict[str, int] = {}

    def on_time(self, now_ms: int) -> None:
        """Look what is due."""
        exchange, chaos = self._exchange, self._chaos
        for symbol, until_ms in list(self._halted.items()):
            if now_ms >= until_ms:
                del self._halted[symbol]
                if exchange.instrument(symbol).is_listed:
                    exchange.change(symbol, {"status": ""})
        listed = list(exchange.instruments.values())
        if not listed:
            return
        if chaos.is_due("steps_s", now_ms):
            self.change_steps(chaos.of("steps").choice(listed))
        if chaos.is_due("halt_s", now_ms):
            self.halt(chaos.of("halt").choice(listed), now_ms)
        ways = [one for one in exchange.venue.forced if one != SETTLEMENT]
        if ways and chaos.is_due("forced_s", now_ms):
            numbers = chaos.of("forced")
            why = numbers.choice(ways)
            share = numbers.choice((0.1, 0.5, 1.0))
            if exchange.matching.force_close(
                numbers.choice(exchange.accounts), numbers.choice(listed), why, share
            ):
                chaos.count(f"closed by force: {why}")
        if chaos.is_due("by_hand_s", now_ms):
            numbers = chaos.of("by_hand")
            self.close_by_hand(
                numbers.choice(exchange.accounts), numbers.choice(listed), numbers.choice((0.3, 1.0))
            )
        if chaos.is_due("feed_restart_s", now_ms):
            begins = chaos.of("feed_restart").choice(listed)
            if exchange.feeds[begins.number].restart():
                chaos.count("feed restarts")
        if chaos.is_due("shared_s", now_ms):
            exchange.limits.use_up(chaos.of("shared").randrange(1, max(chaos.settings.shared_weight, 1) + 1))
            chaos.count("weight used by others")

    def change_steps(self, instrument: Instrument) -> None:
        """Finer or coarser steps, on the grid of the market."""
        numbers, s = self._chaos.of("steps"), instrument.section
        tick = Decimal(s.grid_tick or s.tick_size) * numbers.choice(STEPS)
        lot = Decimal(s.grid_lot or s.lot_size) * numbers.choice(STEPS)
        self._exchange.change(
            instrument.symbol, {"tick_size": f"{tick:f}", "lot_size": f"{lot:f}", "min_qty": f"{lot:f}"}
        )
        self._chaos.count("steps changed")

    def halt(self, instrument: Instrument, now_ms: int) -> None:
        """A status in which not all orders are taken, for a while."""
        numbers, mean_s = self._chaos.of("halt"), self._chaos.settings.halt_for_s
        self._exchange.change(instrument.symbol, {"status": numbers.choice(self._exchange.venue.halts)})
        self._halted[instrument.symbol] = now_ms + int(numbers.expovariate(1.0 / max(mean_s, 0.001)) * 1000)
        self._chaos.count("halts")

    def fund(self, account: Account, instrument: Instrument, rate: Decimal) -> list[Payment]:
        """A moment of funding: who is long pays so much of the position's value at the mark, who is short is paid."""
        exchange, wallet = self._exchange, account.wallet(instrument)
        tick = exchange.feeds[instrument.number].mark_tick()
        found: list[Payment] = []
        for position in list(account.positions.values()):
            if position.instrument is not instrument or not position.lots:
                continue
            value = instrument.money(instrument.worth(tick, abs(position.lots)))
            paid = int((rate * value).to_integral_value()) * (1 if position.lots > 0 else -1)
            wallet.balance -= paid
            number, now_ms = len(account.payments) + 1, exchange.clock.server_ms()
            payment = Payment(number, instrument, position.lots, tick, f"{rate:f}", -paid, now_ms)
            account.payments.append(payment)
            exchange.venue.on_funding(account, payment)
            found.append(payment)
        return found

    def close_by_hand(self, account: Account, instrument: Instrument, share: float = 1.0) -> Order | None:
        """The account's owner closes a part of its position in an instrument at the market."""
        name = f"web_{self._exchange.clock.server_ms()}_{len(account.orders)}"
        try:
            order = self._exchange.matching.close_by_hand(account, instrument, name, share)
        except RefusedError:
            return None
        if order is not None:
            self._chaos.count("closed by hand")
        return order
