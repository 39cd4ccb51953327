"""Parts of a report's page."""

import base64
import json
import re
from typing import Any

import numpy as np


def without_plotly(page: str) -> str:
    """What we wrote of the page, and its data."""
    parts = re.split(r'<script id="plotly">.*?</script>', page, flags=re.DOTALL)
    assert len(parts) == 2
    return "".join(parts)


def embedded(page: str) -> str:
    """The data of the plots, as it stands in the page."""
    found = re.search(r'<script type="application/json" id="plots">(.*?)</script>', page, re.DOTALL)
    assert found is not None
    return found[1]


def data_of(page: str) -> dict[str, Any]:
    """The plots by name."""
    return json.loads(embedded(page))


def times_of(packed: dict[str, str]) -> np.ndarray:
    """Milliseconds, from the form in which a page has them."""
    assert packed["dtype"] == "f8"
    return np.frombuffer(base64.b64decode(packed["bdata"]), "<f8")
