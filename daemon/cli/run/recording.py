"""How a bot's result leaves a command: the run's file, and what that says of the run besides its rows."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import msgspec

from daemon.cli.show import runs, text
from daemon.cli.show.output import put
from hftd.bot.config import BotConfig
from hftd.bot.result import BotResult, describe, save_latencies, save_records, to_json
from hftd.errors import HftdError
from hftd.hbt.local import Contract
from hftd.runfile import AssetMeta, RunMeta
from hftd.runs.recipe import Noting

if TYPE_CHECKING:
    from sim.config import AssetSection, ReplayConfig

_MODELS = (
    "order_latency",
    "order_latency_factor",
    "fee",
    "queue",
    "exchange",
    "share_trades",
    "initial_snapshot",
    "roi",
    "fuse_bbo",
)


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
    # A disk that is full takes the records, and not what the run came to.
    failed: list[HftdError] = []
    latencies: list[Path] = []
    try:
        if record is not None:
            save_records(record, result, meta=meta() if meta is not None else None)
        latencies = save_latencies(latency, result) if latency is not None else []
    except HftdError as error:
        failed.append(error)
    put(msgspec.Raw(to_json(result)), runs.bot(result, left), as_json=as_json)
    if as_json:
        for words in left:
            click.echo(words, err=True)
    if failed:
        raise failed[0]
    if as_json:
        return
    if record is not None:
        click.echo(
            f"{text.count(len(result.records), 'record')} and {text.count(len(result.fills), 'fill')}: {record}",
            err=True,
        )
    if latency is not None:
        written = ", ".join(map(str, latencies)) or "no request was answered, so there is no file"
        click.echo(f"{len(result.order_latency):,} order latencies: {written}", err=True)


def bot_meta(bot: BotConfig, result: BotResult, noting: Noting | None = None) -> RunMeta:
    """Of a bot on channels: it sees neither fees nor files."""
    described = describe(bot, [Contract(asset.contract_size, asset.inverse) for asset in result.assets])
    return msgspec.structs.replace(
        described,
        name=result.name,
        changes=result.changes,
        sim_seconds=result.sim_seconds,
        ended=result.ended,
        warnings=result.warnings,
        life_dropped=result.life_dropped,
        bounds=result.bounds,
        recipe=noting.finish() if noting is not None else None,
    )


def backtest_meta(
    replay: "ReplayConfig",
    base: Path,
    bot: BotConfig,
    dates: list[str],
    result: BotResult,
    noting: Noting | None = None,
) -> RunMeta:
    """Of a backtest.

    Args:
        replay: The run's configuration.
        base: Its folder.
        bot: The bot's.
        dates: The days that were played.
        result: What it came to.
        noting: What noted what it was made from.
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
    of_bot = bot_meta(bot, result, noting)
    for asset in of_bot.assets:
        section = sections[asset.channel, asset.symbol]
        place = {"channel": asset.channel, "symbol": asset.symbol, "base": base}
        files = find_files(replay.replay.data, dates, **place)
        begins = find_files(section.initial_snapshot, dates[:1], **place) if section.initial_snapshot else []
        paths = [[str(Path(file).resolve()) for file in some] for some in (files, begins)]
        assets.append(_with_models(asset, section, *paths))
        models = {name: getattr(section, name) for name in _MODELS}
        settings[f"{asset.channel}:{asset.symbol}"] = msgspec.to_builtins(models)
    return msgspec.structs.replace(of_bot, kind="backtest", dates=dates, assets=assets, settings=settings)


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
