"""Options that commands share."""

import math
from pathlib import Path
from typing import Any

import click

from hftd.errors import ConfigError

FILE = click.Path(path_type=Path)

json_option = click.option(
    "--json", "as_json", is_flag=True, help="The result as one JSON document on stdout."
)

record_option = click.option(
    "--record",
    type=FILE,
    metavar="OUT.npz",
    help="Write the run's file (states, fills, latencies), which `hftd report` reads.",
)

LIFE_ROWS = 1 << 21

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


def config_option(name: str) -> Any:
    """`--config`, which may be left out where a file of that name is at hand."""
    return click.option(
        "--config",
        type=FILE,
        metavar=name,
        help=f"The configuration. Default: ./{name}, then ./configs/{name}.",
    )


def find_config(given: Path | None, *names: str) -> Path:
    """The configuration that was given, or the default one: of several names the first that there is.

    Raises:
        ConfigError: None was given and there is none at the default places; the message names them.
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


class Speed(click.ParamType):
    """A finite number above 0."""

    name = "speed"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Check it."""
        try:
            speed = float(value)
        except ValueError:
            self.fail(f"'{value}' is not a number.", param, ctx)
        if not (speed > 0 and math.isfinite(speed)):
            self.fail(f"must be a number above 0, is {value}.", param, ctx)
        return speed
