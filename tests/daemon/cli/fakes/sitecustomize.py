"""Puts the stand-ins into every Python that has this folder in PYTHONPATH, but for `hftd report`, which is real."""

import sys

from tests.daemon.cli.fakes.engine import modules

if "report" not in sys.orig_argv:
    sys.modules.update(modules())
