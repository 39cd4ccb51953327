"""The command line: `hftd`.

This module must stay light, since every start of a bot goes through it: a command's module is imported when
the command is called, and what it needs when it runs.
"""

import importlib

import click

_SECTIONS = {
    "Run": {
        "demo": "Generate a market, replay it to a bot, show what it earned.",
        "init": "Make a project: a strategy, its configurations, a test, a day to run it on.",
        "strategies": "List strategies, with the markets that they need and their parameters.",
        "backtest": "Run a replay and a bot in one process.",
        "sweep": "Play many points of a strategy's parameters over many days.",
        "replay": "Play recorded days into shared-memory channels.",
        "bot": "Run a strategy on channels: a replay's or, the same way, an exchange's.",
    },
    "Trade live": {
        "connector": "Trade one account of an exchange, and serve its market, to bots.",
        "collect": "Record the raw market data of exchanges, and what is missing of it.",
        "exchange": "Run a local exchange that speaks a real one's protocol.",
        "status": "Show the daemons that run, their bots, books, orders and limits.",
        "tap": "Show a channel's market data as it passes, or save it as an archive.",
        "set": "Show the parameters of a running bot, and change them.",
        "halt": "Have a connector cancel all orders and refuse new ones.",
        "resume": "Have a halted connector take orders again.",
        "journal": "Show what a connector did: orders, fills, profits, events, a tax table.",
    },
    "Watch": {
        "web": "Show daemons, bots, orders and profits on a page in a browser.",
        "top": "The same in the terminal.",
        "metrics": "Serve the states of all daemons to Prometheus.",
        "alert": "Tell people what is wrong with daemons, bots and accounts, and that it is over.",
    },
    "Deploy": {
        "install": "Make systemd's units for daemons, with users and folders.",
        "uninstall": "Remove what install made; never a configuration, a key or a state.",
    },
    "Archives": {
        "generate": "Generate the day of a market: several exchanges, related instruments.",
        "convert": "Make an archive from an exchange's raw capture or a vendor's files.",
        "validate": "Look for what is wrong with archives, and put it right in a copy.",
        "inspect": "Show what is in an archive, a run file or a latency file.",
        "snapshot": "Make the book at the end of a day, for the start of the next.",
        "latency": "Make order latencies from a feed's, or from recorded orders.",
        "prepare": "Prepare archives ahead of the runs that read them.",
        "cache": "Show the prepared archives, and take some out.",
    },
    "Results": {
        "report": "Make one page of figures and plots of runs.",
        "explain": "Tell why the orders of a run filled, or did not.",
        "verify": "Make a recorded run again, and say whether it comes to the same.",
        "compare": "Show a live run and its backtest side by side.",
        "correlate": "Correlate the returns of archives: by horizon, and by who leads whom.",
    },
}
_COMMANDS = {name: text for commands in _SECTIONS.values() for name, text in commands.items()}

_EPILOG = """\b
Examples:
  hftd demo                                        start here
  hftd replay --date 20220831                      and, in another terminal:
  hftd bot --config configs/bot.toml
  hftd backtest --bot configs/bot.toml --date 20220831 --record run.npz
  hftd report run.npz                              figures and plots as a page
  hftd explain run.npz                             why each order filled

\b
Errors go to stderr in one message, with what is wrong, where, and what to do.
HFTD_DEBUG=1 shows the traceback too, HFTD_LOG=info what daemons log.
Exit codes: 0 good, 1 failed, 2 something that you gave is wrong,
3 a channel broke, 4 the daemon died, 130 interrupted.
"""


class _Commands(click.Group):
    """A group that imports a command's module when the command is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        if cmd_name not in _COMMANDS:
            return None
        return importlib.import_module(f"daemon.cli.commands.{cmd_name}").command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        name = args[0]
        if name not in _COMMANDS and not name.startswith("-"):
            import difflib

            close = difflib.get_close_matches(name, _COMMANDS, n=1)
            remedy = f"Did you mean '{close[0]}'?" if close else f"There are {', '.join(_COMMANDS)}."
            ctx.fail(f"No such command '{name}'. {remedy}")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        for title, commands in _SECTIONS.items():
            with formatter.section(title):
                formatter.write_dl(list(commands.items()))


_PACKAGES = ("numba", "llvmlite", "numpy", "msgspec", "click", "rich", "matplotlib", "aiohttp", "uvloop")
"""What hftd stands on: a report of a problem should name their versions."""


def _show_versions(ctx: click.Context, _: click.Parameter, wanted: bool) -> None:
    if not wanted:
        return
    import platform
    from importlib.metadata import PackageNotFoundError, version

    def line(name: str) -> str:
        try:
            return f"{name} {version(name)}"
        except PackageNotFoundError:
            return f"{name} (not installed)"

    system = f"{platform.system()} {platform.release()} {platform.machine()}"
    python = f"python {platform.python_version()}, {system}"
    click.echo("\n".join([line("hftd"), python, *map(line, _PACKAGES)]))
    ctx.exit()


@click.group(
    cls=_Commands,
    epilog=_EPILOG,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 80},
)
@click.option(
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_show_versions,
    help="The versions of hftd and of what it stands on.",
)
def hftd() -> None:
    """Trade live and replay the past with the same compiled strategy."""


def main(arguments: list[str] | None = None) -> None:
    """Run the command line and exit with its code."""
    from daemon.cli.failing import open_streams, run

    open_streams()
    raise SystemExit(run(hftd, arguments))
