"""`hftd top`: what `hftd web` shows, in a terminal.

- :mod:`daemon.cli.top.cells`: cells as text; :mod:`daemon.cli.top.app`: the screen.
"""
