"""Clean-ups of several steps, none of which hangs on another one."""

from collections.abc import Callable


def run_all(*steps: Callable[[], object]) -> list[Exception]:
    """Call each step, whatever the ones before it raised. Returns what was raised, for the log that comes after."""
    errors: list[Exception] = []
    for step in steps:
        try:
            step()
        except Exception as error:
            errors.append(error)
    return errors
