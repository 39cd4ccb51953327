"""`hftd validate`, `snapshot`, `latency` and `inspect` as users call them: output, exit codes, bad input."""

import contextlib
import io
import json
import zipfile

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import daemon.cli
from daemon.cli.failing import run
from hftd.recording import Gap
from hftd.types import LOCAL_EVENT, event_dtype, latency_dtype
from sim.archive import read_events, read_latencies, write_events
from sim.archive.write import ArchiveWriter
from sim.checks import examine
from sim.results.parts import Curve
from tests.sim.checks.market import START_NS, in_both_orders, kinds, sound_rows

DAY_NS = 86_400_000_000_000


@pytest.fixture
def call(capfd):
    """Run `hftd` in this process: call("validate", ...) gives (code, stdout, stderr)."""

    def call(*arguments):
        code = run(daemon.cli.hftd, [*map(str, arguments), *quiet(arguments)])
        return (code, *capfd.readouterr())

    return call


def quiet(arguments):
    """Compiling is said on stderr, which these tests look at."""
    return [] if arguments[:2] == ("latency", "orders") else ["--progress", "none"]


@pytest.fixture
def day(tmp_path):
    write_events(tmp_path / "day.npz", sound_rows(1))
    return tmp_path / "day.npz"


@pytest.fixture
def bad_day(tmp_path):
    rows = sound_rows(1)
    rows["px"][90] = np.nan
    rows[[70, 200]] = rows[[200, 70]]
    write_events(tmp_path / "bad.npz", rows)
    return tmp_path / "bad.npz"


def is_png(path):
    return path.read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"


# validate


def test_a_sound_archive_is_said_to_be_sound(call, day):
    code, out, err = call("validate", day)
    assert (code, err) == (0, "")
    assert out.rstrip().endswith("sound")
    assert "0.1 (guessed), 0.001 (guessed)" in out


def test_problems_are_a_table_with_rows_and_exit_code_1(call, bad_day):
    code, out, _ = call("validate", bad_day)
    assert code == 1
    assert "exch_order" in out
    assert "row 90:" in out
    assert "not finite" in out
    assert "not sound" in out


def test_problems_are_read_at_80_columns(tmp_path):
    from daemon.cli.show import archives
    from daemon.cli.show.terminal import show
    from sim.checks import validate

    rows = sound_rows(1)
    rows["local_ts"] += 100_000_000
    rows["px"][90] = np.nan
    rows[[70, 200]] = rows[[200, 70]]
    write_events(tmp_path / "bad.npz", rows)
    bad_day, stream = tmp_path / "bad.npz", Terminal()
    show(archives.validation(validate([bad_day])), stream)
    lines = stream.getvalue().splitlines()
    assert max(len(line) for line in lines) <= 80
    assert "…" not in stream.getvalue()
    at = next(n for n, line in enumerate(lines) if "price 1" in line)
    assert lines[at].startswith("error")
    assert lines[at + 1].startswith("  the price is not finite")
    assert lines[at + 2].startswith("    row 90: ")
    # What does not fit stands below the values.
    assert lines[at + 3].startswith(" " * len("    row 90: "))


class Terminal(io.StringIO):
    """80 columns without colours."""

    def isatty(self):
        return True


