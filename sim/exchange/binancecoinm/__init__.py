"""Binance COIN-M Futures, as a local exchange speaks it: inverse contracts, counted in whole ones and paid in coins."""
