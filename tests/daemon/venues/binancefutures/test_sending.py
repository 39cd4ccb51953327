import asyncio

import pytest
from aiohttp import web

from daemon.messages import CONFIRMED, REFUSED, UNKNOWN, Cancel, Modify, Query
from daemon.session.trading.sending import SendLimits
from hftd import constants as c

from .scripted import SECOND_NS, Venue, order_of, place, trading_with, until


async def settled(core, *requests):
    await until(lambda: all(core.outcome(request) for request in requests), f"the outcomes of {requests}")
    return [core.outcome(request) for request in requests]


async def test_place_change_query_and_cancel_are_confirmed_over_the_websocket():
    venue = Venue()
    async with trading_with(venue) as (trading, core):
        for command in (
            place(1),
            Modify(2, "a1", "", "BTCUSDT", c.BUY, 431880, 100),
            Query(3, "a1", "", "BTCUSDT"),
            Cancel(4, "a1", "", "BTCUSDT"),
        ):
            trading.send(command)
        outcomes = await settled(core, 1, 2, 3, 4)
        assert [one.kind for one in outcomes] == [CONFIRMED] * 4
        assert outcomes[3].report.status == c.CANCELED
        assert [method for method, _ in venue.requests] == [
            "order.place",
            "order.modify",
            "order.status",
            "order.cancel",
        ]


async def test_a_lost_reply_is_unknown_and_the_request_is_never_sent_again():
    venue = Venue()
    venue.answers["order.place"] = lambda asked: None
    async with trading_with(venue) as (trading, core):
        trading.send(place(1))
        (outcome,) = await settled(core, 1)
        assert outcome.kind == UNKNOWN
        await asyncio.sleep(0.2)
        assert len(venue.requests) == 1


async def test_a_reply_after_its_time_is_a_report():
    venue = Venue()

    async def late(asked):
        await asyncio.sleep(0.8)
        return venue.acknowledge(asked)

    venue.answers["order.place"] = late
    # Another answer meanwhile, so that the socket is not taken for dead.
    async with trading_with(venue) as (trading, core):
        socket = trading._sender.socket
        socket_received = lambda: setattr(socket, "received_ns", 2**62)  # noqa: E731
        socket_received()
        trading.send(place(1))
        (outcome,) = await settled(core, 1)
        assert outcome.kind == UNKNOWN
        await until(lambda: core.reports, "the late reply")
        assert core.reports[0].client_id == "a1" and trading.counts["late_replies"] == 1


async def test_a_socket_that_answers_nothing_is_made_again():
    venue = Venue()
    venue.answers["order.place"] = lambda asked: None
    async with trading_with(venue) as (trading, core):
        trading.send(place(1))
        await settled(core, 1)
        await until(lambda: len(venue.sockets) == 2, "another socket")


async def test_a_connection_that_breaks_makes_all_that_it_owes_unknown():
    venue = Venue()
    venue.answers["order.place"] = lambda asked: None

    async def hang_up(asked):
        await venue.sockets[0].close()

    venue.answers["order.cancel"] = hang_up
    async with trading_with(venue) as (trading, core):
        trading.send(place(1))
        trading.send(place(2, "a2"))
        trading.send(Cancel(3, "b", "", "BTCUSDT"))
        assert [one.kind for one in await settled(core, 1, 2, 3)] == [UNKNOWN] * 3
        await until(lambda: len(venue.sockets) == 2, "another socket")
        await asyncio.sleep(0.1)
        assert len(venue.requests) == 3


async def test_without_the_websocket_orders_go_over_rest_one_orders_commands_in_turn():
    venue = Venue()
    venue.is_ws_refused = True

    async def slow(request):
        await asyncio.sleep(0.1)

    venue.rest_answers["POST order"] = slow
    async with trading_with(venue) as (trading, core):
        trading.send(place(1))
        trading.send(Cancel(2, "a1", "", "BTCUSDT"))
        trading.send(Cancel(3, "other", "", "BTCUSDT"))
        assert [one.kind for one in await settled(core, 1, 2, 3)] == [CONFIRMED] * 3
        assert [method for method, _ in venue.requests] == ["POST order", "DELETE order", "DELETE order"]
        assert [
            params["origClientOrderId"] for method, params in venue.requests if method == "DELETE order"
        ] == ["other", "a1"]


