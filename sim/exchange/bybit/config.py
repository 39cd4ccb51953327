"""What the configuration says of this exchange alone."""

from typing import TYPE_CHECKING, Annotated

import msgspec

from sim.exchange.rules.config import ExchangeConfig, LimitsSection, ServerSection

if TYPE_CHECKING:
    from sim.exchange.core import Exchange

_Count = Annotated[int, msgspec.Meta(ge=0)]


class BybitServer(ServerSection, frozen=True):
    """`[exchange]`, with what this exchange has of its own.

    Attributes:
        orders_1s: Requests of each family of orders (create, amend, cancel, cancel-all, and each kind of batch,
            counted in orders) in a second, for each account; 0: any number.
        queries_1s: Queries of each kind in a second, for each account; 0: any number.
        race_ms: For how long after an order was filled its cancel is acknowledged, and answered by the stream with a
            second `Filled`.
        endless_cursor: Whether a page after the last one is the last one again, with a cursor.
    """

    orders_1s: _Count = 10
    queries_1s: _Count = 50
    race_ms: _Count = 5
    endless_cursor: bool = False


class BybitConfig(ExchangeConfig, frozen=True):
    """The whole configuration. Requests of an address are counted by the minute: 600 in 5 s."""

    exchange: BybitServer = BybitServer()
    limits: LimitsSection = LimitsSection(
        weight_1m=7200, orders_10s=0, orders_1m=0, ping_s=30.0, pong_s=600.0
    )


def settings_of(exchange: "Exchange") -> BybitServer:
    """What the configuration says; what stands for it in one of another venue."""
    server = exchange.config.exchange
    return server if isinstance(server, BybitServer) else BybitServer()
