"""What a user may rely on where an exchange needs what those of today do not: on a made-up venue, over loopback."""

import asyncio

import aiohttp
import msgspec
import pytest
from structlog.testing import capture_logs

from daemon.connector.watch import unreadable
from daemon.connector.watch.unreadable import LOGGED_A_MINUTE
from daemon.messages import CONFIRMED, REFUSED, Cancel, Query
from daemon.session.nonces import Nonces
from daemon.session.trading import switch
from hftd.constants import CANCELED, REASON_DUPLICATE
from hftd.errors import ConfigError
from tests.daemon.session.madeup import CODEC, IDS, PARTS, MadeUp, submit, trading_with, until

GUARD = {"guard": ("guard", b'{"n":"guard","op":"guard"}')}


async def test_an_account_with_keys_of_three_parts_logs_in_by_message_pings_as_text_and_names_orders_by_uuids():
    exchange = MadeUp()
    async with trading_with(exchange) as (trading, core):
        one = submit(1)
        trading.send(one)
        await until(lambda: core.outcome(1), "the outcome")
        assert core.outcome(1).kind == CONFIRMED
        assert core.outcome(1).report.client_id == one.client_id, "read back from the exchange's form"
        assert list(exchange.orders) == [CODEC.to_wire(one.client_id)]
        await exchange.tell(CODEC.to_wire(one.client_id))
        await until(lambda: core.reports, "the event")
        assert IDS.read(core.reports[0].client_id).order_id == 1
        trading.send(submit(2, order_id=1))
        trading.send(Cancel(3, one.client_id, "", "ONE"))
        trading.send(Query(4, one.client_id, "", "ONE"))
        await until(lambda: core.outcome(4), "the answers")
        assert core.outcome(4).report.status == CANCELED
        await until(lambda: exchange.pings["orders"] > 1 and exchange.pings["user"] > 1, "pings")
        assert {login["phrase"] for login in exchange.logins} == {PARTS["passphrase"]}


async def test_a_connection_whose_pings_are_not_answered_is_made_anew():
    exchange = MadeUp()
    async with trading_with(exchange):
        exchange.is_mute = True
        await until(lambda: len(exchange.sockets) > 1 and len(exchange.users) > 1, "other connections")


async def test_a_wrong_third_part_is_a_key_that_the_exchange_does_not_take():
    parts = PARTS | {"passphrase": "another phrase"}
    async with trading_with(MadeUp(), parts=parts, wait=False) as (trading, _core):
        with pytest.raises(ConfigError, match="does not take the API key") as failure:
            await asyncio.wait_for(asyncio.shield(trading.task), 10)
        assert not any(part in str(failure.value) for part in parts.values())


# ---- nonces


def are_rising(exchange):
    nonces = [nonce for _way, nonce in exchange.nonces]
    return nonces == sorted(set(nonces))


async def test_nonces_rise_in_the_order_in_which_requests_are_written():
    exchange = MadeUp()
    async with trading_with(exchange) as (trading, core):
        for number in range(1, 31):
            trading.send(submit(number))
        await until(lambda: len(core.outcomes) == 30, "the outcomes")
        assert {one.kind for one in core.outcomes} == {CONFIRMED}
        assert are_rising(exchange)


async def test_over_rest_a_request_takes_its_nonce_when_the_one_before_was_answered():
    exchange = MadeUp()
    async with trading_with(exchange, order_path="rest") as (trading, core):
        for number in range(1, 9):
            trading.send(submit(number))
        await asyncio.gather(*(trading._rest.ask("/account", method="POST") for _ in range(8)))
        await until(lambda: len(core.outcomes) == 8, "the outcomes")
        assert {one.kind for one in core.outcomes} == {CONFIRMED}
        assert exchange.refused_nonces == 0
        assert are_rising(exchange)


