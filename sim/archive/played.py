"""What a replay's configuration plays, for whoever notes what a run was made from."""

from collections.abc import Iterator
from pathlib import Path

import msgspec

from hftd.bot.strategy import module_of
from hftd.runs.recipe import FileNote, Market, code_hash, source_notes
from sim.archive.files import find_files, find_snapshot
from sim.config import (
    AssetSection,
    CustomExchange,
    CustomFee,
    CustomLatency,
    CustomQueue,
    InterpolatedLatency,
    ReplayConfig,
)


def market_of(config: ReplayConfig, base: Path, dates: list[str]) -> Market:
    """What is played. Custom models are named once they are loaded (`with_models`)."""
    return Market(config=msgspec.to_builtins(config), base=str(base.resolve()), dates=dates, code=code_hash())


def with_models(market: Market, config: ReplayConfig, base: Path) -> Market:
    """The same with the sources of its custom models, which are loaded."""
    notes: dict[str, FileNote] = {}
    for channel in config.channels:
        for section in channel.instruments:
            for name in _custom(section):
                notes |= {one.path: one for one in source_notes(module_of(name, base), "model")}
    return msgspec.structs.replace(market, models=list(notes.values()))


def _custom(section: AssetSection) -> Iterator[str]:
    for model in (section.order_latency, section.queue, section.fee, section.exchange):
        if isinstance(model, CustomLatency | CustomQueue | CustomFee | CustomExchange):
            yield model.name


def files_of(market: Market) -> list[tuple[str, Path]]:
    """The role and path of each file that a market is played from, once each.

    Raises:
        DataError: One is missing.
    """
    config = msgspec.convert(market.config, ReplayConfig)
    found: dict[tuple[str, Path], None] = {}
    for channel in config.channels:
        for section in channel.instruments:
            place = {"channel": channel.name, "symbol": section.symbol, "base": Path(market.base)}
            for path in find_files(config.replay.data, market.dates, **place):
                found["data", path] = None
            if section.initial_snapshot is not None:
                path = find_snapshot(section.initial_snapshot, market.dates[0], **place)
                found["snapshot", path] = None
            if isinstance(section.order_latency, InterpolatedLatency):
                for path in find_files(section.order_latency.files, market.dates, **place):
                    found["latency", path] = None
    return list(found)
