"""A bot on the system's clock, on a real channel of a real process."""

import signal
from collections.abc import Iterator

import msgspec
import numpy as np
import pytest

from hftd import (
    CANCELED,
    CONNECTED,
    DISCONNECTED,
    ERR_DISCONNECTED,
    EXPIRED,
    FILLED,
    NEW,
    REASON_NEVER_SENT,
    REASON_POST_ONLY,
    wire,
)
from hftd.bot import hooks
from hftd.bot.hook_queue import Alert
from hftd.constants import ALERT_FORCED_CLOSE, REASON_LIQUIDATION
from hftd.errors import ConfigError, LeaseLostError, StrategyError
from tests.hftd.bot import told
from tests.hftd.bot.conftest import FakeDaemon, Play
from tests.hftd.bot.fake import REFUSAL
from tests.notified import Listener

pytestmark = pytest.mark.timeout(300)


def test_waits_end_with_their_time_out_or_with_what_they_wait_for(play: Play, fake: FakeDaemon):
    play.start("waits")
    play.until(lambda: play.has(34))
    fake.tell("rows", qty=3.0)
    play.until(lambda: play.has(37))
    fake.tell("rows", qty=0.25, trade=True)
    result = play.finish()
    assert (play.alert(30), play.alert(32)) == (0, 0), "both timed out"
    for waited in (play.alert(31), play.alert(33)):
        assert waited >= 50_000_000
    assert (play.alert(35), play.alert(37), play.alert(38)) == (2, 3, 2)
    assert play.alert(36) == 1_000_000, "the feed's latency is the daemon's receipt less the exchange's time"
    assert (play.alert(39), play.alert(40)) == (1, 0.25)
    assert result.ended == "strategy returned"


def test_all_values_of_the_account_are_those_of_the_daemon(play: Play):
    result = play.run("trade")
    assert play.alert(21) == pytest.approx(0.3)
    assert play.alert(22) == pytest.approx(-0.5 * 100.1 + 0.2 * 100.0)
    assert (play.alert(23), play.alert(24)) == (2, 0.02)
    assert play.alert(25) == pytest.approx(0.7)
    assert play.alert(26) == pytest.approx(0.5 * 100.1 + 0.2 * 100.0)
    assert play.alert(28) == 1
    assert len(result.fills) == 2
    assert result.assets[0].position == pytest.approx(0.3)


def test_a_refused_order_tells_its_reason_to_the_strategy_and_the_error_hook(play: Play):
    result = play.run("trade")
    assert play.alert(20) == REASON_POST_ONLY
    (note,) = [note for note in play.errors if note.kind == hooks.ORDER_REFUSED]
    assert (note.order_id, note.reason, note.asset_no) == (2, REASON_POST_ONLY, 0)
    assert f"order 2 refused, REASON_POST_ONLY: {REFUSAL}" in note.message
    assert f"BTCUSDT: 1 requests were refused, REASON_POST_ONLY: {REFUSAL}" in result.warnings


def test_a_forced_close_is_told_to_the_error_and_the_alert_hook_and_at_the_end_of_the_run():
    errors: list[hooks.ErrorNote] = []
    alerts: list[Alert] = []
    teller = hooks.HookCaller(hooks.Hooks(error=errors.append, alert=alerts.append), [("BTCUSDT", 0.1)])
    words = "the exchange sold 0.04 of its position (adl_autoclose), which is 0.06 now"
    notice = wire.Notice(
        instrument=0,
        kind=wire.NOTICE_FORCED_CLOSE,
        order_id=0,
        reason=REASON_LIQUIDATION,
        code=0,
        position=0.06,
        words=words,
    )
    for _ in range(2):
        teller._tell(0, notice)
    assert [(one.kind, one.message) for one in errors] == [(hooks.FORCED_CLOSE, f"BTCUSDT: {words}")] * 2
    assert [(one.asset_no, one.code, one.value) for one in alerts] == [(0, ALERT_FORCED_CLOSE, 0.06)] * 2
    assert teller.warnings() == [f"BTCUSDT: {words}; 2 times in all"]
    for number in range(2 * hooks.KINDS_MAX):
        teller._tell(0, msgspec.structs.replace(notice, kind=wire.NOTICE_REFUSED, code=number))
    assert len(teller.warnings()) == hooks.KINDS_MAX + 1
    assert f"{hooks.KINDS_MAX + 1:,} more notices" in teller.warnings()[-1]
    teller.notes.close()


