"""Conversions that are killed, that have no room, or that are long: the output is the old one or whole."""

import errno
import os
import random
import resource
import signal
import subprocess
import sys

import pytest

from hftd.errors import DataError
from sim.archive import read_events
from sim.convert import convert
from sim.convert.rows import spool as spool_module
from tests.forks import Forked

from .captures import capture, packed

CONVERTING = """
import itertools, sys
from pathlib import Path
from sim.convert import convert
from sim.convert.rows import spool
spool.MEMORY_MAX = 1 << 18
first, second, output = map(Path, sys.argv[1:])
convert([first], output.with_name("warm.npz"))
print("ready", flush=True)
for path in itertools.cycle((second, first)):
    convert([path], output)
"""


def names_in(folder):
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_a_conversion_that_is_killed_a_hundred_times_leaves_the_old_archive_or_a_whole_one(tmp_path):
    chance = random.Random(2)
    inputs = [packed(tmp_path / f"{name}.gz", capture(number, 4000)) for number, name in enumerate("ab")]
    output = tmp_path / "out" / "day.npz"
    output.parent.mkdir()
    whole = []
    for path in inputs:
        convert([path], output)
        whole.append(output.read_bytes())
    found = set()
    for _ in range(100):
        child = Forked(["-c", CONVERTING, *inputs, output], stdout=subprocess.PIPE)
        assert child.stdout.readline() == b"ready\n"
        try:
            child.wait(chance.uniform(0, 0.5))
        except subprocess.TimeoutExpired:
            child.send_signal(signal.SIGKILL)
        assert child.wait(30) == -signal.SIGKILL
        child.stdout.close()
        (tmp_path / "out" / "warm.npz").unlink()
        found.add(output.read_bytes())
        assert found <= set(whole)
        assert len(names_in(output.parent)) <= 2
    convert([inputs[0]], output)
    assert names_in(output.parent) == ["day.npz"]
    assert output.read_bytes() == whole[0]


@pytest.mark.parametrize("is_spooled", [True, False])
def test_a_full_disk_is_one_error_and_leaves_the_old_archive_alone(
    tmp_path, small_disk, monkeypatch, is_spooled
):
    if is_spooled:
        monkeypatch.setattr(spool_module, "MEMORY_MAX", 1 << 18)
    output = small_disk / "day.npz"
    convert([packed(tmp_path / "small.gz", capture(1, 20))], output)
    before = output.read_bytes()
    path = packed(tmp_path / "large.gz", capture(2, 20_000))
    with pytest.raises(DataError, match=os.strerror(errno.ENOSPC)) as error:
        # Stored rows, so that the archive is as large as they are.
        convert([path], output, options=None if is_spooled else stored())
    assert str(small_disk) in str(error.value)
    assert "nothing was left behind" in str(error.value)
    assert names_in(small_disk) == ["day.npz"]
    assert output.read_bytes() == before


@pytest.mark.parametrize("is_spooled", [True, False])
def test_a_limit_on_file_sizes_is_one_error_too(tmp_path, monkeypatch, is_spooled):
    if is_spooled:
        monkeypatch.setattr(spool_module, "MEMORY_MAX", 1 << 18)
    path = packed(tmp_path / "large.gz", capture(2, 4000))
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 18, limits[1]))
    try:
        with pytest.raises(DataError, match=os.strerror(errno.EFBIG)):
            convert([path], tmp_path / "day.npz", options=stored())
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, handler)
    assert names_in(tmp_path) == ["large.gz"]


def stored():
    from sim.convert import Options

    return Options(level=0)


LARGE = """
import sys
from pathlib import Path
from sim.convert import convert

def highest():
    text = Path("/proc/self/status").read_text()
    return next(int(line.split()[1]) * 1024 for line in text.splitlines() if line.startswith("VmHWM"))

small, large, output = map(Path, sys.argv[1:])
convert([small], output)
before = highest()
report = convert([large], output)
print(report.rows, report.rows_split, before, highest())
"""


def write_large(path, lines):
    """A long capture, of whose messages some overtake others; quickly made."""
    import zlib

    chance = random.Random(5)
    bids, asks = (
        [
            ",".join(
                f'["{50_000 + sign * chance.randint(1, 4000) / 10:.1f}","0.5"]' for _ in range(10 + sign)
            )
            for _ in range(53)
        ]
        for sign in (-1, 1)
    )
    packer = zlib.compressobj(1, zlib.DEFLATED, 31)
    with path.open("wb") as file:
        part = []
        for number in range(lines):
            ms = 1_723_161_256_000 + 2 * number
            sent = ms - 8 * (number % 7 == 0)
            part.append(
                f'{ms}000000 {{"e":"depthUpdate","E":{ms},"T":{sent},"s":"BTCUSDT","U":{number},"u":{number + 1},'
                f'"pu":{number},"b":[{bids[number % 53]}],"a":[{asks[number % 47]}]}}\n'
            )
            if len(part) == 2000:
                file.write(packer.compress("".join(part).encode()))
                part.clear()
        file.write(packer.compress("".join(part).encode()) + packer.flush())


@pytest.mark.thorough
def test_the_memory_of_a_conversion_does_not_grow_with_its_input(tmp_path):
    write_large(tmp_path / "small.gz", 1000)
    write_large(tmp_path / "large.gz", 150_000)
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            LARGE,
            *(str(tmp_path / name) for name in ("small.gz", "large.gz", "out.npz")),
        ],
        capture_output=True,
        text=True,
        timeout=110,
        check=True,
    )
    rows, rows_split, before, after = map(int, done.stdout.split())
    assert rows - rows_split == 3_000_000
    assert rows_split > 100_000
    # The rows alone are 192 MB.
    assert after - before < 150 << 20
    assert len(read_events(tmp_path / "out.npz")) == rows
