"""The converter of Databento's DBN files."""

from sim.convert.venues.databento.venue import VENUE

__all__ = ["VENUE"]
