"""Bybit, version 5 of its API: linear contracts."""
