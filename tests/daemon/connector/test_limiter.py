"""What a connector may rely on: requests stay within the exchange's limits, wherever its windows begin."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemon.connector.limiter import Limiter, Priority, RateLimit
from hftd.errors import UsageError

S = 1_000_000_000


def limiter(limit: int = 10, interval_ns: int = 10 * S, reserve: int = 0) -> Limiter:
    return Limiter([RateLimit("orders_10s", limit, interval_ns, reserve)])


@given(
    limit=st.integers(1, 40),
    steps=st.lists(st.tuples(st.integers(0, 3 * S), st.integers(1, 5)), max_size=200),
    border=st.integers(0, 10 * S),
)
def test_no_window_of_the_exchange_holds_more_than_the_limit_wherever_it_begins(limit, steps, border):
    one, now_ns, sent = limiter(limit), 1_700_000_000 * S, []
    for later_ns, cost in steps:
        now_ns += later_ns
        if cost <= limit and one.take({"orders_10s": cost}, now_ns) == 0:
            sent.append((now_ns, cost))
    windows: dict[int, int] = {}
    for at_ns, cost in sent:
        windows[(at_ns - border) // (10 * S)] = windows.get((at_ns - border) // (10 * S), 0) + cost
    assert all(count <= limit for count in windows.values())


@given(st.lists(st.tuples(st.integers(0, 2 * S), st.integers(1, 4)), max_size=100))
def test_who_waits_as_long_as_told_is_let_through(steps):
    one, now_ns = limiter(4), 0
    for later_ns, cost in steps:
        now_ns += later_ns
        wait_ns = one.take({"orders_10s": cost}, now_ns)
        assert wait_ns <= 10 * S + 10 * S // 64 + 1
        if wait_ns:
            now_ns += wait_ns
            assert one.take({"orders_10s": cost}, now_ns) == 0


def test_the_reserve_is_for_what_is_urgent():
    one = limiter(10, reserve=3)
    assert one.take({"orders_10s": 7}, 0) == 0
    assert one.take({"orders_10s": 1}, 0) > 0
    assert one.take({"orders_10s": 3}, 0, Priority.URGENT) == 0
    assert one.take({"orders_10s": 1}, 0, Priority.URGENT) > 0


PLAN = RateLimit("orders_10s", 100, 10 * S, 20, 10)


@given(
    steps=st.lists(st.tuples(st.integers(0, S), st.sampled_from(Priority), st.integers(1, 9)), max_size=120),
    planned=st.integers(0, 40),
)
def test_no_class_takes_what_is_kept_for_those_above_it(steps, planned):
    one, now_ns = Limiter([PLAN]), 0
    one.plan("orders_10s", planned)
    taken = []
    for later_ns, priority, cost in steps:
        now_ns += later_ns
        taken = [item for item in taken if item[0] > now_ns - 10 * S]
        if one.take({"orders_10s": cost}, now_ns, priority) == 0:
            taken.append((now_ns, priority, cost))
    used = {one: sum(cost for _, of, cost in taken if of == one) for one in Priority}
    assert used[Priority.REGULAR] <= 100 - 20 - 10 - planned
    assert used[Priority.REGULAR] + used[Priority.ORDERS] <= 100 - 20 - planned
    # So that whatever the others did, a halt has its share at once.
    left = 20 + planned - used[Priority.URGENT]
    assert all(one.take({"orders_10s": 1}, now_ns, Priority.URGENT) == 0 for _ in range(left))


def test_a_request_larger_than_its_class_may_use_has_its_turn_when_nothing_else_of_it_is_under_way():
    one = Limiter([RateLimit("orders_10s", 50, 10 * S, 20, 10)])
    assert one.take({"orders_10s": 40}, 0, Priority.REGULAR) == 0
    assert one.take({"orders_10s": 1}, 1, Priority.REGULAR) > 0
    with pytest.raises(UsageError):
        one.take({"orders_10s": 51}, 0, Priority.REGULAR)


def test_a_limit_that_turned_out_lower_holds_until_the_exchange_says_another():
    one = Limiter([PLAN])
    assert one.lower("orders_10s", 50)
    assert not one.lower("orders_10s", 80)
    assert one.limit_of("orders_10s") == RateLimit("orders_10s", 50, 10 * S, 10, 5)
    assert one.take({"orders_10s": 20}, 0, Priority.REGULAR) == 0
    assert one.take({"orders_10s": 16}, 0, Priority.REGULAR) > 0
    one.set_limit(PLAN)
    assert one.take({"orders_10s": 16}, 0, Priority.REGULAR) == 0


def test_a_ban_of_the_ordinary_way_leaves_the_other_way_open():
    one = limiter()
    one.banned_until(20 * S, is_all=False)
    assert one.take({}, 0) == 20 * S
    assert one.take({}, 0, Priority.URGENT, is_apart=True) == 0
    assert (one.is_banned(0), one.is_all_banned(0), one.ban_left_s(5 * S)) == (True, False, 15.0)
    one.banned_until(30 * S)
    assert one.take({}, 0, Priority.URGENT, is_apart=True) == 30 * S


def test_what_the_exchange_counted_is_believed_where_it_is_more():
    one = limiter(10)
    one.take({"orders_10s": 2}, 0)
    one.seen({"orders_10s": 9, "unheard_of": 3}, 1)
    assert one.take({"orders_10s": 1}, 2) == 0
    assert one.take({"orders_10s": 1}, 2) > 0
    one.seen({"orders_10s": 1}, 3)
    assert one.statistics(3)["orders_10s"]["used"] == 10


def test_all_of_several_limits_or_none_are_taken():
    one = Limiter([RateLimit("a", 1, S), RateLimit("b", 5, S)])
    assert one.take({"a": 1, "b": 1}, 0) == 0
    assert one.take({"a": 1, "b": 1}, 0) > 0
    assert one.statistics(0)["b"]["used"] == 1
    assert one.refused == 1


def test_during_a_ban_nothing_is_sent_and_an_earlier_end_does_not_shorten_it():
    one = limiter()
    one.banned_until(20 * S)
    one.banned_until(10 * S)
    assert one.take({}, 5 * S) == 15 * S
    assert one.is_banned(5 * S)
    assert one.take({}, 20 * S) == 0


def test_a_clock_that_goes_back_makes_no_room():
    one = limiter(2)
    assert one.take({"orders_10s": 2}, 100 * S) == 0
    assert one.take({"orders_10s": 1}, 50 * S) > 0


def test_a_request_that_never_fits_is_an_error_and_not_a_wait_for_ever():
    with pytest.raises(UsageError, match="costs 11"):
        limiter(10).take({"orders_10s": 11}, 0)


def test_a_limit_that_the_exchange_changes_keeps_what_was_taken():
    one = limiter(10)
    one.take({"orders_10s": 5}, 0)
    one.set_limit(RateLimit("orders_10s", 6, 10 * S))
    assert one.take({"orders_10s": 1}, 0) == 0
    assert one.take({"orders_10s": 1}, 0) > 0
    with pytest.raises(UsageError):
        RateLimit("none", 0, S)


def test_memory_does_not_grow_with_the_number_of_requests():
    one = limiter(10**9)
    for k in range(10_000):
        one.take({"orders_10s": 1}, k * 10_000_000)
    assert len(one._windows["orders_10s"]._slices) <= 67
