"""A venue that is nobody's: it needs what no exchange of ours needs yet, all of it at once, and is strict about it.

Its account has three-part credentials; requests carry nonces, which must rise; client ids are UUIDs; one logs in by a
message to the private stream; the client pings, with a plain text; a connection's orders end with it if that is asked
for; each symbol has a dead-man switch of its own, which counts in a limit of ten seconds.
"""

import asyncio
import json
from collections import Counter
from contextlib import asynccontextmanager
from decimal import Decimal
from types import MappingProxyType

import aiohttp
import msgspec
from aiohttp import web

from daemon.connector.config import ConnectorConfig, Credentials
from daemon.connector.limiter import Limiter, RateLimit
from daemon.connector.secrets import Secret
from daemon.connector.watch.offset import ClockOffset
from daemon.messages import (
    BY_QUERY,
    BY_REPLY,
    BY_STREAM,
    CONFIRMED,
    REFUSED,
    UNKNOWN,
    Cancel,
    Instrument,
    Modify,
    Outcome,
    Query,
    Report,
    Submit,
)
from daemon.orders.ids.client_ids import ClientIds
from daemon.orders.ids.wire_ids import UUID, Packed
from daemon.session.catalog import Catalog, ExchangeInfo, SetAside
from daemon.session.errors import WireError
from daemon.session.facts import Error, Handlers, Other, Pong, Signed
from daemon.session.manners import Heartbeat, Manners
from daemon.session.nonces import Nonces
from daemon.session.rest import Rest
from daemon.session.trading.account import Trading, TradingConfig
from daemon.session.trading.login import Entrance, Login
from daemon.session.trading.questions import OrderNames
from daemon.session.trading.sending import SendLimits
from daemon.venues.keys import HmacSigner
from hftd import constants as c
from hftd.clock import wall_ns

NONCE_CODE, DUPLICATE_CODE, KEY_CODE = 21, 22, 23
REASONS = {NONCE_CODE: c.REASON_EXCHANGE, DUPLICATE_CODE: c.REASON_DUPLICATE, KEY_CODE: c.REASON_PERMISSION}
STATUSES = {"new": c.NEW, "cancelled": c.CANCELED, "filled": c.FILLED}
CODEC = Packed("mm", UUID)
IDS = ClientIds("mm", 7, 123456, CODEC.order_id_max)
PARTS = {"api_key": "the-made-up-key", "secret": "the made-up secret", "passphrase": "the made-up phrase"}
INSTRUMENTS = [
    Instrument(number, symbol, tick_size=Decimal("0.1"), lot_size=Decimal("0.001"))
    for number, symbol in enumerate(("ONE", "TWO"))
]


class MadeUpConfig(ConnectorConfig, frozen=True):
    parts = ("api_key", "secret", "passphrase")
    passphrase: str = ""


def submit(request, symbol="ONE", order_id=None):
    client_id = IDS.make("bot", request if order_id is None else order_id)
    return Submit(request, client_id, symbol, c.BUY, c.LIMIT, c.GTC, 1000, 10)


# ---- facts


class ThreeParts(HmacSigner):
    """A key whose requests say its passphrase as well."""

    def __init__(self, credentials):
        super().__init__(credentials.reveal("api_key"), credentials.reveal("secret"), has_session=True)
        self.passphrase = credentials.reveal("passphrase")


def fields_of(command, steps):
    """A command as the exchange wants it."""
    if not command.client_id and isinstance(command, Submit):
        raise WireError("an order needs an id")
    found = {"symbol": command.symbol, "id": CODEC.to_wire(command.client_id)}
    if isinstance(command, Submit | Modify):
        found |= {"price": steps.tick.text(command.price_tick), "qty": steps.lot.text(command.qty_lots)}
    return found


OPS = {Submit: "place", Modify: "change", Cancel: "cancel", Query: "query"}


class Writer:
    def request(self, command, steps, timestamp_ms):
        body = {"n": command.request, "op": OPS[type(command)], "nonce": timestamp_ms}
        return msgspec.json.encode(body | fields_of(command, steps))


