"""What goes into a report: the archives that a user names, and the lives of orders that replays wrote.

A bot on channels sees neither; `hftd replay --life` writes both. Its file and the run's are joined by the bot's name
and its assets, after a look at whether they are of one run.
"""

# pyright: basic

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from hftd.errors import DataError, UsageError
from hftd.hbt.life import LIFE_ANSWER, LIFE_FILL, LIFE_REQUEST_CANCEL, LIFE_REQUEST_MODIFY, LIFE_REQUEST_NEW
from hftd.runfile import AssetMeta, RunFile, RunMeta
from sim.results.explain import life_of

Data = Sequence[Path | str] | Mapping[str, Sequence[Path | str]]
"""Archives in order, of the only asset of each run; or of each asset by its name, `symbol` or `channel:symbol`."""


def check_given(data: Data, runs: Sequence[RunFile]) -> None:
    """Archives that a user named must be there, and be for an asset.

    Raises:
        DataError: One is not there, or it can't be told which asset it is for.
        UsageError: No run has an asset of that name, or one has two.
    """
    named = data if isinstance(data, Mapping) else {"": data}
    for files in named.values():
        for file in files:
            if not Path(file).is_file():
                raise DataError("there is no such archive", where=str(file))
    if not isinstance(data, Mapping):
        for run in runs:
            if len(run.records) > 1:
                symbol = run.asset(0).symbol
                raise DataError(
                    f"the run has {len(run.records)} assets, and the archives given are of one",
                    where=str(run.path),
                    hint=f"say whose they are: --data {symbol}=FILE,FILE; or leave --data out: "
                    "the archives that the run names are used",
                )
        return
    for name in data:
        counts = [sum(_is_called(asset, name) for asset in _assets(run)) for run in runs]
        if max(counts) > 1:
            raise UsageError(
                f"the run has {name} on several channels",
                where=str(runs[counts.index(max(counts))].path),
                hint=f"name the channel too: CHANNEL:{name}=FILE",
            )
        if not any(counts):
            known = sorted({asset.symbol for run in runs for asset in _assets(run)})
            raise UsageError(f"no run has an asset {name!r}", hint=f"there is {', '.join(known)}")
    for asset in (asset for run in runs for asset in _assets(run)):
        if sum(_is_called(asset, name) for name in data) > 1:
            raise UsageError(
                f"archives are given for {asset.symbol} by two names",
                hint=f"give all of them for {asset.symbol}, or for {asset.channel}:{asset.symbol}",
            )


def check_valued(valued_at: Mapping[str, str], runs: Sequence[RunFile]) -> None:
    """Whose money is to be valued must be an asset of a run.

    Raises:
        UsageError: It is not.
    """
    for name in valued_at:
        if not any(_is_called(asset, name) for run in runs for asset in _assets(run)):
            known = sorted({asset.symbol for run in runs for asset in _assets(run)})
            raise UsageError(f"no run has an asset {name!r}", hint=f"there is {', '.join(known)}")


def given_for(data: Data | None, asset: AssetMeta) -> list[Path] | None:
    """The archives that were given for an asset; None if none were."""
    if data is None:
        return None
    if not isinstance(data, Mapping):
        return [Path(file) for file in data] or None
    # The full name is meant for this asset alone, so it comes first.
    for name in (f"{asset.channel}:{asset.symbol}", asset.symbol):
        if name in data:
            return [Path(file) for file in data[name]] or None
    return None


def _assets(run: RunFile) -> list[AssetMeta]:
    return [run.asset(number) for number in range(len(run.records))]


def _is_called(asset: AssetMeta, name: str) -> bool:
    return name in (asset.symbol, f"{asset.channel}:{asset.symbol}")


Rows = NDArray[Any]

_OF_THE_BOT: Final = (LIFE_REQUEST_NEW, LIFE_REQUEST_MODIFY, LIFE_REQUEST_CANCEL, LIFE_ANSWER)
_REPLAYED: Final = (
    "data", "feed_latency_offset_ns", "initial_snapshot", "fuse_bbo", "roi", "fee_model", "maker_fee", "taker_fee",
)  # fmt: skip
"""What a replay knows of an asset, and a bot does not."""


