"""Figures of several runs: their median and how far they spread; and tables of text."""

import os
import platform
import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any

Spread = dict[str, float]
Row = Sequence[str]


def spread(values: Sequence[float]) -> Spread:
    """Median, lowest and highest."""
    return {"median": statistics.median(values), "min": min(values), "max": max(values)}


def ratios(ours: Sequence[float], theirs: Sequence[float]) -> Spread:
    """Ours to theirs, pair by pair: the machine's drift then touches both."""
    return spread([a / b for a, b in zip(ours, theirs, strict=True)])


def machine() -> dict[str, Any]:
    """Where and under what load this is measured."""
    import numba
    import numpy as np

    model = platform.processor() or platform.machine()
    try:
        with Path("/proc/cpuinfo").open() as file:
            names = [line.partition(":")[2].strip() for line in file if line.startswith("model name")]
        model = names[0] if names else model
    except OSError:
        pass
    return {
        "processor": model,
        "cores": len(os.sched_getaffinity(0)),
        "load_1_min": os.getloadavg()[0],
        "python": platform.python_version(),
        "numba": numba.__version__,
        "numpy": np.__version__,
    }


def conditions(where: dict[str, Any]) -> str:
    """One line about the machine."""
    load = f"load {where['load_1_min']:.1f} before and {where['load_1_min_after']:.1f} after"
    return (
        f"{where['processor']}, {where['cores']} cores, {load}; Python {where['python']},"
        f" numba {where['numba']}, numpy {where['numpy']}"
    )


def shown(value: Spread, scale: float = 1.0, digits: int = 1) -> str:
    """`median (min - max)`."""
    low, high = value["min"] * scale, value["max"] * scale
    return f"{value['median'] * scale:.{digits}f} ({low:.{digits}f} - {high:.{digits}f})"


def text_table(header: Row, rows: Sequence[Row]) -> str:
    """Columns side by side."""
    widths = [max(len(row[k]) for row in [header, *rows]) for k in range(len(header))]
    lines = [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        for row in [header, *rows]
    ]
    return "\n".join(
        [lines[0].rstrip(), "  ".join("-" * width for width in widths), *map(str.rstrip, lines[1:])]
    )


def markdown_table(header: Row, rows: Sequence[Row]) -> str:
    """The same for a page."""
    cells = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(row) + " |" for row in cells)
