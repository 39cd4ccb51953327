"""`hftd journal`."""

import contextlib
import datetime
import re
import sys
from collections import deque
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, TextIO

import click

from daemon.cli.options import FILE
from hftd.errors import UsageError

_SHOWN = 200
_SYSTEM = Path("/var/lib/hftd")
"""Where the system's units keep journals (`StateDirectory=`)."""
_NS = 1_000_000_000
_TIME = re.compile(r"^(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3})\d{6}Z$")
_BRIEF = {
    "orders": ("submitted", "symbol", "side", "price", "quantity", "executed", "status", "reason", "bot"),
    "fills": ("exchange_time", "symbol", "side", "price", "quantity", "fee", "fee_asset", "liquidity", "bot"),
    "days": ("day", "asset", "realised", "unrealised", "fees", "funding", "total"),
    "events": ("time", "event", "bot", "symbol", "by", "reason", "what"),
    "tax": (
        "Date",
        "Sent Amount",
        "Sent Currency",
        "Received Amount",
        "Received Currency",
        "Fee Amount",
        "Label",
    ),
}
"""What of a table is shown to people; files have all of it."""
_EPILOG = """\b
Examples:
  hftd journal binancefutures                          the last fills
  hftd journal binancefutures --days
  hftd journal orders.journal --events --from 2024-08-01
  hftd journal bf --orders --bot maker --symbol BTCUSDT --csv --out orders.csv
  hftd journal bf --fills --json
  hftd journal bf --tax --from 2024-01-01 --to 2024-12-31 --csv --out tax.csv

The connector may run meanwhile: nothing is locked or written. Times are UTC.
NAME is a connector's: its journal is looked for in this user's state folder
and in /var/lib/hftd. docs/records.md says what the columns are. Exit code 1:
something of the journal is damaged or missing; what can be read is shown.
"""


