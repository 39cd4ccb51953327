"""What a user may rely on: an order's fate is what the exchange tells of it, whatever answers say."""

import asyncio

import pytest

from daemon.messages import CONFIRMED, REFUSED, UNKNOWN, Cancel, Modify, Query
from daemon.orders.ids.wire_ids import to_plain
from daemon.session.manners import Heartbeat
from hftd.constants import (
    CANCELED,
    EXPIRED,
    FILLED,
    NEW,
    REASON_DUPLICATE,
    REASON_MARGIN,
    REASON_POST_ONLY,
    REASON_UNKNOWN_ORDER,
)
from hftd.errors import ConfigError

from .scripted import API_KEY, IDS, Venue, fill, place, row, trading_with, until


async def test_an_acknowledged_order_is_confirmed_by_the_private_stream_alone():
    venue = Venue()
    async with trading_with(venue) as (trading, core):
        order = place(1)
        trading.send(order)
        await until(lambda: trading.statistics().get("received"), "the receipt")
        assert core.outcome(1) is None
        op, args = venue.requests[0]
        assert (op, args["orderLinkId"]) == ("order.create", to_plain(order.client_id))
        assert (args["price"], args["qty"], args["timeInForce"]) == ("43187.0", "0.100", "PostOnly")
        await venue.tell("order.linear", row(args))
        await until(lambda: core.outcome(1), "the outcome")
        assert core.outcome(1).kind == CONFIRMED
        assert core.outcome(1).report.client_id == order.client_id
        assert core.reports[0].status == NEW


async def test_a_fill_before_the_answer_and_an_answer_that_is_lost_confirm_the_order():
    venue = Venue()

    async def fill_first(asked):
        args = asked["args"][0]
        await venue.tell("execution.linear", fill(args))
        await venue.tell("order.linear", row(args, "Filled", cumExecQty="0.100"))
        await asyncio.sleep(0.05)
        return venue.acknowledge(asked) if args["qty"] == "0.100" else None

    venue.answers["order.create"] = fill_first
    async with trading_with(venue) as (trading, core):
        trading.send(place(1))
        await until(lambda: core.outcome(1), "the outcome")
        assert core.outcome(1).kind == CONFIRMED
        await until(lambda: len(core.reports) == 2, "both reports")
        assert core.reports[0].execution.trade_id == "e1"
        assert core.reports[1].status == FILLED
        await asyncio.sleep(0.1)
        assert len(core.outcomes) == 1
        assert trading.statistics()["told_before_answer"] == 1


async def test_what_is_received_and_never_told_is_asked_about_over_rest():
    venue = Venue()
    async with trading_with(venue) as (trading, core):
        order = place(1)
        trading.send(order)
        await until(lambda: core.outcome(1), "the outcome")
        assert core.outcome(1).kind == UNKNOWN
        args = venue.requests[0][1]
        venue.rest["/v5/order/realtime"] = lambda params: {"list": [row(args)], "nextPageCursor": ""}
        trading.send(Query(2, order.client_id, "", "BTCUSDT"))
        await until(lambda: core.outcome(2), "the answer")
        assert core.outcome(2).kind == CONFIRMED
        assert core.outcome(2).report.client_id == order.client_id


async def test_a_cancel_does_not_wait_for_a_question_about_its_order():
    venue = Venue()
    asked = asyncio.Event()

    async def never(_params):
        asked.set()
        await asyncio.sleep(30.0)

    venue.rest["/v5/order/realtime"] = never
    async with trading_with(venue) as (trading, _core):
        trading.send(Query(1, IDS.make("bot", 1), "", "BTCUSDT"))
        await asked.wait()
        trading.send(Cancel(2, IDS.make("bot", 1), "", "BTCUSDT"))
        await until(lambda: "order.cancel" in [op for op, _ in venue.requests], "the cancel", 0.4)


