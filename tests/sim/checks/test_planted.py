"""A sound archive with one fault in it: the check finds that fault at its row, and nothing else."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hftd.types import BUY_EVENT, DEPTH_EVENT, EXCH_EVENT, LOCAL_EVENT, SELL_EVENT, TRADE_EVENT
from sim.archive import write_events
from sim.checks import Limits, validate

from .market import LOT_SIZE, TICK_SIZE, changed, inserted, kinds, like, message_starts, sound_rows

LIMITS = Limits(tick_size=TICK_SIZE, lot_size=LOT_SIZE)
NO_SIDES = ~np.uint64(BUY_EVENT | SELL_EVENT)
S = 1_000_000_000

seeds = st.integers(0, 10_000)


def checked(folder, rows, limits=LIMITS):
    path = folder / "day.npz"
    write_events(path, rows, level=0)
    return validate([path], limits=limits)


def a_trade(rows, pick):
    # Not the last row, so that something comes behind it.
    numbers = np.flatnonzero(kinds(rows) == TRADE_EVENT)[:-1]
    return int(numbers[pick % len(numbers)])


def inside_a_message(rows, pick):
    """A depth row that is neither its message's first nor its last."""
    same = (np.diff(rows["local_ts"])[:-1] == 0) & (np.diff(rows["local_ts"])[1:] == 0)
    numbers = np.flatnonzero(same & (kinds(rows)[1:-1] == DEPTH_EVENT)) + 1
    return int(numbers[pick % len(numbers)])


def a_start(rows, pick):
    numbers = message_starts(rows)
    return int(numbers[pick % len(numbers)])


def best(rows, upto, side):
    """The best price of a side before a row."""
    levels = {}
    for row in rows[:upto]:
        kind = int(row["ev"]) & 0xFF
        if kind in (1, 4) and int(row["ev"]) & side:
            levels[float(row["px"])] = float(row["qty"])
    prices = [px for px, qty in levels.items() if qty > 0]
    return max(prices) if side == BUY_EVENT else min(prices)


# Each takes sound rows and a number to choose a place with, and gives rows with one fault and the fault's row.


def of_trade(**fields):
    def plant(rows, pick):
        number = a_trade(rows, pick)
        return changed(rows, number, **fields), number

    return plant


def trade_flags(change):
    def plant(rows, pick):
        number = a_trade(rows, pick)
        return changed(rows, number, ev=change(rows["ev"][number])), number

    return plant


def trade_moved(name, by):
    def plant(rows, pick):
        number = a_trade(rows, pick)
        return changed(rows, number, **{name: rows[name][number] + by}), number

    return plant


def early(name):
    def plant(rows, pick):
        number = inside_a_message(rows, pick)
        return changed(rows, number, **{name: rows[name][number] - 1}), number

    return plant


def negative_latency(rows, pick):
    number = len(rows) - 1
    return changed(rows, number, exch_ts=rows["local_ts"][number] + 1000), number


def jump(rows, pick):
    number = a_start(rows, pick)
    before = rows[number - 1]
    late = like(before, ev=LOCAL_EVENT | 101, exch_ts=before["exch_ts"] + 8 * 3600 * S)
    return inserted(rows, number, late), number


def gap(rows, pick):
    number = a_start(rows, pick)
    made = rows.copy()
    for name in ("exch_ts", "local_ts"):
        made[name][number:] += 60 * S
    return made, number


def depth_gap(rows, pick):
    # One that depth comes after.
    last = int(np.flatnonzero(np.isin(kinds(rows), (1, 4)))[-1])
    number = a_trade(rows[:last], pick)
    made = rows.copy()
    for name in ("exch_ts", "local_ts"):
        made[name][number:] += 60 * S
    trades = [
        like(
            rows[number],
            qty=round(0.001 * (k + 1), 3),
            exch_ts=rows["exch_ts"][number] + k * S,
            local_ts=rows["local_ts"][number] + k * S,
        )
        for k in range(60)
    ]
    made = inserted(made, number, *trades)
    behind = np.flatnonzero(np.isin(kinds(made), (1, 4)))
    return made, int(behind[behind > number][0])


def with_sequence(rows):
    made = rows.copy()
    depth = kinds(rows) == DEPTH_EVENT
    starts = np.concatenate(([True], np.diff(rows["local_ts"]) != 0))
    made["ival"][depth] = (1000 + np.cumsum(starts & depth))[depth]
    return made


def sequence_gap(rows, pick):
    made = with_sequence(rows)
    numbers = np.flatnonzero(np.diff(made["ival"] * (kinds(rows) == DEPTH_EVENT)) > 0) + 1
    number = int(numbers[1 + pick % (len(numbers) - 1)])
    behind = (kinds(rows) == DEPTH_EVENT) & (np.arange(len(rows)) >= number)
    made["ival"][behind] += 5
    return made, number


