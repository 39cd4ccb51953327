"""`hftd metrics`: what it says equals what the daemons say, and one odd daemon or client spoils nothing."""

import asyncio
import json
import re
import shutil
import subprocess
import time
from pathlib import Path

import aiohttp
import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.utils import floatToGoString

from daemon.histogram import Histogram
from daemon.ops.metrics import BUCKETS_NS, COUNTER, HISTOGRAM, METRICS, exposition
from daemon.ops.scraping import FRESH_NS, Metrics
from daemon.ops.serving import parse_listen
from hftd.control import status
from hftd.errors import ConfigError

ROOT = Path(__file__).parents[3]
RULES = ROOT / "configs/prometheus"


def daemon(name="bf", **more):
    values = {"kind": status.CONNECTOR, "name": name, "pid": 7, "version": "1", "now_ns": 1}
    return status.DaemonStatus(**(values | {"channels": [status.Channel(name=name)]} | more))


def samples(text):
    return {
        (one.name, *sorted(one.labels.items())): one.value
        for family in text_string_to_metric_families(text.decode())
        for one in family.samples
    }


def scraped(*daemons, silent=()):
    return samples(exposition(lambda: (daemons, silent))())


def key(name, **labels):
    return (name, *sorted(labels.items()))


def test_a_scrape_says_what_the_daemon_says():
    market = status.Market(
        symbol="BTCUSDT",
        instrument=0,
        book_is_valid=False,
        best_bid=1.5,
        feed_age_ns=250_000_000,
        rows=9,
        gaps=2,
    )
    bot = status.Bot(
        name="mm",
        orders_left_out=3,
        refused=4,
        positions=[status.Position(symbol="BTCUSDT", position=-0.5, fee=-1.0, num_trades=6)],
        limits=[status.Used(name="open orders", used=3, limit=0)],
    )
    found = scraped(
        daemon(
            is_halted=True,
            channels=[status.Channel(name="bf", markets=[market])],
            bots=[bot],
            limits=[status.Used(name="open orders", used=3, limit=10)],
            alerts=[status.Warning(key="halted", text="halted: why", age_ns=2_000_000_000)],
            counters={"clock_steps": 1},
        )
    )
    assert found[key("hftd_halted", daemon="bf")] == 1
    assert found[key("hftd_book_valid", daemon="bf", symbol="BTCUSDT")] == 0
    assert found[key("hftd_best_bid", daemon="bf", symbol="BTCUSDT")] == 1.5
    assert found[key("hftd_feed_age_seconds", daemon="bf", symbol="BTCUSDT")] == 0.25
    assert found[key("hftd_feed_gaps_total", daemon="bf", symbol="BTCUSDT")] == 2
    assert found[key("hftd_position", daemon="bf", bot="mm", symbol="BTCUSDT")] == -0.5
    assert found[key("hftd_open_orders", daemon="bf", bot="mm")] == 3
    assert found[key("hftd_limit_allowed", daemon="bf", bot="", limit="open orders")] == 10
    assert found[key("hftd_warning_age_seconds", daemon="bf", key="halted", subject="")] == 2
    assert found[key("hftd_events_total", daemon="bf", event="clock_steps")] == 1


def test_latencies_are_histograms_whose_buckets_are_sums_of_those_that_are_kept():
    kept = Histogram()
    durations = [-5, 9_999, 10_000, 10_001, 2_000_000, 2_500_000, 9_000_000_000, 90_000_000_000]
    for duration_ns in durations:
        kept.add(duration_ns)
    market = status.Market(symbol="BTCUSDT", instrument=0, latency=kept.told("feed"))
    bot = status.Bot(name="mm", latencies=[kept.told("round trip"), Histogram().told("entry")])
    found = scraped(daemon(channels=[status.Channel(name="bf", markets=[market])], bots=[bot]))
    feed = {"daemon": "bf", "symbol": "BTCUSDT"}
    for bound_ns in BUCKETS_NS:
        le = floatToGoString(bound_ns / 1e9)
        got = found[key("hftd_feed_latency_seconds_bucket", le=le, **feed)]
        assert got == sum(duration_ns <= bound_ns for duration_ns in durations), bound_ns
    assert found[key("hftd_feed_latency_seconds_bucket", le="+Inf", **feed)] == len(durations)
    assert found[key("hftd_feed_latency_seconds_count", **feed)] == len(durations)
    total_s = sum(durations[1:]) / 1e9
    assert found[key("hftd_feed_latency_seconds_sum", **feed)] == pytest.approx(total_s)
    legs = {dict(labels)["leg"] for name, *labels in found if name == "hftd_order_latency_seconds_count"}
    assert legs == {"round_trip"}


