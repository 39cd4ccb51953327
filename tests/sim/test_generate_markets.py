"""Each named market has the effect that it is made for, and without it has not."""

import hashlib
from dataclasses import replace

import numpy as np
import pytest

from hftd.config import load
from hftd.errors import UsageError
from hftd.rows import FUNDING_RATE, INDEX_PRICE, MARK_PRICE
from hftd.types import (
    ADD_ORDER_EVENT,
    BUY_EVENT,
    CANCEL_ORDER_EVENT,
    DEPTH_CLEAR_EVENT,
    FILL_EVENT,
    KIND_MASK,
    MODIFY_ORDER_EVENT,
    TRADE_EVENT,
    USER_DEFINED_EVENT,
)
from sim.config import ReplayConfig
from sim.funding import funding_dtype, funding_paid
from sim.generate import MARKETS, generate_market, write_market
from sim.generator.market import Dislocations, Spread
from sim.results.report.mids import mids_from_archives

_MIDNIGHT_NS = 1_661_904_000_000_000_000
_MS = 1_000_000


def _mids(folder, market, duration_s, *, effect=1.0, seed=3, every_ms=100):
    """Log mid prices of a market's instruments, each `every_ms` from its opening on: f8[n, times]."""
    day = generate_market(market, seed, duration_s=duration_s, effect=effect)
    times = np.arange(
        _MIDNIGHT_NS + 100 * _MS, _MIDNIGHT_NS + int(duration_s * 1e9) - 200 * _MS, every_ms * _MS
    )
    found = []
    for item in market.instruments:
        path = folder / f"{item.channel}-{item.symbol}.npz"
        np.savez(path, data=day.rows[item.channel, item.symbol])
        found.append(mids_from_archives([path], item.tick_size, item.lot_size, times))
    return np.log(np.array(found))


def _correlation(first, second):
    return float(np.corrcoef(first, second)[0, 1])


def _reverts(spread, lag):
    """How much of a distance to the mean is gone after so many samples: the slope of a regression."""
    return -float(np.polyfit(spread[:-lag], spread[lag:] - spread[:-lag], 1)[0])


@pytest.mark.parametrize("name", MARKETS)
def test_a_named_market_gives_the_same_bytes_again_in_order_on_both_clocks(name):
    market = MARKETS[name]
    day, again = (generate_market(market, 5, duration_s=2.0) for _ in range(2))
    assert list(day.rows) == [(item.channel, item.symbol) for item in market.instruments]
    for key, rows in day.rows.items():
        assert rows.tobytes() == again.rows[key].tobytes()
        assert (np.diff(rows["exch_ts"]) >= 0).all() and (np.diff(rows["local_ts"]) >= 0).all()
        assert (rows["local_ts"] > rows["exch_ts"]).all() and len(rows) > 1000
    assert day.latencies.keys() == {item.channel for item in market.instruments}


def test_the_named_markets_have_these_bytes_on_every_machine():
    digest = hashlib.blake2b(digest_size=8)
    for market in MARKETS.values():
        for rows in generate_market(market, 20220831, duration_s=1.0).rows.values():
            digest.update(rows.tobytes())
    assert digest.hexdigest() == "a60c3c32a8319abb"


def test_a_written_market_has_a_configuration_that_replays_it(tmp_path):
    market = MARKETS["basis"]
    written = write_market(tmp_path, market, seed=1, duration_s=1.0)
    assert [str(path.relative_to(tmp_path)) for path in written] == [
        "binancespot/BTCUSDT_20220831.npz",
        "binancefutures/BTCUSDT_20220831.npz",
        "binancespot/latency_20220831.npz",
        "binancefutures/latency_20220831.npz",
        "binancefutures/funding_BTCUSDT_20220831.npz",
        "replay.toml",
    ]
    config = load(written[-1], ReplayConfig)
    found = [(channel.name, one.symbol) for channel in config.channels for one in channel.instruments]
    assert found == [(item.channel, item.symbol) for item in market.instruments]
    for channel, item in zip(config.channels, market.instruments, strict=True):
        (one,) = channel.instruments
        assert (one.tick_size, one.lot_size, one.fee.taker) == (item.tick_size, item.lot_size, item.taker_fee)


