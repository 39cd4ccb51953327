"""What a replay tells of itself while it runs (`hftd status`). It only looks: the run takes no notice."""

from typing import Final

import numpy as np

from hftd.channel.layout import BOT_LAPPED, BOT_PID, MARKET_RECORDS, MARKET_ROWS, MARKET_TAIL
from hftd.control import recent, status
from hftd.hbt.views import view
from hftd.types import BUY, INVALID_MAX, INVALID_MIN, PARTIALLY_FILLED
from hftd.version import __version__
from sim.model.layout import own_order_dtype
from sim.replay.stage import BotRun, Stage

MAX_ORDERS_SHOWN: Final = 200
"""Of a bot; the others are counted."""


def status_of(stage: Stage, channel: str) -> status.DaemonStatus:
    """A replay's status, as far as it can be read without stopping the run: numbers of about one moment."""
    return status.DaemonStatus(
        kind=status.REPLAY,
        name=channel,
        pid=stage.pid,
        version=__version__,
        now_ns=stage.now_ns,
        channels=[_channel(stage, name) for name in stage.channels],
        bots=[_bot(stage, bot) for bot in stage.bots()],
        counters={"rows": stage.rows, "rows_in_all": stage.rows_total()},
        warnings=stage.warnings,
        events=recent.events(),
    )


def tap_of(stage: Stage, channel: str) -> status.Tap:
    """What a tap of a channel must know."""
    instruments = [
        status.TappedInstrument(
            instrument=number,
            symbol=asset.symbol,
            tick_size=asset.model.tick_size,
            lot_size=asset.model.lot_size,
        )
        for number, asset in enumerate(stage.assets)
        if asset.channel == channel
    ]
    tail = stage.rings[stage.channels.index(channel)].word(MARKET_TAIL)
    return status.Tap(daemon="replay", pid=stage.pid, instruments=instruments, position=tail)


def _channel(stage: Stage, name: str) -> status.Channel:
    ring = stage.rings[stage.channels.index(name)]
    return status.Channel(
        name=name,
        markets=[_market(stage, n) for n, asset in enumerate(stage.assets) if asset.channel == name],
        records=ring.word(MARKET_RECORDS),
        rows=ring.word(MARKET_ROWS),
        ring_bytes=ring.capacity,
    )


def _market(stage: Stage, asset_no: int) -> status.Market:
    """The exchange's side; it may be ahead of the bots' clock."""
    book = stage.engine.exchanges[asset_no]["book"]
    tick_size = float(book["tick_size"])
    bid, ask = int(book["best_bid_tick"]), int(book["best_ask_tick"])
    return status.Market(
        symbol=stage.assets[asset_no].symbol,
        instrument=asset_no,
        best_bid=None if bid == INVALID_MIN else bid * tick_size,
        best_ask=None if ask == INVALID_MAX else ask * tick_size,
    )


def _bot(stage: Stage, bot: BotRun) -> status.Bot:
    assets = [n for n, asset in enumerate(stage.assets) if n in bot.instruments]
    orders = [order for n in assets for order in _open_orders(stage, n, bot)]
    page = next(iter(bot.pages.values()))
    return status.Bot(
        name=bot.name,
        pid=page.word(BOT_PID),
        symbols=[stage.assets[n].symbol for n in assets],
        orders=orders[:MAX_ORDERS_SHOWN],
        orders_left_out=max(len(orders) - MAX_ORDERS_SHOWN, 0),
        positions=[_position(stage, n, bot) for n in assets],
        lapped=page.word(BOT_LAPPED),
        requests=bot.orders,
        fills=bot.fills,
    )


def _open_orders(stage: Stage, asset_no: int, bot: BotRun) -> list[status.OpenOrder]:
    exchange = stage.engine.exchanges[asset_no]
    lane = int(stage.engine.lanes[asset_no][bot.number :].ctypes.data)
    found: list[status.OpenOrder] = []
    for side in ("buy", "sell"):
        count = int(exchange[f"{side}s"])
        addresses = view(int(exchange[f"{side}_orders"]), np.dtype("i8"), count) if count else ()
        for address in addresses:
            order = view(int(address), own_order_dtype)[0]
            if int(order["lane"]) == lane:
                found.append(
                    status.OpenOrder(
                        symbol=stage.assets[asset_no].symbol,
                        order_id=int(order["order_id"]) & 0xFFFF_FFFF_FFFF_FFFF,
                        side="buy" if order["side"] == BUY else "sell",
                        price=float(order["price_tick"] * exchange["book"]["tick_size"]),
                        qty=float(order["qty"]),
                        leaves_qty=float(order["leaves_qty"]),
                        status="partially filled" if order["status"] == PARTIALLY_FILLED else "new",
                    )
                )
    return found


def _position(stage: Stage, asset_no: int, bot: BotRun) -> status.Position:
    state = stage.engine.lanes[asset_no][bot.number]["state"]
    return status.Position(
        symbol=stage.assets[asset_no].symbol,
        position=float(state["position"]),
        balance=float(state["balance"]),
        fee=float(state["fee"]),
        num_trades=int(state["num_trades"]),
        trading_volume=float(state["trading_volume"]),
        trading_value=float(state["trading_value"]),
    )
