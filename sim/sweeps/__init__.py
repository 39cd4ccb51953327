"""Sweeps: one pass over a day plays many parameter points, each in a lane of its own."""