@pytest.mark.parametrize("strength", [-0.1, 1.1, float("nan")])
def test_an_effect_beyond_none_and_all_is_refused(strength):
    with pytest.raises(UsageError, match="effect of"):
        MARKETS["cross"].with_effect(strength)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"follows": (("nobody", 1.0),)}, "follows nobody"),
        ({"follows": (("gap", 1.0), ("fair", 1.0))}, "first price"),
        ({"follows": (("fair", -1.0),)}, "first price"),
        ({"follows": (("fair", 20.0),)}, "loadings"),
        ({"queue_lean": 1.5}, "queue_lean is 1.5"),
        ({"patience_ticks": -1.0}, "patience_ticks is -1"),
        ({"by_order": True, "funding_s": 300}, "no funding"),
    ],
)
def test_an_instrument_that_can_not_be_is_refused(changes, says):
    demo = MARKETS["demo"]
    prices = (*demo.prices, Spread("gap", 0.001, 10.0))
    with pytest.raises(UsageError, match=says):
        generate_market(replace(demo, instruments=(replace(demo.instruments[0], **changes),), prices=prices))


@pytest.mark.parametrize(
    ("price", "says"),
    [
        (Spread("gap", 0.5, 10.0), "below 0.1"),
        (Spread("gap", 0.001, 0.0), "0.01 to 86,400"),
        (Dislocations("gap", 0.0, 0.001, 0.002, 1.0), "0.01 to 86,400"),
        (Spread("fair", 0.001, 10.0), "same name"),
    ],
)
def test_a_price_that_can_not_be_is_refused(price, says):
    demo = MARKETS["demo"]
    with pytest.raises(UsageError, match=says):
        generate_market(replace(demo, prices=(*demo.prices, price)))


@pytest.mark.thorough
def test_exchanges_of_one_coin_follow_the_first_and_are_dislocated_only_with_the_effect(tmp_path):
    market = MARKETS["cross"]
    spot_lag = {}
    widest = {}
    for effect in (1.0, 0.0):
        logs = _mids(tmp_path, market, 120.0, effect=effect, every_ms=10)
        steps = np.diff(logs[:, ::5], axis=1)
        ahead = _correlation(steps[0, :-3], steps[2, 3:])
        spot_lag[effect] = ahead - _correlation(steps[0, 3:], steps[2, :-3])
        widest[effect] = np.abs(logs[1:] - logs[0]).max()
    assert spot_lag[1.0] > 0.1 > abs(spot_lag[0.0])
    assert widest[1.0] > 8e-4 > 2 * widest[0.0]


@pytest.mark.thorough
def test_a_basis_reverts_and_pays_funding_only_with_the_effect(tmp_path):
    market = MARKETS["basis"]
    reversion = {}
    for effect in (1.0, 0.0):
        spot, future = _mids(tmp_path, market, 900.0, effect=effect, every_ms=1000)
        reversion[effect] = np.mean(_reverts(future - spot, 30))
    # The half-life is 60 s: 1 - 2 ** -0.5 is gone after 30 s.
    assert 0.15 < reversion[1.0] < 0.5 and reversion[0.0] < 0.15


def test_funding_follows_from_the_mark_prices_that_were_published():
    day = generate_market(MARKETS["basis"], 3, duration_s=310.0)
    rows = day.rows["binancefutures", "BTCUSDT"]
    kinds = (rows["ev"] & np.uint64(KIND_MASK)).astype(int)
    index, mark, rate = (rows[kinds == kind] for kind in (INDEX_PRICE, MARK_PRICE, FUNDING_RATE))
    assert len(index) == len(mark) == len(rate) == 309 and (np.diff(index["exch_ts"]) == 1_000_000_000).all()
    assert not (kinds[:2000] >= USER_DEFINED_EVENT).any()
    table = day.funding["binancefutures", "BTCUSDT"]
    assert (table["timestamp"] == _MIDNIGHT_NS + np.array([300]) * 1_000_000_000).all()
    premium = mark["px"] / index["px"] - 1.0
    for one, part in zip(table, (premium[:300],), strict=True):
        mean = part.mean()
        assert one["rate"] == pytest.approx(mean + np.clip(1e-4 - mean, -5e-4, 5e-4), abs=2e-8)
        assert one["rate"] == rate["px"][rate["exch_ts"] == one["timestamp"]]
    without = generate_market(MARKETS["basis"], 3, duration_s=301.0, effect=0.0)
    assert (without.funding["binancefutures", "BTCUSDT"]["rate"] == 0.0).all()


