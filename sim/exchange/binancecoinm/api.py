"""What can be asked of COIN-M alone or costs otherwise there, and all that can: by REST, and by the WebSocket API."""

from typing import Any, Final

from sim.exchange.accounts.accounts import Account, Position
from sim.exchange.accounts.processing import NOTHING, SIGNED, Operation, Params
from sim.exchange.binance import api, queries
from sim.exchange.binance.errors import refusal
from sim.exchange.binance.queries import position_row, profit_of, symbols_of
from sim.exchange.binancecoinm.payloads import CoinmPayloads
from sim.exchange.core import Exchange
from sim.exchange.rules.instruments import ALL_ORDERS, NO_ORDERS

SAYS: Final = CoinmPayloads()


def _positions(exchange: Exchange, account: Account, params: Params) -> list[dict[str, Any]]:
    """Positions in all contracts of what is named, or in all that trade; flat ones too, one each without hedging."""
    venue: Any = exchange.venue
    is_named = params.get("marginAsset") or params.get("pair")
    takes = NO_ORDERS if is_named and not venue.hides_all else ALL_ORDERS
    found = []
    for symbol in symbols_of(exchange, params):
        instrument = exchange.instruments[symbol]
        if instrument.takes >= takes and params.get("marginAsset") in (
            None,
            "",
            instrument.margin_asset,
        ):
            for side in ("BOTH", "LONG", "SHORT") if account.hedge else ("BOTH",):
                held = account.positions.get((symbol, side)) or Position(instrument, side)
                found.append(position_row(exchange, account, held))
    return found


def positions(exchange: Exchange, account: Account, params: Params) -> Any:
    """Positions by margin asset or pair; a symbol is not asked for."""
    if params.get("marginAsset") and params.get("pair"):
        raise refusal(-1128, "Combination of optional parameters invalid.")
    return _positions(exchange, account, {name: params.get(name, "") for name in ("marginAsset", "pair")})


def account(exchange: Exchange, account: Account, _params: Params) -> Any:
    """Balances by coin, and positions."""
    wallets = account.wallets.values()
    return {
        "assets": [SAYS.asset_query(account, one, profit_of(exchange, account, one)) for one in wallets],
        "positions": [SAYS.account_position(row) for row in _positions(exchange, account, {})],
        "canDeposit": True,
        "canTrade": True,
        "canWithdraw": True,
        "feeTier": 0,
        "updateTime": 0,
    }


def leverage_bracket(exchange: Exchange, _account: Account, params: Params) -> Any:
    """One bracket for all, in coin."""
    bracket = {"bracket": 1, "initialLeverage": 125, "qtyCap": 1000, "qtyFloor": 0, "maintMarginRatio": 0.025}
    return [{"symbol": name, "brackets": [bracket | {"cum": 0.0}]} for name in symbols_of(exchange, params)]


_BALANCE: Final = Operation(queries.balance, SIGNED, 1)
_POSITIONS: Final = Operation(positions, SIGNED, 1)
_ACCOUNT: Final = Operation(account, SIGNED, 5)
_MODIFY: Final = api.modify_operation(1)

REST: Final = api.REST | {
    ("PUT", "/v1/order"): _MODIFY,
    ("GET", "/v1/premiumIndex"): Operation(queries.premium_index, NOTHING, 10),
    ("GET", "/v1/income"): Operation(queries.income, SIGNED, 20),
    ("GET", "/v1/balance"): _BALANCE,
    ("GET", "/v1/positionRisk"): _POSITIONS,
    ("GET", "/v1/account"): _ACCOUNT,
    ("GET", "/v2/leverageBracket"): Operation(leverage_bracket, SIGNED, 1),
}
WS_METHODS: Final = api.WS_METHODS | {
    "order.modify": _MODIFY,
    "account.balance": Operation(queries.balance, SIGNED, 5),
    "account.position": Operation(positions, SIGNED, 5),
    "account.status": _ACCOUNT,
}
