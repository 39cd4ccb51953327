"""How a bot's result leaves a command: the run's file, and what that says of the run besides its rows."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import msgspec

from daemon.cli.show import runs
from daemon.cli.show.output import put
from hftd.bot.config import BotConfig
from hftd.bot.result import BotResult, save_latencies, save_records, to_json
from hftd.runfile import AssetMeta, RunMeta

if TYPE_CHECKING:
    from sim.config import AssetSection, ReplayConfig

_MODELS = ("order_latency", "fee", "queue", "exchange", "share_trades", "initial_snapshot", "roi", "fuse_bbo")


def put_out(
    result: BotResult,
    *,
    as_json: bool,
    record: Path | None,
    latency: Path | None = None,
    meta: Callable[[], RunMeta] | None = None,
    left: Sequence[str] = (),
) -> None:
    """Write the records that were asked for, then the result to stdout as JSON or as a table.

    Args:
        result: What the run came to.
        as_json: Rather than as a table.
        record: Where the run's file goes.
        latency: Where the order latencies go.
        meta: Tells what the run's file says of the run; called only if there is one.
        left: What a live bot has left behind; beside JSON it goes to stderr.
    """
    if record is not None:
        save_records(record, result, meta=meta() if meta is not None else None)
    latencies = save_latencies(latency, result) if latency is not None else []
    put(msgspec.Raw(to_json(result)), runs.bot(result, left), as_json=as_json)
    if as_json:
        for words in left:
            click.echo(words, err=True)
        return
    if record is not None:
        click.echo(f"{len(result.records):,} records and {len(result.fills):,} fills: {record}", err=True)
    if latency is not None:
        written = ", ".join(map(str, latencies)) or "no request was answered, so there is no file"
        click.echo(f"{len(result.order_latency):,} order latencies: {written}", err=True)


def bot_meta(bot: BotConfig, result: BotResult) -> RunMeta:
    """Of a bot on channels: it sees neither fees nor files."""
    steps = {(one.channel, one.symbol): one for one in bot.instruments}
    assets: list[AssetMeta] = []
    for asset in result.assets:
        wanted = steps.get((asset.channel, asset.symbol))
        assets.append(
            AssetMeta(
                symbol=asset.symbol,
                channel=asset.channel,
                tick_size=wanted.tick_size if wanted else 0.0,
                lot_size=wanted.lot_size if wanted else 0.0,
                contract_size=asset.contract_size,
                is_inverse=asset.inverse,
            )
        )
    return _meta("bot", bot, result, assets, [], {})


def backtest_meta(
    replay: "ReplayConfig", base: Path, bot: BotConfig, dates: list[str], result: BotResult
) -> RunMeta:
    """Of a backtest.

    Args:
        replay: The run's configuration.
        base: Its folder.
        bot: The bot's.
        dates: The days that were played.
        result: What it came to.
    """
    # A bot on channels writes its file without the simulator.
    from sim.archive import find_files

    sections: dict[tuple[str, str], AssetSection] = {
        (channel.name, section.symbol): section
        for channel in replay.channels
        for section in channel.instruments
    }
    assets: list[AssetMeta] = []
    settings: dict[str, Any] = {}
    for asset in bot_meta(bot, result).assets:
        section = sections[asset.channel, asset.symbol]
        place = {"channel": asset.channel, "symbol": asset.symbol, "base": base}
        files = find_files(replay.replay.data, dates, **place)
        begins = find_files(section.initial_snapshot, dates[:1], **place) if section.initial_snapshot else []
        paths = [[str(Path(file).resolve()) for file in some] for some in (files, begins)]
        assets.append(_with_models(asset, section, *paths))
        models = {name: getattr(section, name) for name in _MODELS}
        settings[f"{asset.channel}:{asset.symbol}"] = msgspec.to_builtins(models)
    return _meta("backtest", bot, result, assets, dates, settings)


def _with_models(asset: AssetMeta, section: "AssetSection", files: list[str], begins: list[str]) -> AssetMeta:
    fee: Any = section.fee
    model = str(type(fee).__struct_config__.tag)
    is_own = model == "custom"
    return msgspec.structs.replace(
        asset,
        contract_size=section.contract_size,
        is_inverse=section.asset == "inverse",
        maker_fee=None if is_own else fee.maker,
        taker_fee=None if is_own else fee.taker,
        fee_model=model,
        data=files,
        feed_latency_offset_ns=section.feed_latency_offset_ns,
        initial_snapshot=begins[0] if begins else "",
        fuse_bbo=section.fuse_bbo,
        roi=section.roi,
    )


def _meta(
    kind: str,
    bot: BotConfig,
    result: BotResult,
    assets: list[AssetMeta],
    dates: list[str],
    settings: dict[str, Any],
) -> RunMeta:
    return RunMeta(
        name=result.name,
        strategy=result.strategy,
        kind=kind,
        dates=dates,
        assets=assets,
        parameters=bot.parameters,
        changes=result.changes,
        settings=settings,
        interval_ns=bot.record.interval_ms * 1_000_000,
        sim_seconds=result.sim_seconds,
        ended=result.ended,
        warnings=result.warnings,
        life_dropped=result.life_dropped,
    )
