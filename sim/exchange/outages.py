"""Endpoints that fail while the others work: errors, pages of a gateway, answers that are slow, old or lost."""

import fnmatch
from collections.abc import Sequence
from typing import Annotated, Any, Final, Literal

import msgspec

from sim.exchange.chaos import Chaos
from sim.exchange.refusals import RefusedError, Why

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