async def test_an_orders_cancel_stays_behind_its_place_when_the_websocket_comes_back():
    venue = Venue()
    venue.is_ws_refused = True
    go = asyncio.Event()

    async def slow(request):
        await go.wait()

    venue.rest_answers["POST order"] = slow
    async with trading_with(venue) as (trading, core):
        trading.send(place(1))
        await until(lambda: venue.requests, "the place")
        venue.is_ws_refused = False
        await until(lambda: trading._sender.socket is not None, "the socket")
        trading.send(Cancel(2, "a1", "", "BTCUSDT"))
        trading.send(place(3, "a3"))
        await settled(core, 3)
        assert [method for method, _ in venue.requests] == ["POST order", "order.place"]
        go.set()
        await settled(core, 1, 2)
        assert [method for method, _ in venue.requests] == ["POST order", "order.place", "DELETE order"]


async def test_rest_by_choice_uses_no_websocket_for_orders():
    venue = Venue()
    async with trading_with(venue, order_path="rest") as (trading, core):
        trading.send(place(1))
        assert (await settled(core, 1))[0].kind == CONFIRMED
        assert not venue.sockets
        limits = trading._limiter.statistics(0)
        assert limits["orders_10s"]["used"] == 5 and limits["weight_1m"]["used"] >= 11


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
async def test_a_rest_connection_that_breaks_after_the_send_is_unknown_and_never_sent_again(method):
    venue = Venue()
    venue.is_ws_refused = True

    def hang_up(request):
        request.transport.abort()

    async with trading_with(venue) as (trading, core):
        # A kept connection first: that is where a client would try again.
        trading.send(Query(9, "a1", "", "BTCUSDT"))
        await settled(core, 9)
        venue.rest_answers[f"{method} order"] = hang_up
        command = {
            "POST": place(1),
            "PUT": Modify(1, "a1", "", "BTCUSDT", c.BUY, 1, 1),
            "DELETE": Cancel(1, "a1", "", "BTCUSDT"),
        }[method]
        trading.send(command)
        assert (await settled(core, 1))[0].kind == UNKNOWN
        await asyncio.sleep(0.1)
        assert [name for name, _ in venue.requests].count(f"{method} order") == 1


async def test_rest_answers_in_time_or_the_outcome_is_unknown():
    venue = Venue()

    async def never(request):
        await asyncio.sleep(5)

    venue.rest_answers["POST order"] = never
    async with trading_with(venue, order_path="rest") as (trading, core):
        trading.send(place(1))
        assert (await settled(core, 1))[0].kind == UNKNOWN


@pytest.mark.parametrize(
    ("status", "body", "kind", "reason"),
    [
        (503, "Unknown error, please check your request or try again later.", UNKNOWN, 0),
        (503, '{"code":0,"msg":"Service Unavailable."}', REFUSED, c.REASON_EXCHANGE),
        (503, '{"code":-1008,"msg":"Server is currently overloaded"}', REFUSED, c.REASON_RATE_LIMIT),
        (408, '{"code":-1007,"msg":"Timeout"}', UNKNOWN, 0),
        (502, "<html>", UNKNOWN, 0),
        (400, '{"code":-5022,"msg":"post only"}', REFUSED, c.REASON_POST_ONLY),
        (200, "no json", UNKNOWN, 0),
        (429, '{"code":-1003,"msg":"Too many requests"}', REFUSED, c.REASON_RATE_LIMIT),
    ],
)
async def test_what_rest_answers_mean(status, body, kind, reason):
    venue = Venue()
    venue.rest_answers["POST order"] = lambda request: web.Response(status=status, text=body)
    async with trading_with(venue, order_path="rest") as (trading, core):
        trading.send(place(1))
        (outcome,) = await settled(core, 1)
        assert (outcome.kind, outcome.reason) == (kind, reason)


async def test_without_any_way_an_order_is_refused_at_once():
    venue = Venue()
    venue.is_ws_refused = True
    async with trading_with(venue, is_rest_fallback=False, wait=False) as (trading, core):
        await until(lambda: venue.users, "the user stream")
        trading.send(place(1))
        outcome = core.outcome(1)
        assert (outcome.kind, outcome.reason) == (REFUSED, c.REASON_DISCONNECTED)
        assert core.connections == []


async def test_what_can_not_be_written_is_refused_at_once():
    async with trading_with(Venue()) as (trading, core):
        trading.send(place(1, "no good id"))
        trading.send(place(2, "a", "NEWUSDT"))
        assert [core.outcome(one).reason for one in (1, 2)] == [c.REASON_NEVER_SENT, c.REASON_NOT_TRADING]


