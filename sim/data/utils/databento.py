"""`sim.convert`'s converter of Databento's files, by HftBacktest's name and arguments."""

from typing import Any, Literal

from numpy.typing import NDArray

from hftd.errors import UsageError
from sim.data.utils.converting import Name, converted


def convert(
    input_file: Name,
    symbol: str | None = None,
    output_filename: Name | None = None,
    base_latency: float = 0,
    file_type: Literal["mbo"] = "mbo",
) -> NDArray[Any]:
    """Convert a file of market by order; `symbol` chooses one of several.

    Raises:
        UsageError: The type of the file is another.
    """
    if file_type != "mbo":
        raise UsageError(
            f"the file's type is {file_type!r}", hint="here it is 'mbo'; `hftd convert` has others"
        )
    return converted("databento", [input_file], output_filename, base_latency, symbol=symbol)
