"""Operations: what watches running daemons from outside, off their trading path.

- :mod:`daemon.ops.metrics`: the daemons' states as Prometheus metrics.
- :mod:`daemon.ops.serving`: a small HTTP server; :mod:`daemon.ops.access`: who may ask it.
- :mod:`daemon.ops.scraping`: the one that gives metrics out.
- :mod:`daemon.ops.web`: the same as tables, for a page in a browser and for a terminal.
- :mod:`daemon.ops.alerts`: what of them people are told, by whichever service.
"""
