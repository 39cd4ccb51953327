"""Why orders filled."""

from collections.abc import Iterator

from daemon.cli.show import text
from hftd.runfile import RunFile
from hftd.types import BUY, SELL
from sim.results.explain import Explained, OrderLine, Story
from sim.results.explain.words import count, moment, price, qty, span
from sim.results.parts import Facts, Part, Rows, Table, line, warnings

_ENDING_STYLES = {"filled": "green", "expired": "yellow", "rejected": "red"}
_ENDED = {
    "filled": "were filled",
    "canceled": "were cancelled",
    "expired": "expired",
    "rejected": "were refused",
    "open": "are open",
    "on its way": "are on their way",
}


def explained(file: RunFile, found: Explained) -> Iterator[Part]:
    """A table of fills by cause and one of orders by ending."""
    rows_count = count(found.rows, "row")
    yield line(f"{file.name}: {count(found.orders, 'order')}, {rows_count} of their lives", style="bold")
    if not found.orders:
        yield line("no order was sent")
        return
    if found.fills:
        yield _fills(file, found)
        yield line(
            "queue ahead: when the order came to its place, on average; waited: from then to the fill, median;\n"
            "against mid: how much better than the mid price, on average by quantity, with what filled it in the book",
            style="dim",
        )
    else:
        yield line("nothing was filled")
    yield _endings(file, found)
    yield from _dropped(found.dropped)


def listed(file: RunFile, lines: list[OrderLine], total: int) -> Iterator[Part]:
    """A table of orders."""
    several = len({one.bot for one in lines}) > 1
    rows: Rows = []
    for one in lines:
        rows.append(
            [
                str(one.order_id),
                str(one.use),
                _asset(file, one.asset),
                *([str(one.bot)] if several else []),
                moment(one.ts),
                {BUY: "buy", SELL: "sell"}.get(one.side, text.NOTHING),
                price(one.px),
                qty(one.qty),
                qty(one.filled_qty) if one.filled_qty else text.NOTHING,
                text.NOTHING if one.front_qty is None else qty(one.front_qty),
                (one.ending, _ENDING_STYLES.get(one.ending, "")),
                ", ".join(one.causes),
            ]
        )
    if rows:
        whose = ("=order id", "=use", "asset", *(("=bot",) if several else ()), "requested (UTC)", "side")
        numbers = "=price", "=quantity", "=filled", "=queue ahead"
        yield Table((*whose, *numbers, "ending", "filled by"), rows, keys=0)
    yield line(f"{len(lines):,} of {count(total, 'order')}; `hftd explain {file.path} ORDER_ID` tells one")


def told(file: RunFile, story: Story, use: int, uses: int) -> Iterator[Part]:
    """An order's life, a line for each thing that happened."""
    again = f", number {use} of {uses} with this id" if uses > 1 else ""
    yield line(f"order {story.order_id}: {story.title}{again}", style="bold")
    about = file.asset(story.asset)
    place = f"{about.channel}:{about.symbol}" if about.channel else about.symbol
    yield line(f"{place} (asset {story.asset}), bot {story.bot}", style="dim")
    first, *others = story.lines
    happened = [(moment(story.start_ns), first.text), *((f"+{span(one.ns)}", one.text) for one in others)]
    yield Facts(happened, right=True)
    yield line(story.why, style=_ENDING_STYLES.get(story.ending, "bold"))
    yield from _dropped(file.meta.life_dropped if file.meta is not None else 0)


def _fills(file: RunFile, found: Explained) -> Table:
    rows: Rows = []
    for one in found.fills:
        *cells, edge, fee = one.cells(text.NOTHING)
        style = "red" if one.edge is not None and one.edge < 0 else ""
        rows.append([_asset(file, one.asset), one.cause, *cells, (edge, style), fee])
    numbers = "=fills", "=quantity", "=queue ahead", "=waited", "=against mid", "=fee"
    return Table(("asset", "filled by", *numbers), rows, keys=0)


def _endings(file: RunFile, found: Explained) -> Table:
    rows: Rows = []
    for one in found.endings:
        reason = one.reason.removeprefix("REASON_").lower().replace("_", " ")
        ended = _ENDED.get(one.ending, one.ending), _ENDING_STYLES.get(one.ending, "")
        part = f"{one.part_filled:,}" if one.part_filled else ""
        filled = qty(one.filled_qty) if one.filled_qty else ""
        rows.append([_asset(file, one.asset), ended, reason, f"{one.count:,}", part, filled])
    numbers = "=orders", "=filled in part", "=filled quantity"
    return Table(("asset", "orders that", "reason", *numbers), rows, keys=0)


def _asset(file: RunFile, asset_no: int) -> str:
    return f"{asset_no} {file.asset(asset_no).symbol}" if file.meta is not None else str(asset_no)


def _dropped(dropped: int) -> list[Part]:
    if not dropped:
        return []
    what = "had no room when the run was recorded: the last orders' lives are not all here (--life-rows makes room)"
    return [*warnings([f"{dropped:,} rows {what}"])]
