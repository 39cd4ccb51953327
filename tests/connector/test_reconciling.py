"""What a user may rely on: a connector that is told to end does, whatever comes at the same moment."""

import asyncio
from types import SimpleNamespace

from daemon.connector.reconciling import Reconciler
from hftd.clock import wall_ns


async def test_a_reconciler_that_is_cancelled_as_the_connection_comes_up_ends():
    orders = SimpleNamespace(reconcile_due_ns=lambda: wall_ns() + 10**18)
    reconciler = Reconciler(SimpleNamespace(), orders, 60.0, 1)
    running = asyncio.create_task(reconciler.run())
    # Until it waits; then both come within one turn of the loop.
    for _ in range(5):
        await asyncio.sleep(0)
    reconciler.on_connection(True)
    reconciler.on_connection(False)
    # The wait is over now, but the task that waited has not gone on yet.
    await asyncio.sleep(0)
    running.cancel()
    done, _ = await asyncio.wait([running], timeout=5.0)
    assert done
    assert running.cancelled()
