"""The file of a run: what a recorder, a bot or a backtest leaves behind, and what reports and `explain` read.

An npz, so that numpy reads it without us::

    "0", "1", ...    the rows of each asset: shape (n,), record_dtype; as `Recorder.to_npz` writes them
    "records"        the same rows together, shape (n, assets); in files of `hftd bot` and `hftd backtest`
    "fills"          fill_dtype          }
    "order_latency"  latency_dtype       }  in files of `hftd bot` and `hftd backtest`
    "orders"         request_row_dtype   }
    "life"           the life of each order, rows of life_dtype; if it was asked for
    "meta"           uint8: JSON of a `RunMeta`

Every key but one of the first two may be absent. Equal values give equal files, byte for byte.

While a bot runs, its file is one of blocks (:mod:`hftd.runs.blocks`) with the same rows, which the npz replaces at its
end. The file of a bot that was killed stays so, and is read as any other.
"""

import contextlib
import lzma
import os
import re
import struct
import tokenize
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, cast

import msgspec
import numpy as np
import numpy.typing as npt

from hftd.errors import DataError, UsageError
from hftd.hbt.latencies import clean_latencies
from hftd.parameters.declared import ParameterChange
from hftd.runs.blocks import MAGIC, Blocks
from hftd.runs.bounds import Bounds
from hftd.runs.recipe import Recipe
from hftd.types import fill_dtype, latency_dtype, record_dtype, request_row_dtype

Rows = npt.NDArray[Any]

VERSION: Final = 1
"""Of `RunMeta`: raised when a field changes its meaning; new fields don't need it."""
META_SIZE_MAX: Final = 1 << 24
"""Bytes of JSON; more is taken for damage."""
LEVEL: Final = 1
"""Deflate's level: rows that repeat become a few percent, and it packs faster than most disks write."""

TABLES: Final = {"fills": fill_dtype, "order_latency": latency_dtype, "orders": request_row_dtype}
_ZIP_EPOCH: Final = (1980, 1, 1, 0, 0, 0)
_PIECE: Final = 1 << 22
_BROKEN: Final = (
    OSError, ValueError, KeyError, AttributeError, EOFError, TypeError, SyntaxError, RuntimeError, MemoryError,
    NotImplementedError, zipfile.BadZipFile, zlib.error, lzma.LZMAError, struct.error, tokenize.TokenError,
)  # fmt: skip
"""What numpy and zipfile raise at files that are damaged."""


