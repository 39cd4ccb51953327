"""What a user may rely on: one bot on three exchanges loses none but the leg whose connector is in trouble.

Real processes: three local exchanges, a connector to each, a bot. One connector after the other is killed, halted,
stopped, ended and made blind, while the orders on the other exchanges are watched; then all accounts are compared.
"""

import os
import signal
import subprocess
import sys
from collections.abc import Callable

import msgspec
import pytest

from daemon.cli.legs import BotLegs
from daemon.cli.run.live_stack import Leg, Market, Stack
from daemon.cli.run.live_venues import VENUES
from daemon.cli.run.supervisor import supervised
from hftd.bot.config import BotConfig
from hftd.clock import monotonic_ns, sleep
from hftd.config import load
from sim.generate import DEMO, write_day
from tests.live.stack import ROOT

DATE = "20220831"
NAMES = ("binancefutures", "bybit", "binancespot")
FUTURES, BYBIT, SPOT = range(3)
STEPS = ((0.1, 0.001), (0.1, 0.001), (0.01, 0.00001))
BOT = f"""\
[bot]
name = "three"
strategy = "{ROOT}/tests/live/three_legs.py:three_legs"
pull_quotes = true
"""
INSTRUMENT = """\
[[instruments]]
channel = "{}"
symbol = "BTCUSDT"
tick_size = {}
lot_size = {}
"""


