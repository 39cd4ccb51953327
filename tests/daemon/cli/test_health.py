"""The exit code of `hftd status` says the worst of what there is, whatever else is the matter."""

import re
from collections.abc import Callable

import msgspec
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from daemon.cli.asking import Report, Silent
from daemon.cli.commands.status import command
from daemon.cli.health import (
    DISCONNECTED,
    GOOD,
    HALTED,
    NO_ANSWER,
    NOT_VALID,
    WARNING,
    WORST_FIRST,
    exit_code,
)
from daemon.cli.legs import BotLegs, Leg
from daemon.connector.report import status_of
from hftd.control import status
from tests.daemon.connector.harness import running
from tests.laws import ROOT

WELL = status.DaemonStatus(
    kind=status.CONNECTOR,
    name="bf",
    pid=1,
    version="0",
    now_ns=10**18,
    channels=[status.Channel(name="bf", markets=[status.Market(symbol="BTCUSDT", instrument=0)])],
    connections=[status.Connection(name="market", is_up=True)],
    bots=[status.Bot(name="mm")],
)
Change = Callable[[status.DaemonStatus], status.DaemonStatus]


def changed(**fields: object) -> Change:
    return lambda one: msgspec.structs.replace(one, **fields)


def warned(key: str) -> Change:
    return changed(alerts=[status.Warning(key=key, text="a")], warnings=["a"])


AILMENTS: list[tuple[int, Change]] = [
    (HALTED, changed(is_halted=True, halt_reason="asked to")),
    (HALTED, changed(bots=[status.Bot(name="mm", halt_reason="its day's loss")])),
    (DISCONNECTED, changed(connections=[status.Connection(name="orders", is_up=False)])),
    (DISCONNECTED, warned("waits_for_exchange")),
    (DISCONNECTED, warned("orders_not_connected")),
    (
        NOT_VALID,
        changed(
            channels=[
                status.Channel(
                    name="bf", markets=[status.Market(symbol="BTCUSDT", instrument=0, book_is_valid=False)]
                )
            ]
        ),
    ),
    (WARNING, warned("margin_call")),
    (GOOD, changed()),
]


@pytest.mark.parametrize(("code", "change"), AILMENTS)
def test_one_ailment_has_its_code(code: int, change: Change):
    assert exit_code(Report(daemons=[WELL, change(WELL)], silent=[])) == code


@given(
    st.lists(st.lists(st.sampled_from(AILMENTS), min_size=1, max_size=4), min_size=1, max_size=4),
    st.booleans(),
)
def test_of_several_ailments_of_several_daemons_the_worst_is_told(
    daemons: list[list[tuple[int, Change]]], is_silent: bool
):
    made = []
    expected: set[int] = {NO_ANSWER} if is_silent else set()
    for ailments in daemons:
        # Each replaces fields, so of two of one field the later one counts.
        one = WELL
        for _, change in ailments:
            one = change(one)
        made.append(one)
        expected.add(exit_code(Report(daemons=[one], silent=[])))
        assert exit_code(Report(daemons=[one], silent=[])) in {code for code, _ in ailments}
    silent = [Silent(channel="x", error="it did not answer")] if is_silent else []
    assert exit_code(Report(daemons=made, silent=silent)) == min(expected, key=WORST_FIRST.index)


@pytest.mark.parametrize("trouble", ["no daemon", "no answer"])
def test_a_daemon_that_a_bot_needs_and_that_is_away_is_no_answer(trouble: str):
    bot = BotLegs(name="mm", pid=1, legs=[Leg(channel="by", troubles=[trouble])])
    assert exit_code(Report(daemons=[WELL], silent=[], bots=[bot])) == NO_ANSWER


def test_the_help_and_the_page_have_the_codes_in_their_order():
    help_text, page = CliRunner().invoke(command, ["--help"]).output, (ROOT / "docs/live.md").read_text()
    for text, title in ((help_text, "Exit code,"), (page, "### Exit codes of hftd status")):
        _, _, rest = text.partition(title)
        found = [int(code) for code in re.findall(r"^(?: +|\| )(\d+) +", rest, flags=re.MULTILINE)]
        assert tuple(found[: len(WORST_FIRST)]) == WORST_FIRST


async def test_a_real_connector_is_well_then_halted_then_disconnected(tmp_path):
    async with running(tmp_path) as whole:
        await whole.until_valid()

        def code() -> int:
            return exit_code(Report(daemons=[status_of(whole.connector)], silent=[]))

        await whole.until(lambda: code() == GOOD)
        connector = whole.connector
        market = connector.bots.books.markets()[0]
        connector.on_book_state(market.instrument.number, 1)
        assert code() == NOT_VALID
        await whole.exchange.stop()
        await whole.until(lambda: code() == DISCONNECTED)
        connector.orders.halt("by the test", 1)
        assert code() == HALTED
