"""What is an alert and when it is told, by states that follow each other: no process, no clock."""

import itertools
from collections.abc import Callable

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemon.ops.alerts.config import (
    RULES,
    AlertConfig,
    RulesSection,
    TargetSection,
    WatchSection,
)
from daemon.ops.alerts.rules import PROBLEMS_MAX, Round, Rules
from daemon.ops.alerts.states import Notice, States
from daemon.ops.alerts.texts import cleaned
from hftd.constants import REASON_HALTED, REASON_POST_ONLY, REASON_RATE_LIMIT
from hftd.control import status

S = 1_000_000_000
BAD_S, LONG_S = 10, 40
"""When the fault begins, and for how long it lasts."""


def config(**sections) -> AlertConfig:
    return AlertConfig(targets={"phone": TargetSection()}, **sections)


def market(**more) -> status.Market:
    return status.Market(symbol="BTCUSDT", instrument=0, **more)


def daemon(name="bf", **more) -> status.DaemonStatus:
    values = {
        "kind": status.CONNECTOR,
        "name": name,
        "pid": 7,
        "version": "1",
        "now_ns": 1,
        "started_ns": 5,
        "channels": [status.Channel(name=name, markets=[market()])],
        "connections": [status.Connection(name="public", is_up=True)],
        "bots": [status.Bot(name="mm")],
        "counters": {"differences": 3},
    }
    return status.DaemonStatus(**(values | more))


def collector(gaps: int) -> status.DaemonStatus:
    # It records the exchange after which the connector is named, and does not stand for that.
    channel = status.Channel(name="bf", markets=[market(gaps=gaps)])
    return daemon("collect", kind=status.COLLECTOR, channels=[channel], bots=[], counters={})


def warned(key: str, symbol: str = "") -> status.DaemonStatus:
    return daemon(alerts=[status.Warning(key=key, text=f"{key}: look", symbol=symbol)])


def refused(count: int, reason: int = REASON_RATE_LIMIT) -> status.DaemonStatus:
    one = status.Refusal(bot="mm", symbol="BTCUSDT", reason=reason, name="REASON", count=count)
    return daemon(refusals=[one])


def with_order(request: str) -> status.DaemonStatus:
    order = status.OpenOrder(
        symbol="BTCUSDT",
        order_id=1,
        side="buy",
        price=1.0,
        qty=1.0,
        leaves_qty=1.0,
        status="pending",
        request=request,
    )
    return daemon(bots=[status.Bot(name="mm", orders=[order])])


def left(is_orderly: bool) -> status.DaemonStatus:
    return daemon(departed=[status.Departed(bot="mm", reason="it is gone", is_orderly=is_orderly)])


Look = Callable[[int], Round]


def seen(*daemons: status.DaemonStatus, **more) -> Look:
    return lambda now_ns: Round(now_ns=now_ns, daemons=daemons, **more)


