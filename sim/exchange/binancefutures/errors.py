"""The exchange's errors: code, message, HTTP status."""

from typing import Any


class ApiError(Exception):
    """A request that is refused.

    Args:
        code: The exchange's.
        msg: Its words.
        status: HTTP's.
        headers: Of the reply.
    """

    def __init__(self, code: int, msg: str, status: int = 400, headers: dict[str, str] | None = None) -> None:
        super().__init__(msg)
        self.code = code
        self.msg = msg
        self.status = status
        self.headers = headers or {}

    def body(self) -> dict[str, Any]:
        """As the reply has it."""
        return {"code": self.code, "msg": self.msg}


def missing(name: str) -> ApiError:
    """A parameter is not there, or is no value."""
    return ApiError(-1102, f"Mandatory parameter '{name}' was not sent, was empty/null, or malformed.")


def unneeded(name: str) -> ApiError:
    """A parameter must not be there."""
    return ApiError(-1106, f"Parameter '{name}' sent when not required.")


def precision() -> ApiError:
    """More digits than there are."""
    return ApiError(-1111, "Precision is over the maximum defined for this asset.")


def bad_symbol() -> ApiError:
    """No such instrument."""
    return ApiError(-1121, "Invalid symbol.")


def unknown_order_cancel() -> ApiError:
    """Cancelled before, filled, or never there."""
    return ApiError(-2011, "Unknown order sent.")


def no_such_order() -> ApiError:
    """Not found."""
    return ApiError(-2013, "Order does not exist.")


def bad_key(status: int = 401) -> ApiError:
    """The key is not known, or may not do this."""
    return ApiError(-2015, "Invalid API-key, IP, or permissions for action.", status)


def bad_key_format() -> ApiError:
    """There is no key."""
    return ApiError(-2014, "API-key format invalid.", 401)


def bad_signature() -> ApiError:
    """Signed by another key, or something else was signed."""
    return ApiError(-1022, "Signature for this request is not valid.")


def outside_window() -> ApiError:
    """Too old."""
    return ApiError(-1021, "Timestamp for this request is outside of the recvWindow.")


def ahead_of_time() -> ApiError:
    """From the future."""
    return ApiError(-1021, "Timestamp for this request was 1000ms ahead of the server's time.")


def outside_engine_window() -> ApiError:
    """Too old when it reached the matching engine."""
    return ApiError(-5028, "Timestamp for this request is outside of the ME recvWindow.")


def dead_listen_key() -> ApiError:
    """No such listen key."""
    return ApiError(-1125, "This listenKey does not exist.")


def too_many_orders() -> ApiError:
    """The account's order limit."""
    return ApiError(-1015, "Too many new orders; please use the batch or slow down.", 429)


def throttled() -> ApiError:
    """The exchange has too much to do."""
    return ApiError(
        -1008, "Server is currently overloaded with other requests. Please try again in a few minutes.", 503
    )


def modify_pending() -> ApiError:
    """The one before is still under way."""
    return ApiError(-5043, "A pending modification already exists for this order.")


def unknown_status() -> ApiError:
    """It may have been done, or not."""
    return ApiError(-1000, "Unknown error, please check your request or try again later.", 503)


def timed_out() -> ApiError:
    """It may have been done, or not."""
    return ApiError(
        -1007,
        "Timeout waiting for response from backend server. Send status unknown; execution status unknown.",
        408,
    )


def unavailable() -> ApiError:
    """It was not done."""
    return ApiError(-1000, "Service Unavailable.", 503)
