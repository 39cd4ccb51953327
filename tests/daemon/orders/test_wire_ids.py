"""What a user may rely on: an order's id survives whatever form the exchange wants, and is never another order's."""

import re
import uuid

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from daemon.orders.ids.client_ids import (
    MAX_IDENTITY,
    MAX_ORDER_ID,
    MAX_SHORT_NUMBER,
    MAX_SHORT_RUN,
    UNTOLD_ORDER,
    ClientId,
    ClientIds,
    bot_hash,
    read_any,
)
from daemon.orders.ids.wire_ids import HEX, UUID, Packed, from_plain, letters_and_digits, to_plain
from daemon.orders.journal import Journal
from daemon.orders.limits import AccountLimits
from daemon.orders.manager import OrderManager
from tests.daemon.orders.model import INSTRUMENT
from tests.daemon.orders.world import World

FORMS = {
    "hex": (HEX, r"0x[0-9a-f]{32}"),
    "uuid": (UUID, r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}"),
    "letters": (letters_and_digits(32), r"[0-9A-Za-z]{32}"),
}
"""As exchanges ask for ids, and what they take."""


class Plain:
    """The 36 signs, as the others are used."""

    order_id_max = MAX_ORDER_ID
    to_wire = staticmethod(to_plain)
    from_wire = staticmethod(from_plain)


def codec_of(form: str, prefix: str = "mm"):
    return Plain() if form == "plain" else Packed(prefix, FORMS[form][0])


ids = st.builds(
    ClientId,
    st.integers(0, (1 << 24) - 1),
    st.integers(1, MAX_SHORT_RUN),
    st.integers(1, MAX_SHORT_NUMBER),
    st.one_of(st.integers(0, 1 << 34), st.integers(0, MAX_ORDER_ID)),
    st.integers(1, MAX_IDENTITY),
)
prefixes = st.from_regex(r"[A-Za-z0-9_-]{1,8}", fullmatch=True)


def made(codec, prefix, one, bot="bot"):
    maker = ClientIds(prefix, one.run, one.identity, codec.order_id_max)
    maker.made = one.number - 1
    return maker.make(bot, one.order_id)


@pytest.mark.parametrize("form", [*FORMS, "plain"])
@settings(max_examples=50)
@given(prefix=prefixes, one=ids)
def test_an_id_that_was_made_comes_back_from_the_exchange_as_it_is_known_here(form, prefix, one):
    codec = codec_of(form, prefix)
    client_id = made(codec, prefix, one)
    sent = codec.to_wire(client_id)
    pattern = FORMS[form][1] if form in FORMS else r"[0-9A-Za-z_-]{1,36}"
    assert re.fullmatch(pattern, sent)
    assert codec.from_wire(sent) == client_id
    told = one.order_id if one.order_id <= codec.order_id_max else UNTOLD_ORDER
    assert read_any(client_id) == (prefix, one._replace(bot=bot_hash("bot"), order_id=told))


@pytest.mark.parametrize("form", [*FORMS, "plain"])
@settings(max_examples=50)
@given(first=ids, second=ids, bots=st.tuples(st.sampled_from("ab"), st.sampled_from("ab")))
def test_two_orders_of_whatever_bots_and_processes_never_have_one_id(form, first, second, bots):
    codec = codec_of(form)
    sent = [
        codec.to_wire(made(codec, "mm", one, bot)) for one, bot in zip((first, second), bots, strict=True)
    ]
    is_same = (first.identity, first.run, first.number) == (second.identity, second.run, second.number)
    assert (sent[0] != sent[1]) or is_same


@pytest.mark.parametrize("form", FORMS)
@settings(max_examples=50)
@given(number=st.integers(0, (1 << 122) - 1))
def test_an_id_of_others_passes_as_it_is_or_stands_for_exactly_one_of_ours(form, number):
    codec, text = codec_of(form), FORMS[form][0].write(number)
    assert FORMS[form][0].read(text) == number
    read = codec.from_wire(text)
    assert read == text or codec.to_wire(read) == text


