"""Why did it fill: what the life of a run's orders (:mod:`hftd.hbt.life`) comes to.

- :func:`group` takes the rows apart, order by order.
- :func:`listed` is a line each, :func:`find` looks one up by its id.
- :func:`explain` counts: fills by cause, orders by how they ended.
- :func:`tell` tells one order's life in words.
"""

from sim.results.explain.counting import Ending, Explained, FillsByCause, explain
from sim.results.explain.listing import OrderLine, listed
from sim.results.explain.orders import Orders, find, group, life_of
from sim.results.explain.story import Line, Story, tell

__all__ = [
    "Ending",
    "Explained",
    "FillsByCause",
    "Line",
    "OrderLine",
    "Orders",
    "Story",
    "explain",
    "find",
    "group",
    "life_of",
    "listed",
    "tell",
]
