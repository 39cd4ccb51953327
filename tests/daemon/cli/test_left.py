"""What a live bot says of the position that it leaves."""

import msgspec
import pytest

from daemon.cli.run import left
from daemon.cli.run.left import left_behind
from hftd.control import status
from hftd.errors import ChannelError, NoSuchChannelError
from tests.results import make_result


def found(
    monkeypatch, end: str, *positions: float, kind: str = status.CONNECTOR, lost: str = "", **daemon
) -> str:
    """What is said where the connector tells of these positions, one after the other."""
    told = list(positions)
    made = make_result()
    asset = msgspec.structs.replace(made.assets[0], position=positions[0] if positions else 0.5)
    result = msgspec.structs.replace(made, assets=[asset], lost=lost)

    def ask(channel, *_asked, **_more):
        if not positions:
            raise (
                NoSuchChannelError("there is no channel")
                if not daemon
                else ChannelError("it does not answer")
            )
        position = told.pop(0) if len(told) > 1 else told[0]
        bot = status.Bot(
            name=result.name, positions=[status.Position(symbol=asset.symbol, position=position)]
        )
        return True, status.DaemonStatus(
            kind=kind, name=channel, pid=1, version="1", now_ns=1, bots=[bot] if position else [], **daemon
        )

    monkeypatch.setattr(left, "ask", ask)
    monkeypatch.setattr(left, "FLAT_S", 0.3)
    monkeypatch.setattr(left, "LOOK_S", 0.01)
    return "; ".join(left_behind(result, end))


def test_after_a_flatten_it_says_whether_the_bot_is_flat(monkeypatch):
    assert found(monkeypatch, "flatten", 0.5, 0.2, 0.0).endswith("the bot is flat")
    said = found(monkeypatch, "flatten", 0.5, 0.2)
    assert "NOT flat, 0.2" in said
    assert "the connector goes on with it" in said
    assert "it is halted" in found(monkeypatch, "flatten", 0.5, is_halted=True)
    alert = status.Warning(key="not_flattened", text=f"{make_result().name}: nobody took its order")
    assert "nobody took its order" in found(monkeypatch, "flatten", 0.5, alerts=[alert])


@pytest.mark.parametrize("end", ["cancel", "keep"])
def test_without_a_flatten_it_says_that_a_position_stays_open(monkeypatch, end):
    assert "stays open" in found(monkeypatch, end, -0.5)
    assert found(monkeypatch, end, 0.0) == ""


def test_of_a_replay_nothing_is_said_and_of_a_connector_that_is_silent_that_it_is_not_known(monkeypatch):
    assert found(monkeypatch, "flatten", 0.5, kind=status.REPLAY) == ""
    assert found(monkeypatch, "flatten") == ""
    assert "is not known" in found(monkeypatch, "flatten", lost="connector")
    assert "is not known" in found(monkeypatch, "cancel", is_halted=True)
