"""`hftd alert`."""

from pathlib import Path
from typing import Final

import click

from daemon.cli.importing import importing
from daemon.cli.options import FILE

_EPILOG = """\b
Examples:
  hftd alert --config alerts.toml --check   is the file right? sends nothing
  hftd alert --config alerts.toml --test    one message to each target
  hftd alert --config alerts.toml --tell "the backup failed"
  hftd alert --config alerts.toml           watch

\b
It asks the daemons of this user's runtime directory each two seconds. Targets
are addresses of Apprise: Telegram, Slack, mail, ntfy, webhooks and many more,
each from HFTD_ALERT_NAME, from systemd's credential alert_NAME, or from the
file if only its owner may read it. docs/alerts.md lists the rules.
Exit code 1 of --test and --tell: a target did not take the message.
"""

TITLE_MAX: Final = 80
TELL_MAX: Final = 1000


@click.command("alert", epilog=_EPILOG)
@click.option("--config", type=FILE, metavar="FILE.toml", required=True, help="The configuration.")
@click.option("--check", is_flag=True, help="Check the configuration and the addresses, and end.")
@click.option("--test", "is_test", is_flag=True, help="Send one message to each target, and end.")
@click.option("--tell", metavar="TEXT", help="Send this to each target, as critical, and end.")
@click.option(
    "--forget", "is_forgetting", is_flag=True, help="Watch, without what an earlier run has seen and told."
)
@click.option(
    "--log",
    "log_format",
    type=click.Choice(["auto", "people", "json"]),
    default="auto",
    show_default=True,
    help="How the log on stderr is written: auto is for people on a terminal, else JSON.",
)
def command(
    config: Path, check: bool, is_test: bool, tell: str | None, is_forgetting: bool, log_format: str
) -> int:
    """Tell people what is wrong with daemons, bots and accounts, and that it is over."""
    with importing():
        import os
        import signal
        import socket
        import threading

        from daemon.cli.asking import states
        from daemon.cli.logs import give_stderr_back, log_events
        from daemon.connector.secrets import close_process, forget_environment
        from daemon.connector.state_folder import state_path
        from daemon.ops.alerts.config import load_alerts
        from daemon.ops.alerts.delivery import sender
        from daemon.ops.alerts.keeping import StateFile
        from daemon.ops.alerts.texts import cleaned
        from daemon.ops.alerts.watching import Watching
        from hftd.clock import monotonic_ns, wall_ns

    log_events(log_format)
    close_process()
    alerts, addresses = load_alerts(config)
    forget_environment(addresses.variables)
    sends = {name: sender(name, url) for name, url in addresses.targets.items()}
    host = cleaned(socket.gethostname(), 64)
    if check:
        click.echo(f"{config}: {len(sends)} targets: {', '.join(sends)}")
        return 0
    if is_test:
        return _send(
            sends, f"hftd on {host}: test", "A test: alerts of this machine's daemons come here.", "success"
        )
    if tell is not None:
        text = cleaned(tell, TELL_MAX)
        return _send(sends, f"hftd on {host}: {cleaned(tell, TITLE_MAX)}", text, "failure")
    path = state_path(alerts.watch.state, config.parent, f"{config.stem}.state", "[watch] state")
    file = StateFile(path)
    if is_forgetting:
        path.unlink(missing_ok=True)
    is_stopped = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: is_stopped.set())
    watching = Watching(
        alerts,
        addresses,
        states,
        sends,
        base=config.parent,
        host=host,
        seed=wall_ns() & 0x7FFFFFFF,
        file=file,
        ahead_ns=wall_ns() - monotonic_ns(),
    )
    click.echo(f"watching, and telling {', '.join(sends)}", err=True)
    watching.run(is_stopped)
    if any(target.is_busy for target in watching.targets):
        # The interpreter's end would wait for a message that a target does not take.
        give_stderr_back()
        os._exit(0)
    return 0


def _send(sends: dict, title: str, text: str, kind: str) -> int:
    """Send one message to each target, and say what became of it."""
    failed = 0
    for name, send in sends.items():
        try:
            why = send(title, text, kind)
        except Exception as error:
            why = type(error).__name__
        failed += bool(why)
        click.echo(f"{name}: {why or 'sent'}")
    return 1 if failed else 0
