"""Reports: figures that fit together, a page that needs nothing but itself, and clear words for bad input."""

import html.parser
import json
import re
import shutil

import msgspec
import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

import daemon.cli
from daemon.cli.failing import run as run_command
from hftd.errors import DataError, UsageError
from hftd.recording import Gap
from hftd.runfile import AssetMeta, RunMeta, read_run, write_run
from sim.archive.write import ArchiveWriter
from sim.results.report import report
from sim.results.report.plots import BUCKETS, chosen
from sim.stats import LinearAssetRecord
from tests.sim.report.pages import data_of, without_plotly
from tests.sim.report.runs import INTERVAL_NS, made_up, recorded
from tests.sim.stats.records import random_record
from tests.sim.test_fuse import conflated_market


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return recorded(tmp_path_factory.mktemp("run"), count=20_000, assets=2)


@pytest.fixture(scope="module")
def inverse_run(tmp_path_factory):
    return recorded(tmp_path_factory.mktemp("inverse"), count=20_000, inverse=True)


def test_figures_are_those_of_the_statistics_of_the_same_rows(run):
    made = report(run, resample="1s", book_size=5_000.0)
    rows = np.load(run)["0"]
    stats = (
        LinearAssetRecord(rows).resample("1s").stats(book_size=5_000.0, trading_days_per_year=365).splits[-1]
    )
    figures = made.runs[0].assets[0].figures
    for name in ("SR", "Sortino", "Return", "MaxDrawdown", "MaxPositionValue", "ReturnOverTrade"):
        assert figures[name] == stats[name]
    assert figures["DailyTradingValue"] == stats["DailyTurnover"]
    assert figures["MaxLeverage"] == float(np.abs(rows["position"] * rows["price"]).max()) / 5_000.0


@pytest.mark.parametrize("which", ["run", "inverse_run"])
def test_the_split_adds_up_and_its_total_is_the_runs_equity(which, request):
    made = report(request.getfixturevalue(which))
    file = read_run(made.runs[0].path)
    for number, asset in enumerate(made.runs[0].assets):
        meta, last = file.asset(number), file.records[number][-1]
        assert asset.split.is_exact
        worth = last["position"] * meta.contract_size
        worth = -worth / last["price"] if meta.is_inverse else worth * last["price"]
        balance = -last["balance"] if meta.is_inverse else last["balance"]
        assert asset.split.total == pytest.approx(balance + worth - last["fee"], rel=1e-9, abs=1e-12)
        assert asset.split.spread > 0
        assert abs(asset.split.inventory) > 0
        assert sum(period.pnl for period in asset.periods) == pytest.approx(
            asset.split.total, abs=0.02 * abs(asset.split.total)
        )


def test_all_together_is_the_sum_of_the_assets(run):
    made = report(run).runs[0]
    for key in ("NetPnl", "SpreadCaptured", "Inventory", "Fees", "NumberOfTrades", "TradingValue"):
        assert made.whole.figures[key] == pytest.approx(sum(asset.figures[key] for asset in made.assets))
    assert made.whole.figures["MaxPosition"] is None
    assert "don't add up" in made.whole.why["MaxPosition"]


def test_fill_ratios_come_from_the_requests(run):
    file = read_run(run)
    sent = file.tables["orders"]
    sent = sent[(sent["asset_no"] == 0) & (sent["kind"] == 1)]
    fills = file.tables["fills"]
    fills = fills[fills["asset_no"] == 0]
    figures = report(run).runs[0].assets[0].figures
    assert figures["OrderFillRatio"] == len(np.unique(fills["order_id"])) / len(sent)
    assert figures["QtyFillRatio"] == pytest.approx(fills["qty"].sum() / sent["qty"].sum())
    assert figures["MakerShare"] == pytest.approx(
        fills["qty"][fills["maker"] != 0].sum() / fills["qty"].sum()
    )


def test_without_its_archives_a_report_says_so_and_uses_the_recorders_prices(run, tmp_path):
    file = read_run(run)
    gone = [msgspec.structs.replace(asset, data=["gone.npz"]) for asset in file.meta.assets]
    path = tmp_path / "run.npz"
    write_run(path, file.records, meta=msgspec.structs.replace(file.meta, assets=gone), tables=file.tables)
    made = report(path).runs[0]
    assert any("gone.npz is not there any more" in note for note in made.notes)
    asset = made.assets[0]
    assert asset.split.is_exact
    assert asset.split.total == pytest.approx(report(run).runs[0].assets[0].split.total)
    assert [out.bps is not None for out in asset.markouts][1:4] == [True, True, True]
    assert INTERVAL_NS < 100_000_000