def sequence_back(rows, pick):
    made = with_sequence(rows)
    numbers = np.flatnonzero(kinds(rows) == DEPTH_EVENT)
    number = int(numbers[len(numbers) // 2 + pick % (len(numbers) // 2)])
    made["ival"][number] -= 3
    return made, number


def crossing(beyond):
    def plant(rows, pick):
        number = a_start(rows, pick)
        before = rows[number - 1]
        px = round(best(rows, number, SELL_EVENT) + beyond * TICK_SIZE, 1)
        ev = EXCH_EVENT | LOCAL_EVENT | BUY_EVENT | DEPTH_EVENT
        times = [{"exch_ts": before["exch_ts"] + k, "local_ts": before["local_ts"] + k} for k in (1, 2)]
        comes = like(before, ev=ev, px=px, qty=1.0, **times[0])
        goes = like(before, ev=ev, px=px, qty=0.0, **times[1])
        return inserted(rows, number, comes, goes), number

    return plant


def trade_again(rows, pick):
    first = a_trade(rows, pick)
    later = next(n for n in np.flatnonzero(kinds(rows) == TRADE_EVENT).tolist() if n > first)
    local_ts = rows["local_ts"][later] + 1
    ev = rows["ev"][first] & ~np.uint64(EXCH_EVENT | LOCAL_EVENT)
    made = inserted(rows, later + 1, like(rows[first], ev=ev | np.uint64(LOCAL_EVENT), local_ts=local_ts))
    made = inserted(made, first + 1, like(rows[first], ev=ev | np.uint64(EXCH_EVENT), local_ts=local_ts))
    return made, later + 2


def trade_doubled(rows, pick):
    number = a_trade(rows, pick)
    return inserted(rows, number + 1, rows[number]), number + 1


def not_positive(rows, pick):
    number = a_start(rows, pick)
    ev = EXCH_EVENT | LOCAL_EVENT | BUY_EVENT | DEPTH_EVENT
    return inserted(rows, number, like(rows[number - 1], ev=ev, px=0.0, qty=1.0)), number


FAULTS = {
    "exch_order": early("exch_ts"),
    "local_order": early("local_ts"),
    "no_flag": trade_flags(lambda ev: ev & ~np.uint64(EXCH_EVENT | LOCAL_EVENT)),
    "no_time": of_trade(exch_ts=1 << 62),
    "price": of_trade(px=math.nan),
    "qty": of_trade(qty=math.inf),
    "negative_qty": of_trade(qty=-0.001),
    "off_tick": trade_moved("px", 0.03),
    "off_lot": trade_moved("qty", 0.0004),
    "unknown_kind": trade_flags(lambda ev: (ev & ~np.uint64(0xFF)) | np.uint64(7)),
    "unknown_flags": trade_flags(lambda ev: ev | np.uint64(1 << 20)),
    "no_side": trade_flags(lambda ev: ev & NO_SIDES),
    "jump": jump,
    "negative_latency": negative_latency,
    "gap": gap,
    "depth_gap": depth_gap,
    "sequence_gap": sequence_gap,
    "sequence_back": sequence_back,
    "crossed": crossing(1),
    "locked": crossing(0),
    "trade_again": trade_again,
    "trade_doubled": trade_doubled,
    "trade_far": trade_moved("px", 1000.0),
    "lone_half": trade_flags(lambda ev: ev & ~np.uint64(LOCAL_EVENT)),
    "not_positive": not_positive,
    "zero_trade": of_trade(qty=0.0),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("planted")


@settings(deadline=None, max_examples=25)
@given(seeds)
def test_a_sound_archive_has_no_problems(folder, seed):
    report = checked(folder, sound_rows(seed))
    assert (report.problems, report.exit_code) == ([], 0)


@pytest.mark.parametrize("name", list(FAULTS))
@settings(deadline=None, max_examples=15)
@given(seed=seeds, pick=st.integers(0, 1000))
def test_a_fault_is_found_at_its_row_and_only_that(folder, name, seed, pick):
    rows, number = FAULTS[name](sound_rows(seed), pick)
    report = checked(folder, rows)
    # A trade that comes again may meet a book that has gone on.
    others = {"trade_behind"} if name == "trade_again" else set()
    assert [problem.name for problem in report.problems if problem.name not in others] == [name]
    problem = report.problem(name)
    assert problem is not None
    assert (problem.count, [place.row for place in problem.first]) == (1, [number])
    assert report.exit_code == (0 if problem.severity == "note" else 1)
    place = problem.first[0]
    assert place.local_ts == rows["local_ts"][number]
    assert place.ev == int(rows["ev"][number])


@settings(deadline=None, max_examples=15)
@given(seed=seeds, pick=st.integers(0, 1000))
def test_a_trade_on_the_wrong_side_of_the_book_is_a_note(folder, seed, pick):
    rows = sound_rows(seed)
    number = a_trade(rows, pick)
    side = BUY_EVENT if int(rows["ev"][number]) & BUY_EVENT else SELL_EVENT
    rows["px"][number] = best(rows, number, side)
    report = checked(folder, rows)
    assert [(problem.name, problem.first[0].row) for problem in report.problems] == [("trade_behind", number)]
    assert report.trades.behind == 1


def test_how_long_a_book_was_crossed_is_said(folder):
    rows, number = crossing(1)(sound_rows(5), 17)
    rows["exch_ts"][number + 1 :] += 7_000_000
    rows["local_ts"][number + 1 :] += 7_000_000
    (problem,) = checked(folder, rows).problems
    assert (problem.name, problem.count, problem.total, problem.most) == ("crossed", 1, 7_000_001, 7_000_001)
    assert problem.first[0].amount == 7_000_001


def test_a_book_that_stays_crossed_is_so_to_the_end(folder):
    rows, number = crossing(1)(sound_rows(5), -1)
    rows = np.delete(rows, number + 1)
    report = checked(folder, rows)
    problem = report.problem("crossed")
    assert problem is not None
    assert problem.total == rows["local_ts"][-1] - rows["local_ts"][number]


def test_microseconds_are_told_from_nanoseconds(folder):
    rows = sound_rows(3)
    for name in ("exch_ts", "local_ts"):
        rows[name] //= 1000
    assert checked(folder, rows).count("time_unit") == len(rows)


def test_of_many_rows_the_first_are_kept_and_all_are_counted(folder):
    rows = sound_rows(4)
    trades = np.flatnonzero(kinds(rows) == TRADE_EVENT)
    rows["px"][trades] = math.nan
    problem = checked(folder, rows).problem("price")
    assert problem is not None
    assert problem.count == len(trades) > 16
    assert [place.row for place in problem.first] == trades[:16].tolist()
