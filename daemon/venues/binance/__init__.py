"""Binance's futures family: what its members have in common. It is no venue itself."""
