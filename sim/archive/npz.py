"""What an archive is: npz (key `data`) and npy files of rows, their headers, and what may be wrong with them."""

import contextlib
import io
import lzma
import re
import threading
import tokenize
import zipfile
import zlib
from collections.abc import Generator
from typing import IO, Any, Final

import numpy as np
from isal import isal_zlib

from hftd.errors import DataError

KEY: Final = "data"
NPY_MAGIC: Final = b"\x93NUMPY"
ZIP_MAGIC: Final = b"PK\x03\x04"
_HEADER_SIZE_MAX: Final = 65536
_ISAL_ERROR: Any = isal_zlib.error
_PARSING: Final = threading.Lock()
_V1_COLUMNS: Final = 6
"""Archives of HftBacktest before 2.0: a plain float matrix of event, two times, side, price and quantity."""


def event_hint(found: "np.dtype[Any]", shape: tuple[int, ...]) -> str:
    """What a file without event rows may be."""
    if found.names is None and len(shape) == 2 and shape[1] >= _V1_COLUMNS:
        return (
            "this looks like an archive of HftBacktest 1: convert it with its migration tool "
            "`hftbacktest.data.utils.migration2.convert`, or convert the capture again"
        )
    if found.names is not None and {"req_ts", "resp_ts"} <= set(found.names):
        return "these are order latencies: give them as the asset's latency data"
    return "an archive has rows of `hftd.types.event_dtype`"


def latency_hint(found: "np.dtype[Any]", _shape: tuple[int, ...]) -> str:
    """What a file without latency rows may be."""
    if found.names is not None and "local_ts" in found.names:
        return "this is market data: give it as the asset's data"
    return "latencies have rows of `hftd.types.latency_dtype`"


@contextlib.contextmanager
def reading(where: str) -> Generator[None, None, None]:
    """What may go wrong with a file meanwhile becomes a `DataError`."""
    try:
        yield
    except FileNotFoundError:
        raise DataError("there is no such file", where=where) from None
    except zipfile.BadZipFile as error:
        if "CRC" in str(error):
            raise broken(where, "its checksum is wrong") from None
        raise broken(where, "the end of the zip file is missing or damaged") from None
    except (zlib.error, _ISAL_ERROR, EOFError) as error:
        raise broken(where, str(error) or "it ends too early") from None
    except (lzma.LZMAError, NotImplementedError, RuntimeError, UnicodeDecodeError) as error:
        raise DataError(f"the archive can't be unpacked: {error}", where=where) from None
    except OSError as error:
        raise DataError(f"the file can't be read: {error.strerror or error}", where=where) from None
    except MemoryError:
        raise DataError("the archive does not fit into memory", where=where) from None


def check_magic(start: bytes, where: str) -> None:
    """Say what a file is not, if its first bytes are not a zip file's.

    Raises:
        DataError: They are not.
    """
    if not start:
        raise DataError("the file is empty", where=where)
    if not start.startswith(ZIP_MAGIC):
        raise DataError(
            "the file is neither npz nor npy",
            where=where,
            hint="captures become archives by `hftd convert`",
        )


def find_member(file: IO[bytes], where: str) -> zipfile.ZipInfo:
    """Where a zip file's rows stand.

    Raises:
        DataError: It has no array of that name.
    """
    with zipfile.ZipFile(file) as archive:
        names = [name.removesuffix(".npy") for name in archive.namelist()]
        if KEY not in names:
            keys = ", ".join(repr(name) for name in names[:8]) or "nothing"
            raise DataError(f"the archive has no array {KEY!r}", where=where, hint=f"it holds {keys}")
        return archive.infolist()[names.index(KEY)]


def broken(where: str, how: str) -> DataError:
    """The error of a file that was cut off or changed."""
    return DataError(
        f"the archive is broken: {how}",
        where=where,
        hint="it was cut off or changed after it was written: copy it again, or convert the capture again",
    )


def read_header(file: Any, size: int, dtype: "np.dtype[Any]", where: str, hint: Any) -> int:
    """How many rows an npy stream of `size` bytes announces; the stream stands at the first one then.

    Raises:
        DataError: They are of another type, or can't all be there.
    """
    limit: dict[str, Any] = {"max_header_size": _HEADER_SIZE_MAX}
    try:
        version = np.lib.format.read_magic(file)
        if version == (1, 0):
            raw = _header_bytes(file)
            count = _plain_count(raw, dtype)
            if count is not None and count * dtype.itemsize <= size - file.tell():
                return count
            with _PARSING:
                header = io.BytesIO(len(raw).to_bytes(2, "little") + raw)
                described = np.lib.format.read_array_header_1_0(header, **limit)
        else:
            with _PARSING:
                described = np.lib.format.read_array_header_2_0(file, **limit)
    except (ValueError, TypeError, KeyError, SyntaxError, tokenize.TokenError) as error:
        raise DataError(f"the array's header can't be read: {error}", where=where) from None
    shape, _, found = described
    if found.hasobject:
        raise DataError("the array holds Python objects, which are never loaded", where=where)
    if found != dtype:
        raise DataError(_difference(found, dtype), where=where, hint=hint(found, shape))
    if len(shape) != 1:
        raise DataError(f"the array has {len(shape)} dimensions, not one", where=where)
    if not isinstance(shape[0], int) or isinstance(shape[0], bool) or shape[0] < 0:
        raise DataError(f"the array's header can't be read: it has {shape[0]} rows", where=where)
    left = size - file.tell()
    if shape[0] * dtype.itemsize > left:
        raise broken(where, f"{shape[0]:,} rows were announced, and {left // dtype.itemsize:,} are there")
    return shape[0]


def _header_bytes(file: Any) -> bytes:
    """The text of a header of the first version."""
    raw = b""
    size = 2
    while len(raw) < size:
        part = file.read(size - len(raw))
        if not part:
            raise ValueError("it ends too early")
        raw += part
        if size == 2 == len(raw):
            size += int.from_bytes(raw, "little")
    return raw[2:]


def _plain_count(raw: bytes, dtype: "np.dtype[Any]") -> int | None:
    """How many rows a header announces that is just as numpy writes it; None of another one.

    Python's parser, which reads the others, must not run in two threads at once (in 3.11 its count of recursions is
    one for all).
    """
    descr = repr(np.lib.format.dtype_to_descr(dtype))
    pattern = (
        re.escape(f"{{'descr': {descr}, 'fortran_order': False, 'shape': (") + r"([0-9]{1,18}),\), \} *\n"
    )
    found = re.fullmatch(pattern.encode(), raw)
    return int(found[1]) if found else None


def _difference(found: "np.dtype[Any]", wanted: "np.dtype[Any]") -> str:
    """In which fields two row types differ."""
    if found.names is None:
        return f"the array is of {found}, and has no fields {', '.join(wanted.names or ())}"
    differences: list[str] = []
    for name in wanted.names or ():
        if name not in found.names:
            differences.append(f"{name} is missing")
        elif found[name] != wanted[name]:
            differences.append(f"{name} is {found[name]}, not {wanted[name]}")
    differences += [f"{name} is not expected" for name in found.names if name not in (wanted.names or ())]
    if not differences:
        differences.append(f"{found.itemsize} bytes, in another order or alignment, not {wanted.itemsize}")
    return "the rows are of another type: " + "; ".join(differences)
