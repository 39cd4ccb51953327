"""Steps live once, and one odd item does not spoil the others."""

import json
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemon.messages import BY_STREAM, DELISTED, NOT_TRADING, SET_ASIDE, STEPS_CHANGED
from daemon.session.catalog import Catalog, SetAside
from daemon.session.errors import Odd, OddItemError, WireError
from daemon.venues.binance.account import execution_of, read_balances, read_holdings, read_trades
from daemon.venues.binance.contracts import read_contract
from daemon.venues.binance.instruments import Contract, read_exchange_info, status_text
from daemon.venues.binance.orders import read_order, read_orders
from daemon.venues.binance.user import read_event

from .test_orders import ORDER
from .test_user import FILL, event_of


def described(symbol="BTCUSDT", tick="0.10", lot="0.001", status="TRADING"):
    return {
        "symbol": symbol,
        "status": status,
        "baseAsset": symbol.removesuffix("USDT"),
        "quoteAsset": "USDT",
        "filters": [
            {"filterType": "PRICE_FILTER", "tickSize": tick},
            {"filterType": "LOT_SIZE", "stepSize": lot, "minQty": lot, "maxQty": "1000"},
        ],
    }


def info(*symbols):
    return read_exchange_info(json.dumps({"rateLimits": [], "symbols": list(symbols)}).encode())


def catalog_of(*symbols):
    catalog = Catalog({})
    catalog.take(info(*symbols))
    return catalog


STEPS = st.sampled_from(["0.0001", "0.001", "0.01", "0.05", "0.1", "1", "10"])


@given(st.lists(st.tuples(STEPS, STEPS), min_size=1, max_size=8))
def test_the_steps_of_a_symbol_are_the_same_everywhere_and_never_change(history):
    catalog = Catalog({})
    first_tick, first_lot = (Decimal(one) for one in history[0])
    has_changed = False
    for tick, lot in history:
        (one,) = catalog.take(info(described(tick=tick, lot=lot)))
        has_changed = has_changed or (Decimal(tick), Decimal(lot)) != (first_tick, first_lot)
        steps = catalog.steps["BTCUSDT"]
        assert (steps.tick.size, steps.lot.size) == (one.tick_size, one.lot_size) == (first_tick, first_lot)
        assert one.is_trading is not has_changed, "an answer that flaps is not traded on"
        assert one.trouble == (STEPS_CHANGED if has_changed else "")
        if has_changed:
            assert "restart" in one.why


def test_a_symbol_that_is_listed_no_more_keeps_its_number_and_is_not_traded():
    catalog = catalog_of(described("AUSDT"), described("BTCUSDT"))
    a, btc, new = catalog.take(info(described("NEWUSDT"), described("BTCUSDT")))
    assert (a.number, a.trouble, a.is_trading) == (0, DELISTED, False)
    assert (btc.number, btc.trouble, btc.is_trading) == (1, "", True)
    assert (new.number, new.symbol, new.is_trading) == (2, "NEWUSDT", True)
    assert catalog.take(info(described("AUSDT"), described("BTCUSDT")))[0].is_trading


def test_an_answer_without_symbols_is_sick_and_does_not_end_all_contracts():
    catalog = catalog_of(described())
    with pytest.raises(WireError, match="no symbol"):
        catalog.take(info())
    assert catalog.instruments["BTCUSDT"].is_trading


def test_a_description_that_can_not_be_read_stops_its_symbol_alone():
    catalog = catalog_of(described("AUSDT"), described("BTCUSDT"))
    a, btc = catalog.take(info(described("AUSDT", tick="abc"), described("BTCUSDT")))
    assert (a.trouble, a.is_trading) == (SET_ASIDE, False)
    assert btc.is_trading


@pytest.mark.parametrize("status", ["BREAK", "SETTLING", "PRE_DELIVERING", "PENDING_TRADING", "?"])
def test_a_status_is_heard_as_it_happens_and_holds_until_exchange_info_says_otherwise(status):
    catalog = catalog_of(described())
    stopped = catalog.stop("BTCUSDT", status_text(status))
    assert stopped is not None
    assert (stopped.is_trading, stopped.trouble) == (False, NOT_TRADING)
    assert status in stopped.why
    assert catalog.stop("BTCUSDT", status_text(status)) is None, "it is no news"
    assert catalog.take(info(described(status=status)))[0].trouble == NOT_TRADING
    assert catalog.take(info(described()))[0].is_trading


def test_contracts_of_coin_m_and_other_messages_are_not_heard():
    event = {"e": "contractInfo", "s": "BTCUSDT", "cs": "SETTLING", "st": 1}

    def message(data):
        return json.dumps({"stream": "!contractInfo", "data": data}).encode()

    assert read_contract(message(event)) == Contract("contractInfo", "BTCUSDT", "SETTLING", 1)
    assert read_contract(message(event | {"st": 2})) is None
    assert read_contract(message(event | {"e": "trade"})) is None
    assert read_contract(b'{"result":null,"id":1}') is None
    assert read_contract(b"{") is None


# --- Items ----------------------------------------------------------------------------------------------------------


def test_a_price_between_two_ticks_is_taken_with_the_nearest_tick_and_its_exact_value(steps):
    report = read_order(json.dumps(ORDER | {"price": "43187.07"}).encode(), steps, "query")
    assert (report.price_tick, report.is_off_grid) == (431_871, True)
    (event,) = read_event(event_of(**FILL | {"L": "9910.04", "p": "9910.04"}), steps)
    assert event.source == BY_STREAM
    assert (event.execution.price_tick, event.execution.price) == (99_100, 9910.04)
    assert event.is_off_grid


