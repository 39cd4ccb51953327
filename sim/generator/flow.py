# pyright: basic
"""The order flow of all instruments, one millisecond after the other.

A shared fair price moves by news, jumps, a little noise and by the trades themselves (each instrument follows
it with a lag of its own). Within a millisecond each book sees events of a Poisson process whose rates are
taken anew after each event: market orders that excite further market orders (a Hawkes process with two decay
times, across sides and instruments), whose side has a long memory, and which come more when a quote is behind
the fair price; limit orders and cancels around the touch; makers who close a wide spread or pull a stale
quote. Makers move their anchor only when the fair price is off by more than their patience, so that prices
rest and then jump through several levels.

Sources: self-excitation: Bacry, Mastromatteo, Muzy, "Hawkes processes in finance" (2015). Memory of signs and
impact of the surprise only: Lillo and Farmer, "The long memory of the efficient market" (2004). Rates by
distance from the touch: Cont, Stoikov, Talreja, "A stochastic model for order book dynamics" (2010).
"""

import numpy as np
from numba import njit

from hftd.compiled.jit import caching_in, inline, kernels_dir
from hftd.rows import Ns
from sim.generator.book import (
    fill_book,
    improve,
    order_lots,
    pull_stale,
    take_away,
    target_touch,
    update_level,
)
from sim.generator.chance import exponential, heavy, normal, uniform
from sim.generator.layout import CHANGED_MAX, EVENTS_MAX, LAG_MS_MAX, STEP_ROWS_MAX, SWEEP_MAX
from sim.generator.publish import arrival, send_depth, send_snapshot, write_trade

_MS = 1_000_000
_NOISE_PER_MS = 5e-7
"""Of the fair price, by diffusion; 1.6e-5 per root second."""
_JUMPS_PER_MS = 0.001
_NEWS_PER_MS = 1.0 / 100_000.0
_PULLS_PER_MS = 0.12
_IMPROVEMENTS_PER_MS = 0.25
_SLACK = 1.2
"""Ticks that the anchor may pass a quote by before its makers see it as stale."""
_INFORMED_PER_MS = 0.012
"""Market orders for each tick that a quote is stale by."""


@inline
def _move_fair_price(shared, history, s):
    """One millisecond of regimes, news, jumps and noise."""
    regime = shared.regime
    leaving = uniform(s)
    if regime == 0:
        if leaving < 1.0 / 60_000.0:
            shared.regime = 1
    elif regime == 1:
        if leaving < 1.0 / 100_000.0:
            shared.regime = 2
        elif leaving > 1.0 - 1.0 / 120_000.0:
            shared.regime = 0
    elif leaving < 1.0 / 25_000.0:
        shared.regime = 1
    target = 0.4 if shared.regime == 0 else (1.0 if shared.regime == 1 else 2.8)
    shared.volatility += (target - shared.volatility) / 1500.0
    if shared.news_ms > 0:
        shared.news_ms -= 1
        shared.fair += shared.news_drift * 2.0 * uniform(s)
    elif uniform(s) < _NEWS_PER_MS * shared.volatility:
        shared.news_ms = 100 + int(500.0 * uniform(s))
        size = 1e-4 * (0.3 + exponential(s))
        shared.news_drift = (size if uniform(s) < 0.5 else -size) / shared.news_ms
    if uniform(s) < _JUMPS_PER_MS * shared.volatility:
        size = min(1.2e-5 * heavy(s), 1.5e-4)
        shared.fair += size if uniform(s) < 0.5 else -size
    shared.fair += _NOISE_PER_MS * shared.volatility * normal(s)
    shared.fair = min(max(shared.fair, -shared.bound), shared.bound)
    shared.step += 1
    history[shared.step & LAG_MS_MAX] = shared.fair


@inline
def _flipped(lean, mean_ms, s):
    return -lean if uniform(s) < 1.0 / mean_ms else lean


