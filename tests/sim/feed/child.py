"""What tests start as a process: `MODE FOLDER_OF_BLOCKS FILE ...`.

Modes: `prepare` makes the file's entry and prints its checksum; `run` runs the market maker and prints a checksum of
what it came to; `memory` runs over the files and prints the highest resident size in MB; `limit` prepares with files
limited to so many bytes; `stopped` prints `stopping` and stops itself after so many blocks of preparing.
"""

import hashlib
import os
import resource
import signal
import sys
from pathlib import Path
from typing import Any

from sim.feed import cache, layout, writer
from sim.feed.preparing import prepare_file
from strategies.market_making import market_making
from tests.sim.feed.runs import MAKER, WANTED, maker_on, result_of


def main() -> None:
    mode, block_rows, *rest = sys.argv[1:]
    layout.BLOCK_ROWS = int(block_rows)
    if mode == "prepare":
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        prepare_file(rest[0], WANTED.tick_size, WANTED.lot_size)
        sys.stdout.write(hashlib.sha256(cache.entries()[0].path.read_bytes()).hexdigest() + "\n")
    elif mode == "run":
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        sys.stdout.write(hashlib.sha256(result_of(maker_on(*rest))).hexdigest() + "\n")
    elif mode == "memory":
        # Without records of its own, which grow with the run.
        hbt = maker_on(*rest)
        market_making(hbt, *MAKER)
        hbt.check()
        status = Path("/proc/self/status").read_text()
        peak = next(line for line in status.splitlines() if line.startswith("VmHWM:"))
        sys.stdout.write(f"{int(peak.split()[1]) // 1024}\n")
    elif mode == "stopped":
        stop_after(int(rest[1]))
        prepare_file(rest[0], WANTED.tick_size, WANTED.lot_size)
    elif mode == "limit":
        resource.setrlimit(resource.RLIMIT_FSIZE, (int(rest[0]), int(rest[0])))
        hbt = maker_on(*rest[1:])
        found = result_of(hbt)
        sys.stdout.write(hashlib.sha256(found).hexdigest() + "\n")
        sys.stdout.write("\n".join(hbt.warnings()) + "\n")


def stop_after(blocks: int) -> None:
    publish = writer.Writer._publish

    def stop_first(self: writer.Writer, made: Any) -> None:
        if len(self.records) == blocks:
            sys.stdout.write("stopping\n")
            sys.stdout.flush()
            os.kill(os.getpid(), signal.SIGSTOP)
        publish(self, made)

    writer.Writer._publish = stop_first


if __name__ == "__main__":
    main()
