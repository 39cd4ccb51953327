"""`python -m daemon.cli` is `hftd`."""

from daemon.cli import main

main()
