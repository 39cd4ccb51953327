"""Judges from outside: `python -m benchmarks.judges [--json | --markdown] [--orders 1000]`.

Two packages that keep exact queues, by people who do not know this project: queuetruth and mbo-queue (group `judges`;
nothing is installed by itself). Their synthetic days and their shadow orders are played here:

- level 3 against their exact replays: filled quantity and time of the first fill of each order;
- models of level 2 against queuetruth's port of the reference's, and against mbo-queue's estimators, order by order;
- how far each model of level 2 is from the exact queues;
- queuetruth's referee cases.

It takes about three minutes. What the tables say and why the sides differ where they do: docs/fidelity.md.
"""

# pyright: basic

import argparse
import json
import sys
import tempfile
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.judged import LEVEL_3, Model, Order, Outcome, Record, level_rows, level_view, order_rows, play
from benchmarks.table import Row, conditions, machine, markdown_table, text_table

PACKAGES = ("queuetruth", "mbo-queue")
SECOND_NS = 1_000_000_000
HORIZONS_S = (1, 10, 60)

# Ours, by the name of queuetruth's port of the reference's.
QUEUETRUTH: dict[str, Model] = {
    "hbt_risk_adverse": lambda asset: asset.risk_adverse_queue_model(),
    "hbt_power[n=3]": lambda asset: asset.power_prob_queue_model(3),
    "hbt_power2[n=3]": lambda asset: asset.power_prob_queue_model2(3),
    "hbt_power3[n=3]": lambda asset: asset.power_prob_queue_model3(3),
    "hbt_log": lambda asset: asset.log_prob_queue_model(),
    "hbt_log2": lambda asset: asset.log_prob_queue_model2(),
    "front_of_queue": lambda asset: asset.front_queue_model(),
    "trade_through_only": lambda asset: asset.through_queue_model(),
}
# Ours, by the name of mbo-queue's estimator, in its order. Its last one, by which whatever goes away stood ahead, is a
# model of nobody else's.
MBO_QUEUE: dict[str, Model] = {
    "risk_averse": lambda asset: asset.risk_adverse_queue_model(),
    "prob_power1": lambda asset: asset.power_prob_queue_model(1),
    "prob_power2": lambda asset: asset.power_prob_queue_model(2),
    "prob_power3": lambda asset: asset.power_prob_queue_model(3),
    "prob_log": lambda asset: asset.log_prob_queue_model(),
}
# The example of mbo-queue's README, whose figures it publishes.
_EVENTS, _EXAMPLE_SEED, _EVERY_NS, _HORIZON_NS = 30_000, 1, 100_000_000, 60_000_000


def versions() -> dict[str, str]:
    """Of the judges.

    Raises:
        SystemExit: One is not installed.
    """
    try:
        return {name: version(name) for name in PACKAGES}
    except PackageNotFoundError as error:
        sys.exit(f"{error.name} is not installed: `pip install --group judges` brings the judges")


def _equal(ours: list[Outcome], theirs: list[Outcome]) -> int:
    return sum(one == other for one, other in zip(ours, theirs, strict=True))


def _percent(ours: list[bool], exact: list[bool]) -> float:
    """Percentage points of orders filled beyond the exact ones."""
    return 100.0 * (sum(ours) - sum(exact)) / max(len(exact), 1)


# --- queuetruth ---------------------------------------------------------------------------------------------------


def _table(path: Path) -> list[dict[str, Any]]:
    """Rows of a Parquet file as plain values: times in nanoseconds."""
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    table = pq.read_table(path, partitioning=None)
    for number, field in enumerate(table.schema):
        if pa.types.is_timestamp(field.type):
            table = table.set_column(number, field.name, pc.cast(table[field.name], pa.int64()))
    return table.to_pylist()


def _records(dataset: Path, instrument: int) -> list[Record]:
    rows = [
        row
        for path in sorted(dataset.glob(f"mbo/date=*/instrument_id={instrument}/*.parquet"))
        for row in _table(path)
    ]
    return [
        Record(
            row["ts_event"],
            chr(row["action"]),
            chr(row["side"]),
            row["price"],
            row["size"],
            row["order_id"],
            bool(row["flags"] & 128),
        )
        for row in rows
    ]


