"""What a user may rely on: a list is whole, or it is an error."""

import pytest

from daemon.session.errors import WireError
from daemon.session.paging import all_pages


def pages_of(*pages):
    async def page(cursor):
        return pages[int(cursor or 0)]

    return page


@pytest.mark.parametrize(
    ("pages", "found"),
    [
        ([([1, 2], "")], [1, 2]),
        ([([], "")], []),
        ([([1], "1"), ([2], "2"), ([], "2")], [1, 2]),
        ([([1], "1"), ([2], "2"), ([], "")], [1, 2]),
    ],
)
async def test_pages_end_with_an_empty_cursor_or_an_empty_page(pages, found):
    assert await all_pages(pages_of(*pages), "numbers") == found


@pytest.mark.parametrize(
    ("pages", "said"),
    [([([1], "1"), ([2], "1")], "circles"), ([([1], "1"), ([2], "2"), ([3], "0")], "circles")],
)
async def test_pages_without_an_end_are_an_error(pages, said):
    with pytest.raises(WireError, match=said):
        await all_pages(pages_of(*pages), "numbers")


async def test_more_pages_than_there_may_be_are_an_error():
    async def page(cursor):
        return [1], str(int(cursor or 0) + 1)

    with pytest.raises(WireError, match="more than 5 pages"):
        await all_pages(page, "numbers", pages_max=5)
