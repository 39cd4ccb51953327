"""`hftd verify`: a recorded run is made again from what its file notes, and whatever differs is named."""

import signal
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from hftd.runfile import RunFile, read_run, write_run
from hftd.runs.recipe import Market, Noting
from tests.sim.replay.harness import MAKER, Bench, futures, spot, wait_until

STRATEGY = """\
from numba import njit

from spreads import HALF_SPREAD


@njit
def quote(hbt, qty=0.01):
    number = 0
    while hbt.elapse(50_000_000) == 0:
        hbt.clear_inactive_orders(0)
        orders = hbt.orders(0).values()
        while orders.has_next():
            order = orders.get()
            if order.cancellable:
                hbt.cancel(0, order.order_id, False)
        depth = hbt.depth(0)
        if not depth.best_bid < depth.best_ask:
            continue
        number += 2
        hbt.submit_buy_order(0, number, depth.best_bid - HALF_SPREAD * depth.tick_size, qty, 0, 0, False)
        hbt.submit_sell_order(0, number + 1, depth.best_ask + HALF_SPREAD * depth.tick_size, qty, 0, 0, False)
    return True
"""
MODEL = """\
from numba import njit
import numpy as np
import sim


@njit
def entry(state, request, market):
    return state.entry_ns


@njit
def response(state, market):
    return 1_000_000


def slow(entry_ns=2_000_000):
    state = np.zeros(1, [("entry_ns", "i8")])
    state["entry_ns"] = entry_ns
    return sim.CustomLatency(entry, response, state)
"""


def verify(bench: Bench, path: Path, *more: str) -> tuple[int, dict[str, Any], str]:
    """The exit code, the JSON document and stderr of `hftd verify`."""
    process = bench.start("verify", path, "--json", "--progress", "plain", *more)
    code = process.wait()
    return code, process.json() if code < 2 else {}, process.stderr


def rewritten(path: Path, **changes: Any) -> RunFile:
    """Write a run's file again with another recipe."""
    run = read_run(path)
    assert run.meta is not None
    assert run.meta.recipe is not None
    recipe = msgspec.structs.replace(run.meta.recipe, **changes)
    write_run(
        path,
        run.records,
        meta=msgspec.structs.replace(run.meta, recipe=recipe),
        life=run.life,
        tables=run.tables,
    )
    return run


def own_strategy(bench: Bench, **changes: Any) -> Path:
    (bench.folder / "quoting.py").write_text(STRATEGY)
    (bench.folder / "spreads.py").write_text("HALF_SPREAD = 0\n")
    return bench.bot_config("quoter", futures(), strategy="quoting.py:quote", **changes)


def backtest(bench: Bench, config: Path, bot: Path, *more: str) -> Path:
    path = bot.with_suffix(".backtest.npz")
    if not more:
        bench.backtest(config, bot)
        return path
    process = bench.start(
        "backtest", "--config", config, "--bot", bot, "--date", "20220831", "--record", path, "--json", *more
    )
    assert process.wait() == 0, process.stderr
    return path


def first_differences(document: dict[str, Any]) -> dict[str, int]:
    return {one["table"]: one["first"] for one in document["tables"] if one["first"] is not None}


