"""Hyperliquid: public streams, to be recorded."""