def test_a_run_with_fused_best_prices_says_where_its_mids_are_from(run, tmp_path):
    rows, _ = conflated_market(3, 300, late=False)
    np.savez(tmp_path / "a.npz", data=rows)
    file = read_run(run)

    def notes(**how):
        assets = [
            msgspec.structs.replace(asset, data=[str(tmp_path / "a.npz")], **how)
            for asset in file.meta.assets
        ]
        meta = msgspec.structs.replace(file.meta, assets=assets)
        write_run(tmp_path / "run.npz", file.records, meta=meta, tables=file.tables)
        given = {"X0": [tmp_path / "a.npz"]} if how.get("initial_snapshot") else None
        return " ".join(report(tmp_path / "run.npz", data=given).runs[0].notes)

    assert "(kind 5) are left out" in notes()
    assert "(kind 5)" not in notes(fuse_bbo=True)
    said = notes(initial_snapshot="gone.npz")
    assert "X0: the run's initial snapshot gone.npz is not there any more: the book begins empty" in said
    assert "X1: mid prices after executions are the recorder's prices" in said


def test_archives_can_be_given_for_each_asset_and_replace_those_of_the_run(run, tmp_path, monkeypatch, capfd):
    file = read_run(run)
    markets = [asset.data[0] for asset in file.meta.assets]
    rows = np.load(markets[0])["data"]
    names = ["a=1.npz", "b,2.npz"]
    for name, part in zip(names, (rows[:9_000], rows[9_000:]), strict=True):
        np.savez(tmp_path / name, data=part)
    shutil.copy(markets[1], tmp_path / "c.npz")
    where = [("left", "X0"), ("right", "X1")]
    assets = [
        msgspec.structs.replace(asset, data=["gone.npz"], channel=channel)
        for asset, (channel, _) in zip(file.meta.assets, where, strict=True)
    ]
    path = tmp_path / "run.npz"
    write_run(path, file.records, meta=msgspec.structs.replace(file.meta, assets=assets), tables=file.tables)
    of_run = report(run).runs[0]
    given = ["--data", "X0=a=1.npz", "--data", "left:X0=b,2.npz", "--data", "right:X1=c.npz"]
    monkeypatch.chdir(tmp_path)
    assert run_command(daemon.cli.hftd, ["report", "run.npz", "--json", "--progress", "none", *given]) == 2
    assert "given for X0 by two names" in capfd.readouterr()[1]
    given[3] = "X0=b,2.npz"
    assert run_command(daemon.cli.hftd, ["report", "run.npz", "--json", "--progress", "none", *given]) == 0
    made = json.loads(capfd.readouterr()[0])["runs"][0]
    for number, asset in enumerate(of_run.assets):
        assert made["assets"][number]["markouts"] == msgspec.to_builtins(asset.markouts)
    some = report(path, data={"X1": [markets[1]]}).runs[0]
    assert some.assets[1].markouts == of_run.assets[1].markouts
    assert any("X0" in note and "gone.npz" in note for note in some.notes)


def test_a_symbol_on_two_channels_must_be_named_with_its_channel(run, tmp_path):
    file = read_run(run)
    assets = [
        msgspec.structs.replace(asset, symbol="X", channel=channel)
        for asset, channel in zip(file.meta.assets, ("left", "right"), strict=True)
    ]
    path = tmp_path / "run.npz"
    write_run(path, file.records, meta=msgspec.structs.replace(file.meta, assets=assets), tables=file.tables)
    with pytest.raises(UsageError, match="X on several channels"):
        report(path, data={"X": assets[0].data})
    assert report(path, data={"left:X": assets[0].data}).runs[0].assets[0].markouts


def test_a_recorders_file_alone_has_a_report(tmp_path):
    made = report(made_up(tmp_path / "r.npz", 1, 2)).runs[0]
    assert made.assets[0].figures["SR"] is not None
    assert made.assets[0].split.is_exact
    assert "no executions" in made.assets[0].markouts[0].why
    assert made.whole is not None


