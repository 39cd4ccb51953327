"""The memory in which a running strategy's parameters stand: written by the main thread, read by the strategy's.

Sets of values wait in a list, in the order in which they were set. At the top of its loop the strategy's thread copies
what waits over the record that it reads (`take`), so no step sees a part of a set, and nobody waits for anybody.
"""

# pyright: basic, reportCallIssue=false, reportArgumentType=false

from collections.abc import Mapping
from typing import Any, Final

import numpy as np

from hftd.compiled.arena import Arena
from hftd.compiled.jit import kernel
from hftd.compiled.layout import offset_of, session_dtype
from hftd.compiled.native import copy_bytes, load_acquire, load_i64, record_at, store_i64, store_release
from hftd.rows import Address

MAX_SETS: Final = 10_000
"""That a run may have; one more is refused."""

Number = bool | int | float

_header_dtype = np.dtype(
    [
        ("offered", "i8"),  # sets that were written
        ("taken", "i8"),  # and taken over
        ("values", "i8"),  # what the strategy reads
        ("sets", "i8"),  # each: the time from which it holds, the time at which it was taken over, the values
        ("set_bytes", "i8"),
        ("value_bytes", "i8"),
    ],
    align=True,
)
_OFFERED = offset_of(_header_dtype, "offered")
_TAKEN = offset_of(_header_dtype, "taken")
_HEAD: Final = 16
_header_at = record_at(_header_dtype)
_session_at = record_at(session_dtype)


@kernel("int64(int64)")
def take(session: Address):
    """Take over the sets whose time has come. Without any it is one load and a comparison."""
    s = _session_at(session)
    parameters = s.parameters
    if parameters == 0:
        return 0
    h = _header_at(parameters)
    taken = h.taken
    offered = load_acquire(parameters + _OFFERED)
    while taken < offered:
        one = h.sets + taken * h.set_bytes
        if load_i64(one) > s.now_ns:
            break
        copy_bytes(h.values, one + _HEAD, h.value_bytes)
        store_i64(one + 8, s.now_ns)
        taken += 1
        store_release(parameters + _TAKEN, taken)
    return 0


@kernel("int64(int64)")
def _offer(parameters: Address):
    store_release(parameters + _OFFERED, load_i64(parameters + _OFFERED) + 1)
    return 0


@kernel("int64(int64)")
def _count_taken(parameters: Address):
    return load_acquire(parameters + _TAKEN)


class _Plain:
    """The record as a strategy in plain Python reads it: its fields are Python's numbers."""

    def __init__(self, record: Any) -> None:
        self._record = record

    def __getattr__(self, name: str) -> Any:
        return self._record[name].item()


class SharedParameters:
    """The values that a strategy reads, and those that wait for it.

    Args:
        values: By name, as at the start; at least one.
    """

    def __init__(self, values: Mapping[str, Number]) -> None:
        codes = {bool: "?", int: "i8", float: "f8"}
        dtype = np.dtype([(name, codes[type(value)]) for name, value in values.items()], align=True)
        set_dtype = np.dtype([("from_ns", "i8"), ("taken_ns", "i8"), ("values", dtype)], align=True)
        assert offset_of(set_dtype, "values") == _HEAD
        self._arena = Arena()
        self._values = self._arena.records(dtype, 1)
        self._values[0] = tuple(values.values())
        self._sets = self._arena.records(set_dtype, MAX_SETS)
        self._header = self._arena.records(_header_dtype, 1)
        self._header["values"], self._header["sets"] = self._values.ctypes.data, self._sets.ctypes.data
        self._header["set_bytes"], self._header["value_bytes"] = set_dtype.itemsize, dtype.itemsize
        self.address = int(self._header.ctypes.data)
        for one in (_offer, _count_taken):
            # Not in the middle of the run.
            one.compiled()

    def record(self, *, is_compiled: bool) -> Any:
        """What the strategy is given."""
        return self._values[0] if is_compiled else _Plain(self._values[0])

    @property
    def offered(self) -> int:
        """How many sets were offered."""
        return int(self._header["offered"][0])

    def offer(self, values: Mapping[str, Number], from_ns: int = 0) -> int:
        """Leave a whole set for the strategy's next step; at most `MAX_SETS`. Returns its number, from 0 on.

        Args:
            values: Of all names.
            from_ns: Of the strategy's clock; it is not taken over before.
        """
        number = self.offered
        self._sets[number] = from_ns, 0, tuple(values[name] for name in self._values.dtype.names or ())
        _offer.call(self.address)
        return number

    def taken_ns(self, number: int) -> int:
        """When the strategy took a set over, by its clock; -1 if it has not."""
        if _count_taken.call(self.address) <= number:
            return -1
        return int(self._sets["taken_ns"][number])
