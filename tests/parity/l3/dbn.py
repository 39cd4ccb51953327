"""A reader of Databento's market-by-order files: DBN version 1, records of 56 bytes behind a header.

Its format: Databento's documentation, "Databento Binary Encoding", schema `mbo`.
"""

from pathlib import Path

import numpy as np
import zstandard

from hftd.types import (
    ADD_ORDER_EVENT,
    BUY_EVENT,
    CANCEL_ORDER_EVENT,
    DEPTH_CLEAR_EVENT,
    EXCH_EVENT,
    FILL_EVENT,
    LOCAL_EVENT,
    MODIFY_ORDER_EVENT,
    SELL_EVENT,
    TRADE_EVENT,
    event_dtype,
)

mbo_dtype = np.dtype(
    [
        ("length", "u1"),  # in words of 4 bytes
        ("rtype", "u1"),
        ("publisher_id", "<u2"),
        ("instrument_id", "<u4"),
        ("ts_event", "<u8"),
        ("order_id", "<u8"),
        ("price", "<i8"),  # in units of 1e-9
        ("size", "<u4"),
        ("flags", "u1"),
        ("channel_id", "u1"),
        ("action", "S1"),
        ("side", "S1"),
        ("ts_recv", "<u8"),
        ("ts_in_delta", "<i4"),
        ("sequence", "<u4"),
    ]
)
_KINDS = {
    b"A": ADD_ORDER_EVENT,
    b"C": CANCEL_ORDER_EVENT,
    b"M": MODIFY_ORDER_EVENT,
    b"R": DEPTH_CLEAR_EVENT,
    b"T": TRADE_EVENT,
    b"F": FILL_EVENT,
}
_SIDES = {b"B": BUY_EVENT, b"A": SELL_EVENT, b"N": 0}


def _unpacked(path: Path) -> bytes:
    with path.open("rb") as file:
        return zstandard.ZstdDecompressor().stream_reader(file).read()


def read(path: Path) -> np.ndarray:
    """A file's rows, `event_dtype`, in the order in which they stand."""
    packed = _unpacked(path)
    assert packed[:3] == b"DBN"
    assert packed[3] == 1
    records = np.frombuffer(packed, mbo_dtype, offset=8 + int.from_bytes(packed[4:8], "little"))
    assert (records["rtype"] == 160).all()
    rows = np.zeros(len(records), event_dtype)
    kinds = [_KINDS[action] | _SIDES[side] for action, side in records[["action", "side"]].tolist()]
    rows["ev"] = np.array(kinds, "u8") | EXCH_EVENT | LOCAL_EVENT
    rows["exch_ts"], rows["local_ts"] = records["ts_event"], records["ts_recv"]
    rows["px"], rows["qty"] = records["price"] / 1e9, records["size"]
    rows["order_id"] = records["order_id"]
    return rows
