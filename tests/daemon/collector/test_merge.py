import random

from hypothesis import given
from hypothesis import strategies as st

from daemon.collector.merge import NAMES_MAX, Chain, Link, Names


def link(number: int) -> Link:
    return Link(number - 1, number, b"%d" % number)


def test_what_two_connections_bring_is_written_once_and_in_order():
    chain = Chain()
    written = [chain.offer(link(one), 0, may_wait=True)[0] for one in (1, 1, 2, 3, 2, 4, 3)]
    assert written == [[b"1"], [], [b"2"], [b"3"], [], [b"4"], []]
    assert chain.again == 3


def test_what_is_too_early_waits_for_the_other_connection():
    chain = Chain()
    chain.offer(link(1), 0, may_wait=True)
    assert chain.offer(link(3), 7, may_wait=True) == ([], -1)
    assert (chain.held_ns, chain.awaited) == (7, 2)
    assert chain.offer(link(2), 8, may_wait=True) == ([b"2", b"3"], -1)
    assert chain.held_ns == 0


def test_without_another_connection_a_hole_is_a_gap_at_once():
    chain = Chain()
    chain.offer(link(1), 0, may_wait=False)
    assert chain.offer(link(4), 0, may_wait=False) == ([b"4"], 3)
    assert chain.offer(link(5), 0, may_wait=False) == ([b"5"], -1)


def test_what_waited_in_vain_is_written_all_the_same():
    chain = Chain()
    for one in (1, 3, 5, 6):
        chain.offer(link(one), 0, may_wait=True)
    assert chain.awaited == 2
    assert chain.give_up() == [b"3", b"5", b"6"]
    assert chain.last == 6


def test_a_change_that_begins_in_what_is_there_and_ends_behind_it_is_written():
    chain = Chain()
    chain.offer(Link(0, 10, b"a"), 0, may_wait=False)
    assert chain.offer(Link(7, 12, b"b"), 0, may_wait=False) == ([b"b"], -1)


@given(st.integers(1, 40), st.sets(st.integers(2, 40)), st.integers(0, 1 << 30))
def test_from_connections_that_miss_this_and_that_each_message_comes_once_in_order_and_each_hole_is_told(
    count: int, lost: set[int], seed: int
):
    """`lost` by both; of the rest each connection brings what the other one does not."""
    chance = random.Random(seed)
    there = [one for one in range(1, count + 1) if one not in lost]
    ways: list[list[int]] = [[], []]
    for one in there:
        first = chance.randrange(2)
        ways[first].append(one)
        if chance.random() < 0.7:
            ways[1 - first].append(one)
    chain, written, holes = Chain(), [], 0
    while ways[0] or ways[1]:
        way = ways[chance.randrange(2)] or ways[0] or ways[1]
        may_wait = bool(ways[0] and ways[1])
        lines, missing = chain.offer(link(way.pop(0)), 1, may_wait)
        holes += missing >= 0
        written += lines
    holes += chain.awaited >= 0
    written += chain.give_up()
    numbers = [int(one) for one in written]
    assert numbers == sorted(set(numbers))
    missing = {one for one in range(numbers[0], numbers[-1]) if one not in numbers} if numbers else set()
    assert holes or not missing


def test_ids_without_an_order_are_known_again_as_long_as_they_are_remembered():
    names = Names()
    assert names.has_new([1, 2])
    assert not names.has_new([2, 1])
    assert names.has_new([2, 3])
    assert names.has_new(range(10, 10 + NAMES_MAX))
    assert names.has_new([1])
