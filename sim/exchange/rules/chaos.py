"""Bad luck out of a seed: what `[chaos]` says, and the numbers that it comes from.

Each kind of mishap has its own numbers, so that one more of this kind does not change when the next of that kind
comes.
"""

import random
from typing import Annotated, Final

import msgspec

from hftd.config import Section

_MS: Final = 1_000_000
_Share = Annotated[float, msgspec.Meta(ge=0, le=1)]
_Seconds = Annotated[float, msgspec.Meta(ge=0)]
_Ms = Annotated[float, msgspec.Meta(ge=0, le=600_000)]


class ChaosSection(Section, frozen=True):
    """Shares are of the requests, replies, events or messages concerned; seconds are means, 0 is never.

    Attributes:
        seed: Another one gives another run of bad luck.
        reply_lost: Requests that are processed and not answered.
        reply_late: Replies that take up to `late_ms` longer, and so come in another order.
        reply_doubled: Replies of the WebSocket API that come twice.
        event_lost: User events that never come.
        event_late: User events that take up to `late_ms` longer; those of one kind stay in their order.
        event_doubled: User events that come twice.
        event_shuffled: User events that come in another order, those of one kind too.
        late_ms: How much longer.
        busy_unknown: 503 "Unknown error": half of them were processed.
        busy_failed: 503 "Service Unavailable.": not processed.
        throttled: -1008: not processed; those that only reduce are exempt.
        timeout_unknown: -1007: half of them were processed.
        too_many_orders: -1015, with 429.
        too_many_requests: -1003, with 429 and Retry-After.
        ban: 418.
        ban_s: How long that ban is.
        feed_gap: Depth messages that are left out.
        feed_restart_s: Between restarts of an instrument's book, where that begins with a snapshot in the stream.
        feed_doubled: Feed messages that come twice.
        feed_late: Depth messages that are held back with all that follow on that connection, up to `late_ms`.
        unknown_level: Depth messages that delete a level which was never there.
        stale_snapshot: Depth snapshots that are seconds old.
        inside_snapshot: Depth snapshots whose id lies strictly inside the next event's ids.
        young_unseen: Queries that do not find orders which are younger than `late_ms`.
        silent_subscription: Subscriptions that are confirmed and send nothing.
        refused_connection: WebSocket handshakes that are answered with 503.
        close_s: Between closes of a connection, as after 24 h.
        tear_s: Between tears of a connection, in the middle of a frame.
        stall_s: Between moments at which a connection sends nothing for `stall_ms`.
        stall_ms: How long.
        listen_key_s: Between expiries of a listen key.
        clock_step_s: Between steps of the exchange's clock.
        clock_step_ms: How far it steps at most, to either side of the right time.
        outage_s: Between outages of one endpoint: errors, a gateway's page, slow, old or no answers.
        outage_for_s: How long one is.
        silence_s: Between silences of one stream, or of all of one instrument, while the connection lives.
        silence_for_s: How long one is.
        steps_s: Between changes of an instrument's steps, on the grid of its market.
        halt_s: Between statuses in which an instrument does not take all orders.
        halt_for_s: How long one is.
        forced_s: Between liquidations and auto-deleveragings, each of a part of a position.
        by_hand_s: Between closes of a part of a position by the account's owner.
        shared_s: Between requests of another client on the same address.
        shared_weight: What those weigh at most.
    """

    seed: int = 0
    reply_lost: _Share = 0.0
    reply_late: _Share = 0.0
    reply_doubled: _Share = 0.0
    event_lost: _Share = 0.0
    event_late: _Share = 0.0
    event_doubled: _Share = 0.0
    event_shuffled: _Share = 0.0
    late_ms: _Ms = 200.0
    busy_unknown: _Share = 0.0
    busy_failed: _Share = 0.0
    throttled: _Share = 0.0
    timeout_unknown: _Share = 0.0
    too_many_orders: _Share = 0.0
    too_many_requests: _Share = 0.0
    ban: _Share = 0.0
    ban_s: _Seconds = 2.0
    feed_gap: _Share = 0.0
    feed_restart_s: _Seconds = 0.0
    feed_doubled: _Share = 0.0
    feed_late: _Share = 0.0
    unknown_level: _Share = 0.0
    stale_snapshot: _Share = 0.0
    inside_snapshot: _Share = 0.3
    young_unseen: _Share = 0.0
    silent_subscription: _Share = 0.0
    refused_connection: _Share = 0.0
    close_s: _Seconds = 0.0
    tear_s: _Seconds = 0.0
    stall_s: _Seconds = 0.0
    stall_ms: _Ms = 500.0
    listen_key_s: _Seconds = 0.0
    clock_step_s: _Seconds = 0.0
    clock_step_ms: _Ms = 0.0
    outage_s: _Seconds = 0.0
    outage_for_s: _Seconds = 5.0
    silence_s: _Seconds = 0.0
    silence_for_s: _Seconds = 10.0
    steps_s: _Seconds = 0.0
    halt_s: _Seconds = 0.0
    halt_for_s: _Seconds = 5.0
    forced_s: _Seconds = 0.0
    by_hand_s: _Seconds = 0.0
    shared_s: _Seconds = 0.0
    shared_weight: Annotated[int, msgspec.Meta(ge=0)] = 100


