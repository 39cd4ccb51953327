"""What is shown of results, as values: lines, tables and charts.

They are described once, and each place has one renderer for them: the terminal (`daemon.cli.show.terminal`), pictures
(`daemon.cli.show.picture`) and the page (`sim.results.report.page`). Colours of charts are written as #rrggbb.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

Cell = str | tuple[str, str]
"""A text, or a text and its style, such as "red bold"."""
Rows = list[list[Cell]]


class Line(NamedTuple):
    """A paragraph.

    Attributes:
        spans: Its pieces.
        style: Of all of it.
        indent: Spaces before each of its lines.
        wraps: Whether it may be broken; a path to be copied may not.
    """

    spans: tuple[Cell, ...]
    style: str = ""
    indent: int = 0
    wraps: bool = True


def line(*spans: Cell, style: str = "", indent: int = 0, wraps: bool = True) -> Line:
    """A paragraph of these pieces."""
    return Line(spans, style, indent, wraps)


def notes(sentences: Sequence[str], label: str = "note", style: str = "cyan") -> list[Line]:
    """A line for each sentence, behind a label."""
    return [line((f"{label}: ", style), sentence) for sentence in sentences]


def warnings(sentences: Sequence[str]) -> list[Line]:
    """A line for each warning."""
    return notes(sentences, "warning", "yellow bold")


class Facts(NamedTuple):
    """Labels, and what each of them is.

    Attributes:
        pairs: Label and text.
        style: Of the labels.
        right: Whether the labels stand to the right.
    """

    pairs: Sequence[tuple[str, str]]
    style: str = "dim"
    right: bool = False


class Table(NamedTuple):
    """A table.

    Attributes:
        columns: Headings; `=` before one says that the column is of numbers and stands to the right, `~` (behind `=`)
            that its cells may be folded.
        rows: A cell for each column; none: a rule between the groups of rows.
        is_boxed: Whether it has rules.
        keys: Where it is too wide it is turned, and so many of the first columns become the heading; None: it is not
            turned.
        title: Above it.
    """

    columns: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    is_boxed: bool = True
    keys: int | None = None
    title: str = ""


Part = Line | Facts | Table


class Curve(msgspec.Struct, frozen=True):
    """Values over times or other numbers.

    Attributes:
        x: Nanoseconds in a chart over time, else numbers.
        y: As many numbers, NaN where there is none.
        color: Of the line.
        label: In the legend; empty: not there.
        step: Whether a value holds until the next one.
        width: Of the line, in points.
        dash: `-`, `--` or `:`.
        dots: Whether each point is marked.
        alpha: How opaque it is.
        behind: Whether other curves cover it.
        cap: How the ends are: `butt`, or empty.
    """

    x: NDArray[Any]
    y: NDArray[Any] | list[Any]
    color: str
    label: str = ""
    step: bool = False
    width: float | None = None
    dash: str = "-"
    dots: bool = False
    alpha: float | None = None
    behind: bool = False
    cap: str = ""


class Band(msgspec.Struct, frozen=True):
    """What lies between two curves."""

    x: NDArray[Any]
    low: NDArray[Any]
    high: NDArray[Any]
    color: str
    label: str


class Marks(msgspec.Struct, frozen=True):
    """Points.

    Attributes:
        x: As of a curve.
        y: As many numbers.
        color: Of the marks.
        label: In the legend; empty: not there.
        marker: `o`, `s`, `^`, `v`, `x` or `|`.
        size: In square points.
        edge: The width of the outline; None where there is none.
        hollow: Whether only the outline is drawn.
        front: How far before the curves, 3 or more; None: not.
        clips: Whether marks at the edge are cut off.
        bold: The width of marks that are lines.
    """

    x: NDArray[Any]
    y: NDArray[Any]
    color: str
    label: str = ""
    marker: str = "o"
    size: float | None = None
    edge: float | None = None
    hollow: bool = False
    front: int | None = None
    clips: bool = True
    bold: float | None = None


class Rule(msgspec.Struct, frozen=True):
    """A straight line across a panel, at a height or, if `upright`, at a time."""

    at: float
    color: str = "black"
    label: str = ""
    width: float = 0.6
    alpha: float | None = None
    dash: str = "-"
    upright: bool = False


class Bars(msgspec.Struct, frozen=True):
    """How many of the values are between one edge and the next."""

    values: NDArray[Any]
    edges: NDArray[Any]
    color: str
    label: str


class Panel(msgspec.Struct, kw_only=True):
    """One plot of a chart.

    Attributes:
        label: What its height is.
        x_label: What its width is.
        title: Above it.
        title_size: Of the title, in points; smaller ones than 12 stand to the left.
        parts: What is drawn, in that order.
        note: A word in its middle, where there is nothing to draw.
        note_color: Of the note.
        note_size: Of the note.
        names: What the heights 0, 1, ... are called, from the top down; None: they are numbers.
        scale: `linear`, `log` or `symlog`.
        y_range: The lowest and the highest value that it shows; None: all.
        x_range: The first and the last.
        over_time: Whether its width is time.
        legend_title: Above the names of what is drawn.
        legend_alpha: How opaque the legend is.
    """

    label: str = ""
    x_label: str = ""
    title: str = ""
    title_size: int = 12
    parts: list[Curve | Band | Marks | Rule | Bars] = []
    note: str = ""
    note_color: str = "#666666"
    note_size: int | None = None
    names: list[str] | None = None
    scale: str = "linear"
    y_range: tuple[float, float] | None = None
    x_range: tuple[Any, Any] | None = None
    over_time: bool = True
    legend_title: str | None = None
    legend_alpha: float | None = None


class Chart(msgspec.Struct, frozen=True, kw_only=True):
    """Panels below each other, in columns side by side.

    Attributes:
        title: Above all.
        columns: Panels of each column, as many in each.
        heights: How high each row of panels is, in parts.
        margin: The room at the sides, in parts of the width; None: the usual one.
        plain: Whether the numbers of the heights are written out.
        shares_x: Whether all have one axis of time.
    """

    title: str
    columns: list[list[Panel]]
    heights: list[float]
    margin: float | None = 0.02
    plain: bool = True
    shares_x: bool = True


def thin(rows: NDArray[Any], limit: int) -> NDArray[Any]:
    """Every n-th row, with the last one, so that about `limit` remain."""
    if len(rows) <= limit:
        return rows
    chosen = np.arange(0, len(rows), -(-len(rows) // limit))
    return rows[np.union1d(chosen, [len(rows) - 1])]
