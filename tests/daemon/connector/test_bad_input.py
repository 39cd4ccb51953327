"""What a user may rely on, at every exchange: what is wrong with what was given is one message that says what to do."""

import asyncio
import tomllib
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
import pytest
from structlog.testing import capture_logs

from daemon.cli.run.exchange import load_exchange
from daemon.cli.run.live_venues import VENUES
from daemon.connector.config import load_connector
from daemon.connector.service import Connector
from daemon.connector.venue import check_addresses, find_venue, venue_names
from hftd.errors import ConfigError
from sim.exchange.servers.server import LocalExchange
from sim.exchange.venue import find_venue as find_local
from tests.daemon.connector.harness import CHANNEL, KEY, SECRET, Whole
from tests.sim.exchange.client import market

NAMES = [name for name in venue_names() if name in VENUES]
KEYS = {"HFTD_API_KEY": KEY, "HFTD_SECRET": SECRET}


CONFIGS = Path(__file__).parents[3] / "configs"


@pytest.mark.parametrize("given", NAMES)
@pytest.mark.parametrize("name", NAMES)
def test_a_configuration_of_another_exchange_is_refused_with_the_key_that_shows_it(name, given):
    path, venue = CONFIGS / f"{given}.toml", find_venue(name)

    def load():
        config, _ = load_connector(path, venue.config_type, name, {})
        check_addresses(name, config, str(path))

    if name == given:
        load()
    else:
        with pytest.raises(ConfigError, match="`stream_url` is an address of") as failure:
            load()
        assert failure.value.exit_code == 2
        assert str(path) in failure.value.where


def test_a_local_exchange_says_whose_configuration_it_was_given():
    with pytest.raises(ConfigError) as failure:
        load_exchange(CONFIGS / "exchange-bybit.toml", "binancespot")
    assert "--venue bybit" in failure.value.hint


def symbol_of(name):
    return VENUES[name].markets[0].symbol


@asynccontextmanager
async def exchange_of(name, *, symbol=(), account=(), **sections):
    """The local exchange of a venue."""
    local, live = find_local(name), VENUES[name]
    traded = {"symbol": symbol_of(name), **tomllib.loads(live.contract), **dict(symbol)}
    one = {"name": "one", "api_key": KEY, "secret": SECRET, **tomllib.loads(live.account), **dict(account)}
    config = msgspec.convert({"symbols": [traded], "accounts": [one], **sections}, local.config_type)
    async with LocalExchange(local, config, rows={symbol_of(name): market()}) as served:
        yield served


def connector_to(name, served, tmp_path, *, environ=KEYS, **keys):
    """A connector whose configuration was read from a file."""
    urls = {key: served.urls[what] for key, what in VENUES[name].urls.items()}
    path = tmp_path / f"{name}.toml"
    keys = {"symbols": [symbol_of(name)], **urls, **keys}
    path.write_text(
        "".join(f"{key} = {msgspec.json.encode(value).decode()}\n" for key, value in keys.items())
    )
    venue = find_venue(name)
    config, credentials = load_connector(path, venue.config_type, name, environ)
    journal = tmp_path / "journal" if credentials.are_there else None
    return Connector(CHANNEL, venue, config, credentials, journal, seed=1)


async def refused(name, served, tmp_path, **options):
    """The error that ends a connector."""
    connector = connector_to(name, served, tmp_path, **options)
    with pytest.raises(ConfigError) as failure:
        await asyncio.wait_for(connector.run(), 30)
    assert failure.value.exit_code == 2
    assert failure.value.hint
    assert KEY not in str(failure.value)
    assert SECRET not in str(failure.value)
    return failure.value


@asynccontextmanager
async def serving(name, served, tmp_path, **options):
    connector = connector_to(name, served, tmp_path, **options)
    task = asyncio.create_task(connector.run())
    whole = Whole(served, connector, task)
    try:
        await whole.until(lambda: hasattr(connector, "server") and bool(connector.bots.books.markets()))
        yield whole
    finally:
        connector.stop()
        await asyncio.wait_for(task, 30)


@pytest.mark.parametrize("name", NAMES)
def test_an_unknown_key_is_said_with_its_line_and_the_nearest_one(tmp_path, name):
    path = tmp_path / f"{name}.toml"
    path.write_text('order_prefix = "mm"\nstream_ulr = "wss://x"\n')
    with pytest.raises(ConfigError, match="unknown key 'stream_ulr'") as failure:
        load_connector(path, find_venue(name).config_type, name, {})
    assert failure.value.where == f"{path}:2"
    assert "did you mean 'stream_url'" in failure.value.hint


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("wrong", ["HFTD_API_KEY", "HFTD_SECRET"])
async def test_a_wrong_key_or_secret_ends_it(tmp_path, name, wrong):
    async with exchange_of(name) as served:
        error = await refused(name, served, tmp_path, environ=KEYS | {wrong: "w" * 64})
    assert "does not take the API key" in error.what
    assert "one of this host" in error.hint


@pytest.mark.parametrize("name", NAMES)
async def test_a_symbol_that_is_not_there_ends_it_with_the_right_one(tmp_path, name):
    async with exchange_of(name) as served:
        wrong = symbol_of(name).replace("BTC", "BTX")
        error = await refused(name, served, tmp_path, symbols=[wrong])
    assert f"no instrument '{wrong}'" in error.what
    assert symbol_of(name) in error.hint


@pytest.mark.parametrize("name", [name for name in NAMES if VENUES[name].pair is None])
async def test_an_account_in_hedge_mode_ends_it(tmp_path, name):
    async with exchange_of(name, account={"hedge": True}) as served:
        error = await refused(name, served, tmp_path)
    assert "hedge mode" in error.what
    assert "one-way" in error.hint


@pytest.mark.parametrize("name", NAMES)
async def test_a_host_that_is_another_exchanges_is_waited_for_and_named(tmp_path, name):
    other = next(one for one in NAMES if find_local(one).__module__ != find_local(name).__module__)
    async with exchange_of(other) as served, exchange_of(name) as own:
        wrong = served.urls["rest"]
        connector = connector_to(name, own, tmp_path, api_url=wrong)
        with capture_logs() as logs:
            task = asyncio.create_task(connector.run())
            for _ in range(1000):
                if any("again_in_s" in one for one in logs):
                    break
                await asyncio.sleep(0.01)
            connector.stop()
            await asyncio.wait_for(task, 10)
    (said,) = [one for one in logs if "again_in_s" in one][:1]
    assert said["where"] == wrong
    assert "is the address right, and is it this exchange's?" in said["hint"]
    assert said["why"]


@pytest.mark.parametrize("name", NAMES)
async def test_a_clock_that_is_off_is_corrected_and_shown(tmp_path, name):
    async with (
        exchange_of(name, exchange={"clock_offset_ms": -3_600_000}) as served,
        serving(name, served, tmp_path) as whole,
    ):
        await whole.until(lambda: whole.connector.bots.is_connected)
        keys = [one.key for one in whole.connector.session.warnings()]
        assert [key for key in keys if "clock" in key]


@pytest.mark.parametrize("name", NAMES)
async def test_a_market_that_is_closed_is_shown_as_such_and_ends_nothing(tmp_path, name):
    closed = find_local(name).halts[-1]
    async with (
        exchange_of(name, symbol={"status": closed}) as served,
        serving(name, served, tmp_path) as whole,
    ):
        instrument = whole.connector.bots.instrument(symbol_of(name))
        assert not instrument.is_trading
        assert instrument.why
        await whole.until(
            lambda: any(one.key == instrument.trouble for one in whole.connector.warnings.look(2**62))
        )
