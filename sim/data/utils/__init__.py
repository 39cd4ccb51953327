"""Converters and tools by the modules, names and keyword arguments of HftBacktest's `data.utils`.

They call what stands behind `hftd convert`, `hftd snapshot` and `hftd latency`, take strings as paths and return the
rows. Sizes of buffers are accepted and not needed.
"""
