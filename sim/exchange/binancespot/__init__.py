"""Binance Spot, as a local exchange speaks it: balances of several assets, and nothing borrowed."""