async def test_an_order_that_is_over_is_found_in_the_history_and_one_of_neither_list_is_not_known():
    venue = Venue()
    async with trading_with(venue) as (trading, core):
        ended = row({"symbol": "BTCUSDT", "orderLinkId": to_plain(IDS.make("bot", 5))}, "Cancelled")
        venue.lists["/v5/order/history"] = [ended]
        trading.send(Query(1, "", ended["orderId"], "BTCUSDT"))
        await until(lambda: core.outcome(1), "the answer")
        assert core.outcome(1).report.status == CANCELED
        venue.lists.clear()
        trading.send(Query(2, "", ended["orderId"], "BTCUSDT"))
        await until(lambda: core.outcome(2), "the answer")
        assert (core.outcome(2).kind, core.outcome(2).reason) == (REFUSED, REASON_UNKNOWN_ORDER)


async def test_a_post_only_order_that_would_take_is_refused_as_such_after_its_receipt():
    venue = Venue()
    async with trading_with(venue) as (trading, core):
        for number, state in ((1, "Cancelled"), (2, "Rejected")):
            trading.send(place(number))
            await until(lambda: len(venue.requests) == number, "the order")  # noqa: B023
            args = venue.requests[-1][1]
            await venue.tell("order.linear", row(args, state, rejectReason="EC_PostOnlyWillTakeLiquidity"))
            await until(lambda: core.outcome(number), "the outcome")  # noqa: B023
            assert (core.outcome(number).kind, core.outcome(number).reason) == (REFUSED, REASON_POST_ONLY)
        assert {one.status for one in core.reports} == {EXPIRED}


async def test_refusals_have_reasons_and_an_id_that_is_taken_is_asked_about():
    venue = Venue()
    codes = iter((110007, 110072))
    venue.answers["order.create"] = lambda asked: venue.acknowledge(asked, next(codes), "no")
    async with trading_with(venue) as (trading, core):
        trading.send(place(1))
        trading.send(place(2))
        await until(lambda: core.outcome(2), "the outcomes")
        assert (core.outcome(1).kind, core.outcome(1).reason, core.outcome(1).code) == (
            REFUSED,
            REASON_MARGIN,
            110007,
        )
        assert core.outcome(2).reason == REASON_DUPLICATE


async def test_a_change_is_confirmed_by_its_price_and_quantity_and_a_cancel_by_the_orders_end():
    venue = Venue()
    async with trading_with(venue) as (trading, core):
        order = place(1)
        trading.send(order)
        await until(lambda: venue.requests, "the order")
        args = venue.requests[0][1]
        await venue.tell("order.linear", row(args))
        trading.send(Modify(2, order.client_id, "", "BTCUSDT", order.side, 431880, 200))
        await until(lambda: len(venue.requests) == 2, "the change")
        assert venue.requests[1][1] | {"price": "43188.0", "qty": "0.200"} == venue.requests[1][1]
        await venue.tell("order.linear", row(args))  # what was before it
        await asyncio.sleep(0.05)
        assert core.outcome(2) is None
        await venue.tell("order.linear", row(args, price="43188.0", qty="0.200"))
        await until(lambda: core.outcome(2), "the change")
        trading.send(Cancel(3, order.client_id, "", "BTCUSDT"))
        await until(lambda: len(venue.requests) == 3, "the cancel")
        assert core.outcome(3) is None
        await venue.tell("order.linear", row(args, "Cancelled", rejectReason="EC_PerCancelRequest"))
        await until(lambda: core.outcome(3), "the cancel")
        assert core.outcome(3).kind == CONFIRMED


