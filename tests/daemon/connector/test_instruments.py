"""What the exchange changes of its instruments while the connector runs."""

import json

from daemon.connector import report, service
from hftd import wire
from hftd.constants import EXPIRED, REASON_NOT_TRADING

from .harness import bot_of, in_thread, running, wait_for_book


class Changed:
    """Lets a connector's exchangeInfo pass, with changes."""

    def __init__(self, whole) -> None:
        self._rest = whole.connector.session.trading._queries._rest
        self._ask = self._rest.ask
        self._rest.ask = self._asked
        self.change = lambda info: None
        self.calls = 0

    async def _asked(self, path, *arguments, **options):
        body = await self._ask(path, *arguments, **options)
        if path != "/fapi/v1/exchangeInfo":
            return body
        self.calls += 1
        info = json.loads(body)
        self.change(info)
        return json.dumps(info).encode()


def keys(whole):
    return {(one.key, one.symbol) for one in report.status_of(whole.connector).alerts}


def new_tick(info):
    for filters in info["symbols"][0]["filters"]:
        if filters["filterType"] == "PRICE_FILTER":
            filters["tickSize"] = "0.01"


async def test_a_change_of_the_tick_stops_the_symbol_until_a_restart_and_no_other(tmp_path):
    async with running(tmp_path) as whole:
        changed = Changed(whole)
        await whole.until_valid()
        market = whole.connector.bots.books.get(whole.connector.bots.instrument("BTCUSDT").number)

        def trade():
            with bot_of(end="keep") as bot:
                wait_for_book(bot)
                bot.submit_buy_order(0, 1, bot.depth(0).best_bid - 100.0, 0.01, 0, 0, True)

        await in_thread(trade)
        assert len(whole.open_orders) == 1
        changed.change = new_tick
        whole.connector.on_instruments_wanted()
        await whole.until(lambda: ("steps_changed", "BTCUSDT") in keys(whole))
        await whole.until(lambda: not whole.open_orders)
        assert not market.is_valid
        changed.change = lambda info: None
        whole.connector.on_instruments_wanted()
        calls = changed.calls
        await whole.until(lambda: changed.calls > calls)

        def again():
            with bot_of() as bot:
                bot.submit_sell_order(0, 2, 61_000.0, 0.01, 0, 0, True)
                order = bot.orders(0).get(2)
                return int(order.status), int(order.reason), bot.book_state(0)

        assert await in_thread(again) == (EXPIRED, REASON_NOT_TRADING, wire.BOOK_INVALID)
        assert ("steps_changed", "BTCUSDT") in keys(whole), "even if the exchange takes it back"
        assert whole.connector.bots.instrument("ETHUSDT").is_trading


async def test_a_listing_is_known_and_a_halted_contract_refused_as_soon_as_they_are_heard_of(tmp_path):
    async with running(tmp_path) as whole:
        changed = Changed(whole)
        await whole.until_valid()

        def listed(info):
            info["symbols"].append(info["symbols"][0] | {"symbol": "NEWUSDT"})
            info["symbols"][0]["status"] = "BREAK"

        changed.change = listed
        event = {"e": "contractInfo", "s": "BTCUSDT", "cs": "BREAK", "st": 1}
        whole.connector.session.contracts.take(json.dumps({"stream": "!contractInfo", "data": event}))
        assert not whole.connector.bots.instrument("BTCUSDT").is_trading, "before exchangeInfo is asked"
        await whole.until(lambda: changed.calls > 0 and "NEWUSDT" in whole.connector.bots.instruments)
        assert ("not_trading", "BTCUSDT") in keys(whole)
        assert whole.connector.bots.instrument("newusdt").number == 2
        assert whole.connector.orders.store.by_number[2].symbol == "NEWUSDT"
        changed.change = lambda info: info["symbols"].pop(0)
        whole.connector.on_instruments_wanted()
        await whole.until(lambda: ("delisted", "BTCUSDT") in keys(whole))
        changed.change = lambda info: None
        whole.connector.on_instruments_wanted()
        await whole.until(lambda: whole.connector.bots.instrument("BTCUSDT").is_trading)


async def test_a_refusal_for_a_step_has_the_instruments_asked_for_at_once(tmp_path):
    async with running(tmp_path) as whole:
        changed = Changed(whole)
        await whole.until_valid()
        from daemon.messages import REFUSED, Outcome
        from hftd.constants import REASON_FILTER

        incoming = whole.connector.session.trading._incoming
        incoming.on_outcome(Outcome(10**9, REFUSED, REASON_FILTER, "400 -4014", code=-4014))
        await whole.until(lambda: changed.calls == 1)


async def test_instruments_that_can_not_be_asked_for_are_a_warning_until_they_can(tmp_path, monkeypatch):
    monkeypatch.setattr(service, "INSTRUMENTS_PAUSE_S", 0.02)
    async with running(tmp_path) as whole:
        changed = Changed(whole)
        await whole.until_valid()
        changed.change = lambda info: info.pop("symbols")
        whole.connector.on_instruments_wanted()
        await whole.until(lambda: ("instruments_not_refreshed", "") in keys(whole))
        changed.change = lambda info: None
        await whole.until(lambda: ("instruments_not_refreshed", "") not in keys(whole))


async def test_prices_on_no_tick_make_the_book_not_valid_and_it_heals(tmp_path):
    async with running(tmp_path) as whole:
        await whole.until_valid()
        session = whole.connector.session.market
        feed = session.feed(0)
        market = whole.connector.bots.books.get(0)
        feed.grid._levels.add((1, 6.003))
        session._tell_state(feed, "")
        assert not market.is_valid
        assert ("off_grid", "BTCUSDT") in keys(whole)
        feed.grid.lose()
        session._tell_state(feed, "")
        assert market.is_valid
        assert ("off_grid", "BTCUSDT") not in keys(whole)
