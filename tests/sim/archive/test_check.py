import math

import numpy as np
import pytest

from hftd.errors import DataError
from hftd.types import (
    BUY_EVENT,
    DEPTH_CLEAR_EVENT,
    DEPTH_EVENT,
    DEPTH_SNAPSHOT_EVENT,
    EXCH_EVENT,
    LOCAL_EVENT,
    TRADE_EVENT,
    USER_DEFINED_EVENT,
    event_dtype,
)
from sim.archive import check_events

BOTH = EXCH_EVENT | LOCAL_EVENT
BID = DEPTH_EVENT | BUY_EVENT | BOTH


def rows_of(*rows):
    made = np.zeros(len(rows), event_dtype)
    for number, (ev, exch_ts, local_ts, px, qty) in enumerate(rows):
        made[number] = (ev, exch_ts, local_ts, px, qty, 0, 0, 0)
    return made


def test_rows_in_order_are_accepted_and_their_last_times_given():
    rows = rows_of((BID, 1, 5, 10, 1), (BID, 1, 5, 10, 0), (DEPTH_EVENT | EXCH_EVENT, 9, 2, 10, 1))
    assert check_events(rows) == (9, 5)


def test_split_rows_are_judged_by_the_clock_that_sees_them_alone():
    rows = rows_of(
        (DEPTH_EVENT | EXCH_EVENT, 5, 99, 1, 1), (BID, 6, 10, 1, 1), (DEPTH_EVENT | LOCAL_EVENT, 5, 99, 1, 1)
    )
    assert check_events(rows) == (6, 99)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ((BID, 4, 9, 1, 1), "exch_ts is earlier"),
        ((BID, 9, 4, 1, 1), "local_ts is earlier"),
        ((BID, 9, 9, math.nan, 1), "price is not finite"),
        ((BID, 9, 9, math.inf, 1), "price is not finite"),
        ((TRADE_EVENT | BOTH, 9, 9, -math.inf, 1), "price is not finite"),
        ((DEPTH_SNAPSHOT_EVENT | BOTH, 9, 9, math.nan, 1), "price is not finite"),
        ((BID, 9, 9, 1, math.nan), "quantity is not finite"),
        ((TRADE_EVENT | BOTH, 9, 9, 1, math.inf), "quantity is not finite"),
        ((BID, 9, 9, 1, -1), "quantity is negative"),
        ((DEPTH_EVENT, 9, 9, 1, 1), "neither the exchange nor the local side"),
    ],
)
def test_the_first_bad_row_is_said_with_its_values_and_how_many_there_are(row, message):
    good = (BID, 5, 5, 1, 1)
    rows = rows_of(good, good, row, good, good)
    rows["exch_ts"][3:] = rows["local_ts"][3:] = 9
    with pytest.raises(DataError, match=message) as error:
        check_events(rows, "day.npz")
    text = str(error.value)
    assert "hftd validate FILE --fix OUT.npz" in error.value.hint
    assert text.startswith("day.npz: row 2: ")
    assert f"exch_ts {row[1]}" in text
    assert f"qty {float(row[4])}" in text
    many = np.concatenate([rows[:2], np.repeat(rows[2:3], 1234)])
    with pytest.raises(DataError, match="1,234 rows are like that" if "earlier" not in message else "row 2"):
        check_events(many)


def test_a_clear_may_have_any_price_and_user_rows_any_values():
    rows = rows_of(
        (DEPTH_CLEAR_EVENT | BOTH, 1, 1, math.inf, 0),
        (DEPTH_CLEAR_EVENT | BOTH, 1, 1, math.nan, 0),
        (USER_DEFINED_EVENT | BOTH, 1, 1, math.nan, -5),
    )
    check_events(rows)


def test_files_in_a_row_must_be_in_the_order_of_time():
    first, second = rows_of((BID, 1, 2, 1, 1)), rows_of((BID, 3, 4, 1, 1))
    assert check_events(second, after=check_events(first)) == (3, 4)
    with pytest.raises(DataError, match="of the file before it"):
        check_events(first, after=check_events(second))


def test_rows_of_another_type_are_refused():
    with pytest.raises(DataError, match="not contiguous rows"):
        check_events(np.zeros(3))
    with pytest.raises(DataError, match="not contiguous rows"):
        check_events(rows_of(*[(BID, 1, 1, 1, 1)] * 4)[::2])
