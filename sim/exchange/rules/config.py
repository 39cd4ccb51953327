"""What `exchange.toml` says: the market that is played, the instruments, the accounts, the limits."""

import re
from decimal import Decimal
from typing import Annotated, Literal

import msgspec

from hftd.config import Section, check_file_pattern, check_unique
from sim.config import LevelQueue, PowerQueue3
from sim.exchange.rules.auth import read_public_key
from sim.exchange.rules.chaos import ChaosSection

_Positive = Annotated[float, msgspec.Meta(gt=0)]
_Count = Annotated[int, msgspec.Meta(ge=0)]
_Port = Annotated[int, msgspec.Meta(ge=0, le=65535)]

_DECIMAL = re.compile(r"[0-9]{1,12}(\.[0-9]{1,8})?")
_SIGNED = re.compile(r"-?[0-9]{1,12}(\.[0-9]{1,8})?")


def _check_decimal(section: Section, *keys: str) -> None:
    for key in keys:
        if not _DECIMAL.fullmatch(getattr(section, key)):
            raise ValueError(
                f'`{key}` must be a decimal number as text, such as "0.10", is {getattr(section, key)!r}'
            )


class ServerSection(Section, frozen=True):
    """`[exchange]`: where it listens, and its time.

    Attributes:
        host: The address to listen at; loopback by default.
        port: Of REST, streams and WebSocket API; 0: one that is free.
        control_port: Of the control page; 0: one that is free.
        speed: How many times as fast as it was the market goes; 0: only when it is told to.
        time: What the exchange's clock shows: `wall`, the system's time, as if the market were today's; `market`,
            the time of the data.
        clock_offset_ms: By how much the exchange's clock is off.
        tick_ms: How often it looks whether the market has gone on.
        ids_seed: Of the holes between ids.
    """

    host: str = "127.0.0.1"
    port: _Port = 0
    control_port: _Port = 0
    speed: Annotated[float, msgspec.Meta(ge=0, le=1e6)] = 1.0
    time: Literal["wall", "market"] = "wall"
    clock_offset_ms: int = 0
    tick_ms: Annotated[float, msgspec.Meta(ge=0.1, le=1000.0)] = 1.0
    ids_seed: int = 1


class GenerateSection(Section, frozen=True):
    """`generate` of `[market]`: a day that never was.

    Attributes:
        seed: Another one gives another market.
        date: The day.
        duration_s: How much of it.
        start_price: Of each instrument.
        updates_per_s: Limit orders and cancels a second.
        trades_per_s: Market orders a second.
    """

    seed: int = 1
    date: str = "20240808"
    duration_s: Annotated[float, msgspec.Meta(gt=0, le=86_400)] = 600.0
    start_price: _Positive = 60_000.0
    updates_per_s: _Positive = 700.0
    trades_per_s: _Positive = 6.0


class MarketSection(Section, frozen=True):
    """`[market]`: what is played.

    Attributes:
        channel: What `{channel}` stands for in the pattern; empty: the venue's name.
        data: A pattern of archives.
        generate: Generate the market instead.
    """

    channel: str = ""
    data: str = "../data/{channel}/{symbol}_{date}.npz"
    generate: GenerateSection | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        check_file_pattern("data", self.data)


