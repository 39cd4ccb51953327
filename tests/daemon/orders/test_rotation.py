"""The journal's next file: what a start makes of it is what it would make of all that was ever written."""

import contextlib
import errno
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import textwrap
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
import zstandard
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from daemon.ops.records.reading import History
from daemon.orders.checkpoint import checkpoint
from daemon.orders.files import parts, records
from daemon.orders.files.records import MAGIC
from daemon.orders.ids.client_ids import ClientIds
from daemon.orders.ids.trades import OLD_TRADE, Traded, Trades
from daemon.orders.journal import At, Checkpoint, Journal, Settled, Tail, _record, read_rows
from daemon.orders.order import Order
from daemon.orders.positions import BotBook
from daemon.orders.state import Store
from hftd.clock import monotonic_ns
from tests.daemon.orders import seeds
from tests.daemon.orders.model import INSTRUMENT
from tests.daemon.orders.test_interleavings import BOTS, Interleavings
from tests.daemon.orders.test_life_cycles import place
from tests.daemon.orders.world import SECOND, Inline, World

OLD = Path(__file__).parent / "old"


def state_of(path: Path, now_ns: int) -> dict[str, Any]:
    """All that a start takes from a journal, without what is left of things that are over."""
    with tempfile.TemporaryDirectory() as folder:
        journal = Journal.open(Path(shutil.copy(path, folder)))
        store = Store(ClientIds("t", 999), journal)
        store.add_instrument(INSTRUMENT)
        store.begin(now_ns)
        store.forget(now_ns)
        journal.close()
    return known(store) | {"account": journal.account, "identities": journal.identities}


NEWER = ("seen_ns", "exch_ns", "terms_exch_ns", "cancel_sent_ns", "query_sent_ns")
"""What of an order is not written by itself: a checkpoint has it newer than the last row before it."""


def order_of(order: Order) -> dict[str, Any]:
    return {name: value for name, value in msgspec.structs.asdict(order).items() if name not in NEWER}


def known(store: Store) -> dict[str, Any]:
    ledgers = {}
    for symbol, ledger in store.ledgers.items():
        empty = BotBook("", symbol)
        books = {name: msgspec.to_builtins(one) for name, one in ledger.books.items()}
        used = {name: one for name, one in books.items() if one[2:] != msgspec.to_builtins(empty)[2:]}
        counts = ledger.account_lots, ledger.other_lots, ledger.buy_lots, ledger.sell_lots
        ledgers[symbol] = used, counts, ledger.unsettled_ns
    money = store.money
    return {
        "orders": {name: order_of(one) for name, one in store.orders.items()},
        "alive": sorted(store.alive),
        # Of closed orders with one id the last may be forgotten, and the one before it be known still.
        "by_id": {key: one.client_id for key, one in store.by_id.items() if not one.finished_ns},
        "others": sorted(store.other_ids),
        "gaps": store.gaps,
        "bots": {name: (one.row, one.halt_reason, one.forced) for name, one in store.bots.items()},
        "trades": list(store.trades.rows()),
        "forgotten": (store.trades.forgotten(), store.forgotten_ts, money.forgotten_ns),
        "ledgers": ledgers,
        "halt": (store.halt_reason, store.halt_ends),
        "settled": store.settled_ns,
        "own": store.own,
        "days": [row for row in money.days.rows() if any(msgspec.to_builtins(row)[4:])],
        "watches": money.watches,
        "funded": money.funded(),
    }


class Whole(Journal):
    """A journal of which all that was ever written is kept as well, as one file that nothing took the place of."""

    records: list[bytes] = []  # noqa: RUF012

    def write(self, rows: list) -> None:
        type(self).records.append(_record(rows))
        super().write(rows)


@contextlib.contextmanager
def whole_worlds(monkeypatch: pytest.MonkeyPatch, **options: Any) -> Iterator[None]:
    original = Whole.open
    Whole.records = []
    with monkeypatch.context() as patched:
        patched.setattr(
            "tests.daemon.orders.world.Journal.open", lambda path, **more: original(path, **more, **options)
        )
        yield


