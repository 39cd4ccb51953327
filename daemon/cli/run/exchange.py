"""Running a local exchange: what the options change, and until when."""

import asyncio
import signal
from pathlib import Path

import click
import msgspec
from msgspec.structs import replace

from hftd.config import load
from hftd.errors import ConfigError
from sim.exchange.rules.chaos import storm
from sim.exchange.rules.config import ExchangeConfig, GenerateSection
from sim.exchange.servers.server import LocalExchange
from sim.exchange.venue import LocalVenue, find_venue, venue_names


def load_exchange(path: Path, venue: str) -> ExchangeConfig:
    """The configuration of a local exchange.

    Raises:
        ConfigError: It is wrong; if it would be right for another venue, that is said.
    """
    try:
        return load(path, find_venue(venue).config_type)
    except ConfigError as error:
        fits = next((other for other in venue_names() if _fits(path, other)), "")
        if not fits:
            raise
        hint = f"it is a configuration of {fits}: give --venue {fits}, or a file of {venue}"
        raise ConfigError(error.what, where=error.where, hint=hint) from None


def _fits(path: Path, venue: str) -> bool:
    try:
        load(path, find_venue(venue).config_type)
    except ConfigError:
        return False
    return True


def adjusted(
    config: ExchangeConfig,
    *,
    generate: int | None,
    speed: float | None,
    chaos: int | None,
    port: int | None,
    control_port: int | None,
) -> ExchangeConfig:
    """The configuration with what the options say."""
    server = config.exchange
    changes = {"speed": speed, "port": port, "control_port": control_port}
    server = replace(server, **{key: value for key, value in changes.items() if value is not None})
    market = config.market
    if generate is not None:
        market = replace(market, generate=replace(market.generate or GenerateSection(), seed=generate))
    else:
        market = replace(market, generate=None)
    mishaps = config.chaos if chaos is None else storm(chaos)
    return replace(config, exchange=server, market=market, chaos=mishaps)


async def serve(
    venue: type[LocalVenue],
    config: ExchangeConfig,
    base: Path,
    dates: list[str],
    *,
    until_end: bool,
    as_json: bool,
) -> None:
    """Run the exchange until it is interrupted, or its data is over and that is to be the end.

    Raises:
        UsageError: The market can't be played, or a port is taken.
    """
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    exchange = LocalExchange(venue, config, base=base, dates=dates)
    async with exchange:
        _say(exchange, as_json)
        ends = [asyncio.ensure_future(stop.wait()), asyncio.ensure_future(exchange.failed.wait())]
        if until_end:
            ends.append(asyncio.ensure_future(exchange.over.wait()))
        await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        for end in ends:
            end.cancel()
        if exchange.error is not None:
            raise exchange.error


def _say(exchange: LocalExchange, as_json: bool) -> None:
    addresses = exchange.urls | {"control": exchange.control_url}
    if as_json:
        click.echo(msgspec.json.encode(addresses).decode())
        return
    for name, url in addresses.items():
        click.echo(f"{name:<8} {url}")
    for warning in exchange.core.market.rows_warnings():
        click.echo(f"warning: {warning}", err=True)
