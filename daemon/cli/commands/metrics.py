"""`hftd metrics`."""

import click

_EPILOG = """\b
Examples:
  hftd metrics                              for a Prometheus on this machine
  hftd metrics --listen 127.0.0.1:9500
  curl -s http://127.0.0.1:9464/metrics | grep hftd_book_valid

\b
It asks the daemons of this user's runtime directory when it is asked itself,
at most twice a second. docs/metrics.md lists the metrics; configs/prometheus
has alert rules and a Grafana dashboard. There is no password and no write:
on another address than loopback everybody who reaches it can read it.
"""


@click.command("metrics", epilog=_EPILOG)
@click.option(
    "--listen",
    metavar="HOST:PORT",
    default="127.0.0.1:9464",
    show_default=True,
    help="Where; port 0: a free one.",
)
def command(listen: str) -> None:
    """Serve the states of all daemons as Prometheus metrics."""
    from functools import partial

    import uvloop

    from daemon.cli.asking import states
    from daemon.cli.logs import log_to, take_stderr
    from daemon.ops.metrics import exposition
    from daemon.ops.scraping import Metrics
    from daemon.ops.serving import parse_listen, serve

    host, port = parse_listen(listen)

    take_stderr()
    log_to(lambda line: click.echo(line, err=True))
    uvloop.run(
        serve(
            lambda: Metrics(exposition(states)),
            host,
            port,
            "metrics at {}/metrics",
            partial(click.echo, err=True),
        )
    )
