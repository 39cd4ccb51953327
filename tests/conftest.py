import gc
import os
import signal
import tempfile
import time
from collections.abc import Iterator
from typing import Any

import hypothesis
import pytest
import structlog

from hftd import clock

# The first example may compile for seconds. `make test` takes the quick profile.
# Other runs draw as many examples as hypothesis does by itself.
hypothesis.settings.register_profile("quick", max_examples=25, deadline=None)
if hypothesis.settings.get_current_profile_name() != "quick":
    hypothesis.settings.register_profile("whole", deadline=None)
    hypothesis.settings.load_profile("whole")

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # As shells start what goes to the background; the tests, and the processes that they start, are to be interrupted.
    signal.signal(signal.SIGINT, signal.default_int_handler)


# Modules, tests and what compilers make stay, and are millions of objects: Python is to look through them less often.
gc.set_threshold(100_000, 50, 50)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files with slow tests come first, so that none of them begins when all others have ended."""
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in slow)


def pytest_collection_finish() -> None:
    gc.collect()
    gc.freeze()


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup() -> None:
    """The clock that is never set starts anew with each test.

    The tests of hours share a process. If the machine's clock was set meanwhile, the local exchanges in it would be as
    far from the clients beside them, and from the connectors that are started later.
    """
    clock._ANCHOR_NS = time.time_ns() - clock.boot_ns()


@pytest.fixture(scope="session", autouse=True)
def _prepared_folder() -> Iterator[None]:
    """Prepared archives of the tests, and of the processes they start, never stand among the user's."""
    before = os.environ.get("HFTD_PREPARED_DIR")
    with tempfile.TemporaryDirectory(prefix="hftd-prepared-") as folder:
        os.environ["HFTD_PREPARED_DIR"] = folder
        yield
        if before is None:
            del os.environ["HFTD_PREPARED_DIR"]
        else:
            os.environ["HFTD_PREPARED_DIR"] = before


@pytest.fixture(scope="session", autouse=True)
def _no_kept_loggers() -> Iterator[None]:
    """A command that runs in this process sets logging up; no module's logger is to keep that for what comes after."""
    with pytest.MonkeyPatch.context() as patch:
        configure = structlog.configure

        def configure_anew(**options: Any) -> None:
            configure(**options | {"cache_logger_on_first_use": False})

        patch.setattr(structlog, "configure", configure_anew)
        yield


@pytest.fixture(autouse=True)
def _log_as_before(_no_kept_loggers: None) -> Iterator[None]:
    yield
    structlog.reset_defaults()
