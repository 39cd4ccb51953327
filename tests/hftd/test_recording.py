from hypothesis import given
from hypothesis import strategies as st

from hftd.recording import DAY_NS, Begin, Broken, End, Gap, Heard, Missing, Note, Unheard, Whole, gaps_of

DAY = 20_000 * DAY_NS


def windows(*parts: list[Note]) -> list[tuple[int, int, int]]:
    return [(gap.from_ns - DAY, gap.noticed_ns - DAY, gap.until_ns - DAY) for gap in gaps_of(parts)]


def test_what_came_before_the_first_book_and_while_one_was_broken_is_missing():
    notes: list[Note] = [
        Begin(DAY),
        Whole(DAY + 5),
        Broken(DAY + 20, DAY + 23, "torn"),
        Whole(DAY + 30),
        End(DAY + 50, "over"),
    ]
    assert windows(notes) == [(0, 0, 5), (20, 23, 30)]


def test_what_one_part_has_the_other_need_not():
    old: list[Note] = [Begin(DAY), Whole(DAY), End(DAY + 50, "another one took over")]
    new: list[Note] = [Begin(DAY + 30), Whole(DAY + 40), Broken(DAY + 70, DAY + 71, "torn"), Whole(DAY + 80)]
    new.append(End(DAY + 100, "over"))
    assert windows(old, new) == [(70, 71, 80)]


def test_of_a_process_that_nobody_saw_ending_the_rest_of_the_day_is_missing():
    assert windows([Begin(DAY), Whole(DAY)]) == [(0, 0, DAY_NS - 1)]
    assert windows([Begin(DAY), Whole(DAY), Begin(DAY + 9), Whole(DAY + 12), End(DAY + 20, "")]) == [
        (0, 0, 12)
    ]


def test_missing_trades_are_windows_of_their_own():
    notes: list[Note] = [Begin(DAY), Whole(DAY), Missing(DAY + 3, DAY + 4, "trades 7 to 8"), End(DAY + 9, "")]
    assert gaps_of([notes]) == [Gap(DAY + 3, DAY + 4, DAY + 4, "trades", "trades 7 to 8")]
    assert gaps_of([]) == []


def test_where_no_connection_brings_trades_they_are_missing_unless_another_part_has_them():
    why = "no connection was known to bring trades"
    old: list[Note] = [Begin(DAY), Whole(DAY), Unheard(DAY + 10), Heard(DAY + 20, False), End(DAY + 50, "")]
    assert gaps_of([old]) == [Gap(DAY + 10, DAY + 20, DAY + 20, "trades", why)]
    new: list[Note] = [Begin(DAY), Whole(DAY), Unheard(DAY + 5), Heard(DAY + 14, False), End(DAY + 50, "")]
    assert gaps_of([old, new]) == [Gap(DAY + 10, DAY + 14, DAY + 14, "trades", why)]
    new = [Begin(DAY), Whole(DAY), Unheard(DAY + 5), Heard(DAY + 14, True), End(DAY + 50, "")]
    assert gaps_of([new]) == []
    # The book's window has it already.
    assert [
        gap.kind for gap in gaps_of([[*new[:3], Broken(DAY + 5, DAY + 6, "torn"), End(DAY + 9, "")]])
    ] == ["book"]
    killed: list[Note] = [Begin(DAY), Whole(DAY), Unheard(DAY + 7), Missing(DAY + 60, DAY + 70, "")]
    assert (DAY + 7, DAY + 60) in [(gap.from_ns, gap.until_ns) for gap in gaps_of([killed]) if gap.why == why]


@given(
    st.lists(st.lists(st.tuples(st.integers(0, 99), st.integers(0, 99)), max_size=6), min_size=1, max_size=3)
)
def test_a_moment_is_missing_unless_a_part_has_it(parts: list[list[tuple[int, int]]]):
    made: list[list[Note]] = []
    covered: set[int] = set()
    for spans in parts:
        notes: list[Note] = [Begin(DAY)]
        for start, end in sorted((min(pair), max(pair)) for pair in spans):
            at = notes[-1].ns - DAY
            if start < at:
                continue
            notes += [Whole(DAY + start), Broken(DAY + end, DAY + end, "")]
            covered |= set(range(start, end))
        notes.append(End(DAY + 100, ""))
        made.append(notes)
    found = gaps_of(made)
    missing = {ns - DAY for gap in found for ns in range(gap.from_ns, gap.until_ns)}
    assert missing == set(range(100)) - covered
    assert all(gap.from_ns <= gap.noticed_ns <= gap.until_ns for gap in found)
