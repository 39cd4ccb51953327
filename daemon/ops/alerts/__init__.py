"""Alerts: what of daemons' states people are told, and how it gets to them.

- :mod:`daemon.ops.alerts.config`: the file, the rules' names, and where addresses come from.
- :mod:`daemon.ops.alerts.rules`: what is the matter, by successive states.
- :mod:`daemon.ops.alerts.states`: when that is said, and that it is over.
- :mod:`daemon.ops.alerts.keeping`: what of it outlasts the process.
- :mod:`daemon.ops.alerts.texts`: in which words.
- :mod:`daemon.ops.alerts.delivery`: the way to each target, and the heartbeat;
  :mod:`daemon.ops.alerts.answers`: how much of an answer is read.
- :mod:`daemon.ops.alerts.watching`: all of it as it runs.
"""
