"""A bound for what is read of an answer: Apprise's services have `requests` take all of it into memory."""

from collections.abc import Iterator
from functools import wraps
from typing import Any, Final

ANSWER_BYTES_MAX: Final = 1 << 20
_MARK: Final = "is_bounded"


def bound_answers() -> None:
    """From here on this process reads no more of an HTTP answer's body than its first MiB.

    What follows is thrown away with the connection: whether a message was taken its status says.
    """
    from requests.models import Response

    whole = Response.iter_content
    if hasattr(whole, _MARK):
        return

    @wraps(whole)
    def beginning(self: Response, *arguments: Any, **options: Any) -> Iterator[Any]:
        left = ANSWER_BYTES_MAX
        for piece in whole(self, *arguments, **options):
            yield piece
            left -= len(piece)
            if left <= 0:
                self.raw.close()
                return

    setattr(beginning, _MARK, True)
    Response.iter_content = beginning