def test_the_order_hook_is_told_of_every_update_in_order(play: Play):
    play.run("trade")
    assert [(note.order_id, note.status) for note in play.orders] == [
        (1, FILLED), (2, EXPIRED), (3, NEW), (3, NEW), (3, CANCELED), (4, FILLED)
    ]  # fmt: skip
    assert (play.orders[0].executed, play.orders[0].exec_price) == (True, pytest.approx(100.1))
    assert play.orders[3].price == pytest.approx(98.0)


def test_order_latencies_are_recorded_for_each_answered_request_in_the_form_that_backtests_read(play: Play):
    rows = play.run("trade").order_latency
    assert len(rows) == 6, "four orders, a modification, a cancellation"
    assert np.all(np.diff(rows["req_ts"]) >= 0)
    assert np.all(rows["req_ts"] <= rows["exch_ts"])
    assert np.all(rows["exch_ts"] <= rows["resp_ts"])
    assert 0 < play.alert(27) < 10e9


def test_the_position_and_the_open_orders_are_there_at_the_start(play: Play, fake: FakeDaemon):
    play.run("trade")
    fake.tell("look")
    second = play.run("rest_and_wait", {"orders": 2, "seconds": 0.0}, end="keep")
    assert second.ended == "strategy returned"
    play.run("look")
    assert play.alert(50) == pytest.approx(0.3)
    assert play.alert(51) == 3, "what the bot before it left open"
    assert (play.alert(52), play.alert(53), play.alert(54)) == (100.0, 1, CONNECTED)
    assert play.alert(55) == 1.0


def test_the_strategy_sees_when_its_book_is_not_valid_or_its_orders_do_not_get_through(
    play: Play, fake: FakeDaemon
):
    play.start("watch")
    play.until(lambda: play.has(2))
    for state in (wire.BOOK_INVALID, wire.DISCONNECTED, wire.BOOK_VALID, wire.CONNECTED):
        seen = len(play.alerts)
        fake.tell("state", instrument=1, state=state)
        fake.tell("state", instrument=0, state=state)
        play.until(lambda seen=seen: len(play.alerts) > seen)
    fake.tell("drop", bot="mm")
    play.until(lambda: hooks.DAEMON_BACK in play.kinds)
    fake.tell("rows", trade=True)
    play.finish()
    assert play.alerts[1:5] == [
        (1, wire.BOOK_INVALID),
        (2, DISCONNECTED),
        (1, wire.BOOK_VALID),
        (2, CONNECTED),
    ]
    assert play.kinds[:4] == [
        hooks.BOOK_NOT_VALID, hooks.CONNECTION_LOST, hooks.BOOK_VALID, hooks.CONNECTION_BACK
    ]  # fmt: skip


def test_a_newcomer_is_told_what_is_not_valid(play: Play, fake: FakeDaemon):
    fake.tell("state", instrument=0, state=wire.BOOK_INVALID)
    fake.tell("state", instrument=0, state=wire.DISCONNECTED)
    play.run("look")
    assert (play.alert(53), play.alert(54)) == (0, DISCONNECTED)


