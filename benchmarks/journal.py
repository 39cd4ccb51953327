"""How long a connector's start takes to read its journal after many orders, and what a step of the order path takes.

python -m benchmarks.journal [--orders 10000000]

Starts are in seconds of the processor, so that what runs beside them does not count.

Each order is written as order management writes it: three rows of the order, one execution and a book for every second
one. With checkpoints the orders are in parts, of which a start reads none; what one takes that reads them all is
measured with `WHOLE_ORDERS`, and is that many times as long.
"""

import argparse
import statistics
import tempfile
import time
from concurrent.futures import wait
from decimal import Decimal
from pathlib import Path

from daemon.messages import Instrument
from daemon.orders.checkpoint import checkpoint
from daemon.orders.ids.client_ids import ClientIds
from daemon.orders.ids.trades import Traded
from daemon.orders.journal import ROTATE_BYTES, Journal, uncollected
from daemon.orders.order import DONE, Order
from daemon.orders.state import Store
from hftd.constants import FILLED, NEW

SECOND = 1_000_000_000
BEGIN_NS = 1_790_000_000 * SECOND
WHOLE_ORDERS = 100_000
"""Of the journal that nothing takes the place of."""


def instrument() -> Instrument:
    return Instrument(1, "BTCUSDT", Decimal("0.1"), Decimal("0.001"), base="BTC", quote="USDT")


def trade(store: Store, count: int, now_ns: int) -> list[float]:
    """Orders that come and go; the seconds that each step took."""
    took: list[float] = []
    for number in range(count):
        now_ns += SECOND // 100
        begin = time.perf_counter()
        client_id = store.ids.make("maker", number % 50)
        order = Order(
            client_id=client_id, bot="maker", order_id=number % 50, symbol="BTCUSDT", side=1 - 2 * (number & 1),
            order_type=0, time_in_force=1, reduce_only=False, price_tick=600_000, qty_lots=10, local_ts=now_ns,
            submitted_ns=now_ns,
        )  # fmt: skip
        store.add(order)
        store.write(now_ns)
        order.status, order.submit_phase, order.exch_order_id = NEW, DONE, str(8_000_000_000 + number)
        store.touch(order)
        store.write(now_ns)
        if number % 2:
            order.executed_lots = order.cum_lots = 10
            row = Traded(
                "BTCUSDT", str(number), now_ns, True, client_id, order.side, 600_000, 10, 0.012, True, 0.0, "USDT",
                order.exch_order_id, "maker",
            )  # fmt: skip
            store.trades.note("BTCUSDT", row.trade_id, now_ns, True, order.side, client_id)
            store.traded(store.ledgers["BTCUSDT"].book("maker"), row)
        order.status, order.finished_ns = FILLED, now_ns
        store.finished(order, now_ns)
        store.touch(order)
        store.write(now_ns)
        store.forget(now_ns)
        journal = store.journal
        assert journal is not None
        if journal.is_rotating:
            journal.go_on()
        elif journal.is_full or store.closed >= journal.rotate_orders:
            store.closed = 0
            journal.rotate(checkpoint(store), now_ns)
        took.append(time.perf_counter() - begin)
        if journal.is_rotating:
            # An event loop has other things to do than orders: its thread gets the interpreter.
            time.sleep(0.0002)
    return took


def opened(path: Path, **options: int) -> tuple[Store, float]:
    begin = time.process_time()
    with uncollected():
        journal = Journal.open(path, **options)  # type: ignore[arg-type]
        store = Store(ClientIds("b", journal.number + 1, 7), journal)
        store.add_instrument(instrument())
        store.begin(BEGIN_NS + 10_000_000 * SECOND)
    return store, time.process_time() - begin


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--orders", type=int, default=10_000_000)
    given = parser.parse_args()
    never = 1 << 62
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "whole"
        store, _ = opened(path, rotate_bytes=never, rotate_orders=never)
        trade(store, WHOLE_ORDERS, BEGIN_NS)
        assert store.journal is not None
        a_order = (store.journal.size - 8) / WHOLE_ORDERS
        store.journal.close()
        store, whole_s = opened(path, rotate_bytes=never, rotate_orders=never)
        assert store.journal is not None
        store.journal.close()

        path = Path(folder) / "orders.journal"
        store, _ = opened(path)
        # What a start reads does not depend on what is in the parts: the last orders are written, the others stand in
        # parts of the same kind that are copies.
        took = trade(store, 150_000, BEGIN_NS)
        journal = store.journal
        assert journal is not None
        live_bytes = journal.size
        if journal.worker is not None:
            wait([journal.worker.submit(int)])
        journal.close()
        template = max(Path(folder).glob("orders.journal.*.zst"), key=lambda one: one.stat().st_size)
        data, parts = template.read_bytes(), int(given.orders * a_order / ROTATE_BYTES)
        for number in range(1, parts):
            copy = path.with_name(f"orders.journal.{number:06}-20200101T000000Z.zst")
            if not list(path.parent.glob(f"orders.journal.{number:06}-*")):
                copy.write_bytes(data)
        packed = sum(one.stat().st_size for one in path.parent.glob("*.zst"))
        starts = []
        for _ in range(3):
            store, start_s = opened(path)
            starts.append(start_s)
            assert store.journal is not None
            store.journal.close()
    start_s = statistics.median(starts)
    took.sort()
    all_s = whole_s / WHOLE_ORDERS * given.orders
    median, late, last = statistics.median(took), took[int(0.999 * len(took))], took[-1]
    print(f"orders                         {given.orders:,}, {a_order:.0f} bytes each")
    print(f"start, one file of all         {all_s:.1f} s ({WHOLE_ORDERS:,} orders: {whole_s:.2f} s)")
    print(f"start, checkpoint and tail     {start_s:.3f} s ({live_bytes / 1e6:.1f} MB)")
    print(f"ratio                          {all_s / start_s:,.0f}")
    print(f"parts                          {parts:,}, {packed / 1e9:.2f} GB packed")
    print(
        f"an order, three writes        {median * 1e6:.0f} us, 99.9 %: {late * 1e6:.0f} us, longest {last * 1e3:.1f} ms"
    )


if __name__ == "__main__":
    main()
