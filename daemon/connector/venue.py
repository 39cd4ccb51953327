"""What an exchange's folder has to offer, and what it is given; docs/new-exchange.md walks through it."""

import importlib
import pkgutil
from collections.abc import Callable, Iterable, Sequence
from importlib.util import find_spec
from typing import Any, NamedTuple, Protocol

import aiohttp
from numpy.typing import NDArray
from yarl import URL

from daemon.connector.config import ConnectorConfig, Credentials
from daemon.messages import Command, Execution, Funding, Funds, Holding, Instrument, Outcome, Report, Transfer
from daemon.warnings import Warn
from hftd.control.status import Connection, Used
from hftd.errors import ConfigError, HftdError


class AnsweredError(HftdError):
    """The exchange answered a question with an error: others may well be answered."""


class Listener(Protocol):
    """Whom a session tells. None of these waits."""

    def on_rows(self, number: int, rows: NDArray[Any], is_book: bool) -> None:
        """Rows of an instrument, which hold during the call; `is_book`: of its book, else trades or user events."""
        ...

    def on_book_state(self, number: int, state: int) -> None:
        """An instrument's book is BOOK_VALID or BOOK_INVALID from here on; at first it is not valid."""
        ...

    def on_outcome(self, outcome: Outcome) -> None:
        """How a command ended; exactly one for each."""
        ...

    def on_report(self, report: Report) -> None:
        """What the exchange says of an order, in any order and any number of times."""
        ...

    def on_holding(self, holding: Holding) -> None:
        """The account's position in an instrument."""
        ...

    def on_funds(self, funds: Funds | Transfer | Funding) -> None:
        """What a spot account has of an asset, or that it was changed by what is no execution."""
        ...

    def on_connection(self, is_up: bool) -> None:
        """Whether orders can be sent and what becomes of them is heard; False at first."""
        ...

    def on_instruments(self, instruments: Sequence[Instrument]) -> None:
        """Instruments that are described anew: new ones, and such as are not traded any more (`trouble`), or again."""
        ...

    def on_instruments_wanted(self) -> None:
        """Something says that the exchange's instruments are not what they were: they are to be asked for soon."""
        ...

    def on_unread_order(self, symbol: str, client_id: str, exch_order_id: str) -> None:
        """An open order of ours can't be taken over as it is; it must not be left behind."""
        ...

    def is_ours(self, client_id: str) -> bool:
        """Whether an order is this connector's."""
        ...

    def is_healthy(self) -> bool:
        """Whether the connector does its work; while not, no dead-man switch of the exchange is to be refreshed."""
        ...


class Session(Protocol):
    """One account at one exchange: market data and, with credentials, orders.

    Attributes:
        order_id_max: The largest id of a bot's order that the exchange's client ids tell.
        by_totals: The exchange tells no executions with ids, but what each order has executed in all (`Report.totals`).
    """

    order_id_max: int
    by_totals: bool

    async def instruments(self) -> list[Instrument]:
        """What can be traded, numbered from 0.

        An instrument keeps its number and its steps as long as the process runs, whatever the exchange says: venue,
        order management, books and bots count in them. One whose steps have changed there, that is delisted or not
        trading has `trouble`, and is not traded.

        Raises:
            HftdError: The exchange can't be reached, or refuses; the connector tries again unless it is a UsageError.
        """
        ...

    def subscribe(self, instrument: Instrument) -> None:
        """Follow an instrument's market from now on; again does nothing.

        Raises:
            RefusedError: There is no room for one more.
        """
        ...

    def send(self, command: Command) -> None:
        """Send a command, without waiting. What surely is not sent has its outcome before this returns."""
        ...

    def warm_up(self, command: Command) -> None:
        """Do with a command what `send` does, short of sending it and of what the exchange counts.

        A connector that polls calls it while there is nothing else to do, so that the real way stays in the caches.
        Doing nothing is right, and only slower.
        """
        ...

    async def open_orders(self) -> Sequence[Report]:
        """All open orders of the account."""
        ...

    async def executions(
        self, symbol: str, since_ns: int, is_counted: Callable[[str, str, int], bool]
    ) -> Sequence[Execution]:
        """The fills of a symbol since a moment of the exchange's clock.

        Those that `is_counted` (by symbol, trade id and side) may come without a client id.

        Raises:
            AnsweredError: The exchange refused this question.
            HftdError: There was no answer.
            ValueError: The answer can't be read.
        """
        ...

    async def holdings(self) -> Sequence[Holding]:
        """All positions; a symbol that is not among them is flat."""
        ...

    async def funds(self) -> Sequence[Funds] | None:
        """All balances of a spot account; an asset that is not among them is not there. None: it has positions."""
        ...

    async def payments(self, since_ns: int) -> Sequence[Funding] | None:
        """Payments of funding since an exchange time; None: they are among the fills, or there are none."""
        ...

    async def run(self) -> None:
        """Keep all connections up until cancelled.

        Raises:
            UsageError: What the user gave is wrong, such as a key that the exchange does not take.
        """
        ...

    def exchange_ns(self, now_ns: int) -> int:
        """A moment of `hftd.clock.running_ns` by the exchange's clock, as well as it is known."""
        ...

    def clock(self) -> tuple[int, int]:
        """By how much the exchange's clock is ahead of the system's, and how far off that may be; -1: not known yet."""
        ...

    def switch(self) -> tuple[bool | None, int]:
        """Whether the exchange's dead-man switch is armed, None where there is none or nothing for it to end; and how
        many nanoseconds ago it was refreshed, -1 if that is not known.
        """
        ...

    def check_connections(self, why: str) -> None:
        """The machine slept, or this process stood still: make all connections anew, since each may be dead."""
        ...

    def progress(self) -> dict[str, int]:
        """By loop, when it last went round (monotonic ns); a loop that has nothing to do just now is not in it."""
        ...

    def connections(self) -> list[Connection]:
        """For `hftd status`."""
        ...

    def limits(self) -> list[Used]:
        """The exchange's limits, and what is used of them, for `hftd status`."""
        ...

    def warnings(self) -> Iterable[Warn]:
        """What needs a person, as of now; connections that are down are known already."""
        ...

    def market_counters(self, number: int) -> dict[str, int]:
        """`messages`, `gaps` and `resyncs` of an instrument, for `hftd status`."""
        ...

    def counters(self) -> dict[str, int]:
        """Whatever else is counted, for `hftd status`."""
        ...


