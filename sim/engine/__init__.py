"""The simulator's engine, in compiled code."""
