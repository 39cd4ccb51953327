import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemon.orders.client_ids import (
    MAX_NUMBER,
    MAX_ORDER_ID,
    MAX_RUN,
    ClientId,
    ClientIds,
    bot_hash,
    run_number,
)
from hftd.errors import ConfigError

BINANCE = re.compile(r"^[\.A-Z\:/a-z0-9_-]{1,36}$")


@given(
    st.from_regex(r"\A[A-Za-z0-9_-]{1,8}\Z"),
    st.integers(0, MAX_RUN),
    st.integers(0, MAX_NUMBER - 1),
    st.text(min_size=1),
    st.integers(0, MAX_ORDER_ID),
)
def test_an_id_tells_whose_order_it_is_and_fits_the_exchange(prefix, run, made, bot, order_id):
    ids = ClientIds(prefix, run)
    ids.made = made
    client_id = ids.make(bot, order_id)
    assert BINANCE.match(client_id)
    assert ids.read(client_id) == ClientId(bot_hash(bot), run, made + 1, order_id)
    assert ClientIds(prefix, 3).read(client_id) == ids.read(client_id), "whichever run reads it"


def test_ids_are_unique_also_when_a_bot_uses_its_own_again():
    first, second = ClientIds("mm", 1), ClientIds("mm", 2)
    made = [ids.make(bot, order_id) for ids in (first, second) for bot in "ab" for order_id in (5, 5, 6)]
    assert len(set(made)) == len(made)


@pytest.mark.parametrize(
    "client_id",
    [
        "",
        "mm",
        "mm:",
        "web_1234",
        "mm:short",
        "autoclose-1",
        "mmm:diwu3000011.1",
        "m:diwu3000011.1",
        "mm:diwu3000011",
        "mm:diwu3000011.",
        "mm:diwu30000.1",
        "mm:diwu3000011.1!",
        "mm:diwu3000011.zzzzzzzzzzzz",
        "mm:" + "z" * 40,
        "mm:diwu3000011.ü",
    ],
)
def test_ids_of_others_are_not_taken_for_ours(client_id):
    assert ClientIds("mm", 1).read(client_id) is None


@given(st.text())
def test_no_text_is_too_odd_to_read(text):
    ClientIds("mm", 1).read("mm:" + text)


def test_runs_are_numbered_upwards_by_the_clock_and_after_the_last_one_known():
    now_ns = 1_790_000_000_000_000_000
    run = run_number(now_ns)
    assert run_number(now_ns + 1_000_000_000) == run + 1
    assert run_number(now_ns, last_run=run) == run + 1
    assert run_number(0, last_run=run) == run + 1, "a clock that went back"


@pytest.mark.parametrize("prefix", ["", "ninechars", "a b", "a:", "ä"])
def test_a_prefix_that_can_not_be_one_is_refused(prefix):
    with pytest.raises(ConfigError, match="prefix"):
        ClientIds(prefix, 1)


def test_a_run_that_has_used_up_its_ids_says_so():
    ids = ClientIds("mm", 1)
    ids.made = MAX_NUMBER
    with pytest.raises(ConfigError, match="used up"):
        ids.make("a", 1)
