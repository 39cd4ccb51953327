"""`hftd generate`."""

from pathlib import Path

import click

from daemon.cli.importing import importing
from daemon.cli.options import FILE, json_option, progress_option
from daemon.cli.show.output import put

_EPILOG = """\b
Examples:
  hftd generate                                    which markets there are
  hftd generate cross
  hftd generate pair --seed 7 --duration 3600 --out data/pair
  hftd generate pair --effect 0 --out data/without

It writes {channel}/{symbol}_{date}.npz, the order latencies of each channel,
tables of funding, and a replay.toml that plays them:

\b
  hftd backtest --config data/pair/replay.toml --bot BOT.toml --date 20220831
"""


@click.command("generate", epilog=_EPILOG)
@click.argument("market", required=False)
@click.option("--date", default="20220831", show_default=True, metavar="DATE", help="The day: 20220831.")
@click.option(
    "--seed", type=int, default=1, show_default=True, metavar="N", help="Another one: another market."
)
@click.option(
    "--duration",
    "duration_s",
    type=click.FloatRange(0.001, 86_400.0),
    default=900.0,
    show_default=True,
    metavar="SECONDS",
    help="From midnight UTC on.",
)
@click.option("--out", type=FILE, metavar="DIR", help="Where it goes. Default: data/MARKET.")
@click.option(
    "--effect",
    type=click.FloatRange(0.0, 1.0),
    default=1.0,
    show_default=True,
    metavar="X",
    help="How much of the market's effect there is: 0 for none of it.",
)
@click.option("--compress", is_flag=True, help="A fifth of the size, several times the time.")
@json_option
@progress_option
def command(
    market: str | None,
    date: str,
    seed: int,
    duration_s: float,
    out: Path | None,
    effect: float,
    compress: bool,
    as_json: bool,
    progress_mode: str,
) -> None:
    """Generate the day of a market: several exchanges, related instruments."""
    with importing():
        from daemon.cli.show import generated
        from daemon.cli.show.progress import working
        from hftd.errors import UsageError
        from sim.generate import MARKETS, write_market

    if market is None:
        put(generated.known(MARKETS), generated.list_of(MARKETS), as_json=as_json)
        return
    if market not in MARKETS:
        raise UsageError(f"there is no market {market!r}", hint=f"take one of {', '.join(MARKETS)}")
    folder = Path("data", market) if out is None else out
    with working(f"generating {market}", progress_mode) as progress:
        written = write_market(
            folder,
            MARKETS[market],
            seed=seed,
            date=date,
            duration_s=duration_s,
            effect=effect,
            compress=compress,
            progress=lambda share: progress(share, 1.0),
        )
    report = {"market": market, "seed": seed, "date": date, "effect": effect, "files": written}
    put(report, generated.files(written), as_json=as_json)
