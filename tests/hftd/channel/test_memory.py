"""The pieces of shared memory can be trusted by both sides."""

import ctypes
import fcntl
import mmap
import os
import struct
from collections.abc import Callable

import pytest

from hftd.channel import layout
from hftd.channel.memory import F_SEAL_FUTURE_WRITE, BotPage, ClockPage, Link, MarketRing, Piece
from hftd.errors import ProtocolError

MAKERS: list[Callable[[], Piece]] = [
    lambda: ClockPage.make(7, layout.MODE_SIMULATED),
    lambda: MarketRing.make(1 << 14, lossless=False),
    lambda: Link.make(4096, 8192),
    BotPage.make,
]
ids = ["clock", "market", "link", "bot"]


def open_fds() -> int:
    return len(os.listdir("/proc/self/fd"))


def unsealed(header: tuple[int, ...], size: int, seals: int) -> int:
    fd = os.memfd_create("test", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    os.ftruncate(fd, size)
    os.pwrite(fd, struct.pack(f"{len(header)}q", *header), 0)
    fcntl.fcntl(fd, fcntl.F_ADD_SEALS, seals)
    return fd


@pytest.mark.parametrize("make", MAKERS, ids=ids)
def test_both_sides_see_what_the_maker_writes(make: Callable[[], Piece]):
    with make() as mine, type(mine).open(os.dup(mine.fd)) as theirs:
        mine.set_word(2048, -5)
        assert theirs.word(2048) == -5
        assert theirs.size == mine.size
        assert theirs.address not in (0, mine.address)


@pytest.mark.parametrize("make", MAKERS, ids=ids)
def test_no_one_can_shrink_or_grow_or_unseal_a_piece(make: Callable[[], Piece]):
    with make() as piece:
        for size in (0, piece.size - 1, piece.size + 4096):
            with pytest.raises(PermissionError):
                os.ftruncate(piece.fd, size)
        with pytest.raises(PermissionError):
            fcntl.fcntl(piece.fd, fcntl.F_ADD_SEALS, fcntl.F_SEAL_WRITE)


@pytest.mark.parametrize("make", MAKERS[:2], ids=ids[:2])
def test_a_bot_can_write_neither_clock_nor_market_by_any_way(make: Callable[[], Piece]):
    with make() as mine, type(mine).open(os.dup(mine.fd)) as theirs:
        with pytest.raises(TypeError):
            theirs.set_word(2048, 1)
        with pytest.raises(PermissionError):
            mmap.mmap(theirs.fd, theirs.size, prot=mmap.PROT_READ | mmap.PROT_WRITE)
        with pytest.raises(PermissionError):
            os.pwrite(theirs.fd, b"x", 2048)
        reopened = os.open(f"/proc/self/fd/{theirs.fd}", os.O_RDWR)
        with pytest.raises(PermissionError):
            mmap.mmap(reopened, theirs.size, prot=mmap.PROT_READ | mmap.PROT_WRITE)
        os.close(reopened)
        mprotect = ctypes.CDLL(None, use_errno=True).mprotect
        wanted = mmap.PROT_READ | mmap.PROT_WRITE
        assert mprotect(ctypes.c_void_p(theirs.address), ctypes.c_size_t(4096), wanted) == -1
        mine.set_word(2048, 3)
        assert theirs.word(2048) == 3


@pytest.mark.parametrize("seals", [0, fcntl.F_SEAL_SHRINK, fcntl.F_SEAL_GROW])
def test_a_page_that_may_shrink_under_its_reader_is_refused(seals: int):
    fd = unsealed((layout.BOT_MAGIC, layout.PROTOCOL_VERSION), 4096, seals)
    with pytest.raises(ProtocolError, match="seals"):
        BotPage.open(fd)


SIZE_SEALS = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW
READ_ONLY = SIZE_SEALS | F_SEAL_FUTURE_WRITE
V = layout.PROTOCOL_VERSION


@pytest.mark.parametrize(
    ("kind", "header", "size", "seals", "match"),
    [
        (BotPage, (layout.BOT_MAGIC, V), 0, SIZE_SEALS, "too few"),
        (BotPage, (layout.BOT_MAGIC, V), 8192, SIZE_SEALS, "8192 bytes instead of 4096"),
        (BotPage, (layout.CLOCK_MAGIC, V), 4096, SIZE_SEALS, "another kind"),
        (BotPage, (layout.BOT_MAGIC, V + 1), 4096, SIZE_SEALS, f"version {V + 1}, this is {V}"),
        (ClockPage, (layout.CLOCK_MAGIC, V), 4096, SIZE_SEALS, "seals"),
        (MarketRing, (layout.MARKET_MAGIC, V, 1 << 14), 4096, READ_ONLY, "4096 bytes instead of 20480"),
        (MarketRing, (layout.MARKET_MAGIC, V, 1 << 14), 4096 + (1 << 15), READ_ONLY, "instead of"),
        (MarketRing, (layout.MARKET_MAGIC, V, 5000), 9096, READ_ONLY, "capacity of 5000"),
        (MarketRing, (layout.MARKET_MAGIC, V, -4096), 4096, READ_ONLY, "capacity"),
        (Link, (layout.LINK_MAGIC, V, 4096, 4096), 4096, SIZE_SEALS, "instead of"),
        (Link, (layout.LINK_MAGIC, V, 1 << 62, 1 << 62), 4096, SIZE_SEALS, "capacities"),
    ],
)
def test_a_piece_that_is_not_what_it_says_is_refused_before_it_is_mapped_and_its_fd_closed(
    kind: type[Piece], header: tuple[int, ...], size: int, seals: int, match: str
):
    before = open_fds()
    fd = os.memfd_create("test", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    if size:
        os.pwrite(fd, struct.pack(f"{len(header)}q", *header), 0)
    os.ftruncate(fd, size)
    fcntl.fcntl(fd, fcntl.F_ADD_SEALS, seals)
    with pytest.raises(ProtocolError, match=match):
        kind.open(fd)
    assert open_fds() == before


def test_what_is_no_memory_at_all_is_refused():
    before = open_fds()
    reader, writer = os.pipe()
    with pytest.raises(ProtocolError, match="no sealed memory"):
        BotPage.open(reader)
    os.close(writer)
    assert open_fds() == before


@pytest.mark.parametrize("make", MAKERS, ids=ids)
def test_a_piece_is_closed_once_and_leaves_nothing_behind(make: Callable[[], Piece]):
    before = open_fds()
    shm = sorted(os.listdir("/dev/shm"))
    piece = make()
    assert sorted(os.listdir("/dev/shm")) == shm
    assert not piece.closed
    piece.close()
    other = os.memfd_create("same-number-perhaps")
    piece.close()
    os.fstat(other)
    os.close(other)
    assert piece.closed
    assert piece.address == 0
    assert open_fds() == before
    make()
    assert open_fds() == before, "one that is forgotten is closed by the collector"
