"""What the exchange is set up with: configuration, instruments, keys, the clock, and why something is refused."""