class SlowConnector(aiohttp.TCPConnector):
    """Connections after the first ones take long to be made."""

    wait_s = 0.0

    async def _create_connection(self, *args, **kwargs):
        await asyncio.sleep(self.wait_s)
        return await super()._create_connection(*args, **kwargs)


async def test_a_request_that_waits_for_a_connection_is_not_overtaken_by_one_with_a_higher_nonce():
    exchange, connector = MadeUp(), SlowConnector()
    async with trading_with(exchange, order_path="rest", connector=connector) as (trading, core):
        connector.wait_s, exchange.slow_s["account"] = 0.1, 0.05
        before = len(exchange.nonces)
        asking = asyncio.create_task(trading._rest.ask("/account", method="POST"))
        await until(lambda: len(exchange.nonces) > before, "the question")
        trading.send(submit(1))
        await asking
        trading.send(submit(2))
        await until(lambda: len(core.outcomes) == 2, "the outcomes")
        assert {one.kind for one in core.outcomes} == {CONFIRMED}
        assert are_rising(exchange)


async def test_a_request_does_not_wait_for_one_that_hangs():
    exchange = MadeUp()
    async with trading_with(exchange, order_path="rest") as (trading, core):
        exchange.slow_s["account"] = 5.0
        before = len(exchange.nonces)
        hanging = asyncio.create_task(trading._rest.ask("/account", method="POST"))
        await until(lambda: len(exchange.nonces) > before, "the question")
        trading.send(submit(1))
        await until(lambda: core.outcome(1), "the outcome", 2.0)
        assert core.outcome(1).kind == CONFIRMED
        hanging.cancel()
        await asyncio.gather(hanging, return_exceptions=True)


async def test_a_question_that_is_asked_again_has_another_nonce():
    exchange = MadeUp()
    async with trading_with(exchange) as (trading, _core):
        exchange.fails_once["account"] = 1
        before = len(exchange.nonces)
        await trading._rest.ask("/account", method="POST")
        assert len(exchange.nonces) == before + 2
        assert are_rising(exchange)
        # As another process of the key would have done it.
        exchange.last_nonce += 100_000
        await trading._rest.ask("/account", method="POST")
        assert exchange.refused_nonces == 1, "refused, and asked again with one that is high enough by then"


async def test_nonces_after_a_restart_are_higher_and_those_of_orders_that_were_refused_are_gone():
    exchange = MadeUp()
    async with trading_with(exchange) as (trading, core):
        for number in range(1, 21):
            trading.send(submit(number))
        twice = submit(21)
        trading.send(twice)
        trading.send(msgspec.structs.replace(twice, request=22))
        await until(lambda: len(core.outcomes) == 22, "the outcomes")
        assert (core.outcome(22).kind, core.outcome(22).reason) == (REFUSED, REASON_DUPLICATE)
    async with trading_with(exchange) as (trading, core):
        trading.send(submit(31))
        await until(lambda: core.outcome(31), "the outcome")
        assert core.outcome(31).kind == CONFIRMED
    assert exchange.refused_nonces == 0
    assert are_rising(exchange)


def test_nonces_rise_even_when_the_clock_is_set_back_and_many_are_taken_at_once():
    nonces = Nonces()
    taken = [nonces.take(ns) for ns in (5_000_000, 5_000_000, 5_999_999, 1, 9_000_000)]
    assert taken == [5, 6, 7, 8, 9]
    assert Nonces(1000).take(5_000_001_999) == 5_000_001


# ---- dead-man switches


async def test_a_connections_switch_is_asked_for_before_orders_and_fires_with_the_connection():
    exchange = MadeUp()
    async with trading_with(exchange, manners=GUARD, life_s=0.2) as (trading, core):
        assert exchange.guarded == [True]
        trading.send(submit(1))
        await until(lambda: core.outcome(1), "the outcome")
        await asyncio.sleep(0.4)
        assert len(exchange.sockets) == 1, "a connection that is replaced would take its orders along"
        assert list(trading.warnings()) == []
        await exchange.sockets[0].close()
        await until(lambda: core.reports, "the cancel")
        assert core.reports[0].status == CANCELED
        await until(lambda: exchange.guarded == [True, True], "another connection")
        await until(lambda: core.connections == [True, False, True], "it to be told")


