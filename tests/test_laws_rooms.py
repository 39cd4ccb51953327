"""Facts, machines, oracles: which room may know which."""

import ast
import re
from pathlib import Path

import pytest

from sim.exchange.venue import venue_names
from tests.laws import ROOT, imports, sources

EXCHANGE = ROOT / "sim" / "exchange"
EXCHANGES = re.compile(r"binance|bybit|okx|coinbase|hyperliquid|kraken|deribit|mexc", re.IGNORECASE)
# What the local exchange judges: the connector, and what it knows of exchanges.
JUDGED = ("daemon", "hftd.venues")


def imports_below(source: str, forbidden: tuple[str, ...]) -> list[str]:
    """Imports of modules of these names, or of what is below them; with `from a import b`, of `a.b` too."""
    found = list(imports(source))
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom):
            base = "." * node.level + (node.module or "")
            found += [(node.lineno, f"{base}.{alias.name}") for alias in node.names]
    broken = {
        f"line {line}: imports {name}"
        for line, name in found
        if any(name == one or name.startswith(one + ".") for one in forbidden) or name.startswith(".")
    }
    return sorted(broken)


def imports_besides(source: str, allowed: tuple[str, ...]) -> list[str]:
    """Imports of modules that are neither these nor below them."""
    return [
        f"line {line}: imports {name}"
        for line, name in imports(source)
        if not any(name == one or name.startswith(one + ".") for one in allowed)
    ]


def names_of_exchanges(source: str) -> list[str]:
    """Exchanges that code or documentation names; comments are left alone."""
    lines = ast.unparse(ast.parse(source)).splitlines()
    return [found[0] for line in lines if (found := EXCHANGES.search(line))]


FRAMEWORK = {"accounts", "playback", "rules", "servers", "streams"}
"""Its folders. All others are venues, or what several venues of a family have in common."""


def venues() -> list[str]:
    """The folders of venues and families."""
    return [
        one.name for one in EXCHANGE.iterdir() if (one / "__init__.py").exists() and one.name not in FRAMEWORK
    ]


def framework() -> list[Path]:
    """The local exchange without its venues."""
    apart = [EXCHANGE / name for name in venues()]
    return [path for path in sources("sim/exchange") if not any(path.is_relative_to(one) for one in apart)]


def test_the_local_exchanges_framework_imports_no_venue():
    assert set(venue_names()) <= set(venues())
    forbidden = tuple(f"sim.exchange.{name}" for name in venues())
    broken = {path.name: imports_below(path.read_text(), forbidden) for path in framework()}
    assert {name: found for name, found in broken.items() if found} == {}


def test_the_local_exchanges_framework_knows_no_exchange_by_name():
    broken = {path.name: names_of_exchanges(path.read_text()) for path in framework()}
    assert {name: found for name, found in broken.items() if found} == {}


def test_the_local_exchange_imports_nothing_of_what_it_judges():
    broken = {str(path): imports_below(path.read_text(), JUDGED) for path in sources("sim/exchange")}
    assert {name: found for name, found in broken.items() if found} == {}


FACTS_MAY_IMPORT = (
    "collections",
    "typing",
    "msgspec",
    "numba",
    "numpy",
    "hftd.compiled",
    "hftd.rows",
    "hftd.types",
    "hftd.venues",
)
"""No socket, no clock, no file and no machine."""


def test_what_is_known_of_exchanges_is_read_without_sockets_clocks_and_files():
    broken = {
        str(path): found
        for path in sources("hftd/venues")
        if (found := imports_besides(path.read_text(), FACTS_MAY_IMPORT))
    }
    assert broken == {}


def test_an_import_besides_the_allowed_ones_is_found():
    source = (
        "import numpy as np\nfrom hftd.clock import stamp_ns\nimport hftd.compiled.jit\nimport hftd.rowsx"
    )
    found = imports_besides(source, FACTS_MAY_IMPORT)
    assert found == ["line 2: imports hftd.clock", "line 4: imports hftd.rowsx"]


def test_each_family_has_its_reader_under_the_same_name():
    families = [one for one in (ROOT / "hftd" / "venues").iterdir() if (one / "__init__.py").exists()]
    assert len(families) >= 2
    assert [one.name for one in families if not (one / "market.py").exists()] == []


@pytest.mark.parametrize(
    "source",
    [
        "import sim.exchange.one",
        "import sim.exchange.one.venue as v",
        "from sim.exchange import core, one",
        "from sim.exchange.one import venue",
        "from sim.exchange.one.venue import VENUE",
        "def f():\n    from sim.exchange.one import venue",
        "importlib.import_module('sim.exchange.one.venue')",
        "from .one import venue",
    ],
)
def test_an_import_of_a_venue_is_found(source: str):
    assert len(imports_below(source, ("sim.exchange.one",))) >= 1


@pytest.mark.parametrize(
    "source",
    ["import sim.exchange", "from sim.exchange import core", "from sim.exchange.ones import x", "import one"],
)
def test_an_import_of_something_else_is_left_alone(source: str):
    assert imports_below(source, ("sim.exchange.one",)) == []


@pytest.mark.parametrize(
    "source",
    [
        "bybit = 1",
        "x = 'wss://fstream.binance.com'",
        "def f():\n    '''As OKX does it.'''",
        "class KrakenFeed: ...",
    ],
)
def test_an_exchange_that_is_named_is_found(source: str):
    assert len(names_of_exchanges(source)) == 1


def test_comments_may_name_an_exchange():
    assert names_of_exchanges("x = 1  # as Binance has it") == []
