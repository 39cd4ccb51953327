# pyright: basic
"""The order flow of all instruments, one millisecond after the other.

Prices move by themselves: fair prices by news, jumps, a little noise and by the trades; spreads are drawn back to their
mean; dislocations come at once and decay. Each instrument follows some of them with a lag of its own. Within a
millisecond each book sees events of a Poisson process whose rates are
taken anew after each event: market orders that excite further market orders (a Hawkes process with two decay
times, across sides and instruments), whose side has a long memory, and which come more when a quote is behind
the fair price; limit orders and cancels around the touch; makers who close a wide spread or pull a stale
quote. Makers move their anchor only when the fair price is off by more than their patience, so that prices
rest and then jump through several levels.

Sources: self-excitation: Bacry, Mastromatteo, Muzy, "Hawkes processes in finance" (2015). Memory of signs and
impact of the surprise only: Lillo and Farmer, "The long memory of the efficient market" (2004). Rates by
distance from the touch: Cont, Stoikov, Talreja, "A stochastic model for order book dynamics" (2010). Spreads:
Uhlenbeck and Ornstein, "On the theory of the Brownian motion" (1930), in steps of a millisecond.
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
from sim.generator.layout import (
    CHANGED_MAX,
    EVENTS_MAX,
    LAG_MS_MAX,
    SPREAD,
    STEP_LOG_MAX,
    STEP_ROWS_MAX,
    SWEEP_MAX,
    WALK,
)
from sim.generator.publish import arrival, send_depth, send_snapshot, write_trade

_MS = 1_000_000
_NOISE_PER_MS = 5e-7
"""Of the fair price, by diffusion; 1.6e-5 per root second."""
_JUMPS_PER_MS = 0.001
_NEWS_PER_MS = 1.0 / 100_000.0
_IMPROVEMENTS_PER_MS = 0.25
_INFORMED_PER_MS = 0.012
"""Market orders for each tick that a quote is stale by."""


@inline
def _move_fair_price(p, s):
    """One millisecond of regimes, news, jumps and noise."""
    regime = p.regime
    leaving = uniform(s)
    if regime == 0:
        if leaving < 1.0 / 60_000.0:
            p.regime = 1
    elif regime == 1:
        if leaving < 1.0 / 100_000.0:
            p.regime = 2
        elif leaving > 1.0 - 1.0 / 120_000.0:
            p.regime = 0
    elif leaving < 1.0 / 25_000.0:
        p.regime = 1
    target = 0.4 if p.regime == 0 else (1.0 if p.regime == 1 else 2.8)
    p.volatility += (target - p.volatility) / 1500.0
    if p.news_ms > 0:
        p.news_ms -= 1
        p.value += p.news_drift * 2.0 * uniform(s)
    elif uniform(s) < _NEWS_PER_MS * p.volatility:
        p.news_ms = 100 + int(500.0 * uniform(s))
        size = 1e-4 * (0.3 + exponential(s)) * p.scale
        p.news_drift = (size if uniform(s) < 0.5 else -size) / p.news_ms
    if uniform(s) < _JUMPS_PER_MS * p.volatility:
        size = min(1.2e-5 * heavy(s), 1.5e-4) * p.scale
        p.value += size if uniform(s) < 0.5 else -size
    p.value += _NOISE_PER_MS * p.volatility * normal(s) * p.scale


@inline
def _move_price(p, s):
    """One millisecond of a price of any kind."""
    if p.kind == WALK:
        _move_fair_price(p, s)
    else:
        p.value -= p.pull_per_ms * (p.value - p.mean)
        if p.kind == SPREAD:
            p.value += p.step_sd * normal(s)
        elif uniform(s) < p.shocks_per_ms:
            size = min(p.shock * heavy(s), p.shock_max)
            p.value += size if uniform(s) < 0.5 else -size
    p.value = min(max(p.value, -p.bound), p.bound)


@inline
def _view(m, loadings, history, step):
    """What an instrument's price has moved by, as a fraction of its start: the product of what it follows.

    A price that it follows with a loading below zero divides.
    """
    move = 0.0
    at = (step - m.lag_ms) & LAG_MS_MAX
    for k in range(len(loadings)):
        loading = loadings[k]
        if loading > 0.0:
            by = loading * history[k, at]
            move += by + move * by
        elif loading < 0.0:
            by = -loading * history[k, at]
            move = (move - by) / (1.0 + by)
    return move


@inline
def _flipped(lean, mean_ms, s):
    return -lean if uniform(s) < 1.0 / mean_ms else lean


@inline
def _pass_millisecond(m, clock, volatility, loadings, history, s):
    """What time alone does to one instrument: decay, memory, liquidity, the makers' anchor."""
    m.buy_fast *= 0.98
    m.sell_fast *= 0.98
    m.buy_slow *= 0.9998
    m.sell_slow *= 0.9998
    m.transient *= 0.997
    m.basis += -0.0005 * m.basis + m.noise_ticks * normal(s)
    m.lean_short = _flipped(m.lean_short, 1_000.0, s)
    m.lean_middle = _flipped(m.lean_middle, 10_000.0, s)
    m.lean_long = _flipped(m.lean_long, 60_000.0, s)
    burst = (m.buy_fast + m.sell_fast + m.buy_slow + m.sell_slow) / m.trades_per_ms
    usual = 1.0 / (0.3 + 0.5 * volatility + 0.05 * burst)
    m.liquidity += (usual - m.liquidity) / (200.0 if usual < m.liquidity else 3000.0)
    fair = _view(m, loadings, history, clock.step)
    view = (m.start_tick - m.base_tick) + m.start_tick * fair + m.transient + m.basis
    if abs(view - m.anchor) > m.patience:
        m.anchor = view
        m.patience = m.patience_ticks + 2.0 * m.patience_ticks * exponential(s)
    if m.queue_lean > 0.0:
        off = (view - 0.5 * (m.best_bid + m.best_ask)) / max(m.patience, 0.5)
        m.lean = 0.8 * m.queue_lean * min(max(off, -1.0), 1.0)