def test_funding_is_paid_by_who_holds_the_position_at_its_time():
    table = np.array([(100, 0.001, 200.0), (200, -0.002, 300.0), (300, 0.5, 1.0)], funding_dtype)
    record = np.zeros(4, [("timestamp", "i8"), ("position", "f8")])
    record["timestamp"] = [50, 100, 150, 250]
    record["position"] = [1.0, 2.0, -1.0, 5.0]
    # At 100 the long 2 pays 0.4; at 200 the short 1 pays 0.6 as the rate is negative; 300 is after the record.
    assert funding_paid(record, table).tolist() == pytest.approx([0.0, -0.4, -0.4, -1.0])
    assert funding_paid(record[:0], table).tolist() == []


def test_a_triangle_closes_but_for_dislocations(tmp_path):
    market = MARKETS["triangle"]
    off = {}
    for effect in (1.0, 0.0):
        btc, eth, cross = _mids(tmp_path, market, 120.0, effect=effect)
        off[effect] = np.abs(cross - (eth - btc))
    # Two ticks of each are 2 basis points.
    assert off[0.0].max() < 3.5e-4 < 5e-4 < off[1.0].max()
    assert np.median(off[1.0]) < 2e-4


@pytest.mark.thorough
def test_a_pairs_ratio_reverts_only_with_the_effect(tmp_path):
    reversion = {}
    for effect in (1.0, 0.0):
        eth, sol = _mids(tmp_path, MARKETS["pair"], 900.0, effect=effect, every_ms=1000)
        steps = np.diff(np.array([eth, sol])[:, ::10], axis=1)
        assert _correlation(steps[0], steps[1]) > 0.3
        reversion[effect] = _reverts(sol - eth, 15)
    # The half-life is 30 s: 1 - 2 ** -0.5 is gone after 15 s.
    assert 0.15 < reversion[1.0] < 0.5 and reversion[0.0] < 0.12


@pytest.mark.thorough
def test_coins_share_factors_and_follow_the_first_only_with_the_effect(tmp_path):
    lead = {}
    for effect in (1.0, 0.0):
        logs = _mids(tmp_path, MARKETS["factor"], 200.0, effect=effect)
        slow = np.corrcoef(np.diff(logs[:, ::50], axis=1))
        assert slow[np.triu_indices(6, 1)].min() > 0.6
        steps = np.diff(logs, axis=1)
        lead[effect] = _correlation(steps[0, :-8], steps[5, 8:])
    assert lead[1.0] > 0.2 > 0.1 > lead[0.0]


def _touch(day, market):
    """Of each depth message of the only instrument: time, best bid, best ask, and their lots."""
    (item,) = market.instruments
    rows = day.rows[item.channel, item.symbol]
    kinds = (rows["ev"] & np.uint64(KIND_MASK)).astype(int).tolist()
    is_bid = ((rows["ev"] & np.uint64(BUY_EVENT)) != 0).tolist()
    ticks = np.rint(rows["px"] / item.tick_size).astype(int).tolist()
    lots = np.rint(rows["qty"] / item.lot_size).astype(int).tolist()
    times = rows["exch_ts"].tolist()
    books = ({}, {})
    found = []
    for i, kind in enumerate(kinds):
        if kind in (TRADE_EVENT, DEPTH_CLEAR_EVENT):
            continue
        side = books[1 if is_bid[i] else 0]
        if lots[i]:
            side[ticks[i]] = lots[i]
        else:
            side.pop(ticks[i], None)
        if i + 1 == len(times) or times[i + 1] != times[i]:
            bid, ask = max(books[1]), min(books[0])
            found.append((times[i], bid, ask, books[1][bid], books[0][ask]))
    return np.array(found)


