"""The archives that a user names for a report, in place of those that the runs name."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from hftd.errors import DataError, UsageError
from hftd.runfile import AssetMeta, RunFile

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
