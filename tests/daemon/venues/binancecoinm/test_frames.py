"""Frames that were recorded of COIN-M, and the examples of its documentation."""

import json
from collections import Counter
from typing import Any

import pytest

from daemon.messages import BY_REPLY, CONFIRMED, REFUSED, Cancel, Submit
from daemon.session.catalog import steps_of
from daemon.session.facts import ControlReply, UnknownEvent
from daemon.session.market.snapshots import read_book
from daemon.session.trading.incoming import outcome_of_reply
from daemon.venues.binance.account import (
    execution_of,
    read_balances,
    read_commission,
    read_holdings,
    read_listen_key,
    read_trades,
)
from daemon.venues.binance.book import APPLY, DROP, BookSync
from daemon.venues.binance.instruments import read_exchange_info
from daemon.venues.binance.orders import read_order, read_orders
from daemon.venues.binancecoinm.facts import ORDERS, MarketFacts
from hftd import constants as c
from hftd.venues.reader import BEST, DEPTH, best_prices
from tests.daemon.venues.conftest import data

from .made import STEPS, SYMBOL

FACTS = MarketFacts("100ms", "fused")
READER = FACTS.reader()


def name_of_other(message: bytes) -> str:
    """The name of an event that is not read, or "control" for an answer that is no mistake."""
    other = FACTS.read_other(message)
    assert isinstance(other, UnknownEvent) or (isinstance(other, ControlReply) and not other.problem)
    return other.name if isinstance(other, UnknownEvent) else "control"


def lines(name: str) -> list[tuple[str, bytes]]:
    """(Question, message) of a recording: "time: json", or "question -> time: json"."""
    found = []
    for line in data(f"frames/binance_cryptofeed/{name}").read_text().splitlines():
        head, _, message = line.partition(": {")
        if message:
            found.append((head, f"{{{message}".encode()))
    return found


def test_every_book_of_a_recording_joins_its_snapshot_and_never_breaks():
    snapshots = {}
    for asked, body in lines("BINANCE_DELIVERY.http.0.0"):
        if "/depth?" in asked:
            symbol = asked.partition("symbol=")[2].partition("&")[0]
            snapshots[symbol] = best_prices(read_book(READER, body).rows), read_book(READER, body).last_id
    assert len(snapshots) == 10
    syncs = {symbol: BookSync() for symbol in snapshots}
    held: dict[str, list[Any]] = {symbol: [] for symbol in snapshots}
    kinds: Counter[object] = Counter()
    books: dict[str, int] = {}
    for _, message in lines("BINANCE_DELIVERY.ws.1.0"):
        read = READER.read(message, 1)
        if read is None:
            kinds[name_of_other(message)] += 1
            continue
        kinds[read.kind] += 1
        symbol = read.stream.partition("@")[0].upper()
        if read.kind == DEPTH:
            held[symbol].append(read)
        elif read.kind == BEST:
            assert read.last_id >= books.get(symbol, 0), "its numbers rise, as those of changes do"
            books[symbol] = read.last_id
    assert (kinds[DEPTH], kinds[BEST], kinds["aggTrade"]) == (2047, 2240, 51)
    for symbol, sync in syncs.items():
        (bid, ask), last_id = snapshots[symbol]
        assert bid < ask
        assert sync.snapshot(last_id)
        done = [sync.diff(one.last_id, one.previous_id) for one in held[symbol]]
        first = done.index(APPLY)
        assert set(done[:first]) <= {DROP} and set(done[first:]) == {APPLY}, symbol


def test_each_contract_of_a_recorded_exchange_info_is_read():
    body = next(body for asked, body in lines("BINANCE_DELIVERY.0") if "exchangeInfo" in asked)
    info = read_exchange_info(body, is_inverse=True)
    assert info.unread == []
    assert len(info.instruments) == len(json.loads(body)["symbols"]) > 20
    assert {one.contract_size for one in info.instruments if one.base == "BTC"} == {100.0}
    assert {one.contract_size for one in info.instruments if one.base != "BTC"} == {10.0}
    assert all(one.lot_size == 1 and one.inverse and one.quote == "USD" for one in info.instruments)
    assert info.limits.keys() == {"weight_1m", "orders_1m"}