@settings(max_examples=25, deadline=None)
@given(
    count=st.integers(0, 12),
    unpriced=st.integers(0, 12),
    chance=st.sampled_from([0.0, 0.7]),
    seed=st.integers(0, 99),
)
def test_every_figure_is_a_number_or_has_a_reason_and_the_page_has_no_nan(
    tmp_path_factory, count, unpriced, chance, seed
):
    path = made_up(
        tmp_path_factory.mktemp("r") / "r.npz",
        seed,
        count=count,
        unpriced=min(unpriced, count),
        trade_chance=chance,
    )
    made = report(path, resample="1s", book_size=100.0)
    for section in [*made.runs[0].assets, made.runs[0].whole]:
        for key, value in section.figures.items():
            assert value is None or np.isfinite(value)
            assert value is not None or section.why[key]
    assert "NaN" not in json.dumps(made.to_dict())
    assert not re.search(r">\s*-?(nan|inf|NaN)\b", made.html)


class Links(html.parser.HTMLParser):
    """What a page would ask for."""

    def __init__(self):
        super().__init__()
        self.found = []

    def handle_starttag(self, tag, attrs):
        for name, value in attrs:
            if name in ("src", "href", "srcset", "poster", "action", "data", "background"):
                self.found.append((tag, name, value))
            if name == "style" and "url(" in (value or ""):
                self.found.append((tag, name, value))


def test_the_page_refers_to_nothing_outside_of_itself(run):
    whole = report([run, run]).html
    # The script of the plots has addresses of maps in it: what it does is seen in a browser (test_page_in_browser).
    page = without_plotly(whole)
    links = Links()
    links.feed(page)
    assert links.found == []
    assert "url(" not in page
    assert "@import" not in page
    for call in ("fetch(", "XMLHttpRequest", "WebSocket", "sendBeacon", "importScripts"):
        assert call not in page
    assert "default-src 'none'" in page
    assert len(re.findall("</script", whole, re.IGNORECASE)) == len(re.findall("<script", page)) + 1


def test_names_that_users_give_can_not_change_the_page(tmp_path):
    evil = '</script><script>alert(1)</script><img src=x onerror="alert(2)">'
    meta = RunMeta(
        name=evil, strategy=evil, assets=[AssetMeta(symbol=evil)], warnings=[evil], parameters={"a": evil}
    )
    write_run(tmp_path / "r.npz", [random_record(1)], meta=meta)
    page = report(tmp_path / "r.npz", title=evil).html
    assert "<script>alert" not in page
    assert "<img" not in page
    assert len(re.findall("<script", page)) == 3


def test_a_million_rows_make_a_small_page_that_keeps_each_spike(tmp_path):
    rows = random_record(1, 1_000_000, interval_ns=10_000_000)
    rows["price"][654_321] = 50_000.0
    np.savez(tmp_path / "r.npz", **{"0": rows})
    page = report(tmp_path / "r.npz").html
    assert len(without_plotly(page)) < 300_000
    price = next(plot for key, plot in data_of(page).items() if key.endswith("price"))
    assert max(price["series"][0]["y"]) == 50_000.0
    assert "of 1,000,000 rows" in price["note"]


@settings(max_examples=60, deadline=None)
@given(count=st.integers(1, 6_000), seed=st.integers(0, 99), buckets=st.integers(1, 50), gaps=st.booleans())
def test_decimation_keeps_the_ends_and_the_extremes_of_each_part(count, seed, buckets, gaps):
    random = np.random.default_rng(seed)
    times = np.cumsum(random.integers(0, 10**12 if gaps else 10, count))
    values = random.normal(size=count)
    kept = chosen(times, [values], buckets)
    assert {0, count - 1} <= set(kept.tolist())
    assert (values[kept].min(), values[kept].max()) == (values.min(), values.max())
    assert len(kept) <= max(2 * buckets + 2, BUCKETS if times[-1] == times[0] else 0)