@pytest.mark.parametrize("is_ws_refused", [False, True])
async def test_an_order_in_a_symbol_that_is_not_listed_is_cancelled_all_the_same(is_ws_refused):
    venue = Venue()
    venue.is_ws_refused = is_ws_refused
    async with trading_with(venue) as (trading, core):
        trading.send(Cancel(1, "a1", "", "GONEUSDT"))
        trading.send(Cancel(2, "a2", "", 'GONE","side":"BUY'))
        await until(lambda: venue.requests, "the cancel")
        await settled(core, 1, 2)
        assert [(params["symbol"], params["origClientOrderId"]) for _, params in venue.requests] == [
            ("GONEUSDT", "a1")
        ]
        assert core.outcome(2).kind == REFUSED


async def test_beyond_the_limits_orders_wait_a_little_and_cancels_pass():
    venue = Venue()
    async with trading_with(venue) as (trading, core):
        from daemon.connector.limiter import RateLimit

        trading._limiter.set_limit(RateLimit("orders_10s", 2, 300_000_000))
        for request in range(1, 4):
            trading.send(place(request, f"a{request}"))
        trading.send(Cancel(9, "other", "", "BTCUSDT"))
        assert core.outcome(3) is None
        await settled(core, 1, 2, 9)
        assert [method for method, _ in venue.requests] == ["order.place", "order.place", "order.cancel"]
        assert (await settled(core, 3))[0].kind == CONFIRMED
        assert not trading._sender.is_detour


async def test_orders_that_would_wait_too_long_are_refused_at_once():
    venue = Venue()
    async with trading_with(venue) as (trading, core):
        from daemon.connector.limiter import RateLimit

        trading._limiter.set_limit(RateLimit("orders_10s", 1, 10 * SECOND_NS))
        trading.send(place(1))
        trading.send(place(2, "a2"))
        assert (core.outcome(2).kind, core.outcome(2).reason) == (REFUSED, c.REASON_RATE_LIMIT)
        await settled(core, 1)
        assert len(venue.requests) == 1


async def test_a_full_queue_refuses():
    async with trading_with(Venue(), send=SendLimits(queue_max=2, queue_wait_s=5.0)) as (trading, core):
        from daemon.connector.limiter import RateLimit

        trading._limiter.set_limit(RateLimit("orders_10s", 1, SECOND_NS))
        for request in range(1, 6):
            trading.send(place(request, f"a{request}"))
        assert [request for request in range(1, 6) if core.outcome(request)] == [4, 5]
        assert (await settled(core, 2))[0].kind == CONFIRMED


async def test_a_cancel_takes_an_unsent_place_out_of_the_queue():
    venue = Venue()
    async with trading_with(venue) as (trading, core):
        from daemon.connector.limiter import RateLimit

        trading._limiter.set_limit(RateLimit("orders_10s", 1, 300_000_000))
        trading.send(place(1))
        trading.send(place(2, "a2"))
        trading.send(Cancel(3, "a2", "", "BTCUSDT"))
        assert (core.outcome(2).kind, core.outcome(2).reason) == (REFUSED, c.REASON_NEVER_SENT)
        assert (core.outcome(3).kind, core.outcome(3).reason) == (REFUSED, c.REASON_UNKNOWN_ORDER)
        trading.send(Modify(4, "a1", "", "BTCUSDT", c.BUY, 1, 1))
        trading.send(Cancel(5, "a1", "", "BTCUSDT"))
        assert core.outcome(4).reason == c.REASON_NEVER_SENT
        assert (await settled(core, 5))[0].kind == CONFIRMED


