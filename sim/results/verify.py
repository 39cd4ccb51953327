"""A recorded run, made again from what its file says it was made from: equal, or what differs.

Files are compared with what is recorded of them by their hashes; then the run is made again, in this process, and each
table of the file is compared bit for bit. A run that was stopped or killed is compared as far as its file goes.
"""

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from hftd.bot.config import BotConfig, HooksSection
from hftd.bot.result import BotResult
from hftd.bot.strategy import load_strategy, module_of
from hftd.errors import DataError, HftdError, UsageError
from hftd.runfile import RunFile, RunMeta, read_run
from hftd.runs.recipe import Market, Recipe, code_hash, hash_file, source_notes, versions
from sim.config import ReplayConfig
from sim.run import backtest

EQUAL: Final = "equal"
DIFFERS: Final = "differs"
INPUTS_CHANGED: Final = "inputs changed"
"""What was made again is equal, but not from what is recorded."""

_PATTERNS: Final = ("data", "files", "initial_snapshot")
"""What names files in a replay's configuration."""
_WHOLE: Final = ("end of data", "strategy returned")
_TIMES: Final = {
    "records": "timestamp",
    "fills": "timestamp",
    "orders": "timestamp",
    "order_latency": "resp_ts",
    "life": "ts",
}
_ASSETS: Final = {"fills": "asset_no", "orders": "asset_no", "order_latency": "_padding", "life": "asset"}


class InputChange(msgspec.Struct, frozen=True, kw_only=True):
    """A file that is not what the run was made from.

    Attributes:
        path: Where it was.
        role: As of `hftd.runs.recipe.FileNote`.
        what: In words.
    """

    path: str
    role: str
    what: str


class FieldChange(msgspec.Struct, frozen=True, kw_only=True):
    """A value of a row that differs; None where there is no such row."""

    field: str
    recorded: float | int | None
    again: float | int | None


class TableCheck(msgspec.Struct, frozen=True, kw_only=True):
    """A table of the run's file beside the one that was made again.

    Attributes:
        table: "records", "fills", "order_latency", "orders" or "life"; records by asset.
        rows: Compared rows of the file.
        rows_again: Rows that were made again, of the same part of the run.
        first: The first row that differs, from 0; None if all are equal.
        time_ns: That row's time; 0 if it has none.
        fields: What of it differs.
    """

    table: str
    rows: int
    rows_again: int
    first: int | None = None
    time_ns: int = 0
    fields: list[FieldChange] = []


