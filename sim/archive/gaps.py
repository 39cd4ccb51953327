"""The windows in which something is missing of an archive: a member of its own, ``gaps.json``, beside the rows.

Who reads the rows alone does not see it. Among the rows stand two of kind `BOOK_LOST` and two of `BOOK_BACK` for each
window of the book, one for either side: by them a replay knows that the book is not valid.
"""

import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import msgspec

from hftd.errors import DataError
from hftd.recording import Gap
from sim.archive import npz

GAPS: Final = b"gaps.json"
SIZE_MAX: Final = 64 << 20

encode_gaps: Final = msgspec.json.Encoder().encode
_decode: Final = msgspec.json.Decoder(list[Gap]).decode


def read_gaps(path: Path | str) -> Sequence[Gap]:
    """The windows that an archive tells of; none where it tells nothing, or is no npz file.

    Raises:
        DataError: The file is missing or broken.
    """
    where = str(path)
    with npz.reading(where), Path(path).open("rb") as file:
        if not file.read(4).startswith(npz.ZIP_MAGIC):
            return ()
        with zipfile.ZipFile(file) as archive:
            if GAPS.decode() not in archive.namelist():
                return ()
            if archive.getinfo(GAPS.decode()).file_size > SIZE_MAX:
                raise DataError("its windows in which something is missing are too many", where=where)
            data = archive.read(GAPS.decode())
    try:
        return _decode(data)
    except msgspec.DecodeError as error:
        raise DataError(f"its {GAPS.decode()} can't be read: {error}", where=where) from None
