"""Packed inputs, whole and broken: what could be unpacked is converted, and what is lost is said."""

import gzip
import io
import tarfile
import zipfile
import zlib

import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from hftd.errors import DataError
from sim.archive import read_events
from sim.convert import Options, convert
from sim.convert.files.inflate import GZIP, inflated
from sim.convert.files.text import TextFile
from sim.convert.files.zst import Frames

from .captures import capture

LINES = capture(3, 3000)
TEXT = b"".join(LINES)


def as_zip(method=zipfile.ZIP_DEFLATED, text=TEXT, name="day.txt"):
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", method) as archive:
        archive.writestr(name, text)
    return made.getvalue()


def streamed_zip():
    """A zip file written to what can't be sought in: the sizes stand behind each file."""

    class Pipe(io.RawIOBase):
        parts = b""

        def writable(self):
            return True

        def write(self, data):
            self.parts += bytes(data)
            return len(data)

    pipe = Pipe()
    with zipfile.ZipFile(pipe, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("day.txt", TEXT)
    return pipe.parts


def as_zstd(*texts, checksum=True):
    packer = zstandard.ZstdCompressor(write_checksum=checksum)
    return b"".join(packer.compress(text) for text in texts or (TEXT,))


def streamed_zstd():
    packer = zstandard.ZstdCompressor(write_checksum=True).compressobj()
    parts = [packer.compress(text) for text in LINES]
    return b"".join(parts) + packer.flush()


PACKED = {
    "plain": TEXT,
    "gzip": gzip.compress(TEXT, 1),
    "zip": as_zip(),
    "stored zip": as_zip(zipfile.ZIP_STORED),
    "streamed zip": streamed_zip(),
    "zstd": as_zstd(),
    "streamed zstd": streamed_zstd(),
    "two zstd frames": as_zstd(TEXT[:5000], TEXT[5000:], checksum=False),
}


def converted(tmp_path, content, **options):
    path = tmp_path / "day.packed"
    path.write_bytes(content)
    report = convert([path], tmp_path / "out.npz", options=Options(**options))
    return report, read_events(tmp_path / "out.npz")


@pytest.fixture(scope="module")
def expected(tmp_path_factory):
    return converted(tmp_path_factory.mktemp("plain"), TEXT)[1].tobytes()


@pytest.mark.parametrize("kind", list(PACKED))
def test_all_packings_give_the_same_rows(tmp_path, expected, kind):
    report, rows = converted(tmp_path, PACKED[kind])
    assert rows.tobytes() == expected
    assert report.exit_code == 0
    assert report.bytes_text == len(TEXT)
    assert report.bytes_read == len(PACKED[kind])


@pytest.mark.parametrize("kind", [kind for kind in PACKED if kind != "plain"])
@pytest.mark.parametrize("share", [0.4, 0.8, 0.999])
def test_a_truncated_input_is_said_and_the_rows_before_it_are_kept(tmp_path, expected, kind, share):
    content = PACKED[kind]
    report, rows = converted(tmp_path, content[: int(len(content) * share)])
    assert report.exit_code == 1
    assert str(tmp_path / "day.packed") in report.damage[0]
    assert "what stands before" in report.damage[0]
    # Whole lines from the beginning, in proportion to what is there.
    assert report.lines > len(LINES) * (share - 0.35)
    assert report.ignored.get("torn, or not JSON", 0) == 0
    kept = report.lines - report.ignored.get("torn at the end of the file", 0)
    assert rows.tobytes() == converted(tmp_path, b"".join(LINES[:kept]))[1].tobytes()
    with pytest.raises(DataError, match="what stands before"):
        converted(tmp_path, content[: int(len(content) * share)], strict=True)


@pytest.mark.parametrize("kind", ["gzip", "zip", "stored zip", "zstd"])
def test_a_changed_byte_is_said(tmp_path, kind):
    for at in (0.3, 0.6):
        content = bytearray(PACKED[kind])
        content[int(len(content) * at)] ^= 0x55
        report, rows = converted(tmp_path, bytes(content))
        assert report.exit_code == 1
        assert "broken" in report.damage[0]
        assert len(rows) > 100


def test_several_files_in_a_zip_are_read_one_after_the_other(tmp_path, expected):
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.mkdir("folder")
        archive.writestr("folder/1.txt", b"".join(LINES[:1000]))
        archive.writestr("__MACOSX/._1.txt", b"\0\1")
        archive.writestr("folder/2.txt", b"".join([*LINES[1000:], b"x\n"]))
    report, rows = converted(tmp_path, made.getvalue())
    assert rows.tobytes() == expected
    assert report.exit_code == 0
    assert report.unreadable[0].file == f"{tmp_path}/day.packed/folder/2.txt"
    assert report.unreadable[0].line == len(LINES) - 1000 + 1


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (as_zip(text=b""), "empty"),
        (as_zip(text=b"\0\1" * 100), "binary data"),
        (as_zstd(b""), "empty"),
        (as_zstd(b"\0\1" * 100), "binary data"),
        (as_zip(zipfile.ZIP_LZMA), "packed with LZMA, which is not supported"),
        (as_zip(zipfile.ZIP_BZIP2), "packed with bzip2, which is not supported"),
        (b"PK\5\6" + bytes(18), "binary data"),
        (zlib.compress(TEXT), "none of|binary"),
    ],
)
def test_a_packed_input_that_gives_nothing_is_one_clear_error(tmp_path, content, message):
    with pytest.raises(DataError, match=message) as error:
        converted(tmp_path, content)
    assert "day.packed" in str(error.value)


