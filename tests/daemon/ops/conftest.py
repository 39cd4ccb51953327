from collections.abc import Callable, Mapping

import uvloop


def pytest_asyncio_loop_factories() -> Mapping[str, Callable[[], uvloop.Loop]]:
    """Servers run on the loop on which the commands run them: its transports are not asyncio's."""
    return {"uvloop": uvloop.new_event_loop}
