import json
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemon.messages import UNTOLD, Execution, Holding, Instrument
from daemon.session.errors import ExchangeError, WireError
from daemon.session.facts import Balance
from daemon.venues.binance.account import (
    TradeText,
    execution_of,
    read_balances,
    read_commission,
    read_holdings,
    read_is_hedge_mode,
    read_listen_key,
    read_server_time,
    read_trades,
)
from daemon.venues.binance.instruments import counts_of_headers, read_exchange_info
from daemon.venues.binance.queries import TRADES_LIMIT, Queries, all_trades
from daemon.venues.binancefutures.facts import USDM
from hftd.clock import wall_ns
from hftd.constants import SELL
from hftd.errors import HftdError

SYMBOL = {
    "symbol": "BTCUSDT",
    "pair": "BTCUSDT",
    "contractType": "PERPETUAL",
    "status": "TRADING",
    "baseAsset": "BTC",
    "quoteAsset": "USDT",
    "marginAsset": "USDT",
    "pricePrecision": 2,
    "quantityPrecision": 3,
    "filters": [
        {"filterType": "PRICE_FILTER", "minPrice": "556.80", "maxPrice": "4529764", "tickSize": "0.10"},
        {"filterType": "LOT_SIZE", "minQty": "0.001", "maxQty": "1000", "stepSize": "0.001"},
        {"filterType": "MARKET_LOT_SIZE", "minQty": "0.001", "maxQty": "120", "stepSize": "0.001"},
        {"filterType": "MAX_NUM_ORDERS", "limit": 200},
        {"filterType": "MIN_NOTIONAL", "notional": "50"},
        {
            "filterType": "PERCENT_PRICE",
            "multiplierUp": "1.0500",
            "multiplierDown": "0.9500",
            "multiplierDecimal": 4,
        },
    ],
}
INFO = {
    "rateLimits": [
        {"rateLimitType": "REQUEST_WEIGHT", "interval": "MINUTE", "intervalNum": 1, "limit": 2400},
        {"rateLimitType": "ORDERS", "interval": "MINUTE", "intervalNum": 1, "limit": 1200},
        {"rateLimitType": "ORDERS", "interval": "SECOND", "intervalNum": 10, "limit": 300},
        {"rateLimitType": "MOONS", "interval": "FORTNIGHT", "intervalNum": 10, "limit": 300},
    ],
    "symbols": [SYMBOL],
}


def test_instruments_have_the_exact_steps_of_their_filters_not_of_the_precisions():
    info = read_exchange_info(json.dumps(INFO).encode())
    assert info.instruments == [
        Instrument(
            number=0,
            symbol="BTCUSDT",
            tick_size=Decimal("0.10"),
            lot_size=Decimal("0.001"),
            min_qty_lots=1,
            max_qty_lots=1_000_000,
            market_max_qty_lots=120_000,
            min_notional=50.0,
            base="BTC",
            quote="USDT",
        )
    ]
    s = 10**9
    assert info.limits == {
        "weight_1m": (2400, 60 * s),
        "orders_1m": (1200, 60 * s),
        "orders_10s": (300, 10 * s),
    }


@pytest.mark.parametrize(
    "broken",
    [
        {"symbol": 'BTC"USDT'},
        {"filters": []},
        {"symbol": 5},
        {"symbol": "A B"},
        {
            "filters": [
                {"filterType": "PRICE_FILTER", "tickSize": "0"},
                {"filterType": "LOT_SIZE", "stepSize": "1"},
            ]
        },
        {
            "filters": [
                {"filterType": "PRICE_FILTER", "tickSize": "NaN"},
                {"filterType": "LOT_SIZE", "stepSize": "1"},
            ]
        },
    ],
)
def test_a_symbol_that_makes_no_sense_is_left_out_and_said(broken):
    info = read_exchange_info(
        json.dumps(
            INFO
            | {"symbols": [SYMBOL | broken, SYMBOL, SYMBOL | {"symbol": "币安USDT", "status": "SETTLING"}]}
        ).encode()
    )
    assert [(one.number, one.symbol, one.is_trading) for one in info.instruments] == [
        (0, "BTCUSDT", True),
        (1, "币安USDT", False),
    ]
    assert len(info.unread) == 1


def test_counts_are_read_from_the_headers_in_any_spelling():
    headers = {
        "X-MBX-USED-WEIGHT-1M": "17",
        "x-mbx-order-count-10s": "3",
        "X-Mbx-Order-Count-1m": "x",
        "Date": "1",
    }
    assert counts_of_headers(headers) == {"weight_1m": 17, "orders_10s": 3}


def test_positions_balances_fees_time_and_keys(steps):
    positions = [
        {
            "symbol": "BTCUSDT",
            "positionSide": "BOTH",
            "positionAmt": "-0.010",
            "entryPrice": "61800.3",
            "updateTime": 5,
        },
        {
            "symbol": "ETHUSDT",
            "positionSide": "LONG",
            "positionAmt": "0.000",
            "entryPrice": "0.0",
            "updateTime": 5,
        },
    ]
    assert read_holdings(json.dumps(positions).encode(), steps) == [
        Holding("BTCUSDT", -10, 61800.3, 5_000_000)
    ]
    balances = [{"asset": "USDT", "balance": "122607.35137903", "availableBalance": "1", "updateTime": 7}]
    assert read_balances(json.dumps(balances).encode()) == [Balance("USDT", 122607.35137903, 7_000_000)]
    fees = read_commission(
        b'{"symbol":"BTCUSDT","makerCommissionRate":"-0.0001","takerCommissionRate":"0.0004"}'
    )
    assert (fees.maker, fees.taker) == (-0.0001, 0.0004)
    assert read_server_time(b'{"serverTime":1499827319559}') == 1499827319559
    assert read_is_hedge_mode(b'{"dualSidePosition":true}')
    assert read_listen_key(
        b'{"listenKey":"pqia91ma19a5s61cv6a81va65sdf19v8a65a1a5s61cv6a81va65sdf19v8a65a1"}'
    ).startswith("pqia")


