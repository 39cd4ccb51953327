"""The exit code of `hftd status`: what is the matter, as one number for programs. docs/live.md has the table."""

from collections.abc import Iterator
from typing import Final

from daemon.cli.asking import Report
from hftd.control import status

GOOD: Final = 0
WARNING: Final = 1
NO_ANSWER: Final = 3
HALTED: Final = 10
DISCONNECTED: Final = 11
NOT_VALID: Final = 12

WORST_FIRST: Final = (NO_ANSWER, HALTED, DISCONNECTED, NOT_VALID, WARNING, GOOD)
"""Of several the first one counts: what is not known, then what stops trading, then what spoils it."""
_WAITING: Final = ("waits_for_exchange", "orders_not_connected")
"""Warnings of a way to the exchange that is no connection of the list."""


def exit_code(report: Report) -> int:
    """What of all that was found is the worst.

    Args:
        report: Of one daemon, or of all. If none runs nothing is known of any, which is not good.
    """
    found = {GOOD if report.daemons else NO_ANSWER}
    if report.silent or any(leg.is_away for bot in report.bots for leg in bot.legs):
        found.add(NO_ANSWER)
    for daemon in report.daemons:
        found.update(_codes(daemon))
    return next(code for code in WORST_FIRST if code in found)


def _codes(daemon: status.DaemonStatus) -> Iterator[int]:
    if daemon.is_halted or any(bot.halt_reason for bot in daemon.bots):
        yield HALTED
    if any(not one.is_up for one in daemon.connections) or any(one.key in _WAITING for one in daemon.alerts):
        yield DISCONNECTED
    if any(not market.book_is_valid for channel in daemon.channels for market in channel.markets):
        yield NOT_VALID
    if daemon.warnings:
        yield WARNING
