"""Which files there are of a day."""

from pathlib import Path

from daemon.collector.files import PARTS_MAX, file_name
from daemon.collector.frames import Compression


def parts_of(folder: Path, symbol: str, day: int, compression: Compression) -> list[Path]:
    """All parts of a symbol's day that hold something."""
    paths = (folder / file_name(symbol, day, part, compression) for part in range(1, PARTS_MAX + 1))
    return [path for path in paths if path.exists() and path.stat().st_size]
