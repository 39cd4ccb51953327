import os
import re
import signal
import subprocess
import sys
import textwrap
import zlib
from pathlib import Path

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from daemon.ops.records.reading import History
from daemon.orders.files.parts import parts_of, unpack
from daemon.orders.files.records import HEADER, MAGIC, MARK
from daemon.orders.ids.trades import Traded
from daemon.orders.journal import Begin, Journal, Settled, read_rows
from daemon.orders.order import DONE, Order
from daemon.orders.state import REMEMBER_NS
from hftd.constants import REASON_HALTED
from hftd.errors import ConfigError, DataError, RefusedError
from tests.daemon.orders.model import SYMBOL
from tests.daemon.orders.test_life_cycles import RESTS, last, place, told
from tests.daemon.orders.world import SECOND, Inline, World


def settled(journal: Journal) -> list[int]:
    return [row.settled_ns for row in journal.take_rows() if isinstance(row, Settled)]


def test_what_was_written_is_there_again(tmp_path):
    journal = Journal.open(tmp_path / "j")
    journal.write([Settled(1), Settled(2)])
    journal.write([Settled(3)])
    journal.close()
    journal.close()
    again = Journal.open(tmp_path / "j")
    assert settled(again) == [1, 2, 3]
    assert again.torn_bytes == 0
    again.close()


@settings(max_examples=60, suppress_health_check=list(HealthCheck))
@given(cut=st.integers(1, 200))
def test_a_torn_end_is_said_cut_off_and_written_on(tmp_path_factory, cut):
    path = tmp_path_factory.mktemp("j") / "j"
    journal = Journal.open(path)
    sizes = []
    for i in range(6):
        journal.write([Settled(i)])
        sizes.append(journal.size)
    journal.close()
    data = path.read_bytes()
    left = max(0, len(data) - cut)
    path.write_bytes(data[:left])
    journal = Journal.open(path)
    whole = [i for i, size in enumerate(sizes) if size <= left]
    assert settled(journal) == whole
    journal.write([Settled(99)])
    journal.close()
    journal = Journal.open(path)
    assert settled(journal) == [*whole, 99]
    assert journal.torn_bytes == 0
    journal.close()


def test_zeros_after_a_loss_of_power_are_a_torn_end(tmp_path):
    path = tmp_path / "j"
    journal = Journal.open(path)
    journal.write([Settled(1)])
    journal.close()
    path.write_bytes(path.read_bytes() + bytes(5000))
    journal = Journal.open(path)
    assert settled(journal) == [1]
    assert journal.torn_bytes == 5000
    journal.close()


def test_damage_in_the_middle_is_an_error_that_says_what_to_do(tmp_path):
    path = tmp_path / "j"
    journal = Journal.open(path)
    for i in range(3):
        journal.write([Settled(i)])
    journal.close()
    data = bytearray(path.read_bytes())
    broken = len(MAGIC) + HEADER.size + 3
    data[broken] ^= 0xFF
    path.write_bytes(data)
    with pytest.raises(DataError) as caught:
        Journal.open(path)
    assert f"at byte {len(MAGIC)}" in caught.value.what
    assert "move it and its parts away" in caught.value.hint
    assert str(path) in str(caught.value)
    assert path.read_bytes() == data, "nothing was changed"
    journal = Journal.open(path, on_damage="keep_beginning")
    assert settled(journal) == []
    assert (tmp_path / "j.damaged").read_bytes() == data
    journal.close()


@settings(max_examples=200, suppress_health_check=list(HealthCheck))
@given(at=st.integers(0, 400), value=st.integers(0, 255), data=st.data())
def test_no_damage_is_read_as_something_else(tmp_path_factory, at, value, data):
    path = tmp_path_factory.mktemp("j") / "j"
    journal = Journal.open(path)
    for i in range(10):
        journal.write([Settled(i)])
    journal.close()
    bytes_ = bytearray(path.read_bytes())
    bytes_[at % len(bytes_)] = value
    path.write_bytes(bytes_)
    try:
        journal = Journal.open(path, on_damage="keep_beginning")
    except DataError:
        assert at % len(bytes_) < len(MAGIC)
        return
    found = settled(journal)
    assert found == list(range(len(found)))
    journal.close()


