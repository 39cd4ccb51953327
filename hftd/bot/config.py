"""What `bot.toml` says: which strategy trades what, and with which parameters."""

import math
import re
from typing import Annotated, Any, Literal, cast

import msgspec

from hftd.config import Section, check_name, check_range, check_unique, quoted

Parameter = bool | int | float | str | list[Any]

SPIN_MAX_US = 1_000_000
"""A bot that spins longer than a second before it sleeps has got its units wrong."""

WATCHDOG_S = 10.0
"""A strategy that is busy for longer between two waits is taken for hung, unless it says otherwise."""

REATTACH_MAX_S = 86_400
"""A bot that looks for its daemon for longer than a day is forgotten."""

_NotNegative = Annotated[float, msgspec.Meta(ge=0)]
_Positive = Annotated[float, msgspec.Meta(gt=0)]
_STRATEGY = re.compile(r".+:[A-Za-z_][A-Za-z0-9_]*")


class BotSection(Section, frozen=True):
    """`[bot]`: the bot itself.

    Attributes:
        name: What the daemons know the bot by: 1 to 64 of letters, digits, '.', '_' and '-'.
        strategy: `module:function` or `path/to/file.py:function`, the path relative to the configuration.
        spin_us: How long a waiting bot spins before it sleeps; 0 where processes share a core.
        end: What the daemons do with the bot's open orders when it is gone: cancel them, keep them, or cancel
            them and flatten the position.
        pull_quotes: Have a connector cancel the open orders of an instrument, and refuse new ones, while its feed is
            stale or its book not valid.
        attach_s: For how long the bot waits for a channel that is not there yet when it starts; a daemon that runs for
            the first time compiles and reads before it listens.
        reattach_s: For how long the bot looks for a connector that is gone, before it ends; 0 to end at once. A replay
            that is gone does not come back.
        watchdog_s: For how long the strategy may be busy between two waits before a connector takes it for hung, takes
            its lease, and does what `end` says; 0 for ever, else 1 and more. Waiting is not being busy, nor is
            compiling. A replay waits for a strategy as long as it takes.
        allow_set: Whether `hftd set` may change parameters while it runs.
        report_every_s: How often a bot whose stderr is no terminal logs how it stands; 0 for never.
    """

    name: str
    strategy: str
    spin_us: Annotated[int, msgspec.Meta(ge=0, le=SPIN_MAX_US)] = 50
    end: Literal["cancel", "keep", "flatten"] = "cancel"
    pull_quotes: bool = False
    attach_s: Annotated[float, msgspec.Meta(ge=0, le=REATTACH_MAX_S)] = 120.0
    reattach_s: Annotated[float, msgspec.Meta(ge=0, le=REATTACH_MAX_S)] = 60.0
    watchdog_s: Annotated[float, msgspec.Meta(ge=0, le=REATTACH_MAX_S)] = WATCHDOG_S
    allow_set: bool = False
    report_every_s: Annotated[float, msgspec.Meta(ge=0, le=REATTACH_MAX_S)] = 60.0

    def __post_init__(self) -> None:
        super().__post_init__()
        check_name("name", self.name)
        if 0 < self.watchdog_s < 1:
            raise ValueError(f"`watchdog_s` must be 0 for none, or at least 1 second, is {self.watchdog_s:g}")
        if not _STRATEGY.fullmatch(self.strategy):
            raise ValueError(
                "`strategy` must be 'module:function' or 'path/to/file.py:function', "
                f"is {quoted(self.strategy)}"
            )


class InstrumentSection(Section, frozen=True):
    """One of `[[instruments]]`: the bot's asset numbers are their order in the file, from 0.

    Attributes:
        channel: The daemon's channel that carries it.
        symbol: Its name in that channel.
        tick_size: The price's step.
        lot_size: The quantity's step.
        last_trades_capacity: How many trades `last_trades` holds until it is cleared; 0 keeps none.
        roi: The range of interest of the market depth, `[lower, upper]` in prices; absent, the depth is
            unbounded.
        user_events_capacity: How many `user_events` are kept until they are cleared; 0 keeps none.
    """

    channel: str
    symbol: Annotated[str, msgspec.Meta(min_length=1, max_length=64)]
    tick_size: _Positive
    lot_size: _Positive
    last_trades_capacity: Annotated[int, msgspec.Meta(ge=0, le=1 << 24)] = 0
    roi: tuple[float, float] | None = None
    user_events_capacity: Annotated[int, msgspec.Meta(ge=0, le=1 << 22)] = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        check_name("channel", self.channel)
        check_range("roi", self.roi)


