"""Bybit v5, linear contracts, as a venue of the local exchange."""
