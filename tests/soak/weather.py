"""How the exchange misbehaves, by a seed."""

import random

from sim.exchange.chaos_config import ChaosSection


def weather(seed: int, rng: random.Random) -> ChaosSection:
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
    chosen = {name: share * rng.choice((0.0, 0.3, 1.0, 1.0)) for name, share in shares.items()}
    return ChaosSection(
        seed=seed,
        late_ms=rng.choice((20.0, 100.0, 500.0, 2000.0)),
        listen_key_s=rng.choice((0.0, 15.0)),
        inside_snapshot=0.0,
        **chosen,
    )


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
    )
