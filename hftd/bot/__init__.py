"""The bot: a strategy on channels, from its configuration to its result."""
