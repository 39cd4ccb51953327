"""What compiled code stands on: compiling, raw memory, atomics, JSON and msgpack."""