class AssetMeta(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of one asset of a run.

    Attributes:
        symbol: Its name.
        channel: The channel that carried it; empty if there was none.
        tick_size: The price's step; 0 if it isn't known.
        lot_size: The quantity's step; 0 if it isn't known.
        contract_size: Units of the underlying in one contract; of an inverse one, its sum of the quote currency.
        is_inverse: Whether it is settled in the base currency.
        maker_fee: What an execution that made liquidity costs, in the terms of `fee_model`; None if not known.
        taker_fee: What one that took liquidity costs, in the same terms.
        fee_model: "value", "quantity", "flat" or "custom"; empty if not known.
        data: The archives that were played, in order; absolute paths.
        feed_latency_offset_ns: What was added to the local times of these.
        initial_snapshot: The file with the book before these, an absolute path; empty if there was none.
        fuse_bbo: Whether their best bids and offers (kind 5) were fused with the depth.
        roi: The range of interest of the book, in prices; None for all of it.
    """

    symbol: str
    channel: str = ""
    tick_size: float = 0.0
    lot_size: float = 0.0
    contract_size: float = 1.0
    is_inverse: bool = False
    maker_fee: float | None = None
    taker_fee: float | None = None
    fee_model: str = ""
    data: list[str] = []
    feed_latency_offset_ns: int = 0
    initial_snapshot: str = ""
    fuse_bbo: bool = False
    roi: tuple[float, float] | None = None


class RunMeta(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a run besides its rows; nothing in it depends on when or how fast it ran.

    Attributes:
        version: Of this layout.
        name: The bot's name, or another by which reports are to call the run.
        strategy: Where its strategy came from.
        kind: "backtest" or "bot" (a replay's or live); empty if neither.
        dates: The days that were played, `YYYYMMDD`.
        assets: One entry an asset, in the order of the records.
        parameters: The strategy's parameters, as at its start.
        changes: What was set of them while it ran.
        settings: The models and other settings of the engine, by asset's name or of the whole run.
        interval_ns: How often the state was recorded; 0 if it isn't known.
        sim_seconds: The time that passed for the strategy.
        ended: How it ended.
        warnings: What was odd.
        life_dropped: Rows of `life` that did not fit and were left out.
        bounds: What it comes to under other models; None if nobody asked.
        recipe: What the run was made from, so that `hftd verify` can make it again; None if nobody noted it.
    """

    version: int = VERSION
    name: str = ""
    strategy: str = ""
    kind: str = ""
    dates: list[str] = []
    assets: list[AssetMeta] = []
    parameters: dict[str, Any] = {}
    changes: list[ParameterChange] = []
    settings: dict[str, Any] = {}
    interval_ns: int = 0
    sim_seconds: float = 0.0
    ended: str = ""
    warnings: list[str] = []
    life_dropped: int = 0
    bounds: Bounds | None = None
    recipe: Recipe | None = None


@dataclass(frozen=True)
class RunFile:
    """A run as it was read.

    Attributes:
        path: Where it was read from.
        records: The rows of each asset, shape (n,) each, `record_dtype`.
        meta: None if the file has none.
        life: The life of the orders, None if it was not recorded.
        tables: "fills", "order_latency" and "orders", as far as the file has them.
    """

    path: Path
    records: list[Rows]
    meta: RunMeta | None = None
    life: Rows | None = None
    tables: dict[str, Rows] = field(default_factory=dict[str, Rows])

    @property
    def name(self) -> str:
        """What to call it."""
        return self.meta.name if self.meta is not None and self.meta.name else self.path.stem

    def asset(self, asset_no: int) -> AssetMeta:
        """What is known of an asset; a linear contract of size 1 where nothing is."""
        if self.meta is not None and asset_no < len(self.meta.assets):
            return self.meta.assets[asset_no]
        return AssetMeta(symbol=f"asset {asset_no}")


def write_run(
    path: Path | str,
    records: Sequence[Rows],
    *,
    meta: RunMeta | None = None,
    life: Rows | None = None,
    tables: Mapping[str, Rows] | None = None,
) -> None:
    """Write a run's file, which appears whole or not at all.

    Args:
        path: The file; one that is there is replaced.
        records: The rows of each asset, shape (n,) each, `record_dtype`.
        meta: What is known of the run.
        life: The life of its orders, rows of `life_dtype`.
        tables: Further arrays under their names: "fills", "order_latency", "orders" and others.

    Raises:
        UsageError: It can't be written.
    """
    path = Path(path)
    arrays: dict[str, Rows] = {str(number): rows for number, rows in enumerate(records)}
    arrays |= dict(tables or {})
    if life is not None:
        arrays["life"] = life
    if meta is not None:
        arrays["meta"] = np.frombuffer(msgspec.json.encode(meta), np.uint8)
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with part.open("wb") as file:
            with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=LEVEL) as archive:
                for name, array in arrays.items():
                    _add(archive, name, np.ascontiguousarray(array))
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    except OSError as error:
        raise UsageError(
            f"the records can't be written: {error.strerror or error}", where=str(path)
        ) from None
    finally:
        with contextlib.suppress(OSError):
            part.unlink(missing_ok=True)


