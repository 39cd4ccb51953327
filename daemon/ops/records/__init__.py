"""Records for auditors and tax forms, from a connector's journal.

- :mod:`daemon.ops.records.reading`: the rows of a journal and of its parts, each once, damaged ones left out and said.
- :mod:`daemon.ops.records.views`: these as orders, fills, days and events.
- :mod:`daemon.ops.records.tax`: as a table that tax tools import.
- :mod:`daemon.ops.records.writing`: as CSV, JSON or Parquet.
"""
