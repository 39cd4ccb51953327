"""`sim.convert`'s converter of Bybit's historical files, by HftBacktest's name and arguments."""

from sim.data.utils.converting import day_converter

convert = day_converter("bybithistory")
