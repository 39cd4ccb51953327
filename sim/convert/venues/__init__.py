"""Converters of exchanges' streams and history, and of vendors that write text: one file, or two, each."""