def with_lives(runs: Sequence[RunFile], replays: Sequence[RunFile]) -> list[RunFile]:
    """Runs of bots, each with the life of its orders from the replay's file that is of the same run.

    A backtest among several runs stays as it is.

    Raises:
        DataError: A run is of none of the replays, or a replay of none of the runs.
    """
    made: list[RunFile] = []
    used: set[int] = set()
    for run in runs:
        if len(runs) > 1 and run.meta is not None and run.meta.kind == "backtest":
            made.append(run)
            continue
        errors: list[DataError] = []
        for number, replay in enumerate(replays):
            try:
                made.append(with_life(run, replay))
            except DataError as error:
                errors.append(error)
                continue
            used.add(number)
            break
        if len(errors) < len(replays):
            continue
        if len(errors) == 1:
            raise errors[0]
        said = "; ".join(dict.fromkeys(error.what for error in errors))
        raise DataError(f"none of the {len(replays)} lives is of this run", where=str(run.path), hint=said)
    unused = [str(replay.path) for number, replay in enumerate(replays) if number not in used]
    if unused:
        raise DataError("none of the runs is of this replay", where=unused[0])
    return made


def with_life(run: RunFile, replay: RunFile) -> RunFile:
    """A bot's run with the life of its orders, and with the archives that were played to it.

    Args:
        run: What `hftd bot --record` wrote.
        replay: What `hftd replay --life` wrote.

    Raises:
        DataError: One of them is something else, or they are not of the same run; it says why not.
    """
    known, told = replay.meta, run.meta
    if known is None or known.kind != "replay":
        raise DataError(
            "this is not the life of a replay's orders",
            where=str(replay.path),
            hint="`hftd replay --life LIFE.npz` writes it; a backtest's file has its own from --explain",
        )
    if run.life is not None:
        raise DataError(
            "the run's file has the life of its orders already", where=str(run.path), hint="leave --life out"
        )
    if told is None or not told.name:
        raise DataError(
            "the run's file does not name its bot",
            where=str(run.path),
            hint="`hftd bot --record RUN.npz` writes one that does",
        )
    bots = _bots(known)
    if told.name not in bots:
        raise _other(f"the replay had no bot {told.name!r}, but {', '.join(bots) or 'none'}", run, replay)
    numbers = [_number(asset, run, replay) for asset in told.assets]
    why = ""
    for bot in (number for number, name in enumerate(bots) if name == told.name):
        rows = _rows_of(life_of(replay), bot, numbers)
        why, unread = _compare(run, rows, is_whole=not known.life_dropped)
        if not why:
            return _joined(run, known, numbers, rows, unread)
    raise _other(why, run, replay)


def _other(why: str, run: RunFile, replay: RunFile) -> DataError:
    return DataError(
        why,
        where=str(run.path),
        hint=f"{replay.path} is of another run: give the --life of the replay of this one",
    )


def _bots(meta: RunMeta) -> list[str]:
    names: Any = meta.settings.get("bots", [])
    return [str(name) for name in names] if isinstance(names, list) else []


def _number(asset: AssetMeta, run: RunFile, replay: RunFile) -> int:
    """An asset's number in the replay."""
    assert replay.meta is not None
    for number, other in enumerate(replay.meta.assets):
        if (other.channel, other.symbol) != (asset.channel, asset.symbol):
            continue
        for name in ("tick_size", "lot_size"):
            ours, theirs = getattr(asset, name), getattr(other, name)
            if ours and theirs and ours != theirs:
                raise _other(
                    f"the {name} of {asset.symbol} is {ours:g}, in the replay {theirs:g}", run, replay
                )
        return number
    raise _other(f"the replay did not play {asset.channel}:{asset.symbol}", run, replay)


def _rows_of(life: Rows, bot: int, numbers: list[int]) -> Rows:
    """A bot's rows, with its own numbers of the assets, and as the only bot."""
    rows = life[(life["bot"] == bot) & np.isin(life["asset"], numbers)].copy()
    own = np.full(max(numbers, default=0) + 1, -1)
    own[numbers] = np.arange(len(numbers))
    rows["asset"], rows["bot"] = own[rows["asset"]], 0
    return rows


