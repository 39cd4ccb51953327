"""The memory of one conversion in a process of its own: `python -m benchmarks.convert_memory (hftd|reference) LINES`.

The capture is generated: 20 levels a line, some messages sent before others that arrived earlier. Printed as JSON:
rows, seconds, and the highest resident memory before (all compiled and imported) and after.
"""

import json
import random
import sys
import tempfile
import zlib
from pathlib import Path

from benchmarks.convert_cases import reference
from hftd.clock import monotonic_ns
from sim.archive.stream import EventReader
from sim.convert import convert

_LEVELS = 10


def write_capture(path: Path, lines: int) -> None:
    """A capture of so many depth updates of 20 levels."""
    chance = random.Random(1)
    sides = [
        [
            ",".join(
                f'["{50_000 + sign * chance.randint(1, 4000) / 10:.1f}","{chance.randint(0, 999) / 100}"]'
                for _ in range(_LEVELS)
            )
            for _ in range(97)
        ]
        for sign in (-1, 1)
    ]
    packer = zlib.compressobj(1, zlib.DEFLATED, 31)
    with path.open("wb") as file:
        for number in range(lines):
            ms = 1_723_161_256_000 + 2 * number
            sent = ms - 8 * (number % 7 == 0)
            text = (
                f'{ms}000000 {{"stream":"btcusdt@depth@0ms","data":{{"e":"depthUpdate","E":{ms},"T":{sent},'
                f'"s":"BTCUSDT","U":{number},"u":{number + 1},"pu":{number},"b":[{sides[0][number % 97]}],'
                f'"a":[{sides[1][number % 89]}]}}}}\n'
            )
            file.write(packer.compress(text.encode()))
        file.write(packer.flush())


def highest() -> int:
    """The highest resident memory so far, in bytes."""
    text = Path("/proc/self/status").read_text()
    return next(int(line.split()[1]) * 1024 for line in text.splitlines() if line.startswith("VmHWM"))


def main() -> None:
    """Measure one conversion."""
    who, lines = sys.argv[1], int(sys.argv[2])
    with tempfile.TemporaryDirectory(prefix="hftd-bench-") as name:
        folder = Path(name)
        output = folder / "out.npz"
        paths = folder / "small.gz", folder / "large.gz"
        for path, count in zip(paths, (500, lines), strict=True):
            write_capture(path, count)
        found = {}
        for path in paths:
            before, start_ns = highest(), monotonic_ns()
            if who == "hftd":
                convert([path], output)
            else:
                theirs = reference("binancefutures", lambda out, path=path: (str(path), str(out)))
                if theirs is None:
                    sys.exit("the reference is not installed")
                theirs(output)
            found = {"before": before, "seconds": (monotonic_ns() - start_ns) / 1e9, "after": highest()}
        with EventReader(output) as reader:
            found["rows"] = reader.count
        print(json.dumps(found))


if __name__ == "__main__":
    main()