@pytest.mark.thorough
@pytest.mark.parametrize("name", ["largetick", "imbalance"])
def test_queues_tell_where_the_price_goes_only_with_the_effect(name):
    market = MARKETS[name]
    told = {}
    for effect in (1.0, 0.0):
        touch = _touch(
            generate_market(market, 3, duration_s=300.0 if name == "largetick" else 60.0, effect=effect),
            market,
        )
        mid = (touch[:, 1] + touch[:, 2]) / 2
        ahead = np.searchsorted(touch[:, 0], touch[:, 0] + 1_000_000_000)
        known = ahead < len(touch)
        imbalance = (touch[:, 3] - touch[:, 4]) / (touch[:, 3] + touch[:, 4])
        told[effect] = _correlation(imbalance[known], (mid[ahead[known]] - mid[known]))
        if name == "largetick":
            spread = touch[:, 2] - touch[:, 1]
            assert (spread == 1).mean() > 0.95
            assert np.median(touch[:, 3:]) > 20_000
    assert told[1.0] > 0.15 and told[1.0] > told[0.0] + 0.1


def test_single_orders_make_the_levels_of_the_same_market_at_every_moment():
    market = MARKETS["level3"]
    (item,) = market.instruments
    by_level = replace(market, instruments=(replace(item, by_order=False),))
    name = (item.channel, item.symbol)
    orders = generate_market(market, 3, duration_s=10.0).rows[name]
    levels = generate_market(by_level, 3, duration_s=10.0).rows[name]
    standing: dict[int, tuple[bool, int, int]] = {}
    filled: dict[int, int] = {}
    book: dict[tuple[bool, int], int] = {}
    at = 0
    compared = 0
    rows = list(
        zip(
            (orders["ev"] & np.uint64(KIND_MASK)).tolist(),
            ((orders["ev"] & np.uint64(BUY_EVENT)) != 0).tolist(),
            np.rint(orders["px"] / item.tick_size).astype(int).tolist(),
            np.rint(orders["qty"] / item.lot_size).astype(int).tolist(),
            orders["order_id"].tolist(),
            orders["exch_ts"].tolist(),
            strict=True,
        )
    )
    level_kinds = (levels["ev"] & np.uint64(KIND_MASK)).astype(int)
    depth = levels[(level_kinds != TRADE_EVENT) & (level_kinds != DEPTH_CLEAR_EVENT)]
    for row in depth:
        is_bid = bool(row["ev"] & np.uint64(BUY_EVENT))
        while at < len(rows) and (rows[at][5] < row["exch_ts"] or rows[at][5] == _MIDNIGHT_NS):
            kind, bid, tick, lots, order_id, _ = rows[at]
            at += 1
            if kind == ADD_ORDER_EVENT:
                assert order_id not in standing
                standing[order_id] = (bid, tick, lots)
                book[bid, tick] = book.get((bid, tick), 0) + lots
            elif kind == FILL_EVENT:
                assert standing[order_id][:2] == (bid, tick) and lots <= standing[order_id][2]
                filled[order_id] = filled.get(order_id, 0) + lots
            elif kind in (CANCEL_ORDER_EVENT, MODIFY_ORDER_EVENT):
                before = standing.pop(order_id)
                assert before[:2] == (bid, tick)
                left = lots if kind == MODIFY_ORDER_EVENT else 0
                assert left < before[2]
                if order_id in filled:
                    assert before[2] - left == filled.pop(order_id)
                if left:
                    standing[order_id] = (bid, tick, left)
                book[bid, tick] += left - before[2]
        tick = round(float(row["px"]) / item.tick_size)
        assert book.get((is_bid, tick), 0) == round(float(row["qty"]) / item.lot_size)
        compared += 1
    assert compared > 5000
    # The same trades: a row a price, with the taker's side.
    trades = [
        found[(found["ev"] & np.uint64(KIND_MASK)) == TRADE_EVENT][["ev", "exch_ts", "px", "qty"]]
        for found in (orders, levels)
    ]
    assert len(trades[0]) > 50 and (trades[0] == trades[1]).all()
