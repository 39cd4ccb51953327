"""The parameters of a running bot."""

import pwd
from collections.abc import Iterator

import msgspec

from daemon.cli.show import text
from hftd.control import status
from sim.results.parts import Part, Rows, Table, line


def shown(value: bool | float | str) -> str:
    """A value as a configuration has it."""
    return (
        msgspec.json.encode(value).decode()
        if isinstance(value, bool | str)
        else f"{value:,}".replace(",", "_")
    )


def parameters(told: status.Parameters) -> Iterator[Part]:
    """All parameters of a bot, and why some can't be set."""
    rows: Rows = []
    for one in told.parameters:
        set_by = "at its start"
        if one.since_ns >= 0:
            set_by = f"{text.moment(one.since_ns)} by {user_name(one.uid)}"
        elif one.uid >= 0:
            set_by = f"from its next step on, by {user_name(one.uid)}"
        can = "yes" if one.is_settable else "no"
        rows.append([one.name, shown(one.value), one.kind, one.range or "any", can, set_by])
    yield Table(("parameter", "=value", "type", "~range", "can be set", "~since"), rows, keys=1)
    if not told.allows_set:
        yield line(
            "none can be set: its configuration does not say `allow_set = true` below [bot]", style="dim"
        )
    for one in told.parameters:
        if one.why_fixed:
            yield line(f"{one.name}: {one.why_fixed}", style="dim")


def user_name(uid: int) -> str:
    """A user's name, or the number where it has none."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"user {uid}"
