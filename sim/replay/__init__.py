"""The replay daemon: recorded days, played through models into channels."""
