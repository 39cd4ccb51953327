"""How a command ends: the exit code, and one message for whatever went wrong."""

import os
import sys

import click

from hftd.errors import HftdError

INTERRUPTED = 130
"""As shells report a process that SIGINT ended."""
BROKEN_PIPE = 141
"""As shells report a process that SIGPIPE ended."""


def run(command: click.Command, arguments: list[str] | None = None) -> int:
    """Run a command; nothing but KeyboardInterrupt's relatives gets out of here as an exception.

    Args:
        command: The command or group.
        arguments: Without the program's name; None takes the process's.

    Returns:
        The exit code: the command's own if it returns an integer, else 0.
    """
    try:
        code = command.main(args=arguments, prog_name="hftd", standalone_mode=False)
        # A pipe whose reader is gone shows itself here at the latest.
        sys.stdout.flush()
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except (click.Abort, KeyboardInterrupt):
        return INTERRUPTED
    except BrokenPipeError:
        _silence_stdout()
        return BROKEN_PIPE
    except HftdError as error:
        show(error)
        return error.exit_code
    except Exception as error:
        _show_mistake(error)
        return 1
    return code if isinstance(code, int) else 0


def show(error: HftdError) -> None:
    """One error on stderr: what, where, hint."""
    click.echo(f"{click.style('error:', fg='red', bold=True)} {error.what}", err=True)
    for label, text in (("where", error.where), ("hint", error.hint)):
        if text:
            click.echo(f"  {click.style(f'{label}:', bold=True):<7}{' ' * (6 - len(label))}{text}", err=True)
    _show_traceback()


def _show_mistake(error: Exception) -> None:
    name = type(error).__name__
    click.echo(f"{click.style('error:', fg='red', bold=True)} hftd itself failed: {name}: {error}", err=True)
    if not _show_traceback():
        click.echo("  HFTD_DEBUG=1 shows where; please report it with that", err=True)


def _show_traceback() -> bool:
    if os.environ.get("HFTD_DEBUG", "") in ("", "0"):
        return False
    import traceback

    click.echo(traceback.format_exc(), err=True)
    return True


def _silence_stdout() -> None:
    """Keep the interpreter from flushing into the broken pipe at its exit, which would be reported."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
