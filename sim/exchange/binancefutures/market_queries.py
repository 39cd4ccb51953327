"""What can be asked of the market."""

from typing import Any, Final

from sim.exchange.binancefutures.checks import Params, whole
from sim.exchange.binancefutures.errors import ApiError, bad_symbol
from sim.exchange.binancefutures.venue import Venue


def symbols_of(venue: Venue, params: Params) -> list[str]:
    """The instruments that a query means: the one that it names, or all."""
    symbol = params.get("symbol")
    if not symbol:
        return list(venue.instruments)
    if symbol not in venue.instruments:
        raise bad_symbol()
    return [symbol]


def one_or_all(params: Params, rows: list[Any]) -> Any:
    """One row where an instrument was named, else all."""
    return rows[0] if params.get("symbol") else rows


def exchange_info(venue: Venue, _account: None, _params: Params) -> Any:
    """Instruments, filters and limits."""
    limits = venue.gate.limits
    rates = [
        ("REQUEST_WEIGHT", "MINUTE", 1, limits.weight_1m),
        ("ORDERS", "MINUTE", 1, limits.orders_1m),
        ("ORDERS", "SECOND", 10, limits.orders_10s),
    ]
    return {
        "timezone": "UTC",
        "serverTime": venue.clock.server_ms(),
        "futuresType": "U_MARGINED",
        "rateLimits": [
            {
                "rateLimitType": kind,
                "interval": interval,
                "intervalNum": number,
                "limit": limit or 1_000_000_000,
            }
            for kind, interval, number, limit in rates
        ],
        "exchangeFilters": [],
        "assets": [
            {"asset": quote, "marginAvailable": True, "autoAssetExchange": "0"}
            for quote in dict.fromkeys(one.quote for one in venue.instruments.values())
        ],
        "symbols": [instrument.describe() for instrument in venue.instruments.values()],
    }


def book_ticker(venue: Venue, _account: None, params: Params) -> Any:
    """The best prices."""
    rows = []
    for symbol in symbols_of(venue, params):
        i = venue.instruments[symbol]
        feed = venue.feeds[i.number]
        bid, ask = feed.best()
        rows.append(
            {
                "symbol": symbol,
                "bidPrice": i.price(bid[0]),
                "bidQty": i.qty(bid[1]),
                "askPrice": i.price(ask[0]),
                "askQty": i.qty(ask[1]),
                "time": feed.time_ms,
                "lastUpdateId": feed.last_u,
            }
        )
    return one_or_all(params, rows)


def price(venue: Venue, _account: None, params: Params) -> Any:
    """The last price."""
    rows = []
    for symbol in symbols_of(venue, params):
        i = venue.instruments[symbol]
        feed = venue.feeds[i.number]
        rows.append(
            {"symbol": symbol, "price": i.price(feed.last_tick or feed.mark_tick()), "time": feed.time_ms}
        )
    return one_or_all(params, rows)


def premium_index(venue: Venue, _account: None, params: Params) -> Any:
    """The mark price: here the middle of the best prices."""
    rows = []
    for symbol in symbols_of(venue, params):
        i = venue.instruments[symbol]
        mark = i.price(venue.feeds[i.number].mark_tick())
        now_ms = venue.clock.server_ms()
        rows.append(
            {
                "symbol": symbol,
                "markPrice": mark,
                "indexPrice": mark,
                "estimatedSettlePrice": mark,
                "lastFundingRate": "0.00010000",
                "interestRate": "0.00010000",
                "nextFundingTime": (now_ms // 28_800_000 + 1) * 28_800_000,
                "time": now_ms,
            }
        )
    return one_or_all(params, rows)


def depth(venue: Venue, _account: None, params: Params) -> Any:
    """The book."""
    feed = venue.feeds[venue.desk.instrument(params).number]
    limit = whole(params, "limit", 500)
    if limit not in DEPTH_WEIGHTS:
        raise ApiError(-4021, f"{limit} is not valid depth limit.")
    return feed.snapshot(limit, venue.clock.server_ms())


DEPTH_WEIGHTS: Final = {5: 2, 10: 2, 20: 2, 50: 2, 100: 5, 500: 10, 1000: 20}


def depth_weight(params: Params) -> int:
    """What the book costs, by its depth."""
    return DEPTH_WEIGHTS.get(whole(params, "limit", 500), 2)
