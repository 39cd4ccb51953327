"""Runs described by configuration files: the assets of a run, and a backtest of a bot on them in one process."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from hftd.bot.config import BotConfig
from hftd.bot.result import BotResult
from hftd.bot.runner import run_strategy
from hftd.bot.strategy import Strategy, load_strategy, module_of
from hftd.control.status import SetParameters
from hftd.errors import OrderError, UsageError
from hftd.hbt.local import AssetSpec, Contract
from hftd.parameters.declared import ParameterChange
from hftd.runs.recipe import Noting
from sim import models as own_models
from sim.archive import find_files
from sim.archive.files import find_snapshot
from sim.archive.played import market_of, with_models
from sim.backtest import Backtest
from sim.config import (
    AssetSection,
    ConstantLatency,
    CustomExchange,
    CustomFee,
    CustomLatency,
    CustomQueue,
    FlatFee,
    FrontQueue,
    InterpolatedLatency,
    L3FifoQueue,
    LogQueue,
    LogQueue2,
    PowerQueue,
    PowerQueue2,
    PowerQueue3,
    QtyFee,
    Queue,
    ReplayConfig,
    SeparateLatency,
    ThroughQueue,
    ValueFee,
)
from sim.feed.asset import AssetModel, OrderLatency
from sim.model.layout import (
    ASSET_INVERSE,
    ASSET_LINEAR,
    EXCHANGE_PARTIAL_FILLS,
    FEE_CUSTOM,
    FEE_FLAT,
    FEE_ON_QTY,
    FEE_ON_VALUE,
    MODIFY_REMAINDER,
    MODIFY_TOTAL,
    QUEUE_CUSTOM,
    QUEUE_FRONT,
    QUEUE_L3_FIFO,
    QUEUE_LOG,
    QUEUE_LOG2,
    QUEUE_POWER,
    QUEUE_POWER2,
    QUEUE_POWER3,
    QUEUE_RISK_ADVERSE,
    QUEUE_THROUGH,
)


@dataclass(frozen=True)
class RunAsset:
    """An asset of a run: where it is traded, and the engine's description of it."""

    channel: str
    symbol: str
    model: AssetModel


def queue_model(queue: Queue) -> tuple[int, float]:
    """The engine's number of a configured queue model, and its exponent."""
    match queue:
        case PowerQueue(n=n):
            return QUEUE_POWER, n
        case PowerQueue2(n=n):
            return QUEUE_POWER2, n
        case PowerQueue3(n=n):
            return QUEUE_POWER3, n
        case LogQueue():
            return QUEUE_LOG, 0.0
        case LogQueue2():
            return QUEUE_LOG2, 0.0
        case CustomQueue():
            return QUEUE_CUSTOM, 0.0
        case L3FifoQueue():
            return QUEUE_L3_FIFO, 0.0
        case ThroughQueue():
            return QUEUE_THROUGH, 0.0
        case FrontQueue():
            return QUEUE_FRONT, 0.0
        case _:
            return QUEUE_RISK_ADVERSE, 0.0


_FEES = {ValueFee: FEE_ON_VALUE, QtyFee: FEE_ON_QTY, FlatFee: FEE_FLAT, CustomFee: FEE_CUSTOM}


def _set_custom(model: AssetModel, section: AssetSection, base: Path) -> None:
    """Load the custom models."""
    for key, named, kind, field in (
        ("order_latency", section.order_latency, CustomLatency, "custom_latency"),
        ("queue", section.queue, CustomQueue, "custom_queue"),
        ("fee", section.fee, CustomFee, "custom_fee"),
        ("exchange", section.exchange, CustomExchange, "custom_exchange"),
    ):
        if isinstance(named, kind):
            made = getattr(own_models, kind.__name__)
            where = f"`{key}` of {model.name}"
            setattr(model, field, own_models.load_model(named.name, named.parameters, base, made, where))


def _set_fee(model: AssetModel, section: AssetSection) -> None:
    fee = section.fee
    model.fee_model = _FEES[type(fee)]
    model.buyer_fee, model.seller_fee = fee.buyer, fee.seller
    if not isinstance(fee, CustomFee):
        model.maker_fee, model.taker_fee = fee.maker, fee.taker