def _levels(replayed: Path, instrument: int) -> np.ndarray:
    """The judge's own view of levels, which its port of the models sees, too."""
    (path,) = replayed.glob(f"l2/date=*/instrument_id={instrument}/*.parquet")
    return level_view(_table(path))


def _order(row: dict[str, Any], *, post_only: bool) -> Order:
    until = row["ts_cancel_effective"]
    latency_ns = row["latency_applied_ns"]
    return Order(
        chr(row["side"]),
        row["price"],
        row["qty"],
        row["ts_submit"],
        until - latency_ns if until is not None else None,
        latency_ns,
        post_only,
    )


def _exact(row: dict[str, Any]) -> Outcome:
    return float(row["filled_qty"]), row["ts_first_fill"]


def queuetruth_day(folder: Path, orders: int, seed: int) -> dict[str, Any]:
    """A synthetic day of two instruments."""
    import queuetruth

    day, shadows, exact = folder / "day", folder / "shadows.parquet", folder / "exact"
    queuetruth.fixtures_synth(str(day), sessions=1)
    dataset = {"path": str(day)}
    drawn = {"dataset": dataset, "out": str(shadows), "n": orders, "seed": seed}
    queuetruth.sample_shadows(drawn | {"window_open_s": 60, "window_close_s": 60})
    given = {"dataset": dataset, "shadows": {"path": str(shadows)}, "l2": {"depth_levels": 0}}
    queuetruth.replay(given | {"out": str(exact), "bbo": "none", "trajectory": "none"})
    zoo = folder / "zoo"
    queuetruth.run_zoo(given | {"out": str(zoo), "models": list(QUEUETRUTH), "bootstrap_b": 1})

    rows = _table(exact / "shadow_results.parquet")
    instruments = sorted({row["instrument_id"] for row in rows})
    single = {one: order_rows(_records(day, one), requeues_unchanged=True) for one in instruments}
    levels = {one: _levels(exact, one) for one in instruments}
    sent = [(row["instrument_id"], _order(row, post_only=True)) for row in rows]
    truth = [_exact(row) for row in rows]

    def played(markets: dict[int, np.ndarray], model: Model) -> list[Outcome]:
        return [play(markets[one], 0.25, order, model) for one, order in sent]

    # Orders that a judge refuses, or whose queue a clear of the book ends, have no exact outcome.
    whole = [row["end_state"] in ("filled", "cancelled") for row in rows]
    fills: dict[str, dict[str, list[dict[str, Any]]]] = {}
    for fill in _table(zoo / "zoo_fills.parquet"):
        fills.setdefault(_plain(fill["model_id"]), {}).setdefault(fill["shadow_id"], []).append(fill)
    models: dict[str, Any] = {}
    for name, model in QUEUETRUTH.items():
        port = [_port(fills.get(name, {}).get(row["shadow_id"], [])) for row in rows]
        ours = played(levels, model)
        models[name] = {
            "equal": _equal(ours, port),
            "bias": {
                str(seconds): _percent(
                    [
                        _within(one, row, seconds)
                        for one, row, ok in zip(ours, rows, whole, strict=True)
                        if ok
                    ],
                    [
                        _within(one, row, seconds)
                        for one, row, ok in zip(truth, rows, whole, strict=True)
                        if ok
                    ],
                )
                for seconds in HORIZONS_S
            },
        }
    return {
        "orders": len(rows),
        "whole": sum(whole),
        "filled": sum(qty > 0 for qty, _ in truth),
        "level_3": _equal(played(single, LEVEL_3), truth),
        "models": models,
        "referee": _referee(folder / "referee"),
    }