def _add(archive: zipfile.ZipFile, name: str, array: Rows) -> None:
    # A ZipInfo made from a name would carry the time of writing and the system's umask.
    entry = zipfile.ZipInfo(f"{name}.npy", _ZIP_EPOCH)
    entry.external_attr = 0o644 << 16
    entry.create_system = 3
    entry.compress_type = zipfile.ZIP_DEFLATED
    entry._compresslevel = LEVEL  # type: ignore[attr-defined]  # ZipFile.open takes the level from nowhere else
    layout = cast(Any, np.lib.format)
    described: dict[str, Any] = {
        "descr": layout.dtype_to_descr(array.dtype),
        "fortran_order": False,
        "shape": array.shape,
    }
    with archive.open(entry, "w", force_zip64=array.nbytes >= 1 << 31) as member:
        layout.write_array_header_1_0(member, described)
        if array.nbytes:
            plain = array.reshape(-1).view(np.uint8).data.cast("B")
            for at in range(0, len(plain), _PIECE):
                member.write(plain[at : at + _PIECE])


def read_run(path: Path | str) -> RunFile:
    """Read the file of a run; one that a recorder of the reference wrote is good too.

    Raises:
        DataError: The file is missing, broken or of another kind. Nothing is ever unpickled.
    """
    path = Path(path)
    try:
        if is_growing(path):
            return _read_blocks(path)
        with np.load(path, allow_pickle=False) as archive:
            names = list(archive.files)
            wanted = [name for name in names if _is_ours(name)]
            arrays = {name: cast(Rows, archive[name]) for name in wanted}
    except FileNotFoundError:
        raise DataError(
            "there is no such file", where=str(path), hint=f"looked for {path.absolute()}"
        ) from None
    except IsADirectoryError:
        raise DataError("this is a folder, not a file of a run", where=str(path)) from None
    except _BROKEN as error:
        what = "" if "pickle" in str(error) else str(error) or type(error).__name__
        # numpy takes whatever it does not know for a pickle, and names ways to load it all the same.
        what = what or "it is no npz"
        raise DataError(
            f"this is not a run file, or it is damaged: {what}",
            where=str(path),
            hint="`hftd backtest --record RUN.npz`, `hftd bot --record RUN.npz` and Recorder.to_npz write such files",
        ) from None
    meta = _meta(arrays.pop("meta"), path) if "meta" in arrays else None
    life = arrays.pop("life", None)
    if life is not None and (life.dtype.names is None or life.ndim != 1):
        raise DataError("`life` is not a table of rows", where=str(path))
    tables = {
        name: _checked(name, arrays.pop(name), dtype, path)
        for name, dtype in TABLES.items()
        if name in arrays
    }
    records = _records(arrays, names, path)
    if meta is not None and meta.assets and len(meta.assets) != len(records):
        raise DataError(
            f"the file has rows of {len(records)} assets, and tells of {len(meta.assets)}", where=str(path)
        )
    return RunFile(path, records, meta, life, tables)


def changes_of(path: Path | str) -> list[ParameterChange]:
    """What was set of a run's parameters while it ran.

    Raises:
        DataError: As `read_run`, or the file does not say what run it is.
    """
    meta = read_run(path).meta
    if meta is None:
        raise DataError("the file does not say what was set in its run", where=str(path))
    return meta.changes


def is_growing(path: Path) -> bool:
    """Whether a file is that of a bot that was killed, or runs; raises an OSError where it can't be read."""
    with path.open("rb") as file:
        return file.read(len(MAGIC)) == MAGIC


