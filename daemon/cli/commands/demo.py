"""`hftd demo`: the whole way from market data to a result, with real processes."""

from pathlib import Path

import click

from daemon.cli.options import FILE

_EPILOG = """\b
Examples:
  hftd demo                make demo does the same
  hftd demo --seed 7       another market
  hftd demo --live         make demo-live does the same
  hftd demo --live --venue binancecoinm
  hftd demo --live --venue binancespot
  hftd demo --live --venue bybit
  hftd demo --cross        make demo-cross does the same

It takes ./configs/replay.toml and ./configs/bot.toml, which you may edit
(copies of the originals are put there if they are missing), and writes the
market's archives to where they say, ./data.

With --live a local exchange plays that market, a connector trades on it as on
the real one, and the bot of ./configs/bot-live.toml (on another --venue that
of ./configs/bot-live-VENUE.toml) trades on the connector; then the same while
the exchange misbehaves. Exit code 1: bot, connector and exchange do not agree
on the account to the last unit.

With --cross three local exchanges play related markets, a connector trades on
each, and one bot trades on all three connectors: it makes markets on two and
hedges on the third. Then comes a backtest of the same day. It takes
./configs/cross.toml and ./configs/cross-making.toml.
"""


@click.command("demo", epilog=_EPILOG)
@click.option(
    "--seed",
    type=click.IntRange(min=0),
    help="Of the market. Default: 1; with --live and --cross the one that is there.",
)
@click.option(
    "--folder",
    type=FILE,
    help="For the result, its picture and its page. Default: demo, demo-live or demo-cross.",
)
@click.option("--live", is_flag=True, help="With a local exchange and a connector, as live.")
@click.option("--cross", is_flag=True, help="With three local exchanges, a connector to each, and one bot.")
@click.option("--venue", default="binancefutures", show_default=True, help="The exchange, with --live.")
@click.option(
    "--seconds",
    type=click.FloatRange(1, 300),
    default=20.0,
    show_default=True,
    help="How long the bot trades with --live or --cross, each time.",
)
@click.option(
    "--chaos",
    type=int,
    default=42,
    show_default=True,
    help="The seed of the misbehaviour, with --live or --cross.",
)
def command(
    seed: int | None, folder: Path | None, live: bool, cross: bool, venue: str, seconds: float, chaos: int
) -> int:
    """Generate a market, replay it to a bot over shared memory, show what it earned; or trade on it live."""
    if live and cross:
        raise click.UsageError("Give either --live or --cross.")
    if cross:
        from daemon.cli.run import demo_cross

        return 0 if demo_cross.run(seed, folder or Path("demo-cross"), seconds, chaos) else 1
    if live:
        from daemon.cli.run import demo_live

        return 0 if demo_live.run(venue, seed, folder or Path("demo-live"), seconds, chaos) else 1
    from daemon.cli.run import demo

    demo.run(1 if seed is None else seed, folder or Path("demo"))
    return 0