def storm(seed: int) -> ChaosSection:
    """Everything at once, as `--chaos SEED` does it, but what changes instruments or an account's position."""
    return ChaosSection(
        seed=seed,
        reply_lost=0.01,
        reply_late=0.2,
        reply_doubled=0.01,
        event_lost=0.002,
        event_late=0.2,
        event_doubled=0.05,
        event_shuffled=0.02,
        late_ms=100.0,
        busy_unknown=0.01,
        busy_failed=0.01,
        throttled=0.01,
        timeout_unknown=0.01,
        too_many_orders=0.005,
        too_many_requests=0.002,
        ban=0.0002,
        ban_s=1.0,
        feed_gap=0.002,
        feed_restart_s=30.0,
        feed_doubled=0.002,
        feed_late=0.01,
        unknown_level=0.05,
        stale_snapshot=0.2,
        inside_snapshot=0.5,
        young_unseen=0.2,
        silent_subscription=0.02,
        refused_connection=0.05,
        close_s=20.0,
        tear_s=30.0,
        stall_s=15.0,
        stall_ms=300.0,
        listen_key_s=30.0,
        clock_step_s=10.0,
        clock_step_ms=300.0,
        outage_s=30.0,
        outage_for_s=3.0,
        silence_s=30.0,
        silence_for_s=3.0,
        shared_s=5.0,
    )


class Chaos:
    """Says when the exchange misbehaves, and how.

    Args:
        settings: How often; may be replaced while it runs.
    """

    def __init__(self, settings: ChaosSection) -> None:
        self.settings = settings
        self.counters: dict[str, int] = {}
        self._random: dict[str, random.Random] = {}
        self._due_ms: dict[str, int] = {}

    def set(self, settings: ChaosSection) -> None:
        """Other settings, from now on."""
        if settings.seed != self.settings.seed:
            self._random.clear()
        self._due_ms.clear()
        self.settings = settings

    def of(self, name: str) -> random.Random:
        """The numbers of a kind of mishap."""
        found = self._random.get(name)
        if found is None:
            found = self._random[name] = random.Random(f"{self.settings.seed}/{name}")  # noqa: S311 - it must repeat
        return found

    def strikes(self, name: str) -> bool:
        """Whether a mishap of a kind (the name of its share) happens now; counted."""
        share: float = getattr(self.settings, name)
        if share <= 0.0 or self.of(name).random() >= share:
            return False
        self.count(name)
        return True

    def count(self, name: str) -> None:
        """A mishap happened."""
        self.counters[name] = self.counters.get(name, 0) + 1

    def half(self, name: str) -> bool:
        """One of two cases."""
        return self.of(f"{name}/half").random() < 0.5

    def late_ns(self, name: str) -> int:
        """How much later something comes, when it comes late; 0 if it does not."""
        if not self.strikes(name):
            return 0
        return int(self.of(f"{name}/ns").random() * self.settings.late_ms * _MS)

    def is_due(self, name: str, now_ms: int) -> bool:
        """Whether something that comes now and then (the name of its mean in seconds) comes now."""
        mean_s: float = getattr(self.settings, name)
        if mean_s <= 0.0:
            self._due_ms.pop(name, None)
            return False
        due_ms = self._due_ms.get(name)
        if due_ms is not None and now_ms < due_ms:
            return False
        self._due_ms[name] = now_ms + max(int(self.next_s(name) * 1000), 1)
        # The first look only says when.
        return due_ms is not None

    def next_s(self, name: str) -> float:
        """Until the next mishap of a kind that comes now and then (the name of its mean in seconds); 0: never."""
        mean_s: float = getattr(self.settings, name)
        return self.of(name).expovariate(1.0 / mean_s) if mean_s > 0.0 else 0.0
