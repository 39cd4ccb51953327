"""The live demo's judgement: accounts agree only if every unit does."""

from copy import deepcopy

import numpy as np
import pytest
from msgspec.structs import replace

from daemon.cli.run.live_check import compare
from hftd.control import status
from hftd.types import fill_dtype
from tests.results import make_result

TICK, LOT = 0.1, 0.001
TRUTH = {
    "start_balance": 10_000_00000000,
    "balance": 10_000_00000000 + 10_00000000 - 81000000,
    "positions": [{"symbol": "BTCUSDT", "lots": 5, "cost": 100_00000000}],
    "open_orders": [],
    "trades": [
        # Ten lots bought at 20,000.0 and five of them sold at 22,000.0.
        {
            "symbol": "BTCUSDT",
            "side": 1,
            "tick": 200_000,
            "lots": 10,
            "maker": True,
            "money": 200_00000000,
            "fee": 41000000,
        },
        {
            "symbol": "BTCUSDT",
            "side": -1,
            "tick": 220_000,
            "lots": 5,
            "maker": False,
            "money": 110_00000000,
            "fee": 40000000,
        },
    ],
}
VALUES = {
    "position": 0.005,
    "balance": -90.0,
    "fee": 0.81,
    "num_trades": 2,
    "trading_volume": 0.015,
    "trading_value": 310.0,
}


def a_result(**changes):
    fills = np.zeros(2, fill_dtype)
    fills["side"], fills["price"], fills["qty"], fills["maker"] = (
        (1, -1),
        (20_000, 22_000),
        (0.01, 0.005),
        (1, 0),
    )
    made = make_result()
    asset = replace(made.assets[0], symbol="BTCUSDT", **(VALUES | changes))
    return replace(made, assets=[asset], fills=fills)


def rows(result=None, known=None, open_orders=0, truth=TRUTH):
    known = known or status.Position(symbol="BTCUSDT", **VALUES)
    return {row.what: row for row in compare(result or a_result(), known, open_orders, truth, TICK, LOT)}


def differing(**arguments):
    return {what for what, row in rows(**arguments).items() if not row.agrees}


def test_equal_accounts_agree_in_everything():
    assert differing() == set()
    assert rows()["wallet"].bot == rows()["wallet"].exchange == "10,009.19000000"


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        ({"position": 0.006}, {"position"}),
        ({"fee": 0.81000001}, {"fees", "wallet"}),
        ({"balance": -90.00000001}, {"cash", "wallet"}),
        ({"num_trades": 3}, {"executions"}),
        ({"trading_volume": 0.016}, {"volume"}),
        ({"trading_value": 310.00000001}, {"value"}),
    ],
)
def test_one_unit_in_the_bots_or_the_connectors_account_is_seen(changes, what):
    assert differing(result=a_result(**changes)) == what
    assert differing(known=status.Position(symbol="BTCUSDT", **(VALUES | changes))) == what


def test_an_order_that_is_left_open_is_seen_on_either_side():
    assert differing(open_orders=1) == {"open orders"}
    assert differing(truth=TRUTH | {"open_orders": [7]}) == {"open orders"}


def test_a_fill_at_another_price_is_seen_though_the_sums_are_the_same():
    truth = deepcopy(TRUTH)
    truth["trades"][0]["tick"] += 1
    assert differing(truth=truth) == {"fills"}


def test_of_several_assets_each_is_compared_with_its_own_account():
    made = a_result()
    other = replace(made.assets[0], symbol="ETHUSDT", position=0.007)
    fills = np.concatenate([made.fills, made.fills])
    fills["asset_no"] = (1, 1, 0, 0)
    fills["price"][2:] += 1.0
    result = replace(made, assets=[other, made.assets[0]], fills=fills)
    known = status.Position(symbol="BTCUSDT", **VALUES)
    told = compare(result, known, 0, TRUTH, TICK, LOT, asset_no=1)
    assert all(row.agrees for row in told)
    told = compare(result, status.Position(symbol="ETHUSDT", position=0.0), 0, TRUTH, TICK, LOT)
    assert {"position", "fills", "executions"} <= {row.what for row in told if not row.agrees}


