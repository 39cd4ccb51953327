"""What a file is, known by its name, header and messages; instruments and markets are never mixed in silence."""

import gzip
import json

import pytest

from hftd.errors import DataError
from sim.archive import read_events
from sim.convert import Options, convert
from sim.convert.reader.state import NAMES_MAX

from .bybitmarket import TRADES_HEADER, history, packed_json
from .hyperliquidmarket import capture as hyperliquid

START = 1_735_689_600_000_000_000


def converted(tmp_path, venue, files, **options):
    for name, text in files.items():
        (tmp_path / name).write_bytes(text)
    paths = [tmp_path / name for name in files]
    report = convert(paths, tmp_path / "out.npz", venue=venue, options=Options(**options))
    return report, read_events(tmp_path / "out.npz")


@pytest.mark.parametrize(
    ("venue", "name", "text", "said", "hint"),
    [
        (
            "binancehistory",
            "BTCUSDT-bookDepth-2024-01-01.csv",
            "timestamp,percentage,depth,notional",
            "bookDepth",
            "T_DEPTH",
        ),
        (
            "binancehistory",
            "BTCUSDT-metrics.csv",
            "create_time,symbol,sum_open_interest",
            "metrics",
            "aggTrades",
        ),
        ("binancehistory", "k.csv", "open_time,open,high,low,close,volume", "candles", "aggTrades"),
        (
            "binancehistory",
            "k.csv",
            "1704067200000,1,2,3,4,5,1704067259999,8,9,10,11,0",
            "candles",
            "aggTrades",
        ),
        ("binancehistory", "BTCUSDT-premiumIndexKlines-1m-2024-01-01.csv", "1,2,3", "candles", "aggTrades"),
        ("binancehistory", "x.zip.CHECKSUM", f"{'0a' * 32}  x.zip", "checksum", "leave it out"),
        (
            "binancehistory",
            "x.csv",
            "exchange,symbol,timestamp,local_timestamp,id,side,price,amount",
            "Tardis",
            "convert tardis",
        ),
        (
            "tardis",
            "x.csv",
            "exchange,symbol,timestamp,local_timestamp,asks[0].price,bids[0].price",
            "book_snapshot",
            "incremental",
        ),
        (
            "tardis",
            "x.csv",
            "exchange,symbol,timestamp,local_timestamp,funding_rate,open_interest",
            "derivative_ticker",
            "incremental",
        ),
        (
            "tardis",
            "x.csv",
            "exchange,symbol,timestamp,local_timestamp,strike_price,type",
            "options_chain",
            "incremental",
        ),
        (
            "tardis",
            "x.csv",
            "id,price,qty,quote_qty,time,is_buyer_maker",
            "Binance's public data",
            "convert binancehistory",
        ),
        ("databento", "x.csv", "ts_recv,ts_event,rtype,publisher_id,instrument_id", "csv", "encoding dbn"),
        ("databento", "x.json", '{"hd":{"ts_event":"1","rtype":160}}', "json", "encoding dbn"),
        (
            "bybit",
            "x.data",
            '{"topic":"orderbook.500.XRPUSDT","ts":1733011200691}',
            "archive of order books",
            "convert bybithistory",
        ),
        (
            "bybithistory",
            "x.txt",
            f'{START} {{"topic":"orderbook.50.X"}}',
            "capture of Bybit",
            "convert bybit`",
        ),
        (
            "binancefutures",
            "x.txt",
            f'{START} {{"channel":"l2Book","data":{{}}}}',
            "capture of Hyperliquid",
            "convert hyperliquid",
        ),
        (
            "hyperliquid",
            "x.txt",
            '{"time":"2023-09-16T01:00:00","ver_num":1,"raw":{"channel":"l2Book"}}',
            "node",
            "recorded messages",
        ),
        (
            "mexc",
            "x.txt",
            f'{START} {{"stream":"x@trade","data":{{"e":"trade"}}}}',
            "capture of Binance",
            "convert binancefutures",
        ),
        (
            "binancehistory",
            "BTCUSDT-trades-2025-01-01.csv",
            "<html><body>404 Not Found</body></html>",
            "a page",
            "download it again",
        ),
        (
            "tardis",
            "x.csv",
            '<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>NoSuchKey</Code></Error>',
            "a page",
            "download it again",
        ),
        ("bybithistory", "x.csv", "<!DOCTYPE html>", "a page", "download it again"),
        ("databento", "x.dbn", "<html>", "a page", "download it again"),
        ("binancefutures", "x.gz", "<html>", "a page", "download it again"),
        ("tardis", "x.csv", '{"error":"API key invalid"}', "a server's message", "download it again"),
        (
            "bybithistory",
            "x.data",
            '{"retCode":10001,"retMsg":"x"}',
            "a server's message",
            "download it again",
        ),
        ("databento", "x.dbn", '{"detail":{"case":"auth"}}', "a server's message", "download it again"),
    ],
)
def test_the_error_says_what_the_file_is_and_what_reads_it(tmp_path, venue, name, text, said, hint):
    with pytest.raises(DataError) as error:
        converted(tmp_path, venue, {name: f"{text}\n".encode()})
    assert said in error.value.what
    assert hint in error.value.hint
    assert name in error.value.where