class SymbolSection(Section, frozen=True):
    """One of `[[symbols]]`. Prices and quantities are texts, so that they are exact.

    Attributes:
        symbol: The exchange's name.
        tick_size: The price's step; its digits are those of all prices.
        lot_size: The quantity's step; its digits are those of all quantities.
        base: What is traded.
        quote: What it is paid in.
        grid_tick: What the market's prices are multiples of, where that is finer than `tick_size`: the steps can become
            as fine as this while the exchange runs.
        grid_lot: The same of quantities, where that is finer than `lot_size`.
        listed: Whether the exchange knows it from the start; else it can be listed later.
        status: One of the venue's, which knows what each takes; empty: that which takes all orders.
        contract_size: What a quantity of 1 is: so much of the base, or of the quote for an inverse contract.
        inverse: Whether it is paid, margined and settled in the base: a contract is worth `contract_size` over price.
        min_price: Of an order; the other filters are of an order too.
        spot: Whether it is no contract: orders are paid from the balances of base and quote, nothing is borrowed, and
            fees are taken from what is received.
        fee_asset_price: What an account's `fee_asset` costs in the quote of a spot instrument; 0: fees are not paid in
            it.
        fee_asset_discount: The part of a fee that is saved where it is paid in that asset.
        maker_fee: A part of the value, negative for a rebate.
        taker_fee: A part of the value.
        max_orders: Open at a time, for each account.
        queue: How an order's place in the queue is estimated.
        exchange: How orders are filled.
        initial_snapshot: A pattern of files with the book before the first row.
        fuse_bbo: Whether recorded best prices are fused with the depth.
    """

    symbol: Annotated[str, msgspec.Meta(min_length=1, max_length=32, pattern="^[A-Z0-9_]+$")]
    tick_size: str
    lot_size: str
    base: str = "BTC"
    quote: str = "USDT"
    grid_tick: str = ""
    grid_lot: str = ""
    listed: bool = True
    status: str = ""
    contract_size: str = "1"
    inverse: bool = False
    spot: bool = False
    fee_asset_price: str = "0"
    fee_asset_discount: str = "0.25"
    min_price: str = "0"
    max_price: str = "4529764"
    min_qty: str = "0.001"
    max_qty: str = "1000"
    market_max_qty: str = "120"
    min_notional: str = "50"
    multiplier_up: str = "1.05"
    multiplier_down: str = "0.95"
    maker_fee: str = "0.0002"
    taker_fee: str = "0.0005"
    max_orders: _Count = 200
    queue: LevelQueue = PowerQueue3(n=3.0)
    exchange: Literal["no_partial_fill", "partial_fill"] = "partial_fill"
    initial_snapshot: str | None = None
    fuse_bbo: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_decimal(self, "tick_size", "lot_size", "min_price", "max_price", "min_qty", "max_qty")
        _check_decimal(self, "market_max_qty", "min_notional", "multiplier_up", "multiplier_down")
        _check_decimal(self, "contract_size", "fee_asset_price", "fee_asset_discount")
        if float(self.fee_asset_discount) > 1:
            raise ValueError(f"`fee_asset_discount` must be at most 1, is {self.fee_asset_discount}")
        if self.spot and (self.inverse or float(self.contract_size) != 1):
            raise ValueError("a `spot` instrument is no contract: `inverse` must be false, `contract_size` 1")
        for key in ("maker_fee", "taker_fee"):
            if not _SIGNED.fullmatch(getattr(self, key)):
                raise ValueError(
                    f'`{key}` must be a number as text, such as "0.0002", is {getattr(self, key)!r}'
                )
        for key in ("tick_size", "lot_size", "contract_size"):
            if not float(getattr(self, key)):
                raise ValueError(f"`{key}` must be above 0")
        for grid, step in (("grid_tick", "tick_size"), ("grid_lot", "lot_size")):
            if not getattr(self, grid):
                continue
            _check_decimal(self, grid)
            if not float(getattr(self, grid)) or Decimal(getattr(self, step)) % Decimal(getattr(self, grid)):
                raise ValueError(
                    f"`{step}` must be a multiple of `{grid}`, is {getattr(self, step)}, not of {getattr(self, grid)}"
                )
        digits = sum(
            len((grid or step).partition(".")[2])
            for grid, step in (
                (self.grid_tick, self.tick_size),
                (self.grid_lot, self.lot_size),
                ("", self.contract_size),
            )
        )
        if digits > 8 and not self.inverse:
            raise ValueError(
                f"`tick_size`, `lot_size` and `contract_size` have {digits} digits behind the point, but money has 8"
            )
        if self.initial_snapshot is not None:
            check_file_pattern("initial_snapshot", self.initial_snapshot)


