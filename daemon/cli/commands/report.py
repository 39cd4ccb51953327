"""`hftd report`."""

from pathlib import Path

import click

from daemon.cli.options import FILE, json_option, progress_option
from daemon.cli.show.output import check_outputs, put

_EPILOG = """\b
Examples:
  hftd backtest --bot bot.toml --date 20220831 --record run.npz
  hftd report run.npz                              writes run.html
  hftd report mm.npz grid.npz -o both.html         side by side
  hftd report run.npz --book-size 10000 --json | jq '.runs[0].all.figures'
  hftd report bot.npz --life life.npz              of hftd replay --life
  hftd report sweep/ --folds 5                     a sweep: docs/sweeps.md
  hftd report two.npz --data BTCUSDT=a.npz,b.npz --data ETHUSDT=c.npz

\b
The page needs no network. Prices after fills are those of the archives that
the run was played from, if they are still there.
"""


@click.command("report", epilog=_EPILOG)
@click.argument("runs", type=FILE, nargs=-1, required=True, metavar="RUN.npz...")
@click.option(
    "-o",
    "--output",
    type=FILE,
    metavar="OUT.html",
    help="The page. Default: RUN.html, or no page with --json.",
)
@click.option(
    "--resample",
    default="10s",
    show_default=True,
    metavar="TIME",
    help="The sampling of ratios: 1s, 1m, 1h ...",
)
@click.option("--book-size", type=float, metavar="MONEY", help="Capital that figures are divided by.")
@click.option(
    "--split",
    type=click.Choice(["day", "hour", "month", "none"]),
    default="day",
    show_default=True,
    help="The rows of the table of periods.",
)
@click.option(
    "--days-per-year",
    type=float,
    default=365,
    show_default=True,
    metavar="DAYS",
    help="Trading days of a year, for annual figures.",
)
@click.option(
    "--data",
    multiple=True,
    metavar="[SYMBOL=]FILE,...",
    help="Archives to take prices after fills from, in order, in place of those that the run names.",
)
@click.option(
    "--valued-at",
    multiple=True,
    metavar="ASSET=OTHER",
    help="Money of ASSET, such as ETHBTC, is the coin of OTHER, such as BTCUSDT, and is added up at its price.",
)
@click.option(
    "--life",
    type=FILE,
    multiple=True,
    metavar="LIFE.npz",
    help="Of a bot's run on a replay: what `hftd replay --life` wrote.",
)
@click.option("--title", metavar="TEXT", help="The page's title. Default: the runs' names.")
@click.option(
    "--folds",
    type=click.IntRange(2),
    metavar="N",
    help="Of a sweep: N parts of its days, each tried by the best of the others.",
)
@click.option(
    "--first",
    type=click.IntRange(1),
    metavar="DAYS",
    help="Of a sweep: days before the first that the walk-forward tries. Default: 1, or --window.",
)
@click.option(
    "--window",
    type=click.IntRange(1),
    metavar="DAYS",
    help="Of a sweep: choose by so many days before (rolling). Default: by all of them (anchored).",
)
@click.option(
    "--parquet",
    type=FILE,
    metavar="OUT",
    help="Of a sweep: a row for each point and day; needs hftd[polars].",
)
@json_option
@progress_option
def command(
    runs: tuple[Path, ...],
    output: Path | None,
    resample: str,
    book_size: float | None,
    split: str,
    days_per_year: float,
    data: tuple[str, ...],
    valued_at: tuple[str, ...],
    life: tuple[Path, ...],
    title: str | None,
    folds: int | None,
    first: int | None,
    window: int | None,
    parquet: Path | None,
    as_json: bool,
    progress_mode: str,
) -> None:
    """Make one page of figures and plots of runs, or of several side by side; or of a sweep (docs/sweeps.md)."""
    folder = next((run for run in runs if run.is_dir()), None)
    if folder is not None:
        if len(runs) > 1:
            raise click.UsageError("a sweep is reported on by itself: give its folder alone")
        _sweep(folder, output, title, folds, first, window, parquet, as_json)
        return
    if any(given is not None for given in (folds, first, window, parquet)):
        raise click.UsageError("--folds, --first, --window and --parquet are for the folder of a sweep")
    from daemon.cli.show.progress import working
    from sim.results.report import report

    archives = _archives(data)
    if not all(all(text.partition("=")[::2]) for text in valued_at):
        raise click.UsageError("--valued-at is ASSET=OTHER, as in --valued-at ETHBTC=BTCUSDT")
    if output is None and not as_json:
        output = Path(runs[0].with_suffix(".html").name)
    if output is not None:
        check_outputs(output)
        if any(output.exists() and run.exists() and output.samefile(run) for run in (*runs, *life)):
            raise click.UsageError(f"the page would replace the run {output}")
    with working("reading archives", progress_mode, passing=True) as progress:
        made = report(
            runs,
            output,
            resample=resample,
            book_size=book_size,
            split=split,
            trading_days_per_year=days_per_year,
            valued_at=dict(text.split("=", 1) for text in valued_at),
            data=archives,
            life=life,
            title=title,
            progress=progress,
        )
    from daemon.cli.show.runs import report as shown

    put(made.to_dict() if as_json else None, shown(made), as_json=as_json)
    if not as_json:
        click.echo(f"the page is {output}", err=True)


def _sweep(
    folder: Path,
    output: Path | None,
    title: str | None,
    folds: int | None,
    first: int | None,
    window: int | None,
    parquet: Path | None,
    as_json: bool,
) -> None:
    """Report on a sweep."""
    from daemon.cli.show.sweep import judged, shown
    from sim.results.sweeps.judge import judge
    from sim.results.sweeps.page import page, save, write_parquet
    from sim.sweeps.sweep import read_sweep

    if output is None and not as_json:
        output = Path(f"{folder.resolve().name}.html")
    outputs = [path for path in (output, parquet) if path is not None]
    check_outputs(*outputs)
    sweep = read_sweep(folder)
    found = judge(sweep, first=first or window or 1, window=window, num_folds=folds or 0)
    if parquet is not None:
        write_parquet(sweep, parquet)
    if output is not None:
        save(page(sweep, found, title), output)
    put(found.to_dict(), [*shown(sweep, 10), *judged(found)], as_json=as_json)
    if not as_json:
        for path in outputs:
            click.echo(f"written: {path}", err=True)


def _archives(given: tuple[str, ...]) -> list[Path] | dict[str, list[Path]] | None:
    """What `--data` names: archives of one asset, or of each by its name; None if nothing."""
    named: dict[str, list[Path]] = {}
    for text in given:
        symbol, files = "", text
        # A file may have = or a comma in its name.
        if "=" in text and not Path(text).is_file():
            symbol, _, files = text.partition("=")
            if not symbol:
                raise click.UsageError(f"--data {text}: the symbol before = is missing")
        paths = [files] if Path(files).is_file() else files.split(",")
        if not all(paths):
            raise click.UsageError(f"--data {text}: a file is missing, as in --data BTCUSDT=a.npz,b.npz")
        named.setdefault(symbol, []).extend(map(Path, paths))
    if "" in named and len(named) > 1:
        raise click.UsageError(f"--data {named[''][0]}: say of this one too whose it is, as in SYMBOL=FILE")
    return named.get("", named or None)
