"""The folder: a user's own files in it are safe, it may be taken away, and how much room it may take is checked."""

import os

import pytest

from hftd.errors import UsageError
from sim.feed import cache, known
from sim.feed.preparing import prepare_file
from tests.forks import run
from tests.sim.feed.runs import WANTED, maker_on, on_disk, result_of, some_day

HEX = "0123456789abcdef"


def prepare(path):
    return prepare_file(path, WANTED.tick_size, WANTED.lot_size)


def run_command(*arguments):
    done = run(["daemon.cli", *arguments])
    return done.returncode, done.stdout, done.stderr


@pytest.fixture
def own(folder):
    """The cache's folder, which is a user's own folder too."""
    on_disk(folder / "mon.npz", some_day(1))
    names = [
        "notes.txt", ".hidden", "tue.npz", "a.part", "abc.v1.part", "data.v1", f"{HEX * 4}", f"{HEX * 4}.v1",
        f"3f-{HEX * 4}-{HEX}.v1.bak", f"x3f-{HEX * 4}-{HEX}.v1", f"3f-{HEX * 4}-{HEX}.vx", f"3F-{HEX * 4}-{HEX}.v1",
        f"3f-{HEX * 4}-{HEX}.v1\n", f"{HEX * 4}-{HEX}.part", f"{HEX * 4}-{HEX}.v1.part~",
    ]  # fmt: skip
    for name in names:
        (folder / name).write_text(f"mine: {name}")
    (folder / "known" / "people.txt").write_text("mine")
    # A blob of another program that has the same way of naming.
    (folder / "known" / (HEX * 4)).write_bytes(bytes(100))
    inner = folder / f"3f-{HEX * 4}-{'a' * 16}.v1"
    inner.mkdir()
    (inner / "letter.txt").write_text("mine")
    (folder / f"3f-{HEX * 4}-{'b' * 16}.v1").symlink_to(folder / "notes.txt")
    os.mkfifo(folder / f"3f-{HEX * 4}-{'c' * 16}.v1")
    return folder


def content(folder):
    """All that stands there, but what is the cache's."""
    return {
        str(path.relative_to(folder)): path.read_bytes() if path.is_file() else str(path.lstat().st_mode)
        for path in folder.rglob("*")
        if path not in {entry.path for entry in cache.entries()}
        and not (path.parent.name == "known" and path.is_file() and path.stat().st_size == 64)
    }


def test_a_users_own_files_in_the_folder_outlive_runs_and_preparing(own):
    before = content(own)
    expected = result_of(maker_on(some_day(1)))
    for _ in range(2):
        assert result_of(maker_on(own / "mon.npz")) == expected
    assert len(cache.entries()) == 1
    cache.prune(0)
    prepare(own / "mon.npz")
    assert len(cache.entries()) == 1
    assert content(own) == before


@pytest.mark.parametrize("limit_bytes", [None, 0, 1])
def test_a_users_own_files_in_the_folder_outlive_pruning(own, limit_bytes, monkeypatch):
    monkeypatch.setattr(known, "_KNOWN_MAX", 0)
    prepare(own / "mon.npz")
    before = content(own)
    torn = own / f"{HEX * 4}-{HEX}.v1.part"
    old = own / f"3f-{HEX * 4}-{HEX}.v0"
    for path in (torn, old):
        path.write_bytes(b"torn")
    assert cache.prune(limit_bytes).files == (2 if limit_bytes is None else 3)
    assert content(own) == before
    assert not torn.exists() and not old.exists()


@pytest.mark.thorough
@pytest.mark.parametrize("arguments", [["--prune"], ["--clear"], ["--max-size", "1B"], ["--check"]])
def test_the_commands_leave_a_users_own_files_alone_and_say_that_there_are_some(own, arguments):
    before = content(own)
    code, out, err = run_command("cache", *arguments)
    assert code == 0 and "Traceback" not in err
    assert f"never touched: {len(cache.foreign_files())}" in out
    assert len(cache.foreign_files()) == 19
    assert content(own) == before
    assert f'"foreign_files":{len(cache.foreign_files())}' in run_command("cache", "--json")[1]


def test_a_folder_of_its_own_has_no_other_files(folder, tmp_path):
    prepare(on_disk(tmp_path / "day.npz", some_day()))
    assert cache.foreign_files() == []
    assert "never touched" not in run_command("cache")[1]


@pytest.mark.parametrize("text", ["64GB", "abc", "nan", "inf", "-1"])
def test_a_limit_that_is_no_number_is_said_before_the_run_plays(folder, tmp_path, monkeypatch, text):
    day = on_disk(tmp_path / "day.npz", some_day())
    monkeypatch.setenv("HFTD_PREPARED_MAX_GB", text)
    for attempt in (lambda: maker_on(day), lambda: prepare(day), cache.max_bytes):
        with pytest.raises(UsageError, match="HFTD_PREPARED_MAX_GB") as error:
            attempt()
        assert "without a unit, such as 64" in str(error.value.hint)
    assert cache.entries() == []


@pytest.mark.parametrize("text", ["", " ", None])
def test_a_limit_that_is_empty_is_as_one_that_is_not_set(folder, monkeypatch, text):
    monkeypatch.delenv("HFTD_PREPARED_MAX_GB", raising=False)
    unset = cache.max_bytes()
    if text is not None:
        monkeypatch.setenv("HFTD_PREPARED_MAX_GB", text)
    assert cache.max_bytes() == unset


@pytest.mark.parametrize(("text", "size"), [("64", 64 << 30), ("0.5", 1 << 29), ("0", 0), ("1e300", 1 << 60)])
def test_a_limit_is_a_number_of_gigabytes(folder, monkeypatch, text, size):
    monkeypatch.setenv("HFTD_PREPARED_MAX_GB", text)
    assert cache.max_bytes() == size


def test_a_limit_that_becomes_nonsense_during_a_run_does_not_end_it(folder, tmp_path, monkeypatch):
    day = on_disk(tmp_path / "day.npz", some_day())
    hbt = maker_on(day)
    monkeypatch.setenv("HFTD_PREPARED_MAX_GB", "much")
    assert result_of(hbt) == result_of(maker_on_rows())
    assert hbt.warnings() == []


def maker_on_rows():
    os.environ["HFTD_PREPARED_MAX_GB"] = ""
    return maker_on(some_day())
