"""The exchanges of `hftd demo --live`: what is traded on each, and what its configurations say besides addresses."""

from collections.abc import Mapping
from typing import Final

import msgspec

from hftd.errors import UsageError
from sim.generate import DEMO, MarketInstrument


class LiveVenue(msgspec.Struct, frozen=True, kw_only=True):
    """A local exchange and the connector to it.

    Attributes:
        name: Of both: `hftd exchange --venue`, `hftd connector --connector`.
        says: Whose protocol it speaks, for people.
        markets: What the demo generates for it; the first is traded.
        bot: The bot's configuration, in the folder of configurations.
        urls: Of the connector's configuration, by the names under which the exchange tells them.
        contract: Keys of the exchange's `[[symbols]]` besides the symbol.
        account: Keys of its `[[accounts]]` besides the keys.
        order_qty: The connector's limit of an order.
        position: Of the position.
        pair: Base and quote of a spot pair; None: it is a contract.
    """

    name: str
    says: str
    markets: tuple[MarketInstrument, ...]
    bot: str
    urls: Mapping[str, str]
    contract: str
    order_qty: float
    position: float
    account: str = ""
    pair: tuple[str, str] | None = None


_FEES: Final = 'maker_fee = "0.0002"\ntaker_fee = "0.0005"'
_URLS: Final = {"stream_url": "streams", "api_url": "rest"}
_BINANCE: Final = _URLS | {"ws_api_url": "ws_api"}
_BTCUSDT: Final = 'tick_size = "0.1"\nlot_size = "0.001"'
# As many contracts of 100 dollars as the demo's first market has coins.
_CONTRACTS: Final = DEMO[0].start_price / 100.0

VENUES: Final = {
    one.name: one
    for one in (
        LiveVenue(
            name="binancefutures",
            says="Binance's protocol",
            markets=DEMO,
            bot="bot-live.toml",
            urls=_BINANCE,
            contract=f"{_BTCUSDT}\n{_FEES}",
            order_qty=0.1,
            position=0.5,
        ),
        LiveVenue(
            name="binancecoinm",
            says="Binance's protocol of inverse contracts",
            markets=(
                MarketInstrument(
                    "democoinm",
                    "BTCUSD_PERP",
                    0.1,
                    1.0,
                    DEMO[0].start_price,
                    touch_qty=DEMO[0].touch_qty * _CONTRACTS,
                    trade_qty=DEMO[0].trade_qty * _CONTRACTS,
                ),
            ),
            bot="bot-live-binancecoinm.toml",
            urls=_BINANCE,
            contract=_FEES,
            account='balance = "100"',
            order_qty=50.0,
            position=200.0,
        ),
        LiveVenue(
            name="bybit",
            says="Bybit's protocol",
            # The day of `hftd demo`.
            markets=DEMO,
            bot="bot-live-bybit.toml",
            urls=_URLS,
            contract=f'{_BTCUSDT}\nmaker_fee = "0.0002"\ntaker_fee = "0.00055"',
            order_qty=0.1,
            position=0.5,
        ),
        LiveVenue(
            name="binancespot",
            says="Binance's protocol of spot pairs",
            # The day of `hftd demo`, in Spot's finer steps.
            markets=DEMO,
            bot="bot-live-binancespot.toml",
            urls=_BINANCE,
            contract='tick_size = "0.01"\nlot_size = "0.00001"\nbase = "BTC"\nquote = "USDT"',
            # To sell before it has bought, the account needs some of the base.
            account='balances = { BTC = "10" }',
            order_qty=0.1,
            position=0.5,
            pair=("BTC", "USDT"),
        ),
    )
}


def live_venue(name: str) -> LiveVenue:
    """A venue of the demo by its name.

    Raises:
        UsageError: The demo has no exchange of that name.
    """
    if name not in VENUES:
        raise UsageError(
            f"the demo does not trade on {name!r}", hint=f"--venue can be {', '.join(sorted(VENUES))}"
        )
    return VENUES[name]
