"""Options on an instrument's steps, as commands on archives have them."""

import math
import re
from typing import Any

import click


class Positive(click.ParamType):
    """A finite number above 0."""

    name = "number"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Check it."""
        try:
            number = float(value)
        except ValueError:
            self.fail(f"'{value}' is not a number.", param, ctx)
        if not (number > 0 and math.isfinite(number)):
            self.fail(f"must be a number above 0, is {value}.", param, ctx)
        return number


POSITIVE = Positive()

tick_option = click.option(
    "--tick-size", type=POSITIVE, help="The step of prices. Default: guessed from the first rows."
)
lot_option = click.option(
    "--lot-size", type=POSITIVE, help="The step of quantities. Default: guessed from the first rows."
)


_UNITS = {"ns": 1, "us": 1_000, "ms": 1_000_000, "s": 1_000_000_000, "m": 60_000_000_000}


class Duration(click.ParamType):
    """A time above 0 in whole nanoseconds: `100ms`, `1s`, `2m`, or a number of nanoseconds."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Check it."""
        if isinstance(value, int):
            return value
        match = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?)(ns|us|ms|s|m)?", str(value).strip())
        if match is None:
            self.fail(f"'{value}' is no time such as 100ms or 1s.", param, ctx)
        duration_ns = round(float(match[1]) * _UNITS[match[2] or "ns"])
        if not 1 <= duration_ns < 1 << 62:
            self.fail(f"must be 1 ns or more, is {value}.", param, ctx)
        return duration_ns


DURATION = Duration()