def test_after_a_kill_of_the_daemon_the_bot_goes_on_with_the_true_states_of_its_orders(
    play: Play, fake: FakeDaemon
):
    play.start("rest_and_wait")
    play.until(lambda: play.has(10))
    fake.kill()
    # While the daemon is away, one order fills and one is cancelled; one is still there.
    _edit(fake, 100, FILLED, trades=1)
    _edit(fake, 101, CANCELED)
    play.until(lambda: play.has(11))
    fake.start()
    result = play.finish()
    assert play.alert(11) == ERR_DISCONNECTED
    assert [play.alert(100 + i) for i in range(3)] == [FILLED, CANCELED, NEW]
    assert play.alert(12) == NEW, "it trades again"
    assert play.kinds[-2:] == [hooks.DAEMON_LOST, hooks.DAEMON_BACK]
    asset = result.assets[0]
    assert (asset.position, asset.num_trades) == (1.0, 1)
    assert any("1 executions while the daemon was away" in warning for warning in result.warnings)
    assert (result.ended, result.lost) == ("strategy returned", "")


def _edit(fake: FakeDaemon, order_id: int, status: int, trades: int = 0) -> None:
    import msgspec

    from tests.hftd.bot.fake import Kept

    path = fake.folder / "kept.json"
    kept = msgspec.json.decode(path.read_bytes(), type=Kept)
    kept.orders[order_id].status = status
    kept.accounts[0].num_trades += trades
    kept.accounts[0].position += trades
    path.write_bytes(msgspec.json.encode(kept))


def test_an_order_that_the_daemon_never_read_is_over_when_its_successor_says_so(play: Play, fake: FakeDaemon):
    fake.tell("deaf")
    play.start("rest_and_wait", {"orders": 1})
    play.until(lambda: play.thread.is_alive() and "mm" in _bots())
    fake.tell("rows")
    fake.kill()
    fake.start()
    # Its wait for the answer ends with the answer to the inquiry.
    play.until(lambda: play.has(10))
    (note,) = [note for note in play.orders if note.order_id == 100]
    assert (note.status, note.reason) == (EXPIRED, REASON_NEVER_SENT)
    fake.kill()
    play.until(lambda: play.has(11))
    fake.start()
    play.finish()
    assert play.alert(100) == EXPIRED


def _bots() -> list[str]:
    from hftd.clock import monotonic_ns
    from hftd.control import status
    from hftd.control.asking import ask

    told = ask("bf", wire.ASK_STATUS, status.DaemonStatus, monotonic_ns() + 10_000_000_000)[1]
    return [bot.name for bot in told.bots]


def test_a_daemon_that_does_not_come_back_ends_the_bot_after_its_patience(play: Play, fake: FakeDaemon):
    play.start("rest_and_wait", reattach_s=0.3)
    play.until(lambda: play.has(10))
    fake.kill()
    result = play.finish()
    assert "no successor came" in result.lost
    assert result.ended == "lost a channel"


def test_a_bot_without_patience_ends_with_its_lease(play: Play, fake: FakeDaemon):
    play.start("rest_and_wait", reattach_s=0)
    play.until(lambda: play.has(10))
    fake.kill(signal.SIGTERM)
    assert "bf" in play.finish().lost


@pytest.mark.thorough
def test_a_bot_is_dropped_and_killed_again_and_again_and_always_comes_back(play: Play, fake: FakeDaemon):
    play.start("watch")
    play.until(lambda: play.has(2))
    for turn in range(4):
        backs = play.kinds.count(hooks.DAEMON_BACK)
        if turn % 2:
            fake.kill()
            fake.start()
        else:
            fake.tell("drop", bot="mm")
        play.until(lambda backs=backs: play.kinds.count(hooks.DAEMON_BACK) == backs + 1)
        play.until(lambda: play.alert(1) == wire.BOOK_VALID and play.alert(2) == CONNECTED)
        fake.tell("state", instrument=0, state=wire.BOOK_INVALID)
        play.until(lambda: play.alert(1) == wire.BOOK_INVALID)
        fake.tell("state", instrument=0, state=wire.BOOK_VALID)
        play.until(lambda: play.alert(1) == wire.BOOK_VALID)
    fake.tell("rows", trade=True)
    assert "a daemon was lost and found again 4 times" in play.finish().warnings