@pytest.fixture(autouse=True)
def _columns(monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("TERM", "dumb")
    monkeypatch.setenv("NO_COLOR", "1")


def test_off_tick_and_off_lot_name_the_options_that_give_the_sizes(call, tmp_path):
    rows = sound_rows(1)
    rows["px"][90] += 0.05
    rows["qty"][91] += 0.0005
    write_events(tmp_path / "off.npz", rows)
    document = json.loads(call("validate", tmp_path / "off.npz", "--json")[1])
    hints = {problem["name"]: problem["hint"] for problem in document["problems"]}
    assert "--tick-size" in hints["off_tick"]
    assert "--lot-size" in hints["off_lot"]


def test_a_row_with_both_times_in_another_unit_is_one_row(call, tmp_path):
    rows = sound_rows(1)
    for name in ("exch_ts", "local_ts"):
        rows[name] //= 1000
    write_events(tmp_path / "us.npz", rows)
    document = json.loads(call("validate", tmp_path / "us.npz", "--json")[1])
    (problem,) = [one for one in document["problems"] if one["name"] == "time_unit"]
    assert problem["count"] == len(rows)
    assert [place["row"] for place in problem["first"]] == list(range(len(problem["first"])))


def test_split_rows_are_counted_once_by_validate_and_inspect(call, tmp_path):
    received = sound_rows(1)
    received["local_ts"] += np.random.default_rng(1).integers(0, 200_000_000, len(received))
    rows = in_both_orders(received)
    assert len(rows) > len(received)
    write_events(tmp_path / "split.npz", rows)
    checked = json.loads(call("validate", tmp_path / "split.npz", "--json")[1])
    inspected = json.loads(call("inspect", tmp_path / "split.npz", "--json")[1])["check"]
    for found in (checked, inspected):
        assert sum(found["rows_by_kind"].values()) == len(received)
        assert found["rows_by_kind"]["trade"] == (kinds(received) == 2).sum()
        assert found["split_rows"] == len(rows) - len(received)
        assert found["rows"] == len(rows)


def test_inspect_says_that_a_snapshot_is_one(call, day, tmp_path):
    call("snapshot", day, tmp_path / "eod.npz")
    assert "this is a snapshot" in call("inspect", tmp_path / "eod.npz")[1]
    assert "this is a snapshot" not in call("inspect", day)[1]


def test_json_has_everything_for_a_program(call, bad_day):
    code, out, _ = call("validate", bad_day, "--json", "--tick-size", "0.1")
    document = json.loads(out)
    assert code == 1
    problems = {problem["name"]: problem for problem in document["problems"]}
    assert problems["price"]["first"][0]["row"] == 90
    assert problems["price"]["first"][0]["px"] is None
    assert problems["exch_order"]["severity"] == "error"
    assert (document["tick_guessed"], document["lot_guessed"]) == (False, True)


def test_a_copy_is_corrected_and_the_exit_code_is_the_copys(call, bad_day, tmp_path):
    code, out, _ = call("validate", bad_day, "--fix", tmp_path / "good.npz")
    assert code == 0
    assert "with a price or quantity that can't be 1" in out
    assert "the copy is sound" in out
    assert call("validate", tmp_path / "good.npz")[0] == 0
    code, out, _ = call("validate", bad_day, "--fix", tmp_path / "good.npz", "--json")
    document = json.loads(out)
    assert document["fixed"][0]["dropped"] == {"with a price or quantity that can't be": 1}
    assert document["after"]["problems"] == []


def test_consecutive_days_are_one_run_and_their_border_is_checked(call, tmp_path):
    files = []
    for number in range(3):
        files.append(tmp_path / f"day{number}.npz")
        write_events(files[-1], sound_rows(number, start_ns=START_NS + number * DAY_NS))
    code, out, _ = call("validate", *files, "--json", "--gap", "100000")
    assert (code, json.loads(out)["rows"]) == (0, sum(len(read_events(file)) for file in files))
    code, out, _ = call("validate", files[0], files[2], files[1], "--json", "--gap", "1000000")
    assert code == 1
    (order,) = [one for one in json.loads(out)["problems"] if one["name"] == "local_order"]
    assert (order["first"][0]["file"], order["first"][0]["row"], order["count"]) == (str(files[1]), 0, 1)


def test_several_archives_are_corrected_into_a_folder(call, day, bad_day, tmp_path):
    code, _, err = call("validate", day, bad_day, "--fix", tmp_path / "not-there")
    assert code == 2
    assert "takes a folder" in err
    (tmp_path / "fixed").mkdir()
    call("validate", day, bad_day, "--fix", tmp_path / "fixed")
    assert read_events(tmp_path / "fixed" / "day.npz").tobytes() == read_events(day).tobytes()
    assert call("validate", tmp_path / "fixed" / "bad.npz")[0] == 0


@pytest.mark.thorough
def test_pictures_are_written(call, bad_day, day, tmp_path):
    for number, (command, file) in enumerate((("validate", bad_day), ("validate", day), ("inspect", day))):
        picture = tmp_path / f"{number}.png"
        call(command, file, "--picture", picture)
        assert is_png(picture)
    call("latency", "feed", day, tmp_path / "l.npz", "--picture", tmp_path / "l.png", "--resampling", "100ms")
    assert is_png(tmp_path / "l.png")
    call("latency", "orders", tmp_path / "l.npz", tmp_path / "m.npz", "--picture", tmp_path / "m.png")
    assert is_png(tmp_path / "m.png")


def test_a_picture_shows_the_windows_in_which_something_is_missing(tmp_path):
    from daemon.cli.show import charts, picture

    rows = in_both_orders(sound_rows(1))
    first, last = int(rows["local_ts"].min()), int(rows["local_ts"].max())
    with ArchiveWriter(tmp_path / "day.npz", event_dtype) as writer:
        writer.write(rows)
        writer.gaps = [Gap(first - 9, first, first + 10**9), Gap(last - 10**9, last, last + 9)]
    report, series = examine([tmp_path / "day.npz"])
    chart = charts.archive(report, series)
    (panel,) = (one for one in chart.columns[0] if one.names is not None)
    assert panel.names[-1] == "missing"
    drawn = [part.x.tolist() for part in panel.parts if isinstance(part, Curve)][-2:]
    assert drawn[0][0] >= first - series.width_ns
    assert drawn[0][1] == first + 10**9
    assert drawn[1][0] == last - 10**9
    picture.draw(tmp_path / "day.png", chart)
    assert (tmp_path / "day.png").stat().st_size > 10_000


def test_a_picture_of_rows_without_a_local_time_says_so(call, tmp_path):
    rows = sound_rows(1)
    rows["ev"] &= ~np.uint64(LOCAL_EVENT)
    rows["px"][7] = np.nan
    write_events(tmp_path / "exch.npz", rows)
    code, _, err = call("validate", tmp_path / "exch.npz", "--picture", tmp_path / "a.png")
    assert (code, "failed" in err) == (1, False)
    assert is_png(tmp_path / "a.png")


# snapshot, latency, inspect


def test_a_snapshot_can_be_read_as_an_archive(call, day, tmp_path):
    code, out, err = call("snapshot", day, tmp_path / "eod.npz")
    assert (code, err) == (0, "")
    rows = read_events(tmp_path / "eod.npz")
    assert f"{len(rows):,} rows of levels" in out
    code, out, _ = call("snapshot", day, tmp_path / "eod.npz", "--json")
    document = json.loads(out)
    assert document["bids"] + document["asks"] == len(rows)


def test_a_snapshot_at_a_time_of_day(call, day, tmp_path):
    code, out, _ = call("snapshot", day, tmp_path / "early.npz", "--at", "00:00:03", "--json")
    assert code == 0
    assert json.loads(out)["last_ts"] <= START_NS + 3_000_000_000
    code, _, err = call("snapshot", day, tmp_path / "early.npz", "--at", "noon")
    assert code == 2
    assert "is not a time" in err


def test_latencies_of_a_feed_are_a_table_and_an_archive(call, day, tmp_path):
    code, out, _ = call("latency", "feed", day, tmp_path / "l.npz", "--mul-entry", "3", "--offset-resp", "50")
    assert code == 0
    assert "round trip" in out
    rows = read_latencies(tmp_path / "l.npz")
    code, out, _ = call("latency", "orders", tmp_path / "l.npz", tmp_path / "m.npz", "--json")
    document = json.loads(out)
    assert document["rows"] == len(rows)
    assert document["entry"]["p50_ns"] > 0


def test_inspect_shows_book_rows_and_rates(call, day):
    code, out, _ = call("inspect", day, "--at", "00:00:03", "--depth", "2", "--rows", "1")
    assert code == 0
    assert "bids" in out
    assert "rows/s" in out
    assert "sound" in out
    document = json.loads(call("inspect", day, "--json")[1])
    assert document["kind"] == "events"
    assert len(document["book"]["bids"]) == 5


# Bad input: one message, exit code 2, never a traceback.


def _truncated(path):
    write_events(path, sound_rows(1))
    path.write_bytes(path.read_bytes()[:-3000])


def _flipped(path):
    write_events(path, sound_rows(1))
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 0xFF
    path.write_bytes(data)


def _wrong_key(path):
    np.savez(path, rows=sound_rows(1))


def _reference_1(path):
    np.savez(path, data=np.zeros((10, 6)))


def _pickled(path):
    np.savez(path, data=np.array([{}], object))


def _no_rows(path):
    np.savez(path, data=np.zeros(0, event_dtype))


def _text_in_zip(path):
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("data.npy", "no array")


BAD = {
    "truncated": _truncated,
    "flipped": _flipped,
    "wrong key": _wrong_key,
    "of the reference's version 1": _reference_1,
    "with objects": _pickled,
    "without rows": _no_rows,
    "text in a zip": _text_in_zip,
    "empty": lambda path: path.write_bytes(b""),
    "text": lambda path: path.write_text("no archive"),
    "a folder": lambda path: path.mkdir(),
    "missing": lambda _path: None,
}

COMMANDS = {
    "validate": lambda file, out: ("validate", file),
    "fix": lambda file, out: ("validate", file, "--fix", out),
    "snapshot": lambda file, out: ("snapshot", file, out),
    "latency feed": lambda file, out: ("latency", "feed", file, out),
    "latency orders": lambda file, out: ("latency", "orders", file, out),
    "inspect": lambda file, out: ("inspect", file),
}


@pytest.mark.parametrize("bad", list(BAD))
@pytest.mark.parametrize("command", list(COMMANDS))
def test_bad_input_is_one_message_and_writes_nothing(call, tmp_path, command, bad):
    file, out = tmp_path / "day.npz", tmp_path / "out.npz"
    BAD[bad](file)
    code, stdout, err = call(*COMMANDS[command](file, out))
    assert (code, stdout) == (2, "")
    assert err.startswith("error: ")
    assert err.count("error:") == 1
    assert str(file) in err
    assert "Traceback" not in err
    assert "hftd itself failed" not in err
    assert {path.name for path in tmp_path.iterdir()} <= {"day.npz"}


def test_a_file_of_another_kind_is_named_as_what_it_is(call, tmp_path):
    write_events(tmp_path / "latency.npz", np.zeros(5, latency_dtype))
    code, _, err = call("validate", tmp_path / "latency.npz")
    assert code == 2
    assert "order latencies" in err


@pytest.mark.parametrize(
    "arguments",
    [
        ("validate",),
        ("validate", "day.npz", "--tick-size", "0"),
        ("validate", "day.npz", "--tick-size", "nan"),
        ("validate", "day.npz", "--gap", "-1"),
        ("snapshot", "day.npz"),
        ("latency", "feed", "day.npz", "out.npz", "--resampling", "0s"),
        ("latency", "feed", "day.npz", "out.npz", "--mul-entry", "nan"),
        ("latency", "feed", "day.npz", "out.csv"),
        ("inspect", "day.npz", "--depth", "-1"),
        ("inspect", "day.npz", "--at", "late"),
    ],
)
def test_options_that_make_no_sense_are_refused(call, tmp_path, monkeypatch, arguments):
    monkeypatch.chdir(tmp_path)
    write_events("day.npz", sound_rows(1))
    code, out, err = call(*arguments)
    assert (code, out) == (2, "")
    assert "Traceback" not in err
    assert {path.name for path in tmp_path.iterdir()} == {"day.npz"}


def quietly(*arguments):
    """The exit code of a command that must not fail in a way that was not thought of."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = run(daemon.cli.hftd, [*map(str, arguments), "--progress", "none"])
    assert "hftd itself failed" not in err.getvalue()
    assert "Traceback" not in err.getvalue()
    assert code == 2 or json.loads(out.getvalue())
    return code


@settings(deadline=None, max_examples=60)
@given(
    seed=st.integers(0, 100),
    flips=st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(1, 255)), max_size=4),
    cut=st.none() | st.floats(0, 1),
)
def test_fuzzed_files_are_checked_or_refused(tmp_path_factory, seed, flips, cut):
    path = tmp_path_factory.mktemp("fuzzed") / "day.npz"
    write_events(path, sound_rows(seed, 20), level=seed % 2)
    data = bytearray(path.read_bytes())
    for at, change in flips:
        data[int(at * len(data))] ^= change
    path.write_bytes(data if cut is None else data[: int(cut * len(data))])
    for command in ("validate", "inspect"):
        assert quietly(command, path, "--json") in (0, 1, 2)


@settings(deadline=None, max_examples=60)
@given(data=st.binary(min_size=64, max_size=64 * 40))
@pytest.mark.thorough
def test_rows_of_any_bytes_are_checked_without_a_crash(tmp_path_factory, data):
    path = tmp_path_factory.mktemp("any") / "day.npz"
    write_events(path, np.frombuffer(data[: len(data) // 64 * 64], event_dtype), level=0)
    for arguments in (("validate", path), ("inspect", path), ("validate", path, "--fix", f"{path}.npz")):
        assert quietly(*arguments, "--json") in (0, 1, 2)
