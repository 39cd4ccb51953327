"""Lists that come in pages, each with a cursor to the next one.

An exchange may give a cursor with its last page: an empty page is the end as well. One that goes in circles, or has no
end, is an error: a list that is cut must not look like a whole one.
"""

from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

from daemon.session.errors import WireError

PAGES_MAX: Final = 500

T = TypeVar("T")


async def all_pages(
    page: Callable[[str], Awaitable[tuple[list[T], str]]], what: str, pages_max: int = PAGES_MAX
) -> list[T]:
    """The items of all pages, in their order.

    Args:
        page: Gets the page of a cursor, at first of an empty one, and gives its items and the next cursor.
        what: It is, for the error.
        pages_max: More are refused.

    Raises:
        WireError: There is no end.
    """
    found: list[T] = []
    cursor, seen = "", set[str]()
    for _ in range(pages_max):
        items, cursor = await page(cursor)
        found += items
        if not items or not cursor:
            return found
        if cursor in seen:
            raise WireError(f"{what}: the pages go in circles")
        seen.add(cursor)
    raise WireError(f"{what}: there are more than {pages_max} pages")