async def test_while_a_guarded_connection_is_down_nothing_goes_out_by_a_way_that_is_not():
    exchange = MadeUp()
    async with trading_with(exchange, manners=GUARD, backoff_s=5.0, backoff_max_s=5.0) as (trading, core):
        await exchange.sockets[0].close()
        await until(lambda: trading._sender.socket is None, "the end")
        trading.send(submit(1))
        assert core.outcome(1).kind == REFUSED
        assert exchange.orders == {}


async def test_a_connector_that_is_not_well_lets_go_of_its_guarded_connection_until_it_is(monkeypatch):
    monkeypatch.setattr(switch, "PATIENCE_S", 0.05)
    exchange, is_well = MadeUp(), True
    async with trading_with(exchange, manners=GUARD, is_healthy=lambda: is_well) as (trading, core):
        trading.send(submit(1))
        await until(lambda: core.outcome(1), "the outcome")
        is_well = False
        await until(lambda: core.reports and core.reports[-1].status == CANCELED, "the cancel")
        await asyncio.sleep(0.3)
        assert len(exchange.sockets) == 1
        is_well = True
        await until(lambda: len(exchange.sockets) == 2 and trading._sender.socket, "another connection")


async def test_a_switch_that_the_exchange_refuses_is_a_warning_and_orders_go_on():
    exchange = MadeUp()
    exchange.is_guard_good = False
    async with trading_with(exchange, manners=GUARD) as (trading, core):
        assert [(one.key, "not for you" in one.text) for one in trading.warnings()] == [
            ("dead_man_switch", True)
        ]
        trading.send(submit(1))
        await until(lambda: core.outcome(1), "the outcome")
        assert core.outcome(1).kind == CONFIRMED


async def test_switches_by_symbol_are_refreshed_within_the_limit_of_the_exchange_whatever_its_interval():
    exchange = MadeUp()
    async with trading_with(exchange, countdown_s=2.0, countdown_every_s=0.2) as (trading, _core):
        trading.send(submit(1))
        trading.send(submit(2, "TWO"))
        await until(lambda: len(exchange.switches) >= 6, "refreshes")
        assert {symbol for symbol, _ms in exchange.switches} == {"ONE", "TWO"}
        # Half of 600 in 10 s is 1,800 a minute; each refresh counts 3, and comes at least each 1.33 s.
        assert trading._countdowns.capacity == 13
        planned = trading._limiter.limit_of("weight_10s").planned
        assert planned == 300, "two symbols each 0.2 s are 300 in 10 s"
        assert are_rising(exchange)


async def test_a_flood_of_answers_to_nothing_is_a_few_lines_of_the_log_and_a_number(monkeypatch):
    now_ns = 0
    monkeypatch.setattr(unreadable, "monotonic_ns", lambda: now_ns)
    exchange = MadeUp()
    async with trading_with(exchange) as (trading, _core):
        with capture_logs() as logs:
            for _ in range(500):
                await exchange.sockets[0].send_json({"n": 999, "error": 9, "words": "no"})
                await exchange.sockets[0].send_str("{nonsense")
            await until(lambda: trading.counts["unreadable"] == 500, "them all")
            assert len([one for one in logs if one["log_level"] in ("warning", "error")]) == LOGGED_A_MINUTE
            now_ns += 60_000_000_000
            await exchange.sockets[0].send_json({"n": 999, "error": 9, "words": "no"})
            await until(lambda: any(one["event"] == "unreadable_not_logged" for one in logs), "the number")
        assert [one["count"] for one in logs if one["event"] == "unreadable_not_logged"] == [
            1000 - LOGGED_A_MINUTE
        ]
        assert trading.counts["late_replies"] >= 500
