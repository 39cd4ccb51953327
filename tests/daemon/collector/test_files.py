import gzip
import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from daemon.collector import frames
from daemon.collector.files import DayFile, begin_note, day_of, file_name, last_line_ns
from daemon.collector.writer import Writer
from hftd.clock import monotonic_ns
from hftd.recording import DAY_NS, UNSURE_NS, Broken, Whole, gaps_of, quality_path, read_notes
from sim.convert.files.text import TextFile

DAY = 20_000
NS = DAY * DAY_NS
KINDS = ("zstd", "gzip")


def lines_of(path: Path) -> list[bytes]:
    """The lines of a recording, as `hftd convert` unpacks it; damage is an error."""
    file = TextFile(path)
    text = b"".join(block for part in file.parts() for block in part.blocks())
    assert file.damage == []
    return text.splitlines()


def day_file(folder: Path, kind: frames.Compression) -> DayFile:
    return DayFile(folder, "BTCUSDT", DAY, kind, 3)


def write(file: DayFile, *numbers: int) -> None:
    file.add(b"".join(b"%d {}\n" % (NS + one) for one in numbers))
    file.flush()


@pytest.mark.parametrize("kind", KINDS)
def test_frames_that_are_appended_after_restarts_are_one_file(tmp_path: Path, kind: frames.Compression):
    for start in (0, 2, 4):
        file = day_file(tmp_path, kind)
        write(file, start)
        write(file, start + 1)
        file.close()
    assert lines_of(file.path) == [b"%d {}" % (NS + one) for one in range(6)]


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(cut=st.integers(1, 400))
def test_of_a_torn_frame_what_can_be_read_is_kept_and_the_rest_is_said_to_be_missing(
    tmp_path: Path, kind: frames.Compression, cut: int
):
    for path in tmp_path.iterdir():
        path.unlink()
    file = day_file(tmp_path, kind)
    file.note(begin_note(NS, "1"))
    file.note(Whole(NS - UNSURE_NS))
    write(file, *range(5))
    whole = file.path.stat().st_size
    noise = os.urandom(3000).hex().encode()
    file.add(b"".join(b"%d %b\n" % (NS + 5 + at, noise[at * 50 : at * 50 + 50]) for at in range(100)))
    file.flush()
    file.close()
    size = file.path.stat().st_size
    os.truncate(file.path, max(size - cut, whole))
    again = day_file(tmp_path, kind)
    write(again, 1000)
    again.close()
    found = lines_of(again.path)
    assert found[:5] == [b"%d {}" % (NS + one) for one in range(5)]
    assert found[-1] == b"%d {}" % (NS + 1000)
    newest = int(found[-2].split()[0])
    broken = [note for note in read_notes(quality_path(again.path)) if isinstance(note, Broken)]
    # What was waited for when it was killed is not known.
    assert [note.ns for note in broken] == [newest - UNSURE_NS]


def test_a_process_that_is_killed_between_lines_and_notes_has_said_from_when_on_nothing_is_sure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    file = day_file(tmp_path, "zstd")
    file.note(begin_note(NS, "1"))
    file.note(Whole(NS))
    write(file, *(one * UNSURE_NS for one in range(5)))
    file.note(Broken(NS + 2 * UNSURE_NS, NS + 8 * UNSURE_NS, "a gap"))
    file.note(Whole(NS + 9 * UNSURE_NS))
    file.add(b"%d {}\n" % (NS + 10 * UNSURE_NS))
    append, written = DayFile._append, []

    def killed(self: DayFile, handle: int, data: bytes, at: int) -> int:
        if len(written) == 2:
            raise OSError(9, "killed")
        written.append(data)
        return append(self, handle, data, at)

    monkeypatch.setattr(DayFile, "_append", killed)
    with pytest.raises(OSError, match="killed"):
        file.flush()
    monkeypatch.undo()
    file.close()
    assert [gap.from_ns for gap in gaps_of([read_notes(quality_path(file.path))])] == [NS + UNSURE_NS]
    day_file(tmp_path, "zstd").close()
    notes = read_notes(quality_path(file.path))
    assert [note.ns for note in notes if isinstance(note, Broken)] == [NS + 2 * UNSURE_NS]


@pytest.mark.parametrize("kind", KINDS)
def test_a_file_that_another_process_writes_is_left_alone(tmp_path: Path, kind: frames.Compression):
    one, other = day_file(tmp_path, kind), day_file(tmp_path, kind)
    assert one.path.name == file_name("BTCUSDT", DAY, 1, kind)
    assert other.path.name == file_name("BTCUSDT", DAY, 2, kind)
    one.close()
    third = day_file(tmp_path, kind)
    assert third.path == one.path
    for file in (other, third):
        file.close()


def test_a_file_that_is_none_of_ours_is_never_overwritten(tmp_path: Path):
    path = tmp_path / file_name("BTCUSDT", DAY, 1, "gzip")
    path.write_bytes(gzip.compress(b"somebody's\n"))
    before = path.read_bytes()
    file = day_file(tmp_path, "gzip")
    write(file, 1)
    file.close()
    assert path.read_bytes() == before
    assert file.path != path


def test_gzip_is_what_other_tools_read(tmp_path: Path):
    file = day_file(tmp_path, "gzip")
    write(file, 1)
    write(file, 2)
    file.close()
    with gzip.open(file.path) as text:
        assert text.read() == b"%d {}\n%d {}\n" % (NS + 1, NS + 2)


def test_a_frame_that_can_t_be_written_waits_and_leaves_nothing_half(tmp_path: Path, monkeypatch):
    file = day_file(tmp_path, "zstd")
    write(file, 1)
    size = file.path.stat().st_size
    real = os.pwrite

    def full(handle: int, data: bytes, at: int) -> int:
        real(handle, bytes(data)[:3], at)
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "pwrite", full)
    file.add(b"%d {}\n" % (NS + 2))
    with pytest.raises(OSError, match="No space"):
        file.flush()
    assert file.path.stat().st_size == size
    assert file.is_behind
    monkeypatch.undo()
    file.flush()
    file.close()
    assert lines_of(file.path) == [b"%d {}" % (NS + one) for one in (1, 2)]


def test_names_hold_whatever_an_exchange_calls_its_symbols():
    assert file_name("PURR/USDC", day_of(NS), 1, "zstd") == "PURR%2FUSDC_20241004.zst"
    assert file_name("@107", DAY, 3, "gzip") == "%40107_20241004.3.gz"


def test_the_last_line_tells_until_when_there_is_something(tmp_path: Path):
    file = day_file(tmp_path, "zstd")
    write(file, 1, 2)
    write(file, 3, 4)
    handle = os.open(file.path, os.O_RDONLY)
    end, last = frames.whole_size(handle, "zstd")
    assert last_line_ns(handle, last, end, "zstd") == NS + 4
    os.close(handle)
    file.close()


def test_a_writer_that_was_only_just_made_is_not_said_to_be_stuck(tmp_path: Path):
    before_ns = monotonic_ns()
    assert before_ns <= Writer(tmp_path, "zstd", 3, 60.0, 0).progress_ns <= monotonic_ns()
