"""What a bot's run came to: the same for a backtest, a replay and live trading.

`to_json` and `save_records` give the same bytes for equal results, wall times aside, so that two runs can be
compared by their files.
"""

import contextlib
import os
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import msgspec
import numpy as np
import numpy.typing as npt

from hftd.bot.config import BotConfig
from hftd.errors import DataError, UsageError
from hftd.hbt.local import Contract
from hftd.parameters.declared import ParameterChange
from hftd.runfile import AssetMeta, RunMeta, is_growing, read_run, write_run
from hftd.runs.bounds import Bounds
from hftd.types import fill_dtype, latency_dtype, record_dtype, request_row_dtype

_ARRAYS = {
    "records": record_dtype,
    "fills": fill_dtype,
    "order_latency": latency_dtype,
    "orders": request_row_dtype,
}


_LEFT_OUT = ("name", "life", "life_dropped", "bounds", *_ARRAYS)
"""What stands elsewhere than in the JSON document, or under another name."""


class AssetResult(msgspec.Struct, frozen=True, kw_only=True):
    """Where one asset stands at the end.

    Attributes:
        symbol: Its name.
        channel: The channel that carried it.
        position: What is held, in the instrument's units; short is negative.
        balance: Cash from trades without fees, starting at 0.
        fee: Fees paid; negative if rebates were more.
        num_trades: Executions.
        trading_volume: Their quantities added up.
        trading_value: Their values added up.
        equity: Balance and the position's value at `price`, less fees; NaN without a price.
        price: The last mid price; NaN without one.
        contract_size: Units of the underlying in one contract.
        inverse: Whether the contract is inverse: settled in the base currency.
    """

    symbol: str
    channel: str
    position: float
    balance: float
    fee: float
    num_trades: int
    trading_volume: float
    trading_value: float
    equity: float
    price: float
    contract_size: float = 1.0
    inverse: bool = False


class BotResult(msgspec.Struct, frozen=True, kw_only=True):
    """A bot's whole run.

    Attributes:
        name: The bot's name.
        strategy: Where its strategy came from, such as "strategies.market_making:market_making".
        assets: One entry an asset, in the order of the configuration.
        events: Rows of market data that the bot saw.
        seconds: Wall time of the run, without starting and compiling.
        sim_seconds: The time that passed for the strategy.
        ended: "end of data", "stopped" or "strategy returned".
        records: The states at each interval: shape (n, assets), `record_dtype`.
        fills: The executions in the order in which the bot learned of them: shape (m,), `fill_dtype`.
        order_latency: How long the ways of the answered requests took: shape (k,), `latency_dtype`, with the asset's
            number as padding; each asset's rows are what `intp_order_latency` reads.
        orders: The requests that were sent, if they are recorded: shape (r,), `request_row_dtype`.
        warnings: What was odd, such as market data that was lost.
        lost: Why the bot lost a channel, empty if it did not.
        changes: Parameters that were set while it ran (`hftd set`).
        life: What happened to each order, if a backtest recorded it: shape (q,), `hftd.hbt.life.life_dtype`; else None.
        life_dropped: Rows of it that had no room.
        bounds: What the same run comes to under other models, if a backtest was asked for it.
    """

    name: str
    strategy: str
    assets: list[AssetResult]
    events: int
    seconds: float
    sim_seconds: float
    ended: str
    records: npt.NDArray[np.void]
    fills: npt.NDArray[np.void]
    order_latency: npt.NDArray[np.void] = msgspec.field(default_factory=lambda: np.zeros(0, latency_dtype))
    orders: npt.NDArray[np.void] = msgspec.field(default_factory=lambda: np.zeros(0, request_row_dtype))
    warnings: list[str] = []
    lost: str = ""
    changes: list[ParameterChange] = []
    life: npt.NDArray[np.void] | None = None
    life_dropped: int = 0
    bounds: Bounds | None = None


def to_json(result: BotResult) -> bytes:
    """One JSON document: everything but the arrays; a number that is not finite is null."""
    document: dict[str, Any] = {"bot": result.name}
    document |= {name: getattr(result, name) for name in result.__struct_fields__ if name not in _LEFT_OUT}
    if result.bounds is not None:
        document["bounds"] = result.bounds
    document |= {"num_records": int(result.records.shape[0]), "num_fills": int(result.fills.shape[0])}
    return msgspec.json.encode(document)


def from_json(document: bytes, *, records: Path | None = None) -> BotResult:
    """The result that `to_json` wrote, with the arrays that `save_records` wrote to `records`.

    Raises:
        DataError: It is no such document, or the file is missing or broken.
    """
    try:
        values = msgspec.json.decode(document, type=dict[str, Any])
        values["name"] = values.pop("bot")
        for asset in values["assets"]:
            asset |= {key: float("nan") for key in ("equity", "price") if asset[key] is None}
        arrays: dict[str, Any] = {}
        arrays |= load_records(records) if records is not None else _empty(len(values["assets"]))
        values = {key: value for key, value in values.items() if not key.startswith("num_")}
        assets = msgspec.convert(values.pop("assets"), list[AssetResult])
        changes = msgspec.convert(values.pop("changes", []), list[ParameterChange])
        bounds = msgspec.convert(values.pop("bounds", None), Bounds | None)
        return BotResult(**(values | arrays), assets=assets, changes=changes, bounds=bounds)
    except (msgspec.DecodeError, KeyError, TypeError) as error:
        raise DataError(f"this is not a result of a bot: {error}") from None


