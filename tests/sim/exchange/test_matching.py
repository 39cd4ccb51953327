"""Orders meet the recorded market as the simulator's engine lets them: the exchange's fills are a backtest's fills."""

import random
from typing import Any

import pytest
from msgspec.structs import replace
from numpy.typing import NDArray

from hftd.types import BUY, GTC, GTX, IOC, LIMIT, SELL
from sim.backtest import HashMapMarketDepthBacktest
from sim.config import LogQueue2, PowerQueue3, RiskAverseQueue
from sim.feed.asset import BacktestAsset
from sim.generate import MarketInstrument, generate_day
from tests.sim.exchange.client import MS, SYMBOL, config, running

DATE = "20240808"
TIFS = {"GTC": GTC, "GTX": GTX, "IOC": IOC}


def day() -> NDArray[Any]:
    one = MarketInstrument("x", "BTCUSDT", 0.1, 0.001, 60_000.0, trades_per_s=20.0, trade_qty=0.05)
    return generate_day(3, [one], DATE, 4.0)["BTCUSDT"]


# The plans of the seeds below never cross themselves: the exchange trades an account with itself, a backtest does not.
def plan(data: NDArray[Any], seed: int) -> list[dict[str, Any]]:
    """Orders around the best prices at whole milliseconds, and cancels of some."""
    chance = random.Random(seed)
    start_ms = int(data["exch_ts"][0]) // MS
    wanted: list[dict[str, Any]] = []
    for number in range(150):
        ms = start_ms + 10 + 20 * number + chance.randrange(20)
        if wanted and chance.random() < 0.3:
            wanted.append({"ms": ms, "cancel": chance.choice(wanted).get("id", 1)})
            continue
        wanted.append(
            {
                "ms": ms,
                "id": number + 1,
                "side": chance.choice([BUY, SELL]),
                "away": chance.randrange(-3, 12),
                "lots": chance.randrange(1, 400),
                "tif": chance.choice(["GTC", "GTC", "GTX", "IOC"]),
            }
        )
    return wanted


def price_of(one: dict[str, Any], bid_tick: int, ask_tick: int) -> int:
    """A price in ticks, some ticks away from the best of its side."""
    return bid_tick - one["away"] if one["side"] == BUY else ask_tick + one["away"]


def backtested(data: NDArray[Any], wanted: list[dict[str, Any]], exchange: str, queue: str) -> list[tuple]:
    """(order, side, price tick, lots, maker, when) of each execution."""
    asset = BacktestAsset().add_data(data).tick_size(0.1).lot_size(0.001).linear_asset(1.0)
    asset.constant_order_latency(0, 0)
    {"risk": asset.risk_adverse_queue_model, "log2": asset.log_prob_queue_model2}.get(
        queue, lambda: asset.power_prob_queue_model3(3.0)
    )()
    (asset.partial_fill_exchange if exchange == "partial_fill" else asset.no_partial_fill_exchange)()
    hbt = HashMapMarketDepthBacktest([asset])
    hbt.begin()
    hbt.record_every(1_000_000_000)
    for one in wanted:
        hbt.elapse(one["ms"] * MS - hbt.current_timestamp)
        depth = exchange_book(hbt)
        if "cancel" in one:
            hbt.cancel(0, one["cancel"], False)
            continue
        price = price_of(one, *depth) * 0.1
        send = hbt.submit_buy_order if one["side"] == BUY else hbt.submit_sell_order
        send(0, one["id"], price, one["lots"] * 0.001, TIFS[one["tif"]], LIMIT, False)
    hbt.elapse(1_000_000_000)
    return [
        (
            int(f["order_id"]),
            int(f["side"]),
            round(f["price"] * 10),
            round(f["qty"] * 1000),
            int(f["maker"]),
            int(f["exch_ts"]),
        )
        for f in hbt.fills()
    ]


def exchange_book(hbt: Any) -> tuple[int, int]:
    """The best ticks as the exchange has them; the local side is behind by the feed's latency."""
    book = hbt.engine.exchanges[0]["book"]
    return int(book["best_bid_tick"]), int(book["best_ask_tick"])


async def exchanged(
    data: NDArray[Any], wanted: list[dict[str, Any]], exchange: str, queue: str
) -> list[tuple]:
    """The same over the wire."""
    models = {"risk": RiskAverseQueue(), "log2": LogQueue2(), "power3": PowerQueue3(n=3.0)}
    symbol = replace(SYMBOL, exchange=exchange, queue=models[queue], min_notional="0")
    async with running(config(symbol), data) as (local, client):
        for one in wanted:
            local.move_to(one["ms"] * MS)
            if "cancel" in one:
                await client.call(
                    "DELETE", "v1/order", symbol="BTCUSDT", origClientOrderId=str(one["cancel"])
                )
                continue
            touch = local.core.market.touch(0)
            tick = price_of(one, touch.bid_tick, touch.ask_tick)
            order = client.order(
                newClientOrderId=str(one["id"]),
                side="BUY" if one["side"] == BUY else "SELL",
                price=f"{tick / 10:.1f}",
                quantity=f"{one['lots'] / 1000:.3f}",
                timeInForce=one["tif"],
                selfTradePreventionMode="NONE",
            )
            _, content = await client.call("POST", "v1/order", **order)
            assert content.get("code", -5022) == -5022, content
        local.move_to(wanted[-1]["ms"] * MS + 1_000_000_000)
        return [
            (int(t["client_id"]), t["side"], t["tick"], t["lots"], int(t["maker"]), t["market_ns"])
            for t in client.truth()["trades"]
        ]


@pytest.mark.parametrize("exchange", ["partial_fill", "no_partial_fill"])
@pytest.mark.parametrize(("queue", "seed"), [("power3", 1), ("risk", 2), ("log2", 5)])
async def test_the_exchange_fills_what_a_backtest_fills(exchange: str, queue: str, seed: int):
    data = day()
    wanted = plan(data, seed)
    expected = backtested(data, wanted, exchange, queue)
    assert len(expected) > 20
    assert await exchanged(data, wanted, exchange, queue) == expected