def test_outcomes_markouts_and_upkeep_are_told():
    markouts = [status.Markout(after_ns=10_000_000_000, asset="USDT", count=3, value=60.0, gain=-0.5)]
    bot = status.Bot(name="mm", outcomes={"filled": 1, "cancelled": 3}, markouts=markouts, unread_bytes=64)
    profits = [status.Profit(day_ns=0, asset="USDT", total=1.0, in_all=7.0)]
    found = scraped(
        daemon(
            bots=[bot],
            profits=profits,
            clock_ahead_ns=-2_000_000,
            clock_error_ns=500_000,
            switch_is_armed=False,
            switch_age_ns=4_000_000_000,
            reconciled_age_ns=1_000_000_000,
            journal_bytes=99,
            counters={"differences": 2},
        )
    )
    whose = {"daemon": "bf", "bot": "mm"}
    after = {"asset": "USDT", "after": "10", **whose}
    assert found[key("hftd_orders_total", outcome="cancelled", **whose)] == 3
    assert found[key("hftd_fill_ratio", **whose)] == 0.25
    assert found[key("hftd_bot_unread_bytes", **whose)] == 64
    assert found[key("hftd_markout", **after)] == -0.5
    assert found[key("hftd_markout_value_total", **after)] == 60
    assert found[key("hftd_markout_fills_total", **after)] == 3
    assert found[key("hftd_equity", daemon="bf", bot="", asset="USDT")] == 7
    told = {
        "clock_ahead_seconds": -0.002,
        "clock_error_seconds": 0.0005,
        "dead_man_armed": 0,
        "dead_man_age_seconds": 4,
        "reconciled_age_seconds": 1,
        "journal_size_bytes": 99,
        "reconcile_differences_total": 2,
    }
    assert {name: found[key(f"hftd_{name}", daemon="bf")] for name in told} == told


def test_what_is_not_known_has_no_sample():
    market = status.Market(symbol="BTCUSDT", instrument=0)
    bot = status.Bot(name="mm", limits=[status.Used(name="open orders", used=3, limit=0)])
    found = scraped(daemon(channels=[status.Channel(name="bf", markets=[market])], bots=[bot]))
    names = {name for name, *_ in found}
    assert not names & {
        "hftd_best_bid",
        "hftd_feed_age_seconds",
        "hftd_start_time_seconds",
        "hftd_limit_allowed",
        "hftd_feed_latency_seconds_count",
        "hftd_fill_ratio",
        "hftd_bot_unread_bytes",
        "hftd_clock_ahead_seconds",
        "hftd_dead_man_armed",
        "hftd_journal_size_bytes",
    }


def test_refusals_of_one_reason_are_one_sample_whatever_numbers_the_exchange_has():
    refused = [
        status.Refusal(bot="mm", symbol="BTCUSDT", reason=1, name="REASON_PRICE", code=code, count=2)
        for code in (-1, -2)
    ]
    found = scraped(daemon(refusals=refused))
    assert (
        found[key("hftd_refusals_total", daemon="bf", bot="mm", symbol="BTCUSDT", reason="REASON_PRICE")] == 4
    )


def test_a_daemon_that_is_silent_or_gone_is_down_and_the_others_are_told_of():
    answers = [([daemon("bf"), daemon("by", pid=8)], []), ([daemon("bf")], ["spot"]), ([], [])]
    scrape = exposition(lambda: answers.pop(0))
    ups = [
        {
            labels[0][1]: value
            for (name, *labels), value in samples(scrape()).items()
            if name == "hftd_daemon_up"
        }
        for _ in range(3)
    ]
    assert ups == [{"bf": 1, "by": 1}, {"bf": 1, "by": 0, "spot": 0}, {"bf": 0, "by": 0, "spot": 0}]


@pytest.mark.parametrize(
    "odd",
    [
        daemon("odd", started_ns=10**400),
        daemon("odd", counters={"differences": 10**400}),
        daemon("odd", journal_writes=status.Latency(name="", count=3, counts=[], bounds_ns=[10**9])),
        daemon(
            "odd", journal_writes=status.Latency(name="", count=10**400, counts=[1, 2], bounds_ns=[10**9])
        ),
    ],
)
def test_a_daemon_that_tells_nonsense_takes_nothing_from_the_others(odd):
    found = scraped(odd, daemon("bf"), silent=("by",))
    for name, is_up in (("odd", 1), ("bf", 1), ("by", 0)):
        assert found[key("hftd_daemon_up", daemon=name)] == is_up
    assert found[key("hftd_halted", daemon="bf")] == 0


