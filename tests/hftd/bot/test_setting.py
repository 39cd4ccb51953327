"""Parameters are set through the daemon while a bot runs: whole sets, between two steps, told by whom and when."""

import os

import pytest

from hftd import wire
from hftd.clock import monotonic_ns
from hftd.control import status
from hftd.control.asking import ask
from hftd.errors import RefusedError, WrongBotError
from tests.hftd.bot.conftest import FakeDaemon, Play

pytestmark = pytest.mark.timeout(300)


def asked(values: dict[str, bool | int | float | str], bot: str = "mm") -> tuple[bool, status.Parameters]:
    argument = status.encode(status.SetParameters(bot=bot, values=values, uid=4_711)).decode()
    until_ns = monotonic_ns() + 20_000_000_000
    return ask("bf", wire.ASK_SET, status.Parameters, until_ns, argument=argument)


def attached(play: Play) -> None:
    """Wait until the bot answers."""

    def answers() -> bool:
        try:
            return asked({})[0]
        except RefusedError:
            return False

    play.until(answers)


@pytest.mark.parametrize("strategy", ["whole_sets", "whole_sets_in_python"])
def test_each_step_sees_one_whole_set_of_a_hundred(play: Play, strategy: str):
    play.start(strategy, allow_set=True)
    attached(play)
    numbers = [*range(1, 100), 1_000]
    for number in numbers:
        ok, told = asked({"a": number, "b": 2 * number, "is_odd": number % 2 == 1})
        assert ok
        values = {one.name: one.value for one in told.parameters}
        assert (values["a"], values["b"]) == (number, 2 * number)
    result = play.finish()
    assert not play.has(90), "a step saw a part of a set"
    assert (play.alert(91), play.alert(92)) == (100, 1_000), (
        "each was seen, since each answer came after its step"
    )
    assert [change.values["a"] for change in result.changes] == numbers
    times = [change.ns for change in result.changes]
    assert times == sorted(times)
    assert min(times) > 0
    assert {change.uid for change in result.changes} == {os.getuid()}, "the kernel's word, not the caller's"
    assert {change.pid for change in result.changes} == {os.getpid()}
    assert result.changes[0].before == {"a": 0, "b": 0, "is_odd": False}


def test_what_is_wrong_is_told_and_the_bot_goes_on(play: Play):
    play.start("whole_sets", allow_set=True)
    attached(play)
    for values, what in (
        ({"c": 1}, "no parameter 'c'"),
        ({"a": 1.5}, "whole number"),
        ({"window": 2}, "before the strategy's loop"),
    ):
        with pytest.raises(WrongBotError, match=what):
            asked(values)
    with pytest.raises(WrongBotError, match="no bot 'other'"):
        asked({"a": 1}, bot="other")
    ok, told = asked({})
    assert ok
    assert (told.allows_set, told.changes) == (True, 0)
    asked({"a": 1_000, "b": 2_000})
    assert play.finish().ended == "strategy returned"


def test_a_bot_that_does_not_allow_it_says_so_and_shows_its_parameters(play: Play, fake: FakeDaemon):
    play.start("whole_sets")
    attached(play)
    with pytest.raises(WrongBotError, match="does not allow") as refused:
        asked({"a": 1})
    assert "allow_set" in refused.value.hint
    assert [one.name for one in asked({})[1].parameters] == ["a", "b", "is_odd", "window"]
    fake.tell("drop", bot="mm", hangs=True)
    assert play.finish().lost


def test_a_new_start_has_the_values_of_the_configuration(play: Play):
    for _ in range(2):
        play.start("whole_sets", {"a": 3, "b": 6, "is_odd": True}, allow_set=True)
        attached(play)
        assert asked({})[1].parameters[0].value == 3
        asked({"a": 1_000, "b": 2_000, "is_odd": False})
        play.finish()
