"""Bots that do what no bot should, for tests of the channel and for longer trials.

Each of `KINDS` is a function of (channel, instrument, seconds, seed): it attaches as often as it likes, does its worst
for so long, and returns how often it did. As a process::

    python -m tests.hftd.channel.hostile KIND CHANNEL SYMBOL TICK_SIZE LOT_SIZE SECONDS SEED

None of them sends an order that could trade.
"""

import array
import contextlib
import fcntl
import os
import random
import select
import socket
import sys
from collections.abc import Callable, Iterator
from typing import Final, Self

from hftd import wire
from hftd.channel.endpoint import QueueReader, QueueWriter, ring_doorbell
from hftd.channel.layout import BOT_ASLEEP, BOT_COMPILING, PROTOCOL_VERSION
from hftd.channel.memory import BotPage
from hftd.clock import monotonic_ns, sleep, wall_ns
from hftd.control.protocol import Attachment, attach, new_socket, socket_path
from hftd.errors import HftdError

Instrument = tuple[str, float, float]

POISON: Final = (
    bytes([0x95, 18, 0, 1, 1]) + b"\x91" * 1200 + b"\xc0",  # deeper than a decoder goes
    b"\x91" * 60_000,
    bytes([0x94, 18, 0, 1, 0xA2, 0xFF, 0xFE]),  # a string that is no UTF-8
    b"\xdd\xff\xff\xff\xff",  # four billion elements, and none of them there
    bytes([0x94, 18, 0xCF]) + b"\xff" * 8 + b"\x01\x01",  # an instrument beyond an int64
    b"\x91\xff",
    b"",
)
"""Messages for a request queue, none of which is one."""


class Raw:
    """A lease without a bot behind it; a context manager."""

    def __init__(
        self, channel: str, instrument: Instrument, name: str, on_end: str = "cancel", watchdog_s: float = 0.0
    ) -> None:
        self.page = BotPage.make()
        hello = wire.Hello(
            version=PROTOCOL_VERSION,
            bot=name,
            pid=os.getpid(),
            instruments=(instrument,),
            on_end=on_end,
            watchdog_s=watchdog_s,
        )
        try:
            self.attachment: Attachment = attach(channel, hello, self.page, monotonic_ns() + 10_000_000_000)
        except BaseException:
            self.page.close()
            raise
        self.number = self.attachment.welcome.instruments[0]
        self.writer = QueueWriter(self.attachment.link.requests)
        self.reader = QueueReader(self.attachment.link.responses, wire.response_decoder)

    def write(self, data: bytes) -> bool:
        """Put bytes into the request queue; False if it is full."""
        return self.writer._send(self.writer._address, 0, data) == 1

    def ask(self, message: wire.Request, *, ring: bool = True) -> bool:
        """Put a request there."""
        sent = self.write(wire.encoder.encode(message))
        if ring:
            self.ring()
        return sent

    def ring(self) -> None:
        """Ring as a bot does."""
        ring_doorbell(self.attachment.doorbell_fd, self.attachment.link.daemon_asleep_address)

    def told(self) -> list[wire.Response]:
        """What came."""
        found = []
        while (read := self.reader.receive()) is not None:
            found.append(read[1])
        return found

    def close(self) -> None:
        self.attachment.close("it has done enough")
        self.page.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()


def _until(seconds: float) -> Iterator[None]:
    end_ns = monotonic_ns() + int(seconds * 1e9)
    while monotonic_ns() < end_ns:
        yield


def _again(
    channel: str, instrument: Instrument, seconds: float, kind: str, do: Callable[[Raw], object]
) -> int:
    """Attach, do it, leave; over and over."""
    times = 0
    for _ in _until(seconds):
        with contextlib.suppress(HftdError), Raw(channel, instrument, f"{kind}-{os.getpid()}") as bot:
            do(bot)
            times += 1
    return times


def poison(channel: str, instrument: Instrument, seconds: float, seed: int) -> int:
    """Messages that can't be decoded, at once or as the last words."""
    random_ = random.Random(seed)

    def do(bot: Raw) -> None:
        bot.write(random_.choice(POISON))
        if random_.random() < 0.5:
            bot.ring()
            sleep(0.02)

    return _again(channel, instrument, seconds, "poison", do)


def scribble(channel: str, instrument: Instrument, seconds: float, seed: int) -> int:
    """Random words all over what a bot may write."""
    random_ = random.Random(seed)

    def do(bot: Raw) -> None:
        for _ in range(random_.randrange(1, 200)):
            piece = random_.choice((bot.attachment.link, bot.page))
            value = random_.choice((0, 1, -1, 8, 1 << 20, 1 << 62, -(1 << 63), random_.getrandbits(62)))
            piece.set_word(random_.randrange(16, min(piece.size, 1 << 16), 8), value)
            bot.ring()

    return _again(channel, instrument, seconds, "scribble", do)


def flood(channel: str, instrument: Instrument, seconds: float, seed: int) -> int:
    """Requests without end, whose answers are read."""
    times = 0
    with contextlib.suppress(HftdError), Raw(channel, instrument, f"flood-{os.getpid()}") as bot:
        for _ in _until(seconds):
            if bot.attachment.lost():
                break
            for _ in range(1000):
                request = (
                    wire.Resync() if times % 50 == 49 else wire.Cancel(bot.number, seed + times, wall_ns())
                )
                times += bot.ask(request, ring=False)
            bot.ring()
            bot.told()
    return times


def deaf(channel: str, instrument: Instrument, seconds: float, seed: int) -> int:
    """Requests whose answers nobody reads."""

    def do(bot: Raw) -> None:
        for _ in _until(min(seconds, 5.0)):
            bot.ask(wire.Cancel(bot.number, seed, wall_ns()))
            if bot.attachment.lost():
                return

    return _again(channel, instrument, seconds, "deaf", do)