def _set_latency(
    model: AssetModel, section: AssetSection, dates: list[str], place: dict[str, Any], further_ns: int
) -> None:
    def constant(way_ns: int) -> OrderLatency:
        # A negative one is a refusal, whose notice takes its absolute value.
        return OrderLatency(way_ns + (further_ns if way_ns >= 0 else -further_ns))

    match section.order_latency:
        case ConstantLatency(entry_ns=entry_ns, response_ns=response_ns):
            model.set_latency(constant(entry_ns), constant(response_ns))
        case SeparateLatency(
            new_ns=new_ns, modify_ns=modify_ns, cancel_ns=cancel_ns, response_ns=response_ns
        ):
            model.latencies = [constant(ns) for ns in (new_ns, modify_ns, cancel_ns, response_ns)]
        case InterpolatedLatency(files=files, offset_ns=offset_ns):
            found = tuple(find_files(files, dates, **place))
            recorded = OrderLatency(data=found, offset_ns=offset_ns + further_ns)
            model.set_latency(recorded, recorded)


def assets_of(config: ReplayConfig, base: Path, dates: list[str]) -> list[RunAsset]:
    """The assets of a run in the order of the configuration, with the files of the days.

    Raises:
        DataError: A file is missing.
        StrategyError: A custom model can't be loaded.
    """
    found: list[RunAsset] = []
    for channel in config.channels:
        for section in channel.instruments:
            place = {"channel": channel.name, "symbol": section.symbol, "base": base}
            model = AssetModel(
                name=f"{channel.name}:{section.symbol}",
                data=list(find_files(config.replay.data, dates, **place)),
                tick_size=section.tick_size,
                must_fit_ticks=True,
                lot_size=section.lot_size,
                feed_offset_ns=section.feed_latency_offset_ns + channel.latency_offset_ns,
                contract_size=section.contract_size,
                fuse_bbo=section.fuse_bbo,
                share_trades=section.share_trades,
                latency_factor=section.order_latency_factor,
                modify_model=MODIFY_REMAINDER if section.modify == "remainder" else MODIFY_TOTAL,
                asset_model=ASSET_INVERSE if section.asset == "inverse" else ASSET_LINEAR,
            )
            _set_fee(model, section)
            exchange = section.exchange
            if exchange.partial_fill if isinstance(exchange, CustomExchange) else exchange == "partial_fill":
                model.exchange_model = EXCHANGE_PARTIAL_FILLS
            _set_custom(model, section, base)
            model.queue_model, model.queue_power = queue_model(section.queue)
            if section.roi is not None:
                model.roi_lb, model.roi_ub = section.roi
            if section.initial_snapshot is not None:
                model.initial_snapshot = find_snapshot(section.initial_snapshot, dates[0], **place)
            _set_latency(model, section, dates, place, channel.latency_offset_ns)
            found.append(RunAsset(channel.name, section.symbol, model))
    return found


def check_instrument(asset: RunAsset, tick_size: float, lot_size: float) -> None:
    """A bot must see prices and quantities in the steps of the run.

    Raises:
        OrderError: It does not.
    """
    for what, theirs, ours in (
        ("tick_size", tick_size, asset.model.tick_size),
        ("lot_size", lot_size, asset.model.lot_size),
    ):
        if theirs != ours:
            raise OrderError(
                f"the bot's {what} is {theirs:g}, but the run's is {ours:g}",
                where=f"{asset.channel}:{asset.symbol}",
                hint=f"set {what} = {ours:g} in the bot's configuration",
            )


@dataclass(frozen=True)
class Traded:
    """The assets of a bot in a run.

    Attributes:
        models: What the engine knows of those that the bot trades, in the order of its configuration.
        timeline: Further assets of the run.
        specs: What the bot knows of those that it trades.
    """

    models: list[AssetModel]
    timeline: list[AssetModel]
    specs: list[AssetSpec]

    @property
    def contracts(self) -> list[Contract]:
        """What a position in each is worth."""
        return [model.contract for model in self.models]


