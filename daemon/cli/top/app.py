"""The screen of `hftd top`: warnings first, then a table at a time."""

import asyncio
import contextlib
import re
from typing import Final

from rich.text import Text
from textual.app import App, ComposeResult
from textual.binding import Binding
from textual.css.query import NoMatches
from textual.events import Resize
from textual.widgets import DataTable, Footer, Static

from daemon.cli.top.cells import RIGHT, TONES, cell, money
from daemon.ops.metrics import Ask
from daemon.ops.web.board import Board, Look
from daemon.ops.web.tables import TABLES, WARNINGS, Column, Table
from hftd.clock import monotonic_ns

EVERY_S: Final = 1.0
WARNINGS_SHOWN: Final = 4
"""So many stand above every table; all of them are a table of their own."""
WIDE: Final = 150
"""A terminal of so many columns has room for minor ones."""
ROWS_SHOWN: Final = 500
SHORT: Final = {
    "bots": "bots", "books": "books", "orders": "orders", "fills": "fills", "positions": "positions",
    "profits": "profit", "limits": "limits", "latencies": "latency", "connections": "links", "warnings": "warnings",
    "events": "log", "refusals": "refusals", "markouts": "markouts", "balances": "balances", "daemons": "daemons",
}  # fmt: skip
"""The tables, in the order of their keys 1 to 9 and 0, and of the arrows."""
_KEYS: Final = "1234567890"
_DIGITS: Final = re.compile(r"(\d+)")


def _natural(key: str) -> list[tuple[int, int, str]]:
    """Sorts `bot-2` before `bot-10`."""
    parts = _DIGITS.split(key)
    return [(0, int(part), "") if part.isdecimal() and part.isascii() else (1, 0, part) for part in parts]


