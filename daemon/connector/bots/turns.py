"""Bots' requests, taken turn by turn: each bot its share, and none the loop's whole time."""

import asyncio
from collections.abc import Callable
from typing import Final

import structlog

from daemon.connector.bots.attached import AttachedBot
from daemon.connector.bots.links import LinkTable
from hftd.channel import wire
from hftd.channel.layout import REQUEST_BYTES
from hftd.clock import monotonic_ns
from hftd.errors import HftdError, ProtocolError

BURST: Final = 64
ROUND_NS: Final = 10_000_000
LAST_NS: Final = 20_000_000
"""For what a bot that is gone had still written; of what is left then only the cancels of a bot whose orders stay."""
REQUESTS_MAX: Final = REQUEST_BYTES // 8
"""More than a queue holds."""

_log = structlog.get_logger("hftd.connector")


class Turns:
    """Takes what bots ask.

    Args:
        table: Their request queues, in the order of `bots`.
        bots: Those with a lease; the list itself, which changes.
        on_request: Handles one request, given its bot and the frame's stamp, too.
        lose: Takes a lease for a reason, later.
    """

    def __init__(
        self,
        table: LinkTable,
        bots: list[AttachedBot],
        on_request: Callable[[AttachedBot, int, wire.Request], None],
        lose: Callable[[AttachedBot, str], None],
    ) -> None:
        self._table = table
        self._order = bots
        self._on_request = on_request
        self._lose = lose
        self._first = 0
        self.is_due = False
        """Whether more is taken in the loop's next round."""

    def drain(self) -> None:
        """Take what bots ask, up to `BURST` of each; what is left is taken in the loop's next round."""
        index = self._table.next_ready()
        if index < 0:
            return
        until_ns = monotonic_ns() + ROUND_NS
        # Who is first changes, for the time may be over before the last one's turn.
        self._first = first = (self._first + 1) % len(self._order)
        for start, end in ((first, len(self._order)), (0, first)):
            index = self._table.next_ready(start)
            while 0 <= index < end:
                bot = self._order[index]
                if not bot.is_lost and not self._take(bot, BURST):
                    self._drain_again()
                if monotonic_ns() > until_ns:
                    self._drain_again()
                    return
                index = self._table.next_ready(index + 1)

    def _drain_again(self) -> None:
        """In the loop's next round. One at a time, however many bots want it: else bots that write without end would
        double them each round, and nothing else would have its turn.
        """
        if not self.is_due:
            self.is_due = True
            asyncio.get_running_loop().call_soon(self._drain_on)

    def _drain_on(self) -> None:
        self.is_due = False
        self.drain()

    def _take(self, bot: AttachedBot, most: int) -> bool:
        """Take a bot's requests, `most` of them; whether those were all."""
        try:
            for _ in range(most):
                received = bot.reader.receive()
                if received is None:
                    return True
                self._on_request(bot, *received)
                if type(received[1]) is wire.Resync:
                    # It costs as much as many others.
                    return False
        except ProtocolError as error:
            self._lose(bot, f"it wrote nonsense into its request queue: {error.what}")
            return True
        except HftdError as error:
            bot.failed += 1
            if bot.failed & (bot.failed - 1) == 0:
                _log.error("a request failed", bot=bot.name, error=str(error), times=bot.failed)
        except Exception as error:
            # It may be half done. The end policy puts it in order.
            self._lose(bot, f"a request of its could not be taken: {type(error).__name__}: {error}")
            _log.exception("a request failed", bot=bot.name)
            return True
        return False

    def take_last(self, bot: AttachedBot) -> None:
        """Take what a bot that is gone had still written."""
        until_ns = monotonic_ns() + LAST_NS
        is_kept = bot.hello.on_end == "keep"
        left_out = failed = 0
        try:
            for _ in range(REQUESTS_MAX):
                received = bot.reader.receive()
                if received is None:
                    break
                message = received[1]
                if monotonic_ns() > until_ns and not (is_kept and type(message) is wire.Cancel):
                    left_out += 1
                elif type(message) is not wire.Resync:
                    try:
                        self._on_request(bot, *received)
                    except Exception as error:
                        failed += 1
                        if failed == 1:
                            _log.error(
                                "a request of a bot that is gone failed", bot=bot.name, error=str(error)
                            )
        except ProtocolError as error:
            _log.error(
                "a bot that is gone left nonsense in its request queue", bot=bot.name, error=error.what
            )
        if left_out:
            _log.warning("requests of a bot that is gone were left out", bot=bot.name, count=left_out)
