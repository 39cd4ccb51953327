"""The machines of `daemon/session` know no exchange; what one says is its folder's."""

import ast
from pathlib import Path

from tests.laws import ROOT, sources


def exchanges_known(source: str, names: set[str]) -> list[str]:
    """Where a file imports an exchange's folder, or names an exchange in its code.

    Args:
        source: The file's text.
        names: Of the exchanges.
    """
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith(("daemon.venues", "sim")):
            found.append(f"line {node.lineno}: imports {node.module}")
        elif isinstance(node, ast.Import):
            found += [
                f"line {node.lineno}: imports {one.name}"
                for one in node.names
                if one.name.startswith(("daemon.venues", "sim"))
            ]
        elif isinstance(node, ast.Name | ast.Attribute | ast.FunctionDef | ast.ClassDef):
            name = getattr(node, "id", None) or getattr(node, "attr", None) or getattr(node, "name", "")
            if any(one in name.lower() for one in names):
                found.append(f"line {node.lineno}: {name}")
    return found


def test_the_machines_know_no_exchange():
    names = {"binance", "bybit", "okx", "coinbase", "kraken", "hyperliquid"}
    found = {
        str(path.relative_to(ROOT)): known
        for path in sources("daemon/session")
        if (known := exchanges_known(path.read_text(), names))
    }
    assert found == {}


def test_the_law_finds_what_breaks_it():
    broken = "from daemon.venues.binancefutures import wire\nimport sim.exchange\nclass BinanceRest: pass\nx.bybit_id\n"
    assert len(exchanges_known(broken, {"binance", "bybit"})) == 4
    assert exchanges_known("from daemon.session import rest\nclass Rest: pass\n", {"binance"}) == []


def test_each_venue_has_the_same_files():
    folders = [one for one in (Path(ROOT) / "daemon" / "venues").iterdir() if (one / "session.py").exists()]
    for folder in folders:
        assert {"config.py", "facts.py", "session.py"} <= {one.name for one in folder.iterdir()}, folder.name
