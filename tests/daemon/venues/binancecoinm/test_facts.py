"""What COIN-M says otherwise than USD-M: instruments, answers, errors, events, configuration."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemon.connector.limiter import Limiter
from daemon.connector.venue import find_venue, venue_names
from daemon.messages import CONFIRMED, REFUSED, UNKNOWN, Execution, Holding, Modify, Submit
from daemon.orders.limits import AccountLimits, CompiledLimits
from daemon.orders.positions import Ledger
from daemon.session.errors import WireError
from daemon.session.facts import Balance, Error
from daemon.venues.binance.account import execution_of, read_holdings, read_trades
from daemon.venues.binance.book import APPLY, DROP, HOLD, BookSync
from daemon.venues.binance.contracts import read_contract
from daemon.venues.binance.instruments import read_exchange_info
from daemon.venues.binance.requests import rest_request
from daemon.venues.binance.signing import HmacSigner, query
from daemon.venues.binance.user import read_event
from daemon.venues.binancecoinm.config import BinanceCoinMConfig
from daemon.venues.binancecoinm.facts import COINM, ORDERS, REST, MarketFacts
from daemon.venues.binancefutures.config import BinanceFuturesConfig
from daemon.venues.binancefutures.facts import ORDERS as USDM_ORDERS
from hftd import constants as c
from hftd.config import load
from hftd.errors import ConfigError
from tests.laws import ROOT

from .made import INFO, ORDER, PERP, POSITION, QUARTER, STEPS, SYMBOL, UNTOLD_LIMITS, position, user_order

PLACE = Submit(7, "a1", "BTCUSD_PERP", c.BUY, c.LIMIT, c.GTX, 431_870, 100)
AMEND = Modify(7, "a1", "", "BTCUSD_PERP", c.BUY, 431_870, 100)


def instruments(*symbols):
    return read_exchange_info(json.dumps(INFO | {"symbols": symbols}).encode(), is_inverse=True)


# ---- instruments


def test_contracts_are_inverse_have_their_size_and_settle_in_their_coin():
    info = instruments(SYMBOL, QUARTER)
    assert info.instruments[0] == PERP
    quarter = info.instruments[1]
    assert (quarter.contract_size, quarter.inverse, quarter.base) == (10.0, True, "ETH")
    assert not info.unread


@pytest.mark.parametrize("status", ["PRE_DELIVERING", "DELIVERED", "TRADING_HALT", "SETTLING", "", "NEW ONE"])
def test_the_status_that_counts_is_contract_status(status):
    found = instruments(SYMBOL | {"contractStatus": status, "status": "TRADING"}).instruments[0]
    assert not found.is_trading
    assert status in found.why


@pytest.mark.parametrize(
    "broken",
    [
        *({"contractSize": size} for size in (0, -100, "100", None, 1e300)),
        *({"marginAsset": asset} for asset in ("USDT", "")),
    ],
)
def test_a_contract_whose_worth_is_not_known_can_not_be_traded(broken):
    info = instruments(SYMBOL | broken, QUARTER)
    assert [one.symbol for one in info.instruments] == ["ETHUSD_261225"]
    assert len(info.unread) == 1 and "BTCUSD_PERP" in info.odd


def test_limits_on_value_count_an_inverse_contract_in_dollars_whatever_its_price():
    ledger = Ledger(PERP)
    ledger.best_bid_tick, ledger.is_book_valid = 431_000, True
    limits = CompiledLimits(AccountLimits(max_order_notional=1000.0, max_position_notional=2500.0), ledger)
    for tick in (1, 431_870, 45_209_580):
        assert limits.check(ledger, 0, c.BUY, tick, 10, 0) == 0
        assert limits.check(ledger, 0, c.SELL, tick, 11, 0) == c.REASON_LIMIT_NOTIONAL
        assert limits.check(ledger, 16, c.BUY, tick, 10, 0) == c.REASON_LIMIT_POSITION


# ---- the account


def test_a_fill_is_counted_in_contracts_and_its_fee_in_the_coin():
    fill = {
        "symbol": "BTCUSD_PERP",
        "id": 6,
        "orderId": 28,
        "side": "SELL",
        "price": "8800",
        "qty": "1",
        "baseQty": "0.01136364",
        "commission": "0.00000454",
        "commissionAsset": "BTC",
        "time": 1590743483586,
        "maker": False,
    }
    trade = read_trades(json.dumps([fill]).encode())[0]
    execution = execution_of(trade, "a1", STEPS)
    assert (execution.qty_lots, execution.price_tick, execution.fee) == (1, 88_000, 0.00000454)
    ledger = Ledger(PERP)
    book = ledger.book("a")
    ledger.count(book, execution, True, 1)
    assert book.balance == pytest.approx(0.01136364, abs=5e-9), "as the exchange rounds what it was worth"
    assert (book.fee, ledger.foreign_fees) == (0.00000454, {})


def test_positions_are_contracts_and_flat_ones_of_unknown_contracts_are_left_out():
    body = json.dumps([POSITION, position("SOLUSD_260327", "0")]).encode()
    assert read_holdings(body, STEPS) == [Holding("BTCUSD_PERP", -7, 51080.10000066, 1765338056122 * 10**6)]
    with pytest.raises(WireError, match="SOLUSD_260327"):
        read_holdings(json.dumps([position("SOLUSD_260327", "3")]).encode(), STEPS)


# ---- orders


def test_requests_go_to_dapi_and_a_change_has_both_values():
    steps = STEPS["BTCUSD_PERP"]
    assert ORDERS.rest_request(PLACE, steps)[:2] == ("POST", "/dapi/v1/order")
    method, params = rest_request(AMEND, steps)
    assert (method, dict(params)["quantity"], dict(params)["price"]) == ("PUT", "100", "43187.0")
    assert dict(rest_request(PLACE, steps)[1])["quantity"] == "100", "contracts have no point"
    assert REST.time_path == "/dapi/v1/time"
    asked = MarketFacts("0ms", "fused").ask_snapshot("BTCUSD_PERP")
    assert (asked.path, asked.weight) == ("/dapi/v1/depth", 20)


def test_signatures_are_those_of_the_exchanges_documentation():
    params = [
        ("symbol", "BTCUSD_200925"),
        ("side", "BUY"),
        ("type", "LIMIT"),
        ("quantity", 1),
        ("price", 9000),
    ]
    params += [("timeInForce", "GTC"), ("recvWindow", 5000), ("timestamp", 1591702613943)]
    signer = HmacSigner("k", "2b5eb11e18796d12d88f13dc27dbbd02c2cc51ff7059765ed9821957d82bb4d9")
    assert signer.sign(query(params)) == "04c8b9fbd55285a38fd6a3fc40ba3a7d114f22564dab61611bf24f2d2efb890f"


def test_a_limit_of_minus_one_is_not_told_and_request_weight_is_one_pool_with_rest():
    reply = ORDERS.read_reply(
        json.dumps({"id": 7, "status": 200, "result": ORDER, "rateLimits": UNTOLD_LIMITS}).encode()
    )
    assert reply.counts() == {"orders_1m": 3}
    outcome = ORDERS.outcome_of_order(PLACE, reply.result, STEPS)
    assert outcome.kind == CONFIRMED and outcome.report is not None
    assert (outcome.report.price_tick, outcome.report.qty_lots) == (431_870, 100), "prices are not padded"
    told = UNTOLD_LIMITS[0] | {"limit": 2400, "count": 13}
    failed = json.dumps({"id": 7, "status": 400, "error": {"code": -2011}, "rateLimits": [told]}).encode()
    assert ORDERS.read_reply(failed).counts() == {"weight_1m": 13}
    assert USDM_ORDERS.read_reply(failed).counts() == {"ws_weight_1m": 13}
    assert [one.name for one in ORDERS.limits_of("weight_1m", 2400, 60_000_000_000)] == ["weight_1m"]


def test_orders_in_ten_seconds_are_limited_though_the_exchange_does_not_list_it():
    limiter = Limiter(COINM.limits)
    cost = ORDERS.cost_order
    assert [limiter.take(cost, 1) for _ in range(300)] == [0] * 300
    assert limiter.take(cost, 1) > 0


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        # COIN-M's own numbers and USD-M's for the same.
        (-4112, c.REASON_REDUCE_ONLY),
        (-4118, c.REASON_REDUCE_ONLY),
        (-4113, c.REASON_FILTER),
        (-4131, c.REASON_FILTER),
        (-4178, c.REASON_FILTER),
        (-4164, c.REASON_FILTER),
        (-4188, c.REASON_EXCHANGE),
        (-5028, c.REASON_EXCHANGE),
        (-4199, c.REASON_NOT_TRADING),
        (-5024, c.REASON_NOT_TRADING),
        (-5022, c.REASON_POST_ONLY),
        (-5021, c.REASON_FOK),
        (-4090, c.REASON_PERMISSION),
        (-2019, c.REASON_MARGIN),
        (-2011, c.REASON_UNKNOWN_ORDER),
        (-4196, c.REASON_EXCHANGE),
        (-4197, c.REASON_EXCHANGE),
        (-4198, c.REASON_EXCHANGE),
    ],
)
def test_either_number_of_an_error_means_the_same(code, reason):
    outcome = ORDERS.outcome_of_error(PLACE, 400, Error(code, "words"))
    assert (outcome.kind, outcome.reason) == (REFUSED, reason)


@pytest.mark.parametrize("code", [-1000, -1001, -1006, -1007])
def test_what_the_exchange_does_not_know_is_unknown(code):
    assert ORDERS.outcome_of_error(PLACE, 400, Error(code, "")).kind == UNKNOWN


def test_hints_name_the_coins_wallet_and_the_clock():
    assert "COIN-M" in ORDERS.outcome_of_error(PLACE, 400, Error(-2019, "")).hint
    assert "clock" in ORDERS.outcome_of_error(PLACE, 400, Error(-4188, "")).hint
    assert "COIN-M" not in USDM_ORDERS.outcome_of_error(PLACE, 400, Error(-2019, "")).hint
    assert {-4188, -1021, -5028} <= REST.clock_codes


# ---- user events


def event(**changes):
    return read_event(json.dumps(user_order(**changes)).encode(), STEPS)[0]


def test_an_order_event_has_contracts_and_a_fee_in_the_coin():
    report = event(x="TRADE", X="PARTIALLY_FILLED", l="40", z="40", L="43187", t=9, n="0.00000926", m=True)
    assert (report.qty_lots, report.cum_lots, report.status) == (100, 40, c.PARTIALLY_FILLED)
    assert report.execution == Execution(
        symbol="BTCUSD_PERP",
        trade_id="9",
        client_id="a1",
        exch_order_id="199338059036",
        side=c.BUY,
        price_tick=431_870,
        qty_lots=40,
        is_maker=True,
        fee=0.00000926,
        fee_asset="BTC",
        exch_ns=1765338056122 * 10**6,
    )


@pytest.mark.parametrize(("tif", "reason"), [("GTX", c.REASON_POST_ONLY), ("FOK", c.REASON_FOK)])
def test_an_order_that_is_taken_and_then_expires_was_refused_for_the_same_reason_as_by_an_error(tif, reason):
    assert event(f=tif).status == c.NEW
    expired = event(f=tif, x="EXPIRED", X="EXPIRED")
    assert (expired.status, expired.reason) == (c.EXPIRED, reason)


@pytest.mark.parametrize("bep", ["51090.31602036", 51090.31602036])
def test_an_account_event_has_a_balance_for_each_coin_and_a_break_even_in_any_form(bep):
    account = {
        "e": "ACCOUNT_UPDATE",
        "E": 1765338056123,
        "T": 1765338056122,
        "i": "SgsR",
        "a": {
            "m": "ORDER",
            "B": [{"a": "BTC", "wb": "-0.00000039", "cw": "-0.00000039", "bc": "0"}],
            "P": [{"s": "BTCUSD_PERP", "pa": "1", "ep": "51080.10000066", "bep": bep, "ps": "BOTH"}],
        },
    }
    exch_ns = 1765338056122 * 10**6
    assert read_event(json.dumps(account).encode(), STEPS) == [
        Holding("BTCUSD_PERP", 1, 51080.10000066, exch_ns),
        Balance("BTC", -0.00000039, exch_ns),
    ]


# ---- streams


@pytest.mark.parametrize(("told", "is_ours"), [({"st": 2}, True), ({}, True), ({"st": 1}, False)])
def test_what_is_said_of_usd_m_contracts_on_the_shared_stream_is_left_out(told, is_ours):
    event = {"e": "contractInfo", "E": 1, "s": "BTCUSD_261225", "ps": "BTCUSD", "cs": "SETTLING", **told}
    message = json.dumps({"stream": "!contractInfo", "data": event}).encode()
    assert (read_contract(message, COINM.st) is not None) == is_ours


@given(st.integers(1, 1000), st.integers(0, 50))
def test_the_first_change_may_end_at_the_snapshot_or_span_it(last_id, before):
    sync = BookSync()
    assert sync.diff(last_id, last_id - before - 1) == HOLD
    sync.lose()
    assert sync.snapshot(last_id)
    assert sync.diff(last_id, last_id - before - 1) == DROP, "it ends at the snapshot: the book has it"
    assert sync.diff(last_id + 40, last_id - before) == APPLY, (
        "it begins before the snapshot, and ends after it"
    )
    assert sync.diff(last_id + 90, last_id + 40) == APPLY


# ---- configuration


@pytest.mark.parametrize(
    "keys",
    [
        {"api_url": "https://dapi.binance.com"},
        {"stream_url": "wss://dstream.binance.com/ws"},
        {"ws_api_url": "wss://ws-dapi.binance.com/ws-dapi/v1"},
        {"stream_url": "ws://127.0.0.1:9080"},
    ],
)
def test_addresses_of_two_environments_are_refused(keys):
    with pytest.raises(ValueError, match="must be of one environment"):
        BinanceCoinMConfig(**keys)
    mainnet = {
        "api_url": "https://dapi.binance.com",
        "stream_url": "wss://dstream.binance.com/ws",
        "ws_api_url": "wss://ws-dapi.binance.com/ws-dapi/v1",
    }
    BinanceCoinMConfig(**mainnet)


def test_addresses_of_coin_m_are_none_of_usd_m():
    for key, address in (
        ("api_url", "https://dapi.binance.com"),
        ("stream_url", "wss://dstream.binance.com/ws"),
        ("ws_api_url", "wss://testnet.binancefuture.com/ws-dapi/v1"),
    ):
        with pytest.raises(ValueError, match=f"`{key}` is an address of another product"):
            BinanceFuturesConfig(**{key: address})
    assert BinanceFuturesConfig(api_url="https://example.com/dapi").rest_url(), "somebody's own gateway"


def test_the_venues_are_found_by_their_folders_and_what_a_family_shares_is_no_venue():
    assert {"binancecoinm", "binancefutures"} <= set(venue_names()) and "binance" not in venue_names()
    assert find_venue("binancecoinm").config_type is BinanceCoinMConfig
    with pytest.raises(ConfigError, match="no connector 'binance'"):
        find_venue("binance")


def test_the_configuration_that_comes_along_is_the_testnets_and_streams_are_on_one_path():
    config = load(ROOT / "configs" / "binancecoinm.toml", BinanceCoinMConfig)
    assert config == BinanceCoinMConfig(order_prefix="test")
    assert config.market_url() == "wss://dstream.binancefuture.com/stream"
    assert config.contracts_url() == "wss://dstream.binancefuture.com/stream"
    assert config.user_url() == "wss://dstream.binancefuture.com"
    assert config.rest_url() == "https://testnet.binancefuture.com"
    assert config.orders_url() == "wss://testnet.binancefuture.com/ws-dapi/v1"


@pytest.mark.parametrize(
    ("api_url", "orders_url"),
    [
        ("https://dapi.binance.com", "wss://ws-dapi.binance.com/ws-dapi/v1"),
        ("https://dapi-mm.binance.com", "wss://ws-dapi-mm.binance.com/ws-dapi/v1"),
        ("https://demo-dapi.binance.com", ""),
    ],
)
def test_orders_go_where_the_host_of_rest_belongs(api_url, orders_url):
    stream_url = api_url.replace("https", "wss").replace("dapi", "dstream")
    assert BinanceCoinMConfig(api_url=api_url, stream_url=stream_url).orders_url() == orders_url


def test_each_class_of_streams_can_have_a_path_before_it():
    config = BinanceCoinMConfig(
        api_url="https://dapi.binance.com",
        stream_url="wss://dstream.binance.com/ws",
        public_path="/public",
        market_path="/market",
        private_path="/private",
    )
    assert config.market_url() == "wss://dstream.binance.com/public/stream"
    assert config.contracts_url() == "wss://dstream.binance.com/market/stream"
    assert config.user_url() == "wss://dstream.binance.com/private"


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ('private_path = "private"', "`private_path` must be empty or like '/public'"),
        ('market_path = "/market/"', "`market_path` must be"),
        ('stream_url = "ws://dstream.binance.com/ws"', "`stream_url` must be encrypted"),
        ('api_url = "dapi.binance.com"', "`api_url` must begin with"),
        ('routes = "old"', "routes"),
        ('depth = "250ms"', "depth"),
        ("countdown_s = -1", "countdown_s"),
        ('api_url = "https://fapi.binance.com"', "`api_url` is an address of another product"),
        ('stream_url = "wss://fstream.binance.com/ws"', "`stream_url` is an address of another product"),
        (
            'ws_api_url = "wss://testnet.binancefuture.com/ws-fapi/v1"',
            "`ws_api_url` is an address of another",
        ),
    ],
)
def test_a_wrong_key_of_the_configuration_is_one_message_with_its_line(line, words, tmp_path):
    path = tmp_path / "binancecoinm.toml"
    path.write_text(f"# COIN-M\n{line}\n")
    with pytest.raises(ConfigError) as error:
        load(path, BinanceCoinMConfig)
    assert words in f"{error.value}", error.value
    assert str(path) in f"{error.value}"