class _Moment(click.ParamType):
    """A day or a moment of UTC, in nanoseconds; as the end of a span a day is meant with all of it."""

    name = "date"

    def __init__(self, is_end: bool) -> None:
        self._is_end = is_end

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Check it."""
        if isinstance(value, int):
            return value
        try:
            at = datetime.datetime.fromisoformat(value)
        except ValueError:
            self.fail(f"'{value}' is no date such as 2024-08-31, or 2024-08-31T12:00:00.", param, ctx)
        at = at.replace(tzinfo=datetime.UTC) if at.tzinfo is None else at
        is_day = len(value) <= len("2024-08-31")
        return int((at.timestamp() + (86_400 if self._is_end and is_day else 0)) * _NS)


@click.command("journal", epilog=_EPILOG)
@click.argument("journal", metavar="NAME_OR_PATH")
@click.option("--orders", "view", flag_value="orders", help="Each order as it was in the end.")
@click.option(
    "--fills", "view", flag_value="fills", default=True, help="Each execution. This is the default."
)
@click.option("--days", "view", flag_value="days", help="Profit by UTC day and asset.")
@click.option(
    "--events", "view", flag_value="events", help="Starts, halts, refusals, forced closes, funding."
)
@click.option("--tax", "view", flag_value="tax", help="The layout that Koinly and others import.")
@click.option(
    "--from", "from_ns", type=_Moment(False), metavar="DATE", default=0, help="From this day or moment on."
)
@click.option(
    "--to", "to_ns", type=_Moment(True), metavar="DATE", help="Up to this day, or before this moment."
)
@click.option("--bot", default="", help="Of this bot alone.")
@click.option("--symbol", default="", help="Of this symbol alone (not of days).")
@click.option("--csv", "form", flag_value="csv", help="All rows and columns as CSV.")
@click.option("--json", "form", flag_value="json", help="The same as JSON; decimals are strings.")
@click.option(
    "--parquet", "form", flag_value="parquet", help="The same as a Parquet file; needs hftd[polars]."
)
@click.option("--out", type=FILE, metavar="FILE", help="Where to write it. Default: stdout.")
def command(
    journal: str,
    view: str,
    from_ns: int,
    to_ns: int | None,
    bot: str,
    symbol: str,
    form: str | None,
    out: Path | None,
) -> int:
    """Show what a connector did: its orders, fills, profits and events, for auditors and tax forms."""
    from daemon.cli.show.output import check_outputs
    from daemon.ops.records import tax, views, writing
    from daemon.ops.records.reading import History

    if out is not None and form is None:
        form = {".json": "json", ".parquet": "parquet"}.get(out.suffix, "csv")
    if form == "parquet" and out is None:
        raise UsageError("Parquet is no text: give --out FILE")
    if symbol and view == "days":
        raise UsageError(
            "profits are kept by asset, not by symbol", hint="leave --symbol out, or take --fills"
        )
    check_outputs(out)
    # A day's profits come from all that was before it.
    history = History(_find(journal), 0 if view in ("days", "tax") else from_ns)
    chosen = views.Chosen(from_ns, to_ns if to_ns is not None else 1 << 63, bot, symbol)
    entries = history.entries()
    columns: Sequence[str]
    rows: Iterator[list[views.Cell]]
    if view == "tax":
        columns, rows = tax.TAX, tax.tax(entries, chosen)
    else:
        columns, rows = getattr(views, view.upper()), getattr(views, view)(entries, chosen)
    if form is None:
        _show(view, columns, rows)
    elif form == "parquet":
        assert out is not None
        with _beside(out) as fresh:
            writing.write_parquet(columns, rows, fresh)
    else:
        write = writing.write_json if form == "json" else writing.write_csv
        with _opened(out) as file:
            write(columns, rows, file)
    for one in history.damage:
        click.echo(f"warning: {one}", err=True)
    return 1 if history.damage else 0


def _find(named: str) -> Path:
    """The file of a journal: it was named, or its folder, or its connector.

    Raises:
        UsageError: No journal was found, or several were.
    """
    from daemon.connector.config import ConnectorConfig
    from daemon.connector.state_folder import journal_path

    path = Path(named)
    if path.is_file():
        return path
    if path.is_dir():
        found = sorted(path.glob("*.journal"))
        if len(found) != 1:
            what = ", ".join(one.name for one in found) or "none"
            raise UsageError(f"there must be one journal in this folder; there are: {what}", where=named)
        return found[0]
    places = (
        [journal_path(ConnectorConfig(), Path(), named), _SYSTEM / f"{named}.journal"]
        if "/" not in named
        else []
    )
    for place in places:
        with contextlib.suppress(PermissionError):
            if place.is_file():
                return place
    raise UsageError(
        f"there is no journal of {named!r}",
        where=", ".join(map(str, places)) or named,
        hint="give the file that `journal` of the connector's configuration names; "
        "those of the system's units need `sudo`",
    )


@contextlib.contextmanager
def _beside(out: Path) -> Iterator[Path]:
    """A file that takes the name once it is whole."""
    fresh = out.with_name(f".{out.name}.new")
    try:
        yield fresh
        fresh.replace(out)
    finally:
        fresh.unlink(missing_ok=True)


@contextlib.contextmanager
def _opened(out: Path | None) -> Iterator[TextIO]:
    if out is None:
        yield sys.stdout
        return
    with _beside(out) as fresh, fresh.open("w", encoding="utf-8", newline="") as file:
        yield file
        file.flush()


def _show(view: str, columns: Sequence[str], rows: Iterator[list[Any]]) -> None:
    from decimal import Decimal

    from daemon.cli.show.terminal import show
    from daemon.ops.records.writing import plain
    from sim.results.parts import Table, line

    brief = [columns.index(name) for name in _BRIEF[view]]
    count, last = 0, deque[list[Any]](maxlen=_SHOWN)
    for row in rows:
        count += 1
        last.append([row[index] for index in brief])
    if not last:
        show([line(f"no {'days' if view == 'days' else view} that match")])
        return
    is_number = [any(isinstance(row[place], Decimal) for row in last) for place in range(len(brief))]
    names = [name.replace("_", " ") for name in _BRIEF[view]]
    heads = [f"={name}" if right else f"~{name}" for name, right in zip(names, is_number, strict=True)]
    cells = [
        ["" if cell is None else str(plain(cell)).removesuffix("000000Z") for cell in row] for row in last
    ]
    parts: list[Any] = [Table(heads, cells, is_boxed=False, keys=1)]
    if count > len(last):
        parts.append(line(f"the last {len(last)} of {count:,}; --csv has all of them", style="dim"))
    show(parts)