class RecordSection(Section, frozen=True):
    """`[record]`: what of the run is recorded.

    Attributes:
        interval_ms: How often the bot's state is, in simulated or real time.
        orders: Whether each request for an order is: what `hftd compare` shows side by side.
    """

    interval_ms: Annotated[int, msgspec.Meta(gt=0)] = 1000
    orders: bool = False


class LimitsSection(Section, frozen=True):
    """`[limits]`: what a connector is to hold the bot to, in each instrument; 0 for no limit. Its own hold as well.

    Attributes:
        order_qty: Quantity of one order.
        order_value: Price times quantity of one order.
        position: Of the position, long or short, with what is open on that side filled.
        open_orders: At a time.
        orders_a_second: New orders and modifications.
        price_band: How far a limit order may be beyond the opposite best, as a fraction of it.
        day_loss: What it may lose on a day of UTC, with fees and funding, in the asset in which instruments settle, of
            each by itself; at each connector. When it is reached the connector halts the bot.
        drawdown: How far its profit may fall below its highest; the same.
    """

    order_qty: _NotNegative = 0.0
    order_value: _NotNegative = 0.0
    position: _NotNegative = 0.0
    open_orders: Annotated[int, msgspec.Meta(ge=0)] = 0
    orders_a_second: _NotNegative = 0.0
    price_band: _NotNegative = 0.0
    day_loss: _NotNegative = 0.0
    drawdown: _NotNegative = 0.0


class PortfolioSection(Section, frozen=True):
    """`[portfolio]`: limits over all instruments of the bot, in quote currency; 0 for no limit.

    The bot itself holds to them, in a backtest, a replay and live alike: `hftd.hbt.portfolio` has the rule.

    Attributes:
        gross_value: Of the values of all positions, long or short, with what is open filled.
        net_value: Of the values of all positions together, long less short, with what is open on one side filled.
    """

    gross_value: _NotNegative = 0.0
    net_value: _NotNegative = 0.0


class HooksSection(Section, frozen=True):
    """`[hooks]`: Python functions that are called beside the strategy, `module:function` or `file.py:function`.

    Attributes:
        order: Called with an `OrderNote` for each update of an order.
        error: Called with an `ErrorNote` for what goes wrong: refusals, books not valid, daemons lost.
        alert: Called with an `Alert` for each `hbt.alert(asset_no, code, value)` of the strategy.
    """

    order: str = ""
    error: str = ""
    alert: str = ""

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("order", "error", "alert"):
            given = getattr(self, name)
            if given and not _STRATEGY.fullmatch(given):
                raise ValueError(
                    f"`{name}` must be 'module:function' or 'path/to/file.py:function', is {quoted(given)}"
                )


class BotConfig(Section, frozen=True):
    """A bot's whole configuration.

    Attributes:
        bot: The bot itself.
        instruments: What it trades; at least one.
        parameters: The strategy's parameters by name.
        record: How often its state is recorded.
        limits: What a connector is to hold it to.
        portfolio: Limits over all instruments.
        hooks: What is called beside the strategy.
    """

    bot: BotSection
    instruments: Annotated[list[InstrumentSection], msgspec.Meta(min_length=1)]
    parameters: dict[str, Any] = {}  # noqa: RUF012 - msgspec copies it
    record: RecordSection = RecordSection()
    limits: LimitsSection = LimitsSection()
    portfolio: PortfolioSection = PortfolioSection()
    hooks: HooksSection = HooksSection()

    def __post_init__(self) -> None:
        super().__post_init__()
        check_unique("instrument", [f"{one.channel}/{one.symbol}" for one in self.instruments])
        for name, value in self.parameters.items():
            _check_parameter(name, value)


def _check_parameter(name: str, value: object) -> None:
    if isinstance(value, float) and math.isnan(value):
        raise ValueError(f"`parameters.{name}` is NaN, which is not a value")
    if isinstance(value, list):
        for entry in cast(list[object], value):
            if isinstance(entry, list):
                raise ValueError(f"`parameters.{name}` must be a flat list, has a list inside")  # noqa: TRY004 - as below
            _check_parameter(name, entry)
    elif not isinstance(value, bool | int | float | str):
        raise ValueError(  # noqa: TRY004 - msgspec reports ValueErrors
            f"`parameters.{name}` must be a number, true or false, a string or a list of these, "
            f"is {quoted(str(value))}"
        )
