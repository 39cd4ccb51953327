"""Puts the stand-ins into every Python that has this folder in PYTHONPATH."""

import sys

from tests.daemon.fakes.engine import modules

sys.modules.update(modules())
