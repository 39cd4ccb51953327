"""The processes that the soak kills, forked from one that has imported everything: a start is cheap."""

import contextlib
import itertools
import json
import mmap
import os
import signal
import sys
import traceback
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from daemon.cli.logs import log_events
from daemon.connector.bots.queues import LinkTable
from daemon.connector.compiling import compile_all
from daemon.connector.config import Credentials
from daemon.connector.secrets import Secret
from daemon.connector.service import Connector
from daemon.connector.service import run as serve
from daemon.messages import Report
from daemon.orders.manager import OrderManager
from hftd import wire
from hftd.bot import runner
from hftd.bot.config import BotConfig, BotSection, InstrumentSection
from hftd.bot.strategy import load_strategy
from hftd.channel.endpoint import QueueReader
from hftd.channel.layout import MODE_SYSTEM, REQUEST_BYTES, RESPONSE_BYTES
from hftd.channel.memory import ClockPage, Link, MarketRing
from hftd.channel.publisher import MarketPublisher
from tests.soak.books import PREFIX
from tests.soak.venue import KEY, SECRET
from tests.soak.venues import PRODUCTS

CHANNEL = "soak"
STRATEGY = "tests.soak.strategies:wild"


def _warm_up() -> None:
    """What each process would do first: load compiled code, or compile it, which may take minutes."""
    compile_all()
    clock = ClockPage.make(1, MODE_SYSTEM)
    ring = MarketRing.make(lossless=False)
    MarketPublisher(ring, clock)
    link = Link.make(REQUEST_BYTES, RESPONSE_BYTES)
    QueueReader(link.requests, wire.request_decoder)
    LinkTable()
    for one in (link, ring, clock):
        one.close()
    load_strategy(STRATEGY, {"seed": 1, "rest": 1, "position_max": 1.0}, Path()).prepare()


def _begin(folder: Path, name: str, *, is_blocked: bool = False) -> None:
    """Own log, own runtime directory; or a pipe for a log that nobody reads, and that is full."""
    os.environ["HFTD_RUNTIME_DIR"] = str(folder)
    log = os.open(folder / f"{name}.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.dup2(log, 1)
    if is_blocked:
        _unread, log = os.pipe()
        os.set_blocking(log, False)
        with contextlib.suppress(BlockingIOError):
            while True:
                os.write(log, bytes(65536))
        os.set_blocking(log, True)
    os.dup2(log, 2)
    log_events("json")


def _count_twice() -> None:
    """Take each third report of a fill for two: a soak that does not find this proves nothing."""
    take, seen = OrderManager.on_report, itertools.count(1)

    def take_twice(self: OrderManager, report: Report, now_ns: int) -> None:
        take(self, report, now_ns)
        if report.execution is not None and next(seen) % 3 == 0:
            again = msgspec.structs.replace(report.execution, trade_id=f"9{report.execution.trade_id}")
            take(self, msgspec.structs.replace(report, execution=again), now_ns)

    OrderManager.on_report = take_twice  # type: ignore[method-assign]


def connector(
    folder: Path,
    venue: str,
    urls: dict[str, str],
    seed: int,
    is_wrong: bool = False,
    is_blocked: bool = False,
) -> None:
    """`hftd connector`; one that counts fills twice, or whose log nobody reads, if asked to."""
    _begin(folder, "connector", is_blocked=is_blocked)
    if is_wrong:
        _count_twice()
    product = PRODUCTS[venue]
    config = msgspec.convert(
        {
            **urls,
            **product.settings,
            "symbols": (product.symbols[0].symbol,),
            "order_prefix": PREFIX,
            "reconcile_every_s": 5.0,
            "first_message_s": 1.0,
            "stale_after_s": 3.0,
        },
        product.venue.config_type,
    )
    credentials = Credentials(api_key=Secret(KEY), secret=Secret(SECRET))
    serve(
        lambda: Connector(CHANNEL, product.venue, config, credentials, folder / "orders.journal", seed=seed)
    )


def bot(folder: Path, venue: str, name: str, end: str, parameters: dict[str, Any]) -> None:
    """`hftd bot`; what it came to is left in a file.

    It rests once the first word of the file `rest` is not 0, and hangs while the second is its seed.
    """
    _begin(folder, name)
    with (folder / "rest").open("r+b") as file:
        shared = mmap.mmap(file.fileno(), 16)
    word = np.frombuffer(shared, np.int64)
    parameters |= {"rest": word.ctypes.data}
    section = PRODUCTS[venue].symbols[0]
    config = BotConfig(
        bot=BotSection(name=name, strategy=STRATEGY, end=end, spin_us=0, attach_s=240.0),  # type: ignore[arg-type]
        instruments=[
            InstrumentSection(
                channel=CHANNEL,
                symbol=section.symbol,
                tick_size=float(section.tick_size),
                lot_size=float(section.lot_size),
            )
        ],
        parameters=parameters,
    )
    result = runner.run(config, folder)
    asset = result.assets[0]
    told = {
        name: getattr(asset, name) for name in ("position", "balance", "fee", "num_trades", "trading_volume")
    }
    told |= {"ended": result.ended, "lost": result.lost, "executions": len(result.fills)}
    (folder / f"{name}.json").write_text(json.dumps(told))


def main() -> None:
    """Fork what is asked for: a line of JSON with function and arguments in, a line with the process's id out.

    A copy of this process inherits all that is loaded. Its end closes the answer's pipe for nobody, and the kernel
    reaps it; the one who asked watches it by a pidfd.
    """
    _warm_up()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    print("ready", flush=True)
    for line in sys.stdin:
        name, folder, *arguments = json.loads(line)
        pid = os.fork()
        if pid == 0:
            code = 1
            try:
                os.close(0)
                signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                {"connector": connector, "bot": bot}[name](Path(folder), *arguments)
                (Path(folder) / f"{os.getpid()}.good").touch()
                code = 0
            except BaseException:
                traceback.print_exc()
            finally:
                os._exit(code)
        print(pid, flush=True)


if __name__ == "__main__":
    main()
