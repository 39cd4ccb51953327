"""Bybit, version 5."""
