"""A local exchange: it speaks a real one's protocol on loopback, fed by a recorded or generated day.

It is written from the exchange's rules, apart from the connector's code, and imports nothing of it.
"""
