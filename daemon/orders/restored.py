"""What a former process said of its own clock, put into ours."""

from daemon.orders.machine import Order

_TIMES = ("placed_ns", "seen_ns", "terms_ns", "finished_ns", "cancel_sent_ns", "query_sent_ns")


def retime(order: Order, now_ns: int) -> None:
    """The clock may have been set between the two: nothing lies ahead, and no time of grace has passed.

    Args:
        order: As the journal has it.
        now_ns: The first moment of this process.
    """
    for name in _TIMES:
        setattr(order, name, min(getattr(order, name), now_ns))
    if not order.finished_ns:
        order.seen_ns = now_ns
        if order.amend is not None:
            order.amend.sent_ns = now_ns
