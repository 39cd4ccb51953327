"""The bots of a connector: who is attached, and what they ask."""
