"""Databento's files: books that come out right, choices, and what is said of files that are wrong."""

import re
import struct
from collections import Counter
from decimal import Decimal

import databento_dbn as dbn
import numpy as np
import pytest
import zstandard
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import sim
from hftd.errors import DataError
from hftd.types import (
    ADD_ORDER_EVENT,
    BUY_EVENT,
    CANCEL_ORDER_EVENT,
    DEPTH_CLEAR_EVENT,
    DEPTH_EVENT,
    DEPTH_SNAPSHOT_EVENT,
    KIND_MASK,
    MODIFY_ORDER_EVENT,
    SELL_EVENT,
    TRADE_EVENT,
)
from sim.archive import check_events, read_events
from sim.convert import Options, convert
from sim.convert.dbn import read_metadata
from sim.convert.mbp import KNOWN_MAX

from .dbn_files import (
    INSTRUMENT,
    LAST,
    SNAPSHOT,
    START_NS,
    TICK,
    TOP,
    UNDEFINED,
    Levels,
    Orders,
    metadata,
    write,
)


def ours(*paths, **options):
    report = convert(
        list(paths), paths[0].with_name("day.npz"), venue="databento", options=Options(**options)
    )
    rows = read_events(paths[0].with_name("day.npz"))
    check_events(rows)
    return rows, report


def kinds(rows):
    return (rows["ev"] & KIND_MASK).tolist()


def book_of(rows):
    """The orders that are left, by id, as (price, quantity)."""
    orders = {}
    for row in rows:
        kind, order_id = int(row["ev"]) & KIND_MASK, int(row["order_id"])
        if kind == DEPTH_CLEAR_EVENT:
            orders.clear()
        elif kind == ADD_ORDER_EVENT:
            assert order_id not in orders
            orders[order_id] = (row["px"], row["qty"])
        elif kind == MODIFY_ORDER_EVENT:
            assert order_id in orders
            orders[order_id] = (row["px"], row["qty"])
        elif kind == CANCEL_ORDER_EVENT:
            del orders[order_id]
    return orders


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_the_orders_that_are_left_are_those_of_the_market(tmp_path, seed):
    market = Orders(seed, unit_ns=1_000_000)
    market.snapshot()
    for step in range(2000):
        market.step()
        if step == 1000:
            market.snapshot(0)
    rows, report = ours(write(tmp_path / "day.dbn.zst", metadata(dbn.Schema.MBO), market.records))
    received = rows[np.argsort(rows["local_ts"], kind="stable")]
    left = book_of(rows[(rows["ev"] & (1 << 31)) != 0])
    assert len(received)
    assert left == {k: (px / 1e9, size) for k, (_, px, size) in market.orders.items()}
    assert report.lines == len(market.records)
    assert report.unreadable == []