def test_a_bot_that_was_lapped_gets_fresh_books_and_the_error_hook_says_so(play: Play, fake: FakeDaemon):
    play.start("lag")
    play.until(lambda: play.has(60))
    fake.tell("rows", count=500, times=20, qty=7.0)
    told.gate.set()
    result = play.finish()
    assert hooks.LAPPED in play.kinds
    assert (play.alert(61), play.alert(62)) == (1.0, 1)
    assert any("unseen" in warning for warning in result.warnings)


def test_what_the_bot_asks_of_the_daemon_travels_in_its_hello(play: Play, fake: FakeDaemon):
    play.run(
        "look", pull_quotes=True, end="keep", limits={"position": 2.5, "open_orders": 7}, watchdog_s=33.0
    )
    (hello,) = fake.tell("look")["hellos"]
    assert hello[5:] == ["keep", True, [0.0, 0.0, 2.5, 7, 0.0, 0.0, 0.0, 0.0], 33.0, ["bf"]]


def test_notes_that_find_no_room_are_dropped_and_counted_and_the_strategy_does_not_wait(play: Play):
    result = play.run("chatter")
    (warning,) = [warning for warning in result.warnings if "dropped" in warning]
    assert len(play.alerts) + int(warning.split()[0].replace(",", "")) == 100_000


def test_a_hook_that_raises_is_told_in_the_result_and_called_again(play: Play, monkeypatch):
    config = play.config("trade", {})
    import msgspec

    from hftd.bot import runner
    from tests.hftd.bot.conftest import HERE

    broken = msgspec.structs.replace(config.hooks, order="tests.hftd.bot.told:raising")
    result = runner.run(msgspec.structs.replace(config, hooks=broken), HERE)
    assert "the order hook raised 6 times, first ValueError: no" in result.warnings


def test_a_hook_that_is_not_there_is_said_before_the_bot_attaches(play: Play):
    import msgspec

    from hftd.bot import runner
    from tests.hftd.bot.conftest import HERE

    config = play.config("trade", {})
    missing = msgspec.structs.replace(config.hooks, order="tests.hftd.bot.told:odrer")
    with pytest.raises(StrategyError, match="did you mean 'order'"):
        runner.run(msgspec.structs.replace(config, hooks=missing), HERE)


@pytest.fixture
def gate() -> Iterator[None]:
    told.gate.clear()
    told.gone_on.clear()
    yield
    told.gate.set()


def test_a_strategy_that_was_taken_for_hung_and_goes_on_ends_with_the_reason(
    play: Play, fake: FakeDaemon, gate: None
):
    play.start("hang")
    play.until(lambda: play.has(70))
    fake.tell("drop", bot="mm", hangs=True)
    told.gate.set()
    result = play.finish()
    assert play.alert(71) == 1, "its next wait says that it is over, and it is not attached again"
    assert (result.ended, result.lost) == ("lost a channel", "channel bf: the test says so")
    assert hooks.DAEMON_BACK not in play.kinds


def test_systemd_hears_that_a_bot_is_ready_and_is_fed_while_its_strategy_makes_steps(
    play: Play, fake: FakeDaemon, gate: None, monkeypatch, tmp_path
):
    monkeypatch.setattr("hftd.bot.leases.QUIET_NS", 500_000_000)
    with Listener(tmp_path, monkeypatch) as systemd:
        play.start("hang", watchdog_s=1.0)
        systemd.until("READY=1")
        play.until(lambda: play.has(70))
        while systemd.is_fed_within(2.5):
            pass
        assert play.thread.is_alive(), "it hangs"
        assert any("STATUS=bf: attached" in message for message in systemd.said)
        fake.tell("drop", bot="mm", hangs=True)
        told.gate.set()
        play.finish()
        assert systemd.has("STOPPING=1")


