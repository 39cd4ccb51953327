"""What Binance's products have in common, as a local exchange speaks it: a family of venues, and no venue itself."""
