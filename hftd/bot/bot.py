"""A bot: the object `hbt` on channels, whoever is behind them."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from hftd.bot import link as kernels
from hftd.bot.layout import LINK_NONSENSE, MAX_INSTRUMENT, SCRATCH_BYTES, channel_dtype, link_dtype
from hftd.channel import wire
from hftd.channel.control import Attachment, attach
from hftd.channel.endpoint import ring_bell
from hftd.channel.layout import (
    BOT_LAPPED,
    BOT_STOP,
    CLOCK_ID,
    CLOCK_MODE,
    CLOCK_NOW_NS,
    MODE_SIMULATED,
    MODE_SYSTEM,
    PROTOCOL_VERSION,
)
from hftd.channel.memory import BotPage
from hftd.clock import monotonic_ns, sleep, wall_ns
from hftd.errors import ChannelError, ProtocolError, UsageError
from hftd.hbt import Hbt
from hftd.local import AssetSpec, Contract, fill_market_orders

ATTACH_SECONDS = 10.0
"""How long a daemon may take to answer, and then to send the books."""


@dataclass(frozen=True)
class Instrument:
    """What a bot trades.

    Args:
        channel: The channel that carries it.
        symbol: Its name there.
        tick_size: The smallest step of prices.
        lot_size: The smallest step of quantities.
        last_trades_capacity: How many trades `last_trades` may hold; 0 to keep none.
        roi: The lowest and highest price of interest; None for all.
        user_events_capacity: How many `user_events` are kept until they are cleared; 0 to keep none.
    """

    channel: str
    symbol: str
    tick_size: float
    lot_size: float
    last_trades_capacity: int = 0
    roi: tuple[float, float] | None = None
    user_events_capacity: int = 0

    def spec(self) -> AssetSpec:
        """What the local side must know."""
        return AssetSpec(
            self.tick_size,
            self.lot_size,
            self.last_trades_capacity,
            self.roi,
            f"{self.channel}:{self.symbol}",
            self.user_events_capacity,
        )


class LiveInstrument:
    """An instrument described step by step, as HftBacktest's scripts do."""

    def __init__(self) -> None:
        self._values: dict[str, Any] = {"last_trades_capacity": 0, "roi_lb": 0.0, "roi_ub": 0.0}

    def __getattr__(self, name: str) -> Any:
        if name not in (
            "connector",
            "symbol",
            "tick_size",
            "lot_size",
            "last_trades_capacity",
            "user_events_capacity",
            "roi_lb",
            "roi_ub",
        ):
            raise AttributeError(name)

        def set_value(value: Any) -> Self:
            self._values[name] = value
            return self

        return set_value

    def instrument(self) -> Instrument:
        """The description as a value.

        Raises:
            UsageError: Something was not said.
        """
        values = dict(self._values)
        for name in ("connector", "symbol", "tick_size", "lot_size"):
            if name not in values:
                raise UsageError(f"the instrument has no {name}", hint=f"add .{name}(...)")
        lower, upper = values.pop("roi_lb"), values.pop("roi_ub")
        roi = (lower, upper) if upper > lower else None
        return Instrument(channel=values.pop("connector"), roi=roi, **values)