@inline
def _pass_millisecond(m, shared, history, s):
    """What time alone does to one instrument: decay, memory, liquidity, the makers' anchor."""
    m.buy_fast *= 0.98
    m.sell_fast *= 0.98
    m.buy_slow *= 0.9998
    m.sell_slow *= 0.9998
    m.transient *= 0.997
    m.basis += -0.0005 * m.basis + 0.02 * normal(s)
    m.lean_short = _flipped(m.lean_short, 1_000.0, s)
    m.lean_middle = _flipped(m.lean_middle, 10_000.0, s)
    m.lean_long = _flipped(m.lean_long, 60_000.0, s)
    burst = (m.buy_fast + m.sell_fast + m.buy_slow + m.sell_slow) / m.trades_per_ms
    usual = 1.0 / (0.3 + 0.5 * shared.volatility + 0.05 * burst)
    m.liquidity += (usual - m.liquidity) / (200.0 if usual < m.liquidity else 3000.0)
    fair = history[(shared.step - m.lag_ms) & LAG_MS_MAX]
    view = (m.start_tick - m.base_tick) + m.start_tick * fair + m.transient + m.basis
    if abs(view - m.anchor) > m.patience:
        m.anchor = view
        m.patience = 2.0 + 4.0 * exponential(s)


@inline
def _lean(m):
    """The side that market orders lean to: between -0.9, nearly all sellers, and 0.9, nearly all buyers."""
    return 0.35 * m.lean_short + 0.3 * m.lean_middle + 0.25 * m.lean_long


@inline
def _market_order(
    i: int, markets, shared, book, changed, dirty, rows, exch_ns: Ns, is_buy, surprise, stale_ticks: float, s
):
    """A taker eats levels, is published at once, excites more takers and moves the fair price."""
    m = markets[i]
    lots = order_lots(m.trade_lots, s)
    if stale_ticks > 0.0:
        resting = abs(book[m.best_ask if is_buy else m.best_bid])
        lots = max(lots, int(0.6 * resting * exponential(s)))
    wanted = lots
    local_ns = arrival(m, exch_ns, 1, s)
    for _ in range(SWEEP_MAX):
        index = m.best_ask if is_buy else m.best_bid
        eaten = min(lots, abs(book[index]))
        write_trade(m, rows, exch_ns, local_ns, index, eaten, is_buy)
        take_away(m, book, changed, dirty, index, not is_buy, eaten)
        lots -= eaten
        if lots <= 0:
            break
    sign = 1.0 if is_buy else -1.0
    size = min(np.sqrt(wanted / (4.0 * m.trade_lots)), 8.0)
    # Who only takes a quote that is behind the fair price tells the market nothing new.
    news = 1.0 if stale_ticks <= 0.0 else 0.1
    shared.fair += m.impact * size * surprise * news / m.start_tick
    m.transient += 0.5 * m.impact * size * sign * news
    for j in range(len(markets)):
        other = markets[j]
        strength = (1.0 if j == i else 0.25) * (0.5 + 0.5 * news)
        if is_buy:
            other.buy_fast += 0.0055 * strength
            other.buy_slow += 0.00004 * strength
            other.sell_fast += 0.0012 * strength
        else:
            other.sell_fast += 0.0055 * strength
            other.sell_slow += 0.00004 * strength
            other.buy_fast += 0.0012 * strength