GOOD = seen(daemon(), collector(2))
MINUTE = 60
FAULTS = {
    # name: (what is seen, rule, after how many seconds, for how long after its last moment it is the matter)
    "a daemon is killed": (seen(collector(2)), "daemon_down", 10, 0),
    "a daemon hangs": (seen(collector(2), silent=["bf"]), "daemon_down", 10, 0),
    "a connection is lost": (
        seen(daemon(connections=[status.Connection(name="public", is_up=False)]), collector(2)),
        "connection_lost",
        10,
        0,
    ),
    "orders can't be sent": (
        seen(warned("orders_not_connected"), collector(2)),
        "connection_lost",
        10,
        0,
    ),
    "a book is not valid": (
        seen(
            daemon(channels=[status.Channel(name="bf", markets=[market(book_is_valid=False)])]), collector(2)
        ),
        "book_not_valid",
        15,
        0,
    ),
    "halted": (seen(daemon(is_halted=True, halt_reason="news"), collector(2)), "halted", 0, 0),
    "an outcome is unknown": (seen(with_order("unknown"), collector(2)), "outcome_unknown", 10, 0),
    "the account differed": (
        seen(daemon(counters={"differences": 4}), collector(2)),
        "reconciliation",
        0,
        MINUTE - LONG_S,
    ),
    "a limit is reached": (
        seen(daemon(limits=[status.Used(name="open orders", used=96, limit=100)]), collector(2)),
        "limit_reached",
        0,
        0,
    ),
    "requests are refused": (seen(refused(10), collector(2)), "refusals", 0, MINUTE - LONG_S),
    "a bot dies": (seen(left(is_orderly=False), collector(2)), "bot_died", 2, 0),
    "a bot hangs": (seen(warned("bot_hangs", "mm"), collector(2)), "bot_died", 2, 0),
    "the clock is off": (seen(warned("clock_off"), collector(2)), "clock_off", 0, 0),
    "a daemon's disk is nearly full": (
        seen(warned("disk_nearly_full"), collector(2)),
        "disk_low",
        0,
        0,
    ),
    "a disk is nearly full": (seen(daemon(), collector(2), free={"/var": 10**8}), "disk_low", 0, 0),
    "a recording has a gap": (seen(daemon(), collector(3)), "recording_gap", 0, MINUTE - LONG_S),
    "a target is dead": (
        seen(daemon(), collector(2), undelivered={"desk": "refused"}),
        "delivery",
        15,
        0,
    ),
    "any other warning": (seen(warned("margin_call"), collector(2)), "warning", 30, 0),
    "a daemon is started anew": (
        seen(daemon(started_ns=6, counters={}), collector(2)),
        "daemon_restarted",
        0,
        MINUTE - LONG_S,
    ),
}
HARMLESS = {
    "orders that the market was faster than are refused": seen(refused(1000, REASON_POST_ONLY), collector(2)),
    "a halted connector refuses orders": seen(refused(1000, REASON_HALTED), collector(2)),
    "a bot ends in order": seen(left(is_orderly=True), collector(2)),
    "nine requests are refused": seen(refused(9), collector(2)),
    "half of a limit is used": seen(
        daemon(limits=[status.Used(name="open orders", used=50, limit=100)]), collector(2)
    ),
    "there is no limit": seen(
        daemon(limits=[status.Used(name="open orders", used=50, limit=0)]), collector(2)
    ),
    "there are no keys": seen(warned("no_keys"), collector(2)),
    "a request is under way": seen(with_order("new"), collector(2)),
    "a replay goes on": seen(daemon(), collector(2), daemon("replay", kind=status.REPLAY, is_halted=True)),
}


class Told:
    """All that is told, by second."""

    def __init__(self, settings: AlertConfig) -> None:
        self.rules, self.states = Rules(settings), States(settings)
        self.now_s = 0
        self.notices: list[tuple[int, Notice]] = []

    def look(self, what: Look, seconds: int) -> None:
        for _ in range(seconds):
            self.now_s += 1
            found = what(self.now_s * S)
            self.notices += [
                (self.now_s, one) for one in self.states.look(*self.rules.find(found), found.now_ns)
            ]


@pytest.mark.parametrize("name", FAULTS)
def test_each_fault_is_told_once_in_its_time_and_once_that_it_is_over(name):
    what, rule, after_s, longer_s = FAULTS[name]
    told = Told(config())
    told.look(GOOD, BAD_S)
    told.look(what, LONG_S)
    # A daemon that was started anew does not become the old one again, and what was refused stays counted.
    told.look(what if rule in ("daemon_restarted", "refusals") else GOOD, 100)
    assert [(at, one.rule, one.is_over) for at, one in told.notices] == [
        (BAD_S + 1 + after_s, rule, False),
        # The last second of it, the time that it counts for longer, and the ten seconds in which it must stay away.
        (BAD_S + LONG_S + longer_s + (1 if longer_s else 0) + 10, rule, True),
    ]
    assert told.notices[0][1].severity == RULES[rule][0]


@pytest.mark.parametrize("name", HARMLESS)
def test_what_is_no_fault_is_not_told(name):
    told = Told(config())
    told.look(GOOD, BAD_S)
    told.look(HARMLESS[name], 200)
    told.look(GOOD, 100)
    assert told.notices == []


@pytest.mark.parametrize("name", FAULTS)
def test_a_rule_that_is_off_tells_nothing(name):
    what, rule, *_ = FAULTS[name]
    told = Told(config(rules=RulesSection(off=(rule,))))
    told.look(GOOD, BAD_S)
    told.look(what, 100)
    assert told.notices == []


@pytest.mark.parametrize("name", [name for name, (_, _, after_s, _) in FAULTS.items() if after_s])
def test_what_is_over_sooner_than_its_rule_says_is_not_told(name):
    what, _, after_s, _ = FAULTS[name]
    told = Told(config())
    for _ in range(20):
        told.look(GOOD, 5)
        told.look(what, after_s)
    told.look(GOOD, 30)
    assert told.notices == []