def _read_blocks(path: Path) -> RunFile:
    """The file of a bot that was killed, or that runs."""
    blocks = Blocks(path.read_bytes())
    found: dict[str, list[bytes]] = {}
    for name, block in blocks:
        found.setdefault(name, []).append(block)
    if "meta" not in found:
        raise DataError("the bot was killed before it had recorded anything", where=str(path))
    meta = _meta(np.frombuffer(found["meta"][-1], np.uint8), path)

    def rows_of(name: str, dtype: "np.dtype[Any]") -> Rows:
        return np.frombuffer(b"".join(found.get(name, [])), dtype)

    together = rows_of("records", record_dtype).reshape(-1, max(len(meta.assets), 1))
    fills = rows_of("fills", fill_dtype)
    latencies = [
        clean_latencies(rows_of(f"latency{number}", latency_dtype), number)
        for number in range(len(meta.assets))
    ]
    tables = {
        "fills": fills[np.argsort(fills["timestamp"], kind="stable")],
        "order_latency": np.concatenate(latencies) if latencies else np.empty(0, latency_dtype),
        "orders": rows_of("orders", request_row_dtype),
    }
    warnings = [*meta.warnings, "the bot was killed, or still runs: what it did last is not in the file"]
    if blocks.torn_bytes:
        warnings.append(f"the file's last {blocks.torn_bytes:,} bytes are a torn block, and are passed over")
    times = together["timestamp"]
    meta = msgspec.structs.replace(
        meta,
        ended="killed, or still running",
        warnings=warnings,
        sim_seconds=int(times.max() - times.min()) / 1e9 if times.size else 0.0,
    )
    return RunFile(path, [together[:, number] for number in range(together.shape[1])], meta, None, tables)


def _is_ours(name: str) -> bool:
    return name in ("records", "life", "meta", *TABLES) or re.fullmatch(r"\d{1,6}", name) is not None


def _records(arrays: dict[str, Rows], names: list[str], path: Path) -> list[Rows]:
    numbered = sorted((name for name in arrays if name.isdigit()), key=int)
    if numbered:
        if numbered != [str(number) for number in range(len(numbered))]:
            raise DataError(f"the assets are {', '.join(numbered)}, not 0, 1, ...", where=str(path))
        return [_checked(name, arrays[name], record_dtype, path) for name in numbered]
    if "records" in arrays:
        # Files of earlier versions have the rows only together.
        together = arrays["records"]
        if together.dtype != record_dtype or together.ndim != 2:
            raise DataError("`records` has another shape or type than a bot's records", where=str(path))
        if not together.shape[1]:
            raise DataError("`records` has the rows of no asset", where=str(path))
        return [together[:, number] for number in range(together.shape[1])]
    holds = ", ".join(repr(name) for name in names[:8]) or "nothing"
    hint = "this looks like an archive of market data" if names == ["data"] else f"it holds {holds}"
    raise DataError("the file holds no records of a run", where=str(path), hint=hint)


def _checked(name: str, rows: Rows, dtype: "np.dtype[Any]", path: Path) -> Rows:
    if rows.ndim != 1:
        raise DataError(f"`{name}` has {rows.ndim} dimensions, not one", where=str(path))
    if rows.dtype == dtype:
        return rows
    # A recorder's columns in another order or packing are the same rows.
    have, want = set(rows.dtype.names or ()), set(dtype.names or ())
    if missing := sorted(want - have):
        raise DataError(
            f"`{name}` has no column {', '.join(missing)}",
            where=str(path),
            hint=f"it has {', '.join(rows.dtype.names)}" if rows.dtype.names else f"it is of {rows.dtype}",
        )
    out = np.empty(len(rows), dtype)
    for column in dtype.names or ():
        try:
            out[column] = rows[column]
        except (TypeError, ValueError) as error:
            raise DataError(f"`{column}` of `{name}` is of another type: {error}", where=str(path)) from None
    return out


def _meta(raw: Rows, path: Path) -> RunMeta:
    if raw.dtype != np.uint8 or raw.ndim != 1 or len(raw) > META_SIZE_MAX:
        raise DataError("`meta` is not JSON text", where=str(path))
    try:
        version = msgspec.json.decode(raw.tobytes(), type=dict[str, Any]).get("version")
        if isinstance(version, int) and version > VERSION:
            raise DataError(
                f"the file is of version {version}, this hftd knows {VERSION}",
                where=str(path),
                hint="read it with the hftd that wrote it, or a later one",
            )
        return msgspec.json.decode(raw.tobytes(), type=RunMeta)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise DataError(f"`meta` can't be understood: {error}", where=str(path)) from None
