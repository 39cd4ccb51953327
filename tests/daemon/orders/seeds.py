"""Random worlds by seed: the rules of `test_interleavings`, drawn with weights that make long, busy runs.

`python -m tests.daemon.orders.seeds FIRST LAST` runs a range and prints the shortest that fails; a seed repeats.
"""

import random
import sys
import tempfile
from pathlib import Path
from typing import Any

from hftd.constants import FOK, GTC, GTX, IOC, LIMIT, MARKET
from tests.daemon.orders.test_interleavings import BOTS, Interleavings, PowerLosses
from tests.daemon.orders.world import MS, SECOND, World

KINDS = [(LIMIT, GTC), (LIMIT, GTC), (LIMIT, GTX), (LIMIT, IOC), (LIMIT, FOK), (MARKET, IOC)]
PAUSES_NS = [0, 1, MS // 2, MS, MS, 300 * MS, SECOND, 3 * SECOND, 6 * SECOND, 11 * SECOND]
WEIGHTS = {
    "submit": 14,
    "modify": 5,
    "cancel": 6,
    "bot_restarts": 1,
    "arrive": 15,
    "lose_request": 2,
    "reply": 10,
    "event": 14,
    "lose_event": 2,
    "fill": 8,
    "somebody_cancels": 1,
    "time_passes": 8,
    "ask_exchange": 3,
    "answer": 3,
    "connection": 2,
    "halt": 0.3,
    "kill": 1.5,
    "kill_while_sending": 1,
    "lose_power": 1,
}


def _arguments(name: str, r: random.Random) -> dict[str, Any]:
    bot, order_id, i = r.choice(BOTS), r.randint(1, 4), r.randint(0, 5)
    lots, tick = r.randint(1, 5), r.randint(1000, 1003)
    drawn: dict[str, dict[str, Any]] = {
        "submit": {"bot": bot, "order_id": order_id, "side": r.choice([1, -1]), "lots": lots, "tick": tick}
        | {"kind": r.choice(KINDS)},
        "modify": {"bot": bot, "order_id": order_id, "lots": lots, "tick": tick},
        "cancel": {"bot": bot, "order_id": order_id},
        "bot_restarts": {"bot": bot},
        "arrive": {"i": i, "crosses": r.random() < 0.3, "take": r.randint(0, 5)}
        | {"reply": r.choice(["given", "given", "given", "unknown", "lost"])},
        "lose_request": {"i": i, "is_said": r.random() < 0.5},
        "event": {"i": i, "keep": r.random() < 0.2},
        "fill": {"i": i, "lots": lots},
        "time_passes": {"ns": r.choice(PAUSES_NS)},
        "connection": {"is_up": r.random() < 0.6},
        "lose_power": {"torn_bytes": r.randint(1, 900)},
    }
    needs_one = ("reply", "lose_event", "somebody_cancels", "answer")
    return drawn.get(name, {"i": i} if name in needs_one else {})


def run(
    seed: int,
    steps: int,
    loses_power: bool,
    trace: list[object] | None = None,
    world_type: type[World] = World,
) -> None:
    """One world.

    Raises:
        AssertionError: In the end, something does not agree.
    """
    r = random.Random(seed)
    names = [name for name in WEIGHTS if loses_power or name != "lose_power"]
    weights = [WEIGHTS[name] for name in names]
    with tempfile.TemporaryDirectory() as folder:
        machine: Any = (PowerLosses if loses_power else Interleavings).__new__(
            PowerLosses if loses_power else Interleavings
        )
        machine.world = world = world_type(Path(folder), names_executions=loses_power, bots=BOTS)
        machine.was_torn = False
        needs = {
            "arrive": lambda: world.requests,
            "lose_request": lambda: world.requests,
            "reply": lambda: world.replies,
            "event": lambda: world.exchange.events,
            "lose_event": lambda: world.exchange.events,
            "fill": world.exchange.open_orders,
            "somebody_cancels": world.exchange.open_orders,
            "answer": lambda: world.snapshots,
        }
        try:
            for _ in range(r.randint(1, steps)):
                name = r.choices(names, weights)[0]
                arguments = _arguments(name, r)
                if name in needs and not needs[name]():
                    continue
                if trace is not None:
                    trace.append((name, arguments))
                getattr(machine, name)(**arguments)
            machine.end()
        finally:
            world.manager.store.journal.close()  # type: ignore[union-attr]


def main(first: int, last: int, steps: int, loses_power: bool, world_type: type[World] = World) -> None:
    bad: list[tuple[int, int, list[object], BaseException]] = []
    for seed in range(first, last):
        trace: list[object] = []
        try:
            run(seed, steps, loses_power, trace, world_type)
        except Exception as error:
            bad.append((len(trace), seed, trace, error))
    print(f"{len(bad)} of {last - first} seeds fail")
    if bad:
        _, seed, trace, error = min(bad, key=lambda one: one[:2])
        print(f"seed {seed}:", *trace, sep="\n  ")
        raise error


if __name__ == "__main__":
    import structlog

    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(50))
    main(int(sys.argv[1]), int(sys.argv[2]), int([*sys.argv, "80"][3]), "power" in sys.argv)
