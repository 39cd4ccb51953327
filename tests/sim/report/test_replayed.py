"""A bot's run and its replay's file together say what a backtest's file says; files of two runs are told apart."""

import json
import shutil

import msgspec
import numpy as np
import pytest

import daemon.cli
from daemon.cli.failing import run as run_command
from hftd.errors import DataError
from hftd.hbt.life import LIFE_FILL
from hftd.runfile import RunFile, RunMeta, read_run, write_run
from hftd.types import record_dtype
from sim.results.report import report
from tests.sim.market import START_NS
from tests.sim.report.runs import recorded


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A backtest's file, with the life of its orders."""
    return read_run(recorded(tmp_path_factory.mktemp("run"), count=15_000, assets=2, life=True))


def bots_file(whole: RunFile, folder, **changes) -> RunFile:
    """The same as a bot on channels would have recorded it: no life, archives or requests."""
    assets = [msgspec.structs.replace(asset, data=[], channel="c") for asset in whole.meta.assets]
    how = {"kind": "bot", "assets": assets, "dates": [], "ended": "end of data", **changes}
    tables = {name: rows for name, rows in whole.tables.items() if name != "orders"}
    write_run(
        folder / "bot.npz", whole.records, meta=msgspec.structs.replace(whole.meta, **how), tables=tables
    )
    return read_run(folder / "bot.npz")


def replays_file(whole: RunFile, folder, *, rows=None, bots=("other", "random"), **changes) -> RunFile:
    """The same as a replay would have written it: the assets in another order, other bots' orders among them."""
    life = (whole.life if rows is None else rows).copy()
    life["asset"] = 1 - life["asset"]
    others = life[:400].copy()
    life["bot"], others["bot"] = 1, 0
    others["order_id"] += 1
    assets = [msgspec.structs.replace(asset, channel="c", fee_model="value") for asset in whole.meta.assets]
    how = {
        "name": "replay",
        "kind": "replay",
        "assets": assets[::-1],
        "dates": ["20240808"],
        "settings": {"bots": list(bots)},
        **changes,
    }
    none = [np.zeros(0, record_dtype)] * 2
    write_run(folder / "life.npz", none, meta=RunMeta(**how), life=np.concatenate([others, life]))
    return read_run(folder / "life.npz")


def test_a_replay_and_its_bot_have_the_report_of_the_backtest(whole, tmp_path, monkeypatch, capfd):
    bots_file(whole, tmp_path)
    replays_file(whole, tmp_path)
    backtest = tmp_path / "backtest.npz"
    tables = {name: rows for name, rows in whole.tables.items() if name != "orders"}
    write_run(backtest, whole.records, meta=whole.meta, life=whole.life, tables=tables)
    monkeypatch.chdir(tmp_path)
    documents = []
    for arguments in (["bot.npz", "--life", "life.npz"], ["backtest.npz"]):
        assert run_command(daemon.cli.hftd, ["report", *arguments, "--json", "--progress", "none"]) == 0
        documents.append(json.loads(capfd.readouterr()[0])["runs"][0])
        del documents[-1]["path"]
    assert documents[0] == documents[1]
    for asset in documents[0]["assets"]:
        assert asset["figures"]["OrderFillRatio"] > 0
        assert asset["split"]["is_exact"]
        assert all(out["bps"] is not None for out in asset["markouts"][:3])


def test_without_the_life_a_bots_file_says_what_is_missing(whole, tmp_path):
    made = report(bots_file(whole, tmp_path)).runs[0]
    assert "were not recorded" in made.assets[0].why["OrderFillRatio"]
    assert any("names no archives" in note for note in made.notes)


def test_several_bots_of_replays_find_their_own_lives_and_a_backtest_needs_none(whole, tmp_path):
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    runs = [bots_file(whole, tmp_path / "one"), bots_file(whole, tmp_path / "two", name="second")]
    lives = [
        replays_file(whole, tmp_path / "two", bots=("other", "second")),
        replays_file(whole, tmp_path / "one"),
    ]
    made = report([*runs, whole], life=lives)
    assert len({run.assets[0].figures["OrderFillRatio"] for run in made.runs}) == 1
    assert made.runs[0].assets[0].figures["OrderFillRatio"] > 0
    with pytest.raises(DataError, match="none of the runs is of this replay") as caught:
        report([runs[0], whole], life=lives)
    assert caught.value.where == str(lives[0].path)
    with pytest.raises(DataError, match="none of the 2 lives is of this run"):
        report(bots_file(whole, tmp_path, name="third"), life=lives)


