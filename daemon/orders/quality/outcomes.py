"""How bots' orders ended, each counted once, whoever told of the end and however often.

An order that was given up and lives after all is taken back, and so is an end that turns out to be another one. Ends
of before this process are not counted, also when the exchange tells of them again.
"""

from collections import OrderedDict
from typing import TYPE_CHECKING, Final

from hftd.constants import CANCELED, EXPIRED, FILLED, REJECTED

if TYPE_CHECKING:
    from daemon.orders.bot import Bot
    from daemon.orders.order import Order

COUNTED_MAX: Final = 100_000
"""Orders whose end can be taken back; of older ones it stays what it was."""
UNKNOWN: Final = "unknown"
"""The exchange did not know the order, and what became of it was never told."""
_NAMES: Final = {FILLED: "filled", CANCELED: "cancelled", EXPIRED: "expired", REJECTED: "refused"}


def none_yet() -> dict[str, int]:
    """A bot's counts before its first order ends: each is there from the beginning, so that growth is seen."""
    return dict.fromkeys((*_NAMES.values(), UNKNOWN), 0)


class Outcomes:
    """Counts into the bots' `outcomes`."""

    def __init__(self) -> None:
        self._counted: OrderedDict[str, tuple[Bot, str]] = OrderedDict()

    def ended(self, bot: "Bot", order: "Order", *, is_unknown: bool = False) -> None:
        """An order is finished that was not."""
        self._count(bot, order, UNKNOWN if is_unknown else _name(order))

    def changed(self, order: "Order", *, is_sure: bool) -> None:
        """Something else about an order has changed: it may be alive again, or have ended otherwise.

        Args:
            order: It.
            is_sure: The exchange has said how it ended.
        """
        counted = self._counted.get(order.client_id)
        if counted is None:
            return
        bot, name = counted
        if not order.finished_ns:
            self._take_back(order.client_id)
        elif is_sure and name != _name(order):
            self._count(bot, order, _name(order))

    def _count(self, bot: "Bot", order: "Order", name: str) -> None:
        self._take_back(order.client_id)
        self._counted[order.client_id] = bot, name
        bot.outcomes[name] += 1
        if len(self._counted) > COUNTED_MAX:
            self._counted.popitem(last=False)

    def _take_back(self, client_id: str) -> None:
        bot, name = self._counted.pop(client_id, (None, ""))
        if bot is not None:
            bot.outcomes[name] -= 1


def _name(order: "Order") -> str:
    return _NAMES.get(order.status, UNKNOWN)
