"""What a live bot has left behind: whether it is flat, as its connectors say once its lease is over."""

from collections.abc import Sequence
from typing import Final

from daemon.cli.asking import deadline_ns
from hftd import wire
from hftd.bot.result import AssetResult, BotResult
from hftd.clock import monotonic_ns, sleep
from hftd.control import status
from hftd.control.asking import ask
from hftd.errors import HftdError, NoSuchChannelError

FLAT_S: Final = 10.0
"""How long a connector may take to close positions before it is said that it goes on."""
LOOK_S: Final = 0.2


def left_behind(result: BotResult, end: str) -> list[str]:
    """What became of the bot's positions at connectors, a sentence each; of replays nothing is said.

    Args:
        result: The run's.
        end: The bot's end policy.
    """
    said: list[str] = []
    until_ns = monotonic_ns() + int(FLAT_S * 1e9)
    for channel in dict.fromkeys(asset.channel for asset in result.assets):
        assets = [asset for asset in result.assets if asset.channel == channel]
        if end != "flatten" and not any(asset.position for asset in assets):
            # Nobody is asked for what is not there.
            continue
        try:
            said += _left_at(channel, result.name, assets, end, until_ns)
        except HftdError as error:
            if isinstance(error, NoSuchChannelError) and not result.lost:
                # A replay that is over.
                continue
            said.append(
                f"{channel}: whether the bot is flat is not known: {error.what}; see `hftd status {channel}`"
            )
    return said


def _left_at(channel: str, name: str, assets: Sequence[AssetResult], end: str, until_ns: int) -> list[str]:
    daemon = _status(channel)
    if daemon.kind != status.CONNECTOR:
        return []
    held = _held(daemon, name, assets)
    while end == "flatten" and held and monotonic_ns() < until_ns:
        sleep(LOOK_S)
        daemon = _status(channel)
        held = _held(daemon, name, assets)
    if not held:
        return [f"{channel}: the bot is flat"]
    holds = ", ".join(f"{position:g} {symbol}" for symbol, position in held.items())
    if end == "flatten":
        why = "; ".join(one.text for one in daemon.alerts if one.key == "not_flattened" and name in one.text)
        why = why or ("it is halted" if daemon.is_halted else "the connector goes on with it")
        words = f"the bot is NOT flat, {holds} is still to be closed: {why}; see `hftd status {channel}`"
    else:
        words = (
            f'a position of {holds} stays open: with `end = "{end}"` nobody closes it; start the bot again, or '
            "close it by hand"
        )
    return [f"{channel}: {words}"]


def _status(channel: str) -> status.DaemonStatus:
    return ask(channel, wire.ASK_STATUS, status.DaemonStatus, deadline_ns())[1]


def _held(daemon: status.DaemonStatus, name: str, assets: Sequence[AssetResult]) -> dict[str, float]:
    symbols = {asset.symbol for asset in assets}
    bot = next((one for one in daemon.bots if one.name == name), None)
    positions = bot.positions if bot is not None else []
    return {one.symbol: one.position for one in positions if one.symbol in symbols and one.position}
