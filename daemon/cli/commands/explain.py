"""`hftd explain`."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from daemon.cli.options import FILE, json_option, picture_option
from daemon.cli.show.output import check_outputs, put, put_picture

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hftd.runfile import RunFile
    from sim.results.explain import Orders

MAX_ID = (1 << 64) - 1
_CAUSES = ("traded through", "reached", "crossed", "taken")
_EPILOG = """\b
Examples:
  hftd backtest --bot bot.toml --date 20220831 --record run.npz --explain
  hftd explain run.npz                        fills by cause, orders by ending
  hftd explain run.npz --list --cause reached orders that trades reached
  hftd explain run.npz 202397                 one order's life
  hftd explain run.npz 202397 --picture why.png

\b
traded through: a trade went through its price
reached:        a trade at its price went beyond the queue ahead of it
crossed:        the other side of the book came to its price
taken:          it took when it came
"""


@click.command("explain", epilog=_EPILOG)
@click.argument("run", type=FILE, metavar="RUN.npz")
@click.argument("order_id", type=click.IntRange(0, MAX_ID), required=False, metavar="[ORDER_ID]")
@click.option("--asset", type=click.IntRange(min=0), metavar="N", help="Only of this asset.")
@click.option("--bot", type=click.IntRange(min=0), metavar="N", help="Only of this bot, in a replay's file.")
@click.option(
    "--use",
    type=click.IntRange(min=1),
    metavar="K",
    help="Which order, where the id was used again: 1 for the first. Default: the last.",
)
@click.option("--each", is_flag=True, help="A line for each change of the queue.")
@picture_option("the order's life")
@click.option("--list", "listed", is_flag=True, help="List the orders.")
@click.option("--cause", type=click.Choice(_CAUSES), help="List only orders that were filled by this.")
@click.option(
    "--rows", type=click.IntRange(min=0), default=20, show_default=True, help="Orders to list, the last ones."
)
@json_option
def command(
    run: Path,
    order_id: int | None,
    asset: int | None,
    bot: int | None,
    use: int | None,
    each: bool,
    picture: Path | None,
    listed: bool,
    cause: str | None,
    rows: int,
    as_json: bool,
) -> None:
    """Tell why the orders of a run filled, or did not: of all, or of one its whole life."""
    from hftd.errors import UsageError
    from hftd.runfile import read_run
    from sim.results.explain import group, life_of

    if order_id is None and (picture is not None or each or use is not None):
        raise UsageError(
            "--picture, --each and --use are about one order",
            hint="add its id; `hftd explain RUN.npz --list` shows some",
        )
    check_outputs(picture)
    file = read_run(run)
    life = life_of(file)
    if order_id is not None:
        _one(file, life, order_id, (asset, bot, use), each, picture, as_json)
        return
    for name, number in (("asset", asset), ("bot", bot)):
        if number is not None:
            life = life[life[name] == number]
            if not len(life):
                raise UsageError(f"the run has no order of {name} {number}", where=str(run))
    if listed or cause is not None:
        _list(file, group(life), cause, rows, as_json)
    else:
        _all(file, group(life), as_json)


def _all(file: "RunFile", orders: "Orders", as_json: bool) -> None:
    from daemon.cli.show.explain import explained
    from sim.results.explain import explain

    found = explain(orders, file.meta.life_dropped if file.meta is not None else 0)
    put(found, explained(file, found), as_json=as_json)


def _list(file: "RunFile", orders: "Orders", cause: str | None, rows: int, as_json: bool) -> None:
    from daemon.cli.show import explain as shown
    from sim.results.explain import listed

    lines, count = listed(orders, cause=cause, limit=rows)
    put({"orders": lines, "count": count}, shown.listed(file, lines, count), as_json=as_json)


def _one(
    file: "RunFile",
    life: "NDArray[Any]",
    order_id: int,
    place: tuple[int | None, int | None, int | None],
    each: bool,
    picture: Path | None,
    as_json: bool,
) -> None:
    from daemon.cli.show.explain import told
    from hftd.errors import UsageError
    from sim.results.explain import find, group, tell

    orders = group(life)
    asset, bot, use = place
    found = find(orders, order_id, asset=asset, bot=bot)
    uses = len(found)
    if use is not None and use > uses:
        raise UsageError(f"the id {order_id} was used {uses} times", hint=f"--use 1 to {uses}")
    use = use or uses
    rows = orders.of(found[use - 1])
    symbol = file.asset(int(rows["asset"][0])).symbol
    story = tell(rows, symbol, each=each)
    if picture is not None:
        from daemon.cli.show.charts import order

        put_picture(picture, order(rows, life, story, symbol))
    told_rows = as_records(rows) if as_json else []
    document = {"use": use, "uses": uses, "symbol": symbol, "story": story, "rows": told_rows}
    put(document, told(file, story, use, uses), as_json=as_json)


def as_records(rows: "NDArray[Any]") -> list[dict[str, Any]]:
    """Rows of a life for a program: columns by name, kinds and causes in words."""
    from hftd.hbt.life import cause_name, kind_name

    names = rows.dtype.names or ()
    made = [dict(zip(names, row.tolist(), strict=True)) for row in rows]
    for one in made:
        one["kind"], one["cause"] = kind_name(one["kind"]), cause_name(one["cause"])
    return made