class Top(App[None]):
    """The screen.

    Args:
        ask: Asks all daemons; called in a thread, one call at a time.
    """

    ENABLE_COMMAND_PALETTE = False
    CSS = """
    #tiles, #tabs, #note { height: auto; padding: 0 1; }
    #warnings { height: auto; padding: 0 1; }
    #tabs { background: $panel; }
    DataTable { height: 1fr; }
    """
    BINDINGS = [  # noqa: RUF012 - as textual wants it
        Binding("q", "quit", "quit"),
        Binding("left,shift+tab", "turn(-1)", "before", priority=True),
        Binding("right,tab", "turn(1)", "next table", priority=True),
        *(Binding(key, f"pick({number})", "", show=False) for number, key in enumerate(_KEYS)),
    ]

    def __init__(self, ask: Ask) -> None:
        super().__init__()
        self._ask = ask
        self._board = Board()
        self._look: Look | None = None
        self._note = ""
        self._name = "bots"
        self._columns: list[tuple[int, Column]] = []
        self._drawn: dict[str, list[Text]] = {}

    def compose(self) -> ComposeResult:
        """The parts, from top to bottom."""
        yield Static(id="warnings", markup=False)
        yield Static("asking the daemons", id="tiles", markup=False)
        yield Static(id="tabs", markup=False)
        yield DataTable(cursor_type="row", zebra_stripes=True)
        yield Static(id="note", markup=False)
        yield Footer()

    def on_mount(self) -> None:
        """It looks from now on."""
        self.run_worker(self._look_always())

    def on_resize(self, _: Resize) -> None:
        """Another width may have room for other columns."""
        self._draw(is_new=True)

    def action_turn(self, by: int) -> None:
        """The table before or after this one."""
        names = list(SHORT)
        self._show(names[(names.index(self._name) + by) % len(names)])

    def action_pick(self, number: int) -> None:
        """A table by its key."""
        self._show(list(SHORT)[number])

    def _show(self, name: str) -> None:
        self._name = name
        self._draw(is_new=True)

    async def _look_always(self) -> None:
        while True:
            began_ns = monotonic_ns()
            try:
                self._look, self._note = await asyncio.to_thread(self._looked), ""
            except Exception as error:
                self._note = (
                    f"the daemons could not be asked: {type(error).__name__}: {error}; what is shown is old"
                )
            self._draw()
            await asyncio.sleep(max(EVERY_S - (monotonic_ns() - began_ns) / 1e9, EVERY_S / 4))

    def _looked(self) -> Look:
        daemons, silent = self._ask()
        return self._board.look(daemons, silent, monotonic_ns())

    # What is drawn.

    def _draw(self, *, is_new: bool = False) -> None:
        with contextlib.suppress(NoMatches):
            # What it would be drawn into is gone, or not there yet: it is being closed, or began just now.
            self._draw_parts(is_new=is_new)

    def _draw_parts(self, *, is_new: bool) -> None:
        note = self.query_one("#note", Static)
        note.update(Text(self._note, style=TONES["bad"]))
        note.display = bool(self._note)
        look = self._look
        if look is None:
            return
        self.query_one("#warnings", Static).update(self._warnings(look))
        self.query_one("#tiles", Static).update(self._tiles(look))
        self.query_one("#tabs", Static).update(self._tabs(look))
        self._draw_table(look, is_new=is_new)

    def _warnings(self, look: Look) -> Text:
        rows = list(look.tables["warnings"].values())
        if not rows:
            return Text("no warnings", style=TONES["good"])
        shown = [
            Text(f"! {values[1]}: {values[0]}", style=TONES["bad"]) for _, values in rows[:WARNINGS_SHOWN]
        ]
        if len(rows) > WARNINGS_SHOWN:
            shown.append(Text(f"and {len(rows) - WARNINGS_SHOWN:,} more (key 0)", style=TONES["bad"]))
        return Text("\n").join(shown)

    def _tiles(self, look: Look) -> Text:
        parts: list[Text] = []
        for tile in look.tiles:
            tone = tile.tone
            said = tile.text
            if not said:
                amount = tile.amount or 0.0
                said, tone = money(amount), "good" if amount > 0 else "bad" if amount < 0 else ""
            parts.append(Text.assemble((f"{tile.title} ", "dim"), (said, TONES.get(tone, "bold"))))
        return Text("  ").join(parts)

    def _tabs(self, look: Look) -> Text:
        parts: list[Text] = []
        for number, (name, short) in enumerate(SHORT.items()):
            key = f"{_KEYS[number]}:" if number < len(_KEYS) else ""
            is_shown = name == self._name
            count = f" {len(look.tables[name]) + look.left_out.get(name, 0):,}" if is_shown else ""
            parts.append(Text(f"{key}{short}{count}", style="reverse bold" if is_shown else ""))
        return Text("  ").join(parts)

    def _draw_table(self, look: Look, *, is_new: bool) -> None:
        spec: Table = WARNINGS if self._name == "warnings" else TABLES[self._name]
        is_single = len(look.tables["daemons"]) < 2
        columns = [
            (number, column)
            for number, column in enumerate(spec.columns)
            if not (column.is_minor and self.size.width < WIDE) and not (column.kind == "at" and is_single)
        ]
        found = look.tables[self._name]
        if spec.is_newest_first:
            keys = sorted(found, reverse=True)
        else:
            keys = sorted(found, key=lambda key: (found[key][0], _natural(key)))
        drawn = {
            key: [
                cell(column, found[key][1][number], look.now_ms, found[key][0]) for number, column in columns
            ]
            for key in keys[:ROWS_SHOWN]
        }
        table: DataTable[Text] = self.query_one(DataTable)
        if is_new or columns != self._columns:
            self._columns = columns
            table.clear(columns=True)
            for _, column in columns:
                right = column.kind in RIGHT
                table.add_column(Text(column.title, justify="right" if right else "left"), key=column.title)
            self._drawn = {}
        if list(drawn) == list(self._drawn):
            self._change(table, drawn)
        else:
            self._refill(table, drawn)
        self._drawn = drawn

    def _change(self, table: DataTable[Text], drawn: dict[str, list[Text]]) -> None:
        for key, texts in drawn.items():
            for (_, column), text, before in zip(self._columns, texts, self._drawn[key], strict=True):
                # Texts of one wording are equal to rich, whatever their colour.
                if text != before or text.style != before.style:
                    table.update_cell(key, column.title, text, update_width=True)

    def _refill(self, table: DataTable[Text], drawn: dict[str, list[Text]]) -> None:
        """All rows anew; the cursor stays on its row, or where it was."""
        at, (_, y) = table.cursor_row, table.scroll_offset
        before = list(self._drawn)
        chosen = before[at] if 0 <= at < len(before) else ""
        table.clear()
        for key, texts in drawn.items():
            table.add_row(*texts, key=key)
        keys = list(drawn)
        table.move_cursor(
            row=keys.index(chosen) if chosen in drawn else min(at, max(0, len(keys) - 1)), scroll=False
        )
        table.scroll_to(y=y, animate=False)


def run(ask: Ask) -> None:
    """Show it until `q` is pressed.

    Args:
        ask: Asks all daemons.
    """
    Top(ask).run()
