"""What was refused: the exchange's words reach log, status and bot; kinds and log lines are limited."""

from pathlib import Path

from structlog.testing import capture_logs

from daemon.messages import REFUSED, UNKNOWN, Outcome
from daemon.orders.files.rows import Refused
from daemon.orders.journal import read_rows
from daemon.orders.limits import BotLimits
from daemon.orders.snapshot import KINDS_MAX, LOGGED_A_MINUTE, RECENT_NS, Refusals
from hftd import wire
from hftd.constants import (
    REASON_DISCONNECTED,
    REASON_LIMIT_QTY,
    REASON_MARGIN,
    REASON_PERMISSION,
    REASON_POST_ONLY,
    REASON_UNKNOWN_ORDER,
)
from tests.daemon.orders.test_life_cycles import last, place
from tests.daemon.orders.world import World

S = 1_000_000_000
WORDS = "400 -4411 Please sign TradFi-Perps agreement contract fapi."
SIGN = "sign the agreement"


def refuse(world: World, reason: int, words: str, code: int, hint: str = "") -> None:
    command = world.requests.pop(0)[0]
    outcome = Outcome(command.request, REFUSED, reason, words, code=code, hint=hint)
    world.manager.on_outcome(outcome, world.now_ns)


def test_the_exchanges_words_are_in_log_status_warnings_and_before_the_update_that_the_bot_gets(world):
    world.submit("a", 1)
    with capture_logs() as logs:
        refuse(world, REASON_PERMISSION, WORDS, -4411, SIGN)
    (event,) = [one for one in logs if one["event"] == "order_refused"]
    assert (event["bot"], event["symbol"], event["reason"], event["code"]) == (
        "a",
        "BTCUSDT",
        "REASON_PERMISSION",
        -4411,
    )
    assert (event["words"], event["hint"], event["log_level"]) == (WORDS, SIGN, "warning")
    (shown,) = world.manager.snapshot(world.now_ns).refusals
    assert (shown.bot, shown.name, shown.code, shown.words, shown.hint, shown.count) == (
        "a",
        "REASON_PERMISSION",
        -4411,
        WORDS,
        SIGN,
        1,
    )
    (notice,) = world.bots["a"].notices
    assert (notice.kind, notice.order_id, notice.code) == (wire.NOTICE_REFUSED, 1, -4411)
    assert notice.words == f"{WORDS}; {SIGN}"
    assert last(world).reason == REASON_PERMISSION
    world.tick()
    (warning,) = world.manager.warnings()
    assert (warning.key, warning.symbol) == ("orders_refused", "a BTCUSDT -4411")
    assert WORDS in warning.text
    world.advance(RECENT_NS + 1)
    world.tick()
    assert list(world.manager.warnings()) == []


def test_a_refused_modification_is_one_too_and_a_cancel_that_came_too_late_is_not(world):
    place(world)
    world.modify("a", 1, 1001, 5)
    refuse(world, REASON_MARGIN, "400 -2019 Margin is insufficient.", -2019)
    world.cancel("a", 1)
    refuse(world, REASON_UNKNOWN_ORDER, "400 -2011 Unknown order sent.", -2011)
    found = world.manager.snapshot(world.now_ns).refusals
    assert [(one.code, one.count) for one in found] == [(-2019, 1)]


def test_what_comes_in_the_ordinary_course_is_counted_and_warns_nobody(world):
    world.submit("a", 1, time_in_force=1)
    refuse(world, REASON_POST_ONLY, "400 -5022 Due to the order could not be executed as maker.", -5022)
    world.tick()
    assert [one.count for one in world.manager.snapshot(world.now_ns).refusals] == [1]
    assert list(world.manager.warnings()) == []
    assert world.bots["a"].notices == []


def test_a_limit_that_was_reached_and_orders_without_a_connection_are_shown_by_bot():
    world = World(limits=BotLimits(max_order_qty=0.001))
    world.submit("a", 1, lots=5)
    world.tick()
    assert [one.key for one in world.manager.warnings()] == ["limit_reached"]
    world.manager.on_connection(False, world.now_ns)
    world.submit("a", 2, lots=1)
    world.tick()
    assert [one.key for one in world.manager.warnings()] == ["limit_reached"], "the connector says that"
    reasons = {one.reason: one.words for one in world.manager.snapshot(world.now_ns).refusals}
    assert reasons == {REASON_LIMIT_QTY: "", REASON_DISCONNECTED: ""}