def test_a_lost_connection_is_one_alert_though_orders_can_not_be_sent_either():
    both = msgspec.structs.replace(
        warned("orders_not_connected"), connections=[status.Connection(name="orders", is_up=False)]
    )
    told = Told(config())
    told.look(seen(both), 60)
    assert [(one.rule, one.subject) for _, one in told.notices] == [("connection_lost", "orders")]


def test_a_daemon_that_must_be_there_is_missed_from_the_start_and_others_once_they_were_seen():
    told = Told(config(watch=WatchSection(daemons=("bf",))))
    told.look(seen(daemon("by")), 20)
    told.look(seen(), 20)
    assert [(at, one.daemon) for at, one in told.notices] == [(11, "bf"), (31, "by")]


def test_what_was_the_matter_with_a_daemon_that_died_is_over_only_when_it_says_so():
    bad = seen(daemon(is_halted=True))
    told = Told(config())
    told.look(bad, 10)
    told.look(seen(), 100)
    assert [(one.rule, one.is_over) for _, one in told.notices] == [("halted", False), ("daemon_down", False)]
    told.notices.clear()
    told.look(bad, 30)
    assert [(one.rule, one.is_over) for _, one in told.notices] == [("daemon_down", True)]
    told.look(seen(daemon()), 30)
    assert [(one.rule, one.is_over) for _, one in told.notices][1:] == [("halted", True)]


def test_counters_of_before_are_no_news_and_those_of_a_daemon_started_anew_are():
    told = Told(config(rules=RulesSection(off=("daemon_restarted",))))
    told.look(seen(daemon(counters={"differences": 9}, refusals=refused(100).refusals)), 100)
    assert told.notices == []
    told.look(seen(daemon(started_ns=9, counters={"differences": 1}, refusals=refused(50).refusals)), 1)
    assert [one.rule for _, one in told.notices] == ["reconciliation", "refusals"]


def test_a_connector_that_waits_for_its_exchange_is_not_missed_when_it_has_it():
    waiting = daemon(
        "bf.waiting", channels=[], alerts=[status.Warning(key="waits_for_exchange", text="it waits")]
    )
    told = Told(config())
    told.look(seen(waiting), 60)
    told.look(GOOD, 60)
    assert [(one.rule, one.is_over) for _, one in told.notices] == [("warning", False), ("warning", True)]


def test_what_goes_on_is_said_again_only_if_that_is_wanted():
    for remind_s, times in ((0.0, 1), (60.0, 4)):
        told = Told(config(watch=WatchSection(remind_s=remind_s)))
        told.look(seen(daemon(is_halted=True)), 200)
        assert len(told.notices) == times


@given(st.lists(st.tuples(st.booleans(), st.integers(1, 30)), max_size=12))
def test_whatever_comes_and_goes_is_told_in_time_in_turn_and_the_longer_it_does_the_more_rarely(spans):
    told = Told(config())
    bad = seen(daemon(is_halted=True), collector(2))
    for is_bad, seconds in spans:
        before = len(told.notices)
        told.look(bad if is_bad else GOOD, seconds)
        if is_bad:
            # It has been told by now: in this span's first second, or before and never said to be over.
            assert told.notices
            assert not told.notices[-1][1].is_over
            assert all(at == told.now_s - seconds + 1 for at, _ in told.notices[before:])
    turns = [one.is_over for _, one in told.notices]
    assert turns == [k % 2 == 1 for k in range(len(turns))]
    overs = [at for at, one in told.notices if one.is_over]
    assert all(
        later - sooner >= min(20 << k, 600) for k, (sooner, later) in enumerate(itertools.pairwise(overs))
    )


def test_more_problems_than_anybody_reads_are_told_as_one():
    halted = [daemon(f"d{k}", is_halted=True) for k in range(PROBLEMS_MAX + 50)]
    found, _ = Rules(config()).find(seen(*halted)(S))
    assert len(found) == PROBLEMS_MAX + 1
    assert "50" in found["warning", "", "more"].text


@given(st.text())
def test_no_text_has_lines_controls_or_what_a_service_takes_for_markup(text):
    shown = cleaned(text)
    assert shown.isprintable()
    assert len(shown) <= 300
    assert not set(shown) & set("<>[]`@*\u202e\n\r\x1b")
    assert "://" not in shown