def test_what_can_not_be_reported_on_is_said(run, tmp_path):
    with pytest.raises(DataError, match="no such file"):
        report(tmp_path / "none.npz")
    with pytest.raises(UsageError, match="1 to 50"):
        report([])
    with pytest.raises(UsageError, match="book size"):
        report(run, book_size=-1.0)
    with pytest.raises(UsageError, match="week"):
        report(run, split="week")
    with pytest.raises(UsageError, match="duration"):
        report(run, resample="soon")
    with pytest.raises(DataError, match="2 assets") as caught:
        report(run, data=[run])
    assert "--data X0=FILE" in caught.value.hint
    with pytest.raises(UsageError, match="no run has an asset 'Y'") as caught:
        report(run, data={"Y": [run]})
    assert caught.value.hint == "there is X0, X1"
    with pytest.raises(UsageError, match="can't be written"):
        report(run, tmp_path / "nowhere" / "x.html")
    rows = random_record(1)
    rows["timestamp"][5] = 0
    np.savez(tmp_path / "r.npz", **{"0": rows})
    with pytest.raises(DataError, match="row 5"):
        report(tmp_path / "r.npz")


def test_the_command_writes_a_page_or_json(run, tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    shutil.copy(run, tmp_path / "run.npz")
    assert run_command(daemon.cli.hftd, ["report", "run.npz", "--progress", "none"]) == 0
    out, err = capfd.readouterr()
    assert "Net P&L" in out
    assert "run.html" in err
    assert (tmp_path / "run.html").read_text().startswith("<!doctype html>")
    assert run_command(daemon.cli.hftd, ["report", "run.npz", "--json", "--progress", "none"]) == 0
    document = json.loads(capfd.readouterr()[0])
    assert document["runs"][0]["assets"][0]["split"]["is_exact"]


def test_reading_archives_is_told_as_a_share_of_all_of_them(run, tmp_path):
    told = []
    report([run, made_up(tmp_path / "r.npz", 1), run], progress=lambda done, total: told.append(done / total))
    assert told == sorted(told)
    # Of three runs the first and the last have archives, of two assets each.
    assert sorted({round(share, 9) for share in told}) == pytest.approx([1 / 6, 1 / 3, 5 / 6, 1.0])


def test_the_command_shows_a_bar_while_archives_are_read(run, tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    shutil.copy(run, tmp_path / "run.npz")
    assert run_command(daemon.cli.hftd, ["report", "run.npz", "--progress", "auto"]) == 0
    assert "reading archives" in capfd.readouterr()[1]
    made_up(tmp_path / "r.npz", 1)
    assert run_command(daemon.cli.hftd, ["report", "r.npz", "--progress", "auto"]) == 0
    assert "reading archives" not in capfd.readouterr()[1]


def test_the_command_says_what_is_wrong(tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "x.npz").write_bytes(b"PK\x03\x04torn")
    made_up(tmp_path / "r.npz", 1)
    for arguments, said in (
        (["x.npz"], "not a run file"),
        (["none.npz"], "no such file"),
        (["r.npz", "-o", "nowhere/x.html"], "mkdir -p nowhere"),
        (["r.npz", "-o", "r.npz"], "would replace the run"),
        (["r.npz", "--resample", "x"], "not a duration"),
        (["r.npz", "--data", "none.npz"], "no such archive"),
        (["r.npz", "--data", "Y=r.npz"], "no run has an asset 'Y'"),
        (["r.npz", "--data", "=r.npz"], "the symbol before = is missing"),
        (["r.npz", "--data", "X=a.npz,"], "a file is missing"),
        (["r.npz", "--data", "r.npz", "--data", "X=r.npz"], "say of this one too"),
    ):
        assert run_command(daemon.cli.hftd, ["report", *arguments, "--progress", "none"]) == 2
        err = capfd.readouterr()[1]
        assert said in err
        assert "Traceback" not in err
    assert CliRunner().invoke(daemon.cli.hftd, ["report", "--help"]).exit_code == 0


def test_figures_of_samples_and_of_a_short_run_say_so_beside_their_names(run, monkeypatch, capfd):
    assert (
        run_command(
            daemon.cli.hftd, ["report", str(run), "-o", str(run.parent / "x.html"), "--progress", "none"]
        )
        == 0
    )
    out = capfd.readouterr()[0]
    made = report(run)
    for text in (out, made.html):
        for name in ("Maximum drawdown (sampled every 10s)", "Return (sampled every 10s)", "Sharpe ratio *"):
            assert name in text
        assert "figures of a run shorter than 7 days say little of a year" in text
        assert "Money is in the" in text
    assert "By day, of all rows (quote currency)" in made.html


def test_a_run_of_many_days_has_no_star_at_its_annual_figures(tmp_path):
    made = report(made_up(tmp_path / "r.npz", 1, count=2_000, interval_ns=600_000_000_000), resample="1h")
    assert made.runs[0].days == pytest.approx(1_999 / 144, rel=0.1)
    assert "Sharpe ratio *" not in made.html
    assert "shorter than 7 days" not in made.html


def test_runs_in_different_currencies_are_not_compared_silently(run, inverse_run):
    said = "The runs' money is of different kinds and can't be compared"
    both = report([run, inverse_run])
    assert all(any(said in note for note in one.notes) for one in both.runs)
    assert [one["all"]["currency"] for one in both.to_dict()["runs"]] == ["quote", "base"]
    assert "base currency" in both.html
    assert said not in report([run, run]).html


def test_a_bots_run_is_told_what_gives_it_archives_and_archives_of_another_time_are_said(run, tmp_path):
    file = read_run(run)
    assets = [msgspec.structs.replace(asset, data=[]) for asset in file.meta.assets]
    path = tmp_path / "bot.npz"
    meta = msgspec.structs.replace(file.meta, kind="bot", assets=assets)
    write_run(path, file.records, meta=meta, tables=file.tables)
    assert any("--life LIFE.npz" in note and "--data" in note for note in report(path).runs[0].notes)
    market = np.load(file.meta.assets[0].data[0])["data"]
    for name in ("exch_ts", "local_ts"):
        market[name] += 10**17
    np.savez(tmp_path / "later.npz", data=market)
    asset = report(path, data={"X0": [tmp_path / "later.npz"]}).runs[0]
    assert any("they are of another time than the run" in note for note in asset.notes)
    assert asset.assets[0].split.is_exact


def test_where_the_life_of_orders_is_known_the_page_has_fills_by_cause(tmp_path):
    path = recorded(tmp_path, count=8_000, life=True)
    made = report(path)
    told = made.to_dict()["runs"][0]["fills_by_cause"]
    assert {one["cause"] for one in told} >= {"taken", "reached"}
    assert sum(one["count"] for one in told) == made.runs[0].assets[0].figures["NumberOfTrades"]
    assert "<h2>Fills by cause</h2>" in made.html
    file = read_run(path)
    write_run(path, file.records, meta=file.meta, tables=file.tables)
    assert "<h2>Fills by cause</h2>" not in report(path).html


def test_windows_in_which_something_is_missing_are_told_and_shaded(tmp_path):
    path = recorded(tmp_path, count=5_000)
    file = read_run(path)
    rows = np.load(tmp_path / "market0.npz")["data"]
    first, last = (int(file.records[0]["timestamp"][at]) for at in (0, -1))
    third = (last - first) // 3
    gaps = [
        Gap(first - 2, first - 1, first - 1, "book", "of before"),
        Gap(first + third, first + third + 5, first + 2 * third, "book", "torn <b>"),
        Gap(last - 9, last, last + 9, "trades", "trades 7 to 8"),
    ]
    with ArchiveWriter(tmp_path / "market0.npz", rows.dtype) as writer:
        writer.write(rows)
        writer.gaps = gaps
    made = report(path)
    (asset,) = made.to_dict()["runs"][0]["assets"]
    assert [(one["from_ns"], one["until_ns"], one["kind"]) for one in asset["missing"]] == [
        (gap.from_ns, gap.until_ns, gap.kind) for gap in gaps[1:]
    ]
    fills = file.tables["fills"]["timestamp"]
    inside = (fills >= gaps[1].from_ns) & (fills < gaps[1].until_ns)
    assert asset["missing"][0]["fills"] == inside.sum() > 0
    page = without_plotly(made.html)
    assert "Missing of the data: 2 windows" in page
    assert "torn &lt;b&gt;" in page
    plots = data_of(made.html)
    shaded = {name for name, plot in plots.items() if "shades" in plot}
    assert shaded == {name for name, plot in plots.items() if plot["kind"] == "time"} != set()
    assert plots["run0-equity"]["shades"][0] == [gaps[1].from_ns / 1e6, gaps[1].until_ns / 1e6]
    result = CliRunner().invoke(daemon.cli.hftd, ["report", str(path), "-o", str(tmp_path / "page.html")])
    assert "Missing of the data: 2 windows" in result.output
    # Rows that are clean tell of nothing.
    np.savez(tmp_path / "market0.npz", data=rows)
    assert report(path).runs[0].missing() is None