def agree(world: World, folder: Path) -> None:
    whole = folder / "whole"
    whole.write_bytes(MAGIC + b"".join(Whole.records))
    assert world.path is not None
    rotated, unrotated = state_of(world.path, world.now_ns), state_of(whole, world.now_ns)
    for name in ("identities", "account"):
        # The lock's file keeps the number, too, and the copies have none.
        rotated.pop(name), unrotated.pop(name)
    assert not world.manager.store.is_dirty
    assert rotated == unrotated
    read = History(world.path)
    rows = [one.row for one in read.entries() if not one.is_state]
    assert not read.damage
    assert rows == [row for row in read_rows(whole.read_bytes(), whole)[0] if not isinstance(row, At)]


@contextlib.contextmanager
def full_disk(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, bool]]:
    """Writes of a journal fail while `is_full`, half of each record being there."""
    disk = {"is_full": False}
    original = records.write_all

    def write_all(fd: int, data: bytes) -> None:
        if disk["is_full"]:
            original(fd, data[: len(data) // 2])
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        original(fd, data)

    with monkeypatch.context() as patched:
        patched.setattr("daemon.orders.journal.write_all", write_all)
        patched.setattr("daemon.orders.files.rotation.write_all", write_all)
        yield disk


def history(
    seed: int, steps: int, rotate_bytes: int, monkeypatch: pytest.MonkeyPatch, fills_up: float = 0.0
) -> int:
    """A random life of an account, compared now and then; how many files it took.

    The disk is full from a step on with the probability `fills_up`, for five steps or so.
    """
    r = random.Random(seed)
    names = [name for name in seeds.WEIGHTS if name != "lose_power"]
    weights = [seeds.WEIGHTS[name] for name in names]
    with (
        tempfile.TemporaryDirectory() as place_,
        whole_worlds(monkeypatch, rotate_bytes=rotate_bytes),
        full_disk(monkeypatch) as disk,
    ):
        folder = Path(place_)
        machine: Any = Interleavings.__new__(Interleavings)
        machine.world = world = World(folder, bots=BOTS)
        machine.was_torn = False
        needs = {
            "arrive": lambda: world.requests,
            "lose_request": lambda: world.requests,
            "reply": lambda: world.replies,
            "event": lambda: world.exchange.events,
            "lose_event": lambda: world.exchange.events,
            "fill": world.exchange.open_orders,
            "somebody_cancels": world.exchange.open_orders,
            "answer": lambda: world.snapshots,
        }
        try:
            for step in range(steps):
                journal: Any = world.manager.store.journal
                if r.random() < (0.2 if disk["is_full"] else fills_up):
                    disk["is_full"] = not disk["is_full"]
                is_kept = not disk["is_full"] and not journal.is_broken
                name = r.choices(names, weights)[0]
                arguments = seeds._arguments(name, r)
                # What a disk did not take is lost with the process.
                world.die_in_send = world.die_in_send and is_kept
                if (name not in needs or needs[name]()) and (
                    is_kept or not name.startswith(("kill", "halt"))
                ):
                    getattr(machine, name)(**arguments)
                if r.random() < 0.01:
                    # Long enough for closed orders to be forgotten.
                    world.advance(700 * SECOND)
                if r.random() < 0.5:
                    machine.guard(world.tick)
                if not disk["is_full"] and journal.is_broken:
                    machine.guard(lambda: world.manager.resume(world.now_ns))
                if step % 25 == 24 and is_kept and not journal.is_broken:
                    agree(world, folder)
            # What order management has forgotten by then it can't tell to the last lot: the files agree all the same.
            world.die_in_send = disk["is_full"] = False
            if world.manager.store.journal.is_broken:  # type: ignore[union-attr]
                world.manager.resume(world.now_ns)
            world.settle()
            agree(world, folder)
            return world.manager.store.journal.number  # type: ignore[union-attr]
        finally:
            world.manager.store.journal.close()  # type: ignore[union-attr]


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(seed=st.integers(0, 1 << 30), steps=st.integers(20, 150), rotate_bytes=st.integers(500, 20_000))
@example(seed=1, steps=150, rotate_bytes=500)
# An order that was forgotten and is adopted; one that waits for executions among others that ended in that moment; one
# that ended behind a checkpoint in which a younger one has its id.
@example(seed=22444, steps=98, rotate_bytes=500)
@example(seed=2198, steps=258, rotate_bytes=500)
@example(seed=2857, steps=117, rotate_bytes=1000)
def test_a_start_from_checkpoint_and_tail_is_one_from_all_that_was_written(
    seed, steps, rotate_bytes, monkeypatch
):
    history(seed, steps, rotate_bytes, monkeypatch)


@pytest.mark.thorough
def test_many_histories_agree_and_each_takes_several_files(monkeypatch):
    # A history writes 7 to 20 kB. A file ends 2 kB behind its checkpoint after a start, else at 2 kB or at twice its
    # checkpoint, which grows to that with the executions that are remembered: so there are 5 to 9 files.
    files = [history(seed, 400, 2_000, monkeypatch) for seed in range(20)]
    assert min(files) > 3


@pytest.mark.thorough
def test_histories_in_which_the_disk_fills_up_agree(monkeypatch):
    for seed in range(20):
        history(seed, 400, 2_000, monkeypatch, fills_up=0.01)


def filled_world(folder: Path) -> World:
    world = World(folder, bots=("a", "b"))
    for number in range(40):
        bot = "ab"[number % 2]
        world.submit(bot, number % 5, lots=3 + number)
        world.flush()
        if number % 3 == 0 and world.exchange.open_orders():
            world.exchange.fill(world.exchange.open_orders()[0], 2)
        if number % 2:
            world.cancel(bot, number % 5)
        world.flush()
        world.advance(SECOND)
        world.tick()
    return world


class Stopped(BaseException):
    """The process ends here: no system call of it has an effect any more."""


CALLS = ("write", "fsync", "open", "close", "link", "ftruncate", "replace", "rename", "unlink")


def stop_after(calls: int, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """From so many calls on none is made. A write is made in part at the last one."""
    made = [0]

    def dying(name: str, real: Any) -> Any:
        def call(*arguments: Any, **named: Any) -> Any:
            made[0] += 1
            if made[0] > calls:
                if made[0] == calls + 1 and name == "write":
                    real(arguments[0], bytes(arguments[1])[: len(arguments[1]) // 2])
                raise Stopped
            return real(*arguments, **named)

        return call

    for name in CALLS:
        monkeypatch.setattr(os, name, dying(name, getattr(os, name)))
    return made


@pytest.mark.parametrize("how", ["step by step", "at once"])
def test_a_stop_between_any_two_system_calls_loses_nothing(tmp_path, monkeypatch, how):
    calls, was_stopped = 0, True
    while was_stopped:
        folder = tmp_path / f"{how} {calls}"
        folder.mkdir()
        world = filled_world(folder)
        store = world.manager.store
        journal = store.journal
        assert journal is not None and world.path is not None
        before = state_of(world.path, world.now_ns)
        let_out: list[int] = []
        with monkeypatch.context() as patched:
            stop_after(calls, patched)
            try:
                if how == "at once":
                    journal.rewrite(store.rows(), world.now_ns)
                else:
                    journal.rotate(checkpoint(store), world.now_ns)
                    settled_ns = store.settled_ns
                    while journal.is_rotating:
                        journal.go_on()
                        # What is written meanwhile is let out after it.
                        journal.write([Settled(settled_ns := settled_ns + 1)])
                        let_out.append(settled_ns)
                was_stopped = False
            except Stopped:
                was_stopped = True
        after = state_of(world.path, world.now_ns)
        told = after.pop("settled"), before.pop("settled")
        assert after == before, f"{how}, after {calls} calls"
        assert told[0] >= (let_out[-1] if let_out else told[1])
        # The next process can go on, and nothing of this one is in its way.
        for fd in {journal._fd, getattr(journal._next, "fd", journal._fd), journal._lock._fd}:  # type: ignore[union-attr]
            with contextlib.suppress(OSError):
                os.close(fd)
        journal._fd = -1
        world.manager = world.start()
        assert not list(folder.glob("*.new"))
        numbers = [part.number for part in parts.parts_of(world.path)]
        assert numbers == list(range(1, len(numbers) + 1))
        assert world.manager.store.journal.number == len(numbers) + 1  # type: ignore[union-attr]
        world.manager.on_connection(True, world.now_ns)
        for name in world.bots:
            world.attach(name)
        world.settle()
        world.check()
        world.manager.store.journal.close()  # type: ignore[union-attr]
        calls += 1
    assert calls > (9 if how == "at once" else 25)


KILLED = textwrap.dedent("""
    import sys
    from pathlib import Path
    from daemon.orders.journal import Journal, Settled

    journal = Journal.open(Path(sys.argv[1]), rotate_bytes=4000)
    i = max((row.settled_ns for row in journal.take_rows() if isinstance(row, Settled)), default=0)
    last = i
    while True:
        i += 1
        journal.write([Settled(i)])
        print(i, flush=True)
        if journal.is_rotating:
            journal.go_on()
        elif journal.is_full:
            journal.rotate(iter([[Settled(i)], []]), i * 1_000_000_000)
""")


@pytest.mark.thorough
def test_a_real_kill_at_any_moment_of_a_rotation_loses_nothing(tmp_path):
    path, said = tmp_path / "j", 0
    r = random.Random(5)
    for _ in range(8):
        process = subprocess.Popen(
            [sys.executable, "-c", KILLED, str(path)], stdout=subprocess.PIPE, text=True
        )
        assert process.stdout is not None
        process.stdout.readline()
        time.sleep(r.uniform(0.02, 0.2))
        process.send_signal(signal.SIGKILL)
        lines = process.stdout.read().split()
        process.wait()
        said = int(lines[-1]) if lines else said
        rows, _ = read_rows(path.read_bytes(), path)
        last = max(row.settled_ns for row in rows if isinstance(row, Settled))
        assert last >= said
    journal = Journal.open(path)
    assert journal.number > 5
    journal.close()
    assert [part.number for part in parts.parts_of(path)] == list(range(1, journal.number))


def test_a_thread_makes_the_next_file_and_packs_the_old_one(tmp_path):
    journal = Journal.open(tmp_path / "j")
    for i in range(100):
        journal.write([Settled(i)])
    journal.rotate(iter([[Settled(99)]]), 1_000 * SECOND)
    i = 100
    while journal.is_rotating:
        journal.write([Settled(i)])
        i += 1
        journal.go_on()
        time.sleep(0.001)
    old = tmp_path / "j.000001-19700101T001640Z.zst"
    deadline_ns = monotonic_ns() + 10 * SECOND
    while not old.exists() or old.with_suffix("").exists():
        assert monotonic_ns() < deadline_ns
        time.sleep(0.01)
    journal.close()
    rows, _ = read_rows((tmp_path / "j").read_bytes(), tmp_path / "j")
    assert isinstance(rows[0], Checkpoint) and rows[0].number == 2
    assert rows[1:4] == [Settled(99), Tail(), Settled(100)]
    assert rows[-1] == Settled(i - 1)
    assert old.stat().st_mode & 0o777 == 0o600


class Full(Inline):
    """A thread that finds the disk full."""

    def submit(self, fn, /, *args, **kwargs):
        def full():
            raise OSError(28, "No space left on device")

        return super().submit(full)


def test_a_disk_that_is_full_leaves_the_old_file_in_use_and_nothing_beside_it(tmp_path):
    journal = Journal.open(tmp_path / "j", worker=Full())
    journal.write([Settled(1)])
    journal.rotate(iter([[Settled(1)]]), SECOND)
    with pytest.raises(OSError, match="No space"):
        while journal.is_rotating:
            journal.go_on()
    assert not journal.is_broken and not journal.is_rotating
    journal.write([Settled(2)])
    journal.close()
    assert sorted(one.name for one in tmp_path.iterdir()) == ["j", "j.lock"]
    assert read_rows((tmp_path / "j").read_bytes(), tmp_path / "j")[0] == [Settled(1), Settled(2)]


def test_a_write_that_fails_in_one_of_two_files_is_once_in_the_next_one(tmp_path):
    journal = Journal.open(tmp_path / "j", worker=Inline())
    journal.write([Settled(1)])
    journal.rotate(iter([]), SECOND)
    while journal._next is None or journal._next.state != "switching":
        journal.go_on()
    good, journal._next.fd = journal._next.fd, os.open("/dev/full", os.O_WRONLY)
    with pytest.raises(OSError, match="No space"):
        journal.write([Settled(2)])
    assert journal.is_broken
    os.close(journal._next.fd)
    journal._next.fd = good
    journal.rewrite([Settled(1)], 2 * SECOND)
    journal.write([Settled(3)])
    journal.close()
    journal = Journal.open(tmp_path / "j")
    assert [row for row in journal.take_rows() if isinstance(row, Settled)] == [
        Settled(1),
        Settled(2),
        Settled(3),
    ]
    assert journal.number == 3
    journal.close()
    rows = [one.row for one in History(tmp_path / "j").entries()]
    assert rows == [Settled(1), Settled(2), Settled(3)]


def test_two_journals_in_one_folder_leave_each_others_files_alone(tmp_path):
    for name in ("j", "j.2", "j2", "*"):
        (tmp_path / f"{name}.new").touch()
        (tmp_path / f"{name}.000001-20240808T120000Z.zst.new").touch()
    Journal.open(tmp_path / "j").close()
    left = {one.name for one in tmp_path.iterdir()} - {"j", "j.lock"}
    assert left == {
        f"{name}{end}" for name in ("j.2", "j2", "*") for end in (".new", ".000001-20240808T120000Z.zst.new")
    }


def test_a_checkpoint_keeps_what_executions_were_forgotten():
    trades = Trades(limit=2)
    for number in range(5):
        trades.note("S", str(number), 100 + number, True, 1)
    again = Trades(limit=2)
    for row in trades.rows():
        again.restore(row)
    again.forget_before(trades.forgotten())
    assert again.note("S", "1", 101, True, 1) == OLD_TRADE
    # What the journal has is remembered, however old it is.
    again.restore(Traded("S", "late", 50, True, side=1))
    assert again.knows("S", "late", 1)


def test_a_bot_that_asks_after_a_restart_about_a_forgotten_order_is_told_that_it_was_forgotten(kept):
    place(kept)
    kept.cancel("a", 1)
    kept.flush()
    kept.advance(700 * SECOND)
    kept.tick()
    assert kept.manager.store.forgotten_ts
    kept.manager.store.journal.rewrite(kept.manager.store.rows(), kept.now_ns)
    forgotten_ts = kept.manager.store.forgotten_ts
    kept.crash()
    assert kept.manager.store.forgotten_ts == forgotten_ts


def test_so_many_closed_orders_make_a_file_full_too(tmp_path):
    world = World(tmp_path)
    journal = world.manager.store.journal
    assert journal is not None
    journal.rotate_orders = 10
    for number in range(40):
        world.submit("a", number % 5)
        world.flush()
        world.cancel("a", number % 5)
        world.flush()
        for _ in range(5):
            world.tick()
    assert journal.number > 3
    journal.close()


@pytest.mark.parametrize("venue", ["binancefutures", "binancespot"])
def test_a_journal_of_a_version_before_checkpoints_is_read_as_that_version_read_it(tmp_path, venue):
    expected = json.loads((OLD / "expected.json").read_text())[venue]
    path = tmp_path / "j"
    packed = (OLD / f"{venue}.journal.zst").read_bytes()
    path.write_bytes(zstandard.ZstdDecompressor().decompressobj().decompress(packed))
    for _ in range(2):
        journal = Journal.open(path, worker=Inline())
        store = Store(ClientIds("soak", 9999, 1), journal)
        rows = [row for waiting in store.waiting.values() for row in waiting]
        orders = [
            [o.client_id, o.bot, o.symbol, o.status, o.executed_lots] for o in rows if isinstance(o, Order)
        ]
        books = [
            [b.bot, b.symbol, b.position_lots, str(b.dust), b.balance, b.fee, b.realised, b.num_trades]
            for b in rows
            if isinstance(b, BotBook)
        ]
        assert sorted(orders) == expected["orders"]
        assert sorted(books) == expected["books"]
        assert len(store.trades) == expected["trades"]
        assert (store.settled_ns, store.halt_reason) == (expected["settled"], expected["halt"])
        assert [[d.day, d.bot, d.asset, d.realised] for d in store.money.days.rows()] == expected["days"]
        # The next one is a file of this version.
        journal.rotate(checkpoint(store), SECOND)
        while journal.is_rotating:
            journal.go_on()
        journal.close()
    assert journal.number == 3
