"""What fails in the loop where nobody waits for it is counted and shown, and is not endured without end."""

import asyncio

from daemon.connector.watch.mishaps import MANY, Mishaps


async def test_an_error_of_a_callback_is_shown_and_ends_nothing():
    stopped: list[bool] = []
    mishaps = Mishaps(lambda: stopped.append(True))
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(mishaps.on_loop_error)

    def fail() -> None:
        raise ValueError("it fails")

    loop.call_soon(fail)
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert (mishaps.count, stopped) == (1, [])
    (warning,) = mishaps.warnings()
    assert warning.key == "callbacks_failed"
    assert "ValueError" in warning.text


async def test_errors_without_end_end_the_connector_in_order_once():
    stopped: list[bool] = []
    mishaps = Mishaps(lambda: stopped.append(True))
    loop = asyncio.get_running_loop()
    for _ in range(2 * MANY):
        mishaps.on_loop_error(loop, {"message": "it fails"})
    assert mishaps.is_too_much
    assert stopped == [True]
