"""A recorded or generated day, played to the exchange: the engine that matches, the day as messages, the clock."""