class Reply(msgspec.Struct):
    n: int | str | None = None
    order: msgspec.Raw = msgspec.Raw(b"null")
    error: int = 0
    words: str = ""

    id = property(lambda self: self.n)
    status = property(lambda self: 400 if self.error else 200)
    result = property(lambda self: self.order)

    def failure(self):
        return Error(self.error, self.words) if self.error else None

    def counts(self):
        return {}


class RestFacts:
    weight = "weight_10s"
    time_path = "/time"
    clock_codes = frozenset()
    again_codes = frozenset({NONCE_CODE})

    def signed(self, method, path, params, auth, signer, now_ms, window_ms):
        body = dict(params) | ({"nonce": now_ms} if auth == "signed" else {})
        text = json.dumps(body)
        headers = {"Content-Type": "application/json"}
        if auth == "signed":
            headers |= {"KEY": signer.api_key, "PHRASE": signer.passphrase, "SIGN": signer.sign(path + text)}
        return Signed("", headers, text.encode())

    def read_server_time(self, body):
        return json.loads(body)["ms"]

    def error_of(self, status, body):
        found = msgspec.json.decode(body, type=Reply)
        return found.failure()

    def counts_of_headers(self, headers):
        return {}

    def quiet_s(self, status, error, headers, now_ms):
        return 0.0

    def allowed(self, words):
        return 0

    def verdict(self, status, code, message):
        return (REFUSED, REASONS[code]) if code in REASONS else (UNKNOWN, 0)


class OrderFacts:
    cost_order = MappingProxyType({"orders_1s": 1})
    cost_cancel = MappingProxyType({"weight_10s": 1})
    instrument_codes = frozenset()
    too_many_orders_code = 0
    logon_id = "logon"

    def limits_of(self, name, limit, interval_ns):
        return [RateLimit(name, limit, interval_ns)]

    def writer(self, signer, window_ms):
        return Writer()

    def rest_request(self, command, steps):
        return "POST", "/order", list({"op": OPS[type(command)], **fields_of(command, steps)}.items())

    def outcome_of_order(self, command, data, steps):
        raw = data if isinstance(data, msgspec.Raw) else msgspec.json.decode(data, type=Reply).order
        report = self.read_order(raw, steps, BY_QUERY if type(command) is Query else BY_REPLY)
        return Outcome(command.request, CONFIRMED, 0, "", report)

    def outcome_of_error(self, command, status, error, text=""):
        kind, reason = REST.verdict(status, error.code if error else 0, text)
        return Outcome(command.request, kind, reason, error.msg if error else text)

    def logon(self, signer, timestamp_ms):
        return json.dumps({"n": "logon", "op": "login", **login_of(signer)}).encode()

    def read_reply(self, data):
        if data == b"pong":
            return Pong()
        try:
            return msgspec.json.decode(data, type=Reply)
        except msgspec.DecodeError as error:
            raise WireError(str(error)) from None

    def read_reply_id(self, data):
        return None

    def read_order(self, data, steps, source):
        one = json.loads(bytes(data))
        known = steps[one["symbol"]]
        client_id = CODEC.from_wire(one["id"])
        tick, lots = known.tick.count(one["price"]), known.lot.count(one["qty"])
        status = STATUSES[one["state"]]
        return Report(
            source=source,
            client_id=client_id,
            exch_order_id=f"x-{one['id']}",
            symbol=one["symbol"],
            side=c.BUY,
            order_type=c.LIMIT,
            time_in_force=c.GTC,
            status=status,
            price_tick=tick,
            qty_lots=lots,
            cum_lots=0,
            exch_ns=one["ns"],
        )

    def read_event(self, data, steps, odd):
        if data == b"pong":
            return [Pong()]
        one = json.loads(data)
        if "order" not in one:
            return [Other("other")]
        return [self.read_order(json.dumps(one["order"]).encode(), steps, BY_STREAM)]

    def odd_of_event(self, data, why):
        return [], ""


def login_of(signer):
    return {"key": signer.api_key, "phrase": signer.passphrase, "sign": signer.sign("login")}


