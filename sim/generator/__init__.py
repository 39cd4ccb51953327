"""The simulated limit order book behind :mod:`sim.generate`.

- :mod:`sim.generator.chance`: random draws that are the same on every machine.
- :mod:`sim.generator.layout`: the state of a simulated market, with its parameters and units.
- :mod:`sim.generator.book`: one book: adding, cancelling, eating levels.
- :mod:`sim.generator.publish`: what the exchange sends of it, and when that arrives.
- :mod:`sim.generator.flow`: the order flow, one millisecond after the other.
- :mod:`sim.generator.latency`: order latencies that go with a feed.
"""
