"""A small Spot exchange, and a bare client of it."""

import contextlib
import hashlib
import hmac
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
from msgspec.structs import replace
from numpy.typing import NDArray

from sim.exchange.binancespot.venue import BinanceSpot, SpotConfig, SpotLimits, SpotServer, SpotSymbol
from sim.exchange.rules.chaos import ChaosSection
from sim.exchange.servers.server import LocalExchange
from tests.sim.exchange.client import ACCOUNTS, Client, Stream, market

PAIR = SpotSymbol(
    tick_size="0.10",
    lot_size="0.00100",
    min_qty="0.001",
    maker_fee="0.001",
    taker_fee="0.002",
    fee_asset_price="500",
)
FUNDS = {"USDT": "10000", "BTC": "2", "BNB": "1"}


def spot(
    chaos: ChaosSection | None = None,
    symbol: SpotSymbol = PAIR,
    limits: SpotLimits | None = None,
    fee_asset: str = "",
    funds: dict[str, str] | None = None,
    **server: Any,
) -> SpotConfig:
    """A Spot exchange whose market moves when it is told to."""
    accounts = [replace(one, balances=funds or FUNDS, fee_asset=fee_asset) for one in ACCOUNTS]
    return SpotConfig(
        symbols=[symbol],
        accounts=accounts,
        limits=limits or SpotLimits(stream_messages_1s=0),
        chaos=chaos or ChaosSection(inside_snapshot=0.0),
        exchange=SpotServer(**({"speed": 0.0} | server)),
    )


class SpotClient(Client):
    """Speaks to it as an account."""

    def order(self, **params: Any) -> dict[str, Any]:
        kind = params.get("type", "LIMIT")
        more = {"timeInForce": "GTC"} if kind == "LIMIT" else {}
        price = {} if kind == "MARKET" else {"price": "999.0"}
        merged = (
            {"symbol": self.symbol, "side": "BUY", "type": kind, "quantity": "0.010"} | more | price | params
        )
        return {name: value for name, value in merged.items() if value is not None}

    async def place(self, **params: Any) -> Any:
        return await self.good("POST", "v3/order", **self.order(**params))

    async def why(self, method: str = "POST", path: str = "v3/order", **params: Any) -> tuple[int, str]:
        """Code and words of a refusal; of a new order without a path."""
        asked = self.order(**params) if (method, path) == ("POST", "v3/order") else params
        status, content = await self.call(method, path, **asked)
        assert status != 200, content
        return content["code"], content["msg"]

    async def cancel(self, client_id: str, **params: Any) -> Any:
        return await self.good(
            "DELETE", "v3/order", symbol=self.symbol, origClientOrderId=client_id, **params
        )

    async def amend(self, client_id: str, qty: str, **params: Any) -> Any:
        named = {"symbol": self.symbol, "origClientOrderId": client_id, "newQty": qty}
        return await self.good("PUT", "v3/order/amend/keepPriority", **named, **params)

    async def user_stream(self, more: str = "") -> Stream:
        """A subscription by signature."""
        api = Stream(await self.session.ws_connect(self.exchange.urls["ws_api"] + more, autoping=False))
        reply = await api.ask(id=0, method="userDataStream.subscribe.signature", params=self.ws_params())
        assert reply["result"] == {"subscriptionId": 0}, reply
        return api

    def ws_signature(self, payload: str) -> str:
        """The signature of something as it is sent."""
        return hmac.new(self.secret.encode(), payload.encode(), hashlib.sha256).hexdigest()

    def wallet(self, asset: str) -> tuple[int, int]:
        """Balance and what is locked of it, in 1e-8."""
        (found,) = [one for one in self.truth()["wallets"] if one["asset"] == asset]
        return found["balance"], found["reserved"]


@contextlib.asynccontextmanager
async def trading(
    settings: SpotConfig | None = None, data: NDArray[Any] | None = None
) -> AsyncIterator[tuple[LocalExchange, SpotClient]]:
    """A running exchange and a client of its first account."""
    settings = settings or spot()
    symbol = settings.symbols[0].symbol
    exchange = LocalExchange(BinanceSpot, settings, rows={symbol: market() if data is None else data})
    async with exchange, aiohttp.ClientSession() as session:
        yield exchange, SpotClient(exchange, session)
