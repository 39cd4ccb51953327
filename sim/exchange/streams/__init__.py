"""Connections and what is streamed on them."""
