"""A bot's waits last as long as they should, and its time never goes back, whatever is done to the machine's clock."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]

SHIM = r"""
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

/* CLOCK_REALTIME is off by as many nanoseconds as the file SHIFT holds. */
static volatile long long *shift;

__attribute__((constructor)) static void look(void) {
    int fd = open(getenv("SHIFT"), O_RDONLY);
    void *mapped = mmap(0, 8, PROT_READ, MAP_SHARED, fd, 0);
    shift = mapped == MAP_FAILED ? 0 : mapped;
}

int clock_gettime(clockid_t id, struct timespec *at) {
    int failed = syscall(SYS_clock_gettime, id, at);
    if (!failed && id == CLOCK_REALTIME && shift) {
        long long ns = at->tv_sec * 1000000000LL + at->tv_nsec + *shift;
        at->tv_sec = ns / 1000000000LL;
        at->tv_nsec = ns % 1000000000LL;
    }
    return failed;
}
"""

PROGRAM = """
import json, os
import numpy as np
from hftd.bot import backend as kernels
from hftd.bot.layout import backend_dtype
from hftd.clock import boot_ns, monotonic_ns, wall_ns
from hftd.compiled.layout import WAIT_TIME, session_dtype

page, clock = np.zeros(1 << 12, np.int64), np.zeros(1 << 12, np.int64)
backend, session = np.zeros(1, backend_dtype), np.zeros(1, session_dtype)
backend["page"], backend["clock"], backend["cpus"] = page.ctypes.data, clock.ctypes.data, 8
session["backend"], session["fn_drain"] = backend.ctypes.data, kernels.drain.address
address = session.ctypes.data
kernels.advance.compiled()
session["now_ns"], backend["woke_boot_ns"] = wall_ns(), boot_ns()

def wait(ms):
    before_ns, start_ns = int(session["now_ns"][0]), monotonic_ns()
    kernels.advance.call(address, before_ns + ms * 1_000_000, WAIT_TIME, 0, 0)
    return (monotonic_ns() - start_ns) / 1e6, (int(session["now_ns"][0]) - before_ns) / 1e6

fd = os.open(os.environ["SHIFT"], os.O_WRONLY)
told = [wait(50)]
for shift_s in (-30, 0, -20):
    os.pwrite(fd, (shift_s * 1_000_000_000).to_bytes(8, "little", signed=True), 0)
    told += [wait(50), wait(50)]
print(json.dumps(told))
"""


@pytest.mark.skipif(shutil.which("cc") is None, reason="a C compiler makes the library that sets the clock")
def test_a_wait_takes_its_time_and_time_goes_on_when_the_clock_is_set_back_and_forward(tmp_path: Path):
    (tmp_path / "shim.c").write_text(SHIM)
    subprocess.run(
        ["cc", "-shared", "-fPIC", "-o", tmp_path / "shim.so", tmp_path / "shim.c"], check=True, timeout=60
    )
    (tmp_path / "shift").write_bytes(bytes(8))
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        env=os.environ | {"LD_PRELOAD": str(tmp_path / "shim.so"), "SHIFT": str(tmp_path / "shift")},
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=280,
    )
    assert done.returncode == 0, done.stderr
    first, back, still_back, forward, after, back_again, _ = json.loads(done.stdout)
    for took_ms, _ in (first, back, still_back, forward, after, back_again):
        # Each begins where the one before ended; a busy machine adds what it adds.
        assert 40 < took_ms < 5_000
    assert first[1] >= 50
    for took_ms, told_ms in (back, still_back, back_again):
        assert 0.8 * 50 <= told_ms <= took_ms + 5, "it goes on, slower, until the clock has caught up"
    assert forward[1] < 5_000, "it was never behind, so there is nothing to jump to"
