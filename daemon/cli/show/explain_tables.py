"""Why orders filled, for people."""

import sys
from typing import TextIO

from rich.table import Table
from rich.text import Text

from daemon.cli.show import text
from daemon.cli.show.console import Console
from daemon.cli.show.fitting import put_table
from hftd.runfile import RunFile
from hftd.types import BUY, SELL
from sim.results.explain import Explained, OrderLine, Story
from sim.results.explain.words import count, moment, price, qty, span

Headings = list[tuple[str, bool]]
Rows = list[list[Text]]
_PIPE_WIDTH = 400
_ENDING_STYLES = {"filled": "green", "expired": "yellow", "rejected": "red"}


def show_explained(file: RunFile, explained: Explained, *, stream: TextIO | None = None) -> None:
    """A table of fills by cause and one of orders by ending."""
    console = _console(stream)
    console.print(
        f"{file.name}: {count(explained.orders, 'order')}, {count(explained.rows, 'row')} of their lives",
        style="bold",
        markup=False,
    )
    if not explained.orders:
        console.print("no order was sent")
        return
    if explained.fills:
        put_table(console, *_fills(file, explained))
        console.print(
            "queue ahead: when the order came to its place, on average; waited: from then to the fill, median;\n"
            "against mid: how much better than the mid price, on average by quantity, with what filled it in the book",
            style="dim",
        )
    else:
        console.print("nothing was filled")
    put_table(console, *_endings(file, explained))
    _warn(console, explained.dropped)


def show_listed(file: RunFile, lines: list[OrderLine], total: int, *, stream: TextIO | None = None) -> None:
    """A table of orders."""
    console = _console(stream)
    several = len({line.bot for line in lines}) > 1
    headings = (
        ("order id", True),
        ("use", True),
        ("asset", False),
        *((("bot", True),) if several else ()),
        ("requested (UTC)", False),
        ("side", False),
        ("price", True),
        ("quantity", True),
        ("filled", True),
        ("queue ahead", True),
        ("ending", False),
        ("filled by", False),
    )
    rows: Rows = []
    for line in lines:
        cells = [
            str(line.order_id),
            str(line.use),
            _asset(file, line.asset),
            *([str(line.bot)] if several else []),
            moment(line.ts),
            {BUY: "buy", SELL: "sell"}.get(line.side, text.NOTHING),
            price(line.px),
            qty(line.qty),
            qty(line.filled_qty) if line.filled_qty else text.NOTHING,
            text.NOTHING if line.front_qty is None else qty(line.front_qty),
        ]
        ending = Text(line.ending, style=_ENDING_STYLES.get(line.ending, ""))
        rows.append([*map(Text, cells), ending, Text(", ".join(line.causes))])
    if rows:
        put_table(console, headings, rows)
    console.print(
        f"{len(lines):,} of {count(total, 'order')}; `hftd explain {file.path} ORDER_ID` tells one",
        markup=False,
    )


def show_story(file: RunFile, story: Story, use: int, uses: int, *, stream: TextIO | None = None) -> None:
    """An order's life, a line for each thing that happened."""
    console = _console(stream)
    again = f", number {use} of {uses} with this id" if uses > 1 else ""
    console.print(f"order {story.order_id}: {story.title}{again}", style="bold", markup=False)
    about = file.asset(story.asset)
    place = f"{about.channel}:{about.symbol}" if about.channel else about.symbol
    console.print(f"{place} (asset {story.asset}), bot {story.bot}", style="dim", markup=False)
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(justify="right", no_wrap=True, style="dim")
    table.add_column(overflow="fold")
    table.add_row(moment(story.start_ns), Text(story.lines[0].text))
    for line in story.lines[1:]:
        table.add_row(f"+{span(line.ns)}", Text(line.text))
    console.print(table)
    console.print(story.why, style=_ENDING_STYLES.get(story.ending, "bold"), markup=False)
    _warn(console, file.meta.life_dropped if file.meta is not None else 0)


def _fills(file: RunFile, explained: Explained) -> tuple[Headings, Rows]:
    headings = [("asset", False), ("filled by", False)]
    headings += [
        (name, True) for name in ("fills", "quantity", "queue ahead", "waited", "against mid", "fee")
    ]
    rows: Rows = []
    for fills in explained.fills:
        waited = text.NOTHING if fills.seconds_median is None else span(round(fills.seconds_median * 1e9))
        edge = text.NOTHING if fills.edge is None else f"{fills.edge:+,.5g}"
        rows.append(
            [
                Text(_asset(file, fills.asset)),
                Text(fills.cause),
                Text(f"{fills.count:,}"),
                Text(qty(fills.qty)),
                Text(text.NOTHING if fills.front_qty is None else qty(fills.front_qty)),
                Text(waited),
                Text(edge, style="red" if fills.edge is not None and fills.edge < 0 else ""),
                Text(qty(fills.fee)),
            ]
        )
    return headings, rows


def _endings(file: RunFile, explained: Explained) -> tuple[Headings, Rows]:
    headings = [(name, False) for name in ("asset", "orders that", "reason")]
    headings += [(name, True) for name in ("orders", "filled in part", "filled quantity")]
    return headings, [
        [
            Text(_asset(file, one.asset)),
            Text(_ENDED.get(one.ending, one.ending), style=_ENDING_STYLES.get(one.ending, "")),
            Text(one.reason.removeprefix("REASON_").lower().replace("_", " ")),
            Text(f"{one.count:,}"),
            Text(f"{one.part_filled:,}" if one.part_filled else ""),
            Text(qty(one.filled_qty) if one.filled_qty else ""),
        ]
        for one in explained.endings
    ]


_ENDED = {
    "filled": "were filled",
    "canceled": "were cancelled",
    "expired": "expired",
    "rejected": "were refused",
    "open": "are open",
    "on its way": "are on their way",
}


def _asset(file: RunFile, asset_no: int) -> str:
    return f"{asset_no} {file.asset(asset_no).symbol}" if file.meta is not None else str(asset_no)


def _warn(console: Console, dropped: int) -> None:
    if dropped:
        console.print(
            Text.assemble(
                ("warning: ", "yellow bold"),
                f"{dropped:,} rows had no room when the run was recorded: the last orders' lives are not all here "
                "(--life-rows makes room)",
            )
        )


def _console(stream: TextIO | None) -> Console:
    file = sys.stdout if stream is None else stream
    return Console(file=file, width=None if file.isatty() else _PIPE_WIDTH)
