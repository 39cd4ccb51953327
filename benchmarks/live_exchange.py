"""The other side of the live benchmark: sockets that speak just enough of Binance USD-M Futures, and stamp.

It reads and writes its sockets directly, so that its own work between a stamp and the wire is a few microseconds.
A tick is stamped before it is handed to the kernel; an order when the kernel got it (`SO_TIMESTAMPNS`), whoever runs.
"""

# pyright: basic

import base64
import gzip
import hashlib
import json
import random
import re
import select
import socket
import struct
from pathlib import Path
from typing import Self

import numpy as np

from hftd.clock import wall_ns

CAPTURE = "binancefutures_btcusdt_20240808.gz"
FIRST_MS = 1_700_000_000_000
"""Message number k has this plus k as its times, by which it is found again in whatever became of it."""
_FIRST_ID = 5_000_000_000_000
_ID_STEP = 10
_DIGITS = 13
_FIELD = re.compile(rb'"(E|T|U|u|pu)":(\d{13})(?=[,}])')
_TIMESTAMPNS = 35
_ACCEPT = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_LAST_PRICE = 60_000.0


def capture_lines(folder: Path) -> tuple[list[bytes], float, bool]:
    """The messages of the capture, how many came a second, and whether they are real."""
    path = folder / CAPTURE
    if not path.is_file():
        return _generated_lines(20_000), 270.0, False
    lines, times = [], []
    with gzip.open(path) as file:
        for line in file:
            stamp, _, text = line.rstrip().partition(b" ")
            if text.startswith(b'{"stream"'):
                lines.append(text)
                times.append(int(stamp))
    return lines, (len(lines) - 1) / (times[-1] - times[0]) * 1e9, True


def _generated_lines(count: int) -> list[bytes]:
    chance = random.Random(20240808)
    number = "1000000000000"
    lines = []
    for k in range(count):
        px = _LAST_PRICE + 0.1 * chance.randrange(100)
        if k % 14 == 13:
            bids = ",".join(f'["{px - 0.1 * i:.2f}","{chance.random():.3f}"]' for i in range(35))
            asks = ",".join(f'["{px + 0.1 + 0.1 * i:.2f}","{chance.random():.3f}"]' for i in range(35))
            text = (
                f'{{"stream":"btcusdt@depth@0ms","data":{{"e":"depthUpdate","E":{number},"T":{number},"s":"BTCUSDT",'
                f'"U":{number},"u":{number},"pu":{number},"b":[{bids}],"a":[{asks}]}}}}'
            )
        elif k % 14 in (3, 6, 9):
            text = (
                f'{{"stream":"btcusdt@trade","data":{{"e":"trade","E":{number},"T":{number},"s":"BTCUSDT","t":{k},'
                f'"p":"{px:.2f}","q":"{chance.random():.3f}","X":"MARKET","m":false}}}}'
            )
        else:
            text = (
                f'{{"stream":"btcusdt@bookTicker","data":{{"e":"bookTicker","u":{number},"s":"BTCUSDT","b":"{px:.2f}",'
                f'"B":"{chance.random():.3f}","a":"{px + 0.1:.2f}","A":"1.000","T":{number},"E":{number}}}}}'
            )
        lines.append(text.encode())
    return lines


class Tape:
    """The messages as WebSocket frames, one behind the other, over and over again with new times and update ids.

    Args:
        lines: The messages.
        is_aggregated: Trades are renamed to what `cryptofeed` listens to.
    """

    def __init__(self, lines: list[bytes], *, is_aggregated: bool = False) -> None:
        frames, starts, at = [], [], 0
        times: tuple[list[int], list[int]] = ([], [])  # offsets, numbers of messages
        ids: dict[bytes, tuple[list[int], list[int]]] = {name: ([], []) for name in (b"U", b"u", b"pu")}
        diffs = 0
        for k, line in enumerate(lines):
            if is_aggregated:
                line = line.replace(b'"e":"trade"', b'"e":"aggTrade"').replace(b'"t":', b'"a":')
            header = _header(len(line))
            starts.append(at)
            is_diff = b'"depthUpdate"' in line[:80]
            diffs += is_diff
            for field in _FIELD.finditer(line):
                name, offset = field.group(1), at + len(header) + field.start(2)
                if name in (b"E", b"T"):
                    times[0].append(offset)
                    times[1].append(k)
                else:
                    ids[name][0].append(offset)
                    # A best price is newer than the diff before it, and older than the next one.
                    base = diffs * _ID_STEP if is_diff else diffs * _ID_STEP + 1
                    if name != b"u":
                        base = (diffs - 1) * _ID_STEP + (name == b"U")
                    ids[name][1].append(base)
            frames.append(header + line)
            at += len(header) + len(line)
        self.bytes = np.frombuffer(bytearray(b"".join(frames)), np.uint8).copy()
        self.view = memoryview(self.bytes)
        self.starts = np.array([*starts, at], np.int64)
        self.ends = self.starts[1:].tolist()
        self.begins = self.starts[:-1].tolist()
        self.diffs = diffs
        self.diffs_before = np.cumsum([b'"depthUpdate"' in line[:80] for line in lines]).tolist()
        self._times = np.array(times[0]), np.array(times[1])
        self._ids = {name: (np.array(found[0]), np.array(found[1])) for name, found in ids.items()}
        self.round = -1
        self.wind(0)

    def __len__(self) -> int:
        return len(self.begins)

    def wind(self, number: int) -> None:
        """Write the times and ids of the round of that number."""
        if number == self.round:
            return
        self.round = number
        offsets, which = self._times
        self._put(offsets, FIRST_MS + number * len(self) + which)
        for offsets, base in self._ids.values():
            self._put(offsets, _FIRST_ID + number * self.diffs * _ID_STEP + base)

    def _put(self, offsets: np.ndarray, values: np.ndarray) -> None:
        for digit in range(_DIGITS - 1, -1, -1):
            values, rest = np.divmod(values, 10)
            self.bytes[offsets + digit] = 48 + rest

    def frame(self, k: int) -> memoryview:
        """Message k of all rounds."""
        number, at = divmod(k, len(self))
        self.wind(number)
        return self.view[self.begins[at] : self.ends[at]]

    def is_trade(self, k: int) -> bool:
        """Whether message k is a trade, which always makes a row."""
        at = k % len(self)
        return b"rade" in bytes(self.view[self.begins[at] : self.begins[at] + 40])

    def last_id(self, k: int) -> int:
        """The update as of which the book is before message k."""
        number, at = divmod(k, len(self))
        diffs = number * self.diffs + (self.diffs_before[at - 1] if at else 0)
        return _FIRST_ID + diffs * _ID_STEP


