"""Commands as requests of the WebSocket API and of REST. Pure: no socket, no clock.

::

    {"id":7,"method":"order.place","params":{"apiKey":"..","newClientOrderId":"a1","price":"43187.0",
     "quantity":"0.100","recvWindow":5000,"side":"BUY","symbol":"BTCUSDT","timeInForce":"GTX",
     "timestamp":1702555533821,"type":"LIMIT","signature":".."}}

Parameters are written sorted by name, which is the order in which they are signed. Nothing that is written needs to be
escaped: client ids and symbols are checked, the rest is digits and words.
"""

import re
from typing import Final

from daemon.messages import Cancel, Command, Modify, Query, Submit
from daemon.session.catalog import Steps
from daemon.session.errors import RequestError
from daemon.session.facts import Signer
from daemon.session.rest import RECV_WINDOW_MS
from daemon.venues.binance.codes import SIDE_TEXTS, TIME_IN_FORCE_TEXTS
from hftd.constants import MARKET

CLIENT_ID: Final = re.compile(r"[.A-Z:/a-z0-9_-]{1,36}", re.ASCII)


class Requests:
    """Writes commands as WebSocket API requests.

    Args:
        has_session: The socket is logged on; requests then carry neither key nor signature.
    """

    def __init__(self, signer: Signer, *, has_session: bool, recv_window_ms: int = RECV_WINDOW_MS) -> None:
        self._sign = signer.sign
        self._has_session = has_session
        self._key_payload = "" if has_session else f"apiKey={signer.api_key}&"
        self._key_json = "" if has_session else f'"apiKey":"{signer.api_key}",'
        self._window = recv_window_ms

    def request(self, command: Command, steps: Steps, timestamp_ms: int) -> bytes:
        """The request's bytes.

        Raises:
            RequestError: The command holds what can't be sent.
        """
        if type(command) is Submit:
            return self._place(command, steps, timestamp_ms)
        if type(command) is Modify:
            return self._amend(command, steps, timestamp_ms)
        assert isinstance(command, Cancel | Query)
        method = "order.cancel" if type(command) is Cancel else "order.status"
        name, quoted, plain = _order_name(command)
        params = (
            f'{self._key_json}"{name}":{quoted},"recvWindow":{self._window},"symbol":"{command.symbol}",'
            f'"timestamp":{timestamp_ms}'
        )
        if self._has_session:
            return f'{{"id":{command.request},"method":"{method}","params":{{{params}}}}}'.encode()
        signature = self._sign(
            f"{self._key_payload}{name}={plain}&recvWindow={self._window}&symbol={command.symbol}"
            f"&timestamp={timestamp_ms}"
        )
        return (
            f'{{"id":{command.request},"method":"{method}","params":{{{params},"signature":"{signature}"}}}}'
        ).encode()

    def _place(self, command: Submit, steps: Steps, timestamp_ms: int) -> bytes:
        client_id = command.client_id
        if not CLIENT_ID.fullmatch(client_id):
            raise RequestError(f"{client_id!r} is not a client order id")
        side = SIDE_TEXTS[command.side]
        quantity = steps.lot.text(command.qty_lots)
        reduce_payload, reduce_json = _REDUCE_ONLY if command.reduce_only else ("", "")
        if command.order_type == MARKET:
            price_payload = price_json = tif_payload = tif_json = ""
            kind = "MARKET"
        else:
            price, tif = steps.tick.text(command.price_tick), TIME_IN_FORCE_TEXTS[command.time_in_force]
            price_payload, price_json = f"&price={price}", f',"price":"{price}"'
            tif_payload, tif_json = f"&timeInForce={tif}", f',"timeInForce":"{tif}"'
            kind = "LIMIT"
        params = (
            f'{self._key_json}"newClientOrderId":"{client_id}"{price_json},"quantity":"{quantity}",'
            f'"recvWindow":{self._window}{reduce_json},"side":"{side}","symbol":"{command.symbol}"{tif_json},'
            f'"timestamp":{timestamp_ms},"type":"{kind}"'
        )
        if self._has_session:
            return f'{{"id":{command.request},"method":"order.place","params":{{{params}}}}}'.encode()
        signature = self._sign(
            f"{self._key_payload}newClientOrderId={client_id}{price_payload}&quantity={quantity}"
            f"&recvWindow={self._window}{reduce_payload}&side={side}&symbol={command.symbol}{tif_payload}"
            f"&timestamp={timestamp_ms}&type={kind}"
        )
        return (
            f'{{"id":{command.request},"method":"order.place","params":{{{params},"signature":"{signature}"}}}}'
        ).encode()

    def _amend(self, command: Modify, steps: Steps, timestamp_ms: int) -> bytes:
        name, quoted, plain = _order_name(command)
        price, quantity = steps.tick.text(command.price_tick), steps.lot.text(command.qty_lots)
        side = SIDE_TEXTS[command.side]
        params = (
            f'{self._key_json}"{name}":{quoted},"price":"{price}","quantity":"{quantity}",'
            f'"recvWindow":{self._window},"side":"{side}","symbol":"{command.symbol}","timestamp":{timestamp_ms}'
        )
        if self._has_session:
            return f'{{"id":{command.request},"method":"order.modify","params":{{{params}}}}}'.encode()
        signature = self._sign(
            f"{self._key_payload}{name}={plain}&price={price}&quantity={quantity}&recvWindow={self._window}"
            f"&side={side}&symbol={command.symbol}&timestamp={timestamp_ms}"
        )
        return (
            f'{{"id":{command.request},"method":"order.modify","params":{{{params},"signature":"{signature}"}}}}'
        ).encode()


