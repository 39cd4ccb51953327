"""`hftd correlate`."""

from pathlib import Path

import click

from daemon.cli.importing import importing
from daemon.cli.options import DURATION, POSITIVE, json_option, picture_option, progress_option
from daemon.cli.show.output import check_outputs, put, put_picture

_EPILOG = """\b
Examples:
  hftd correlate data/cross/*/BTCUSDT_20220831.npz
  hftd correlate BTC=btc1.npz,btc2.npz ETH=eth1.npz,eth2.npz
  hftd correlate a.npz b.npz --horizon 1s --horizon 1m --lag 5s --step 100ms
  hftd correlate a.npz b.npz --by-change --picture lead.png --json

Mid prices are those of the exchange's book, on the exchange's clock. A lag
above zero: the first leads, the second comes that much later.
"""


@click.command("correlate", epilog=_EPILOG)
@click.argument("archives", nargs=-1, required=True, metavar="[NAME=]FILE[,FILE...]...")
@click.option(
    "--horizon",
    "horizons_ns",
    type=DURATION,
    multiple=True,
    default=("100ms", "1s", "10s", "1m"),
    metavar="TIME",
    help="Of the returns; several may be given. Default: 100ms, 1s, 10s and 1m.",
)
@click.option(
    "--lag", "lag_ns", type=DURATION, default="1s", show_default=True, metavar="TIME", help="The largest lag."
)
@click.option(
    "--step",
    "step_ns",
    type=DURATION,
    default="50ms",
    show_default=True,
    metavar="TIME",
    help="From return to return, and from lag to lag.",
)
@click.option(
    "--resolution",
    "resolution_ns",
    type=DURATION,
    default="1ms",
    show_default=True,
    metavar="TIME",
    help="How finely the times of mid prices are kept.",
)
@click.option(
    "--by-change", is_flag=True, help="Leads and lags of returns from change to change (Hayashi-Yoshida)."
)
@click.option(
    "--tick-size", type=POSITIVE, help="Of all archives. Default: guessed from each one's first rows."
)
@click.option("--lot-size", type=POSITIVE, help="Of all archives, with --tick-size.")
@picture_option("correlations by horizon, and by lead and lag")
@json_option
@progress_option
def command(
    archives: tuple[str, ...],
    horizons_ns: tuple[int, ...],
    lag_ns: int,
    step_ns: int,
    resolution_ns: int,
    by_change: bool,
    tick_size: float | None,
    lot_size: float | None,
    picture: Path | None,
    as_json: bool,
    progress_mode: str,
) -> None:
    """Correlate the returns of archives: by horizon, and by who leads whom."""
    with importing():
        from daemon.cli.show import correlated
        from daemon.cli.show.progress import working
        from sim.results.correlate import correlate

    check_outputs(picture)
    named = _named(archives)
    steps = dict.fromkeys(named, (tick_size, lot_size or tick_size)) if tick_size is not None else None
    with working("reading", progress_mode) as progress:
        found = correlate(
            named,
            horizons_ns=horizons_ns,
            lag_ns=lag_ns,
            step_ns=step_ns,
            resolution_ns=resolution_ns,
            by_change=by_change,
            steps=steps,
            progress=progress,
        )
    if picture is not None:
        put_picture(picture, correlated.chart(found))
    put(found, correlated.tables(found), as_json=as_json)


def _named(given: tuple[str, ...]) -> dict[str, list[Path]]:
    """Archives by the instrument's name: what stands before `=`, else the file's, with the folder's if need be."""
    pairs: list[tuple[str, list[Path]]] = []
    for text in given:
        name, files = "", text
        if "=" in text and not Path(text).is_file():
            name, _, files = text.partition("=")
        paths = [Path(files)] if Path(files).is_file() else [Path(one) for one in files.split(",") if one]
        if not paths:
            raise click.UsageError(f"{text}: there is no file")
        pairs.append((name or paths[0].stem, paths))
    names = [name for name, _ in pairs]
    apart = [
        f"{paths[0].resolve().parent.name}/{name}" if names.count(name) > 1 else name for name, paths in pairs
    ]
    if len(set(apart)) < len(apart):
        raise click.UsageError("two archives have one name: say NAME=FILE")
    return {name: paths for name, (_, paths) in zip(apart, pairs, strict=True)}
