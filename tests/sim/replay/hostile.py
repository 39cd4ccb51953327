"""Bots that write what they should not; each says how its daemon answered: `python -m tests.sim.replay.hostile`."""

import json
import os
import struct
import sys
from collections.abc import Callable

import hftd.channel.layout as at
from hftd import Bot, Instrument, wire
from hftd.channel.endpoint import QueueWriter, ring_doorbell
from hftd.channel.memory import BotPage
from hftd.clock import monotonic_ns, sleep
from hftd.control.protocol import attach
from hftd.errors import HftdError

BUY, SELL = 1, -1
NOW = -1
"""Stands for the time of the clock."""


def request(message: wire.Request) -> Callable[[Bot], None]:
    """A message of the protocol that no session of ours sends."""

    def write(bot: Bot) -> None:
        assert QueueWriter(bot.attachments[0].link.requests).send(message, 0)

    return write


def submit(**changes: float) -> Callable[[Bot], None]:
    values = {
        "instrument": 0, "order_id": 1, "side": BUY, "order_type": 0, "time_in_force": 0, "price_tick": 200_000,
        "qty": 0.001, "local_ts": NOW,
    }  # fmt: skip

    def write(bot: Bot) -> None:
        chosen = values | changes
        if chosen["local_ts"] == NOW:
            chosen["local_ts"] = bot.current_timestamp
        request(wire.Submit(**chosen))(bot)

    return write


def raw(message: bytes) -> Callable[[Bot], None]:
    """Any bytes as a frame of the request ring."""

    def write(bot: Bot) -> None:
        link = bot.attachments[0].link
        frame = struct.pack("<IIq", len(message), at.KIND_MESSAGE, 0)
        padded = (-len(message) % 8) * b"\0" + message
        link._map[at.LINK_DATA : at.LINK_DATA + 16 + len(padded)] = frame + padded
        link.set_word(at.LINK_REQUEST_TAIL, 16 + len(padded))

    return write


def link_word(offset: int, value: int) -> Callable[[Bot], None]:
    return lambda bot: bot.attachments[0].link.set_word(offset, value)


ATTACKS: dict[str, Callable[[Bot], None]] = {
    "a tail that went back": link_word(at.LINK_REQUEST_TAIL, -8),
    "a tail beyond the ring": link_word(at.LINK_REQUEST_TAIL, 1 << 40),
    "a tail between frames": link_word(at.LINK_REQUEST_TAIL, 3),
    "bytes that are no message": raw(b"\xff" * 40),
    "a message of another kind": raw(wire.encoder.encode(wire.Splice(7))),
    "a frame longer than what was written": lambda bot: (
        raw(b"x" * 16)(bot),
        bot.attachments[0].link._map.__setitem__(
            slice(at.LINK_DATA, at.LINK_DATA + 4), struct.pack("<I", 60_000)
        ),
    ),
    "another's instrument": submit(instrument=1),
    "an instrument that is none": submit(instrument=1 << 40),
    "no side": submit(side=0),
    "a type that is none": submit(order_type=9),
    "no quantity": submit(qty=float("nan")),
    "less than nothing": submit(qty=-1.0),
    "a price that is none": submit(price_tick=-(1 << 62)),
    "the first price that is no tick": submit(price_tick=1 << 53),
    "a time long ago": submit(local_ts=-5),
    "a time to come": submit(local_ts=1 << 62),
}


def answer_to(channel: str, symbol: str, attack: Callable[[Bot], None], wait_seq: int) -> str:
    with Bot([Instrument(channel, symbol, 0.1, 0.001)], name="hostile") as bot:
        attack(bot)
        bot.page.set_word(at.BOT_WAIT_UNTIL_NS, 1 << 62)
        bot.page.set_word(at.BOT_WAIT_SEQ, wait_seq)
        attachment = bot.attachments[0]
        ring_doorbell(attachment.doorbell_fd, attachment.link.daemon_asleep_address)
        end_ns = monotonic_ns() + 20_000_000_000
        while not (reason := bot.lost()) and monotonic_ns() < end_ns:
            sleep(0.005)
        return reason.removeprefix(f"channel {channel}: ")


def main(channel: str, symbol: str) -> None:
    told = {name: answer_to(channel, symbol, attack, 1) for name, attack in ATTACKS.items()}
    told["a wait out of turn"] = answer_to(channel, symbol, lambda _: None, 5)
    hello = wire.Hello(
        version=at.PROTOCOL_VERSION + 1, bot="newer", pid=os.getpid(), instruments=((symbol, 0.1, 0.001),)
    )
    with BotPage.make() as page:
        try:
            attach(channel, hello, page, monotonic_ns() + 10_000_000_000)
        except HftdError as error:
            told["another version"] = str(error)
    print(json.dumps(told))


if __name__ == "__main__":
    main(*sys.argv[1:])
