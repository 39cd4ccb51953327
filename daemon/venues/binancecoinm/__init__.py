"""Binance COIN-M Futures."""