class LoginFacts:
    def login(self, signer, now_ms):
        return "login", json.dumps({"n": "login", "op": "login", **login_of(signer)}).encode()

    def topics(self):
        return [("orders", b'{"n":"orders","op":"topic"}', False)]

    def read_entrance(self, data):
        if data == b"pong":
            return None
        one = json.loads(data)
        return Entrance(one["n"], one.get("words", ""), one.get("error", 0)) if "n" in one else None


REST, ORDERS = RestFacts(), OrderFacts()
HEARTBEAT = Heartbeat(lambda _number: "ping", every_s=0.1, pong_s=0.1)


class Questions:
    """What the account is asked."""

    def __init__(self, rest, steps):
        self._rest = rest
        self.catalog = Catalog(steps)
        self.set_aside = SetAside(self.catalog)
        self.names = OrderNames()
        self.is_ours = lambda client_id: IDS.read(client_id) is not None
        self.on_unread_order = lambda *_: None

    async def instruments(self):
        return ExchangeInfo(self.catalog.take(ExchangeInfo(INSTRUMENTS, {}, [])), {}, [])

    async def prepare(self):
        await self._rest.ask("/account", method="POST")

    def key_is_refused(self, error):
        return error.code == KEY_CODE

    async def open_orders(self):
        return []

    async def executions(self, symbol, since_ns, is_counted=None):
        return []

    async def holdings(self):
        return []

    async def countdown(self, symbol, ms):
        await self._rest.ask("/switch", [("symbol", symbol), ("ms", ms)], method="POST", weight=3)


# ---- the server