async def test_a_ban_said_on_the_websocket_stops_everything_until_it_is_over():
    venue = Venue()
    from hftd.clock import wall_ns

    venue.answers["order.place"] = lambda asked: {
        "id": asked["id"],
        "status": 418,
        "error": {"code": -1003, "msg": "banned", "data": {"retryAfter": wall_ns() // 10**6 + 60_000}},
    }
    async with trading_with(venue) as (trading, core):
        trading.send(place(1))
        assert (await settled(core, 1))[0].reason == c.REASON_RATE_LIMIT
        trading.send(Cancel(2, "a", "", "BTCUSDT"))
        assert core.outcome(2).reason == c.REASON_RATE_LIMIT
        assert len(venue.requests) == 1


async def test_too_many_orders_stop_orders_and_let_cancels_pass():
    venue = Venue()
    venue.answers["order.place"] = lambda asked: {
        "id": asked["id"],
        "status": 429,
        "error": {"code": -1015, "msg": "Too many new orders"},
    }
    async with trading_with(venue) as (trading, core):
        trading.send(place(1))
        await settled(core, 1)
        trading.send(place(2))
        assert core.outcome(2).reason == c.REASON_RATE_LIMIT
        trading.send(Cancel(3, "a", "", "BTCUSDT"))
        assert (await settled(core, 3))[0].kind == CONFIRMED


@pytest.mark.parametrize("code", [-1021, -5028])
async def test_an_error_of_the_time_window_samples_the_clock_again(code):
    venue = Venue()
    venue.answers["order.place"] = lambda asked: {
        "id": asked["id"],
        "status": 400,
        "error": {"code": code, "msg": "Timestamp"},
    }
    async with trading_with(venue) as (trading, core):
        before = venue.times_asked
        venue.clock_offset_ms = 90_000
        trading.send(place(1))
        assert (await settled(core, 1))[0].reason == c.REASON_EXCHANGE
        await until(lambda: venue.times_asked > before, "another sample")
        await until(lambda: trading._offset.offset_ns > 80 * SECOND_NS, "the new offset")
        trading.send(Cancel(2, "a", "", "BTCUSDT"))
        await settled(core, 2)
        from hftd.clock import wall_ns

        assert venue.requests[-1][1]["timestamp"] > wall_ns() // 10**6 + 80_000


async def test_a_connection_is_replaced_before_the_exchange_ends_it_without_losing_an_answer():
    venue = Venue()
    held = []

    async def hold(asked):
        held.append(asked)

    venue.answers["order.place"] = hold
    async with trading_with(venue, life_s=0.6, send=SendLimits(reply_timeout_s=5.0)) as (trading, core):
        trading.send(place(1))
        await until(lambda: len(venue.sockets) >= 2 and trading._sender._replaced, "another socket")
        # Its cancel stays on the socket that its place is on, another's goes on the new one.
        trading.send(Cancel(2, "a1", "", "BTCUSDT"))
        await venue.sockets[0].send_json(venue.acknowledge(held[0]))
        assert [one.kind for one in await settled(core, 1, 2)] == [CONFIRMED] * 2
        await until(lambda: venue.sockets[0].closed, "the old socket's end")
        assert core.connections == [True]


async def test_nonsense_on_the_socket_is_counted_and_logged_and_the_rest_goes_on(caplog):
    venue = Venue()
    venue.answers["order.place"] = lambda asked: f'{{"id":{asked["id"]},"status":"fine"}}'
    async with trading_with(venue) as (trading, core):
        for text in (
            "",
            "{",
            "[]",
            '{"id":77,"status":200,"result":5}',
            "\x00" * 100,
            '{"id":{},"status":200}',
        ):
            await venue.sockets[0].send_str(text)
        await venue.sockets[0].send_bytes(b"\xff\xfe")
        trading.send(place(1))
        assert (await settled(core, 1))[0].kind == UNKNOWN
        assert trading.counts["unreadable"] == 8
        trading.send(Cancel(2, "a", "", "BTCUSDT"))
        assert (await settled(core, 2))[0].kind == CONFIRMED
        assert len(venue.sockets) == 1


async def test_an_answer_about_another_order_is_unknown():
    venue = Venue()
    venue.answers["order.place"] = lambda asked: {
        "id": asked["id"],
        "status": 200,
        "result": order_of(asked["params"], clientOrderId="another"),
    }
    async with trading_with(venue) as (trading, core):
        trading.send(place(1))
        assert (await settled(core, 1))[0].kind == UNKNOWN


async def test_at_its_end_everything_has_an_outcome():
    venue = Venue()
    venue.answers["order.place"] = lambda asked: None
    async with trading_with(venue) as (trading, core):
        from daemon.connector.limiter import RateLimit

        trading._limiter.set_limit(RateLimit("orders_10s", 1, 400_000_000))
        trading.send(place(1))
        trading.send(place(2, "a2"))
        await until(lambda: venue.requests, "the place")
    assert (core.outcome(1).kind, core.outcome(2).kind) == (UNKNOWN, REFUSED)
    assert core.connections == [True, False]