def test_a_listen_key_that_would_change_the_url_is_refused_without_showing_it():
    with pytest.raises(WireError) as caught:
        read_listen_key(b'{"listenKey":"abc/../x?y"}')
    assert "abc" not in str(caught.value)


def test_a_position_in_hedge_mode_is_an_error(steps):
    with pytest.raises(WireError, match="hedge"):
        read_holdings(
            b'[{"symbol":"BTCUSDT","positionSide":"SHORT","positionAmt":"-1","entryPrice":"1"}]', steps
        )


def test_fills_of_a_page_are_executions(steps):
    data = (
        b'[{"symbol":"BTCUSDT","id":9,"orderId":2,"side":"SELL","price":"7819.10","qty":"0.002","commission":"-0.07",'
        b'"commissionAsset":"USDT","time":4,"maker":true,"buyer":false},'
        b'{"symbol":"BTCUSDT","id":8,"orderId":1,"side":"BUY","price":"7819","qty":"0.002","time":3}]'
    )
    first, second = read_trades(data)
    assert first.id == 8
    assert execution_of(second, "cid", steps) == Execution(
        symbol="BTCUSDT",
        trade_id="9",
        client_id="cid",
        exch_order_id="2",
        side=SELL,
        price_tick=78191,
        qty_lots=2,
        is_maker=True,
        fee=-0.07,
        fee_asset="USDT",
        exch_ns=4_000_000,
    )


def fill(number, time_ms, side="BUY"):
    return TradeText("BTCUSDT", number, 1, side, "1", "1", time_ms)


class Book:
    """userTrades of a made-up account: times and ids exclude each other, a page is a window's first or last."""

    def __init__(self, fills, *, gives_last):
        self.fills, self.gives_last, self.pages = fills, gives_last, 0

    async def __call__(self, params):
        self.pages += 1
        asked = dict(params)
        assert not ("fromId" in asked and "startTime" in asked)
        if "fromId" in asked:
            return [one for one in self.fills if one.id >= asked["fromId"]][: asked["limit"]]
        assert asked["endTime"] - asked["startTime"] < 7 * 86_400_000
        found = [one for one in self.fills if asked["startTime"] <= one.time <= asked["endTime"]]
        return found[-asked["limit"] :] if self.gives_last else found[: asked["limit"]]


@pytest.mark.parametrize("gives_last", [False, True])
@given(st.lists(st.integers(0, 40 * 86_400_000), max_size=30), st.integers(0, 5 * TRADES_LIMIT))
async def test_all_fills_of_a_time_are_found_whatever_a_full_page_shows(gives_last, times, burst):
    # A burst of trades, fills of at most four fifths of a page in one millisecond, somewhere among a few others.
    times = sorted(times + [3 * 86_400_000 + index // 600 for index in range(burst)])
    fills = []
    for index, time_ms in enumerate(times):
        fills.append(fill(100 + index, time_ms))
        if index % 3 == 0:
            # The account traded with itself: one trade, two fills.
            fills.append(fill(100 + index, time_ms, "SELL"))
    found = await all_trades(Book(fills, gives_last=gives_last), 1000, 35 * 86_400_000)
    assert found == [one for one in fills if 1000 <= one.time <= 35 * 86_400_000]


async def test_more_fills_than_can_be_asked_for_are_an_error():
    async def page(params):
        start = dict(params).get("fromId", 0)
        return [fill(start + index, 5000) for index in range(TRADES_LIMIT)]

    with pytest.raises(HftdError, match="more than"):
        await all_trades(page, 1, 10_000)


async def test_a_fill_whose_order_is_too_young_to_be_found_is_asked_about_again(steps):
    found = {"is": False}
    asked = []

    class Scripted:
        def exchange_ms(self, now_ns):
            return now_ns // 1_000_000

        async def ask(self, path, params=(), **_):
            if path.endswith("userTrades"):
                start = dict(params)["startTime"]
                return json.dumps(
                    [
                        {"symbol": "BTCUSDT", "id": number, "orderId": number, "side": "BUY", "price": "1",
                         "qty": "1", "commission": "0", "commissionAsset": "USDT", "time": start + later,
                         "maker": True, "buyer": True}
                        for number, later in ((1, 0), (2, 119_000))
                    ]
                ).encode()  # fmt: skip
            asked.append(dict(params)["orderId"])
            if not found["is"]:
                raise ExchangeError("no such order", status=400, code=-2013)
            return json.dumps(
                {"orderId": int(asked[-1]), "symbol": "BTCUSDT", "status": "FILLED", "clientOrderId": "ours",
                 "price": "1", "origQty": "1", "executedQty": "1", "side": "BUY"}
            ).encode()  # fmt: skip

    queries = Queries(Scripted(), steps, "hftd", USDM)
    since_ns = wall_ns() - 120 * 10**9
    assert [one.client_id for one in await queries.executions("BTCUSDT", since_ns)] == ["", UNTOLD]
    found["is"] = True
    assert [one.client_id for one in await queries.executions("BTCUSDT", since_ns)] == ["", "ours"]
    assert asked == ["1", "2", "2"], "an old one that is not found is never found"
    await Queries(Scripted(), steps, "hftd", USDM).executions(
        "BTCUSDT", since_ns, lambda *trade: trade[1] == "1"
    )
    assert asked[3:] == ["2"], "whose a fill is that is counted already need not be known"
