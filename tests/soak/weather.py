"""What goes wrong in a seed: how the exchange misbehaves, and which mishaps there are."""

import random
from collections.abc import Collection
from typing import Any

from sim.exchange.rules.chaos import ChaosSection
from tests.soak.venues.product import SoakProduct

ALWAYS = ("weather", "tears", "kills", "bots' kills", "by hand")
"""What belongs to each seed."""
SOME = (
    "self-trades",
    "forced closes",
    "refusals",
    "outages",
    "clock",
    "suspensions",
    "steps",
    "filters",
    "halts",
    "listings",
)
"""Of these each seed has some."""
FAST = ALWAYS + SOME


def chosen(
    rng: random.Random, only: Collection[str] = (), leaves_out: frozenset[str] = frozenset()
) -> frozenset[str]:
    """The mishaps of a seed, but for those that the exchange leaves out; those of `only`, if there are any."""
    some = rng.sample(SOME, 3)
    return (frozenset(only) if only else frozenset((*ALWAYS, *some))) - leaves_out


def weather(seed: int, rng: random.Random, mishaps: frozenset[str]) -> ChaosSection:
    """How this seed's exchange misbehaves: each mishap not at all, a little, or a lot."""
    shares = {
        "reply_lost": 0.02,
        "reply_late": 0.3,
        "reply_doubled": 0.03,
        "event_lost": 0.005,
        "event_late": 0.3,
        "event_doubled": 0.1,
        "event_shuffled": 0.1,
        "busy_unknown": 0.02,
        "busy_failed": 0.02,
        "throttled": 0.02,
        "timeout_unknown": 0.02,
        "too_many_orders": 0.01,
        "too_many_requests": 0.005,
        "young_unseen": 0.5,
    }
    picked = {name: share * rng.choice((0.0, 0.3, 1.0, 1.0)) for name, share in shares.items()}
    late_ms, key_s = rng.choice((20.0, 100.0, 500.0, 2000.0)), rng.choice((0.0, 7.0))
    means = {"outages": ("outage_s", 4.0), "forced closes": ("forced_s", 5.0), "by hand": ("by_hand_s", 5.0)}
    means |= {"steps": ("steps_s", 4.0), "halts": ("halt_s", 2.5)}
    settings: dict[str, Any] = picked if "weather" in mishaps else {}
    settings |= {key: mean_s for name, (key, mean_s) in means.items() if name in mishaps}
    return ChaosSection(
        seed=seed,
        late_ms=late_ms,
        listen_key_s=key_s if "weather" in mishaps else 0.0,
        inside_snapshot=0.0,
        outage_for_s=2.0,
        halt_for_s=2.0,
        **settings,
    )


def refusal(rng: random.Random, product: SoakProduct) -> dict[str, object]:
    """A rule by which the exchange refuses some orders for a while."""
    one = rng.choice(product.refusals)
    return {
        "path": rng.choice(product.places),
        "code": one.code,
        "msg": one.msg,
        "status": one.status,
        "params": one.params,
        "seconds": rng.choice((0.2, 1.0, 4.0)),
        "share": rng.choice((0.3, 1.0)),
    }


def weather_of_processes(seed: int, rng: random.Random) -> ChaosSection:
    """The same for real sockets, market data included."""

    def share(most: float) -> float:
        return most * rng.choice((0.0, 0.3, 1.0))

    return ChaosSection(
        seed=seed,
        reply_lost=share(0.02),
        reply_late=share(0.3),
        reply_doubled=share(0.03),
        event_lost=share(0.005),
        event_late=share(0.3),
        event_doubled=share(0.1),
        event_shuffled=share(0.1),
        late_ms=rng.choice((20.0, 100.0, 600.0)),
        busy_unknown=share(0.02),
        busy_failed=share(0.02),
        throttled=share(0.02),
        timeout_unknown=share(0.02),
        young_unseen=share(0.4),
        feed_gap=share(0.002),
        stale_snapshot=share(0.2),
        inside_snapshot=0.3,
        refused_connection=share(0.1),
        tear_s=rng.choice((0.0, 4.0)),
        close_s=rng.choice((0.0, 5.0)),
        stall_s=rng.choice((0.0, 3.0)),
        stall_ms=200.0,
        listen_key_s=rng.choice((0.0, 5.0)),
        clock_step_s=rng.choice((0.0, 3.0)),
        clock_step_ms=200.0,
        outage_s=rng.choice((0.0, 4.0)),
        outage_for_s=1.0,
        silence_s=rng.choice((0.0, 5.0)),
        silence_for_s=2.0,
    )