def traded_of(replay: ReplayConfig, replay_base: Path, bot: BotConfig, dates: list[str]) -> Traded:
    """The assets of a bot in a run.

    Raises:
        UsageError: The bot trades what the run has not, or in other steps, or a file is missing.
    """
    assets = {(asset.channel, asset.symbol): asset for asset in assets_of(replay, replay_base, dates)}
    models: list[AssetModel] = []
    specs: list[AssetSpec] = []
    for wanted in bot.instruments:
        asset = assets.pop((wanted.channel, wanted.symbol), None)
        if asset is None:
            have = [
                f"{channel.name}:{one.symbol}" for channel in replay.channels for one in channel.instruments
            ]
            raise UsageError(
                f"the run has no instrument {wanted.channel}:{wanted.symbol}",
                where=f"bot {bot.bot.name}",
                hint=f"it has {', '.join(have)}",
            )
        check_instrument(asset, wanted.tick_size, wanted.lot_size)
        models.append(asset.model)
        # The range of interest of the bot is its own; the exchange's is the run's.
        name = f"{wanted.channel}:{wanted.symbol}"
        specs.append(
            AssetSpec(
                wanted.tick_size,
                wanted.lot_size,
                wanted.last_trades_capacity,
                wanted.roi,
                name,
                wanted.user_events_capacity,
            )
        )
    return Traded(models, [asset.model for asset in assets.values()], specs)


def backtest(
    replay: ReplayConfig,
    replay_base: Path,
    bot: BotConfig,
    bot_base: Path,
    dates: list[str],
    life_rows: int = 0,
    changes: Sequence[ParameterChange] = (),
    noting: Noting | None = None,
    *,
    strategy: Strategy | None = None,
    running: Callable[[Backtest], None] = lambda _: None,
) -> BotResult:
    """What `hftd replay` and `hftd bot` come to together, in this process.

    Args:
        replay: The run's configuration.
        replay_base: Its folder.
        bot: The bot's configuration.
        bot_base: Its folder.
        dates: Days as `YYYYMMDD`.
        life_rows: Keep what happens to each order, so many rows of it for each asset; 0 to keep nothing.
        changes: Parameters that are set at those times, such as those of a bot's run.
        noting: Notes what the run is made from.
        strategy: The bot's, if it is loaded already.
        running: Is given what the strategy will trade on.

    Raises:
        UsageError: The bot trades what the run has not, its parameters can't be set so, or a file is missing or wrong.
    """
    if strategy is None:
        strategy = load_strategy(bot.bot.strategy, bot.parameters, bot_base, allow_set=bot.bot.allow_set)
    setting = strategy.setting(bot.bot.name)
    for change in changes:
        # One that the strategy never took over changed nothing.
        if change.ns >= 0:
            asked = SetParameters(bot=bot.bot.name, values={**change.values}, uid=change.uid, pid=change.pid)
            setting.set(asked, change.ns)
    traded = traded_of(replay, replay_base, bot, dates)
    if noting is not None:
        market = with_models(market_of(replay, replay_base, dates), replay, replay_base)
        noting.begin(module_of(bot.bot.strategy, bot_base), market)
    hbt = Backtest(traded.models, traded.timeline, traded.specs, is_quiet=True)
    running(hbt)
    if life_rows:
        hbt.record_life(life_rows)
    if bot.bot.pull_quotes:
        hbt.pull_quotes()
    supervisor = None
    if bot.hooks.alert:
        # Orders and errors are a matter of channels: their hooks are called in a replay and live.
        from hftd.bot.hooks import Hooks, load_hooks
        from hftd.bot.supervisor import Supervisor

        hooks = Hooks(alert=load_hooks(bot.hooks, bot_base).alert)
        supervisor = Supervisor(hbt, hooks, [(one.symbol, one.tick_size) for one in bot.instruments])
    result = run_strategy(
        hbt, bot, strategy, traded.contracts, supervisor=supervisor, changes=setting.changes
    )
    if life_rows:
        return msgspec.structs.replace(result, life=hbt.life(), life_dropped=hbt.life_dropped)
    return result
