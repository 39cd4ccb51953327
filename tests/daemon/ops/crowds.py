"""Made-up statuses of many bots and symbols, as lively as real ones, for what shows them."""

import random

from hftd.control import status

BOUNDS_NS = [1_000 * 2**k for k in range(24)]
DAY_NS = 86_400 * 10**9
NOON_NS = 1_724_500_800 * 10**9 + DAY_NS // 2


def latency(name, chance):
    counts = [0] * (len(BOUNDS_NS) + 1)
    for _ in range(60):
        counts[min(24, int(chance.gauss(10, 2)))] += 1
    return status.Latency(
        name=name, count=60, sum_ns=10**8, counts=counts, bounds_ns=BOUNDS_NS, max_ns=40_000_000
    )


def orders(bot, symbols, chance, step):
    for number, symbol in enumerate(symbols):
        for side in ("buy", "sell"):
            price = 100 + number + chance.randrange(100) / 100
            yield status.OpenOrder(
                symbol=symbol,
                order_id=10**6 * bot + 10 * number + (side == "buy"),
                client_id=f"x{bot}{number}{side[0]}",
                side=side,
                price=price,
                qty=0.5,
                leaves_qty=0.25,
                status="partially filled",
                age_ns=(step + 7) * 10**9,
                request="unknown" if number == 0 and side == "buy" and bot == 3 else "",
            )


def bot(number, symbols, chance, step, now_ns):
    earned = chance.gauss(20, 60)
    return status.Bot(
        name=f"maker-{number:02}",
        pid=4000 + number,
        symbols=symbols,
        channels=["binancefutures"],
        since_ns=now_ns - 3 * 3600 * 10**9,
        orders=list(orders(number, symbols, chance, step)),
        positions=[
            status.Position(
                symbol=one,
                position=chance.randrange(-20, 20) / 100,
                balance=chance.gauss(0, 300),
                fee=chance.gauss(4, 2),
                num_trades=12 + step,
                trading_volume=44.5,
                trading_value=4451.5,
            )
            for one in symbols
        ],
        limits=[
            status.Used(name="max_orders", used=chance.randrange(8, 20), limit=20),
            status.Used(name="max_day_loss", used=max(0, -earned), limit=200),
        ],
        requests=4000 + 10 * step,
        updates=8000,
        refused=number % 7,
        fills=48 + step,
        lapped=number % 2,
        halt_reason="day loss reached" if number == 5 else "",
        profits=[
            status.Profit(
                day_ns=now_ns // DAY_NS * DAY_NS,
                asset="USDT",
                total=earned,
                realised=earned + 4,
                unrealised=-2.0,
                fee=2.5,
                funding=0.5,
                in_all=earned + 120,
            )
        ],
        outcomes={
            "filled": 48 + step,
            "cancelled": 900,
            "expired": 2,
            "refused": number % 7,
            "unknown": int(number == 3),
        },
        latencies=[latency(one, chance) for one in ("entry", "response", "round trip")],
        markouts=[
            status.Markout(after_ns=ns, count=40, value=4000.0, gain=chance.gauss(0.2, 1))
            for ns in (10**9, 10**10, 6 * 10**10)
        ],
    )