def test_the_engine_follows_the_orders_without_a_warning(tmp_path):
    market = Orders(4, unit_ns=1_000_000)
    market.snapshot()
    for _ in range(1500):
        market.step()
    last_ns = market.time_ns
    # Time goes on until the last row.
    market.time_ns += 10_000_000
    market.put("T", "B", 4_750_000_000_000, 1, flags=LAST)
    rows, _ = ours(write(tmp_path / "day.dbn", metadata(dbn.Schema.MBO), market.records))
    asset = sim.BacktestAsset().data(rows).tick_size(0.25).lot_size(1.0).linear_asset(50.0)
    asset.constant_order_latency(1, 1).trading_value_fee_model(0.0, 0.0)
    asset.l3_fifo_queue_model().no_partial_fill_exchange()
    hbt = sim.HashMapMarketDepthBacktest([asset])
    hbt.elapse(last_ns + 2_000_000 - int(rows["local_ts"][0]))
    depth = hbt.depth(0)
    for side, qty_at in (("B", depth.bid_qty_at_tick), ("A", depth.ask_qty_at_tick)):
        levels: Counter[int] = Counter()
        for at, price, size in market.orders.values():
            levels[price // TICK] += size if at == side else 0
        assert {tick: qty_at(tick) for tick in levels} == levels
    assert hbt.warnings() == []


@pytest.mark.parametrize("limit", [1, 10])
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_the_levels_that_a_record_shows_are_those_of_the_book_behind_it(tmp_path, seed, limit):
    market = Levels(seed, limit)
    shown = []
    for _ in range(400):
        market.step()
        shown.append((market.time_ns, market.shown()))
    schema = dbn.Schema.MBP_10 if limit == 10 else dbn.Schema.MBP_1
    rows, report = ours(write(tmp_path / "day.dbn.zst", metadata(schema), market.records))
    sides = {BUY_EVENT: {}, SELL_EVENT: {}}
    at = 0
    for time_ns, (bids, asks) in shown:
        while at < len(rows) and rows["exch_ts"][at] <= time_ns:
            row = rows[at]
            kind = int(row["ev"]) & KIND_MASK
            if kind == DEPTH_CLEAR_EVENT:
                sides = {BUY_EVENT: {}, SELL_EVENT: {}}
            elif kind in (DEPTH_EVENT, DEPTH_SNAPSHOT_EVENT):
                side = sides[int(row["ev"]) & (BUY_EVENT | SELL_EVENT)]
                side[float(row["px"])] = float(row["qty"])
                if not row["qty"]:
                    del side[float(row["px"])]
            at += 1
        best = sorted(sides[BUY_EVENT].items(), reverse=True)
        assert best[: len(bids)] == [(tick * TICK / 1e9, qty) for tick, qty in bids]
        assert len(bids) == limit or len(best) == len(bids)
        best = sorted(sides[SELL_EVENT].items())
        assert best[: len(asks)] == [(tick * TICK / 1e9, qty) for tick, qty in asks]
    assert at == len(rows)
    assert DEPTH_CLEAR_EVENT in kinds(rows)[:2]
    assert report.rows_by_kind["trade"] == sum(str(record.action) == "T" for record in market.records)
    assert report.crossed.times == 0


def level(px, qty):
    return dbn.BidAskPair(bid_px=px * TICK, bid_sz=qty)


def best_bid(px, qty, time_ns, action="A", side="B"):
    return dbn.MBP1Msg(
        publisher_id=1,
        instrument_id=INSTRUMENT,
        ts_event=START_NS + time_ns,
        price=px * TICK,
        size=1,
        action=dbn.Action(action),
        side=dbn.Side(side),
        depth=0,
        ts_recv=START_NS + time_ns + 5,
        flags=LAST,
        levels=level(px, qty),
    )


def test_a_level_out_of_sight_stays_until_a_record_tells_that_it_is_gone(tmp_path):
    records = [best_bid(100, 5, 0), best_bid(101, 3, 10), best_bid(100, 4, 20), best_bid(99, 1, 30)]
    rows, _ = ours(write(tmp_path / "day.dbn", metadata(dbn.Schema.MBP_1), records))
    changes = [(float(row["px"]), float(row["qty"])) for row in rows[1:]]
    assert changes == [(25.0, 5), (25.25, 3), (25.25, 0), (25.0, 4), (25.0, 0), (24.75, 1)]


def test_levels_out_of_sight_can_be_deleted_instead(tmp_path):
    records = [best_bid(100, 5, 0), best_bid(101, 3, 10), best_bid(100, 4, 20)]
    path = write(tmp_path / "day.dbn", metadata(dbn.Schema.MBP_1), records)
    rows, _ = ours(path, keep_far_levels=False)
    changes = [(float(row["px"]), float(row["qty"])) for row in rows[1:]]
    assert changes == [(25.0, 5), (25.0, 0), (25.25, 3), (25.25, 0), (25.0, 4)]


def test_levels_that_are_remembered_are_bounded(tmp_path):
    count = KNOWN_MAX + 1000
    records = [best_bid(1000 + k, 1, k) for k in range(count)] + [best_bid(1, 1, count)]
    rows, _ = ours(write(tmp_path / "day.dbn", metadata(dbn.Schema.MBP_1), records))
    gone = rows["px"][(rows["qty"] == 0) & ((rows["ev"] & KIND_MASK) == DEPTH_EVENT)]
    assert sorted(gone) == [(1000 + k) * 0.25 for k in range(count)]
    assert (np.diff(gone[: KNOWN_MAX // 4]) > 0).all()


def trade(fixed_price, **fields):
    given = {"publisher_id": 1, "instrument_id": INSTRUMENT, "ts_event": START_NS, "ts_recv": START_NS + 5}
    given |= {"size": 1, "action": dbn.Action.TRADE, "side": dbn.Side.BID, "depth": 0, "flags": LAST} | fields
    return dbn.TradeMsg(price=fixed_price, **given)


def test_trades_have_the_side_of_who_took(tmp_path):
    sides = [dbn.Side.BID, dbn.Side.ASK, dbn.Side.NONE]
    records = [trade(TICK, side=side, size=7) for side in sides]
    rows, report = ours(write(tmp_path / "day.dbn", metadata(dbn.Schema.TRADES), records))
    assert kinds(rows) == [TRADE_EVENT] * 3
    assert [int(ev) & (BUY_EVENT | SELL_EVENT) for ev in rows["ev"]] == [BUY_EVENT, SELL_EVENT, 0]
    assert rows["qty"].tolist() == [7, 7, 7]
    assert report.notes == []


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.integers(-(2**63) + 1, 2**63 - 2), min_size=1, max_size=200))
def test_prices_are_the_nearest_doubles(tmp_path, prices):
    records = [trade(price) for price in prices]
    rows, _ = ours(write(tmp_path / "day.dbn", metadata(dbn.Schema.TRADES), records))
    assert rows["px"].tolist() == [float(Decimal(price) / 10**9) for price in prices]


@pytest.mark.parametrize("version", [1, 2, 3])
def test_all_versions_are_read_and_their_symbols_known(tmp_path, version):
    head = metadata(dbn.Schema.TRADES, version=version)
    _, report = ours(write(tmp_path / "day.dbn", head, [trade(TICK)]))
    assert report.symbol == "ESH4"
    found = read_metadata(head, True, tmp_path)
    assert found is not None
    assert (found[0].version, found[0].dataset, found[1]) == (version, "GLBX.MDP3", len(head))


def test_records_with_sending_times_are_read(tmp_path):
    def longer(record):
        data = bytearray(bytes(record)[:48])
        data[0] = 14
        return bytes(data) + struct.pack("<Q", START_NS + 9)

    head = metadata(dbn.Schema.TRADES, ts_out=True)
    rows, report = ours(write(tmp_path / "day.dbn", head, [longer(trade(TICK)), longer(trade(2 * TICK))]))
    assert rows["px"].tolist() == [0.25, 0.5]
    assert report.unreadable == []


IDS = {"ESH4": [1], "NQH4": [2], "ES.c.0": [1, 2]}


def two_instruments(folder):
    records = [trade(k * TICK, instrument_id=1 + k % 2) for k in range(10)]
    return write(folder / "day.dbn", metadata(dbn.Schema.TRADES, ids=IDS), records)


def test_several_instruments_are_refused_unless_one_is_chosen(tmp_path):
    path = two_instruments(tmp_path)
    with pytest.raises(DataError, match=r"several symbols: ESH4 \(5 lines\), NQH4 \(5 lines\)"):
        ours(path)
    for symbol in ("NQH4", "2", "1:NQH4"):
        rows, report = ours(path, symbol=symbol)
        assert rows["px"].tolist() == [0.25, 0.75, 1.25, 1.75, 2.25]
        assert report.symbol == "NQH4"
        assert report.ignored == {"another symbol": 5}


@pytest.mark.parametrize(
    ("symbol", "said"),
    [
        ("CLH4", "no symbol CLH4\n.*ESH4, NQH4"),
        ("ES.c.0", "not one instrument: its ids are 1, 2"),
        ("3", "no lines of 3"),
        ("9:ESH4", "no records of the publisher 9"),
    ],
)
def test_a_choice_that_can_not_be_made_is_said(tmp_path, symbol, said):
    with pytest.raises(DataError) as caught:
        ours(two_instruments(tmp_path), symbol=symbol)
    assert re.search(said, f"{caught.value.what}\n{caught.value.hint}")


def test_several_publishers_are_refused_unless_one_is_chosen(tmp_path):
    records = [trade(k * TICK, publisher_id=39 + k % 2) for k in range(4)]
    path = write(tmp_path / "day.dbn", metadata(dbn.Schema.TRADES), records)
    with pytest.raises(DataError, match=r"several publishers: 39 \(2 records\), 40"):
        ours(path)
    rows, report = ours(path, symbol="40:ESH4")
    assert rows["px"].tolist() == [0.25, 0.75]
    assert report.ignored == {"another exchange or publisher": 2}


def test_a_snapshot_without_a_clear_after_other_orders_clears(tmp_path):
    days = []
    for seed in (1, 2):
        market = Orders(seed)
        market.time_ns += seed * 10**13
        market.snapshot(20, has_clear=False)
        days.append(write(tmp_path / f"{seed}.dbn", metadata(dbn.Schema.MBO), market.records))
    rows, report = ours(*days)
    assert kinds(rows) == [ADD_ORDER_EVENT] * 20 + [DEPTH_CLEAR_EVENT] + [ADD_ORDER_EVENT] * 20
    assert sum("begins without a clear" in note for note in report.notes) == 1


def test_an_order_of_the_top_takes_the_place_of_its_side(tmp_path):
    market = Orders(1)
    for price, order_id in ((400 * TICK, 0), (401 * TICK, 9), (UNDEFINED, 0)):
        market.put("A", "B", price, 5, order_id, LAST | TOP)
        market.time_ns += 10_000_000
    rows, _ = ours(write(tmp_path / "day.dbn", metadata(dbn.Schema.MBO), market.records))
    assert kinds(rows) == [3, 10, 3, 10, 3]
    assert rows["order_id"].tolist() == [0, 1, 0, 9, 0]
    assert ((rows["ev"] & BUY_EVENT) != 0).all()


def test_flags_that_warn_are_told(tmp_path):
    market = Orders(1)
    market.put("A", "B", 400 * TICK, 5, 1, LAST | 8)
    market.put("A", "B", 400 * TICK, 5, 2, LAST | 4)
    _, report = ours(write(tmp_path / "day.dbn", metadata(dbn.Schema.MBO), market.records))
    assert sum("1 records are flagged" in note for note in report.notes) == 2


def test_records_that_give_no_rows_are_counted(tmp_path):
    market = Orders(1)
    market.put("A", "B", 400 * TICK, 5, 1)
    market.put("N", "N", UNDEFINED, 0, 0)
    market.put("A", "B", UNDEFINED, 5, 2)
    market.put("A", "B", 400 * TICK, 5, 3, ts_event=START_NS // 1000, ts_recv=START_NS // 1000)
    wrong = bytearray(bytes(market.records[0]))
    wrong[38] = ord("X")
    other = bytearray(bytes(market.records[0]))
    other[39] = ord("X")
    short = bytearray(bytes(market.records[0])[:48])
    short[0] = 12
    status = bytes([4, 18]) + bytes(14)
    records = [*market.records, bytes(wrong), bytes(other), bytes(short), status]
    rows, report = ours(write(tmp_path / "day.dbn", metadata(dbn.Schema.MBO), records))
    assert len(rows) == 1
    assert report.ignored == {
        "a record that changes nothing": 1,
        "no price": 1,
        "a time in another unit than the format has": 1,
        "an action that is none": 1,
        "a side that is none": 1,
        "a record of a length that it can't have": 1,
        "an event or stream that is not converted": 1,
    }
    assert report.not_converted == {"status": 1}
    assert [place.line for place in report.unreadable] == [3, 4, 5, 6, 7]
    with pytest.raises(DataError, match="5 lines can't be read; the first: no price"):
        ours(tmp_path / "day.dbn", strict=True)


def records(count=2000):
    market = Orders(1)
    market.snapshot()
    for _ in range(count):
        market.step()
    return market.records


def test_a_truncated_zstd_is_said_and_the_records_before_it_are_kept(tmp_path):
    path = write(tmp_path / "day.dbn.zst", metadata(dbn.Schema.MBO), records(8000))
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    rows, report = ours(path)
    assert len(rows) > 100
    assert report.exit_code == 1
    assert "zstd data" in report.damage[0]


def test_a_torn_record_is_said_and_those_before_it_are_kept(tmp_path):
    all_records = [bytes(record) for record in records(100)]
    path = write(tmp_path / "day.dbn", metadata(dbn.Schema.MBO), [*all_records, all_records[0][:30]])
    _, report = ours(path)
    assert report.ignored == {"torn at the end of the file": 1}
    assert report.unreadable[0].line == len(all_records) + 1


def test_a_record_without_a_length_ends_its_file(tmp_path):
    all_records = [bytes(record) for record in records(100)]
    broken = write(tmp_path / "a.dbn", metadata(dbn.Schema.MBO), [*all_records, bytes(56), *all_records])
    good = write(tmp_path / "b.dbn", metadata(dbn.Schema.MBO), all_records)
    _, report = ours(broken, good)
    assert report.lines == 2 * len(all_records) + 1
    assert report.exit_code == 1
    assert f"a.dbn: record {len(all_records) + 1} has no valid length" in report.damage[0]
    with pytest.raises(DataError, match="no valid length"):
        ours(broken, good, strict=True)


def test_metadata_that_are_wrong_are_refused_with_the_file(tmp_path):
    head = metadata(dbn.Schema.MBO)
    cases = {
        b"": "is empty",
        b"DB": "no DBN",
        b"PK\x07\x08 something else": "no DBN",
        b"DBN\x04" + head[4:]: "version 4",
        b"DBZ\x01" + head[4:]: "no DBN",
        head[:50]: "end after 50 of",
        head[:4] + b"\xff\xff\xff\xff" + head[8:]: "are said to be",
        head[:4] + b"\x05\0\0\0" + head[8:]: "are said to be",
        head[:112] + b"\xff\xff\xff\x7f" + head[116:]: "more than it has room for",
    }
    for data, said in cases.items():
        path = tmp_path / "day.dbn"
        path.write_bytes(data)
        with pytest.raises(DataError, match=said) as caught:
            ours(path)
        assert "day.dbn" in caught.value.where


def test_metadata_alone_are_said_to_give_nothing(tmp_path):
    path = write(tmp_path / "day.dbn", metadata(dbn.Schema.MBO), [])
    with pytest.raises(DataError, match=r"none of 0 records gives a row \(empty\)"):
        ours(path)


@pytest.fixture(scope="module")
def packed(tmp_path_factory):
    folder = tmp_path_factory.mktemp("dbn")
    levels = Levels(1)
    for _ in range(20):
        levels.step()
    return [
        write(folder / "orders.dbn", metadata(dbn.Schema.MBO), records(60)).read_bytes(),
        write(folder / "levels.dbn", metadata(dbn.Schema.MBP_10), levels.records).read_bytes(),
    ]


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.integers(0, 1),
    st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.binary(min_size=1, max_size=9)), max_size=6),
    st.floats(0, 1),
    st.booleans(),
)
def test_damaged_bytes_give_rows_or_a_clear_error(tmp_path, packed, which, changes, cut, is_packed):
    data = bytearray(packed[which])
    for place, new in changes:
        at = int(place * len(data))
        data[at : at + len(new)] = new
    data = bytes(data[: max(int(cut * len(data)), 1)])
    path = tmp_path / "day.dbn"
    path.write_bytes(zstandard.compress(data) if is_packed else data)
    try:
        rows, report = ours(path)
    except DataError as error:
        assert error.what
        assert str(tmp_path) in error.where
    else:
        assert len(rows) == report.rows
        assert sum(report.ignored.values()) + sum(report.lines_by_kind.values()) >= report.lines


def test_a_snapshot_flag_gives_both_clocks_the_time_of_the_snapshot(tmp_path):
    market = Orders(1)
    market.put("R", "N", UNDEFINED, 0, 0, SNAPSHOT, ts_event=5, ts_recv=START_NS + 77)
    rows, _ = ours(write(tmp_path / "day.dbn", metadata(dbn.Schema.MBO), market.records))
    assert (rows["exch_ts"][0], rows["local_ts"][0], rows["px"][0]) == (START_NS + 77, START_NS + 77, 0.0)