class Bot(Hbt):
    """A strategy's `hbt` on channels; a context manager.

    It attaches when it is made: the books, orders and positions are there when the constructor returns.

    Args:
        instruments: What it trades; their order gives the asset numbers.
        name: What the daemons know it by; by default it is made of the process id.
        end: What the daemons do with its open orders when it is gone: "cancel", "keep" or "flatten".
        spin_us: How long it spins while it waits before it sleeps.

    Raises:
        NoSuchChannelError: No daemon serves a channel.
        RefusedError: A daemon does not take the bot, with the reason.
        ChannelError: A daemon does not answer.
    """

    def __init__(
        self,
        instruments: Sequence[Instrument | LiveInstrument],
        *,
        name: str | None = None,
        end: str = "cancel",
        spin_us: int = 50,
    ) -> None:
        self.instruments = [
            one.instrument() if isinstance(one, LiveInstrument) else one for one in instruments
        ]
        super().__init__([one.spec() for one in self.instruments])
        self.name = name or f"bot-{os.getpid()}"
        self.contracts = [Contract()] * len(self.instruments)
        self.page = BotPage.make()
        self.attachments: list[Attachment] = []
        self._lost = ""
        try:
            self._attach(end)
            self._wire(spin_us)
            self._await_books()
        except BaseException:
            self.detach("it could not attach")
            raise

    def _attach(self, end: str) -> None:
        channels = list(dict.fromkeys(one.channel for one in self.instruments))
        for channel in channels:
            wanted = tuple(
                (one.symbol, one.tick_size, one.lot_size)
                for one in self.instruments
                if one.channel == channel
            )
            hello = wire.Hello(PROTOCOL_VERSION, self.name, os.getpid(), wanted, end)
            deadline_ns = monotonic_ns() + int(ATTACH_SECONDS * 1e9)
            self.attachments.append(attach(channel, hello, self.page, deadline_ns))
        clocks = {one.clock.word(CLOCK_ID) for one in self.attachments}
        modes = {one.clock.word(CLOCK_MODE) for one in self.attachments}
        if modes != {MODE_SYSTEM} and len(clocks) > 1:
            names = ", ".join(one.name for one in self.attachments)
            raise ChannelError(
                f"the channels {names} have different clocks",
                hint="a bot trades on one replay, or on live channels; not on both, nor on two replays",
            )

    def _wire(self, spin_us: int) -> None:
        """Tell the compiled side where everything is."""
        self._channels = self._arena.records(channel_dtype, len(self.attachments))
        self._link = self._arena.records(link_dtype, 1)
        asset_channels = self._arena.records(np.dtype("i8"), len(self.instruments))
        asset_instruments = self._arena.records(np.dtype("i8"), len(self.instruments))
        for number, (row, attachment) in enumerate(zip(self._channels, self.attachments, strict=True)):
            assets = self._arena.records(np.dtype("i8"), MAX_INSTRUMENT)
            mine = [i for i, one in enumerate(self.instruments) if one.channel == attachment.name]
            contracts = attachment.welcome.contracts or ((1.0, False),) * len(mine)
            by_order = attachment.welcome.by_order or (False,) * len(mine)
            for asset_no, instrument, contract, is_by_order in zip(
                mine, attachment.welcome.instruments, contracts, by_order, strict=True
            ):
                if not 0 <= instrument < MAX_INSTRUMENT:
                    raise ProtocolError(
                        f"the daemon numbers an instrument {instrument}", where=attachment.name
                    )
                assets[instrument] = asset_no + 1
                asset_channels[asset_no], asset_instruments[asset_no] = number, instrument
                self.contracts[asset_no] = Contract(*contract)
                if is_by_order:
                    fill_market_orders(self._assets[asset_no]["book"], self._arena)
            row["market"] = attachment.market.address
            row["link"] = attachment.link.address
            row["requests"] = attachment.link.requests.ctypes.data
            row["responses"] = attachment.link.responses.ctypes.data
            row["asleep"] = attachment.link.daemon_asleep_address
            row["doorbell_fd"] = attachment.doorbell_fd
            row["assets"] = assets.ctypes.data
            row["resyncing"] = 1
        clock = self.attachments[0].clock
        link = self._link[0]
        link["page"] = self.page.address
        link["clock"] = clock.address
        link["is_simulated"] = int(clock.word(CLOCK_MODE) == MODE_SIMULATED)
        link["channels"] = self._channels.ctypes.data
        link["num_channels"] = len(self.attachments)
        link["cpus"] = len(os.sched_getaffinity(0))
        link["spin_ns"] = link["spin_now_ns"] = spin_us * 1000
        link["scratch"] = self._arena.reserve(SCRATCH_BYTES)
        link["asset_channels"] = asset_channels.ctypes.data
        link["asset_instruments"] = asset_instruments.ctypes.data
        row = self._session[0]
        row["backend"] = self._link.ctypes.data
        row["fn_begin"] = kernels.begin.address
        row["fn_advance"] = kernels.advance.address
        row["fn_send"] = kernels.send.address
        row["fn_drain"] = kernels.drain.address

    def _await_books(self) -> None:
        deadline_ns = monotonic_ns() + int(ATTACH_SECONDS * 1e9)
        while True:
            kernels.drain.call(self.address)
            self.check()
            if not self._channels["resyncing"].any():
                break
            if reason := self.lost():
                raise ChannelError(f"the lease ended at once: {reason}", where=self.name)
            if monotonic_ns() > deadline_ns:
                raise ChannelError(
                    "the daemon sent no books", where=self.attachments[0].name, hint="is it stopped?"
                )
            sleep(0.001)
        clock = self.attachments[0].clock
        simulated = bool(self._link[0]["is_simulated"])
        now_ns = clock.word(CLOCK_NOW_NS) if simulated else wall_ns()
        self._session[0]["now_ns"] = self._session[0]["start_ns"] = now_ns

    def lost(self) -> str:
        """Why a lease is over, empty while all hold. It does not wait."""
        if not self._lost:
            for attachment in self.attachments:
                if reason := attachment.lost():
                    self._lost = f"channel {attachment.name}: {reason}"
                    break
        return self._lost

    def stop(self) -> None:
        """As in `Hbt`; a bot that sleeps wakes."""
        super().stop()
        if not self.page.closed:
            self.page.set_word(BOT_STOP, 1)
            ring_bell(self.page.address)

    def check(self) -> None:
        """Raise what broke a channel, if one broke.

        Raises:
            ProtocolError: A daemon wrote what it should not.
        """
        for row, attachment in zip(self._channels, self.attachments, strict=True):
            if row["error"]:
                what = (
                    "sent a message that the protocol does not know"
                    if row["error"] == LINK_NONSENSE
                    else "left something else than frames in its ring"
                )
                raise ProtocolError(
                    f"the daemon {what}",
                    where=attachment.name,
                    hint="run the same version of hftd on both sides",
                )

    def warnings(self) -> list[str]:
        """As in `Hbt`, and losses on the way."""
        found = super().warnings()
        if not self.page.closed and (lapped := self.page.word(BOT_LAPPED)):
            found.append(
                f"the market went by unseen {lapped} times; each time the books were asked for again"
            )
        return found

    def detach(self, reason: str = "the bot ends") -> None:
        """Give the leases back. No strategy may be running; again it does nothing."""
        for attachment in self.attachments:
            attachment.close(reason)
        self.page.close()

    def close(self) -> int:
        """As in `Hbt`: the leases are given back by `detach`, or by leaving the context."""
        return super().close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_error: object) -> None:
        self.detach("it failed" if kind else "the bot ends")


def HashMapMarketDepthLiveBot(assets: list[LiveInstrument]) -> Bot:  # noqa: N802 (HftBacktest's name)
    """A bot over any range of prices."""
    return Bot(assets)


def ROIVectorMarketDepthLiveBot(assets: list[LiveInstrument]) -> Bot:  # noqa: N802 (HftBacktest's name)
    """A bot that ignores levels outside each instrument's range of interest."""
    return Bot(assets)
