"""The stream `!contractInfo`: listings, delistings and changes of status, as they happen.

It says something a few times a month, on a route of its own, so it has its own connection. That is a help and no more:
while it is down, the instruments are asked for now and then all the same, so it is no warning.
"""

import asyncio
from collections.abc import Callable
from typing import Final

import aiohttp
import msgspec
import structlog

from daemon.connector.supervise import CONNECT_S, Backoff, ConnectionBrokenError, Supervision, supervised
from daemon.session.errors import DECODE_ERRORS
from daemon.venues.binance.instruments import Contract

STREAM: Final = "!contractInfo"
HEARTBEAT_S: Final = 60.0
BACKOFF_S: Final = 5.0
BACKOFF_MAX_S: Final = 600.0
MESSAGE_MAX_BYTES: Final = 1 << 20

_log = structlog.get_logger("hftd.market")


class _Message(msgspec.Struct):
    stream: str = ""
    data: Contract | None = None


_decode: Final = msgspec.json.Decoder(_Message).decode


def read_contract(message: bytes | str, st: int = 1) -> Contract | None:
    """What a message says of a contract; None if it is about something else, or of another member than `st`."""
    try:
        contract = _decode(message).data
    except DECODE_ERRORS:
        return None
    if contract is None or contract.e != "contractInfo" or contract.st not in (0, st):
        return None
    return contract


class ContractStream:
    """Follows the stream, over all reconnects.

    Args:
        url: Of combined streams.
        http: For the connection.
        on_contract: Told what it says.
        st: The number of the member of the family.
        seed: Of the jitter.
    """

    def __init__(
        self,
        url: str,
        http: aiohttp.ClientSession,
        on_contract: Callable[[Contract], None],
        st: int,
        seed: int,
    ) -> None:
        self._url = url
        self._http = http
        self._on_contract = on_contract
        self._st = st
        self._seed = seed
        self.events = 0
        self.supervision = Supervision("contracts")

    async def run(self) -> None:
        """Keep the connection up until cancelled."""
        backoff = Backoff(BACKOFF_S, BACKOFF_MAX_S, self._seed)
        await supervised("contracts", self._once, backoff, supervision=self.supervision)

    async def _once(self) -> None:
        async with (
            asyncio.timeout(CONNECT_S) as limit,
            self._http.ws_connect(self._url, heartbeat=HEARTBEAT_S, max_msg_size=MESSAGE_MAX_BYTES) as socket,
        ):
            limit.reschedule(None)
            await socket.send_str(f'{{"method":"SUBSCRIBE","params":["{STREAM}"],"id":1}}')
            self.supervision.up()
            async for message in socket:
                if message.type is aiohttp.WSMsgType.TEXT:
                    self.take(message.data)
        raise ConnectionBrokenError("the exchange ended the connection")

    def take(self, message: bytes | str) -> None:
        """A message of the stream."""
        contract = read_contract(message, self._st)
        if contract is None:
            return
        self.events += 1
        _log.info("contract_changed", symbol=contract.s[:80], status=contract.cs[:40])
        self._on_contract(contract)
