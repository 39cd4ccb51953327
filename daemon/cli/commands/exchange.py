"""`hftd exchange`."""

from pathlib import Path

import click

from daemon.cli.importing import importing
from daemon.cli.options import SPEED, config_option, find_config

_EPILOG = """\b
Examples:
  hftd exchange --venue binancefutures --date 20240808
  hftd exchange --venue binancefutures --generate 7       a market from a seed
  hftd exchange --venue binancefutures --generate 7 --chaos 42
  hftd exchange --venue binancecoinm --generate 7
  hftd exchange --venue binancespot --generate 7
  hftd exchange --venue bybit --generate 7

Without --config, exchange-VENUE.toml comes before exchange.toml.

It listens on loopback until it is interrupted. The control page shows
accounts, orders and connections, and has the strings to pull.
"""


@click.command("exchange", epilog=_EPILOG)
@click.option("--venue", metavar="NAME", required=True, help="Whose protocol it speaks.")
@click.option("--date", metavar="DATE", help="The day to play: 20240808, or several as 20240808..20240809.")
@click.option("--generate", type=int, metavar="SEED", help="Generate the market instead.")
@config_option("exchange.toml")
@click.option("--speed", type=SPEED, metavar="X", help="How many times as fast as it was the market goes.")
@click.option("--chaos", type=int, metavar="SEED", help="Misbehave in every way, by a seed.")
@click.option("--port", type=click.IntRange(0, 65535), help="Of all that clients connect to; 0: a free one.")
@click.option("--control-port", type=click.IntRange(0, 65535), help="Of the control page; 0: a free one.")
@click.option("--until-end", is_flag=True, help="End with the market's data; else it then stands still.")
@click.option("--json", "as_json", is_flag=True, help="Say the addresses as one line of JSON on stdout.")
def command(
    venue: str,
    date: str | None,
    generate: int | None,
    config: Path | None,
    speed: float | None,
    chaos: int | None,
    port: int | None,
    control_port: int | None,
    until_end: bool,
    as_json: bool,
) -> None:
    """Run a local exchange that speaks a real one's protocol."""
    with importing():
        import uvloop

        from daemon.cli.compiling import watching
        from daemon.cli.logs import log_to, take_stderr
        from daemon.cli.run.exchange import adjusted, load_exchange, serve
        from sim.archive import parse_dates
        from sim.exchange.venue import find_venue

    if (date is None) == (generate is None):
        raise click.UsageError("Give either --date or --generate.")
    speaks = find_venue(venue)
    path = find_config(config, f"exchange-{venue}.toml", "exchange.toml")
    exchange_config = adjusted(
        load_exchange(path, venue),
        generate=generate,
        speed=speed,
        chaos=chaos,
        port=port,
        control_port=control_port,
    )
    take_stderr()
    log_to(lambda line: click.echo(line, err=True))
    dates = parse_dates(date) if date is not None else []
    with watching("plain"):
        uvloop.run(serve(speaks, exchange_config, path.parent, dates, until_end=until_end, as_json=as_json))