def inverse(balance):
    """10 contracts of 100 dollars bought at 20,000.0, 5 of them sold at 22,000.0, and the coins left; what differs."""
    symbol, size = "BTCUSD_PERP", 100.0
    trades = [
        {
            "symbol": symbol,
            "side": 1,
            "tick": 200_000,
            "lots": 10,
            "maker": True,
            "money": 5_000_000,
            "fee": 2000,
        },
        {
            "symbol": symbol,
            "side": -1,
            "tick": 220_000,
            "lots": 5,
            "maker": False,
            "money": 2_272_727,
            "fee": 1136,
        },
    ]
    for trade, price in zip(trades, ("20000.0", "22000.0"), strict=True):
        trade |= {"qty": str(trade["lots"]), "price": price}
    truth = {
        "start_balance": 10_00000000,
        "balance": balance,
        "positions": [{"symbol": symbol, "lots": 5, "cost": 2_500_000}],
        "open_orders": [],
        "trades": trades,
    }
    bought, sold = size * 10 / 20_000, size * 5 / 22_000
    values = {"position": 5.0, "balance": sold - bought, "fee": 0.00003136, "num_trades": 2}
    values |= {"trading_volume": 15.0, "trading_value": bought + sold}
    made = a_result()
    fills = made.fills.copy()
    fills["qty"] = (10, 5)
    asset = replace(made.assets[0], symbol=symbol, contract_size=size, inverse=True, **values)
    result, known = replace(made, assets=[asset], fills=fills), status.Position(symbol=symbol, **values)
    return {row.what for row in compare(result, known, 0, truth, TICK, 1.0) if not row.agrees}


def test_accounts_in_inverse_contracts_agree_in_coin_but_for_the_rounding_of_each_profit():
    # 0.025 less 0.0227272727 coins won, and the fees.
    balance = 10_00000000 + 227_273 - 3136
    assert inverse(balance) == inverse(balance + 2) == set()
    assert inverse(balance + 3) == {"wallet"}


SPOT_VALUES = {
    # Bought 0.01 at 20,000 for 0.00001 of it, and sold 0.005 at 22,000 for 0.11 of the quote.
    "position": 0.00499,
    "balance": -89.8,
    "fee": 0.31,
    "num_trades": 2,
    "trading_volume": 0.015,
    "trading_value": 310.0,
}
_MORE = (
    {"price": "20000.0", "fee": 1000, "fee_asset": "BTC"},
    {"price": "22000.0", "fee": 11000000, "fee_asset": "USDT"},
)
SPOT = TRUTH | {
    "positions": [],
    "wallets": [
        {"asset": "BTC", "start_balance": 10_00000000, "balance": 10_00499000},
        {"asset": "USDT", "start_balance": 10_000_00000000, "balance": 10_000_00000000 - 90_11000000},
    ],
    "trades": [trade | more for trade, more in zip(TRUTH["trades"], _MORE, strict=True)],
}


def spot(result=None, known=None, truth=SPOT):
    result = result or a_result(**SPOT_VALUES)
    known = known or status.Position(symbol="BTCUSDT", **SPOT_VALUES)
    return {
        one.what for one in compare(result, known, 0, truth, TICK, LOT, ("BTC", "USDT")) if not one.agrees
    }


def test_a_spot_account_agrees_in_its_balances_with_fees_in_the_base_and_in_the_quote():
    assert spot() == set()


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        ({"position": 0.00499001}, {"position"}),
        ({"position": 0.005}, {"position"}),
        ({"fee": 0.31000002}, {"fees", "wallet"}),
        ({"balance": -89.80000002}, {"cash", "wallet"}),
        ({"num_trades": 3}, {"executions"}),
    ],
)
def test_what_a_spot_account_does_not_have_is_seen(changes, what):
    assert spot(result=a_result(**(SPOT_VALUES | changes))) == what
    assert spot(known=status.Position(symbol="BTCUSDT", **(SPOT_VALUES | changes))) == what


@pytest.mark.parametrize(("number", "what"), [(0, "position"), (1, "wallet")])
def test_a_balance_that_nothing_explains_is_seen(number, what):
    truth = deepcopy(SPOT)
    truth["wallets"][number]["balance"] += 2
    assert spot(truth=truth) == {what}