def test_single_frames_of_streams_are_read():
    kinds: Counter[object] = Counter()
    for line in data("frames/coinm/tardis_delivery_streams.jsonl").read_text().splitlines():
        if not line.startswith("{"):
            continue
        read = READER.read(line.encode(), 1)
        kinds[read.kind if read is not None else name_of_other(line.encode())] += 1
    assert kinds[DEPTH] >= 1 and kinds["control"] >= 1


@pytest.fixture(scope="module")
def examples() -> dict[str, dict[str, Any]]:
    """The documentation's answers, by part and name."""
    found: dict[str, dict[str, Any]] = {}
    part = ""
    for line in data("frames/coinm/official_sdk_examples_cm.txt").read_text().splitlines():
        if line.startswith("#### "):
            part = line.rpartition("/")[2].split()[0]
        elif line.startswith("test_"):
            name, _, text = line.partition(" ")
            answer = json.loads(text).get("expected_response")
            found.setdefault(part, {})[name.removeprefix("test_").removesuffix("_success")] = answer
    return found


def body(answer: Any) -> bytes:
    return json.dumps(answer).encode()


def steps_with(*symbols: str):
    # Some examples have parts of contracts, which do not exist.
    parts = {"filters": [SYMBOL["filters"][0], {"filterType": "LOT_SIZE", "stepSize": "0.1"}]}
    infos = [SYMBOL | parts | {"symbol": symbol} for symbol in symbols]
    read = read_exchange_info(body({"rateLimits": [], "symbols": infos}), is_inverse=True)
    return steps_of(read.instruments)


def test_the_answers_over_rest_of_the_documentation_are_read(examples):
    account, trade = examples["test_account_api.py"], examples["test_trade_api.py"]
    assert [one.asset for one in read_balances(body(account["futures_account_balance"]))] == ["BTC"]
    rates = read_commission(body(account["user_commission_rate"]))
    assert (rates.maker, rates.taker) == (0.00015, 0.0004)
    fills = read_trades(body(trade["account_trade_list"]))
    execution = execution_of(fills[0], "", steps_with("BTCUSD_200626"))
    assert (execution.side, execution.fee, execution.fee_asset) == (c.SELL, 0.00000454, "BTC")
    positions = trade["position_information"]
    steps = steps_with(*{one["symbol"] for one in positions})
    odd: list[Any] = []
    read_holdings(body(positions), steps, odd)
    assert all("hedge mode" in one.why for one in odd), "it shows both modes' answers"
    for name in ("new_order", "cancel_order", "modify_order", "query_order"):
        report = read_order(body(trade[name]), steps_with(trade[name]["symbol"]), BY_REPLY)
        assert report.symbol == trade[name]["symbol"]
    orders = trade["current_all_open_orders"]
    reports, strange = read_orders(body(orders), steps_with(*{one["symbol"] for one in orders}))
    assert len(reports) == len(orders) and not strange
    keys = examples["test_user_data_streams_api.py"]
    assert read_listen_key(body(keys["keepalive_user_data_stream"])), "an extension answers with the key"


def test_the_answers_over_web_socket_of_the_documentation_are_read(examples):
    answers = examples["test_trade_api_ws_api.py"]
    for name in ("new_order", "cancel_order", "modify_order", "query_order"):
        reply = ORDERS.read_reply(body(answers[name]))
        order = answers[name]["result"]
        command = Cancel(1, order["clientOrderId"], "", order["symbol"])
        assert outcome_of_reply(ORDERS, command, reply, STEPS).kind == CONFIRMED
        assert reply.counts() == {"weight_1m": 6}
    refused = {"id": "1", "status": 400, "error": {"code": -2019, "msg": "Margin is insufficient."}}
    place = Submit(1, "a1", "BTCUSD_PERP", c.BUY, c.LIMIT, c.GTC, 1, 1)
    outcome = outcome_of_reply(ORDERS, place, ORDERS.read_reply(body(refused)), STEPS)
    assert (outcome.kind, outcome.reason) == (REFUSED, c.REASON_MARGIN)
