"""How a command ends: the exit code, and one message for whatever went wrong."""

import contextlib
import os
import sys
from collections.abc import Iterator

import click

from daemon.redaction import redacted
from hftd.errors import HftdError

INTERRUPTED = 130
"""As shells report a process that SIGINT ended."""
BROKEN_PIPE = 141
"""As shells report a process that SIGPIPE ended."""


def open_streams() -> None:
    """Let the descriptors 0, 1 and 2 be open, if only to nowhere.

    A process may be started with some of them closed. The next file to be opened, a journal or an exchange's socket,
    would have the number of stderr then, and what libraries write there would go into it.
    """
    for descriptor, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(descriptor)
        except OSError:
            # The lowest number that is free: this one.
            os.open(os.devnull, os.O_RDWR)
        if getattr(sys, name) is None:
            mode = "w" if descriptor else "r"
            setattr(sys, name, open(descriptor, mode, encoding="utf-8", closefd=False))  # noqa: SIM115


def run(command: click.Command, arguments: list[str] | None = None) -> int:
    """Run a command; nothing but KeyboardInterrupt's relatives gets out of here as an exception.

    Args:
        command: The command or group.
        arguments: Without the program's name; None takes the process's.

    Returns:
        The exit code: the command's own if it returns an integer, else 0.
    """
    try:
        return _run(command, sys.argv[1:] if arguments is None else arguments)
    finally:
        if logs := sys.modules.get("daemon.cli.logs"):
            logs.give_stderr_back()


def _run(command: click.Command, arguments: list[str]) -> int:
    try:
        code = _call(command, arguments)
        # A pipe whose reader is gone shows itself here at the latest.
        sys.stdout.flush()
    except click.ClickException as error:
        with _stderr_may_fail():
            error.show()
        return error.exit_code
    except (click.Abort, KeyboardInterrupt):
        return INTERRUPTED
    except BrokenPipeError as error:
        return _broken_pipe(error)
    except HftdError as error:
        show(error)
        return error.exit_code
    except Exception as error:
        _show_mistake(error)
        return 1
    return code if isinstance(code, int) else 0


def _call(command: click.Command, arguments: list[str]) -> object:
    if "_HFTD_COMPLETE" in os.environ:
        return command.main(args=arguments, prog_name="hftd")
    # Not `command.main`: it ends quietly at any broken pipe, also at that of a daemon's socket.
    try:
        with command.make_context("hftd", list(arguments)) as context:
            return command.invoke(context)
    except click.exceptions.Exit as leaving:
        return leaving.exit_code


def show(error: HftdError) -> None:
    """One error on stderr: what, where, hint."""
    _say(f"{click.style('error:', fg='red', bold=True)} {error.what}")
    for label, text in (("where", error.where), ("hint", error.hint)):
        if text:
            _say(f"  {click.style(f'{label}:', bold=True):<7}{' ' * (6 - len(label))}{text}")
    _show_traceback()


def _say(text: str) -> None:
    with _stderr_may_fail():
        click.echo(redacted(text), err=True)


@contextlib.contextmanager
def _stderr_may_fail() -> Iterator[None]:
    """A reader that is gone, a full disk: the exit code is what is left to say what happened."""
    try:
        yield
    except (OSError, ValueError):
        # Else the interpreter tries again at its exit, and ends with a code of its own.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)


def _show_mistake(error: Exception) -> None:
    name = type(error).__name__
    _say(f"{click.style('error:', fg='red', bold=True)} hftd itself failed: {name}: {error}")
    if not _show_traceback():
        _say("  HFTD_DEBUG=1 shows where; please report it with that")


def _show_traceback() -> bool:
    if os.environ.get("HFTD_DEBUG", "") in ("", "0"):
        return False
    import traceback

    _say(traceback.format_exc())
    return True


def _broken_pipe(error: BrokenPipeError) -> int:
    """The code for a pipe whose reader has left: not worth a word if it is our stdout or stderr."""
    import select

    poll = select.poll()
    for descriptor in (1, 2):
        poll.register(descriptor, 0)
    broken = [descriptor for descriptor, event in poll.poll(0) if event & select.POLLERR]
    if not broken:
        _show_mistake(error)
        return 1
    # Else the interpreter flushes into the pipe at its exit, and reports that.
    for descriptor in broken:
        os.dup2(os.open(os.devnull, os.O_WRONLY), descriptor)
    return BROKEN_PIPE