def crowd(bots=50, symbols=200, step=0, name="binancefutures", seed=7):
    """A connector's status; `step` seconds later prices, orders and profits are others."""
    chance = random.Random(seed * 1000 + step)
    still = random.Random(seed)
    names = [f"{'ABCDEFGHJKLMNPQRSTUVWXYZ'[k % 24]}{'OEIUA'[k % 5]}{k}USDT" for k in range(symbols)]
    now_ns = NOON_NS + step * 10**9
    markets = [
        status.Market(
            symbol=one,
            instrument=k,
            book_is_valid=k != 17,
            best_bid=100 + k + chance.randrange(100) / 100,
            best_ask=101.01 + k + chance.randrange(100) / 100,
            feed_age_ns=chance.randrange(1, 400) * 10**6,
            rows=10_000 * k + 100 * step,
            gaps=k % 3,
            resyncs=k % 2,
            latency=latency("feed", still),
        )
        for k, one in enumerate(names)
    ]
    each = max(1, symbols // max(1, bots))
    found = [bot(k, names[k * each : (k + 1) * each] or names[:1], chance, step, now_ns) for k in range(bots)]
    fills = [
        status.Fill(
            ns=now_ns - (40 - k) * 10**9,
            bot=found[k % bots].name,
            symbol=names[k % symbols],
            side="buy" if k % 2 else "sell",
            price=100.25 + k,
            qty=0.1,
            fee=0.0123,
            fee_asset="USDT",
            is_maker=k % 5 > 0,
            order_id=k,
            client_id=f"x{k}",
            markouts=[0.01 * (k - 20), None if k > 30 else 0.02, None],
        )
        for k in range(40)
    ]
    total = sum(one.profits[0].total for one in found)
    day_ns = now_ns // DAY_NS * DAY_NS
    alerts = [
        status.Warning(
            key="book_not_valid",
            text=f"{names[17 % symbols]}: the book is not valid: it is being synchronised, or "
            "its feed is silent",
            symbol=names[17 % symbols],
            age_ns=(41 + step) * 10**9,
        ),
        status.Warning(
            key="bot_halted",
            text="maker-05 is halted: day loss reached: 203.11 of 200 USDT; `hftd resume` lifts it",
            symbol="maker-05",
            age_ns=(620 + step) * 10**9,
        ),
    ]
    return status.DaemonStatus(
        kind=status.CONNECTOR,
        name=name,
        pid=4711,
        version="0.2.0",
        now_ns=now_ns,
        venue="binancefutures",
        started_ns=now_ns - 5 * 3600 * 10**9,
        channels=[status.Channel(name=name, markets=markets, ring_bytes=1 << 24)],
        bots=found,
        account=[status.Position(symbol=names[0], position=1.5)],
        balances=[status.Balance(asset="USDT", total=100_234.5, free=60_000.25, locked=40_234.25)],
        limits=[
            status.Used(name="request weight a minute", used=1710 + step % 30, limit=2400),
            status.Used(name="orders a 10 s", used=288, limit=300),
        ],
        connections=[
            status.Connection(
                name="market 1",
                is_up=True,
                since_ns=now_ns - 3600 * 10**9,
                reconnects=2,
                messages=10**7 + step,
            ),
            status.Connection(name="user data", is_up=True, since_ns=now_ns - 7200 * 10**9, messages=12_345),
            status.Connection(
                name="orders",
                is_up=False,
                since_ns=now_ns - 12 * 10**9,
                reconnects=1,
                last_error="the exchange closed the connection (1006)",
            ),
        ],
        foreign_orders=2,
        warnings=[one.text for one in alerts],
        alerts=alerts,
        refusals=[
            status.Refusal(
                bot="maker-03",
                symbol=names[12 % symbols],
                reason=38,
                name="REASON_POST_ONLY",
                code=-5022,
                words="Due to the order could not be executed as maker, the Post Only order will be "
                "rejected.",
                hint="the book moved",
                count=12,
                age_ns=(9 + step) * 10**9,
            )
        ],
        profits=[
            status.Profit(
                day_ns=day_ns,
                asset="USDT",
                total=total,
                realised=total + 200,
                unrealised=-75,
                fee=130.25,
                funding=5.25,
                in_all=total + 9000,
            )
        ],
        days=[
            status.Profit(
                day_ns=day_ns - k * DAY_NS, asset="USDT", total=300.0 * (k - 2), realised=300.0, fee=20.0
            )
            for k in range(1, 5)
        ],
        departed=[
            status.Departed(bot="taker-1", reason="its process died", is_orderly=False, age_ns=90 * 10**9)
        ],
        fills=fills,
        events=[
            status.Event(
                ns=now_ns - (30 - k) * 10**9,
                level=("info", "warning", "error")[k % 3],
                key=("bot_attached", "connection_lost", "position_differed")[k % 3],
                text="something that the log said in a sentence, with its facts",
            )
            for k in range(30)
        ],
    )