def _plain(model_id: str) -> str:
    """`hbt_power[exch=partial;mode=faithful;n=3]` as it is asked for: `hbt_power[n=3]`."""
    name, _, inner = model_id.rstrip("]").partition("[")
    kept = [one for one in inner.split(";") if not one.startswith(("exch=", "mode="))]
    return f"{name}[{';'.join(kept)}]" if kept and kept != [""] else name


def _port(fills: list[dict[str, Any]]) -> Outcome:
    return sum(one["fill_qty"] for one in fills), min((one["ts_event"] for one in fills), default=None)


def _within(one: Outcome, row: dict[str, Any], seconds: int) -> bool:
    return one[1] is not None and one[1] - row["ts_live"] <= seconds * SECOND_NS


def _referee(folder: Path) -> list[dict[str, Any]]:
    """Each of queuetruth's cases of faults that simulators have had."""
    import queuetruth

    queuetruth.referee_fixtures(str(folder))
    found: list[dict[str, Any]] = []
    for case in sorted(path for path in folder.iterdir() if path.is_dir()):
        rows = _table(case / "expected_results.parquet")
        (tick_size,) = {one["tick_size"] for one in _table(case / "dataset" / "instruments.parquet")}
        ours: list[Outcome] = []
        for row in rows:
            records = _records(case / "dataset", row["instrument_id"])
            market = order_rows(records, requeues_unchanged=True)
            ours.append(play(market, tick_size * 1e-9, _order(row, post_only=False), LEVEL_3))
        exact = [_exact(row) for row in rows]
        found.append({"case": case.name, "ours": ours, "exact": exact, "equal": ours == exact})
    return found


# --- mbo-queue ------------------------------------------------------------------------------------------------------


def mbo_queue_days() -> dict[str, Any]:
    """The example that mbo-queue publishes figures of: one synthetic exchange, shadows of one lot at both bests."""
    from mboq import fast
    from mboq.synthetic import generate

    told, _, _, exchange = generate(n_events=_EVENTS, seed=_EXAMPLE_SEED, cancel_mode="volume", p_modify=0.0)
    records = [
        Record(ts, action.decode(), side.decode(), price, size, order_id, bool(flags & 128))
        for ts, order_id, price, size, flags, action, side in zip(
            *(
                told[name].tolist()
                for name in ("ts_event", "order_id", "price", "size", "flags", "action", "side")
            ),
            strict=True,
        )
    ]
    times = told["ts_event"].astype(np.int64)
    placed = np.arange(times[200], times[-1] - 120_000_000, _EVERY_NS)
    asked = {"tick": exchange.tick, "place_times": placed, "horizon_ns": _HORIZON_NS}
    # Whole lots, as the reference has them; its published figures have any part of a lot.
    judged = fast.run(told, **asked, fill_lot_rounding=True)["shadows"]
    published = fast.run(told, **asked)["shadows"]
    single, levels = order_rows(records, requeues_unchanged=False), level_rows(records)
    # A shadow of the judge's ends with the first event at its horizon or behind it, which still counts.
    ends = times[np.searchsorted(times, judged["t_place"] + _HORIZON_NS)]
    sent = [
        Order("B" if side > 0 else "A", price, 1, ts, until)
        for side, price, ts, until in zip(
            judged["side"].tolist(),
            judged["price"].tolist(),
            judged["t_place"].tolist(),
            ends.tolist(),
            strict=True,
        )
    ]
    tick_size = exchange.tick * 1e-9

    def theirs(filled: Any, at: Any) -> list[Outcome]:
        return [
            (float(done), ts if done else None) for done, ts in zip(filled.tolist(), at.tolist(), strict=True)
        ]

    truth = theirs(judged["true_filled"], judged["true_t_fill"])
    exact = [qty > 0 for qty, _ in truth]
    models: dict[str, Any] = {}
    for number, (name, model) in enumerate(MBO_QUEUE.items()):
        estimated = theirs(judged["est_filled"][:, number], judged["est_t_fill"][:, number])
        ours = [play(levels, tick_size, order, model) for order in sent]
        models[name] = {
            "equal": _equal(ours, estimated),
            "bias": _percent([qty > 0 for qty, _ in ours], exact),
            "their_bias": _percent([qty > 0 for qty, _ in estimated], exact),
            "published_bias": _percent([*(published["est_filled"][:, number] > 0)], exact),
        }
    level_3 = [play(single, tick_size, order, LEVEL_3) for order in sent]
    return {"orders": len(sent), "filled": sum(exact), "level_3": _equal(level_3, truth), "models": models}


