"""Options on an instrument's steps, as commands on archives have them."""

import math
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