def steal_rings(channel: str, instrument: Instrument, seconds: float, seed: int) -> int:
    """A doorbell that is made to block, rung without end, and read again."""
    random_ = random.Random(seed)
    times = 0
    with Raw(channel, instrument, f"steal-{os.getpid()}") as bot:
        fd = bot.attachment.doorbell_fd
        fcntl.fcntl(fd, fcntl.F_SETFL, fcntl.fcntl(fd, fcntl.F_GETFL) & ~os.O_NONBLOCK)
        for _ in _until(seconds):
            os.eventfd_write(fd, 1)
            sleep(random_.random() * 2e-4)
            if select.select([fd], [], [], 0)[0]:
                os.eventfd_read(fd)
            # Everybody who publishes is made to wake it, and it is never to be taken for hung.
            bot.page.set_word(BOT_ASLEEP, 1)
            bot.page.set_word(BOT_COMPILING, 1)
            times += 1
    return times


def come_and_go(channel: str, instrument: Instrument, seconds: float, seed: int) -> int:
    """Leases taken and given back as fast as it goes, under names without end."""
    times = 0
    for _ in _until(seconds):
        with contextlib.suppress(HftdError), Raw(channel, instrument, f"bot{seed}-{times}"):
            times += 1
    return times


def odd_hellos() -> list[bytes]:
    """First messages that a server should refuse, and go on."""
    encode = wire.encoder.encode

    def hello(**more: object) -> bytes:
        fields: dict[str, object] = {"instruments": (("BTCUSDT", 0.1, 0.001),), **more}
        return encode(wire.Hello(version=PROTOCOL_VERSION, bot="odd", pid=1, **fields))  # type: ignore[arg-type]

    return [
        bytes([0x95, 32, PROTOCOL_VERSION, 0xA2, 0xFF, 0xFE, 1, 0x90]),
        bytes([0x95, 32, PROTOCOL_VERSION, 0xA1, 0x61, 1]) + b"\x91" * 2000,
        bytes([0x95, 32, PROTOCOL_VERSION, 0xA1, 0x61, 1, 0xDD]) + b"\xff" * 4,
        bytes([0x93, 36, PROTOCOL_VERSION, 0xA1, 0xFF]),
        b"\x93" + b"\xdc\xff\xff" * 3,
        hello(instruments=(("X" * 60_000, 0.1, 0.001),)),
        hello(instruments=(("", 0.1, 0.001),)),
        hello(instruments=(("BTC\nUSDT\x1b[2J", 0.1, 0.001),)),
        hello(instruments=(("BTCUSDT", 1e308, float("inf")),)),
        hello(instruments=(("BTCUSDT", 0.1, 0.001),) * 257),
        hello(on_end="x" * 60_000),
        hello(limits=wire.Limits(order_qty=float("nan"))),
        hello(limits=wire.Limits(open_orders=-(1 << 63))),
        hello(watchdog_s=float("nan")),
        hello(watchdog_s=1e-9),
        encode(wire.Ask(PROTOCOL_VERSION, "x" * 60_000)),
        encode(wire.Bye("x")),
    ]


def hellos(channel: str, instrument: Instrument, seconds: float, seed: int) -> int:
    """Odd first messages, with descriptors of all kinds that nobody asked for."""
    random_ = random.Random(seed)
    odd = odd_hellos()
    times = 0
    with contextlib.ExitStack() as stack:
        ends = os.pipe()
        for fd in ends:
            stack.callback(os.close, fd)
        with BotPage.make() as page:
            for _ in _until(seconds):
                with new_socket() as connected, contextlib.suppress(OSError):
                    connected.settimeout(1.0)
                    connected.connect(str(socket_path(channel)))
                    fds = random_.choices([0, *ends, page.fd], k=random_.choice((0, 1, 1, 2, 8, 200)))
                    rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))] if fds else []
                    connected.sendmsg([random_.choice(odd)], rights)
                    connected.recv(1 << 16)
                    times += 1
    return times


def silent(channel: str, instrument: Instrument, seconds: float, seed: int) -> int:
    """Connections that say nothing, made again as soon as they are closed."""
    held: list[socket.socket] = []
    times = 0
    for _ in _until(seconds):
        while len(held) < 200:
            held.append(new_socket())
            held[-1].settimeout(1.0)
            with contextlib.suppress(OSError):
                held[-1].connect(str(socket_path(channel)))
                times += 1
        gone = set(select.select(held, [], [], 0.01)[0])
        for one in gone:
            one.close()
        held = [one for one in held if one not in gone]
    for one in held:
        one.close()
    return times


def hang(channel: str, instrument: Instrument, seconds: float, seed: int) -> int:
    """One step, then none; it asked for a watchdog of a second."""
    from hftd.channel.layout import BOT_STEPS

    with Raw(channel, instrument, f"hang-{os.getpid()}", watchdog_s=1.0) as bot:
        bot.page.set_word(BOT_STEPS, 1)
        for _ in _until(seconds):
            bot.told()
            if bot.attachment.lost():
                return 1
            sleep(0.01)
    return 0


KINDS: Final = {
    one.__name__: one
    for one in (poison, scribble, flood, deaf, steal_rings, come_and_go, hellos, silent, hang)
}

if __name__ == "__main__":
    kind, channel_, symbol, tick_size, lot_size, seconds_, seed_ = sys.argv[1:]
    print(
        KINDS[kind](channel_, (symbol, float(tick_size), float(lot_size)), float(seconds_), int(seed_)),
        flush=True,
    )
