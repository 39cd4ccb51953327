"""Inputs that are changed, cut, doubled or noise: rows that can be simulated, or one error; never a traceback."""

import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hftd.errors import DataError
from sim.archive import check_events, read_events
from sim.convert import Options, convert

from .captures import capture

MS = 1_723_161_255_208


def spot_lines():
    levels = {"b": [["61737.63", "0.5"], ["61737.62", "0"]], "a": [["61837.64", "0.1"]]}
    best = {"u": 5, "s": "BTCUSDT", "b": "61837.63", "B": "3.5", "a": "61837.64", "A": "1.5"}
    for number in range(12):
        ids = {"U": 10 * number + 1, "u": 10 * number + 10}
        yield {"e": "depthUpdate", "E": MS + number, "s": "BTCUSDT", **ids, **levels}
        yield {
            "e": "trade",
            "s": "BTCUSDT",
            "t": 1,
            "p": "61837.63",
            "q": "0.02",
            "T": MS + number,
            "m": True,
        }
        yield {"stream": "btcusdt@bookTicker", "data": best}
    yield {"lastUpdateId": 9, "bids": [["2.0", "1"]], "asks": [["3.0", "1"]]}
    yield {"code": -1003, "msg": "Too many requests."}


def coinm_lines():
    for number in range(15):
        stamp = {"E": MS + number, "T": MS + number, "s": "BTCUSD_PERP", "ps": "BTCUSD"}
        ids = {"U": number, "u": number + 1, "pu": number}
        yield {"e": "depthUpdate", **stamp, **ids, "b": [["61773.6", "1001"]], "a": [["61774", "1"]]}
        yield {"e": "trade", **stamp, "t": 1, "p": "61804.8", "q": "4", "X": "MARKET", "m": False}
        yield {"e": "indexPriceUpdate", "E": MS + number, "i": "BTCUSD", "p": "61811.5"}
        yield {"e": "markPriceUpdate", **stamp, "p": "61811.5", "P": "61811.5", "r": ""}
    levels = {"bids": [["61804.7", "35"]], "asks": [["61804.8", "3"]]}
    yield {"lastUpdateId": 3, "E": MS, "T": MS, "symbol": "BTCUSD_PERP", "pair": "BTCUSD", **levels}


def recorded(messages):
    return [
        f"{MS + number}000000 {json.dumps(message)}\n".encode() for number, message in enumerate(messages)
    ]


def table(header, *rows):
    return [text.encode() + b"\n" for text in (header, *rows)]


INPUTS = {
    "futures": ("binancefutures", capture(1, 60)),
    "spot": ("binancespot", recorded(spot_lines())),
    "coinm": ("binancecoinm", recorded(coinm_lines())),
    "trades": (
        "binancehistory",
        table(
            "id,price,qty,quote_qty,time,is_buyer_maker",
            *(f"{k},61800.{k},0.006,370.8,{MS + k},{'true' if k % 2 else 'false'}" for k in range(40)),
        ),
    ),
    "best prices": (
        "binancehistory",
        table(
            "update_id,best_bid_price,best_bid_qty,best_ask_price,best_ask_qty,transaction_time,event_time",
            *(f"{k},61800.2,2.5,61800.3,2.5,{MS + k},{MS + k}" for k in range(40)),
        ),
    ),
    "book": (
        "binancehistory",
        table(
            "symbol,timestamp,trans_id,first_update_id,last_update_id,side,update_type,price,qty",
            *(
                f"BTCUSDT,{MS + k},1,{k},{k},{'ab'[k % 2]},{'snap' if k < 20 else 'set'},570{k}.1,2.5"
                for k in range(40)
            ),
        ),
    ),
}


@st.composite
def changed(draw, lines):
    """The lines after a few accidents."""
    lines = list(lines)
    for _ in range(draw(st.integers(1, 6))):
        at = draw(st.integers(0, len(lines) - 1))
        text = bytearray(lines[at])
        place = draw(st.integers(0, len(text)))
        accident = draw(st.sampled_from(("change", "cut", "noise", "double", "swap", "join", "number")))
        if accident == "change" and place < len(text):
            text[place] = draw(st.integers(1, 255))
        elif accident == "cut":
            del text[place:]
            text += b"\n"
        elif accident == "noise":
            text[place:place] = draw(st.binary(max_size=30))
        elif accident == "double":
            lines.insert(at, bytes(text))
        elif accident == "join":
            text = text.rstrip()
        elif accident == "number":
            number = draw(
                st.sampled_from((b"1e400", b"-1", b"NaN", b"9" * 40, b"", b"0x10", b'"', b"[", b"-0"))
            )
            text = bytearray(
                text.replace(b"61800", number).replace(b"0.5", number).replace(b"1723", number, 2)
            )
        elif accident == "swap":
            other = draw(st.integers(0, len(lines) - 1))
            lines[at], lines[other] = lines[other], lines[at]
            continue
        lines[at] = bytes(text)
    return b"".join(lines)


def assert_sound(folder, venue, content, **options):
    """Converted to rows that pass the checks of a simulation, or refused by one error that says where."""
    path = folder / "input"
    path.write_bytes(content)
    try:
        report = convert(
            [path],
            folder / "out.npz",
            venue=venue,
            options=Options(mark_price=True, book_ticker=True, **options),
        )
    except DataError as error:
        assert "input" in str(error)
        return
    rows = read_events(folder / "out.npz")
    assert len(rows) == report.rows
    check_events(rows)


def thorough_unless_futures(value, venue):
    """Each other converter takes long to compile."""
    return pytest.param(value, marks=() if venue == "binancefutures" else pytest.mark.thorough)


@pytest.mark.parametrize("kind", [thorough_unless_futures(kind, INPUTS[kind][0]) for kind in INPUTS])
@settings(deadline=None, max_examples=80, suppress_health_check=[HealthCheck.too_slow])
@given(st.data())
def test_accidents_to_lines_are_counted_or_refused(tmp_path_factory, kind, data):
    venue, lines = INPUTS[kind]
    content = data.draw(changed(lines))
    symbol = data.draw(st.sampled_from((None, "BTCUSDT", "BTCUSD_PERP")))
    assert_sound(tmp_path_factory.mktemp("f"), venue, content, symbol=symbol)


@pytest.mark.parametrize("venue", [thorough_unless_futures(venue, venue) for venue in dict(INPUTS.values())])
@settings(deadline=None, max_examples=80)
@given(st.binary(max_size=300))
def test_any_bytes_are_refused_with_one_error(tmp_path_factory, venue, content):
    assert_sound(tmp_path_factory.mktemp("f"), venue, content)
