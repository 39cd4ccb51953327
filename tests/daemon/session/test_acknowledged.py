"""What a user may rely on: each command has one outcome, and none is confirmed that nothing but a receipt tells of."""

from hypothesis import given
from hypothesis import strategies as st

from daemon.messages import BY_STREAM, CONFIRMED, REFUSED, UNKNOWN, Cancel, Modify, Outcome, Report, Submit
from daemon.session.manners import RECEIVED
from daemon.session.trading.acknowledged import FORGET_S, WAITING_MAX, Acknowledged
from hftd.constants import BUY, CANCELED, FILLED, GTC, LIMIT, NEW, REASON_UNKNOWN_ORDER

COMMANDS = (
    Submit(1, "a", "X", BUY, LIMIT, GTC, 10, 5),
    Modify(2, "a", "", "X", BUY, 11, 6),
    Cancel(3, "a", "", "X"),
)
SECOND_NS = 10**9


def told(status, tick=10, lots=5, client_id="a"):
    return Report(
        source=BY_STREAM,
        client_id=client_id,
        exch_order_id="id",
        symbol="X",
        side=BUY,
        order_type=LIMIT,
        time_in_force=GTC,
        status=status,
        price_tick=tick,
        qty_lots=lots,
        cum_lots=0,
        exch_ns=7,
    )


ANSWERS = st.sampled_from([RECEIVED, REFUSED, UNKNOWN])
EVENTS = st.one_of(
    st.tuples(st.just("answer"), st.sampled_from([1, 2, 3]), ANSWERS),
    st.tuples(
        st.just("told"),
        st.sampled_from([told(NEW), told(NEW, 11, 6), told(FILLED), told(CANCELED)]),
        st.none(),
    ),
    st.tuples(st.just("sweep"), st.integers(0, 3), st.none()),
)


@given(st.lists(EVENTS, max_size=20))
def test_each_command_has_one_outcome_and_a_receipt_alone_confirms_nothing(events):
    outcomes = []
    waiting = Acknowledged(outcomes.append, 1.0)
    for command in COMMANDS:
        waiting.sent(command, 0)
    reports, answered, now_ns = [], set(), 0
    for kind, what, answer in events:
        if kind == "answer" and what not in answered:
            answered.add(what)
            outcome = waiting.answered(Outcome(what, answer), now_ns)
            outcomes += [outcome] if outcome is not None else []
        elif kind == "told":
            reports.append(what)
            waiting.heard(what)
        elif kind == "sweep":
            now_ns += what * SECOND_NS
            waiting.sweep(now_ns)
    waiting.sweep(now_ns + int(FORGET_S * 1e9))
    assert sorted(one.request for one in outcomes) == [1, 2, 3]
    assert len(waiting) == 0
    for one in outcomes:
        assert one.kind != CONFIRMED or one.report in reports


def test_a_change_that_is_received_ends_with_the_order_and_one_that_is_refused_is_refused():
    for answer, kind in ((RECEIVED, CONFIRMED), (REFUSED, REFUSED)):
        outcomes = []
        waiting = Acknowledged(outcomes.append, 1.0)
        waiting.sent(COMMANDS[1], 0)
        waiting.heard(told(FILLED))
        assert outcomes == []
        late = waiting.answered(Outcome(2, answer, REASON_UNKNOWN_ORDER if answer == REFUSED else 0), 5)
        assert [one.kind for one in (*outcomes, *([late] if late else []))] == [kind]


def test_what_waits_has_a_limit():
    outcomes = []
    waiting = Acknowledged(outcomes.append, 1.0)
    for number in range(WAITING_MAX + 2):
        waiting.sent(Cancel(number, f"c{number}", "", "X"), 0)
    assert [one.request for one in outcomes] == [0, 1]
    assert len(waiting) == WAITING_MAX