# --- Figures ----------------------------------------------------------------------------------------------------------


def measure(orders: int, seed: int) -> dict[str, Any]:
    """All figures."""
    figures: dict[str, Any] = {"versions": versions(), "seed": seed, "machine": machine()}
    with tempfile.TemporaryDirectory(prefix="hftd-judges-") as temporary:
        figures["queuetruth"] = queuetruth_day(Path(temporary), orders, seed)
    figures["mbo_queue"] = mbo_queue_days()
    figures["machine"]["load_1_min_after"] = machine()["load_1_min"]
    return figures


def notes(figures: dict[str, Any]) -> list[str]:
    """What is told above the tables."""
    told = ", ".join(f"{name} {number}" for name, number in figures["versions"].items())
    return [f"{told}; seed {figures['seed']}", conditions(figures["machine"])]


def tables(figures: dict[str, Any]) -> list[tuple[str, Row, list[Row]]]:
    """Title, heading and rows of each."""
    day, days = figures["queuetruth"], figures["mbo_queue"]
    level_3: list[Row] = [
        [name, str(one["orders"]), str(one["filled"]), f"{one['level_3']} of {one['orders']}"]
        for name, one in (("queuetruth", day), ("mbo-queue", days))
    ]
    ports: list[Row] = [
        [name, f"{one['equal']} of {day['orders']}", *(f"{value:+.2f}" for value in one["bias"].values())]
        for name, one in day["models"].items()
    ]
    estimators: list[Row] = [
        [
            name,
            f"{one['equal']} of {days['orders']}",
            *(f"{one[bias]:+.2f}" for bias in ("bias", "their_bias", "published_bias")),
        ]
        for name, one in days["models"].items()
    ]
    cases: list[Row] = [
        [one["case"], "yes" if one["equal"] else "no", _told(one["ours"]), _told(one["exact"])]
        for one in day["referee"]
    ]
    return [
        (
            "Level 3: filled quantity and time of the first fill equal the exact replay's",
            ["judge", "orders", "filled", "equal"],
            level_3,
        ),
        (
            f"Level 2 on queuetruth's day: equal its port; points of orders filled beyond the exact, of {day['whole']}",
            ["model", "equal", *(f"within {seconds} s" for seconds in HORIZONS_S)],
            ports,
        ),
        (
            "Level 2 on mbo-queue's example: equal its estimator; points of orders filled beyond the exact",
            ["estimator", "equal", "ours", "its own, whole lots", "its own, as published"],
            estimators,
        ),
        ("queuetruth's referee cases, level 3", ["case", "equal", "filled here", "exact"], cases),
    ]


def _told(outcomes: list[Outcome]) -> str:
    return ", ".join(f"{qty:g}" for qty, _ in outcomes)


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.judges", description=__doc__.splitlines()[0])
    parser.add_argument("--orders", type=int, default=1000, help="shadow orders on queuetruth's day (1000)")
    parser.add_argument("--seed", type=int, default=0, help="of their choice (0)")
    parser.add_argument("--json", action="store_true", help="the figures, for programs")
    parser.add_argument("--markdown", action="store_true", help="the tables, for a page")
    given = parser.parse_args()
    versions()
    figures = measure(given.orders, given.seed)
    if given.json:
        print(json.dumps(figures))
        return
    print("\n".join(f"{note}  " for note in notes(figures)))
    for title, header, rows in tables(figures):
        drawn = markdown_table(header, rows) if given.markdown else text_table(header, rows)
        print(f"\n{title}\n\n{drawn}")


if __name__ == "__main__":
    main()