class MadeUp:
    """The exchange. What it is asked to do wrong, it does."""

    def __init__(self):
        self.nonces = []  # in the order in which they came: (way, nonce)
        self.last_nonce = 0
        self.refused_nonces = 0
        self.orders = {}
        self.placed_on = {}
        self.sockets, self.users = [], []
        self.guarded = []
        self.is_guard_good = True
        self.pings = Counter()
        self.is_mute = False
        self.slow_s = {}
        self.switches = []
        self.logins = []
        self.fails_once = Counter()

    def app(self):
        app = web.Application()
        app.router.add_get("/orders", self._orders)
        app.router.add_get("/user", self._user)
        app.router.add_get("/time", self._time)
        app.router.add_post("/{path:.*}", self._rest)
        return app

    async def _time(self, _request):
        return web.json_response({"ms": wall_ns() // 10**6})

    def _nonce(self, way, nonce):
        self.nonces.append((way, nonce))
        if nonce <= self.last_nonce:
            self.refused_nonces += 1
            return {"error": NONCE_CODE, "words": "nonce too low"}
        self.last_nonce = nonce
        return {}

    def _login(self, asked):
        self.logins.append(asked)
        good = asked["key"] == PARTS["api_key"] and asked["phrase"] == PARTS["passphrase"]
        return {} if good and asked["sign"] else {"error": KEY_CODE, "words": "no"}

    def _do(self, asked, socket=None):
        op, client_id = asked["op"], asked.get("id", "")
        if op == "place":
            if client_id in self.orders:
                return {"error": DUPLICATE_CODE, "words": "twice"}
            kept = {key: asked[key] for key in ("symbol", "id", "price", "qty")}
            self.orders[client_id] = kept | {"state": "new", "ns": wall_ns()}
            self.placed_on[client_id] = socket
        elif op == "cancel":
            self.orders[client_id]["state"] = "cancelled"
        elif op == "change":
            self.orders[client_id] |= {key: asked[key] for key in ("price", "qty")}
        return {"order": self.orders[client_id]}

    async def _orders(self, request):
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        self.sockets.append(socket)
        is_guarded = False
        async for message in socket:
            if message.data == "ping":
                self.pings["orders"] += 1
                if not self.is_mute:
                    await socket.send_str("pong")
                continue
            asked = json.loads(message.data)
            if asked["op"] == "login":
                answer = self._login(asked)
            elif asked["op"] == "guard":
                is_guarded = self.is_guard_good
                answer = {} if is_guarded else {"error": 9, "words": "not for you"}
                self.guarded.append(is_guarded)
            else:
                answer = self._nonce("ws", asked["nonce"]) or self._do(asked, socket)
            await socket.send_json({"n": asked["n"], **answer})
        if is_guarded:
            for client_id, placed in self.placed_on.items():
                if placed is socket and self.orders[client_id]["state"] == "new":
                    self.orders[client_id]["state"] = "cancelled"
                    await self.tell(client_id)
        return socket

    async def tell(self, client_id):
        for user in self.users:
            if not user.closed:
                await user.send_json({"order": self.orders[client_id]})

    async def _user(self, request):
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        async for message in socket:
            if message.data == "ping":
                self.pings["user"] += 1
                if not self.is_mute:
                    await socket.send_str("pong")
                continue
            asked = json.loads(message.data)
            answer = self._login(asked) if asked["op"] == "login" else {}
            await socket.send_json({"n": asked["n"], **answer})
            if asked["op"] == "topic":
                self.users.append(socket)
        return socket

    async def _rest(self, request):
        asked, path = await request.json(), request.match_info["path"]
        if request.headers.get("PHRASE") != PARTS["passphrase"]:
            return web.json_response({"error": KEY_CODE, "words": "wrong phrase"})
        answer = self._nonce(path, asked["nonce"])
        await asyncio.sleep(self.slow_s.get(path, 0.0))
        if self.fails_once[path]:
            self.fails_once[path] -= 1
            return web.Response(status=502, text="{}")
        if not answer and path == "order":
            answer = self._do(asked)
        elif not answer and path == "switch":
            self.switches.append((asked["symbol"], asked["ms"]))
        return web.json_response(answer)


class Core:
    """What order management would be told."""

    def __init__(self):
        self.outcomes, self.reports, self.connections = [], [], []

    def handlers(self):
        return Handlers(
            self.outcomes.append, self.reports.append, lambda _holding: None, self.connections.append
        )

    def outcome(self, request):
        found = [one for one in self.outcomes if one.request == request]
        assert len(found) <= 1, "a command has one outcome"
        return found[0] if found else None


async def until(condition, what="it", seconds=10.0):
    """Wait for a condition; that it comes true is what is tested, not when."""
    for _ in range(int(seconds / 0.005)):
        if condition():
            return
        await asyncio.sleep(0.005)
    raise AssertionError(f"{what} did not happen")


def limiter():
    return Limiter(
        [RateLimit("weight_10s", 600, 10_000_000_000, 60, 12), RateLimit("orders_1s", 50, 1_000_000_000)]
    )


@asynccontextmanager
async def served(exchange):
    """The exchange on a port; gives host and port."""
    runner = web.AppRunner(exchange.app(), shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


@asynccontextmanager
async def trading_with(
    exchange,
    *,
    parts=PARTS,
    nonces=None,
    is_healthy=lambda: True,
    wait=True,
    manners=(),
    connector=None,
    **config,
):
    """An account that is connected to it."""
    async with served(exchange) as host, aiohttp.ClientSession(connector=connector) as session:
        core, limits, offset = Core(), limiter(), ClockOffset()
        signer = ThreeParts(Credentials(**{part: Secret(text) for part, text in parts.items()}))
        nonces = nonces or Nonces(1000)
        rest = Rest(session, REST, f"http://{host}", signer, limits, offset, nonces=nonces)
        settings = {
            "backoff_s": 0.01,
            "backoff_max_s": 0.05,
            "countdown_s": 0.0,
            "send": SendLimits(reply_timeout_s=1),
        }
        steps = {}
        trading = Trading(
            TradingConfig(f"ws://{host}/orders", "mm", **(settings | config)),
            ORDERS,
            signer,
            session,
            rest,
            Questions(rest, steps),
            Login(LoginFacts(), f"ws://{host}/user", signer, offset.corrected_ms),
            steps,
            core.handlers(),
            limiter=limits,
            offset=offset,
            is_healthy=is_healthy,
            manners=Manners(**{"heartbeat": HEARTBEAT, "countdown_weight": 3} | dict(manners)),
        )
        task = asyncio.create_task(trading.run())
        try:
            if wait:
                await until(lambda: core.connections[-1:] == [True] or task.done(), "the connection")
                if settings.get("order_path", config.get("order_path")) != "rest":
                    await until(lambda: trading._sender.socket is not None or task.done(), "the socket")
            trading.task = task
            yield trading, core
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