_REDUCE_ONLY: Final = ("&reduceOnly=true", ',"reduceOnly":"true"')


def _order_name(command: Modify | Cancel | Query) -> tuple[str, str, str]:
    """How a request names an order: parameter, value in JSON, value as it is signed.

    By our id where there is one: it is known before the exchange has answered.
    """
    if command.client_id:
        if not CLIENT_ID.fullmatch(command.client_id):
            raise RequestError(f"{command.client_id!r} is not a client order id")
        return "origClientOrderId", f'"{command.client_id}"', command.client_id
    order_id = command.exch_order_id
    if not (order_id.isascii() and order_id.isdigit() and len(order_id) < 20):
        raise RequestError(
            f"{order_id!r} is not an order id of the exchange, and there is no client order id"
        )
    return "orderId", order_id, order_id


_REST_METHODS: Final = {Submit: "POST", Modify: "PUT", Cancel: "DELETE", Query: "GET"}


def rest_request(command: Command, steps: Steps) -> tuple[str, list[tuple[str, str]]]:
    """The same over REST: the method of ``order`` and its parameters, not yet signed.

    Raises:
        RequestError: The command holds what can't be sent.
    """
    method = _REST_METHODS[type(command)]
    params = [("symbol", command.symbol)]
    if isinstance(command, Submit):
        if not CLIENT_ID.fullmatch(command.client_id):
            raise RequestError(f"{command.client_id!r} is not a client order id")
        is_market = command.order_type == MARKET
        params += [("side", SIDE_TEXTS[command.side]), ("type", "MARKET" if is_market else "LIMIT")]
        params.append(("quantity", steps.lot.text(command.qty_lots)))
        if not is_market:
            params.append(("price", steps.tick.text(command.price_tick)))
            params.append(("timeInForce", TIME_IN_FORCE_TEXTS[command.time_in_force]))
        if command.reduce_only:
            params.append(("reduceOnly", "true"))
        params.append(("newClientOrderId", command.client_id))
        return method, params
    name, _, plain = _order_name(command)
    params.append((name, plain))
    if isinstance(command, Modify):
        params += [("side", SIDE_TEXTS[command.side]), ("quantity", steps.lot.text(command.qty_lots))]
        params.append(("price", steps.tick.text(command.price_tick)))
    return method, params