def moved(rows, **columns):
    rows = rows.copy()
    for name, change in columns.items():
        rows[name] = change(rows[name])
    return rows


def without_a_fill(rows):
    return np.delete(rows, np.flatnonzero(rows["kind"] == LIFE_FILL)[7])


@pytest.mark.parametrize(
    ("run_is", "replay_is", "said"),
    [
        ({"name": "else"}, {}, "the replay had no bot 'else', but other, random"),
        ({}, {"rows": lambda rows: moved(rows, ts=lambda ts: ts + 3_600_000_000_000)}, "the run is from 2024-08-08"),
        ({}, {"rows": without_a_fill}, "executions of X"),
        ({}, {"rows": lambda rows: moved(rows, exec_px=lambda px: px + 0.5 * (px > 0))}, "is not in the replay's file"),
        ({}, {"rows": lambda rows: rows[:0]}, "and the replay has 0"),
        ({}, {"kind": "backtest"}, "not the life of a replay's orders"),
        ({"name": ""}, {}, "does not name its bot"),
    ],
)  # fmt: skip
def test_files_of_two_runs_are_told_apart(whole, tmp_path, run_is, replay_is, said):
    changes = {name: change(whole.life) if callable(change) else change for name, change in replay_is.items()}
    bots_file(whole, tmp_path, **run_is)
    replays_file(whole, tmp_path, **changes)
    with pytest.raises(DataError, match=said) as caught:
        report(tmp_path / "bot.npz", life=tmp_path / "life.npz")
    assert caught.value.hint


def test_other_instruments_and_other_ticks_are_told_apart(whole, tmp_path):
    replays_file(whole, tmp_path)
    for how, said in (
        ({"symbol": "Y"}, "did not play c:Y"),
        ({"channel": "d"}, "did not play d:X0"),
        ({"tick_size": 0.25}, "the tick_size of X0 is 0.25, in the replay 0.5"),
    ):
        first, second = (msgspec.structs.replace(asset, channel="c") for asset in whole.meta.assets)
        run = bots_file(whole, tmp_path, assets=[msgspec.structs.replace(first, **how), second])
        with pytest.raises(DataError, match=said):
            report(run, life=tmp_path / "life.npz")


def test_what_a_bot_that_left_did_not_read_is_said_and_not_counted(whole, tmp_path):
    cut = whole.tables["fills"]
    cut = cut[cut["exch_ts"] <= np.sort(cut["exch_ts"])[-4]]
    left = RunFile(whole.path, whole.records, whole.meta, whole.life, whole.tables | {"fills": cut})
    replays_file(whole, tmp_path)
    made = report(bots_file(left, tmp_path, ended="stopped"), life=tmp_path / "life.npz").runs[0]
    assert any("left before it read the last 3 of its executions" in note for note in made.notes)
    assert sum(len(asset.done) for asset in made.assets) == len(cut)
    with pytest.raises(DataError, match="and the replay has"):
        report(bots_file(left, tmp_path, ended="end of data"), life=tmp_path / "life.npz")


def test_a_life_that_is_not_whole_gives_the_archives_alone(whole, tmp_path):
    replays_file(whole, tmp_path, rows=whole.life[:5_000], life_dropped=1_000)
    made = report(bots_file(whole, tmp_path), life=tmp_path / "life.npz").runs[0]
    assert any("1,000 rows of the orders' life did not fit" in note for note in made.notes)
    assert made.assets[0].figures["OrderFillRatio"] is None
    assert made.assets[0].markouts[1].bps is not None


def test_a_bot_that_came_again_is_the_coming_whose_fills_agree(whole, tmp_path):
    replays_file(whole, tmp_path, bots=("random", "random"))
    made = report(bots_file(whole, tmp_path), life=tmp_path / "life.npz").runs[0]
    assert made.assets[0].figures["OrderFillRatio"] > 0
    assert made.assets[0].done.exch_ts[0] > START_NS


def test_a_file_that_has_its_life_takes_no_other(whole, tmp_path):
    replays_file(whole, tmp_path)
    shutil.copy(whole.path, tmp_path / "run.npz")
    with pytest.raises(DataError, match="has the life of its orders already"):
        report(tmp_path / "run.npz", life=tmp_path / "life.npz")