@pytest.mark.thorough
def test_a_capture_of_another_exchange_among_others_is_not_passed_over(tmp_path):
    files = {
        "a": b"".join(hyperliquid(1, 20)),
        "b": b"%d %s\n" % (START, packed_json({"topic": "publicTrade.X"})),
    }
    with pytest.raises(DataError, match="capture of Bybit") as error:
        converted(tmp_path, "hyperliquid", files)
    assert error.value.where.endswith("b")


SPOT = b"id,timestamp,price,volume,side\n1,1733011200519,97000.5,0.01,sell\n"


@pytest.mark.thorough
def test_the_symbol_of_bybits_spot_trades_is_that_of_the_files_name(tmp_path):
    report, rows = converted(
        tmp_path, "bybithistory", {"DOGEUSDT_2024-12-01.csv": SPOT}, latency_ns=1, symbol="DOGEUSDT"
    )
    assert (report.symbol, len(rows)) == ("DOGEUSDT", 1)
    both = {
        "DOGEUSDT_2024-12-01.csv": SPOT,
        "BTCUSDT_2024-12-01.csv.gz": gzip.compress(SPOT + b"2,1733011200520,1,1,buy\n"),
    }
    with pytest.raises(DataError, match="several symbols"):
        converted(tmp_path, "bybithistory", both, latency_ns=1)
    books, _ = history(1, 10)
    files = {"b.data": b"".join(books), "BTCUSDT_2024-12-01.csv": SPOT}
    report, _ = converted(tmp_path, "bybithistory", files, latency_ns=1, symbol="XRPUSDT")
    assert report.ignored == {"another symbol": 1}
    report, _ = converted(tmp_path, "bybithistory", {"b.data": b"".join(books), "t.csv": SPOT}, latency_ns=1)
    assert any("say which symbol it has" in note for note in report.notes)


@pytest.mark.thorough
def test_trades_of_two_markets_of_one_symbol_are_refused(tmp_path):
    derivatives = TRADES_HEADER + b"1733011200.519,BTCUSDT,Sell,1,97010.5,PlusTick,a,1,1,1\n"
    files = {"BTCUSDT2024-12-01.csv": derivatives, "BTCUSDT_2024-12-01.csv": SPOT}
    with pytest.raises(DataError, match="two markets"):
        converted(tmp_path, "bybithistory", files, latency_ns=1)
    futures = b"id,price,qty,quote_qty,time,is_buyer_maker\n1,1.5,2,3,1735689600000,true\n"
    spot = b"1,1.5,2,3,1735689600000000,True,True\n"
    files = {"BTCUSDT-trades-2025-01-01.csv": futures, "BTCUSDT-trades-2025-01-02.csv": spot}
    with pytest.raises(DataError, match="two markets"):
        converted(tmp_path, "binancehistory", files, latency_ns=1)


def trade(symbol, number):
    return {
        "e": "trade",
        "E": 1_735_689_600_000,
        "T": 1_735_689_600_000,
        "s": symbol,
        "t": number,
        "p": "1.5",
        "q": "2",
        "m": True,
    }


def test_symbols_are_told_apart_however_many_names_a_capture_has(tmp_path):
    names = [{"stream": f"s{k}@x", "data": {"e": f"event{k}"}} for k in range(NAMES_MAX + 88)]
    long = "L" * 70
    trades = [trade(symbol, k) for k, symbol in enumerate(("AUSDT", "BUSDT", f"{long}A", f"{long}B"))]
    trades += [trade(f"S{k}", k) for k in range(3000)]
    text = b"".join(
        f"{START + k} {json.dumps(message)}\n".encode() for k, message in enumerate([*names, *trades])
    )
    with pytest.raises(DataError, match="several symbols"):
        converted(tmp_path, "binancefutures", {"a": text})
    for symbol, number in (("BUSDT", 1), ("S2999", 3003)):
        report, rows = converted(tmp_path, "binancefutures", {"a": text}, symbol=symbol)
        assert (len(rows), rows["local_ts"][0]) == (1, START + len(names) + number)
        assert any("names beyond" in note for note in report.notes)


@pytest.mark.parametrize("venue", ["binancefutures", "binancespot"])
def test_a_raw_stream_of_the_first_levels_is_refused(tmp_path, venue):
    side, other = ([[f"{100 + sign * k}.5", "2"] for k in range(1, 6)] for sign in (-1, 1))
    books = []
    for k in range(4):
        book = {
            "e": "depthUpdate",
            "E": 1_735_689_600_000 + k,
            "T": 1_735_689_600_000 + k,
            "s": "X",
            "U": k,
            "u": k + 1,
            "pu": k,
        }
        if venue == "binancespot":
            book = trade("X", 1) if k == 0 else {"lastUpdateId": 100 + k, "bids": side, "asks": other}
        books.append({**book, "b": side, "a": other} if "u" in book else book)
    text = b"".join(f"{START + k} {json.dumps(message)}\n".encode() for k, message in enumerate(books))
    with pytest.raises(DataError, match="first levels"):
        converted(tmp_path, venue, {"a": text})
