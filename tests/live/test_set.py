"""What a user may rely on: a live bot takes parameters over, and its connector's journal has who set them."""

import json
import os

import msgspec
import pytest

from daemon.cli.run.supervisor import supervised
from tests.live.watched import Watched, market_in


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_live_bot_takes_its_parameters_over_and_the_journal_has_who_set_them(tmp_path):
    market = market_in(tmp_path)
    path = tmp_path / "bot.toml"
    path.write_text(market.bot_path.read_text().replace("[bot]\n", "[bot]\nallow_set = true\n", 1))
    with (tmp_path / "processes.log").open("w") as log, supervised() as children:
        stack = Watched(children, msgspec.structs.replace(market, bot_path=path), tmp_path, log)
        stack.start_trading()
        stack.hftd("set", "mm", "half_spread_ticks=6", "order_qty=0.02")
        told = json.loads(stack.hftd("set", "mm", "--json"))
        values = {one["name"]: one["value"] for one in told["parameters"]}
        assert (values["half_spread_ticks"], values["order_qty"]) == (6.0, 0.02)
        journal = str(tmp_path / market.legs[0].journal)
        events = json.loads(stack.hftd("journal", journal, "--events", "--json"))
    (set_,) = [one for one in events if one["event"] == "parameters set"]
    assert json.loads(set_["what"]) == {"half_spread_ticks": 6.0, "order_qty": 0.02}
    assert set_["bot"] == "mm"
    assert f"uid {os.getuid()}" in set_["by"]
