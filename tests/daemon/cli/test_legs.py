"""Bots over several daemons, as `hftd status` shows them."""

from io import StringIO

import msgspec
import pytest

from daemon.cli.asking import Report, Silent, report_of
from daemon.cli.legs import bots_of
from daemon.cli.show.status import daemons
from daemon.cli.show.terminal import show
from hftd.control import status
from hftd.errors import ChannelError

ORDER = status.OpenOrder(
    symbol="BTCUSDT", order_id=7, side="buy", price=1.0, qty=1.0, leaves_qty=1.0, status="new"
)
CHANNELS = ["binancefutures", "bybit", "binancespot"]


def bot(**more):
    values = {"name": "cross", "pid": 77, "symbols": ["BTCUSDT"], "channels": CHANNELS} | more
    return status.Bot(**values)


def daemon(name, *bots, halted=False, **market):
    markets = [status.Market(symbol="BTCUSDT", instrument=0, **market)]
    return status.DaemonStatus(
        kind=status.CONNECTOR,
        name=name,
        pid=len(name),
        version="1",
        now_ns=1,
        is_halted=halted,
        channels=[status.Channel(name=name, markets=markets)],
        bots=list(bots),
    )


def legs_of(found):
    return [
        (leg.channel, leg.troubles, leg.position, leg.open_orders, leg.fills)
        for one in found
        for leg in one.legs
    ]


def held(qty, trades):
    return [status.Position(symbol="BTCUSDT", position=qty, num_trades=trades)]


def test_each_leg_has_its_own_state_position_and_orders_in_the_order_of_the_bot():
    found = bots_of(
        [
            daemon("bybit", bot(orders=[ORDER] * 2, positions=held(0.5, 3)), halted=True),
            daemon("binancefutures", bot(positions=held(-0.5, 4)), book_is_valid=False),
            daemon("binancespot", bot(orders_left_out=5), orders_are_connected=False),
        ],
        set(),
    )
    assert [(one.name, one.pid) for one in found] == [("cross", 77)]
    assert legs_of(found) == [
        ("binancefutures", ["book not valid"], -0.5, 0, 4),
        ("bybit", ["halted"], 0.5, 2, 3),
        ("binancespot", ["disconnected"], 0.0, 5, 0),
    ]


def test_a_leg_that_nobody_tells_of_says_why():
    found = bots_of([daemon("bybit"), daemon("binancespot", bot())], {"binancefutures"})
    assert legs_of(found) == [
        ("binancefutures", ["no answer"], None, None, None),
        ("bybit", ["not attached"], None, None, None),
        ("binancespot", [], 0.0, 0, 0),
    ]
    assert [leg.is_away for leg in found[0].legs] == [True, False, False]
    assert legs_of(bots_of([daemon("bybit", bot())], set()))[0][1] == ["no daemon"]


def test_what_a_bot_has_left_where_it_is_not_attached_is_its_own_leg():
    left = bot(pid=0, is_attached=False, channels=[], positions=held(0.25, 1))
    found = bots_of([daemon("bybit", left), daemon("binancespot", bot(channels=CHANNELS[1:]))], set())
    assert legs_of(found) == [
        ("bybit", ["not attached"], 0.25, 0, 1),
        ("binancespot", [], 0.0, 0, 0),
    ]
    # Gone from all of them.
    found = bots_of([daemon("bybit", left), daemon("binancespot", left)], set())
    assert [(one.name, one.pid, len(one.legs)) for one in found] == [("cross", 0, 2)]


def test_two_bots_of_one_name_are_two_and_a_bot_on_one_daemon_is_shown_there_alone():
    mine, theirs = bot(pid=1, channels=["bybit"]), bot(pid=2, channels=["binancespot"])
    assert bots_of([daemon("bybit", mine), daemon("binancespot", theirs)], set()) == []


@pytest.mark.parametrize(
    "name", ["cross", "a-name-that-is-as-long-as-a-name-of-a-bot-may-be-which-is-64-long"]
)
def test_the_section_of_a_bot_fits_into_80_columns(name):
    legs = [
        daemon("binancefutures", bot(name=name, orders=[ORDER] * 2, positions=held(-0.05, 1234))),
        daemon("bybit", bot(name=name, positions=held(0.125, 98_765)), book_is_valid=False),
    ]
    report = Report(daemons=[], silent=[], bots=bots_of(legs, set()))
    out = StringIO()
    show(daemons(report), out)
    lines = out.getvalue().splitlines()
    assert max(len(line) for line in lines) <= 80
    rows = [[cell.strip() for cell in line.strip("│").split("│")] for line in lines if "BTCUSDT" in line]
    assert rows == [
        ["binancefutures", "BTCUSDT", "ready", "-0.05", "2", "1,234"],
        ["bybit", "BTCUSDT", "book not valid", "0.125", "0", "98,765"],
    ]
    assert any("no daemon" in line for line in lines)


def test_programs_read_the_same_legs():
    report = Report(
        daemons=[], silent=[Silent(channel="x", error="gone")], bots=bots_of([daemon("bybit", bot())], {"x"})
    )
    told = msgspec.json.decode(msgspec.json.encode(report))
    assert told["bots"][0]["legs"][1] == {
        "channel": "bybit",
        "symbol": "BTCUSDT",
        "troubles": [],
        "position": 0.0,
        "open_orders": 0,
        "fills": 0,
    }


def test_the_daemons_that_are_asked_tell_of_a_bot_on_all_of_them(monkeypatch):
    answers = {
        "binancefutures": None,
        "bybit": daemon("bybit", bot()),
        "binancespot": daemon("binancespot", bot()),
    }

    def answer(channel, seconds):
        if answers[channel] is None:
            raise ChannelError("no answer", where=channel)
        return answers[channel]

    monkeypatch.setattr("daemon.cli.asking.running_channels", lambda: list(answers))
    monkeypatch.setattr("daemon.cli.asking._status", answer)
    found = report_of(None)
    assert [one.channel for one in found.silent] == ["binancefutures"]
    assert legs_of(found.bots) == [
        ("binancefutures", ["no answer"], None, None, None),
        ("bybit", [], 0.0, 0, 0),
        ("binancespot", [], 0.0, 0, 0),
    ]
