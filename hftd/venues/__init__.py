"""What is known of exchanges: their public messages to rows, the same for captures and for live feeds.

A family of exchanges has a folder with a `market.py`, whose compiled functions take the fields of one message
(:mod:`hftd.compiled.json_fields`) and append its rows (:mod:`hftd.venues.message`). Converters call them for each line
of a capture, connectors for each message of a socket (:mod:`hftd.venues.reader`), so that both have the same rows. No
socket, no clock, no book and no order of messages is here: that is what converters and connectors do with them.
"""
