"""Options that commands share."""

import math
import re
from pathlib import Path
from typing import Any

import click

from hftd.errors import ConfigError

FILE = click.Path(path_type=Path)
LIFE_ROWS = 1 << 21
_UNITS = {"ns": 1, "us": 1_000, "ms": 1_000_000, "s": 1_000_000_000, "m": 60_000_000_000}


class Positive(click.ParamType):
    """A finite number above 0."""

    def __init__(self, name: str) -> None:
        self.name = name

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Check it."""
        try:
            number = float(value)
        except ValueError:
            self.fail(f"'{value}' is not a number.", param, ctx)
        if not (number > 0 and math.isfinite(number)):
            self.fail(f"must be a number above 0, is {value}.", param, ctx)
        return number


class Duration(click.ParamType):
    """A time above 0 in whole nanoseconds: `100ms`, `1s`, `2m`, or a number of nanoseconds."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Check it."""
        if isinstance(value, int):
            return value
        match = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?)(ns|us|ms|s|m)?", str(value).strip())
        if match is None:
            self.fail(f"'{value}' is not a time such as 100ms or 1s.", param, ctx)
        duration_ns = round(float(match[1]) * _UNITS[match[2] or "ns"])
        if not 1 <= duration_ns < 1 << 62:
            self.fail(f"must be 1 ns or more, is {value}.", param, ctx)
        return duration_ns


class Names(click.ParamType):
    """Some of these names, separated by commas."""

    def __init__(self, name: str, known: tuple[str, ...]) -> None:
        self.name = name
        self.known = known

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, ...]:
        """Check them."""
        names = tuple(filter(None, value.split(","))) if isinstance(value, str) else value
        for name in names:
            if name not in self.known:
                self.fail(f"'{name}' is not one of {', '.join(self.known)}.", param, ctx)
        return names


SPEED = Positive("speed")
POSITIVE = Positive("number")
DURATION = Duration()

json_option = click.option(
    "--json", "as_json", is_flag=True, help="The result as one JSON document on stdout."
)
record_option = click.option(
    "--record",
    type=FILE,
    metavar="OUT.npz",
    help="Write the run's file (states, fills, latencies), which `hftd report` reads.",
)
life_rows_option = click.option(
    "--life-rows",
    type=click.IntRange(1, 1 << 27),
    default=LIFE_ROWS,
    show_default=True,
    metavar="N",
    help="The most rows of the orders' lives that are kept for each instrument (136 bytes each, as they come).",
)
latency_option = click.option(
    "--latency",
    type=FILE,
    metavar="OUT.npz",
    help="Write the order latencies of the run, for a backtest's `interpolated` model (OUT.0.npz, OUT.1.npz ... "
    "where the bot has several instruments).",
)
date_option = click.option(
    "--date",
    required=True,
    metavar="DATE",
    help="The day to play: 20220831, several as 20220831,20220901 or as 20220831..20220902.",
)
progress_option = click.option(
    "--progress",
    "progress_mode",
    type=click.Choice(["auto", "plain", "json", "none"]),
    default="auto",
    show_default=True,
    help="How progress is shown on stderr: auto draws a bar on a terminal, else plain lines.",
)
tick_option = click.option(
    "--tick-size", type=POSITIVE, help="The step of prices. Default: guessed from the first rows."
)
lot_option = click.option(
    "--lot-size", type=POSITIVE, help="The step of quantities. Default: guessed from the first rows."
)
clock_option = click.option(
    "--clock",
    type=click.Choice(["local", "exch"]),
    default="local",
    show_default=True,
    help="The book as it was received, or the exchange's own.",
)


def config_option(name: str) -> Any:
    """`--config`, which may be left out where a file of that name is at hand."""
    return click.option(
        "--config",
        type=FILE,
        metavar=name,
        help=f"The configuration. Default: ./{name}, then ./configs/{name}.",
    )


def picture_option(what: str) -> Any:
    """`--picture`, which draws something."""
    return click.option("--picture", type=FILE, metavar="OUT.png", help=f"Draw {what}.")


def find_config(given: Path | None, *names: str) -> Path:
    """The configuration that was given, or the default one: of several names the first that there is.

    Raises:
        ConfigError: No file was given and there is none at the default places; the message names them.
    """
    if given is not None:
        return given
    places = [place for name in names for place in (Path(name), Path("configs") / name)]
    for place in places:
        if place.is_file():
            return place
    raise ConfigError(
        f"no configuration was given, and there is no {' or '.join(str(place) for place in places)}",
        where=str(Path.cwd()),
        hint=f"give one by --config {names[-1]}, or go to the folder that has it",
    )