@pytest.mark.parametrize("form", FORMS)
@settings(max_examples=50)
@given(text=st.one_of(st.text(max_size=40), st.from_regex(r"[0-9a-fx-]{30,38}", fullmatch=True)))
def test_whatever_stands_in_an_id_of_others_harms_nothing(form, text):
    read = codec_of(form).from_wire(text)
    assert read == text or read_any(read) is not None


def test_few_ids_of_others_look_like_ours_and_none_of_another_prefix():
    for form in FORMS:
        codec, other = codec_of(form), codec_of(form, "zz")
        looks = sum(
            codec.from_wire(text) != text for text in (FORMS[form][0].write(k << 70 | k) for k in range(4000))
        )
        assert looks < 40, "one of 256"
        ours = [ClientIds("mm", 1, 7, codec.order_id_max).make("bot", k) for k in range(1000)]
        taken = sum(other.from_wire(codec.to_wire(one)) != codec.to_wire(one) for one in ours)
        assert taken < 20


def test_a_uuid_is_one_and_comes_back_without_hyphens_and_in_capitals():
    codec = codec_of("uuid")
    client_id = ClientIds("mm", 3, 9, codec.order_id_max).make("bot", 12)
    sent = codec.to_wire(client_id)
    assert uuid.UUID(sent).version == 4
    assert uuid.UUID(sent).variant == uuid.RFC_4122
    assert codec.from_wire(sent.replace("-", "").upper()) == client_id
    assert codec_of("hex").from_wire(codec_of("hex").to_wire(client_id).upper()) == client_id


def test_an_id_that_does_not_fit_is_not_cut():
    codec = codec_of("uuid")
    too_large = ClientIds("mm", 3, 9).make("bot", 1 << 40)
    assert codec.to_wire(too_large) == too_large
    assert codec.to_wire(ClientIds("mm", 3).make("bot", 1)).startswith("mm:"), "of the old form"


class Packing(World):
    """A connector on an exchange that takes UUIDs."""

    codec = codec_of("uuid", "t")

    def start(self, **_options):
        journal = Journal.open(self.path) if self.path else None
        identity, self.run = journal.begin(5) if journal else (5, self.run + 1)
        manager = OrderManager(
            prefix="t",
            run=self.run,
            identity=identity,
            limits=AccountLimits(self_trade="allow"),
            journal=journal,
            emit=self.emit,
            send=self.send,
            order_id_max=self.codec.order_id_max,
        )
        manager.add_instrument(INSTRUMENT)
        return manager


BIG = 1 << 50


@pytest.mark.parametrize("order_id", [1, BIG])
def test_an_order_whose_id_is_packed_is_its_bots_after_a_crash(tmp_path, order_id):
    world = Packing(tmp_path)
    world.submit("a", order_id)
    world.flush()
    (open_order,) = world.exchange.open_orders()
    assert world.codec.from_wire(world.codec.to_wire(open_order.client_id)) == open_order.client_id
    world.crash()
    world.manager.on_connection(True, world.now_ns)
    world.attach("a")
    world.reconcile()
    order = world.manager.store.by_id["a", INSTRUMENT.symbol, order_id]
    assert (order.client_id, order.finished_ns) == (open_order.client_id, 0)


def test_an_order_that_no_journal_knows_and_whose_number_is_not_told_is_cancelled_and_not_given_to_anybody():
    world = Packing()
    world.submit("a", BIG)
    world.flush()
    successor = Packing(bots=())
    successor.exchange, successor.bots, successor.now_ns = world.exchange, world.bots, world.now_ns + 1
    successor.manager.on_connection(True, successor.now_ns)
    assert successor.reconcile().adopted == ()
    assert "stray_order" in [one.key for one in successor.manager.warnings()]
    successor.tick()
    successor.flush()
    assert world.exchange.open_orders() == []
