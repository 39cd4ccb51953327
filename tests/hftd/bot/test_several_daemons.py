"""A bot on two daemons: what happens to one is that one's alone, and the strategy is told of which."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from hftd import CANCELED, CONNECTED, DISCONNECTED, ERR_DISCONNECTED, FILLED, HALTED, NEW, OK, wire
from hftd.bot import hooks
from hftd.clock import monotonic_ns
from hftd.errors import NoSuchChannelError
from tests.hftd.bot.conftest import FakeDaemon, Play
from tests.hftd.bot.test_live import _edit

pytestmark = pytest.mark.timeout(300)


@pytest.fixture
def other(fake: FakeDaemon, tmp_path: Path) -> Iterator[FakeDaemon]:
    """The daemon of the second leg, "by"; that of the first one is `fake`, "bf"."""
    folder = tmp_path / "by"
    folder.mkdir()
    made = FakeDaemon(folder, dict(os.environ), "by")
    made.start()
    yield made
    made.close()


@pytest.fixture
def both(fake: FakeDaemon, other: FakeDaemon, monkeypatch: pytest.MonkeyPatch) -> Play:
    made = Play(fake, ("bf", "by"))
    monkeypatch.setattr("tests.hftd.bot.told.play", made)
    return made


def told_of(play: Play, leg: int) -> list[tuple[int, float]]:
    """What the strategy said of a leg."""
    return [(code % 10, value) for code, value in play.alerts if code != 5 and code // 10 == leg]


def test_a_halt_and_a_book_that_is_not_valid_are_their_own_legs_alone(
    both: Play, fake: FakeDaemon, other: FakeDaemon
):
    both.start("two_legs")
    both.until(lambda: both.has(5))
    for state in (wire.HALTED, wire.BOOK_INVALID, wire.DISCONNECTED, wire.HALTED, wire.CONNECTED):
        seen, told = len(both.alerts), (11 if state == wire.BOOK_INVALID else 12, state)
        other.tell("state", instrument=0, state=state)
        both.until(lambda seen=seen, told=told: told in both.alerts[seen:])
    fake.tell("rows", trade=True)
    both.finish()
    assert [told for told in told_of(both, 1) if told[0] in (1, 2)] == [
        (2, HALTED),
        (1, wire.BOOK_INVALID),
        (2, DISCONNECTED),
        (2, HALTED),
        (2, CONNECTED),
    ]
    assert told_of(both, 0) == []
    kinds = [note.kind for note in both.errors if note.kind != hooks.ORDER_REFUSED]
    assert kinds[:2] == [hooks.HALTED, hooks.BOOK_NOT_VALID]
    assert all(note.asset_no == 1 for note in both.errors)


@pytest.mark.thorough
def test_a_newcomer_is_told_that_a_daemon_is_halted(both: Play, fake: FakeDaemon, other: FakeDaemon):
    other.tell("state", instrument=0, state=wire.HALTED)
    both.start("two_legs")
    both.until(lambda: (2, HALTED) in told_of(both, 1))
    fake.tell("rows", trade=True)
    both.finish()
    assert told_of(both, 0) == []


def test_a_daemon_that_is_killed_takes_its_own_leg_with_it_and_gives_it_back(
    both: Play, fake: FakeDaemon, other: FakeDaemon
):
    both.start("two_legs")
    both.until(lambda: both.has(5))
    other.kill()
    both.until(lambda: both.has(14))
    assert (both.alert(13), both.alert(14)) == (ERR_DISCONNECTED, ERR_DISCONNECTED)
    _edit(other, 101, FILLED, trades=1)
    # The first leg goes on meanwhile: its order fills in part.
    fake.tell("fill", order_id=100, qty=0.25)
    other.start()
    both.until(lambda: both.has(16))
    assert not any("detached" in said for said in fake.said)
    fake.tell("rows", trade=True)
    result = both.finish()
    assert [told for told in told_of(both, 1) if told[0] != 3] == [
        (1, wire.BOOK_INVALID),
        (2, DISCONNECTED),
        (4, ERR_DISCONNECTED),
        (1, wire.BOOK_VALID),
        (2, CONNECTED),
        (6, FILLED),
    ]
    assert told_of(both, 0) == []
    assert [asset.position for asset in result.assets] == [0.25, 1.0]
    kept = fake.tell("look")
    assert (kept["inquiries"], other.tell("look")["inquiries"]) == ([], [101])


@pytest.mark.thorough
def test_a_bot_whose_channels_are_not_all_there_asks_none_of_them_for_a_lease(
    both: Play, fake: FakeDaemon, other: FakeDaemon
):
    both.channels = ("bf", "gone", "by", "away")
    both.start("two_legs", attach_s=0.2)
    with pytest.raises(NoSuchChannelError, match="there is no channel 'away', nor 'gone'") as caught:
        both.finish()
    assert "waited 0.2 s" in caught.value.hint
    assert fake.tell("look")["hellos"] == other.tell("look")["hellos"] == []


@pytest.mark.thorough
def test_each_daemon_is_told_all_channels_of_the_bot(both: Play, fake: FakeDaemon, other: FakeDaemon):
    both.run("look")
    for daemon in (fake, other):
        (hello,) = daemon.tell("look")["hellos"]
        assert hello[-1] == ["bf", "by"]


@pytest.mark.thorough
def test_rows_of_two_daemons_are_seen_in_the_order_in_which_they_were_received(
    both: Play, fake: FakeDaemon, other: FakeDaemon
):
    both.start("timeline")
    both.until(lambda: both.has(5))
    both.alerts.clear()
    sent = []
    for number in range(20):
        leg = (0, 1, 1, 0)[number % 4]
        sent.append((leg * 10 + 7, 10.0 + number))
        (fake, other)[leg].tell("rows", qty=10.0 + number)
        both.until(lambda: sent[-1] in both.alerts)
    fake.tell("rows", qty=2.0, trade=True)
    both.finish()
    assert [told for told in both.alerts if told[1] >= 10.0] == sent
    assert not both.has(99), "no row is seen before its time"


@pytest.mark.thorough
def test_a_daemon_that_stands_still_takes_its_own_leg_with_it_and_cancels_reach_it_when_it_goes_on(
    both: Play, fake: FakeDaemon, other: FakeDaemon
):
    both.start("two_legs")
    both.until(lambda: both.has(5))
    other.send(signal.SIGSTOP)
    both.until(lambda: both.has(14))
    assert (both.alert(13), both.alert(14)) == (ERR_DISCONNECTED, OK)
    other.send(signal.SIGCONT)
    both.until(lambda: both.has(16))
    assert (both.alert(12), both.alert(16)) == (CONNECTED, CANCELED)
    both.until(lambda: hooks.DAEMON_GOES_ON in both.kinds)
    fake.tell("rows", trade=True)
    both.finish()
    assert told_of(both, 0) == []
    assert [kind for kind in both.kinds if "daemon" in kind] == [hooks.DAEMON_STILL, hooks.DAEMON_GOES_ON]
    assert other.tell("look")["orders"] == {"101": CANCELED}, "no order went to it late"


@pytest.mark.thorough
def test_a_successor_that_does_not_answer_holds_up_no_other_leg(
    both: Play, fake: FakeDaemon, other: FakeDaemon
):
    both.start("two_legs")
    both.until(lambda: both.has(5))
    other.tell("drop", bot="mm")
    other.send(signal.SIGSTOP)
    both.until(lambda: both.has(14))
    fake.kill()
    start_ns = monotonic_ns()
    both.until(lambda: both.has(4))
    # An attempt to attach may take two seconds.
    assert monotonic_ns() - start_ns < 1_000_000_000
    other.send(signal.SIGCONT)
    fake.start()
    both.until(lambda: both.has(6) and both.has(16))
    assert (both.alert(6), both.alert(16)) == (NEW, NEW)
    fake.tell("rows", trade=True)
    both.finish()
