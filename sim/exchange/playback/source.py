"""Where the market comes from: archives of recorded days, a generated day, or rows that are given."""

from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from hftd.errors import DataError
from hftd.types import event_dtype
from sim.archive import find_files
from sim.archive.files import find_snapshot
from sim.exchange.rules.config import ExchangeConfig
from sim.exchange.rules.instruments import Instrument
from sim.feed.asset import AssetModel, as_rows
from sim.model.layout import EXCHANGE_PARTIAL_FILLS, EXCHANGE_WHOLE_FILLS
from sim.run import queue_model


def models_of(
    config: ExchangeConfig,
    venue: str,
    instruments: dict[str, Instrument],
    base: Path,
    dates: list[str],
    rows: dict[str, NDArray[Any]] | None,
) -> list[AssetModel]:
    """The instruments as the engine knows them, with their data; the channel is the venue's name if there is none.

    Raises:
        DataError: There is none.
    """
    channel = config.market.channel or venue
    if rows is None and config.market.generate is not None:
        rows = _generated(config, instruments, channel)
    models: list[AssetModel] = []
    for section in config.symbols:
        instrument = instruments[section.symbol]
        place = {"channel": channel, "symbol": section.symbol, "base": base}
        model = AssetModel(
            name=section.symbol,
            tick_size=instrument.grid_tick,
            lot_size=instrument.grid_lot,
            must_fit_ticks=True,
            fuse_bbo=section.fuse_bbo,
            exchange_model=(
                EXCHANGE_PARTIAL_FILLS if section.exchange == "partial_fill" else EXCHANGE_WHOLE_FILLS
            ),
        )
        model.queue_model, model.queue_power = queue_model(section.queue)
        if rows is not None:
            if section.symbol not in rows:
                raise DataError("there are no rows", where=section.symbol)
            model.data = [as_rows(rows[section.symbol], event_dtype, "the market")]
        else:
            model.data = list(find_files(config.market.data, dates, **place))
            if section.initial_snapshot is not None:
                model.initial_snapshot = find_snapshot(section.initial_snapshot, dates[0], **place)
        models.append(model)
    return models


def _generated(
    config: ExchangeConfig, instruments: dict[str, Instrument], channel: str
) -> dict[str, NDArray[Any]]:
    from sim.generate import MarketInstrument, generate_day

    wanted = config.market.generate
    assert wanted is not None

    def contracts(instrument: Instrument, qty: float) -> float:
        """As many contracts as are worth that quantity of the base, for an inverse one."""
        size = float(instrument.section.contract_size)
        return qty * wanted.start_price / size if instrument.is_inverse else qty

    return generate_day(
        wanted.seed,
        [
            MarketInstrument(
                channel,
                symbol,
                one.tick_size,
                one.lot_size,
                wanted.start_price,
                trades_per_s=wanted.trades_per_s,
                updates_per_s=wanted.updates_per_s,
                touch_qty=contracts(one, MarketInstrument.touch_qty),
                trade_qty=contracts(one, MarketInstrument.trade_qty),
            )
            for symbol, one in instruments.items()
        ],
        wanted.date,
        wanted.duration_s,
    )
