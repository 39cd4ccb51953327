from types import ModuleType

import pytest


@pytest.fixture(scope="session")
def reference() -> ModuleType:
    """The reference engine."""
    return pytest.importorskip("hftbacktest", reason="the reference engine is not installed (group `parity`)")
