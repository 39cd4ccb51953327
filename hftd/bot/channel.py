"""A bot's way to one of its channels, as the main thread looks after it: attached, lost, attached to a successor.

The strategy's thread has the memory of the channel in use. So a successor's is mapped beside it, offered, and only when
the strategy's thread has taken it over the old memory is let go.
"""

import os
import threading
from typing import Any, Final

import numpy as np

from hftd import wire
from hftd.bot import returning
from hftd.bot.layout import MAX_INSTRUMENT, channel_dtype
from hftd.channel.layout import CLOCK_MODE, MODE_SYSTEM
from hftd.channel.memory import BotPage
from hftd.clock import monotonic_ns
from hftd.compiled.arena import Arena
from hftd.control.protocol import Attachment, attach
from hftd.errors import ChannelError, ProtocolError
from hftd.hbt.local import Contract

ATTACH_SECONDS: Final = 10.0
"""How long a daemon may take to answer, and then to send the books."""
RETRY_SECONDS: Final = 2.0
"""How long a daemon may take to answer a bot that comes back; then it is asked again."""
FIRST_PAUSE_NS: Final = 50_000_000
LONGEST_PAUSE_NS: Final = 2_000_000_000
STEADY_NS: Final = 10_000_000_000
"""A lease that holds for so long ends an outage: the next one has its full time again."""


class _Attempt(threading.Thread):
    """Asks for a lease beside the main thread, so that a daemon that answers late holds up no other channel."""

    def __init__(self, name: str, hello: wire.Hello, page: BotPage) -> None:
        super().__init__(name=f"attach {name}", daemon=True)
        self.found: Attachment | None = None
        self.error: ChannelError | None = None
        self._asked = name, hello, page
        self.start()

    def run(self) -> None:
        try:
            self.found = attach(*self._asked, monotonic_ns() + int(RETRY_SECONDS * 1e9))
        except ChannelError as error:
            self.error = error
        except Exception as error:
            self.error = ProtocolError(f"{type(error).__name__}: {error}", where=self._asked[0])

    def give_up(self, reason: str) -> None:
        """Give back what it finds."""
        self.join()
        if self.found is not None:
            self.found.close(reason)