async def test_a_fill_that_comes_twice_has_one_id_and_an_item_that_makes_no_sense_spoils_no_other():
    venue = Venue()
    async with trading_with(venue) as (trading, core):
        args = {"symbol": "BTCUSDT", "orderLinkId": to_plain(IDS.make("bot", 9)), "price": "43187.0"}
        odd = fill(args, "e2", qty="0.00005")
        funding = fill(args, "e3", execType="Funding")
        await venue.tell("execution.linear", fill(args), odd, funding, fill(args))
        await until(lambda: len(core.reports) == 2, "the fills")
        assert {one.execution.trade_id for one in core.reports} == {"e1"}
        (paid,) = core.funds
        assert (paid.symbol, paid.asset, paid.payment_id) == ("BTCUSDT", "USDT", "e3")
        assert paid.amount == -float(funding["execFee"]) < 0
        assert [warn.key for warn in trading.warnings()] == ["set_aside"]


async def test_the_limit_that_the_answers_state_is_the_one_that_is_kept():
    venue = Venue()
    venue.answers["order.create"] = lambda asked: venue.acknowledge(
        asked, **{"X-Bapi-Limit": "20", "X-Bapi-Limit-Status": "5"}
    )
    async with trading_with(venue) as (trading, core):
        trading.send(place(1))
        await until(lambda: trading.statistics().get("received"), "the receipt")
        assert trading._limiter.limit_of("orders_1s").limit == 20
        assert core.outcomes == []


async def test_orders_go_over_rest_where_the_trade_socket_is_not_wanted():
    venue = Venue()
    async with trading_with(venue, order_path="rest") as (trading, core):
        trading.send(place(1))
        await until(lambda: venue.requests, "the order")
        path, args = venue.requests[0]
        assert path == "/v5/order/create"
        await venue.tell("order.linear", row(args))
        await until(lambda: core.outcome(1), "the outcome")
        assert core.outcome(1).kind == CONFIRMED


async def test_a_socket_that_takes_nothing_new_is_replaced_and_still_answers():
    venue = Venue()
    codes = iter((10019, 0))
    venue.answers["order.create"] = lambda asked: venue.acknowledge(asked, next(codes), "restarting")
    async with trading_with(venue) as (trading, core):
        trading.send(place(1))
        await until(lambda: core.outcome(1), "the refusal")
        assert core.outcome(1).kind == REFUSED
        await until(lambda: len(venue.trades) == 2, "another socket")
        assert core.connections == [True]


async def test_a_private_socket_whose_pings_are_not_answered_is_made_anew():
    venue = Venue()
    venue.is_mute = True
    heartbeat = Heartbeat(lambda number: f'{{"req_id":"{number}","op":"ping"}}', every_s=0.1, pong_s=0.05)
    async with trading_with(venue, heartbeat=heartbeat, wait=False) as (_trading, core):
        await until(lambda: len(venue.privates) >= 2, "another socket")
        assert "private" in venue.pings
        venue.is_mute = False
        await until(lambda: core.connections[-1:] == [True], "the connection")


async def test_the_accounts_switch_is_set_and_let_fire_by_a_connector_that_is_not_well(monkeypatch):
    monkeypatch.setattr("daemon.session.trading.switch.PATIENCE_S", 0.2)
    venue = Venue()
    healthy = [True]
    async with trading_with(venue, keys={"dcp_window_s": 10}.items(), is_healthy=lambda: healthy[0]) as (
        trading,
        _core,
    ):
        path = "/v5/order/disconnected-cancel-all"
        await until(lambda: (path, {"product": "DERIVATIVES", "timeWindow": 10}) in venue.asked, "the switch")
        await until(lambda: not list(trading.warnings()), "no warning")
        assert ("private", "subscribe", ["dcp.future"]) in venue.subscribed
        healthy[0] = False
        await until(lambda: all(one.closed for one in venue.privates), "the private sockets' end")
        count = len(venue.privates)
        await asyncio.sleep(0.3)
        assert len(venue.privates) == count
        healthy[0] = True
        await until(lambda: len(venue.privates) > count, "another private socket")