@pytest.mark.parametrize("content", [b"something else entirely", b"H", b"x", MAGIC[:-1] + b"9"])
def test_another_file_is_not_taken_for_a_journal(tmp_path, content):
    path = tmp_path / "j"
    path.write_bytes(content)
    if MAGIC.startswith(content):
        Journal.open(path).close()
        return
    with pytest.raises(DataError, match="not a journal"):
        Journal.open(path)
    assert path.read_bytes() == content


def test_a_record_of_a_later_version_is_an_error(tmp_path):
    import zlib

    path = tmp_path / "j"
    payload = b"\x91\x92\xa4else\x01"
    path.write_bytes(MAGIC + HEADER.pack(MARK, len(payload), zlib.crc32(payload)) + payload)
    with pytest.raises(DataError, match="this version"):
        Journal.open(path)


def test_one_process_writes_it(tmp_path):
    journal = Journal.open(tmp_path / "j")
    with pytest.raises(ConfigError, match="another process"):
        Journal.open(tmp_path / "j")
    journal.close()
    Journal.open(tmp_path / "j").close()


def test_a_folder_that_is_not_there_is_an_error(tmp_path):
    with pytest.raises(ConfigError, match="folder"):
        Journal.open(tmp_path / "missing" / "j")


def test_a_file_that_is_full_becomes_a_packed_part_and_its_size_is_bounded(tmp_path):
    world = World(tmp_path)
    journal = world.manager.store.journal
    journal.rotate_bytes = 200_000
    most = 0
    for i in range(3000):
        world.submit("a", i % 7)
        world.flush()
        world.cancel("a", i % 7)
        world.flush()
        world.advance(SECOND)
        world.tick()
        most = max(most, journal.size)
    assert most < 3 * 200_000 + 1_000_000
    names = sorted(one.name for one in tmp_path.iterdir())
    assert names[0] == "orders.journal" and names[-1] == "orders.journal.lock"
    assert len(names) > 5
    for number, name in enumerate(names[1:-1], 1):
        assert re.fullmatch(rf"orders\.journal\.{number:06}-\d{{8}}T\d{{6}}Z\.zst", name)
    place(world)
    world.crash()
    world.manager.on_connection(True, world.now_ns)
    world.attach("a")
    world.settle()
    world.check()


