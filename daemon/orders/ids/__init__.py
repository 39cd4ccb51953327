"""The ids of orders with the exchange: made, journalled, and read back."""