def describe(config: BotConfig, contracts: Sequence[Contract]) -> RunMeta:
    """What is known of a bot's run before it has come to anything.

    Args:
        config: The bot's.
        contracts: Of its instruments.
    """
    assets = [
        AssetMeta(
            symbol=one.symbol,
            channel=one.channel,
            tick_size=one.tick_size,
            lot_size=one.lot_size,
            contract_size=contract.size,
            is_inverse=contract.inverse,
        )
        for one, contract in zip(config.instruments, contracts, strict=True)
    ]
    return RunMeta(
        name=config.bot.name,
        strategy=config.bot.strategy,
        kind="bot",
        assets=assets,
        parameters=config.parameters,
        interval_ns=config.record.interval_ms * 1_000_000,
    )


def check_output(path: Path) -> None:
    """See before a long run that its file can be written after it.

    Raises:
        UsageError: The folder is missing or not writable, or a folder has the file's name.
    """
    if path.is_dir():
        raise UsageError("this is a folder, not a file to write", where=str(path))
    if not path.parent.is_dir():
        raise UsageError(
            "the folder of this file does not exist", where=str(path), hint=f"mkdir -p {path.parent}"
        )
    if not os.access(path.parent, os.W_OK | os.X_OK):
        raise UsageError("the folder of this file can't be written", where=str(path))


def save_records(
    path: Path,
    result: BotResult,
    *,
    meta: RunMeta | None = None,
    life: npt.NDArray[np.void] | None = None,
) -> None:
    """Write the file of a run (see `hftd.runfile`); equal results give equal files, byte for byte.

    The file appears whole or not at all. `records` and `fills` stand in it under these names, and the rows of each
    asset under its number.

    Args:
        path: The file.
        result: What the run came to.
        meta: What else is known of it.
        life: The life of its orders, rows of `life_dtype`; the result's if it is not given.

    Raises:
        UsageError: It can't be written.
    """
    check_output(path)
    arrays = {name: np.asarray(getattr(result, name), dtype=dtype) for name, dtype in _ARRAYS.items()}
    records = arrays["records"]
    rows = [records[:, number] for number in range(records.shape[1])]
    write_run(path, rows, meta=meta, life=result.life if life is None else life, tables=arrays)


def latency_files(path: Path, num_assets: int) -> list[Path]:
    """Where `save_latencies` writes each asset's rows: with several, their numbers stand before the suffix."""
    if num_assets == 1:
        return [path]
    return [path.with_suffix(f".{number}{path.suffix}") for number in range(num_assets)]


def save_latencies(path: Path, result: BotResult) -> list[Path]:
    """Write each asset's order latencies as an archive that `intp_order_latency` reads.

    Returns:
        The files that were written; an asset without an answered request has none.

    Raises:
        UsageError: One can't be written.
    """
    written: list[Path] = []
    for number, file in enumerate(latency_files(path, len(result.assets))):
        rows = result.order_latency[result.order_latency["_padding"] == number]
        if not len(rows):
            continue
        rows["_padding"] = 0
        check_output(file)
        part = file.with_name(f".{file.name}.{os.getpid()}.part")
        try:
            with part.open("wb") as target:
                np.savez_compressed(target, data=rows)
            part.replace(file)
        except OSError as error:
            raise UsageError(f"the latencies can't be written: {error.strerror}", where=str(file)) from None
        finally:
            with contextlib.suppress(OSError):
                part.unlink(missing_ok=True)
        written.append(file)
    return written


def load_records(path: Path) -> dict[str, npt.NDArray[np.void]]:
    """Read what `save_records` wrote.

    Returns:
        `records` with shape (n, assets) and `fills` with shape (m,).

    Raises:
        DataError: The file is missing, broken or of another kind.
    """
    try:
        if is_growing(path):
            run = read_run(path)
            return {"records": np.stack(run.records, axis=1), **run.tables}
        with np.load(path, allow_pickle=False) as archive:
            arrays = {name: cast(npt.NDArray[np.void], archive[name]) for name in ("records", "fills")}
            # Files of earlier versions have none.
            for name in ("order_latency", "orders"):
                arrays[name] = archive[name] if name in archive else np.zeros(0, _ARRAYS[name])
    except FileNotFoundError:
        raise DataError("there is no such file", where=str(path)) from None
    except (OSError, ValueError, KeyError, AttributeError, EOFError, zipfile.BadZipFile) as error:
        raise DataError(f"these are no records of a bot: {error}", where=str(path)) from None
    for name, dtype in _ARRAYS.items():
        if arrays[name].dtype != dtype or arrays[name].ndim != (2 if name == "records" else 1):
            raise DataError(f"`{name}` has another shape or type than a bot's {name}", where=str(path))
    return arrays


def _empty(num_assets: int) -> dict[str, npt.NDArray[np.void]]:
    return {
        "records": np.zeros((0, num_assets), record_dtype),
        "fills": np.zeros(0, fill_dtype),
        "order_latency": np.zeros(0, latency_dtype),
        "orders": np.zeros(0, request_row_dtype),
    }
