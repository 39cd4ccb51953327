"""Trades that a file or a capture gave twice, and equal trades that a venue means."""

import numpy as np
import pytest

from hftd.types import TRADE_EVENT
from sim.archive import read_events, write_events
from sim.checks import Limits, fix, validate

from .market import LOT_SIZE, TICK_SIZE, kinds, sound_rows

LIMITS = Limits(tick_size=TICK_SIZE, lot_size=LOT_SIZE)


def twice(rows, numbers):
    """The rows, those of the numbers twice."""
    return np.repeat(rows, 1 + np.isin(np.arange(len(rows)), numbers))


def checked(tmp_path, rows):
    write_events(tmp_path / "day.npz", rows, level=0)
    return validate([tmp_path / "day.npz"], limits=LIMITS)


def trades_of(rows):
    return np.flatnonzero(kinds(rows) == TRADE_EVENT)


@pytest.mark.parametrize("messages", [12, 600])
def test_an_archive_that_is_doubled_as_a_whole_is_not_sound_and_its_copy_is_the_half(tmp_path, messages):
    rows = sound_rows(3, messages)
    # The venue means some equal trades, which stay two.
    rows = twice(rows, trades_of(rows)[::9])
    doubled = twice(rows, trades_of(rows))
    # Equal rows stand behind each other, as when both files are in the order of their times.
    report = checked(tmp_path, doubled)
    problem = report.problem("span_doubled")
    assert problem is not None
    assert not report.is_sound
    fix(tmp_path / "day.npz", tmp_path / "sound.npz", limits=LIMITS)
    assert read_events(tmp_path / "sound.npz").tobytes() == rows.tobytes()


def test_a_span_that_is_doubled_is_found_where_it_begins(tmp_path):
    rows = sound_rows(4, 600)
    trades = trades_of(rows)
    report = checked(tmp_path, twice(rows, trades[60:160]))
    problem = report.problem("span_doubled")
    assert problem is not None
    assert problem.count == 1
    assert any("stand in spans" in note for note in report.notes)


@pytest.mark.parametrize("every", [2, 3, 5])
def test_equal_trades_of_a_venue_are_no_doubled_span(tmp_path, every):
    rows = sound_rows(5, 600)
    report = checked(tmp_path, twice(rows, trades_of(rows)[::every]))
    assert report.problem("span_doubled") is None
    assert report.is_sound