def test_a_killed_process_loses_nothing(tmp_path):
    program = textwrap.dedent("""
        import sys
        from pathlib import Path
        from daemon.orders.journal import Journal, Settled
        journal = Journal.open(Path(sys.argv[1]))
        i = 0
        while True:
            journal.write([Settled(i)])
            print(i, flush=True)
            i += 1
    """)
    process = subprocess.Popen(
        [sys.executable, "-c", program, str(tmp_path / "j")], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    for _ in range(200):
        process.stdout.readline()
    process.send_signal(signal.SIGKILL)
    rest = process.stdout.read().split()
    process.wait()
    said = int(rest[-1]) if rest else 199
    journal = Journal.open(tmp_path / "j")
    found = settled(journal)
    assert found == list(range(len(found)))
    assert len(found) >= said
    journal.close()


def test_a_restarted_connector_knows_its_orders_and_books(kept):
    place(kept)
    kept.submit("a", 2, side=-1, price_tick=1005, lots=4)
    kept.flush()
    kept.exchange.fill(kept.exchange.open_orders()[0], 3)
    kept.modify("a", 2, 1006, 4)
    kept.flush()
    kept.submit("a", 3)  # on its way when the process dies
    state = kept.bots["a"].state
    kept.crash()
    assert len(kept.manager.store.alive) == 3
    kept.manager.on_connection(True, kept.now_ns)
    kept.bots["a"].updates.clear()
    kept.attach("a")
    assert told(kept)[:3] == [(5, 0, 0), RESTS, (0, 1, 0)]
    assert kept.bots["a"].state == state
    kept.settle()
    kept.check()


FIELDS = {"order": 47, "book": 11}
"""How many fields rows had, tag included, before orders could be replaced and there were spot accounts."""


def test_a_journal_of_a_version_before_replacements_and_spot_accounts_is_taken_over(kept):
    place(kept)
    kept.submit("a", 2, side=-1, price_tick=1005, lots=4)
    kept.flush()
    kept.exchange.fill(kept.exchange.open_orders()[0], 3)
    kept.modify("a", 2, 1006, 4)  # on its way when the process dies
    state = kept.bots["a"].state
    kept.manager.store.journal.close()
    rows, _ = read_rows(kept.path.read_bytes(), kept.path)
    old = [row[: FIELDS.get(row[0])] for row in msgspec.msgpack.decode(msgspec.msgpack.encode(rows))]
    modified = [row for row in old if row[0] == "order" and row[34] is not None]
    assert modified
    for row in modified:
        row[34] = row[34][:7]
    payload = msgspec.msgpack.encode(old)
    kept.path.write_bytes(MAGIC + HEADER.pack(MARK, len(payload), zlib.crc32(payload)) + payload)
    kept.crash()
    kept.manager.on_connection(True, kept.now_ns)
    kept.bots["a"].updates.clear()
    kept.attach("a")
    assert kept.bots["a"].state == state
    kept.settle()
    kept.check()


def test_the_journal_names_the_order_of_an_execution_that_was_only_listed(kept):
    place(kept)
    kept.exchange.fill(kept.exchange.open_orders()[0], 3)
    kept.exchange.events.clear()
    kept.reconcile()
    rows, _ = read_rows(kept.path.read_bytes(), kept.path)
    (traded,) = [row for row in rows if isinstance(row, Traded)]
    assert traded.client_id == kept.latest["a", 1]


def test_a_halt_outlives_the_process(kept):
    kept.manager.halt("lunch", kept.now_ns)
    kept.crash()
    assert kept.manager.snapshot(kept.now_ns).halt_reason == "lunch"
    kept.manager.resume(kept.now_ns)
    kept.crash()
    assert not kept.manager.snapshot(kept.now_ns).is_halted


def test_a_journal_that_can_not_be_written_halts_and_sends_nothing_new(kept):
    place(kept)
    journal = kept.manager.store.journal
    good, journal._fd = journal._fd, os.open("/dev/full", os.O_WRONLY)
    kept.submit("a", 2)
    assert kept.requests[0][0].__class__.__name__ == "Cancel", "the open order goes"
    assert all(one[0].__class__.__name__ != "Submit" for one in kept.requests)
    assert kept.bots["a"].orders[2].status == 2
    assert kept.manager.snapshot(kept.now_ns).is_halted
    kept.flush()
    assert kept.exchange.open_orders() == []
    os.close(journal._fd)
    journal._fd = good
    kept.advance(SECOND)
    kept.tick()
    kept.manager.resume(kept.now_ns)
    kept.submit("a", 3)
    kept.flush()
    kept.crash()
    kept.manager.on_connection(True, kept.now_ns)
    kept.attach("a")
    kept.settle()
    kept.check()


def test_nothing_is_sent_by_a_resume_while_the_journal_can_not_be_written(kept, monkeypatch):
    journal = kept.manager.store.journal
    good, journal._fd = journal._fd, os.open("/dev/full", os.O_WRONLY)
    kept.submit("a", 1)
    kept.flush()

    def full(rows, now_ns):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(journal, "rewrite", full)
        with pytest.raises(RefusedError, match="journal"):
            kept.manager.resume(kept.now_ns)
        assert kept.manager.snapshot(kept.now_ns).is_halted
        kept.submit("a", 2)
        assert kept.bots["a"].orders[2].reason == REASON_HALTED
    os.close(journal._fd)
    journal._fd = good
    kept.manager.resume(kept.now_ns)
    kept.submit("a", 3)
    kept.flush()
    assert len(kept.exchange.open_orders()) == 1
    kept.crash()
    assert [order.order_id for order in kept.manager.store.alive.values()] == [3]


@pytest.mark.parametrize("taken", ["deleted", "moved", "replaced"])
def test_a_journal_whose_file_is_taken_away_is_written_anew_with_all_that_is_known(kept, taken):
    place(kept)
    kept.exchange.fill(kept.exchange.open_orders()[0], 1)
    kept.flush()
    if taken == "deleted":
        kept.path.unlink()
    else:
        kept.path.rename(kept.path.with_name("elsewhere"))
    if taken == "replaced":
        kept.path.write_bytes(MAGIC)
    kept.advance(2 * SECOND)
    kept.tick()
    kept.submit("a", 2)
    kept.flush()
    kept.crash()
    assert [order.order_id for order in kept.manager.store.alive.values()] == [1, 2]
    kept.manager.on_connection(True, kept.now_ns)
    kept.attach("a")
    kept.settle()
    kept.check()


def test_a_journal_that_was_taken_away_with_its_lock_is_not_written_over_anothers(tmp_path):
    path = tmp_path / "j"
    journal = Journal.open(path)
    journal.begin(7)
    journal.write([Settled(1)])
    for one in (path, tmp_path / "j.lock"):
        one.unlink()
    other = Journal.open(path)
    other.write([Settled(2)])
    assert not journal.look()
    with pytest.raises(OSError, match="another process"):
        journal.rewrite([Settled(1)])
    assert other.look()
    other.close()
    journal.rewrite([Settled(1)])  # The place is free again.
    with pytest.raises(ConfigError, match="another process"):
        Journal.open(path)
    journal.close()
    again = Journal.open(path)
    assert settled(again) == [1] and again.identities == {7: 1}
    again.close()


def test_a_journal_has_one_writer_by_whatever_name_it_is_opened(tmp_path):
    journal = Journal.open(tmp_path / "j")
    (tmp_path / "link").symlink_to(tmp_path / "j")
    with pytest.raises(ConfigError, match="another process"):
        Journal.open(tmp_path / "link")
    journal.close()


def test_a_disk_without_room_for_a_journal_is_said(tmp_path, monkeypatch):
    def full(fd, data):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr("daemon.orders.journal.write_all", full)
        with pytest.raises(ConfigError, match="No space left"):
            Journal.open(tmp_path / "j")
    Journal.open(tmp_path / "j").close()


def test_a_journal_is_of_one_account(tmp_path):
    journal = Journal.open(tmp_path / "j")
    journal.claim("one")
    journal.write([Begin("t", 1, 0, "one"), Settled(1)])
    journal.close()
    journal = Journal.open(tmp_path / "j")
    journal.claim("one")
    with pytest.raises(DataError) as raised:
        journal.claim("two")
    assert "another account" in raised.value.what and "--same-account" in raised.value.hint
    journal.claim("two", is_same=True)
    assert journal.account == "two"
    journal.close()


def test_an_account_stays_with_its_journal_when_it_is_written_anew(kept):
    journal = kept.manager.store.journal
    assert journal is not None
    journal.claim("one")
    place(kept)
    journal.rewrite(kept.manager.store.rows())
    journal.close()
    with pytest.raises(DataError):
        Journal.open(journal.path).claim("two")


def test_the_journal_of_another_exchange_halts_the_account(world):
    # Executions with ids that it has for others: they are not counted, so the position is not known.
    world.manager.store.trades.reused += 1
    world.manager.tick(world.now_ns)
    place(world)
    assert last(world).reason == REASON_HALTED
    assert "another exchange" in world.manager.store.halt_reason


@pytest.mark.parametrize(("adopted", "meant"), [(False, "later"), (True, "first")])
def test_of_two_orders_with_one_id_the_bot_means_the_later_one_in_the_journal_unless_that_was_adopted(
    adopted, meant
):
    store = World(bots=("a",)).manager.store
    terms = {"bot": "a", "order_id": 1, "symbol": SYMBOL, "side": 1, "order_type": 0, "time_in_force": 0}
    terms |= {"reduce_only": False, "price_tick": 999, "qty_lots": 1, "submit_phase": DONE}
    # The clock stood earlier when the later one was sent.
    for client_id, local_ts, sent_ns in (("first", 9, 9), ("later", 0 if adopted else 3, 3)):
        store._restore(Order(client_id=client_id, local_ts=local_ts, submitted_ns=sent_ns, **terms))
    assert store.by_id["a", SYMBOL, 1].client_id == meant


def test_of_two_orders_with_one_id_the_bot_means_the_open_one_in_the_journal():
    store = World(bots=("a",)).manager.store
    terms = {"bot": "a", "order_id": 1, "symbol": SYMBOL, "side": 1, "order_type": 0, "time_in_force": 0}
    terms |= {"reduce_only": False, "price_tick": 999, "qty_lots": 1, "submit_phase": DONE}
    # A late execution of the one that ended stands behind the other.
    for client_id, local_ts, finished_ns in (("open", 9, 0), ("ended", 3, 5)):
        store._restore(
            Order(
                client_id=client_id,
                local_ts=local_ts,
                submitted_ns=local_ts,
                finished_ns=finished_ns,
                **terms,
            )
        )
    store.forget(REMEMBER_NS + 10)
    assert store.by_id["a", SYMBOL, 1].client_id == "open"


def full_and_rotated(path: Path) -> Path:
    """A journal of which one part has ended; that part."""
    journal = Journal.open(path, rotate_bytes=100, worker=Inline())
    for number in range(50):
        journal.write([Settled(number)])
    journal.rotate(iter([[Settled(49)]]), SECOND)
    while journal.is_rotating:
        journal.go_on()
    journal.close()
    (part,) = parts_of(path)
    return part.path


@pytest.mark.parametrize("content", [None, b"", MAGIC[:3], MAGIC])
def test_a_journal_that_is_lost_while_its_parts_are_there_is_not_begun_anew(tmp_path, content):
    path = tmp_path / "j"
    part = full_and_rotated(path)
    kept = path.read_bytes()
    path.unlink()
    if content is not None:
        path.write_bytes(content)
    for _ in range(2):
        with pytest.raises(DataError, match=re.escape(f"its part {part.name} is not there")) as error:
            Journal.open(path)
        assert "put the file back" in error.value.hint
    path.write_bytes(kept)
    journal = Journal.open(path)
    assert journal.number == 2
    journal.close()


def test_a_part_in_the_place_of_a_lost_journal_is_where_it_goes_on(tmp_path):
    path = tmp_path / "j"
    part = full_and_rotated(path)
    # A copy beside the part would be a second file of that number.
    path.write_bytes(b"".join(piece or b"" for _, piece in unpack(part.read_bytes())))
    with pytest.raises(DataError, match="is not there"):
        Journal.open(path)
    part.unlink()
    journal = Journal.open(path)
    assert settled(journal) == list(range(50))
    journal.close()


def test_parts_of_one_number_are_both_read_and_said(tmp_path):
    path = tmp_path / "j"
    part = full_and_rotated(path)
    again = part.with_name(part.name.replace("000001-1970", "000001-1971"))
    again.write_bytes(part.read_bytes())
    history = History(path)
    assert [one.row.settled_ns for one in history.entries()].count(7) == 2
    assert history.damage == [f"{again}: another file of this journal has number 1 as well"]


def test_more_than_memory_takes_while_a_disk_takes_nothing_is_said_by_who_reads(tmp_path, monkeypatch):
    monkeypatch.setattr("daemon.orders.journal.TAIL_MAX", 500)
    path = tmp_path / "j"
    journal = Journal.open(path)
    journal.write([Settled(1)])
    good, journal._fd = journal._fd, os.open("/dev/full", os.O_WRONLY)
    with pytest.raises(OSError, match="No space"):
        journal.write([Settled(2)])
    for number in range(3, 100):
        journal.write([Settled(number)])
    os.close(journal._fd)
    journal._fd = good
    journal.rewrite([Settled(99)], SECOND)
    journal.write([Settled(100)])
    journal.close()
    history = History(path)
    rows = [(one.row.settled_ns, one.is_state) for one in history.entries()]
    assert rows == [(1, False), (99, True), (100, False)]
    assert history.damage == [f"{path}: records before it are missing: the disk took none for too long"]
    journal = Journal.open(path)
    assert settled(journal) == [99, 100]
    journal.close()


def test_what_waits_for_a_disk_is_written_at_the_end_if_the_disk_takes_it_by_then(tmp_path):
    path = tmp_path / "j"
    journal = Journal.open(path)
    journal.write([Settled(1)])
    good, journal._fd = journal._fd, os.open("/dev/full", os.O_WRONLY)
    with pytest.raises(OSError, match="No space"):
        journal.write([Settled(2)])
    journal.write([Settled(3)])
    os.close(journal._fd)
    journal._fd = good
    journal.close()
    journal = Journal.open(path)
    assert settled(journal) == [1, 2, 3]
    journal.close()
