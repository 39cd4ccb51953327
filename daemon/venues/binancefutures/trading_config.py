"""How an account is traded, and whom its trading side tells."""

from collections.abc import Callable, Sequence
from typing import Final

import msgspec

from daemon.orders.messages import Holding, Instrument, Outcome, Report
from daemon.venues.binancefutures.account import Balance
from daemon.venues.binancefutures.sending import SendLimits
from daemon.venues.binancefutures.signing import RECV_WINDOW_MS, RECV_WINDOW_MS_MAX
from daemon.venues.binancefutures.user_stream import REFRESH_S
from hftd.errors import ConfigError

LIFE_S: Final = 86_400.0
"""The exchange closes a connection after this; ours are replaced before."""


class TradingConfig(msgspec.Struct, frozen=True):
    """How an account is traded.

    Attributes:
        api_url: REST, such as ``https://fapi.binance.com``.
        ws_api_url: The WebSocket API, such as ``wss://ws-fapi.binance.com/ws-fapi/v1``.
        user_url: User data, to which ``/ws/<listen key>`` is appended, such as ``wss://fstream.binance.com/private``.
        order_prefix: Of our client ids.
        order_path: "ws": the WebSocket API, and REST where that is down; "rest": REST alone.
        is_rest_fallback: Whether REST stands in.
        recv_window_ms: How old a request may be when the exchange handles it.
        countdown_s: The exchange cancels all orders of a symbol unless it hears from a healthy connector for so long;
            0 for never. It counts for the account: other programs' orders in the symbol are cancelled as well.
        countdown_every_s: How often it hears.
        clock_every_s: How often the exchange's time is asked for.
        listen_key_every_s: How often the listen key is extended.
        life_s: How long the exchange lets a connection live.
        backoff_s: The first wait before a connection is made again; likewise `backoff_max_s`.
        seed: Of waits and lives.
    """

    api_url: str
    ws_api_url: str
    user_url: str
    order_prefix: str = "hftd"
    order_path: str = "ws"
    is_rest_fallback: bool = True
    recv_window_ms: int = RECV_WINDOW_MS
    countdown_s: float = 120.0
    countdown_every_s: float = 30.0
    clock_every_s: float = 60.0
    listen_key_every_s: float = REFRESH_S
    life_s: float = LIFE_S
    backoff_s: float = 0.25
    backoff_max_s: float = 30.0
    seed: int = 0
    send: SendLimits = SendLimits()

    def __post_init__(self) -> None:
        if self.order_path not in ("ws", "rest"):
            raise ConfigError(f"the order path {self.order_path!r} is none", hint='it is "ws" or "rest"')
        if not 0 < self.recv_window_ms <= RECV_WINDOW_MS_MAX:
            raise ConfigError(
                f"a receive window of {self.recv_window_ms} ms", hint=f"1 to {RECV_WINDOW_MS_MAX}"
            )


def _ignored(balance: Balance) -> None:
    """Balances are not wanted."""


def _unheard(instruments: Sequence[Instrument]) -> None:
    """Changes of instruments are not wanted."""


def _unasked() -> None:
    """Nobody asks for instruments anew."""


def _unguarded(symbol: str, client_id: str, exch_order_id: str) -> None:
    """Nobody minds orders that can't be read."""


class Handlers(msgspec.Struct, frozen=True):
    """Whom the trading side tells; none of these may wait.

    Attributes:
        on_outcome: How a command ended: once each, in any order with the reports about it.
        on_report: What the exchange says of an order, possibly more than once.
        on_holding: A position.
        on_connection: Whether orders can be sent and their fates are heard. After each True, what was missed has to
            be asked for. False at the start.
        on_balance: A balance.
        on_instruments: Instruments that are described anew, or not traded any more, or again.
        on_instruments_wanted: Something says that exchangeInfo has news; it is to be asked for.
        on_unread_order: Symbol, client id and exchange's id of an open order of ours that can't be taken over.
        is_ours: Whether a client id is this connector's; None: those that begin with its prefix are.
    """

    on_outcome: Callable[[Outcome], None]
    on_report: Callable[[Report], None]
    on_holding: Callable[[Holding], None]
    on_connection: Callable[[bool], None]
    on_balance: Callable[[Balance], None] = _ignored
    on_instruments: Callable[[Sequence[Instrument]], None] = _unheard
    on_instruments_wanted: Callable[[], None] = _unasked
    on_unread_order: Callable[[str, str, str], None] = _unguarded
    is_ours: Callable[[str], bool] | None = None
