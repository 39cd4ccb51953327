import pytest

from hftd.compiled.layout import offset_of
from hftd.rows import FIELDS
from hftd.types import event_dtype
from tests.laws import PACKAGES, ROOT, sources
from tests.laws_facts import OFFSETS, ROWS_HOME, rows_facts_again


def test_a_rows_offsets_and_limits_stand_once():
    files = [path for package in (*PACKAGES, "benchmarks") for path in sources(package)]
    assert [
        f"{path.relative_to(ROOT)} {what}"
        for path in files
        if path.relative_to(ROOT).as_posix() not in ROWS_HOME
        for what in rows_facts_again(path.read_text())
    ] == []


def test_the_offsets_are_those_of_the_rows_dtype():
    offsets = {name.upper(): offset_of(event_dtype, name) for name, _ in FIELDS}
    assert offsets | {"ROW_BYTES": event_dtype.itemsize} == OFFSETS


LOOP = "@inline\ndef f(rows, count):\n    for k in range(count):\n        row = rows + k * ROW_BYTES\n"


@pytest.mark.parametrize(
    "source",
    [
        "_PX = 24",
        "_EXCH_TS: Final = 8",
        "EV, LOCAL_TS, PX, QTY = 0, 16, 24, 32",
        "_ID_AT: Final = 56",
        "_EVENT_LOCAL = 16",
        "ROW_QTY = offset_of(event_dtype, 'qty')",
        "ROW_SIZE: Final = 64",
        "_ROW = 64",
        "ROW_BYTES = event_dtype.itemsize",
        "_MAX_TICK = float(1 << 53)",
        "def f(x):\n    return x >= 2.0**53",
        "def f(x):\n    return -(1 << 53) < x",
        "def f(x):\n    return x < 1e300",
        "MAX_TS = (1 << 62) - 1",
        "BEST_BID: Final = 103",
        LOOP + "        x = load_f64(row + 24)",
        "def f(rows, k):\n    return load_f64(rows + k * ROW_BYTES + 24)",
        "def f(at):\n    ev = ev_of(at)\n    return load_i64(at + 8)",
        "def f(a, b):\n    copy_row(a, b)\n    store_i64(a + 16, 0)",
        "def f(rows, count):\n    for at in range(rows, count, ROW_BYTES):\n        store_f64(at + 32, 0.0)",
        "def f(row):\n    row += ROW_BYTES\n    return native.load_f64(row + 24)",
    ],
)
def test_a_fact_of_the_row_that_stands_once_more_is_found(source):
    assert len(rows_facts_again(source)) >= 1


@pytest.mark.parametrize(
    "source",
    [
        "_ROW = 32",
        "_PRICE, _QTY = range(2)",
        "_QTY: Final = text_key('v')",
        "_HEADER: Final = 24",
        "MAX_BOTS = 64",
        "_NO_LIMIT = 1 << 62",
        "MAX_ID = (1 << 64) - 1",
        "from hftd.rows import PX",
        LOOP + "        x = load_f64(row + PX)",
        LOOP + "        x = load_i64(slot + 8)",
        "def f(row):\n    row.px = 24",
    ],
)
def test_what_is_no_fact_of_the_row_is_left_alone(source):
    assert rows_facts_again(source) == []