class AccountSection(Section, frozen=True):
    """One of `[[accounts]]`: an API key, and what it may trade with.

    Attributes:
        name: For the control page.
        api_key: The key.
        secret: For HMAC signatures.
        public_key: For Ed25519 signatures: PEM, or the 32 bytes in base64.
        balance: In each margin asset; of spot instruments in base and quote.
        balances: By asset, where it is another one.
        fee_asset: In which the fees of spot trades are paid while there is enough of it; empty: from what is received.
        leverage: Of all instruments.
        hedge: Whether it holds long and short positions apart.
    """

    name: str
    api_key: Annotated[str, msgspec.Meta(min_length=1, max_length=128)]
    secret: str = ""
    public_key: str = ""
    balance: str = "1000000"
    balances: dict[str, str] = msgspec.field(default_factory=dict)
    fee_asset: str = ""
    leverage: Annotated[int, msgspec.Meta(ge=1, le=125)] = 20
    hedge: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_decimal(self, "balance")
        for asset, amount in self.balances.items():
            if not _DECIMAL.fullmatch(amount):
                raise ValueError(f"`balances` must hold decimal numbers as text, has {asset} = {amount!r}")
        if not self.secret and not self.public_key:
            raise ValueError("an account needs a `secret` (HMAC) or a `public_key` (Ed25519)")
        if self.public_key:
            read_public_key(self.public_key)


class LimitsSection(Section, frozen=True):
    """`[limits]`: as the exchange states them in exchangeInfo; 0: no limit.

    Attributes:
        weight_1m: Request weight a minute, for each address.
        ws_api_weight_1m: That of the WebSocket API.
        orders_10s: Orders in ten seconds, for each account.
        orders_1m: Orders a minute.
        orders_1d: Orders a day.
        fills_give_back: Whether an order that is executed is counted no more.
        bans_after: How many requests beyond the limit are refused with 429 before there is a ban (418).
        ban_s: How long a ban is; the next is twice as long.
        stream_messages_1s: Messages that a client may send on a stream connection in a second.
        streams_max: Streams of a connection.
        ping_s: How often the server sends a ping.
        pong_s: How long it waits for the pong.
        life_s: How long a connection lives: 24 h.
        notice_s: How long before the end of its life a connection is told of it, where the venue does so.
        listen_key_s: How long a listen key lives.
        outbox_bytes: How far a client may fall behind before its connection is closed.
        modifies_max: Of one order.
    """

    weight_1m: _Count = 2400
    ws_api_weight_1m: _Count = 2400
    orders_10s: _Count = 300
    orders_1m: _Count = 1200
    orders_1d: _Count = 0
    fills_give_back: bool = False
    bans_after: _Count = 20
    ban_s: _Positive = 120.0
    stream_messages_1s: _Count = 10
    streams_max: _Count = 1024
    ping_s: _Positive = 180.0
    pong_s: _Positive = 600.0
    life_s: _Positive = 86_400.0
    notice_s: Annotated[float, msgspec.Meta(ge=0)] = 0.0
    listen_key_s: _Positive = 3600.0
    outbox_bytes: Annotated[int, msgspec.Meta(ge=4096)] = 64 << 20
    modifies_max: _Count = 10_000


class LatencySection(Section, frozen=True):
    """`[latency]`: how long the ways take; each is `[least, most]` in milliseconds, even in between.

    Attributes:
        entry_ms: From the arrival of a request to the matching engine.
        reply_ms: From there to the reply.
        event_ms: From there to the user's events.
        feed_ms: From the matching engine to the market's streams.
    """

    entry_ms: tuple[float, float] = (0.0, 0.0)
    reply_ms: tuple[float, float] = (0.0, 0.0)
    event_ms: tuple[float, float] = (0.0, 0.0)
    feed_ms: tuple[float, float] = (0.0, 0.0)

    def __post_init__(self) -> None:
        super().__post_init__()
        for key in self.__struct_fields__:
            least, most = getattr(self, key)
            if not 0.0 <= least <= most <= 60_000.0:
                raise ValueError(f"`{key}` must be [least, most] of 0 to 60,000 ms, is [{least:g}, {most:g}]")


class ExchangeConfig(Section, frozen=True):
    """A local exchange's whole configuration."""

    symbols: Annotated[list[SymbolSection], msgspec.Meta(min_length=1)]
    accounts: Annotated[list[AccountSection], msgspec.Meta(min_length=1, max_length=64)]
    exchange: ServerSection = ServerSection()
    market: MarketSection = MarketSection()
    limits: LimitsSection = LimitsSection()
    latency: LatencySection = LatencySection()
    chaos: ChaosSection = ChaosSection()

    def __post_init__(self) -> None:
        super().__post_init__()
        check_unique("symbol", [one.symbol for one in self.symbols])
        check_unique("account", [one.name for one in self.accounts])
        check_unique("api_key", [one.api_key for one in self.accounts])