def test_the_end_of_an_order_is_known_whatever_its_quantity(steps):
    odd = ORDER | {"origQty": "0.0015", "executedQty": "0.0005"}
    with pytest.raises(OddItemError) as failure:
        read_order(json.dumps(odd).encode(), steps, "query")
    assert failure.value.symbol == "BTCUSDT"
    ended = read_order(json.dumps(odd | {"status": "CANCELED"}).encode(), steps, "query")
    assert (ended.qty_lots, ended.cum_lots) == (1, 0)


TRADE = {"symbol": "BTCUSDT", "id": 7, "orderId": 5, "side": "BUY", "price": "1.0", "qty": "1", "time": 1}
POSITION = {"symbol": "BTCUSDT", "positionAmt": "0.010"}


def test_one_item_of_a_list_does_not_spoil_the_others(steps):
    orders = [
        ORDER,
        ORDER | {"symbol": "GONEUSDT", "orderId": 9},
        ORDER | {"origQty": "0.0001", "orderId": 8},
    ]
    reports, odd = read_orders(json.dumps(orders).encode(), steps)
    assert len(reports) == 1
    assert [(one.symbol, one.key, one.blocks) for one in odd] == [
        ("GONEUSDT", "9", True),
        ("BTCUSDT", "8", True),
    ]
    odd = []
    positions = [
        POSITION,
        POSITION | {"symbol": "GONEUSDT"},
        POSITION | {"symbol": "OLDUSDT", "positionAmt": "0.000"},
        POSITION | {"symbol": "ETHUSDT", "positionAmt": "0.00001"},
        POSITION | {"symbol": "ETHUSDT", "positionSide": "LONG"},
        {"symbol": "AUSDT", "positionAmt": None},
    ]
    held = read_holdings(json.dumps(positions).encode(), steps, odd)
    assert [one.symbol for one in held] == ["BTCUSDT"]
    assert [one.symbol for one in odd] == ["AUSDT", "GONEUSDT", "ETHUSDT", "ETHUSDT"]
    odd = []
    trades = read_trades(json.dumps([TRADE, TRADE | {"id": "x"}]).encode(), odd)
    assert [one.id for one in trades] == [7]
    assert len(odd) == 1
    with pytest.raises(OddItemError):
        execution_of(trades[0], "", {})
    odd = []
    balances = read_balances(b'[{"asset":"USDT","balance":"1"},{"asset":"X","balance":"NaN"}]', odd)
    assert [one.asset for one in balances] == ["USDT"]
    assert [one.symbol for one in odd] == ["X"]


def test_what_an_account_event_says_beside_an_odd_position_is_taken(steps):
    event = {
        "e": "ACCOUNT_UPDATE",
        "E": 9,
        "T": 8,
        "a": {
            "B": [{"a": "USDT", "wb": "5"}, {"a": "X", "wb": "?"}],
            "P": [{"s": "GONEUSDT", "pa": "1"}, {"s": "BTCUSDT", "pa": "0.001"}],
        },
    }
    odd: list[Odd] = []
    values = read_event(json.dumps(event).encode(), steps, odd)
    assert [getattr(one, "symbol", getattr(one, "asset", "")) for one in values] == ["BTCUSDT", "USDT"]
    assert [one.symbol for one in odd] == ["GONEUSDT", ""]


# --- What is set aside ----------------------------------------------------------------------------------------------


def test_a_symbol_is_not_traded_while_something_of_it_is_set_aside():
    catalog = catalog_of(described("BTCUSDT"), described("ETHUSDT"))
    aside, told, wanted = SetAside(catalog), [], []
    aside.on_instruments, aside.on_wanted = told.extend, lambda: wanted.append(1)
    item = Odd("position", "BTCUSDT", "BTCUSDT", "it is on no lot")
    aside.listed("position", [item, Odd("position", "GONEUSDT", "GONEUSDT", "not known")])
    assert [(one.symbol, one.trouble) for one in told] == [("BTCUSDT", SET_ASIDE)]
    assert catalog.instruments["ETHUSDT"].is_trading
    assert {(one.key, one.symbol) for one in aside.warnings()} == {
        ("set_aside", "BTCUSDT"),
        ("set_aside", "GONEUSDT"),
    }
    aside.listed("position", [item])
    assert aside.counts["position"] == 2, "each counts once"
    assert len(wanted) == 1
    aside.listed("open order", [])
    assert not catalog.instruments["BTCUSDT"].is_trading
    aside.listed("position", [])
    assert [(one.symbol, one.is_trading) for one in told[1:]] == [("BTCUSDT", True)]
    assert list(aside.warnings()) == []


def test_items_of_a_symbol_that_becomes_known_are_looked_at_again():
    catalog = catalog_of(described("BTCUSDT"))
    aside = SetAside(catalog)
    aside.note(Odd("fill", "NEWUSDT", "7 BUY", "not known"))
    assert [one.symbol for one in aside.warnings()] == ["NEWUSDT"]
    catalog.take(info(described("BTCUSDT"), described("NEWUSDT")))
    aside.look_again()
    assert list(aside.warnings()) == []


def test_an_order_of_somebody_else_of_an_unknown_kind_is_set_aside_and_its_symbol_is_traded(steps):
    _, odd = read_orders(json.dumps([ORDER | {"status": "PONDERING"}]).encode(), steps)
    catalog = catalog_of(described("BTCUSDT"))
    aside = SetAside(catalog)
    aside.listed("open order", odd)
    assert catalog.instruments["BTCUSDT"].is_trading
    assert aside.counts["open order"] == 1
