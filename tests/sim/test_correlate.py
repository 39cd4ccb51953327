"""Correlations of returns: of archives whose relation is known."""

import json

import numpy as np
import pytest

import daemon.cli
from daemon.cli.failing import run as run_command
from hftd.errors import DataError, UsageError
from hftd.types import BUY_EVENT, DEPTH_EVENT, EXCH_EVENT, LOCAL_EVENT, SELL_EVENT, event_dtype
from sim.results.correlate import correlate

_MS = 1_000_000
_START_NS = 1_700_000_000_000_000_000
_BOTH = EXCH_EVENT | LOCAL_EVENT | DEPTH_EVENT


def _archive(path, times_ms, ticks):
    """A book of one bid and one ask, two ticks apart, that moves to these ticks at these times."""
    rows = []
    bid = None
    for at_ms, tick in zip(times_ms.tolist(), ticks.tolist(), strict=True):
        now_ns = _START_NS + at_ms * _MS
        if bid is not None:
            rows.append((_BOTH | BUY_EVENT, now_ns, now_ns, bid * 0.1, 0.0, 0, 0, 0.0))
            rows.append((_BOTH | SELL_EVENT, now_ns, now_ns, (bid + 2) * 0.1, 0.0, 0, 0, 0.0))
        bid = tick
        rows.append((_BOTH | BUY_EVENT, now_ns, now_ns, bid * 0.1, 1.0, 0, 0, 0.0))
        rows.append((_BOTH | SELL_EVENT, now_ns, now_ns, (bid + 2) * 0.1, 1.0, 0, 0, 0.0))
    np.savez(path, data=np.array(rows, event_dtype))
    return path


@pytest.fixture(scope="module")
def archives(tmp_path_factory):
    """`leads` is a random walk in steps of 10 ms; `follows` does the same 100 ms later; `alone` is another walk."""
    folder = tmp_path_factory.mktemp("correlate")
    random = np.random.default_rng(3)
    count = 6_000
    walks = 10_000 + random.choice([-1, 1], (2, count)).cumsum(axis=1)
    times = np.arange(count) * 10
    return {
        "leads": [_archive(folder / "leads.npz", times, walks[0])],
        "follows": [_archive(folder / "follows.npz", times + 100, walks[0])],
        "alone": [_archive(folder / "alone.npz", times + 3, walks[1])],
    }


@pytest.mark.parametrize("by_change", [False, True])
def test_who_follows_is_found_with_the_lag(archives, by_change):
    found = correlate(
        archives, horizons_ns=[50 * _MS, 1000 * _MS], step_ns=10 * _MS, lag_ns=300 * _MS, by_change=by_change
    )
    pairs = {(one.first, one.second): one for one in found.lead_lag}
    led = pairs["leads", "follows"]
    assert led.best_lag_ns == 100 * _MS and led.best > 0.99 and led.ratio > 5.0
    assert max(abs(value) for value in pairs["leads", "alone"].correlations) < 0.25


def test_correlation_rises_with_the_horizon_where_one_follows(archives):
    found = correlate(archives, horizons_ns=[50 * _MS, 1000 * _MS], step_ns=10 * _MS, lag_ns=0)
    short, long = (matrix[0][1] for matrix in found.matrices)
    assert short < 0.2 and long > 0.8
    for matrix in found.matrices:
        assert matrix[0][0] == pytest.approx(1.0) and matrix[0][2] == matrix[2][0]
    assert found.returns[0] > found.returns[1] > 4_000


def test_hayashi_and_yoshida_sum_the_products_of_all_stretches_that_overlap(archives):
    found = correlate(archives, horizons_ns=[50 * _MS], step_ns=10 * _MS, lag_ns=20 * _MS, by_change=True)
    # By hand: as the paper has it, over all pairs of stretches.
    times, values = [], []
    for name, late_ms in (("leads", 0), ("alone", 3)):
        rows = np.load(archives[name][0])["data"]
        bids = rows[(rows["qty"] > 0.0) & ((rows["ev"] & np.uint64(BUY_EVENT)) != 0)]
        times.append((bids["exch_ts"] - _START_NS) // _MS + 1)
        values.append(np.log(bids["px"] + 0.1))
        assert times[-1][0] == late_ms + 1
    total = 0.0
    moves = [np.diff(one) for one in values]
    inside = [(one >= 4) & (one <= times[0][-1]) for one in times]
    times = [one[keep] for one, keep in zip(times, inside, strict=True)]
    moves = [np.diff(one[keep]) for one, keep in zip(values, inside, strict=True)]
    for i, move in enumerate(moves[0]):
        over = (times[1][:-1] < times[0][i + 1]) & (times[1][1:] > times[0][i])
        total += move * moves[1][over].sum()
    expected = total / np.sqrt((moves[0] ** 2).sum() * (moves[1] ** 2).sum())
    pair = next(one for one in found.lead_lag if (one.first, one.second) == ("leads", "alone"))
    assert pair.correlations[pair.lags_ns.index(0)] == pytest.approx(expected, abs=1e-3)


def test_the_command_makes_a_table_json_and_a_picture(archives, tmp_path, capfd):
    names = [f"{name}={files[0]}" for name, files in archives.items()]
    common = ["correlate", *names, "--horizon", "100ms", "--step", "10ms", "--lag", "200ms"]
    picture = tmp_path / "lead.png"
    assert run_command(daemon.cli.hftd, [*common, "--picture", str(picture)]) == 0
    said = capfd.readouterr().out
    assert "leads, follows" in said and "100 ms" in said
    assert picture.read_bytes()[:4] == b"\x89PNG"
    assert run_command(daemon.cli.hftd, [*common, "--json"]) == 0
    document = json.loads(capfd.readouterr().out)
    assert document["names"] == ["leads", "follows", "alone"]
    assert document["lead_lag"][0]["best_lag_ns"] == 100 * _MS


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"horizons_ns": [15 * _MS]}, "multiple of the step"),
        ({"horizons_ns": []}, "no horizon"),
        ({"lag_ns": 10_000 * _MS}, "lags to either side"),
        ({"resolution_ns": 100 * _MS}, "longer than the step"),
    ],
)
def test_what_can_not_be_correlated_is_said(archives, options, says):
    with pytest.raises(UsageError, match=says):
        correlate(archives, **{"horizons_ns": [50 * _MS], "step_ns": 10 * _MS} | options)


def test_one_instrument_alone_or_of_another_day_has_no_correlation(archives, tmp_path):
    with pytest.raises(UsageError, match="two instruments"):
        correlate({"leads": archives["leads"]})
    rows = np.load(archives["alone"][0])["data"]
    for name in ("exch_ts", "local_ts"):
        rows[name] += 86_400_000_000_000
    np.savez(tmp_path / "later.npz", data=rows)
    with pytest.raises(DataError, match="no time in common"):
        correlate({"leads": archives["leads"], "later": [tmp_path / "later.npz"]})
