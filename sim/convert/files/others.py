"""What a file is, told by its name, its header or its first line: so that an error can say it, and what reads it.

The names and columns are those of Binance's public data (https://github.com/binance/binance-public-data), of Tardis's
"CSV data types", Databento's "Schemas and data formats", Bybit's public data and Hyperliquid's "Historical data".
"""

import re
from pathlib import Path
from typing import Final, NamedTuple

from hftd.errors import DataError

_SHOWN_MAX: Final = 160
_TRADES_INSTEAD: Final = (
    "from Binance's public data `hftd convert binancehistory` reads trades, aggTrades, bookTicker and the historical "
    "order book (T_DEPTH); a book is best recorded, or bought from a vendor"
)
_TARDIS_INSTEAD: Final = (
    "of Tardis's files `hftd convert tardis` reads incremental_book_L2, trades, book_ticker and quotes"
)


class Other(NamedTuple):
    """A kind of file.

    Attributes:
        what: What it is.
        hint: What reads it, or what to take instead.
        venue: The converter that reads it; empty if none does.
    """

    what: str
    hint: str
    venue: str = ""


def _read_by(what: str, venue: str) -> Other:
    return Other(what, f"it is read by `hftd convert {venue}`", venue)


_CHECKSUM: Final = Other(
    "a checksum of another file, and no data",
    "leave it out of the inputs: name the .zip files, such as BTCUSDT-*.zip",
)
_NO_DOWNLOAD: Final = (
    "download it again, and look at what the server says: is the name right, the key, the date?"
)
_PAGE: Final = Other(
    "a page (HTML or XML), such as a server's message that there is no such file", _NO_DOWNLOAD
)
_ANSWER: Final = Other("a server's message of an error, and no data", _NO_DOWNLOAD)
_ERROR: Final = re.compile(
    rb'\{\s*"(?:error|errors|message|msg|detail|code|status|statusCode|success|retCode|ret_code)"\s*:[^\n]{0,2000}\}\s*\Z'
)
_BY_NAME: Final = (
    (re.compile(r"-bookDepth-"), "bookDepth"),
    (
        re.compile(r"-(?:premiumIndex|markPrice|indexPrice)Klines-|-(?:premiumIndex|markPrice|indexPrice)-"),
        "klines",
    ),
)
_BINANCE: Final = {
    "bookDepth": Other(
        "Binance's bookDepth: how much stands within some percent of the price, each half a minute, and no order book",
        _TRADES_INSTEAD,
    ),
    "metrics": Other("Binance's metrics: open interest and ratios of positions", _TRADES_INSTEAD),
    "klines": Other("candles (klines) of Binance", _TRADES_INSTEAD),
    "funding": Other("funding rates of Binance", _TRADES_INSTEAD),
    "liquidations": Other(
        "Binance's liquidationSnapshot: forced orders, which are among the trades", _TRADES_INSTEAD
    ),
    "options": Other("Binance's EOHSummary: options at the end of each hour", _TRADES_INSTEAD),
    "volatility": Other("Binance's BVOLIndex: an index of volatility", _TRADES_INSTEAD),
}
_HEADERS: Final[tuple[tuple[frozenset[str], Other], ...]] = tuple(
    (frozenset(columns.split(",")), other)
    for columns, other in (
        ("timestamp,percentage,depth", _BINANCE["bookDepth"]),
        ("create_time,symbol,sum_open_interest", _BINANCE["metrics"]),
        ("open_time,open,high,low,close", _BINANCE["klines"]),
        ("calc_time,funding_interval_hours,last_funding_rate", _BINANCE["funding"]),
        ("time,side,order_type,time_in_force,original_quantity", _BINANCE["liquidations"]),
        ("date,hour,symbol,underlying,type,strike", _BINANCE["options"]),
        ("calc_time,symbol,base_asset,quote_asset,index_value", _BINANCE["volatility"]),
        ("time,price,qty,is_buyer_maker", _read_by("trades of Binance's public data", "binancehistory")),
        (
            "transact_time,price,quantity,is_buyer_maker",
            _read_by("aggTrades of Binance's public data", "binancehistory"),
        ),
        (
            "transaction_time,best_bid_price,best_ask_price",
            _read_by("bookTicker of Binance's public data", "binancehistory"),
        ),
        (
            "trans_id,first_update_id,last_update_id,side,price",
            _read_by("Binance's historical order book", "binancehistory"),
        ),
        (
            "exchange,symbol,timestamp,local_timestamp,strike_price",
            Other("Tardis's options_chain", _TARDIS_INSTEAD),
        ),
        (
            "exchange,symbol,timestamp,local_timestamp,funding_rate,open_interest",
            Other("Tardis's derivative_ticker: funding, open interest and mark prices", _TARDIS_INSTEAD),
        ),
        (
            "exchange,symbol,timestamp,local_timestamp,is_snapshot,side",
            _read_by("Tardis's incremental_book_L2", "tardis"),
        ),
        (
            "exchange,symbol,timestamp,local_timestamp,ask_amount,bid_amount",
            _read_by("Tardis's quotes", "tardis"),
        ),
        ("exchange,symbol,timestamp,local_timestamp,id,side,price", _read_by("Tardis's trades", "tardis")),
        (
            "ts_event,rtype,publisher_id,instrument_id",
            Other(
                "Databento's encoding csv",
                "download the encoding dbn: it is read by `hftd convert databento`",
            ),
        ),
        ("timestamp,symbol,side,size,price,tickdirection", _read_by("Bybit's public trades", "bybithistory")),
        ("id,timestamp,price,volume,side", _read_by("Bybit's public spot trades", "bybithistory")),
        (
            "start_at,symbol,period,open",
            Other("Bybit's index prices or candles", "trades and order books are converted"),
        ),
    )
)
_MESSAGES: Final[tuple[tuple[re.Pattern[bytes], Other], ...]] = (
    (
        re.compile(rb'^\s*\{"topic":\s*"orderbook\.', re.MULTILINE),
        _read_by("Bybit's archive of order books", "bybithistory"),
    ),
    (
        re.compile(
            rb'"ver_num"\s*:.*"raw"\s*:|"block_number"\s*:|"(?:crossed|dir|startPosition)"\s*:.*"tid"\s*:'
        ),
        Other(
            "a file of a Hyperliquid node, or of its archive",
            "`hftd convert hyperliquid` reads recorded messages: lines of `<local time in ns> <json>`",
        ),
    ),
    (
        re.compile(rb'"hd"\s*:\s*\{[^}]*"ts_event"'),
        Other(
            "Databento's encoding json", "download the encoding dbn: it is read by `hftd convert databento`"
        ),
    ),
)
_CAPTURES: Final[tuple[tuple[re.Pattern[bytes], Other], ...]] = tuple(
    (re.compile(rb"^\d{16,19}[ \t]\s*\{[^\n]*" + sign, re.MULTILINE), _read_by(f"a capture of {name}", venue))
    for sign, name, venue in (
        (rb'"topic"\s*:\s*"(?:orderbook|publicTrade|tickers)\.', "Bybit", "bybit"),
        (rb'"channel"\s*:\s*"(?:l2Book|trades|bbo)"', "Hyperliquid", "hyperliquid"),
        (rb'(?:"channel"\s*:\s*"push\.|"c"\s*:\s*"spot@public)', "MEXC", "mexc"),
        (
            rb'"e"\s*:\s*"(?:depthUpdate|bookTicker|trade|aggTrade|markPriceUpdate)"',
            "Binance",
            "binancefutures",
        ),
    )
)


