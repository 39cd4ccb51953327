"""What bots and the account earn and lose, and the limits on that."""
