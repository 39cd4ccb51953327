"""A replay's state when letting a bot in or out goes wrong half-way."""

import os
from collections.abc import Iterator

import pytest

from hftd import wire
from hftd.channel.layout import PROTOCOL_VERSION
from hftd.channel.memory import BotPage, Link
from hftd.errors import RefusedError
from sim.replay.stage import Stage
from sim.run import RunAsset
from tests.sim.engine.market import asset, levels, rows


@pytest.fixture
def stage() -> Iterator[Stage]:
    data = rows(*levels(), ("bid", 1_000_000, 98.0, 3.0))
    made = Stage([RunAsset("fut", "ABC", asset(data).model)], ["fut"], clock_id=7, pid=os.getpid(), speed=0.0)
    made.start()
    yield made
    for bot in made.bots():
        made.detach(bot, "the test is over")
    made.close()


def hello(bot: str) -> wire.Hello:
    return wire.Hello(version=PROTOCOL_VERSION, bot=bot, pid=os.getpid(), instruments=(("ABC", 1.0, 1.0),))


def test_a_bot_for_whom_there_is_no_memory_is_not_in_the_run(stage: Stage, monkeypatch: pytest.MonkeyPatch):
    def full(*_: int) -> Link:
        raise OSError(24, "Too many open files")

    with BotPage.make() as page, BotPage.make() as another:
        with monkeypatch.context() as patched:
            patched.setattr(Link, "make", full)
            with pytest.raises(OSError, match="Too many"):
                stage.attach("fut", hello("first"), page)
        assert stage.bots() == []
        assert stage.all_bots == []
        stage.attach("fut", hello("first"), page)
        descriptors = len(os.listdir("/proc/self/fd"))
        with pytest.raises(RefusedError, match="another bot named"):
            stage.attach("fut", hello("first"), another)
        assert len(os.listdir("/proc/self/fd")) == descriptors
        assert [bot.name for bot in stage.bots()] == ["first"]


def test_bots_come_and_go_whatever_one_of_them_wrote_to_the_doorbell(stage: Stage):
    with BotPage.make() as page, BotPage.make() as another:
        first, grant = stage.attach("fut", hello("first"), page)
        doorbell_fd = grant.fds[3]
        os.eventfd_write(doorbell_fd, 2**64 - 2)
        os.set_blocking(doorbell_fd, True)
        stage.attach("fut", hello("second"), another)
        stage.detach(first, "it is gone")
        assert [bot.name for bot in stage.bots()] == ["second"]
        with pytest.raises(OSError, match="Bad file descriptor"):
            os.fstat(doorbell_fd)
