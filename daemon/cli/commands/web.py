"""`hftd web`."""

from pathlib import Path

import click

from daemon.cli.options import FILE

_EPILOG = """\b
Examples:
  hftd web                            at http://127.0.0.1:8080/
  hftd web --listen 127.0.0.1:9000
  ssh -L 8080:127.0.0.1:8080 SERVER   then the same address, from elsewhere
  hftd web --listen 10.0.0.5:8080 --token-file /etc/hftd/web-token

\b
It asks the daemons of this user's runtime directory once a second while
somebody looks, whoever and however many. It changes nothing: halt and resume
are commands. On another address than loopback it wants a token: open
http://ADDRESS/#token=TOKEN, or type it in. docs/web.md says more.
"""


@click.command("web", epilog=_EPILOG)
@click.option(
    "--listen",
    metavar="HOST:PORT",
    default="127.0.0.1:8080",
    show_default=True,
    help="Where; port 0: a free one.",
)
@click.option(
    "--token-file", type=FILE, metavar="PATH", help="A file with the token that who looks must bring."
)
def command(listen: str, token_file: Path | None) -> None:
    """Show all daemons, bots, orders and profits on a page in a browser."""
    from functools import partial

    import uvloop

    from daemon.cli.asking import states
    from daemon.cli.logs import log_to, take_stderr
    from daemon.connector.secrets import close_process, forget_environment
    from daemon.ops.access import check_listen, read_token
    from daemon.ops.serving import parse_listen, serve
    from daemon.ops.web.server import ASK_DAEMONS_S, Web

    host, port = parse_listen(listen)
    close_process()
    forget_environment()
    token = read_token(token_file) if token_file is not None else None
    check_listen(host, token)

    take_stderr()
    log_to(lambda line: click.echo(line, err=True))
    ask = partial(states, ASK_DAEMONS_S)
    uvloop.run(serve(lambda: Web(ask, token), host, port, "page at {}/", partial(click.echo, err=True)))