SessionMaker = Callable[[Any, Credentials, aiohttp.ClientSession, Listener, int], Session]
"""Makes a session, which connects when it is run, from a configuration, credentials (empty for market data alone), an
HTTP client whose owner closes it, whom to tell, and the seed of all jitter.

It raises ConfigError if something given is wrong.
"""


class Venue(NamedTuple):
    """An exchange: what `daemon/venues/<name>/session.py` calls `VENUE`.

    Attributes:
        name: That of the folder.
        config_type: Its configuration.
        session: Makes its sessions.
    """

    name: str
    config_type: type[ConnectorConfig]
    session: SessionMaker


def venue_names() -> list[str]:
    """The exchanges that there are: the folders with a `session.py`; what a family shares has none."""
    import daemon.venues

    found = (one.name for one in pkgutil.iter_modules(daemon.venues.__path__) if one.ispkg)
    return sorted(name for name in found if find_spec(f"daemon.venues.{name}.session") is not None)


def check_addresses(name: str, config: Any, where: str) -> None:
    """See that a configuration's addresses are not another exchange's: that one would answer wrongly, or not at all.

    Args:
        name: The exchange.
        config: Read as that one's.
        where: The file.

    Raises:
        ConfigError: One is another's.
    """
    for key in ("stream_url", "private_url", "api_url", "ws_api_url"):
        host = URL(getattr(config, key, "")).host or ""
        if host and (owners := _owners_of(host)) and name not in owners:
            owner = owners[0]
            raise ConfigError(
                f"`{key}` is an address of {owner} ({host}), and this is to be a configuration of {name}",
                where=where,
                hint=f"if it is the right file, the exchange is {owner} (`--connector {owner}`, or [venues.{owner}])",
            )


def _owners_of(host: str) -> list[str]:
    """Whose host it is, by `HOSTS` of the exchanges' configurations: several may share one."""
    import daemon.venues

    names = sorted(one.name for one in pkgutil.iter_modules(daemon.venues.__path__) if one.ispkg)
    modules = {name: f"daemon.venues.{name}.config" for name in names}
    return [
        name
        for name, module in modules.items()
        if find_spec(module) and (hosts := getattr(importlib.import_module(module), "HOSTS", None))
        if hosts.fullmatch(host)
    ]


def find_venue(name: str) -> Venue:
    """An exchange by its name.

    Raises:
        ConfigError: There is none of that name.
    """
    names = venue_names()
    if name not in names:
        raise ConfigError(
            f"there is no connector {name!r}",
            hint=f"there is {', '.join(names)}; the file's name says which one, or --connector",
        )
    return importlib.import_module(f"daemon.venues.{name}.session").VENUE
