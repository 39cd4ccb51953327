"""Market data from the exchange's texts to the channel."""
