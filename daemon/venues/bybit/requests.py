"""Commands as requests of the trade socket and of REST. Pure: no socket, no clock.

::

    {"reqId":"1711001595207-7","header":{"X-BAPI-TIMESTAMP":"1711001595207","X-BAPI-RECV-WINDOW":"5000"},
     "op":"order.create","args":[{"category":"linear","symbol":"ETHUSDT","side":"Buy","orderType":"Limit","qty":"0.2",
     "price":"2800","timeInForce":"PostOnly","positionIdx":0,"orderLinkId":"t1"}]}

A request's id never comes twice: the time of the socket's first request stands before its number. The socket takes no
questions: they go over REST.
"""

import re
from typing import Any, Final

import msgspec

from daemon.messages import Cancel, Command, Modify, Query, Submit
from daemon.orders.ids.wire_ids import PLAIN, to_plain
from daemon.session.catalog import Steps
from daemon.session.errors import RequestError
from daemon.venues.bybit.codes import SIDE_TEXTS, TIME_IN_FORCE_TEXTS
from hftd.constants import MARKET

CATEGORY: Final = "linear"
OPS: Final = {Submit: "order.create", Modify: "order.amend", Cancel: "order.cancel"}
PATHS: Final = {Submit: "/v5/order/create", Modify: "/v5/order/amend", Cancel: "/v5/order/cancel"}
OPEN_PATH: Final = "/v5/order/realtime"
CLOSED_PATH: Final = "/v5/order/history"
_ORDER_ID: Final = re.compile(r"[A-Za-z0-9-]{1,64}", re.ASCII)
_encode: Final = msgspec.json.Encoder().encode


class Requests:
    """Writes commands as requests of a trade socket that is logged on."""

    def __init__(self, window_ms: int) -> None:
        self._window = window_ms
        self._since_ms = 0

    def request(self, command: Command, steps: Steps, timestamp_ms: int) -> bytes:
        """The request's bytes.

        Raises:
            RequestError: The command holds what can't be sent.
        """
        if type(command) is Query:
            raise RequestError("the socket for orders takes no questions")
        self._since_ms = self._since_ms or timestamp_ms
        head = (
            f'{{"reqId":"{self._since_ms}-{command.request}","header":{{"X-BAPI-TIMESTAMP":"{timestamp_ms}",'
            f'"X-BAPI-RECV-WINDOW":"{self._window}"}},"op":"{OPS[type(command)]}","args":['
        )
        return head.encode() + _encode(_fields(command, steps)) + b"]}"


def rest_request(command: Command, steps: Steps) -> tuple[str, str, list[tuple[str, object]]]:
    """The same over REST: method, path and parameters, not yet signed.

    Raises:
        RequestError: The command holds what can't be sent.
    """
    fields = list(_fields(command, steps).items())
    if type(command) is Query:
        return "GET", OPEN_PATH, fields
    return "POST", PATHS[type(command)], fields


def rest_question_of_closed(command: Command, steps: Steps) -> tuple[str, str, list[tuple[str, object]]]:
    """A question about an order that is not among those that are open, or were until just now."""
    return "GET", CLOSED_PATH, list(_fields(command, steps).items())


def _fields(command: Command, steps: Steps) -> dict[str, Any]:
    fields: dict[str, Any] = {"category": CATEGORY, "symbol": command.symbol}
    if isinstance(command, Submit):
        fields |= {"side": SIDE_TEXTS[command.side], "qty": steps.lot.text(command.qty_lots)}
        if command.order_type == MARKET:
            fields["orderType"] = "Market"
        else:
            fields |= {
                "orderType": "Limit",
                "price": steps.tick.text(command.price_tick),
                "timeInForce": TIME_IN_FORCE_TEXTS[command.time_in_force],
            }
        if command.reduce_only:
            fields["reduceOnly"] = True
        return fields | {"positionIdx": 0, "orderLinkId": _client_id(command.client_id)}
    # By our id where there is one: it is known before the exchange has answered.
    if command.client_id:
        fields["orderLinkId"] = _client_id(command.client_id)
    elif _ORDER_ID.fullmatch(command.exch_order_id):
        fields["orderId"] = command.exch_order_id
    else:
        raise RequestError(
            f"{command.exch_order_id!r} is not an order id of the exchange, and there is no other"
        )
    if isinstance(command, Modify):
        fields |= {"qty": steps.lot.text(command.qty_lots), "price": steps.tick.text(command.price_tick)}
    return fields


def _client_id(client_id: str) -> str:
    text = to_plain(client_id)
    if not PLAIN.fullmatch(text):
        raise RequestError(f"{client_id!r} is not a client order id")
    return text