class Verification(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a run that was made again.

    Attributes:
        run: The file.
        verdict: `EQUAL`, `DIFFERS` or `INPUTS_CHANGED`.
        part: Which part of the run was compared; empty for all of it.
        files: How many files the run was made from.
        inputs: Those that changed.
        versions: By name what it was made with and is made with now, where they differ.
        tables: Each that was compared.
        notes: What must be known besides.
    """

    run: str
    verdict: str
    part: str
    files: int
    inputs: list[InputChange]
    versions: dict[str, tuple[str, str]]
    tables: list[TableCheck]
    notes: list[str]


def verify(path: Path | str, *, moved: Sequence[tuple[str, str]] = ()) -> Verification:
    """Make a run again and compare.

    Args:
        path: The run's file.
        moved: Folders that are elsewhere now: pairs of the old path and the new one.

    Raises:
        DataError: It is no run's file, or a file that the run was made from is missing.
        UsageError: The run can't be made again; says why.
        HftdError: It ended with an error when it was made again; says what has changed since, if something has.
    """
    path = Path(path)
    run = read_run(path)
    meta, recipe, market = _recipe(run)
    if moved:
        recipe, market = _absolute(recipe, market)
        recipe, market = _moved(recipe, moved), _moved(market, moved)
    inputs, notes = _changed(recipe, path)
    with _blaming(inputs, _versions(recipe, market)):
        result = _again(meta, recipe, market, inputs)
    part, tables = _tables(run, meta, result)
    differs = any(one.first is not None for one in tables)
    if not part and result.ended != meta.ended:
        notes.append(f"the run ended by {meta.ended!r}, made again by {result.ended!r}")
        differs = True
    return Verification(
        run=str(path),
        verdict=DIFFERS if differs else INPUTS_CHANGED if inputs else EQUAL,
        part=part,
        files=len(recipe.files),
        inputs=inputs,
        versions=_versions(recipe, market),
        tables=tables,
        notes=notes,
    )


def _recipe(run: RunFile) -> tuple[RunMeta, Recipe, Market]:
    where = str(run.path)
    if run.meta is None or run.meta.recipe is None:
        raise UsageError(
            "the file does not say what the run was made from, so it can't be made again",
            where=where,
            hint="`hftd backtest --record` and `hftd bot --record` note it; a script's recorder does not",
        )
    recipe = run.meta.recipe
    if recipe.market is None:
        channels = ", ".join(dict.fromkeys(asset.channel for asset in run.meta.assets))
        raise UsageError(
            f"the run was live, on {channels}: its market will not come again, so it can't be made again",
            where=where,
            hint="record the market with `hftd tap --save` or `hftd collect`, backtest on that, and put both side by "
            f"side: `hftd compare {run.path.name} BACKTEST.npz`",
        )
    if recipe.why_not:
        raise UsageError(
            f"the run can't be made again: {recipe.why_not}",
            where=where,
            hint="only a backtest, or a bot that saw all of a replay in lockstep, comes to the same each time",
        )
    return run.meta, recipe, recipe.market


@contextmanager
def _blaming(inputs: list[InputChange], apart: dict[str, tuple[str, str]]) -> Iterator[None]:
    """An error of a run that once was fine tells what has changed since."""
    try:
        yield
    except HftdError as error:
        changed = [f"{one.path} ({one.what})" for one in inputs]
        changed += [f"{name} ({before} then, {now} now)" for name, (before, now) in apart.items()]
        if changed:
            error.hint = "; ".join(
                filter(None, [f"since the run has changed: {', '.join(changed)}", error.hint])
            )
        raise


def _again(meta: RunMeta, recipe: Recipe, market: Market, inputs: list[InputChange]) -> BotResult:
    """Make the run again; sources that are found elsewhere than they were are added to `inputs`."""
    if recipe.cwd not in sys.path and Path(recipe.cwd).is_dir():
        # Where the run looked for modules, too.
        sys.path.append(recipe.cwd)
    try:
        bot = msgspec.convert(recipe.bot, BotConfig)
        replay = msgspec.convert(market.config, ReplayConfig)
    except msgspec.ValidationError as error:
        raise UsageError(
            f"the configuration that the run was made with is not understood: {error}",
            hint="make it again with the version that recorded it",
        ) from None
    # Nobody is to be alerted a second time.
    bot = msgspec.structs.replace(bot, hooks=HooksSection())
    bases = Path(market.base), Path(recipe.base)
    load_strategy(bot.bot.strategy, bot.parameters, bases[1], allow_set=bot.bot.allow_set)
    inputs += _elsewhere(recipe, module_of(bot.bot.strategy, bases[1]))
    return backtest(replay, bases[0], bot, bases[1], market.dates, recipe.life_rows, [*meta.changes])


def _absolute(recipe: Recipe, market: Market) -> tuple[Recipe, Market]:
    """The same with paths that count from no folder: what they name may have been moved without it."""

    def path(told: str, base: str) -> str:
        return os.path.normpath(Path(base) / told)

    def name(told: str, base: str) -> str:
        module, colon, own_name = told.rpartition(":")
        is_file = colon and (module.endswith(".py") or "/" in module)
        return f"{path(module, base)}:{own_name}" if is_file else told

    def of(told: Any, key: str = "") -> Any:
        if isinstance(told, dict):
            # What a custom model is given means what it says.
            pairs: Iterator[tuple[str, Any]] = iter(told.items())  # pyright: ignore[reportUnknownArgumentType]
            return {one: value if one == "parameters" else of(value, one) for one, value in pairs}
        if isinstance(told, list):
            return [of(one) for one in told]  # pyright: ignore[reportUnknownVariableType]
        if not isinstance(told, str) or key not in (*_PATTERNS, "name"):
            return told
        return name(told, market.base) if key == "name" else path(told, market.base)

    bot = {**recipe.bot, "bot": {**recipe.bot["bot"]}}
    bot["bot"]["strategy"] = name(bot["bot"]["strategy"], recipe.base)
    replace = msgspec.structs.replace
    return replace(recipe, bot=bot), replace(market, config=of(market.config))


def _moved(told: Any, moved: Sequence[tuple[str, str]]) -> Any:
    """The same with paths in folders that are elsewhere now."""

    def new(value: Any) -> Any:
        if isinstance(value, str):
            for before, now in moved:
                before = before.rstrip("/")
                # A colon stands between a file and what is named in it.
                if value == before or value.startswith((before + "/", before + ":")):
                    return now.rstrip("/") + value[len(before) :]
            return value
        if isinstance(value, list):
            return [new(one) for one in value]  # pyright: ignore[reportUnknownVariableType]
        if isinstance(value, dict):
            return {key: new(one) for key, one in value.items()}  # pyright: ignore[reportUnknownVariableType]
        return value

    return msgspec.convert(new(msgspec.to_builtins(told)), type(told))


def _changed(recipe: Recipe, run: Path) -> tuple[list[InputChange], list[str]]:
    """Files that are not what they were, and what is not known of them.

    Raises:
        DataError: One is missing.
    """
    found: list[InputChange] = []
    unhashed = 0
    missing: list[str] = []
    for note in recipe.files:
        try:
            now = hash_file(Path(note.path))
        except FileNotFoundError:
            missing.append(note.path)
            continue
        except OSError as error:
            raise DataError(
                f"a file that the run was made from can't be read: {error.strerror}", where=note.path
            ) from None
        unhashed += not note.sha256
        if now.bytes != note.bytes:
            what = f"it had {note.bytes:,} bytes and has {now.bytes:,}"
        elif note.sha256 and now.sha256 != note.sha256:
            what = f"its SHA-256 was {note.sha256[:12]}... and is {now.sha256[:12]}..."
        else:
            continue
        found.append(InputChange(path=note.path, role=note.role, what=what))
    if missing:
        more = f" and {len(missing) - 5} more" if len(missing) > 5 else ""
        raise DataError(
            f"files that the run was made from are missing: {', '.join(missing[:5])}{more}",
            where=str(run),
            hint="put them back; or, where a folder is elsewhere now, say `--moved OLD=NEW`",
        )
    notes: list[str] = []
    if not any(note.role == "data" for note in recipe.files):
        notes.append(
            "the bot was killed before its archives were noted: whether they have changed is not known"
        )
    if unhashed:
        notes.append(
            f"of {unhashed} files only the size is known: the bot was killed before they were hashed"
        )
    return found, notes


def _elsewhere(recipe: Recipe, module: str) -> list[InputChange]:
    """Sources of the strategy that are found at another place than they were, and differ."""
    own = [note for note in recipe.files if note.role == "strategy"]
    paths, hashes = {note.path for note in own}, {note.sha256 for note in own}
    return [
        InputChange(
            path=note.path, role="strategy", what="the run was not made from this file, but it is now"
        )
        for note in source_notes(module, "strategy")
        if note.path not in paths and note.sha256 not in hashes
    ]


def _versions(recipe: Recipe, market: Market) -> dict[str, tuple[str, str]]:
    now = versions()
    found = {
        name: (before, now.get(name, "?"))
        for name, before in recipe.versions.items()
        if before != now.get(name, "?")
    }
    code = code_hash()
    for name, before in (("hftd's sources", recipe.code), ("the replay's sources", market.code)):
        if before != code and (before, code) not in found.values():
            found[name] = before, code
    return found


def _tables(run: RunFile, meta: RunMeta, result: BotResult) -> tuple[str, list[TableCheck]]:
    """Which part of the run is compared, and each table."""
    ours: dict[str, NDArray[Any]] = {**run.tables}
    theirs: dict[str, NDArray[Any]] = {
        "fills": result.fills, "order_latency": result.order_latency, "orders": result.orders
    }  # fmt: skip
    if run.life is not None and result.life is not None:
        ours["life"], theirs["life"] = run.life, result.life
    for number, rows in enumerate(run.records):
        ours[f"records {number}"], theirs[f"records {number}"] = rows, result.records[:, number]
    names = sorted(ours.keys() & theirs.keys())
    if meta.ended in _WHOLE:
        return "", [_compared(name, ours[name], theirs[name]) for name in names]
    pieces = {name: list(_by_asset(name, ours[name], theirs[name])) for name in names}
    last = max((_last(name, ours[name]) for name in names), default=0)
    # A file that a killed bot left behind has each table up to another moment.
    is_killed = meta.ended.startswith("killed")
    checks: list[TableCheck] = []
    for name, parts in pieces.items():
        for own, their in parts:
            until = _last(name, own) if is_killed else last
            time = _TIMES[name.partition(" ")[0]]
            checks.append(_compared(name, own[own[time] < until], their[their[time] < until]))
    how = "was killed" if is_killed else f"ended early ({meta.ended})"
    return f"the run {how}: compared is what its file has before that", checks


def _last(name: str, rows: NDArray[Any]) -> int:
    return int(rows[_TIMES[name.partition(" ")[0]]].max()) if len(rows) else 0


def _by_asset(
    name: str, ours: NDArray[Any], theirs: NDArray[Any]
) -> Iterator[tuple[NDArray[Any], NDArray[Any]]]:
    key = _ASSETS.get(name)
    if key is None:
        yield ours, theirs
        return
    for number in np.union1d(ours[key], theirs[key]):
        yield ours[ours[key] == number], theirs[theirs[key] == number]


def _bits(values: NDArray[Any]) -> NDArray[Any]:
    """Floats as what they are in memory: NaN equals itself, and -0.0 is not 0.0."""
    return values.view(f"i{values.dtype.itemsize}") if values.dtype.kind == "f" else values


def _compared(name: str, ours: NDArray[Any], theirs: NDArray[Any]) -> TableCheck:
    count = min(len(ours), len(theirs))
    apart = np.zeros(count, bool)
    fields = ours.dtype.names or ()
    for field in fields:
        apart |= _bits(np.ascontiguousarray(ours[field][:count])) != _bits(
            np.ascontiguousarray(theirs[field][:count])
        )
    found = np.flatnonzero(apart)
    first = int(found[0]) if len(found) else None
    if first is None and len(ours) != len(theirs):
        first = count
    if first is None:
        return TableCheck(table=name, rows=len(ours), rows_again=len(theirs))
    changes: list[FieldChange] = []
    for field in fields:
        before, again = (rows[field][first].item() if first < len(rows) else None for rows in (ours, theirs))
        if np.asarray(before).tobytes() != np.asarray(again).tobytes():
            changes.append(FieldChange(field=field, recorded=before, again=again))
    time = _TIMES[name.partition(" ")[0]]
    row = (ours if first < len(ours) else theirs)[first]
    return TableCheck(
        table=name,
        rows=len(ours),
        rows_again=len(theirs),
        first=first,
        time_ns=int(row[time]) if time in fields else 0,
        fields=changes,
    )