def test_systemd_is_fed_for_a_bot_that_waits_and_trades_nothing(
    play: Play, fake: FakeDaemon, monkeypatch, tmp_path
):
    monkeypatch.setattr("hftd.bot.leases.QUIET_NS", 500_000_000)
    with Listener(tmp_path, monkeypatch) as systemd:
        play.start("watch", watchdog_s=1.0)
        systemd.until("READY=1")
        for _ in range(3):
            assert systemd.is_fed_within(2.5)
        fake.tell("rows", qty=0.25, trade=True)
        play.finish()


def test_a_strategy_that_hangs_for_good_ends_the_run_with_a_clear_error_and_may_still_touch_its_memory(
    play: Play, fake: FakeDaemon, gate: None, monkeypatch
):
    from hftd.bot import runner

    monkeypatch.setattr(runner, "HUNG_NS", 50_000_000)
    play.start("hang")
    play.until(lambda: play.has(70))
    fake.tell("drop", bot="mm", hangs=True)
    with pytest.raises(LeaseLostError, match="the test says so; it does not return") as caught:
        play.finish()
    assert "watchdog_s" in caught.value.hint
    assert "mm" not in _bots()
    told.gate.set()
    assert told.gone_on.wait(30), "its memory is still there"


def test_a_bot_makes_steps_while_it_waits_and_says_when_it_compiles(fake: FakeDaemon):
    import numba
    import numba.extending

    from hftd.bot.bot import Bot, Instrument
    from hftd.channel.layout import BOT_COMPILING, BOT_OVER, BOT_STEPS

    with Bot([Instrument("bf", "BTCUSDT", 0.1, 0.001)], name="mm", spin_us=0) as bot:
        assert bot.page.word(BOT_STEPS) == 0, "it has not begun"
        assert bot.elapse(0) == 0
        first = bot.page.word(BOT_STEPS)
        assert first > 0
        assert bot.elapse(450_000_000) == 0
        assert bot.page.word(BOT_STEPS) >= first + 4
        assert bot.page.word(BOT_COMPILING) == 0
        during = []

        @numba.extending.overload(_while_compiling)
        def _overloaded():
            during.append(bot.page.word(BOT_COMPILING))
            return lambda: 1

        assert numba.njit(lambda: _while_compiling())() == 1
        assert during[0] == 1, "odd while it compiles"
        assert bot.page.word(BOT_COMPILING) == 2
        bot.page.set_word(BOT_OVER, 1)
        assert bot.elapse(1) == 1
        with pytest.raises(LeaseLostError, match="it hung"):
            bot.close()


def _while_compiling() -> int:
    return 1


def test_a_watchdog_that_would_bark_at_waits_is_a_wrong_configuration(tmp_path):
    from hftd.bot.config import BotConfig
    from hftd.config import load

    (tmp_path / "bot.toml").write_text(
        '[bot]\nname = "a"\nstrategy = "a:b"\nwatchdog_s = 0.1\n'
        '[[instruments]]\nchannel = "c"\nsymbol = "s"\ntick_size = 0.1\nlot_size = 0.1\n'
    )
    with pytest.raises(ConfigError, match="watchdog_s"):
        load(tmp_path / "bot.toml", BotConfig)


def test_a_limit_below_zero_is_a_wrong_configuration(tmp_path):
    from hftd.bot.config import BotConfig
    from hftd.config import load

    (tmp_path / "bot.toml").write_text(
        '[bot]\nname = "a"\nstrategy = "a:b"\n[limits]\nposition = -1.0\n'
        '[[instruments]]\nchannel = "c"\nsymbol = "s"\ntick_size = 0.1\nlot_size = 0.1\n'
    )
    with pytest.raises(ConfigError, match="position"):
        load(tmp_path / "bot.toml", BotConfig)
