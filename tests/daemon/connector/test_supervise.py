"""What a connector may rely on: a connection that ends is made again, slowly where it keeps failing."""

import asyncio

import pytest

from daemon.connector import supervise
from daemon.connector.supervise import Backoff, ConnectionBrokenError, Supervision, planned_life_s, supervised
from hftd.errors import ConfigError, UsageError


def test_waits_double_up_to_the_limit_with_jitter_below():
    backoff = Backoff(1.0, 10.0, seed=1)
    waits = [backoff.next_s() for _ in range(8)]
    for wait, span in zip(waits, (1, 2, 4, 8, 10, 10, 10, 10), strict=True):
        assert span / 2 <= wait <= span
    backoff.reset()
    assert backoff.next_s() <= 1.0


def test_a_budget_holds_where_failures_and_successes_alternate():
    backoff = Backoff(0.001, 10.0, seed=1, budget=5)
    waits = []
    for _ in range(8):
        waits.append(backoff.next_s())
        backoff.reset()
    assert max(waits[:5]) <= 0.001
    assert min(waits[5:]) >= 5.0
    assert backoff.count == 8


def test_a_wait_is_no_shorter_than_what_failed_says():
    backoff = Backoff(1.0, 2.0, seed=1)
    error = ConnectionBrokenError("banned")
    error.wait_s = 120.0
    assert backoff.next_s(error) == 120.0
    assert backoff.next_s(ConnectionBrokenError("again")) <= 2.0


def test_a_seed_repeats_its_waits_and_another_does_not():
    def waits(seed):
        backoff = Backoff(1.0, 10.0, seed)
        return [backoff.next_s() for _ in range(5)]

    assert waits(1) == waits(1) != waits(2)


def test_a_planned_life_ends_before_the_exchange_ends_it_and_not_at_once_for_all():
    lives = [planned_life_s(86_400, seed) for seed in range(50)]
    assert all(0.8 * 86_400 < life < 0.96 * 86_400 for life in lives)
    assert len(set(lives)) > 40


async def test_a_broken_connection_is_made_again_and_each_end_is_told_and_counted():
    told, tries, fourth = [], 0, asyncio.Event()
    supervision = Supervision("feed")

    async def connect_once() -> None:
        nonlocal tries
        tries += 1
        supervision.up()
        if tries == 4:
            fourth.set()
            await asyncio.sleep(60)
        raise (ConnectionBrokenError("stale"), OSError("refused"), RuntimeError("a bug"))[tries - 1]

    task = asyncio.create_task(
        supervised(
            "feed", connect_once, Backoff(0.001, 0.002, 1), supervision=supervision, on_down=told.append
        )
    )
    await fourth.wait()
    assert supervision.is_up
    assert told == ["stale", "refused", "RuntimeError: a bug"]
    assert supervision.failures == 3
    assert supervision.attempts == 4
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not supervision.is_up


async def test_a_planned_end_is_no_failure_and_begins_anew_at_once():
    tries = 0
    supervision = Supervision("feed")

    async def connect_once() -> None:
        nonlocal tries
        tries += 1
        if tries == 3:
            raise ConfigError("stop here")

    with pytest.raises(ConfigError):
        await supervised("feed", connect_once, Backoff(60, 60, 1), supervision=supervision, stable_s=0.0)
    assert supervision.planned_ends == 2
    assert supervision.failures == 0


async def test_what_the_user_gave_wrong_is_not_tried_again():
    async def connect_once() -> None:
        raise UsageError("the key is wrong")

    with pytest.raises(UsageError, match="key"):
        await supervised("feed", connect_once, Backoff(1, 1, 1))


def test_a_backoff_without_a_limit_is_refused():
    with pytest.raises(UsageError):
        Backoff(2.0, 1.0, 1)
    assert ConnectionBrokenError in supervise.EXPECTED_ERRORS
