import pytest
import structlog

from tests.scenarios.venues import CASES


@pytest.fixture(params=CASES, ids=[one.name for one in CASES])
def case(request):
    return request.param


@pytest.fixture(autouse=True)
def is_quiet():
    """A connector to which all goes wrong has much to warn of."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(50))
