"""Operations: what watches running daemons from outside, off their trading path.

- :mod:`daemon.ops.metrics`: the daemons' states as Prometheus metrics.
- :mod:`daemon.ops.serving`: the HTTP server that gives them out.
- :mod:`daemon.ops.alerts`: what of them people are told, by whichever service.
"""
