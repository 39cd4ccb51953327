"""A local exchange in bad weather, a connector, a bot and a collector on it, all watched by `hftd alert`.

Faults are made one after the other, and what a recording HTTP server was told is compared with what should have been
told: each alert once, in its time, that it is over, and nothing without a cause.

    python -m tests.live.watched                 all faults, as a table (some minutes)
    python -m tests.live.watched --only halted
"""

import argparse
import contextlib
import os
import re
import signal
import subprocess
import sys
import tempfile
import urllib.request
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import IO

import msgspec

from daemon.cli.run.live_stack import KEY, Leg, Market, Stack
from daemon.cli.run.live_venues import VENUES
from daemon.cli.run.supervisor import Child, Children, supervised, ticks
from hftd.bot.config import BotConfig
from hftd.clock import monotonic_ns
from hftd.config import load
from sim.generate import DEMO, write_day
from tests.daemon.ops.recording import Recorder, recording
from tests.live.stack import ROOT

DATE = "20220831"
CHANNEL = "binancefutures"
LATE_S = 6.0
"""So much later than its rule says an alert may come: looks, answers, the connector's own findings, a busy machine."""
SETTLED_S = 100.0
"""What happened at a moment is over after a minute; what comes and goes a little later."""

ALERTS = """\
[watch]
daemons = ["binancefutures", "collect"]
every_s = 0.25
settle_s = 1.0
state = "alerts.state"
[rules]
daemon_down_s = 2.0
connection_lost_s = 6.0
book_not_valid_s = 3.0
outcome_unknown_s = 2.0
bot_died_s = 0.5
refusals_per_min = 10
delivery_s = 2.0
warning_s = 8.0
[targets.phone]
url = "json://127.0.0.1:{0}/phone"
[targets.desk]
url = "json://127.0.0.1:{1}/desk"
"""
COLLECT = """\
name = "collect"
folder = "raw"
disk_floor_gb = 0.001
[venues.binancefutures]
symbols = ["BTCUSDT"]
stream_url = {}
api_url = {}
"""
WEATHER = {
    "seed": 7,
    "reply_late": 0.2,
    "reply_doubled": 0.01,
    "event_late": 0.2,
    "event_doubled": 0.05,
    "event_shuffled": 0.02,
    "late_ms": 100.0,
    "feed_doubled": 0.002,
    "unknown_level": 0.05,
    "stale_snapshot": 0.2,
    "inside_snapshot": 0.5,
    "young_unseen": 0.2,
    "close_s": 30.0,
    "tear_s": 30.0,
    "stall_s": 20.0,
    "stall_ms": 300.0,
    "listen_key_s": 60.0,
}
"""What an exchange does every day, and what nobody is to be woken for."""

Key = tuple[str, str]
_LINE = re.compile(r"(OVER after [^:]+|CRITICAL|WARNING): (\w+): (?:(\w+): )?(.*)")


class Line(msgspec.Struct, frozen=True):
    """One alert, as it came.

    Attributes:
        at_s: When, in monotonic seconds.
        rule: Of `daemon.ops.alerts.config.RULES`.
        daemon: Its name; "" for the machine.
        is_over: Whether it is over.
        text: The rest.
    """

    at_s: float
    rule: str
    daemon: str
    is_over: bool
    text: str

    @property
    def key(self) -> Key:
        """What is expected by it."""
        return self.rule, self.daemon


class Fault(msgspec.Struct, frozen=True):
    """Something that goes wrong.

    Attributes:
        name: What.
        due: The alerts that must come, and after how many seconds at the latest.
        begin: Makes it.
        end: Ends it, once the alerts have come.
        lasts_s: It lasts for so long at least.
        also: Alerts that may come with it, as consequences.
    """

    name: str
    due: dict[Key, float]
    begin: Callable[[], object]
    end: Callable[[], object]
    lasts_s: float = 0.0
    also: frozenset[Key] = frozenset()


class Row(msgspec.Struct, frozen=True):
    """What came of one fault: each due alert (rule, daemon, due in, came after, times, times over); and the rest."""

    name: str
    alerts: list[tuple[str, str, float, float, int, int]]
    odd: list[str]

    @property
    def is_good(self) -> bool:
        """Whether each alert came once, in its time, and no other."""
        return not self.odd and all(
            0 <= came_s <= due_s and times == over >= 1 for _, _, due_s, came_s, times, over in self.alerts
        )