class BotChannel:
    """One channel of a bot.

    Args:
        name: The channel.
        hello: What the bot asks of it.
        page: The bot's page.
        asset_nos: The bot's assets in it, in the Hello's order.
        num_assets: Of the bot.
        row: The channel's row of `channel_dtype`, shape (1,).
        arena: For what the compiled side holds.

    Attributes:
        attachment: The lease whose memory the strategy's thread uses; it may be lost.
        contracts: Of `asset_nos`.
        is_down: Whether the lease is lost and no successor is attached.
        reason: Why it was lost last.
        returns: How often a successor was attached.
    """

    def __init__(
        self,
        name: str,
        hello: wire.Hello,
        page: BotPage,
        asset_nos: list[int],
        num_assets: int,
        row: np.ndarray[Any, Any],
        arena: Arena,
    ) -> None:
        self.name = name
        self.asset_nos = asset_nos
        self.is_down = False
        self.reason = ""
        self.returns = 0
        self._hello = hello
        self._page = page
        self._row = row
        self._address = int(row.ctypes.data)
        # Two of each, taken in turns: what the strategy's thread uses is left alone.
        self._staged = arena.records(channel_dtype, 2)
        self._assets = [arena.records(np.dtype("i8"), MAX_INSTRUMENT) for _ in range(2)]
        self._instruments = [arena.records(np.dtype("i8"), num_assets) for _ in range(2)]
        self._turn = 0
        self._incoming: Attachment | None = None
        self._attempt: _Attempt | None = None
        self._since_ns = 0
        self._give_up_ns = 0
        self._next_ns = 0
        self._pause_ns = FIRST_PAUSE_NS
        self.attachment = attach(name, hello, page, monotonic_ns() + int(ATTACH_SECONDS * 1e9))
        try:
            self._fill(self._row[0], self.attachment)
            self._row["resyncing"] = 1
        except BaseException:
            self.attachment.close("it could not attach")
            raise

    @property
    def contracts(self) -> list[Contract]:
        """Of its assets, as the daemon says."""
        given = self.attachment.welcome.contracts or ((1.0, False),) * len(self.asset_nos)
        return [Contract(*contract) for contract in given]

    def _fill(self, row: Any, attachment: Attachment) -> None:
        assets, instruments = self._assets[self._turn], self._instruments[self._turn]
        assets[:] = 0
        for asset_no, number in zip(self.asset_nos, attachment.welcome.instruments, strict=True):
            if not 0 <= number < MAX_INSTRUMENT:
                raise ProtocolError(f"the daemon numbers an instrument {number}", where=self.name)
            assets[number] = asset_no + 1
            instruments[asset_no] = number
        row["market"] = attachment.market.address
        row["link"] = attachment.link.address
        row["requests"] = attachment.link.requests.ctypes.data
        row["responses"] = attachment.link.responses.ctypes.data
        row["asleep"] = attachment.link.daemon_asleep_address
        row["doorbell_fd"] = attachment.doorbell_fd
        row["assets"] = assets.ctypes.data
        row["instruments"] = instruments.ctypes.data
        row["clock"] = attachment.clock.address

    @property
    def is_resyncing(self) -> bool:
        """Whether the books are on their way."""
        return bool(self._row["resyncing"][0]) or self._incoming is not None

    @property
    def is_still(self) -> bool:
        """Whether its daemon is there and at nothing, as the strategy's thread found."""
        return bool(self._row["is_still"][0])

    @property
    def error(self) -> int:
        """CHANNEL_* of what the strategy's thread found broken."""
        return int(self._row["error"][0])

    @property
    def fd(self) -> int:
        """What is readable when the lease is over; -1 if it is."""
        return -1 if self.is_down else (self._incoming or self.attachment).fileno()

    def lost(self) -> str:
        """Why the lease is over, empty while it holds; it does not wait."""
        if self.is_down:
            return self.reason
        return (self._incoming or self.attachment).lost() or ""

    @property
    def asked(self) -> wire.Ask | None:
        """What its daemon asked and was not answered."""
        return (self._incoming or self.attachment).asked

    def answer(self, answer: wire.Answer | wire.Refused) -> None:
        """Answer what its daemon asked."""
        (self._incoming or self.attachment).answer(answer)

    def go_down(self, reason: str, patience_s: float) -> None:
        """The lease is over; look for a successor for so long."""
        now_ns = monotonic_ns()
        if not self._give_up_ns or now_ns - self._since_ns > STEADY_NS:
            self._give_up_ns = now_ns + int(patience_s * 1e9)
            self._pause_ns = FIRST_PAUSE_NS
        self.is_down, self.reason = True, reason
        self._next_ns = now_ns + self._pause_ns
        self._row["down"] = 1

    def wait_ns(self, now_ns: int) -> int:
        """How long until there is something to do, without a descriptor that says so."""
        if self._incoming is not None or self._attempt is not None:
            return 20_000_000
        return max(self._next_ns - now_ns, 0) if self.is_down else LONGEST_PAUSE_NS

    def try_again(self, now_ns: int) -> bool:
        """Attach to a successor, if it is time and there is one; it does not wait. Returns whether there was.

        Raises:
            ChannelError: None came in time, or it does not take the bot.
        """
        if not self.is_down or now_ns < self._next_ns or self._incoming is not None:
            return False
        if self._attempt is None:
            self._attempt = _Attempt(self.name, self._hello, self._page)
        if self._attempt.is_alive():
            return False
        attempt, self._attempt = self._attempt, None
        if attempt.found is not None:
            self._offer(attempt.found)
            return True
        assert attempt.error is not None
        # Another version does not become this one.
        if isinstance(attempt.error, ProtocolError) or now_ns >= self._give_up_ns:
            raise attempt.error
        self._pause_ns = min(2 * self._pause_ns, LONGEST_PAUSE_NS)
        self._next_ns = now_ns + self._pause_ns
        return False

    def _offer(self, found: Attachment) -> None:
        self._turn = 1 - self._turn
        staged = self._staged[self._turn : self._turn + 1]
        staged[0] = np.zeros((), channel_dtype)
        if found.clock.word(CLOCK_MODE) != MODE_SYSTEM:
            found.close("it is a replay")
            raise ChannelError("there is a replay in its place now", where=self.name)
        try:
            self._fill(staged[0], found)
        except BaseException:
            found.close("it is not what it was")
            raise
        staged["resyncing"] = staged["is_back"] = 1
        self._incoming = found
        self.is_down, self._since_ns = False, monotonic_ns()
        self.returns += 1
        returning.offer.call(self._address, staged.ctypes.data)

    def settle(self) -> bool:
        """Let the old memory go if the new one was taken over. Returns whether that happened now."""
        if self._incoming is None or returning.offered.call(self._address):
            return False
        self.attachment.close()
        self.attachment, self._incoming = self._incoming, None
        if self.is_down:
            # It was lost before it was taken over, which cleared the word.
            self._row["down"] = 1
        return True

    def hang_up(self, reason: str) -> None:
        """Give the lease back, and leave its memory to a strategy that may still be running."""
        self._give_up(reason)
        if self._incoming is not None:
            self._incoming.hang_up(reason)
        self.attachment.hang_up(reason)

    def close(self, reason: str) -> None:
        """Give the lease back. No strategy may be running; again it does nothing."""
        self._give_up(reason)
        if self._incoming is not None:
            self._incoming.close(reason)
        self.attachment.close(reason)

    def _give_up(self, reason: str) -> None:
        if self._attempt is not None:
            self._attempt.give_up(reason)
            self._attempt = None


def hello_of(
    name: str,
    wanted: tuple[tuple[str, float, float], ...],
    on_end: str,
    pull_quotes: bool,
    limits: wire.Limits,
    watchdog_s: float,
    channels: tuple[str, ...],
) -> wire.Hello:
    """A bot's Hello from this process."""
    return wire.Hello(
        version=wire.PROTOCOL_VERSION,
        bot=name,
        pid=os.getpid(),
        instruments=wanted,
        on_end=on_end,
        pull_quotes=pull_quotes,
        limits=limits,
        watchdog_s=watchdog_s,
        channels=channels,
    )
