"""Bybit's linear contracts as a venue: its facts and the machines, joined."""

from collections.abc import Callable
from typing import Any, Final

import aiohttp
import msgspec

from daemon.connector.config import Credentials
from daemon.connector.limiter import Limiter
from daemon.connector.venue import Listener, Venue
from daemon.connector.watch.offset import ClockOffset
from daemon.session.catalog import Steps
from daemon.session.facts import Handlers, Signer
from daemon.session.manners import Heartbeat, Manners
from daemon.session.market.stream import MarketSession
from daemon.session.rest import Rest
from daemon.session.trading.account import Trading, TradingConfig
from daemon.session.trading.login import Login
from daemon.session.trading.session import AccountSession
from daemon.session.trading.switch import AccountSwitch
from daemon.venues.bybit.config import BybitConfig
from daemon.venues.bybit.facts import (
    HEARTBEAT,
    LIMITS,
    ORDERS,
    REST,
    SWITCH_ID,
    LoginFacts,
    MarketFacts,
)
from daemon.venues.bybit.queries import Queries
from daemon.venues.bybit.requests import rest_question_of_closed
from daemon.venues.bybit.signing import make_signer


def market_of(
    config: BybitConfig,
    http: aiohttp.ClientSession,
    rest: Rest,
    *,
    on_rows: Callable[[int, Any, bool], None],
    on_book_state: Callable[[int, int], None],
    on_off_grid: Callable[[], None] = lambda: None,
    heartbeat: Heartbeat = HEARTBEAT,
    seed: int = 0,
) -> MarketSession:
    """The market data side."""
    return MarketSession(
        MarketFacts(config.depth),
        config.market_url(),
        config,
        http,
        rest,
        life_s=config.connection_life_s,
        on_rows=on_rows,
        on_book_state=on_book_state,
        on_off_grid=on_off_grid,
        heartbeat=heartbeat,
        is_streamed=True,
        seed=seed,
    )


def trading_of(
    config: TradingConfig,
    venue: BybitConfig,
    signer: Signer,
    http: aiohttp.ClientSession,
    handlers: Handlers,
    *,
    limiter: Limiter,
    offset: ClockOffset,
    is_healthy: Callable[[], bool] = lambda: True,
    heartbeat: Heartbeat = HEARTBEAT,
) -> Trading:
    """The trading side of an account.

    Args:
        config: How it is traded.
        venue: Where, and with what switch.
        signer: Of the API key.
        http: The HTTP client; its owner closes it.
        handlers: Whom to tell.
        limiter: Of the address and account.
        offset: Of the exchange's clock.
        is_healthy: While it says False, the dead-man switch is let fire.
        heartbeat: Of the private connections.
    """
    rest = Rest(http, REST, venue.rest_url(), signer, limiter, offset, recv_window_ms=config.recv_window_ms)
    steps: dict[str, Steps] = {}
    queries = Queries(rest, steps, config.order_prefix, venue.symbols)
    queries.on_funding = handlers.on_funds
    window_s = venue.dcp_window_s
    access = Login(LoginFacts(window_s > 0), venue.user_url(), signer, offset.corrected_ms)
    switch = None
    if window_s:
        # The switch fires when nothing comes from here for the window, and two of three pings may be late.
        heartbeat = msgspec.structs.replace(
            heartbeat,
            every_s=min(heartbeat.every_s, window_s / 3),
            pong_s=min(heartbeat.pong_s, window_s / 3),
        )
        switch = AccountSwitch(
            queries.put_switch,
            window_s,
            is_joined=lambda: SWITCH_ID not in access.refused,
            key="dcp_window_s",
            seed=config.seed + 11,
        )
    return Trading(
        config,
        ORDERS,
        signer,
        http,
        rest,
        queries,
        access,
        steps,
        handlers,
        limiter=limiter,
        offset=offset,
        is_healthy=is_healthy,
        manners=Manners(
            is_ack_receipt=True,
            state_wait_s=venue.state_wait_s,
            asks_by_rest=True,
            elsewhere=(rest_question_of_closed,),
            cost_amend=ORDERS.cost_amend,
            cost_query=ORDERS.cost_query,
            heartbeat=heartbeat,
        ),
        switch=switch,
    )


class BybitSession(AccountSession):
    """One account at Bybit.

    Args:
        config: The connector's.
        credentials: Empty for market data alone.
        http: The HTTP client.
        listener: Whom to tell.
        seed: Of all jitter.
    """

    def __init__(
        self,
        config: BybitConfig,
        credentials: Credentials,
        http: aiohttp.ClientSession,
        listener: Listener,
        seed: int,
    ) -> None:
        limiter, offset = Limiter(LIMITS), ClockOffset()
        rest = Rest(http, REST, config.rest_url(), None, limiter, offset)
        market = market_of(
            config,
            http,
            rest,
            on_rows=listener.on_rows,
            on_book_state=listener.on_book_state,
            on_off_grid=listener.on_instruments_wanted,
            seed=seed,
        )
        questions = Queries(rest, {}, config.order_prefix, config.symbols)
        super().__init__(ORDERS, rest, market, None, questions, limiter, offset, listener, (), seed + 8)
        if credentials.are_there:
            self.trading = trading_of(
                TradingConfig(
                    orders_url=config.orders_url(),
                    order_prefix=config.order_prefix,
                    order_path="ws" if config.order_entry == "websocket" else "rest",
                    recv_window_ms=config.recv_window_ms,
                    countdown_s=0.0,
                    life_s=config.connection_life_s,
                    seed=seed + 100,
                ),
                config,
                make_signer(credentials.reveal("api_key"), credentials.reveal("secret")),
                http,
                self.handlers(),
                limiter=limiter,
                offset=offset,
                is_healthy=listener.is_healthy,
            )


VENUE: Final = Venue("bybit", BybitConfig, BybitSession)
