"""Generated markets: which there are, and what was written of one."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sim.results.parts import Part, Rows, Table, line

if TYPE_CHECKING:
    from sim.generate import Market


def known(markets: "Mapping[str, Market]") -> list[dict[str, Any]]:
    """The markets, for a program."""
    return [
        {
            "market": market.name,
            "about": market.about,
            "effect": market.effect,
            "instruments": [
                {
                    "channel": item.channel,
                    "symbol": item.symbol,
                    "tick_size": item.tick_size,
                    "lot_size": item.lot_size,
                }
                for item in market.instruments
            ],
        }
        for market in markets.values()
    ]


def list_of(markets: "Mapping[str, Market]") -> Iterator[Part]:
    """The markets, with what each is for."""
    rows: Rows = [
        [market.name, ", ".join(item.name for item in market.instruments), f"{market.about} {market.effect}"]
        for market in markets.values()
    ]
    yield Table(("market", "~instruments", "~what it is"), rows, is_boxed=False, keys=1)


def files(written: Sequence[Path]) -> Iterator[Part]:
    """What was written, and how to play it."""
    yield Table(
        ("file", "=MB"),
        [[str(path), f"{path.stat().st_size / 1e6:.1f}"] for path in written],
        is_boxed=False,
    )
    yield line(f"to play it: hftd backtest --config {written[-1]} --bot BOT.toml --date DATE", wraps=False)
