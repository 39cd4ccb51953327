"""Binance USD-M Futures, as a local exchange speaks it."""
