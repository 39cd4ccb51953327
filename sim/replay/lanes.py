"""A bot's lanes, when it leaves."""

# pyright: basic

from hftd.compiled.jit import kernel
from hftd.compiled.native import store_i64
from hftd.rows import Address
from sim.engine.exchange import drop_lane
from sim.engine.run import engine_at, exchange_address
from sim.model.latency import LANE_BYTES, LANE_ROWS, exchange_at


@kernel("int64(int64, int64)")
def drop_bot(engine: Address, bot_no: int) -> int:
    """Take a bot's orders out of every market, and what it has on its way with them."""
    for asset_no in range(engine_at(engine).num_assets):
        exchange = exchange_address(engine, asset_no)
        lane = exchange_at(exchange).lanes + bot_no * LANE_BYTES
        drop_lane(exchange, lane)
        for way in range(4):
            store_i64(lane + LANE_ROWS + 8 * way, 0)
    return 0