def test_the_journal_has_the_connectors_own_refusals_the_first_at_once_and_the_others_once_a_minute(
    tmp_path: Path,
):
    world = World(tmp_path, limits=BotLimits(max_order_qty=0.001))

    def written() -> list[tuple[str, str, int, int]]:
        assert world.path is not None
        rows, _ = read_rows(world.path.read_bytes(), world.path)
        return [(row.bot, row.symbol, row.reason, row.count) for row in rows if isinstance(row, Refused)]

    once = ("a", "BTCUSDT", REASON_LIMIT_QTY, 1)
    for order_id in range(1, 5):
        world.submit("a", order_id, lots=5)
        assert written() == [once]
    world.manager.on_connection(False, world.now_ns)
    world.submit("a", 5, lots=1)
    down = ("a", "BTCUSDT", REASON_DISCONNECTED, 1)
    assert written() == [once, down]
    world.advance(59 * S)
    world.tick()
    assert written() == [once, down]
    world.advance(1 * S)
    world.tick()
    more = ("a", "BTCUSDT", REASON_LIMIT_QTY, 3)
    assert written() == [once, down, more]
    world.advance(600 * S)
    world.tick()
    assert written() == [once, down, more]
    world.manager.on_connection(True, world.now_ns)
    world.submit("a", 6, lots=5)
    assert written() == [once, down, more, once]


def test_kinds_beyond_those_that_are_kept_are_not_written():
    refusals = Refusals()
    for number in range(KINDS_MAX + 3):
        refusals.note_own("a", f"S{number}", REASON_LIMIT_QTY, 7)
    assert len(list(refusals.to_write(7))) == KINDS_MAX
    assert list(refusals.to_write(7 + 600 * S)) == []


def test_outcomes_that_are_unknown_for_long_and_orders_that_stay_open_are_warnings(world):
    world.submit("a", 1)
    command = world.requests.pop(0)[0]
    world.manager.on_outcome(Outcome(command.request, UNKNOWN), world.now_ns)
    world.tick()
    assert list(world.manager.warnings()) == []
    world.advance(5_000_000_000)
    world.tick()
    (warning,) = world.manager.warnings()
    assert warning.key == "outcomes_unknown"
    assert command.client_id in warning.text


def test_a_bot_that_is_away_with_orders_or_a_position_is_a_warning():
    world = World(on_end="keep")
    place(world, lots=10)
    world.exchange.fill(world.exchange.open_orders()[0], 4)
    world.flush()
    assert list(world.manager.warnings()) == []
    world.manager.detach("a", world.now_ns)
    keys = {one.key: one.text for one in world.manager.warnings()}
    assert set(keys) == {"orders_without_bot", "position_without_bot"}
    assert "0.004 BTCUSDT" in keys["position_without_bot"]
    world.attach("a")
    assert list(world.manager.warnings()) == []


def test_a_halt_is_a_warning_with_its_reason(world):
    world.manager.halt("looking", world.now_ns)
    (warning,) = world.manager.warnings()
    assert warning.key == "halted"
    assert "looking" in warning.text


def test_kinds_and_lines_in_the_log_are_limited_and_what_is_left_out_is_counted():
    refusals = Refusals()
    outcome = Outcome(1, REFUSED, REASON_MARGIN, "no", code=-1)
    with capture_logs() as logs:
        for _ in range(1000):
            refusals.note("a", "X", REASON_MARGIN, 0, order_id=1, what="new", outcome=outcome)
        assert len(logs) == LOGGED_A_MINUTE + 1
        refusals.note("a", "X", REASON_MARGIN, 61 * 10**9, order_id=1, what="new", outcome=outcome)
    assert logs[-2] == {
        "event": "refusals_not_logged",
        "count": 1000 - LOGGED_A_MINUTE - 1,
        "log_level": "warning",
    }
    for number in range(2 * KINDS_MAX):
        refusals.note_own(f"b{number}", "X", REASON_LIMIT_QTY, 0)
    assert len(refusals.kinds) == KINDS_MAX + 1
    assert sum(one.count for one in refusals.shown(0)) == 1001 + 2 * KINDS_MAX
