"""A bot with a lease, and what it may ask of order management."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from daemon.orders.limits import BotLimits
from daemon.orders.manager import Update
from hftd.channel import wire
from hftd.channel.endpoint import QueueReader
from hftd.channel.memory import BotPage, Link

Asked = wire.Submit | wire.Modify | wire.Cancel | wire.Inquire


class Orders(Protocol):
    """What is asked of order management here; `daemon.orders.manager.OrderManager` is it."""

    def attach(
        self, bot: str, instruments: Sequence[int], limits: BotLimits, on_end: str, now_ns: int
    ) -> list[Update]:
        """A bot has a lease; what it is told."""
        ...

    def told(self, bot: str, now_ns: int) -> list[Update]:
        """The same again."""
        ...

    def detach(self, bot: str, now_ns: int) -> None:
        """Its lease is over."""
        ...

    def request(self, bot: str, message: Asked, now_ns: int, *, is_late: bool = False) -> None:
        """What it asks for; late if it is too old to be sent."""
        ...


@dataclass(slots=True)
class AttachedBot:
    """A bot with a lease."""

    hello: wire.Hello
    page: BotPage
    link: Link
    doorbell_fd: int
    numbers: frozenset[int]
    reader: "QueueReader[wire.Request]"
    since_ns: int
    requests: int = 0
    updates: int = 0
    resyncs: int = 0
    failed: int = 0
    is_lost: bool = False
    progress: tuple[int, int] = (0, 0)
    quiet_ns: int = 0
    name: str = field(init=False)
    queue: int = field(init=False)

    def __post_init__(self) -> None:
        self.name = self.hello.bot
        self.queue = int(self.link.responses.ctypes.data)