class Watched(Stack):
    """The processes."""

    def __init__(self, children: Children, market: Market, folder: Path, log: IO[str]) -> None:
        super().__init__(children, market, folder, log)
        self.phone: Recorder
        self.desk: Recorder
        self.bot: Child
        self.collector: Child

    # What goes wrong.

    def faults(self) -> list[Fault]:
        """All of them."""
        bf, collect = CHANNEL, "collect"
        feeds = frozenset({("book_not_valid", bf), ("recording_gap", collect), ("warning", collect)})
        ways = feeds | {("connection_lost", bf), ("connection_lost", collect), ("warning", bf)}
        away = frozenset({("daemon_restarted", bf), ("warning", bf), ("bot_died", bf)})
        return [
            Fault("nothing but the weather", {}, lambda: None, lambda: None, lasts_s=20.0),
            Fault(
                "a gap in the depth",
                {("recording_gap", collect): 2.0},
                lambda: self.pull("/gap?symbol=BTCUSDT&messages=5"),
                lambda: None,
                also=feeds,
            ),
            Fault("connections torn", {}, lambda: self.pull("/close?tear=1"), lambda: None, 6.0, feeds),
            Fault(
                "the network is down",
                {
                    ("connection_lost", bf): 6.0,
                    ("connection_lost", collect): 6.0,
                    ("book_not_valid", bf): 3.0,
                },
                lambda: self.pull("/network?up=0"),
                lambda: self.pull("/network?up=1"),
                also=ways | {("clock_off", bf), ("reconciliation", bf), ("outcome_unknown", bf)},
            ),
            Fault(
                "a silent stream",
                {("book_not_valid", bf): 6.0},
                lambda: self.pull("/silence?stream=btcusdt*&seconds=60"),
                lambda: self.pull("/speak"),
                also=feeds | {("warning", bf)},
            ),
            Fault(
                "hftd halt",
                {("halted", bf): 0.5},
                lambda: self.hftd("halt", bf, "--reason", "looking <b>now</b>"),
                lambda: self.hftd("resume", bf),
            ),
            Fault(
                "new orders are refused",
                {("refusals", bf): 3.0},
                lambda: self.pull(
                    "/fail?path=order.place&status=400&code=-2019&msg=Margin%20is%20insufficient."
                ),
                lambda: self.pull("/mend"),
            ),
            Fault(
                "replies and reports are lost",
                {("outcome_unknown", bf): 12.0},
                self.lose_replies,
                lambda: (self.pull("/mend"), self.pull("/speak")),
                # What is not known stays open, and the bot sends more.
                also=ways | {("reconciliation", bf), ("limit_reached", bf)},
            ),
            Fault(
                "a trade by hand",
                {("reconciliation", bf): 12.0},
                lambda: self.by_hand("BUY"),
                lambda: self.by_hand("SELL"),
                also=frozenset({("warning", bf)}),
            ),
            Fault(
                "kill -9 of the bot",
                {("bot_died", bf): 0.5},
                lambda: self.kill(self.bot),
                self.start_bot,
                also=frozenset({("warning", bf)}),
            ),
            Fault(
                "kill -9 of the connector",
                {("daemon_down", bf): 2.0},
                lambda: self.kill(self.connectors[0]),
                self.connector_again,
                also=away,
            ),
            Fault(
                "the connector hangs",
                {("daemon_down", bf): 5.5},
                lambda: self.connectors[0].process.send_signal(signal.SIGSTOP),
                lambda: self.connectors[0].process.send_signal(signal.SIGCONT),
                also=ways | away | {("clock_off", bf)},
            ),
            Fault(
                "kill -9 of the collector",
                {("daemon_down", collect): 2.0},
                lambda: self.kill(self.collector),
                self.start_collector,
                also=frozenset({("daemon_restarted", collect), ("recording_gap", collect)}),
            ),
            Fault(
                "a target is dead",
                # It is noticed with the next alert.
                {("halted", bf): 0.5, ("delivery", ""): 4.0},
                lambda: (setattr(self.desk, "code", 500), self.hftd("halt", bf)),
                lambda: (setattr(self.desk, "code", 200), self.hftd("resume", bf)),
            ),
            # The last one: the ban that follows lasts to the end of the minute.
            Fault(
                "the request weight is used up",
                {("limit_reached", bf): 8.0},
                lambda: self.pull("/use?weight=2390"),
                lambda: None,
                also=ways | {("reconciliation", bf), ("outcome_unknown", bf)},
            ),
        ]

    def lose_replies(self) -> None:
        self.pull("/silence?stream=user&seconds=60")
        for path in ("order.*", "* /fapi/v1/order", "* /fapi/v1/openOrders", "* /fapi/v1/userTrades"):
            self.pull(f"/fail?path={urllib.request.quote(path)}&kind=lost")

    def by_hand(self, side: str) -> None:
        self.pull(f"/order?api_key={KEY}&symbol=BTCUSDT&side={side}&type=MARKET&quantity=0.05")

    def pull(self, path: str) -> None:
        self._pull(self.controls[0], path)

    def hftd(self, *arguments: str) -> str:
        environment = os.environ | {"HFTD_RUNTIME_DIR": str(self._children.runtime), "PYTHONPATH": str(ROOT)}
        command = [sys.executable, "-m", "daemon.cli", *arguments]
        done = subprocess.run(command, env=environment, check=True, capture_output=True, timeout=60)
        return done.stdout.decode()

    def kill(self, child: Child) -> None:
        child.process.kill()
        child.process.wait()
        self._children.all.remove(child)

    def start_bot(self) -> None:
        self.bot = self._start_bot()

    def start_collector(self) -> None:
        self.collector = self._children.start(
            "collect", "collect", "--config", str(self._folder / "collect.toml")
        )

    def connector_again(self) -> None:
        self.connectors[0] = self.start_connector(0)
        self._await_connector(self._market.legs[0])

    # What comes of it.

    def lines(self) -> list[Line]:
        """All that the phone was told."""
        found = []
        for at_s, text in self.phone.lines("/phone"):
            parsed = _LINE.fullmatch(text)
            assert parsed, text
            head, rule, daemon, rest = parsed.groups()
            found.append(Line(at_s, rule, daemon or "", head.startswith("OVER"), rest))
        return found

    def wait(self, seconds: float, condition: Callable[[], bool] = lambda: False) -> bool:
        """Wait until something holds, but no longer."""
        for _ in ticks(seconds):
            self._children.relay(0.05)
            if condition():
                return True
        return False

    def open(self) -> Counter[Key]:
        """What has been told and is not over."""
        found = Counter(one.key for one in self.lines() if not one.is_over)
        found.subtract(one.key for one in self.lines() if one.is_over)
        return +found

    def run(self, only: Sequence[str] = ()) -> list[Row]:
        """Start all, make each fault, and judge what was told."""
        with recording() as self.phone, recording() as self.desk:
            self._start_all()
            chosen = [one for one in self.faults() if not only or one.name in only]
            assert chosen, f"there are {', '.join(one.name for one in self.faults())}"
            spans = [(fault, *self._make(fault)) for fault in chosen]
            self.wait(SETTLED_S, lambda: not self.open())
            rows = self._judge(spans)
            # The desk was dead for a while, and has missed nothing.
            self.wait(10.0, lambda: len(self.desk.lines("/desk")) >= len(self.lines()))
            if Counter(text for _, text in self.desk.lines("/desk")) != Counter(
                text for _, text in self.phone.lines("/phone")
            ):
                rows.append(Row("both targets are told the same", [], ["they were not"]))
            return rows

    def start_trading(self) -> None:
        """Exchange, connector and bot."""
        leg = self._market.legs[0]
        self._addresses = [self._urls(self._start_exchange(leg, None))]
        self.controls = [self._addresses[0]["control"]]
        self.connectors = [self.start_connector(0)]
        self._await_connector(leg)
        self.start_bot()

    def _start_all(self) -> None:
        self.start_trading()
        quoted = [msgspec.json.encode(self._addresses[0][one]).decode() for one in ("streams", "rest")]
        (self._folder / "collect.toml").write_text(COLLECT.format(*quoted))
        (self._folder / "raw").mkdir(exist_ok=True)
        self.start_collector()
        assert self.wait(60.0, (self._children.runtime / "collect.sock").exists)
        path = self._folder / "alerts.toml"
        path.touch(0o600)
        path.write_text(ALERTS.format(self.phone.port, self.desk.port))
        self._weather()
        self.wait(8.0)
        self._children.start("alert", "alert", "--config", str(path), "--log", "json")
        self.wait(3.0)

    def _weather(self) -> None:
        request = urllib.request.Request(
            self.controls[0] + "/chaos", method="POST", data=msgspec.json.encode(WEATHER)
        )
        urllib.request.urlopen(request, timeout=5.0).close()

    def _make(self, fault: Fault) -> tuple[float, float]:
        """Make a fault and end it: when it began, and when the next one may begin."""
        begin_s = monotonic_ns() / 1e9
        fault.begin()
        limit_s = max(fault.due.values(), default=0.0) + LATE_S
        self.wait(limit_s, lambda: all(self._came(key, begin_s) is not None for key in fault.due))
        self.wait(max(0.0, fault.lasts_s - (monotonic_ns() / 1e9 - begin_s)))
        fault.end()
        # Consequences come now, or not at all.
        self.wait(9.0)
        return begin_s, monotonic_ns() / 1e9

    def _came(self, key: Key, since_s: float) -> float | None:
        return next(
            (one.at_s for one in self.lines() if one.key == key and one.at_s >= since_s and not one.is_over),
            None,
        )

    def _judge(self, spans: list[tuple[Fault, float, float]]) -> list[Row]:
        lines = self.lines()
        rows = []
        for fault, begin_s, end_s in spans:
            begun = [one for one in lines if begin_s <= one.at_s < end_s and not one.is_over]
            alerts = []
            for key, due_s in fault.due.items():
                mine = [one for one in begun if one.key == key]
                # A thing each: connections, symbols. Said once, and once that it is over.
                heads = Counter(one.text.partition(":")[0][:40] for one in mine)
                over = [
                    one
                    for one in lines
                    if one.is_over and one.key == key and mine and one.at_s >= mine[0].at_s
                ]
                came_s = mine[0].at_s - begin_s if mine else -1.0
                times = max(heads.values(), default=0)
                is_over = min(times, len(over) // max(1, len(heads))) if over else 0
                alerts.append((*key, due_s + LATE_S, came_s, times, is_over))
            odd = [
                f"{one.rule} {one.daemon}: {one.text}"
                for one in begun
                if one.key not in fault.due and one.key not in fault.also
            ]
            rows.append(Row(fault.name, alerts, odd))
        return rows


def market_in(folder: Path) -> Market:
    """A market in a folder, and the usual bot on it."""
    write_day(folder, DEMO[:1], seed=7, date=DATE, duration_s=600.0, pattern="{symbol}_{date}.npz")
    bot_path = ROOT / "configs/bot-live.toml"
    bot = load(bot_path, BotConfig)
    venue = VENUES[CHANNEL]
    leg = Leg(venue=venue, channel="day", instrument=bot.instruments[0], contract=venue.contract)
    return Market(
        legs=(leg,),
        data=str(folder / "{symbol}_{date}.npz"),
        date=DATE,
        speed=1.0,
        bot_path=bot_path,
        bot=bot.bot.name,
    )


def watch(folder: Path, only: Sequence[str] = ()) -> list[Row]:
    """Run it in a folder: see the module."""
    market = market_in(folder)
    with (folder / "processes.log").open("w") as log, supervised() as children:
        return Watched(children, market, folder, log).run(only)


def table(rows: Sequence[Row]) -> str:
    """The rows for people."""
    lines = [f"{'fault':<32}{'alert':<34}{'due within':>10}{'came after':>12}{'times':>7}{'over':>6}"]
    for row in rows:
        for k, (rule, daemon, due_s, came_s, times, over) in enumerate(row.alerts):
            came = f"{came_s:.1f} s" if came_s >= 0 else "never"
            lines.append(
                f"{'' if k else row.name:<32}{f'{rule} {daemon}':<34}{due_s:>8.1f} s{came:>12}{times:>7}{over:>6}"
            )
        if not row.alerts:
            lines.append(f"{row.name:<32}{'none':<34}")
        lines += [f"{'':<32}WITHOUT A CAUSE: {one}" for one in row.odd]
    return "\n".join(lines)


def main() -> int:
    """All faults, as a table; 1 if one was told otherwise than it should be."""
    parser = argparse.ArgumentParser(prog="python -m tests.live.watched", description=__doc__)
    parser.add_argument("--only", action="append", default=[], metavar="FAULT")
    parser.add_argument("--keep", type=Path, help="a folder for logs")
    given = parser.parse_args()
    with contextlib.ExitStack() as undo:
        folder = given.keep or Path(undo.enter_context(tempfile.TemporaryDirectory()))
        folder.mkdir(parents=True, exist_ok=True)
        rows = watch(folder, given.only)
    print(table(rows))
    return 0 if all(row.is_good for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