class Troubled(Stack):
    """The processes, one of which is always in trouble."""

    def hftd(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        environment = os.environ | {"HFTD_RUNTIME_DIR": str(self._children.runtime), "PYTHONPATH": str(ROOT)}
        command = [sys.executable, "-m", "daemon.cli", *arguments]
        return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)

    def legs(self) -> tuple[int, list[list[str]]]:
        """The exit code of `hftd status`, and what it says keeps the bot from trading on each leg."""
        told = self.hftd("status", "--json")
        bots = msgspec.json.decode(told.stdout, type=dict[str, msgspec.Raw])["bots"]
        (bot,) = msgspec.json.decode(bots, type=list[BotLegs])
        assert [leg.channel for leg in bot.legs] == list(NAMES)
        return told.returncode, [leg.troubles for leg in bot.legs]

    def account(self, leg: int) -> dict:
        (found,) = self.read(self.controls[leg], "/status")["accounts"]
        return found

    def open(self, leg: int) -> set[str]:
        return {order["client_id"] for order in self.account(leg)["open"]}

    def wait(self, what: str, condition: Callable[[], bool]) -> None:
        for _ in self.until(40.0, f"it never came to be that {what}"):
            if condition():
                return

    def wait_ready(self, leg: int) -> None:
        """Until the bot trades on a leg again: a new order gets there and rests."""
        before = self.account(leg)["orders"]
        self.wait(
            f"the bot trades on {NAMES[leg]}",
            lambda: self.account(leg)["orders"] > before and bool(self.open(leg)),
        )

    def others_trade(self, troubled: int, seconds: float = 3.0) -> None:
        """Have the other legs go on for a while: there are orders all the time, and new ones come."""
        others = [leg for leg in range(3) if leg != troubled]
        before = [self.account(leg)["orders"] for leg in others]
        bare = dict.fromkeys(others, 0)
        end_ns = monotonic_ns() + int(seconds * 1e9)
        while monotonic_ns() < end_ns:
            self._children.relay(0.1)
            for leg in others:
                # Between a cancel and the new order a side may be empty for a moment, both sides for a shorter one.
                bare[leg] = 0 if self.open(leg) else bare[leg] + 1
                assert bare[leg] < 5, f"nothing is open on {NAMES[leg]} while {NAMES[troubled]} is in trouble"
        for leg, orders in zip(others, before, strict=True):
            self.wait(
                f"the bot goes on on {NAMES[leg]}", lambda leg=leg, n=orders: self.account(leg)["orders"] > n
            )

    def trade(self, seconds: float) -> None:
        # The exchanges' clocks show different times.
        self._pull(self.controls[FUTURES], "/clock?offset_ms=1500")
        self._pull(self.controls[BYBIT], "/clock?offset_ms=-1500")
        for leg in range(3):
            self.wait_ready(leg)
        self.wait("all legs are ready", lambda: self.legs()[1] == [[], [], []])
        self.kill(BYBIT)
        self.halt(SPOT)
        self.stop(FUTURES)
        self.end_in_order(BYBIT)
        self.blind(SPOT)
        self.wait("all legs are ready", lambda: self.legs()[1] == [[], [], []])

    def kill(self, leg: int) -> None:
        child = self.connectors[leg]
        rested = self.open(leg)
        child.process.kill()
        child.process.wait()
        self._children.all.remove(child)
        assert self.legs() == (3, [["no daemon"] if one == leg else [] for one in range(3)])
        self.others_trade(leg)
        assert self.open(leg) <= rested, "nobody sends orders there"
        orders = self.account(leg)["orders"]
        self.connectors[leg] = self.start_connector(leg)
        self.wait_ready(leg)
        assert self.account(leg)["orders"] > orders

    def halt(self, leg: int) -> None:
        assert self.hftd("halt", NAMES[leg]).returncode == 0
        self.wait("the halt has cancelled", lambda: not self.open(leg))
        assert self.legs()[1] == [["halted"] if one == leg else [] for one in range(3)]
        orders = self.account(leg)["orders"]
        self.others_trade(leg)
        assert self.account(leg)["orders"] == orders
        refused = self.daemon(self._market.legs[leg]).refusals
        assert not [one for one in refused if one.name == "REASON_HALTED" and one.count > 2], "it is told"
        assert self.hftd("resume", NAMES[leg]).returncode == 0
        self.wait_ready(leg)

    def stop(self, leg: int) -> None:
        process = self.connectors[leg].process
        process.send_signal(signal.SIGSTOP)
        try:
            sleep(2.5)
            orders = self.account(leg)["orders"]
            self.others_trade(leg)
            assert self.legs()[1][leg] == ["no answer"]
            assert self.account(leg)["orders"] == orders
        finally:
            process.send_signal(signal.SIGCONT)
        self.wait_ready(leg)

    def end_in_order(self, leg: int) -> None:
        child = self.connectors[leg]
        self._end(child)
        assert self.open(leg) == set(), "it ends with the bot's end policy"
        self._children.all.remove(child)
        self.others_trade(leg)
        self.connectors[leg] = self.start_connector(leg)
        self.wait_ready(leg)

    def blind(self, leg: int) -> None:
        self._pull(self.controls[leg], "/silence?stream=btcusdt*&seconds=60")
        self.wait("the book is not valid", lambda: self.legs()[1][leg] == ["book not valid"])
        self.wait("its quotes are pulled", lambda: not self.open(leg))
        self.others_trade(leg)
        self._pull(self.controls[leg], "/speak")
        self.wait_ready(leg)


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_a_connector_in_trouble_takes_no_leg_but_its_own_and_comes_back_with_the_right_account(tmp_path):
    write_day(tmp_path, DEMO[:1], seed=7, date=DATE, duration_s=300.0, pattern="{symbol}_{date}.npz")
    text = BOT + "".join(INSTRUMENT.format(name, *steps) for name, steps in zip(NAMES, STEPS, strict=True))
    path = tmp_path / "bot.toml"
    path.write_text(text)
    bot = load(path, BotConfig)
    legs = [
        Leg(
            venue=VENUES[instrument.channel],
            channel="day",
            instrument=instrument,
            contract=VENUES[instrument.channel].contract,
            suffix=f"-{instrument.channel}",
        )
        for instrument in bot.instruments
    ]
    market = Market(
        legs=tuple(legs),
        data=str(tmp_path / "{symbol}_{date}.npz"),
        date=DATE,
        speed=2.0,
        bot_path=path,
        bot=bot.bot.name,
    )
    with (tmp_path / "processes.log").open("w") as log, supervised() as children:
        played = Troubled(children, market, tmp_path, log).play(0.0, None)
    assert played.result.ended == "stopped"
    for leg, rows in zip(legs, played.compared(market), strict=True):
        # What was executed while a connector was away is in the account, not among the bot's fills.
        differing = {row.what for row in rows if not row.agrees} - {"fills"}
        assert not differing, (leg.venue.name, rows)
    told = (tmp_path / "processes.log").read_text()
    for words in ("lost its daemon", "has its daemon back", "stands still", "goes on; bot"):
        assert words in told
