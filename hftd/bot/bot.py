"""A bot: the object `hbt` on channels, whoever is behind them."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

import msgspec
import numpy as np

from hftd import wire
from hftd.bot import backend as kernels
from hftd.bot.channel import ATTACH_SECONDS, BotChannel, hello_of
from hftd.bot.compiling import CompilingNote
from hftd.bot.config import WATCHDOG_S
from hftd.bot.layout import CHANNEL_NONSENSE, SCRATCH_BYTES, backend_dtype, channel_dtype
from hftd.channel.endpoint import ring_bell
from hftd.channel.layout import (
    BOT_LAPPED,
    BOT_OVER,
    BOT_STOP,
    CLOCK_ID,
    CLOCK_MODE,
    CLOCK_NOW_NS,
    MODE_SIMULATED,
    MODE_SYSTEM,
)
from hftd.channel.memory import BotPage
from hftd.clock import boot_ns, monotonic_ns, sleep, stamp_ns
from hftd.control.protocol import Attachment
from hftd.errors import ChannelError, LeaseLostError, ProtocolError, UsageError
from hftd.hbt.hbt import Hbt
from hftd.hbt.local import AssetSpec, Contract, fill_market_orders
from hftd.runs.recipe import Market, unknown_market

_abandoned: "list[Bot]" = []
"""Bots whose strategies did not return: what they use is never freed."""


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
        pull_quotes: Have a connector cancel an instrument's orders, and refuse new ones, while its feed is stale or
            its book not valid.
        limits: What a connector is to hold it to.
        watchdog_s: For how long the strategy may be busy between two waits before a connector takes it for hung,
            takes its lease, and does what `end` says; 0 for ever. Waiting is not being busy, nor is compiling.

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
        pull_quotes: bool = False,
        limits: wire.Limits | None = None,
        watchdog_s: float = WATCHDOG_S,
    ) -> None:
        self.instruments = [
            one.instrument() if isinstance(one, LiveInstrument) else one for one in instruments
        ]
        super().__init__([one.spec() for one in self.instruments])
        self.name = name or f"bot-{os.getpid()}"
        self.contracts = [Contract()] * len(self.instruments)
        self.page = BotPage.make()
        self.channels: list[BotChannel] = []
        self.lost_reason = ""
        self._is_abandoned = False
        self._compiling = CompilingNote(self.page)
        # Before a daemon hears of the bot: it is not to wait for one that compiles.
        for kernel in (kernels.begin, kernels.advance, kernels.send, kernels.drain):
            kernel.compiled()
        try:
            self._attach(end, pull_quotes, limits or wire.Limits(), watchdog_s)
            self._wire(spin_us)
            self._await_books()
        except BaseException:
            self.detach("it could not attach")
            raise

    @property
    def attachments(self) -> list[Attachment]:
        """The leases, one a channel."""
        return [channel.attachment for channel in self.channels]

    @property
    def market(self) -> Market | None:
        """What a replay plays to it; None live, or if it is not told."""
        text = self.attachments[0].welcome.market
        if not text:
            return None
        try:
            return msgspec.json.decode(text, type=Market)
        except msgspec.DecodeError:
            return unknown_market(
                "the replay is of another version, and what it says of what it plays was not understood"
            )

    @property
    def is_simulated(self) -> bool:
        """Whether a replay moves the clock."""
        return self.attachments[0].clock.word(CLOCK_MODE) == MODE_SIMULATED

    def _attach(self, end: str, pull_quotes: bool, limits: wire.Limits, watchdog_s: float) -> None:
        names = list(dict.fromkeys(one.channel for one in self.instruments))
        self._channels = self._arena.records(channel_dtype, len(names))
        for number, channel_name in enumerate(names):
            mine = [asset_no for asset_no, one in enumerate(self.instruments) if one.channel == channel_name]
            chosen = [self.instruments[asset_no] for asset_no in mine]
            wanted = tuple((one.symbol, one.tick_size, one.lot_size) for one in chosen)
            channel = BotChannel(
                channel_name,
                hello_of(self.name, wanted, end, pull_quotes, limits, watchdog_s, tuple(names)),
                self.page,
                mine,
                len(self.instruments),
                self._channels[number : number + 1],
                self._arena,
            )
            self.channels.append(channel)
            by_order = channel.attachment.welcome.by_order or (False,) * len(mine)
            for asset_no, contract, is_by_order in zip(mine, channel.contracts, by_order, strict=True):
                self.contracts[asset_no] = contract
                if is_by_order:
                    fill_market_orders(self._assets[asset_no]["book"], self._arena)
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
        self._backend = self._arena.records(backend_dtype, 1)
        asset_channels = self._arena.records(np.dtype("i8"), len(self.instruments))
        asset_instruments = self._arena.records(np.dtype("i8"), len(self.instruments))
        for number, channel in enumerate(self.channels):
            asset_channels[channel.asset_nos] = number
            asset_instruments[channel.asset_nos] = channel.attachment.welcome.instruments
        backend = self._backend[0]
        backend["page"] = self.page.address
        backend["clock"] = self.attachments[0].clock.address
        backend["is_simulated"] = int(self.is_simulated)
        backend["channels"] = self._channels.ctypes.data
        backend["num_channels"] = len(self.channels)
        backend["cpus"] = len(os.sched_getaffinity(0))
        backend["spin_ns"] = backend["spin_now_ns"] = spin_us * 1000
        backend["scratch"] = self._arena.reserve(SCRATCH_BYTES)
        backend["asset_channels"] = asset_channels.ctypes.data
        backend["asset_instruments"] = asset_instruments.ctypes.data
        row = self._session[0]
        row["backend"] = self._backend.ctypes.data
        row["fn_begin"] = kernels.begin.address
        row["fn_advance"] = kernels.advance.address
        row["fn_send"] = kernels.send.address
        row["fn_drain"] = kernels.drain.address

    def _await_books(self) -> None:
        deadline_ns = monotonic_ns() + int(ATTACH_SECONDS * 1e9)
        while True:
            kernels.drain.call(self.address)
            self.check()
            if not any(channel.is_resyncing for channel in self.channels):
                break
            if reason := self.lost():
                raise ChannelError(f"the lease ended at once: {reason}", where=self.name)
            if monotonic_ns() > deadline_ns:
                raise ChannelError(
                    "the daemon sent no books", where=self.attachments[0].name, hint="is it stopped?"
                )
            sleep(0.001)
        now_ns = self.attachments[0].clock.word(CLOCK_NOW_NS) if self.is_simulated else stamp_ns()
        self._backend[0]["woke_boot_ns"] = boot_ns()
        self._session[0]["now_ns"] = self._session[0]["start_ns"] = now_ns

    def lost(self) -> str:
        """Why a lease is over, empty while all hold. It does not wait."""
        if not self.lost_reason:
            for channel in self.channels:
                if reason := channel.lost():
                    self.lost_reason = f"channel {channel.name}: {reason}"
                    break
        return self.lost_reason

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
        for channel in self.channels:
            if channel.error:
                what = (
                    "sent a message that the protocol does not know"
                    if channel.error == CHANNEL_NONSENSE
                    else "left something else than frames in its ring"
                )
                raise ProtocolError(
                    f"the daemon {what}",
                    where=channel.name,
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

    @property
    def hung(self) -> str:
        """Why a connector took its lease, if it did because it hung; else empty."""
        return (self.lost() or "a connector took its lease: it hung") if self.is_hung else ""

    @property
    def is_hung(self) -> bool:
        """Whether a connector took its lease because it hung."""
        return not self.page.closed and self.page.word(BOT_OVER) != 0

    def abandon(self) -> None:
        """Give the leases back while a strategy that does not return is running: its memory stays for good."""
        self._is_abandoned = True
        _abandoned.append(self)
        self._compiling.stop()
        for channel in self.channels:
            channel.hang_up("its strategy does not return")

    def detach(self, reason: str = "the bot ends") -> None:
        """Give the leases back. No strategy may be running; again it does nothing."""
        if self._is_abandoned:
            return
        self._compiling.stop()
        for channel in self.channels:
            channel.close(reason)
        self.page.close()

    def close(self) -> int:
        """As in `Hbt`: the leases are given back by `detach`, or by leaving the context.

        Raises:
            LeaseLostError: A connector had taken it for hung.
        """
        if hung := self.hung:
            raise LeaseLostError(hung, where=f"bot {self.name}", hint="is watchdog_s too short for it?")
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