async def test_an_account_without_the_right_to_a_switch_trades_and_is_warned_of():
    venue = Venue()
    venue.bad_topics = {"dcp.future"}
    venue.rest["/v5/order/disconnected-cancel-all"] = lambda _params: {"retCode": 10005, "retMsg": "no"}
    async with trading_with(venue, keys={"dcp_window_s": 10}.items()) as (trading, core):
        await until(lambda: "refuses" in "".join(one.text for one in trading.warnings()), "the warning")
        assert [one.key for one in trading.warnings()] == ["dead_man_switch"]
        assert core.connections == [True]


async def test_a_key_of_another_host_or_without_rights_ends_in_one_message():
    for path, answer in (
        ("/v5/user/query-api", {"retCode": 10003, "retMsg": "API key is invalid."}),
        ("/v5/user/query-api", {"readOnly": 1}),
        ("/v5/position/list", {"list": [{"symbol": "BTCUSDT", "size": "0", "positionIdx": 1}]}),
    ):
        venue = Venue()
        venue.rest[path] = lambda _params, answer=answer: answer
        async with trading_with(venue, wait=False) as (trading, core):
            await until(trading.task.done, "the end")
            error = trading.task.exception()
            assert isinstance(error, ConfigError)
            assert error.hint
            assert core.connections == []


async def test_lists_end_with_an_empty_page_and_one_that_goes_in_circles_is_an_error():
    venue = Venue()
    args = [{"symbol": "BTCUSDT", "orderLinkId": to_plain(IDS.make("bot", n))} for n in range(3)]
    pages = {"": ("USDT", "a%3A1"), "a:1": ("USDT", "b%3A2"), "b:2": ("", "b%3A2")}

    def page(params):
        if params["settleCoin"] != "USDT":
            return {"list": [], "nextPageCursor": ""}
        coin, cursor = pages[params.get("cursor", "")]
        number = list(pages).index(params.get("cursor", ""))
        return {"list": [row(args[number])] if coin else [], "nextPageCursor": cursor}

    venue.rest["/v5/order/realtime"] = page
    async with trading_with(venue) as (trading, _core):
        assert len(await trading.open_orders()) == 2
        pages["b:2"] = ("USDT", "a%3A1")
        try:
            await trading.open_orders()
        except ValueError as error:
            assert "circles" in str(error)
        else:
            raise AssertionError("a list without an end was taken for a whole one")


@pytest.mark.parametrize("refused", ["login", "topics"])
async def test_a_login_or_topics_that_are_refused_are_no_connection_and_are_tried_again(refused):
    venue = Venue()
    if refused == "login":
        venue.is_login_good = False
    else:
        venue.bad_topics = {"order.linear"}
    async with trading_with(venue, wait=False) as (trading, core):
        await until(lambda: len(venue.privates) >= 2, "another try")
        assert core.connections == []
        assert "refused" in trading.user_supervision.last_error
        assert API_KEY not in trading.user_supervision.last_error
        venue.is_login_good, venue.bad_topics = True, set()
        await until(lambda: core.connections == [True], "the connection")


async def test_fills_have_pages_and_come_oldest_first_and_once():
    venue = Venue()
    args = {"symbol": "BTCUSDT", "orderLinkId": to_plain(IDS.make("bot", 1))}
    fills = [fill(args, f"e{n}", execTime=str(venue.now_ms - n * 1000)) for n in range(5)]
    pages = {"": (fills[:2], "1"), "1": (fills[1:4], "2"), "2": (fills[4:], "3"), "3": ([], "")}

    def page(params):
        items, cursor = pages[params.get("cursor", "")]
        return {"list": items, "nextPageCursor": cursor}

    venue.rest["/v5/execution/list"] = page
    async with trading_with(venue) as (trading, _core):
        found = await trading.executions("BTCUSDT", (venue.now_ms - 10_000) * 10**6)
        assert [one.trade_id for one in found] == ["e4", "e3", "e2", "e1", "e0"]
        assert len({one.client_id for one in found}) == 1
        assert IDS.read(found[0].client_id).order_id == 1