def test_a_collector_of_an_exchange_does_not_stand_for_the_connector_of_that_name():
    market = status.Market(symbol="BTCUSDT", instrument=0, gaps=3)
    channel = status.Channel(name="bf", markets=[market])
    found = scraped(daemon("collect", kind=status.COLLECTOR, channels=[channel]), silent=["bf"])
    assert found[key("hftd_daemon_up", daemon="bf")] == 0
    assert found[key("hftd_daemon_up", daemon="collect")] == 1
    assert found[key("hftd_feed_gaps_total", daemon="collect", symbol="bf BTCUSDT")] == 3


@given(st.text(max_size=20), st.text(max_size=20))
def test_any_name_is_a_label_and_never_another_line(symbol, bot):
    market = status.Market(symbol=symbol, instrument=0)
    bots = [status.Bot(name=bot), status.Bot(name=bot)]
    found = scraped(daemon(channels=[status.Channel(name="bf", markets=[market, market])], bots=bots))
    assert found[key("hftd_book_valid", daemon="bf", symbol=symbol)] == 1
    assert {name for name, *_ in found} <= {_exposed(name) for name in METRICS}


def _exposed(name):
    return f"hftd_{name}" + ("_total" if METRICS[name][0] is COUNTER else "")


def test_the_page_lists_all_metrics_with_their_labels():
    rows = re.findall(r"^\| `(\w+)` \| ([\w, ]+) \| (.+) \|$", (ROOT / "docs/metrics.md").read_text(), re.M)
    wanted = [(_exposed(n), ", ".join(("daemon", *labels)), text) for n, (_, labels, text) in METRICS.items()]
    assert rows == wanted


def test_rules_and_dashboard_ask_for_metrics_that_there_are():
    known = {_exposed(name) for name, (kind, *_) in METRICS.items() if kind is not HISTOGRAM}
    known |= {f"{_exposed(name)}_bucket" for name, (kind, *_) in METRICS.items() if kind is HISTOGRAM}
    for text in ((RULES / "hftd.rules.yml").read_text(), (RULES / "grafana.json").read_text()):
        assert set(re.findall(r"hftd_\w+", text)) <= known
    panels = json.loads((RULES / "grafana.json").read_text())["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels) > 10


def test_prometheus_takes_rules_and_configuration():
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("there is no promtool (Debian's package prometheus)")
    done = subprocess.run(
        [promtool, "check", "config", RULES / "prometheus.yml"], capture_output=True, text=True, timeout=30
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    "text", ["9464", "localhost:9464", "127.0.0.1:", "127.0.0.1:99999", "127.0.0.1:1e3", ""]
)
def test_an_address_that_is_none_is_said_with_an_example(text):
    with pytest.raises(ConfigError, match=r"127\.0\.0\.1:9464"):
        parse_listen(text)


async def test_many_that_ask_at_once_cost_one_question_and_a_failed_one_is_no_end():
    asked = []

    def scrape():
        asked.append(1)
        if len(asked) == 2:
            raise OSError("the socket is gone")
        time.sleep(0.05)
        return b"hftd_halted 1\n"

    metrics = Metrics(scrape)
    port = await metrics.start("127.0.0.1", 0)
    url = f"http://127.0.0.1:{port}"
    try:
        async with aiohttp.ClientSession() as client:

            async def get(path):
                async with client.get(url + path) as answer:
                    return answer.status, await answer.text()

            assert (
                await asyncio.gather(*(get("/metrics") for _ in range(20))) == [(200, "hftd_halted 1\n")] * 20
            )
            assert len(asked) == 1
            await asyncio.sleep(FRESH_NS / 1e9)
            codes = [code for code, _ in await asyncio.gather(*(get("/metrics") for _ in range(20)))]
            assert (codes, len(asked)) == ([500] * 20, 2), "who waited for it does not ask again"
            await asyncio.sleep(FRESH_NS / 1e9)
            assert (await get("/metrics"))[0] == 200
            assert (await get("/healthz"))[1] == "ok\n"
            assert (await get("/else"))[0] == 404
    finally:
        await metrics.stop()
