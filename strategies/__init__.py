"""Strategies that run in a backtest, on a replay and live; they import hftd and numba or numpy only."""