def test_an_encrypted_zip_is_said(tmp_path):
    content = bytearray(as_zip())
    content[6] |= 1
    content[content.rindex(b"PK\1\2") + 8] |= 1
    with pytest.raises(DataError, match="encrypted"):
        converted(tmp_path, bytes(content))


def test_a_tar_archive_is_not_taken_for_text(tmp_path):
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w:gz") as archive:
        info = tarfile.TarInfo("day.txt")
        info.size = len(TEXT)
        archive.addfile(info, io.BytesIO(TEXT))
    with pytest.raises(DataError, match="a tar archive"):
        converted(tmp_path, made.getvalue())


@settings(deadline=None, max_examples=60)
@given(st.data())
def test_broken_gzip_gives_all_that_zlib_can_unpack_of_it(tmp_path_factory, data):
    content = bytearray(gzip.compress(TEXT[:60_000]))
    cut = data.draw(st.integers(0, len(content)))
    change = data.draw(st.integers(10, len(content) - 1))
    content[change] ^= data.draw(st.integers(1, 255))
    del content[cut:]
    path = tmp_path_factory.mktemp("g") / "a.gz"
    path.write_bytes(content)
    with path.open("rb") as file:
        ours = b"".join(inflated(file, GZIP))
    decoder = zlib.decompressobj(31)
    theirs = b""
    try:
        for at in range(len(content)):
            theirs += decoder.decompress(content[at : at + 1])
    except zlib.error:
        pass
    assert ours == theirs


@settings(deadline=None, max_examples=60)
@given(st.data())
def test_no_change_of_a_packed_input_is_more_than_damage(tmp_path_factory, data):
    kind = data.draw(st.sampled_from([kind for kind in PACKED if kind != "plain"]))
    content = bytearray(PACKED[kind])
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(content) - 1))
        content[at] = data.draw(st.integers(0, 255))
    path = tmp_path_factory.mktemp("p") / "a"
    path.write_bytes(content)
    try:
        for block in TextFile(path).blocks():
            assert len(block) <= 4 << 20
    except DataError as error:
        assert str(path) in str(error)


@settings(deadline=None, max_examples=200)
@given(st.lists(st.binary(max_size=400), max_size=4), st.integers(1, 50), st.booleans(), st.booleans())
def test_zstd_frames_are_followed_whatever_the_pieces(texts, piece, checksum, is_streamed):
    packer = zstandard.ZstdCompressor(write_checksum=checksum, write_content_size=not is_streamed)
    frames = [packer.compress(text * 20) for text in texts]
    frames.insert(len(frames) // 2, b"\x53\x2a\x4d\x18" + (7).to_bytes(4, "little") + b"skipped")
    content = b"".join(frames)
    ends = {0}
    for frame in frames:
        ends.add(max(ends) + len(frame))
    followed = Frames()
    at = 0
    while at < len(content):
        followed.feed(content[at : at + piece])
        at += piece
        assert followed.is_whole == (min(at, len(content)) in ends)
