"""What of a journal's files can hurt is told in `hftd status` for as long as it is so: by a real disk that refuses."""

import resource
import time

from daemon.orders import manager
from daemon.orders.files import troubles
from daemon.orders.journal import Journal, Settled
from tests.daemon.orders.world import SECOND, World


def keys(world: World) -> set[str]:
    return {one.key for one in world.manager.warnings() if one.key.startswith("journal")}


def trade(world: World) -> None:
    """Ten orders, so that the journal is full."""
    for number in range(10):
        world.submit("a", number)
        world.flush()
        world.cancel("a", number)
        world.flush()
    look(world)


def look(world: World) -> None:
    for _ in range(20):
        world.advance(SECOND)
        world.tick()


def opened(world: World) -> Journal:
    journal = world.manager.store.journal
    assert journal is not None
    return journal


def test_a_next_file_that_can_not_be_begun_is_told_until_there_is_one(tmp_path):
    world = World(tmp_path)
    journal = opened(world)
    journal.rotate_orders = 10
    in_the_way = tmp_path / "orders.journal.new"
    in_the_way.mkdir()
    trade(world)
    assert keys(world) == {"journal_not_rotated"}
    assert journal.number == 1
    assert not journal.is_broken
    in_the_way.rmdir()
    world.advance(manager.REWRITE_PAUSE_NS)
    look(world)
    assert journal.number == 2, "it is tried again without further orders"
    assert keys(world) == set()
    journal.close()


def test_a_part_that_can_not_be_packed_is_told_until_it_is(tmp_path, monkeypatch):
    world = World(tmp_path)
    journal = opened(world)
    journal.rotate_orders = 10
    # No disk takes such a name.
    monkeypatch.setattr("daemon.orders.files.parts.NEW", "x" * 300)
    trade(world)
    assert journal.number == 2
    assert keys(world) == {"journal_part_not_packed"}
    monkeypatch.undo()
    trade(world)
    assert journal.number == 3
    assert keys(world) == set()
    assert [one.suffix for one in sorted(tmp_path.glob("*.00000*"))] == [".zst", ".zst"]
    journal.close()


def test_what_could_not_be_packed_leaves_nothing_on_the_disk(tmp_path):
    journal = Journal.open(tmp_path / "j")
    for number in range(300_000):
        journal.write([Settled(number * 7919)])
    journal.rotate(iter([]), SECOND)
    while journal.is_rotating:
        journal.go_on()
        if journal._next is not None and journal._next.state == "switching":
            # Of the process's files, none may grow beyond this from here on.
            resource.setrlimit(resource.RLIMIT_FSIZE, (4096, resource.RLIM_INFINITY))
        time.sleep(0.001)
    try:
        deadline = time.monotonic() + 20.0
        while not journal.troubles.not_packed:
            assert time.monotonic() < deadline
            time.sleep(0.01)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    assert sorted(one.name for one in tmp_path.iterdir()) == ["j", "j.000001-19700101T000001Z", "j.lock"]
    journal.close()


def test_a_torn_end_is_told_for_a_while_and_damage_for_as_long_as_it_runs(tmp_path, monkeypatch):
    path = tmp_path / "j"
    journal = Journal.open(path)
    for number in range(20):
        journal.write([Settled(number)])
    journal.close()
    whole = path.read_bytes()
    path.write_bytes(whole[:-3])
    journal = Journal.open(path)
    assert [one.key for one in journal.troubles.warnings()] == ["journal_record_incomplete"]
    monkeypatch.setattr(troubles, "RECENT_NS", 0)
    assert [one.key for one in journal.troubles.warnings()] == []
    journal.close()
    path.write_bytes(whole[:60] + b"\xff" * 10 + whole[70:])
    journal = Journal.open(path, on_damage="keep_beginning")
    (one,) = journal.troubles.warnings()
    assert one.key == "journal_damaged"
    assert "j.damaged" in one.text
    journal.close()
    journal = Journal.open(path)
    assert list(journal.troubles.warnings()) == []
    journal.close()
