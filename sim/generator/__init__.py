"""The simulated limit order book behind :mod:`sim.generate`.

- :mod:`sim.generator.market`: what a market consists of; :mod:`sim.generator.markets`: those that have a name.
- :mod:`sim.generator.chance`: random draws that are the same on every machine.
- :mod:`sim.generator.layout`: the state of a simulated market, with its parameters and units.
- :mod:`sim.generator.state`: that state when a market starts.
- :mod:`sim.generator.book`: one book: adding, cancelling, eating levels.
- :mod:`sim.generator.publish`: what the exchange sends of it, and when that arrives.
- :mod:`sim.generator.flow`: the order flow, one millisecond after the other.
- :mod:`sim.generator.orders`: a market order by order.
- :mod:`sim.generator.premium`: mark prices and funding.
- :mod:`sim.generator.toml`: a configuration that replays a market.
- :mod:`sim.generator.latency`: order latencies that go with a feed.
"""
