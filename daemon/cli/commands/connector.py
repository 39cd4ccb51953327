"""`hftd connector`."""

from pathlib import Path

import click

from daemon.cli.importing import importing
from daemon.cli.options import FILE

_EPILOG = """\b
Examples:
  hftd connector --config configs/binancefutures.toml
  hftd connector --config bf.toml --connector binancefutures --name bf

Keys come from HFTD_API_KEY and HFTD_SECRET, from systemd credentials, or from
the configuration if only its owner may read it. Where an exchange's credentials
have other parts, each has a variable: HFTD_ and the key of the configuration.
Without keys there is market data alone. SIGTERM and Ctrl-C end the bots' leases as each bot asked for, wait
for what that takes, and leave.
"""


@click.command("connector", epilog=_EPILOG)
@click.option("--config", type=FILE, metavar="FILE.toml", required=True, help="The configuration.")
@click.option("--name", metavar="NAME", help="The channel's name. Default: the connector's.")
@click.option(
    "--connector",
    "venue_name",
    metavar="EXCHANGE",
    help="The exchange. Default: the configuration's file name without .toml.",
)
@click.option(
    "--log",
    "log_format",
    type=click.Choice(["auto", "people", "json"]),
    default="auto",
    show_default=True,
    help="How the log on stderr is written: auto is for people on a terminal, else JSON.",
)
@click.option(
    "--same-account",
    is_flag=True,
    help="Take over the journal of another key: the account's key was changed.",
)
@click.option("--seed", type=int, help="Of the jitter of reconnects. Default: another one each time.")
def command(
    config: Path,
    name: str | None,
    venue_name: str | None,
    log_format: str,
    same_account: bool,
    seed: int | None,
) -> None:
    """Trade one account of an exchange, and serve its market, to bots."""
    with importing():
        import faulthandler

        from daemon.cli.compiling import watching
        from daemon.cli.logs import log_events
        from daemon.connector.config import load_connector
        from daemon.connector.secrets import close_process, forget_environment
        from daemon.connector.service import Connector, run
        from daemon.connector.state_folder import journal_path
        from daemon.connector.venue import check_addresses, find_venue
        from hftd.clock import wall_ns
        from hftd.control.protocol import check_name

    venue = find_venue(venue_name or config.stem)
    channel = check_name(name or venue.name)
    log_events(log_format)
    # A watchdog ends what hangs by SIGABRT: the log then has where each thread stood, without the values of variables.
    faulthandler.enable(file=2)
    close_process()
    connector_config, credentials = load_connector(config, venue.config_type, venue.name)
    check_addresses(venue.name, connector_config, str(config))
    forget_environment()
    journal = journal_path(connector_config, config.parent, channel) if credentials.are_there else None
    chosen = wall_ns() & 0x7FFFFFFF if seed is None else seed
    with watching("none" if log_format == "json" else "auto"):
        run(
            lambda: Connector(
                channel,
                venue,
                connector_config,
                credentials,
                journal,
                seed=chosen,
                is_same_account=same_account,
            )
        )