def what_is(text: bytes, path: Path) -> Other | None:
    """What a file is, if that is known of one that a converter can't read.

    Args:
        text: Its first bytes, unpacked: a line at least.
        path: What it is called.
    """
    line = text[: text.find(b"\n") if b"\n" in text else len(text)].strip()
    if path.name.upper().endswith(".CHECKSUM") or re.fullmatch(rb"[0-9a-fA-F]{32,128}\s+\*?\S+", line):
        return _CHECKSUM
    if re.match(rb"(?:\xef\xbb\xbf)?\s*<[!?a-zA-Z]", text):
        return _PAGE
    if _ERROR.match(text.strip()):
        return _ANSWER
    for pattern, name in _BY_NAME:
        if pattern.search(path.name):
            return _BINANCE[name]
    names = frozenset(name.strip().strip('"').lower() for name in line.decode("utf-8", "replace").split(","))
    if "asks[0].price" in names or "bids[0].price" in names:
        return Other("Tardis's book_snapshot: books that are ready made", _TARDIS_INSTEAD)
    for columns, other in _HEADERS:
        if columns <= names:
            return other
    fields = line.split(b",")
    if (
        len(fields) == 12
        and re.fullmatch(rb"\d{13}|\d{16}", fields[0])
        and re.fullmatch(rb"\d{13}|\d{16}", fields[6])
    ):
        return _BINANCE["klines"]
    for pattern, other in (*_MESSAGES, *_CAPTURES):
        if pattern.search(text):
            return other
    return None


def capture_of(text: bytes) -> Other | None:
    """Which exchange's capture it is, by the first message that tells; None if none does."""
    found = [(match.start(), other) for pattern, other in _CAPTURES if (match := pattern.search(text))]
    return min(found, key=lambda pair: pair[0])[1] if found else None


def other_file(other: Other, path: Path) -> DataError:
    """The error for a file that is known, and not one that the converter reads."""
    return DataError(f"this is {other.what}", where=str(path), hint=other.hint)
