"""The reference's way to a first event on the demo's market, as a script of its users: `... FOLDER DATE`."""

# pyright: basic

import sys
from pathlib import Path

from hftbacktest import BacktestAsset, HashMapMarketDepthBacktest

from benchmarks.strategies import first_event

INSTRUMENTS = (("demofutures", "BTCUSDT", 0.001), ("demospot", "BTCBUSD", 0.0001))


def main() -> None:
    """Run the strategy on both instruments with the models of the demo's configuration."""
    folder, date = Path(sys.argv[1]), sys.argv[2]
    assets = [
        BacktestAsset()
        .data([str(folder / channel / f"{symbol}_{date}.npz")])
        .linear_asset(1.0)
        .intp_order_latency(str(folder / channel / f"latency_{date}.npz"))
        .power_prob_queue_model3(3.0)
        .no_partial_fill_exchange()
        .trading_value_fee_model(-0.00005, 0.0007)
        .tick_size(0.1)
        .lot_size(lot_size)
        .last_trades_capacity(0)
        for channel, symbol, lot_size in INSTRUMENTS
    ]
    hbt = HashMapMarketDepthBacktest(assets)
    first_event(hbt)
    hbt.close()


if __name__ == "__main__":
    main()