def _compare(run: RunFile, rows: Rows, *, is_whole: bool) -> tuple[str, int]:
    """Why rows of a life are of another run, empty if they are not; and how many executions the bot did not read."""
    assert run.meta is not None
    why = _times_differ(run, rows)
    unread = 0
    for number in range(len(run.records)):
        if why:
            break
        fills = rows[(rows["kind"] == LIFE_FILL) & (rows["asset"] == number)]
        why, more = _fills_differ(run, number, fills, is_whole=is_whole)
        unread += more
    return why, unread


def _times_differ(run: RunFile, rows: Rows) -> str:
    assert run.meta is not None
    stamps = [times[[0, -1]] for times in (one["timestamp"] for one in run.records) if len(times)]
    own = rows["ts"][np.isin(rows["kind"], _OF_THE_BOT)]
    if not stamps or not len(own):
        return ""
    first, last = (
        int(min(one[0] for one in stamps)) - run.meta.interval_ns,
        int(max(one[1] for one in stamps)),
    )
    if own.min() <= last and own.max() >= first:
        return ""
    spans = [f"{_moment(a)} to {_moment(b)}" for a, b in ((first, last), (own.min(), own.max()))]
    return f"the run is from {spans[0]}, the orders of the replay's {run.meta.name!r} are from {spans[1]}"


def _moment(time_ns: int) -> str:
    return str(np.datetime64(int(time_ns) // 10**9, "s")).replace("T", " ")


def _fills_differ(run: RunFile, number: int, fills: Rows, *, is_whole: bool) -> tuple[str, int]:
    assert run.meta is not None
    symbol = run.asset(number).symbol
    table = run.tables.get("fills")
    if table is None:
        return _totals_differ(run, number, fills) if is_whole else "", 0
    own = table[(table["asset_no"] == number) & (table["qty"] > 0)]
    recorded = Counter(own[["order_id", "exch_ts", "price", "qty"]].tolist())
    happened = Counter(fills[["order_id", "ts", "exec_px", "qty"]].tolist())
    missing, more = recorded - happened, happened - recorded
    # A bot that left before the data's end may not have read its last executions.
    last = max((time for _, time, _, _ in recorded), default=0)
    unread = 0
    if run.meta.ended != "end of data" and all(time >= last for _, time, _, _ in more):
        unread = more.total()
    if not is_whole:
        missing = Counter()
    if not missing and more.total() == unread:
        return "", unread
    if recorded.total() + unread != happened.total() and is_whole:
        counts = f"{recorded.total():,} executions of {symbol}, and the replay has {happened.total():,}"
        return f"the bot recorded {counts}", 0
    order_id, time, price, qty = min(missing or more, key=lambda one: one[1])
    whose = "the replay's" if missing else "the run's"
    return (
        f"the execution of {qty:g} {symbol} at {price:g}, order {order_id}, {_moment(time)}, is not in {whose} file",
        0,
    )


def _totals_differ(run: RunFile, number: int, fills: Rows) -> str:
    if not len(run.records[number]):
        return ""
    last = run.records[number][-1]
    if int(last["num_trades"]) == len(fills) and np.isclose(last["trading_volume"], fills["qty"].sum()):
        return ""
    return (
        f"the bot recorded {int(last['num_trades']):,} executions of {last['trading_volume']:g} "
        f"{run.asset(number).symbol}, and the replay has {len(fills):,} of {fills['qty'].sum():g}"
    )


def _joined(run: RunFile, known: RunMeta, numbers: list[int], rows: Rows, unread: int) -> RunFile:
    assert run.meta is not None
    assets = [
        msgspec.structs.replace(asset, **{name: getattr(known.assets[number], name) for name in _REPLAYED})
        for asset, number in zip(run.meta.assets, numbers, strict=True)
    ]
    warnings = list(run.meta.warnings)
    if unread:
        warnings.append(f"the bot left before it read the last {unread:,} of its executions")
    meta = msgspec.structs.replace(
        run.meta, assets=assets, dates=known.dates, warnings=warnings, life_dropped=known.life_dropped
    )
    return RunFile(run.path, run.records, meta, rows, run.tables)
