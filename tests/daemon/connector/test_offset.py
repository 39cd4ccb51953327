"""What a connector may rely on: requests are stamped with the exchange's time, as well as it can be known."""

from hypothesis import given
from hypothesis import strategies as st

from daemon.connector.watch.offset import ClockOffset

S = 1_000_000_000
NOW = 1_700_000_000 * S


@given(
    true_ns=st.integers(-5 * S, 5 * S),
    trips=st.lists(st.tuples(st.integers(0, S), st.integers(0, S)), min_size=1, max_size=40),
)
def test_the_true_offset_lies_within_the_stated_error(true_ns, trips):
    offset, now_ns = ClockOffset(), NOW
    for there_ns, back_ns in trips:
        offset.sample(now_ns, (now_ns + there_ns + true_ns) // 1_000_000, now_ns + there_ns + back_ns)
        now_ns += there_ns + back_ns + S
        assert abs(offset.offset_ns - true_ns) <= offset.error_ns(now_ns)
    assert offset.steps == 0


def test_without_an_answer_our_own_clock_counts():
    offset = ClockOffset()
    assert not offset.is_known
    assert offset.error_ns(NOW) == -1
    assert offset.corrected_ms(NOW) == NOW // 1_000_000


def test_a_quick_answer_counts_more_than_a_slow_one():
    offset = ClockOffset()
    offset.sample(NOW, (NOW + S) // 1_000_000, NOW + 1_000_000)
    quick = offset.offset_ns
    offset.sample(NOW + S, (NOW + 2 * S) // 1_000_000, NOW + 2 * S)
    assert offset.offset_ns == quick


def test_a_clock_that_was_set_is_noticed_at_the_next_answer():
    offset = ClockOffset()
    offset.sample(NOW, NOW // 1_000_000, NOW + 1_000_000)
    offset.sample(NOW + S, (NOW + 61 * S) // 1_000_000, NOW + S + 2_000_000)
    assert abs(offset.offset_ns - 60 * S) < 2_000_000
    assert offset.steps == 1


def test_an_answer_that_came_before_its_request_says_nothing():
    offset = ClockOffset()
    offset.sample(NOW, NOW // 1_000_000, NOW - 1)
    assert not offset.is_known


def test_a_moment_before_a_step_is_the_earlier_that_it_may_be():
    offset = ClockOffset()
    offset.sample(NOW, NOW // 1_000_000, NOW + 1_000_000)
    offset.sample(NOW + S, (NOW + 61 * S) // 1_000_000, NOW + S + 2_000_000)
    before_ns, after_ns = offset.corrected_ns(NOW + S), offset.corrected_ns(NOW + 2 * S)
    assert abs(before_ns - NOW - S) < 2_000_000, (
        "what was asked before the machine was paused is settled up to then"
    )
    assert abs(after_ns - NOW - 62 * S) < 2_000_000
