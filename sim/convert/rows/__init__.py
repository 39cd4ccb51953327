"""Rows on their way to the archive: one order for both clocks, trades that are there twice, crossed books."""
