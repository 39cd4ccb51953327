"""The terminal, for text that is not ours: names of runs, symbols, files and what vendors put in them."""

import re
from collections.abc import Iterable
from typing import Any

import rich.console
from rich.console import ConsoleOptions, RenderableType
from rich.segment import Segment

# Escapes would reach the terminal; the marks of direction would turn what stands around them.
_UNSHOWN = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")


class Console(rich.console.Console):
    """A console to which text is text: no markup in brackets, no emoji codes, no control characters."""

    def __init__(self, **options: Any) -> None:
        super().__init__(highlight=False, markup=False, emoji=False, **options)

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """As rich's, without the characters that a terminal would obey."""
        for segment in super().render(renderable, options):
            if segment.control or not _UNSHOWN.search(segment.text):
                yield segment
            else:
                yield Segment(_UNSHOWN.sub("", segment.text), segment.style)
