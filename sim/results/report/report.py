"""The report of one run or of several."""

# pyright: basic

import contextlib
import math
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec

from hftd.errors import UsageError
from hftd.runfile import RunFile, read_run
from sim.results.report.collect import collect
from sim.results.report.figures import LABELS, SHORT_DAYS, Figures, figures
from sim.results.report.inputs import Data, check_given, check_valued, with_lives
from sim.results.report.mids import Progress, part_of
from sim.results.report.page import page
from sim.results.report.shapes import SPLITS, AssetReport, Options, RunReport

RUNS_MAX: Final = 50
"""More can't be told apart on one page."""


class Report:
    """What is to say of runs.

    Attributes:
        runs: One entry a run.
        options: How the figures were computed.
        title: Of the page; None for the runs' names.
    """

    def __init__(self, runs: list[RunReport], options: Options, title: str | None) -> None:
        self.runs = runs
        self.options = options
        self.title = title

    def figures(self) -> Figures:
        """The table of figures: a column for each asset, or for each run of several that can be summed."""
        columns: list[tuple[str, AssetReport]] = [
            (run.name, run.whole) for run in self.runs if run.whole is not None
        ]
        if len(self.runs) == 1:
            run = self.runs[0]
            whole = columns if len(run.assets) > 1 else []
            columns = [*((asset.name, asset) for asset in run.assets), *((one.name, one) for _, one in whole)]
        is_short = any(run.days < SHORT_DAYS for run in self.runs)
        return figures(columns, self.options, is_short=is_short)

    @property
    def html(self) -> str:
        """The page: whole, and without a reference to anything outside of it."""
        return page(self.runs, self.options, self.title)

    def to_dict(self) -> dict[str, Any]:
        """Figures, split, markouts and periods of each asset of each run: what `hftd report --json` prints."""
        return {
            "options": msgspec.to_builtins(self.options),
            "runs": [
                {
                    "name": run.name,
                    "path": run.path,
                    "strategy": run.meta.strategy if run.meta is not None else "",
                    "assets": [_plain(asset) for asset in run.assets],
                    "all": _plain(run.whole) if run.whole is not None else None,
                    "portfolio": run.portfolio.to_dict() if run.portfolio is not None else None,
                    "bounds": msgspec.to_builtins(run.meta.bounds) if run.meta is not None else None,
                    "fills_by_cause": msgspec.to_builtins(run.fills),
                    "notes": run.notes,
                }
                for run in self.runs
            ],
        }

    def save(self, path: Path | str) -> None:
        """Write the page; it appears whole or not at all.

        Raises:
            UsageError: It can't be written.
        """
        path = Path(path)
        part = path.with_name(f".{path.name}.{os.getpid()}.part")
        try:
            part.write_text(self.html, encoding="utf-8")
            part.replace(path)
        except OSError as error:
            raise UsageError(
                f"the page can't be written: {error.strerror or error}", where=str(path)
            ) from None
        finally:
            with contextlib.suppress(OSError):
                part.unlink(missing_ok=True)


def report(
    runs: Sequence[Path | str | RunFile] | Path | str | RunFile,
    output: Path | str | None = None,
    *,
    resample: str = "10s",
    book_size: float | None = None,
    split: str = "day",
    trading_days_per_year: float = 365,
    valued_at: Mapping[str, str] | None = None,
    data: Data | None = None,
    life: Sequence[Path | str | RunFile] | Path | str | RunFile = (),
    title: str | None = None,
    progress: Progress | None = None,
) -> Report:
    """Report on runs.

    Args:
        runs: Files of runs (`hftd backtest --record`, `hftd bot --record`, `Recorder.to_npz`), or what `read_run`
            gives; one or several.
        output: Where the page goes; None for no file.
        resample: The sampling of ratios: a duration such as "1s" or "1m".
        book_size: Capital that figures are divided by; None for units of money.
        split: "day", "hour", "month" or "none": the rows of the table of periods.
        trading_days_per_year: For annual figures and ratios.
        valued_at: Of assets whose money is the coin of another, such as ETHBTC: at whose price it is added to that of
            the others, by names (`symbol` or `channel:symbol`).
        data: Archives to take mid prices from, in place of those that a run names: in order, for runs of one asset, or
            for each asset by its name, `symbol` or `channel:symbol`.
        life: What replays wrote of their bots' orders (`hftd replay --life`), for runs of bots on them: the life of
            their orders, and the archives that were played.
        title: Of the page.
        progress: Called while archives are read, with how much of the work is done and how much there is.

    Raises:
        DataError: A file is missing, broken, of another kind, not sorted by time, or of another run.
        UsageError: An option can't be understood, is for an asset that no run has, or the page can't be written.
    """
    given, lives = _listed(runs), _listed(life)
    if not 1 <= len(given) <= RUNS_MAX:
        raise UsageError(f"a report is of 1 to {RUNS_MAX} runs, not of {len(given)}")
    if book_size is not None and not (book_size > 0 and math.isfinite(book_size)):
        raise UsageError(f"the book size must be a positive number, is {book_size:g}")
    if not (trading_days_per_year > 0 and math.isfinite(trading_days_per_year)):
        raise UsageError(f"`trading_days_per_year` must be a positive number, is {trading_days_per_year:g}")
    if split not in SPLITS:
        raise UsageError(f"`split` must be one of {', '.join(SPLITS)}, is {split!r}")
    options = Options(
        resample=resample,
        book_size=book_size,
        split=split,
        trading_days_per_year=trading_days_per_year,
        valued_at=dict(valued_at or {}),
    )
    files = [one if isinstance(one, RunFile) else read_run(one) for one in given]
    if lives:
        replays = [one if isinstance(one, RunFile) else read_run(one) for one in lives]
        files = with_lives(files, replays)
    if data:
        check_given(data, files)
    check_valued(options.valued_at, files)
    found: list[RunReport] = []
    for number, file in enumerate(files):
        part = None if progress is None else part_of(progress, number, len(files))
        found.append(collect(file, options, data=data or None, progress=part))
    made = Report(_named_apart(found), options, title)
    _tell_currencies(made.runs)
    if output is not None:
        made.save(output)
    return made


def _listed(files: Sequence[Path | str | RunFile] | Path | str | RunFile) -> list[Path | str | RunFile]:
    return [files] if isinstance(files, Path | str | RunFile) else list(files)


def _named_apart(runs: list[RunReport]) -> list[RunReport]:
    """Runs of one name get that of their file too."""
    names = [run.name for run in runs]
    return [
        run
        if names.count(run.name) == 1
        else msgspec.structs.replace(run, name=f"{run.name} ({Path(run.path).stem})")
        for run in runs
    ]


def _tell_currencies(runs: list[RunReport]) -> None:
    """Note where the money of runs side by side is of different kinds."""
    kinds = [(run.name, run.whole.currency) for run in runs if run.whole is not None]
    if len({kind for _, kind in kinds}) > 1:
        told = ", ".join(f"{name} in its {kind}" for name, kind in kinds)
        for run in runs:
            run.notes.insert(0, f"The runs' money is of different kinds and can't be compared: {told}.")


def _plain(section: AssetReport) -> dict[str, Any]:
    order = [label.key for label in LABELS]
    return {
        "name": section.name,
        "currency": section.currency.removesuffix(" currency"),
        "figures": {key: section.figures.get(key) for key in order},
        "why": {key: section.why[key] for key in order if key in section.why},
        "split": msgspec.to_builtins(section.split),
        "markouts": msgspec.to_builtins(section.markouts),
        "periods": msgspec.to_builtins(section.periods),
        "missing": msgspec.to_builtins(section.missing),
    }