@inline
def _events(i: int, markets, shared, book, changed, dirty, rows, s):
    """All events of one instrument in one millisecond."""
    m = markets[i]
    passed_ms = 0.0
    for _ in range(EVENTS_MAX):
        lean = _lean(m)
        pace = 0.4 + 0.6 * shared.volatility
        behind_ask = max(m.anchor - _SLACK - m.best_ask, 0.0)
        behind_bid = max(m.best_bid - _SLACK - m.anchor, 0.0)
        buys = 0.5 * m.trades_per_ms * pace * (1.0 + lean) + m.buy_fast + m.buy_slow
        buys += _INFORMED_PER_MS * min(behind_ask, 6.0)
        sells = 0.5 * m.trades_per_ms * pace * (1.0 - lean) + m.sell_fast + m.sell_slow
        sells += _INFORMED_PER_MS * min(behind_bid, 6.0)
        # Edges of one range that a single draw falls into.
        to_sells = buys + sells
        to_pull_ask = to_sells + (_PULLS_PER_MS if behind_ask > 0.0 else 0.0)
        to_pull_bid = to_pull_ask + (_PULLS_PER_MS if behind_bid > 0.0 else 0.0)
        wide = m.best_ask - m.best_bid > 1
        bid_steps = wide and m.best_bid < target_touch(m, True)
        ask_steps = wide and m.best_ask > target_touch(m, False)
        to_bid_step = to_pull_bid + (_IMPROVEMENTS_PER_MS if bid_steps else 0.0)
        to_ask_step = to_bid_step + (_IMPROVEMENTS_PER_MS if ask_steps else 0.0)
        total = to_ask_step + m.updates_per_ms * pace
        passed_ms += exponential(s) / total
        if passed_ms >= 1.0:
            return
        draw = uniform(s) * total
        if draw < to_sells:
            is_buy = draw < buys
            # The matching engine's clock ticks in microseconds.
            exch_ns = shared.now_ns + int(passed_ms * 1000.0) * 1000
            stale_ticks = behind_ask if is_buy else behind_bid
            surprise = 2.0 * sells / to_sells if is_buy else -2.0 * buys / to_sells
            _market_order(
                i, markets, shared, book, changed, dirty, rows, exch_ns, is_buy, surprise, stale_ticks, s
            )
        elif draw < to_pull_bid:
            pull_stale(m, book, changed, dirty, draw >= to_pull_ask, s)
        elif draw < to_ask_step:
            improve(m, book, changed, dirty, draw < to_bid_step, s)
        else:
            update_level(m, book, changed, dirty, s)


def _run(shared_rows, markets, history, books, published, changed, dirty, rows, chance, until_ns: Ns):
    """Go on until `until_ns`, or until an instrument's rows could not hold another millisecond.

    Args:
        shared_rows: shared_dtype[1].
        markets: market_dtype[n], one for each instrument.
        history: f8[128], the fair price of the last milliseconds.
        books: i8[n, WINDOW], lots; bids above zero, asks below.
        published: As `books`, what was sent last.
        changed: i8[n, CHANGED_MAX].
        dirty: u1[n, WINDOW].
        rows: event_dtype[n, capacity], written from `row_count` of each market on.
        chance: u8[n + 1, 4], generators of the instruments and, last, of the fair price.
        until_ns: Exchange time to stop at.
    """
    shared = shared_rows[0]
    n = len(markets)
    while shared.now_ns < until_ns:
        for i in range(n):
            if markets[i].row_count > rows.shape[1] - STEP_ROWS_MAX:
                return
        _move_fair_price(shared, history, chance[n])
        for i in range(n):
            m = markets[i]
            s = chance[i]
            _pass_millisecond(m, shared, history, s)
            if shared.now_ns >= m.next_depth_ns or m.changed_count > CHANGED_MAX // 2:
                send_depth(m, books[i], published[i], changed[i], dirty[i], rows[i], shared.now_ns, s)
                draw = uniform(s)
                m.next_depth_ns = shared.now_ns + (30 + int(70.0 * draw * draw)) * _MS
            _events(i, markets, shared, books[i], changed[i], dirty[i], rows[i], s)
        shared.now_ns += _MS


def _open(markets, books, changed, dirty, chance):
    """Fill the books before the first millisecond."""
    for i in range(len(markets)):
        m = markets[i]
        m.best_bid = 0
        m.best_ask = books.shape[1] - 1
        fill_book(m, books[i], changed[i], dirty[i], chance[i])


def _snapshot(shared_rows, markets, books, published, changed, dirty, rows, chance):
    """Drop the rows so far and begin anew with a snapshot of each book."""
    for i in range(len(markets)):
        m = markets[i]
        m.row_count = 0
        now_ns = shared_rows[0].now_ns
        send_snapshot(m, books[i], published[i], changed[i], dirty[i], rows[i], now_ns, chance[i])


with caching_in(kernels_dir(__name__)):
    run = njit(cache=True, nogil=True)(_run)
    open_books = njit(cache=True, nogil=True)(_open)
    take_snapshot = njit(cache=True, nogil=True)(_snapshot)