def test_a_backtest_made_again_is_equal_and_each_change_of_its_inputs_is_named(bench: Bench):
    for symbol in ("BTCUSDT", "BTCBUSD"):
        bench.add_data(f"{symbol}_20220831.npz", f"{symbol}_20220831.npz", lambda rows: rows)
    config = bench.replay_config(futures(), spot(), data=bench.folder)
    path = backtest(bench, config, own_strategy(bench), "--explain")
    assert len(read_run(path).tables["fills"]) > 0

    code, document, _ = verify(bench, path)
    assert (code, document["verdict"], document["inputs"], document["versions"]) == (0, "equal", [], {})
    assert {one["table"] for one in document["tables"]} == {
        "fills", "life", "order_latency", "orders", "records 0"
    }  # fmt: skip
    # Strategy, what it imports, and the archives of both instruments: the clock is that of both.
    assert document["files"] == 4

    # The configurations are in the file, so these may change.
    config.write_text("[replay]\n")
    assert verify(bench, path)[0] == 0

    helper = bench.folder / "spreads.py"
    helper.write_text("HALF_SPREAD = 1\n")
    code, document, _ = verify(bench, path)
    assert (code, document["verdict"]) == (1, "differs")
    assert [(one["path"], one["role"]) for one in document["inputs"]] == [(str(helper), "strategy")]
    assert first_differences(document)["life"] == 0
    helper.write_text("HALF_SPREAD = 0\n# A remark changes no result.\n")
    code, document, _ = verify(bench, path)
    assert (code, document["verdict"], len(document["inputs"])) == (1, "inputs changed", 1)
    helper.write_text("HALF_SPREAD = 0\n")

    archive = bench.folder / "BTCUSDT_20220831.npz"
    honest = archive.read_bytes()

    def tampered(rows: np.ndarray) -> np.ndarray:
        rows["qty"][len(rows) // 2 :] *= 2
        return rows

    bench.add_data(archive.name, archive.name, tampered)
    code, document, _ = verify(bench, path)
    assert code == 1
    assert [(one["path"], one["role"]) for one in document["inputs"]] == [(str(archive), "data")]
    # A row of equal length, the size of the file aside, is found by its hash.
    archive.write_bytes(honest)
    assert verify(bench, path)[0] == 0

    # What makes the run fail now is told with what has changed since.
    archive.write_bytes(honest[: len(honest) // 2])
    code, _, words = verify(bench, path)
    assert code == 2
    assert "the archive is broken" in words
    assert f"since the run has changed: {archive}" in words

    archive.rename(bench.folder / "elsewhere.npz")
    code, _, words = verify(bench, path)
    assert code == 2
    assert str(archive) in words
    assert "--moved" in words


def test_other_versions_are_named_and_do_not_count_as_a_difference(bench: Bench):
    path = backtest(bench, bench.replay_config(futures()), bench.bot_config("b", futures(), strategy=MAKER))
    meta = read_run(path).meta
    assert meta is not None
    assert meta.recipe is not None
    rewritten(path, versions={**meta.recipe.versions, "hftd": "0.0.1"}, code="another")
    code, document, _ = verify(bench, path)
    assert (code, document["verdict"]) == (0, "equal")
    assert document["versions"]["hftd"][0] == "0.0.1"
    assert document["versions"]["hftd's sources"][0] == "another"


def test_the_first_row_that_differs_is_told_with_its_values(bench: Bench):
    path = backtest(bench, bench.replay_config(futures()), bench.bot_config("b", futures(), strategy=MAKER))
    run = read_run(path)
    run.tables["fills"]["price"][3] += 0.1
    write_run(path, run.records, meta=run.meta, tables=run.tables)
    code, document, _ = verify(bench, path)
    assert code == 1
    assert first_differences(document) == {"fills": 3}
    (fills,) = [one for one in document["tables"] if one["table"] == "fills"]
    assert [one["field"] for one in fills["fields"]] == ["price"]
    shown = bench.start("verify", path)
    assert shown.wait() == 1
    assert "fills, row 3 at " in shown.stdout


def test_a_run_whose_files_are_in_another_folder_now_is_made_again_there(bench: Bench, tmp_path: Path):
    old, new = tmp_path / "old", tmp_path / "new"
    old.mkdir()
    (old / "models.py").write_text(MODEL)
    slow = '{ model = "custom", name = "models.py:slow", parameters = { entry_ns = 3_000_000 } }'
    config = bench.replay_config(futures(), latency=slow)
    config = config.rename(old / config.name)
    path = backtest(bench, config, bench.bot_config("b", futures(), strategy=MAKER))
    old.rename(new)
    code, _, words = verify(bench, path)
    assert code == 2
    assert "models.py" in words
    code, document, _ = verify(bench, path, "--moved", f"{old}={new}")
    assert (code, document["inputs"]) == (0, [])
    (new / "models.py").write_text(MODEL.replace("1_000_000", "9_000_000"))
    code, document, _ = verify(bench, path, "--moved", f"{old}={new}")
    assert code == 1
    assert [one["role"] for one in document["inputs"]] == ["model"]


def test_of_a_run_whose_paths_are_relative_files_may_be_elsewhere_without_their_configuration(bench: Bench):
    old, new = bench.folder / "days", bench.folder / "moved"
    old.mkdir()
    bench.add_data("BTCUSDT_20220831.npz", "days/BTCUSDT_20220831.npz", lambda rows: rows)
    (bench.folder / "at").mkdir()
    config = bench.replay_config(futures(), data=Path("../days"))
    config = config.rename(bench.folder / "at" / config.name)
    path = backtest(bench, config, own_strategy(bench))
    old.rename(new)
    (bench.folder / "quoting.py").rename(new / "quoting.py")
    moves = [f"{old}={new}", f"{bench.folder}/quoting.py={new}/quoting.py"]
    code, _, words = verify(bench, path, "--moved", moves[0])
    assert (code, "quoting.py" in words) == (2, True)
    code, document, words = verify(bench, path, "--moved", moves[0], "--moved", moves[1])
    assert (code, document.get("inputs")) == (0, []), words


def test_what_a_version_does_not_understand_of_a_configuration_is_said(bench: Bench):
    path = backtest(bench, bench.replay_config(futures()), bench.bot_config("b", futures(), strategy=MAKER))
    meta = read_run(path).meta
    assert meta is not None
    assert meta.recipe is not None
    rewritten(path, bot={**meta.recipe.bot, "tomorrow": {}}, versions={"hftd": "9.0"})
    code, _, words = verify(bench, path)
    assert code == 2
    assert "is not understood" in words
    assert "hftd (9.0 then" in words


def test_a_run_goes_on_where_what_it_is_made_from_cant_be_noted(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    gone = tmp_path / "\udcff"
    gone.mkdir()
    market = Market(config={}, base="", dates=[], code="")
    for files in ([], [("data", gone)]):
        noting = Noting({}, tmp_path if files else gone, lambda _, files=files: files)
        noting.begin("tests.sim.replay.test_verify", market)
        recipe = noting.finish()
        assert recipe is not None
        assert "not text" in recipe.why_not
        msgspec.json.encode(recipe)
    monkeypatch.chdir(gone)
    gone.rmdir()
    noting = Noting({}, tmp_path, lambda _: [])
    noting.begin("tests.sim.replay.test_verify", None)
    recipe = noting.finish()
    assert recipe is not None
    assert "could not be noted" in recipe.why_not


def test_a_bots_run_on_a_replay_is_made_again_and_so_is_what_a_killed_one_left(bench: Bench):
    bots = ["whole", "killed", "gate"]
    config = bench.replay_config(futures(), bots=bots)
    gate = bench.folder / "open"
    replay = bench.replay(config)
    whole = bench.bot(bench.bot_config("whole", futures(), strategy=MAKER))
    killed_config = bench.bot_config("killed", futures(), strategy=MAKER, interval_ns=1_000_000)
    killed = bench.bot(killed_config)
    bench.bot(bench.bot_config("gate", futures(), strategy="gate", path=str(gate), after_ns=6_000_000_000))
    wait_until(gate.with_suffix(".here").exists, replay)
    left = killed_config.with_suffix(".bot.npz")

    def has_rows() -> bool:
        try:
            run = read_run(left)
        except Exception:
            return False
        recipe = run.meta.recipe if run.meta is not None else None
        return len(run.tables["fills"]) > 3 and recipe is not None and all(f.sha256 for f in recipe.files)

    wait_until(has_rows, replay)
    killed.signal(signal.SIGKILL)
    gate.touch()
    assert whole.wait() == 0, whole.stderr
    code, document, words = verify(bench, bench.folder / "whole.bot.npz")
    assert code == 0, words
    assert document["part"] == ""
    code, document, words = verify(bench, left)
    assert code == 0, words
    assert "was killed" in document["part"]
    assert max(one["rows"] for one in document["tables"]) > 3


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"market": None}, "the run was live, on fut"),
        ({"why_not": "the replay followed the wall clock (--speed)"}, "--speed"),
    ],
)
def test_a_run_that_cant_be_made_again_says_why_and_what_helps(
    bench: Bench, changes: dict[str, Any], words: str
):
    path = backtest(bench, bench.replay_config(futures()), bench.bot_config("b", futures(), strategy=MAKER))
    rewritten(path, **changes)
    code, _, said = verify(bench, path)
    assert code == 2
    assert words in said
    assert "Traceback" not in said


def test_a_file_without_notes_says_that_it_has_none(bench: Bench):
    path = backtest(bench, bench.replay_config(futures()), bench.bot_config("b", futures(), strategy=MAKER))
    write_run(path, read_run(path).records)
    code, _, said = verify(bench, path)
    assert code == 2
    assert "does not say what the run was made from" in said


def test_a_replay_that_follows_the_wall_clock_notes_that_its_runs_cant_be_made_again(bench: Bench):
    config = bench.replay_config(futures())
    replay = bench.replay(config, "--speed", "50")
    bot = bench.bot(bench.bot_config("b", futures(), strategy=MAKER))
    assert bot.wait() == 0, bot.stderr
    assert replay.wait() == 0, replay.stderr
    code, _, said = verify(bench, bench.folder / "b.bot.npz")
    assert code == 2
    assert "--speed" in said
