import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemon.orders.ids.client_ids import (
    MAX_IDENTITY,
    MAX_NUMBER,
    MAX_ORDER_ID,
    MAX_RUN,
    MAX_SHORT_NUMBER,
    MAX_SHORT_RUN,
    ClientId,
    ClientIds,
    bot_hash,
    read_any,
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


@given(
    st.from_regex(r"\A[A-Za-z0-9_-]{1,8}\Z"),
    st.integers(1, MAX_IDENTITY),
    st.integers(1, MAX_SHORT_RUN),
    st.integers(0, MAX_SHORT_NUMBER - 1),
    st.text(min_size=1),
    st.integers(0, MAX_ORDER_ID),
)
def test_an_id_tells_which_connector_made_it(prefix, identity, run, made, bot, order_id):
    ids = ClientIds(prefix, run, identity)
    ids.made = made
    client_id = ids.make(bot, order_id)
    assert BINANCE.match(client_id)
    assert read_any(client_id) == (prefix, ClientId(bot_hash(bot), run, made + 1, order_id, identity))
    assert ClientIds(prefix, 1).read(client_id) == read_any(client_id)[1]
    assert ClientIds(prefix[1:] + "-x" if len(prefix) < 8 else prefix[1:], 1).read(client_id) is None
    old = ClientIds(prefix, run).make(bot, order_id)
    assert ClientIds(prefix, 1, identity).read(old).identity == 0


def test_ids_of_old_connectors_are_read_with_their_bots_last_bits():
    # 5 digits of bot and run: as they were made before connectors had numbers.
    found = ClientIds("mm", 1, 7).read("mm:diwu3000011.1")
    assert (found.identity, found.number, found.order_id) == (0, 1, 1)
    assert found.bot <= 0xFFFFFF


def test_a_run_of_a_numbered_connector_that_has_used_up_its_ids_goes_on_in_the_next():
    ids = ClientIds("mm", 1, 7)
    ids.made = MAX_SHORT_NUMBER
    assert ids.read(ids.make("a", 1)) == ClientId(bot_hash("a"), 2, 1, 1, 7)
    ids = ClientIds("mm", MAX_SHORT_RUN, 7)
    ids.made = MAX_SHORT_NUMBER
    with pytest.raises(ConfigError, match="used up"):
        ids.make("a", 1)


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
