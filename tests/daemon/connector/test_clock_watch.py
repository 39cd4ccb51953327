"""Clocks that are set, and machines that sleep, are noticed; no duration depends on them."""

from dataclasses import replace

import pytest

import hftd.clock
from daemon.connector.watch.clock_watch import Clocks, ClockWatch
from daemon.connector.watch.offset import ClockOffset
from tests.conftest import pytest_runtest_setup

S = 1_000_000_000
AT = Clocks(wall_ns=1_790_000_000 * S, boot_ns=5_000 * S, monotonic_ns=4_000 * S)


def after(now: Clocks, wall_s: float, boot_s: float, monotonic_s: float) -> Clocks:
    return Clocks(
        now.wall_ns + round(wall_s * S),
        now.boot_ns + round(boot_s * S),
        now.monotonic_ns + round(monotonic_s * S),
    )


def keys(watch: ClockWatch, now: Clocks) -> list[str]:
    return [one.key for one in watch.warnings(now.boot_ns)]


@pytest.mark.parametrize(
    ("passed", "found", "warned"),
    [
        ((1.0, 1.0, 1.0), (False, False), []),
        ((1.1, 1.0, 1.0), (False, False), []),
        ((31.0, 1.0, 1.0), (True, False), ["clock_stepped"]),
        ((-29.0, 1.0, 1.0), (True, False), ["clock_stepped"]),
        ((601.0, 601.0, 1.0), (True, True), ["machine_slept"]),
        ((1.0, 601.0, 1.0), (True, True), ["clock_stepped", "machine_slept"]),
        ((20.0, 20.0, 20.0), (True, False), []),
    ],
)
def test_what_happened_between_two_looks_is_told_apart(passed, found, warned):
    watch = ClockWatch()
    assert watch.look(AT) == (False, False)
    now = after(AT, *passed)
    assert watch.look(now) == found
    assert keys(watch, now) == warned
    quiet = after(now, 1.0, 1.0, 1.0)
    assert watch.look(quiet) == (False, False)
    assert keys(watch, after(quiet, 0, 3601.0, 3601.0)) == []


def test_a_step_says_which_way_and_by_how_much():
    watch = ClockWatch()
    watch.look(AT)
    watch.look(replace(AT, wall_ns=AT.wall_ns - 30 * S))
    (warning,) = watch.warnings(AT.boot_ns)
    assert "back by 30.000 s (1 times" in warning.text


def offset_of(exchange_minus_ours_s: float, now_ns: int) -> ClockOffset:
    offset = ClockOffset()
    offset.sample(now_ns - S // 100, round(now_ns + exchange_minus_ours_s * S) // 1_000_000, now_ns)
    return offset


@pytest.mark.parametrize(("ahead_s", "words"), [(60.0, "60.0 s ahead of"), (-2.0, "2.0 s behind"), (0.5, "")])
def test_a_wall_clock_that_is_off_the_exchanges_is_a_warning(ahead_s, words):
    now_ns = AT.wall_ns
    found = list(offset_of(-ahead_s, now_ns).warnings(now_ns, now_ns))
    assert [one.key for one in found] == (["clock_off"] if words else [])
    assert all(words in one.text for one in found)


def test_a_wall_clock_that_was_put_right_since_the_process_began_is_no_warning():
    running_ns = AT.wall_ns + 300 * S
    assert list(offset_of(-300.0, running_ns).warnings(running_ns, AT.wall_ns)) == []


def test_an_exchanges_clock_that_jumps_is_told_for_an_hour():
    now_ns = AT.wall_ns
    offset = offset_of(0.0, now_ns)
    offset.sample(now_ns + S, (now_ns + 41 * S) // 1_000_000, now_ns + S + S // 100)
    later_ns = now_ns + 2 * S
    assert [one.key for one in offset.warnings(later_ns, later_ns + 40 * S)] == ["clock_stepped"]
    later_ns += 3600 * S
    assert list(offset.warnings(later_ns, later_ns + 40 * S)) == []


def test_local_time_never_goes_back_and_finds_the_wall_clock_again(monkeypatch):
    wall_ns, boot_ns = AT.wall_ns, AT.boot_ns
    monkeypatch.setattr(hftd.clock, "wall_ns", lambda: wall_ns)
    monkeypatch.setattr(hftd.clock, "boot_ns", lambda: boot_ns)
    monkeypatch.setattr(hftd.clock, "_stamp_ns", 0)
    monkeypatch.setattr(hftd.clock, "_stamp_boot_ns", 0)
    assert hftd.clock.stamp_ns() == wall_ns
    wall_ns -= 30 * S
    last_ns, told = hftd.clock.stamp_ns(), 0
    while last_ns != wall_ns:
        wall_ns, boot_ns, told = wall_ns + S, boot_ns + S, told + 1
        now_ns = hftd.clock.stamp_ns()
        assert last_ns + S - S // 8 <= now_ns <= last_ns + S
        last_ns = now_ns
    assert told == 30 * 8
    wall_ns += 3600 * S
    assert hftd.clock.stamp_ns() == wall_ns, "forward it follows at once"


def test_a_test_does_not_feel_that_the_clock_was_set_since_the_first_one():
    hftd.clock._ANCHOR_NS -= 20 * S
    pytest_runtest_setup()
    assert abs(hftd.clock.running_ns() - hftd.clock.wall_ns()) < S
