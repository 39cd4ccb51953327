"""What people look at: the states of all daemons as tables, for a page (`hftd web`) and a terminal (`hftd top`).

- :mod:`daemon.ops.web.tables`: a daemon's status as rows.
- :mod:`daemon.ops.web.board`: what is known of all daemons, those that are gone as well; what has changed.
- :mod:`daemon.ops.web.curves`: profits over the day.
- :mod:`daemon.ops.web.server`: the HTTP server; :mod:`daemon.ops.web.static`: the page that it serves.
"""