@inline
def _lean(m):
    """The side that market orders lean to: between -0.9, nearly all sellers, and 0.9, nearly all buyers."""
    return 0.35 * m.lean_short + 0.3 * m.lean_middle + 0.25 * m.lean_long


@inline
def _market_order(
    i: int,
    markets,
    prices,
    loadings,
    contagion,
    book,
    changed,
    dirty,
    log,
    rows,
    exch_ns: Ns,
    is_buy,
    surprise,
    stale_ticks: float,
    s,
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
        take_away(m, book, changed, dirty, log, index, not is_buy, eaten, True)
        lots -= eaten
        if lots <= 0:
            break
    sign = 1.0 if is_buy else -1.0
    size = min(np.sqrt(wanted / (4.0 * m.trade_lots)), 8.0)
    # Who only takes a quote that is behind the fair price tells the market nothing new.
    news = 1.0 if stale_ticks <= 0.0 else 0.1
    prices[m.home].value += m.impact * size * surprise * news / m.start_tick / loadings[i, m.home]
    m.transient += 0.5 * m.impact * size * sign * news
    for j in range(len(markets)):
        other = markets[j]
        strength = contagion[i, j] * (0.5 + 0.5 * news)
        if is_buy:
            other.buy_fast += 0.0055 * strength
            other.buy_slow += 0.00004 * strength
            other.sell_fast += 0.0012 * strength
        else:
            other.sell_fast += 0.0055 * strength
            other.sell_slow += 0.00004 * strength
            other.buy_fast += 0.0012 * strength


@inline
def _events(i: int, markets, clock, prices, loadings, contagion, book, changed, dirty, log, rows, s):
    """All events of one instrument in one millisecond."""
    m = markets[i]
    volatility = prices[m.home].volatility
    passed_ms = 0.0
    for _ in range(EVENTS_MAX):
        lean = _lean(m)
        pace = 0.4 + 0.6 * volatility
        behind_ask = max(m.anchor - m.slack_ticks - m.best_ask, 0.0)
        behind_bid = max(m.best_bid - m.slack_ticks - m.anchor, 0.0)
        buys = 0.5 * m.trades_per_ms * pace * (1.0 + lean) + m.buy_fast + m.buy_slow
        buys += _INFORMED_PER_MS * min(behind_ask, 6.0)
        sells = 0.5 * m.trades_per_ms * pace * (1.0 - lean) + m.sell_fast + m.sell_slow
        sells += _INFORMED_PER_MS * min(behind_bid, 6.0)
        # Edges of one range that a single draw falls into.
        to_sells = buys + sells
        to_pull_ask = to_sells + (m.pulls_per_ms if behind_ask > 0.0 else 0.0)
        to_pull_bid = to_pull_ask + (m.pulls_per_ms if behind_bid > 0.0 else 0.0)
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
        # The matching engine's clock ticks in microseconds.
        m.event_ns = clock.now_ns + int(passed_ms * 1000.0) * 1000
        if draw < to_sells:
            is_buy = draw < buys
            stale_ticks = behind_ask if is_buy else behind_bid
            surprise = 2.0 * sells / to_sells if is_buy else -2.0 * buys / to_sells
            _market_order(
                i,
                markets,
                prices,
                loadings,
                contagion,
                book,
                changed,
                dirty,
                log,
                rows,
                m.event_ns,
                is_buy,
                surprise,
                stale_ticks,
                s,
            )
        elif draw < to_pull_bid:
            pull_stale(m, book, changed, dirty, log, draw >= to_pull_ask, s)
        elif draw < to_ask_step:
            improve(m, book, changed, dirty, log, draw < to_bid_step, s)
        else:
            update_level(m, book, changed, dirty, log, s)


def _run(
    clocks,
    prices,
    markets,
    loadings,
    contagion,
    history,
    books,
    published,
    changed,
    dirty,
    logs,
    rows,
    chance,
    until_ns: Ns,
):
    """Go on until `until_ns`, or until an instrument's rows or log could not hold another millisecond.

    Args:
        clocks: clock_dtype[1].
        prices: price_dtype[k], what the instruments follow.
        markets: market_dtype[n], one for each instrument.
        loadings: f8[n, k], how much of each price an instrument follows.
        contagion: f8[n, n], how much a taker of one instrument excites those of another.
        history: f8[k, 1024], the prices of the last milliseconds.
        books: i8[n, WINDOW], lots; bids above zero, asks below.
        published: As `books`, what was sent last.
        changed: i8[n, CHANGED_MAX].
        dirty: u1[n, WINDOW].
        logs: log_dtype[n, LOG_MAX], written from `log_count` of each market on, if it is logged.
        rows: event_dtype[n, capacity], written from `row_count` of each market on.
        chance: u8[n + k, 4], generators of the instruments and then of the prices.
        until_ns: Exchange time to stop at.
    """
    clock = clocks[0]
    n = len(markets)
    while clock.now_ns < until_ns:
        for i in range(n):
            if markets[i].row_count > rows.shape[1] - STEP_ROWS_MAX:
                return
            if markets[i].log_count > logs.shape[1] - STEP_LOG_MAX:
                return
        clock.step += 1
        for k in range(len(prices)):
            _move_price(prices[k], chance[n + k])
            history[k, clock.step & LAG_MS_MAX] = prices[k].value
        for i in range(n):
            m = markets[i]
            s = chance[i]
            _pass_millisecond(m, clock, prices[m.home].volatility, loadings[i], history, s)
            if clock.now_ns >= m.next_depth_ns or m.changed_count > CHANGED_MAX // 2:
                send_depth(m, books[i], published[i], changed[i], dirty[i], rows[i], clock.now_ns, s)
                draw = uniform(s)
                m.next_depth_ns = clock.now_ns + (30 + int(70.0 * draw * draw)) * _MS
            _events(
                i,
                markets,
                clock,
                prices,
                loadings,
                contagion,
                books[i],
                changed[i],
                dirty[i],
                logs[i],
                rows[i],
                s,
            )
        clock.now_ns += _MS


def _open(markets, books, changed, dirty, logs, chance):
    """Fill the books before the first millisecond."""
    for i in range(len(markets)):
        m = markets[i]
        m.best_bid = 0
        m.best_ask = books.shape[1] - 1
        fill_book(m, books[i], changed[i], dirty[i], logs[i], chance[i])


def _snapshot(clocks, markets, books, published, changed, dirty, rows, chance):
    """Drop the rows so far and begin anew with a snapshot of each book."""
    for i in range(len(markets)):
        m = markets[i]
        m.row_count = 0
        now_ns = clocks[0].now_ns
        send_snapshot(m, books[i], published[i], changed[i], dirty[i], rows[i], now_ns, chance[i])


with caching_in(kernels_dir(__name__)):
    run = njit(cache=True, nogil=True)(_run)
    open_books = njit(cache=True, nogil=True)(_open)
    take_snapshot = njit(cache=True, nogil=True)(_snapshot)