def _header(length: int) -> bytes:
    if length < 126:
        return struct.pack("!BB", 0x81, length)
    if length < 1 << 16:
        return struct.pack("!BBH", 0x81, 126, length)
    return struct.pack("!BBQ", 0x81, 127, length)


class _Peer:
    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.kind = "http"
        self.data = bytearray()

    def send_text(self, text: str) -> None:
        data = text.encode()
        self.sock.sendall(_header(len(data)) + data)


class Exchange:
    """The server; use it as a context manager, and call `serve` whenever there is nothing else to do.

    Attributes:
        arrivals: When the kernel got each order, on the system's clock.
        next: The number of the next message.
        has_snapshot: Whether the client has asked for its book.
    """

    def __init__(self, tape: Tape) -> None:
        self.tape = tape
        self.next = 0
        self.arrivals: list[int] = []
        self.has_snapshot = False
        self.market: _Peer | None = None
        self.user: _Peer | None = None
        self.is_subscribed = False
        self._peers: dict[int, _Peer] = {}
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        for peer in self._peers.values():
            peer.sock.close()
        self._listener.close()

    def serve(self, seconds: float) -> bool:
        """Wait for so long at most, and answer what came; whether something did."""
        ready = select.select([self._listener.fileno(), *self._peers], [], [], max(0.0, seconds))[0]
        for fd in ready:
            if fd == self._listener.fileno():
                sock, _ = self._listener.accept()
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                sock.setsockopt(socket.SOL_SOCKET, _TIMESTAMPNS, 1)
                self._peers[sock.fileno()] = _Peer(sock)
            else:
                self._read(fd, self._peers[fd])
        return bool(ready)

    def tick(self) -> int:
        """Send the next message. Returns when, on the system's clock."""
        assert self.market is not None
        frame = self.tape.frame(self.next)
        self.next += 1
        now_ns = wall_ns()
        self.market.sock.sendall(frame)
        return now_ns

    def push(self, until: int) -> None:
        """Send all messages before number `until`, as fast as they are taken."""
        assert self.market is not None
        tape, send = self.tape, self.market.sock.sendall
        while self.next < until:
            number, at = divmod(self.next, len(tape))
            tape.wind(number)
            last = min(at + 256, len(tape), at + until - self.next)
            send(tape.view[tape.begins[at] : tape.ends[last - 1]])
            self.next += last - at
            self.serve(0.0)

    def _read(self, fd: int, peer: _Peer) -> None:
        try:
            data, stamps, _, _ = peer.sock.recvmsg(1 << 16, 64)
        except OSError:
            data, stamps = b"", []
        if not data:
            del self._peers[fd]
            peer.sock.close()
            return
        peer.data += data
        if peer.kind == "http":
            self._hear(peer)
            return
        for text in _texts(peer):
            if peer.kind == "orders":
                seconds, ns = struct.unpack("qq", stamps[0][2])
                self._order(peer, text, seconds * 1_000_000_000 + ns)
            elif peer.kind == "market":
                self.is_subscribed = True
                peer.send_text(f'{{"result":null,"id":{json.loads(text)["id"]}}}')

    # REST and the beginnings of WebSockets.

    def _hear(self, peer: _Peer) -> None:
        while (end := peer.data.find(b"\r\n\r\n")) >= 0:
            head = bytes(peer.data[:end])
            del peer.data[: end + 4]
            words = head.split(b" ", 2)
            path = words[1].decode()
            if key := re.search(rb"(?i)sec-websocket-key: *(\S+)", head):
                self._upgrade(peer, path, key.group(1))
                return
            body = json.dumps(self._answer(words[0].decode(), path.partition("?")[0])).encode()
            answer = (
                f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
            )
            peer.sock.sendall(answer.encode() + body)

    def _upgrade(self, peer: _Peer, path: str, key: bytes) -> None:
        accept = base64.b64encode(hashlib.sha1(key + _ACCEPT).digest()).decode()
        peer.sock.sendall(
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Accept: {accept}\r\n\r\n".encode()
        )
        if "ws-fapi" in path:
            peer.kind = "orders"
        elif "stream" in path:
            peer.kind = "market"
            self.market = peer
            self.is_subscribed = "streams=" in path
        else:
            peer.kind = "user"
            self.user = peer

    def _answer(self, method: str, path: str) -> object:
        name = path.rpartition("/")[2]
        if name == "exchangeInfo":
            return _EXCHANGE_INFO
        if name == "time":
            return {"serverTime": wall_ns() // 1_000_000}
        if name == "listenKey":
            return {"listenKey": "k" * 64}
        if name == "dual":
            return {"dualSidePosition": False}
        if name == "depth":
            self.has_snapshot = True
            levels = [0.1 * k for k in range(1, 1000)]
            return {
                "lastUpdateId": self.tape.last_id(self.next),
                "E": FIRST_MS,
                "T": FIRST_MS,
                "bids": [[f"{_LAST_PRICE - away:.2f}", "1.000"] for away in levels],
                "asks": [[f"{_LAST_PRICE + away:.2f}", "1.000"] for away in levels],
            }
        return [] if method == "GET" else {}

    # Orders.

    def _order(self, peer: _Peer, text: bytes, arrived_ns: int) -> None:
        request = json.loads(text)
        number, params = request["id"], request["params"]
        if request["method"] != "order.place":
            peer.send_text(json.dumps({"id": number, "status": 200, "result": {}}))
            return
        self.arrivals.append(arrived_ns)
        now_ms, order_id = wall_ns() // 1_000_000, len(self.arrivals)
        client_id, price, qty = params["newClientOrderId"], params["price"], params["quantity"]
        peer.send_text(
            f'{{"id":{number},"status":200,"result":{{"orderId":{order_id},"symbol":"BTCUSDT","status":"EXPIRED",'
            f'"clientOrderId":"{client_id}","price":"{price}","origQty":"{qty}","executedQty":"0","side":"BUY",'
            f'"type":"LIMIT","timeInForce":"IOC","updateTime":{now_ms}}},"rateLimits":[]}}'
        )
        if self.user is not None:
            self.user.send_text(
                f'{{"e":"ORDER_TRADE_UPDATE","E":{now_ms},"T":{now_ms},"o":{{"s":"BTCUSDT","c":"{client_id}","S":"BUY",'
                f'"o":"LIMIT","f":"IOC","q":"{qty}","p":"{price}","x":"EXPIRED","X":"EXPIRED","i":{order_id},"l":"0",'
                f'"z":"0","L":"0","N":"USDT","n":"0","T":{now_ms},"t":0,"m":false}}}}'
            )


def _texts(peer: _Peer) -> list[bytes]:
    """The whole text frames of a client; its pings are answered by nobody, which no run lasts long enough to notice."""
    texts, data = [], peer.data
    while len(data) >= 6:
        length, at = data[1] & 0x7F, 2
        if length == 126:
            length, at = int.from_bytes(data[2:4], "big"), 4
        elif length == 127:
            length, at = int.from_bytes(data[2:10], "big"), 10
        end = at + 4 + length
        if len(data) < end:
            break
        mask = bytes(data[at : at + 4])
        if data[0] & 0x0F == 1:
            covered = int.from_bytes(data[at + 4 : end], "big")
            over = int.from_bytes((mask * (length // 4 + 1))[:length], "big")
            texts.append((covered ^ over).to_bytes(length, "big"))
        elif data[0] & 0x0F == 9 and length == 0:
            peer.sock.sendall(b"\x8a\x00")
        del data[:end]
    return texts


_LIMITS = (("REQUEST_WEIGHT", "MINUTE", 1), ("ORDERS", "SECOND", 10), ("ORDERS", "MINUTE", 1))
_EXCHANGE_INFO = {
    "rateLimits": [
        {"rateLimitType": kind, "interval": interval, "intervalNum": count, "limit": 10_000_000}
        for kind, interval, count in _LIMITS
    ],
    "symbols": [
        {
            "symbol": "BTCUSDT",
            "status": "TRADING",
            "contractType": "PERPETUAL",
            "baseAsset": "BTC",
            "quoteAsset": "USDT",
            "filters": [
                {"filterType": "PRICE_FILTER", "tickSize": "0.10", "minPrice": "0.1", "maxPrice": "10000000"},
                {"filterType": "LOT_SIZE", "stepSize": "0.001", "minQty": "0.001", "maxQty": "1000"},
            ],
        }
    ],
}
