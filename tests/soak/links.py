"""The connector's connections without sockets: they break, are noticed late, and are made anew.

What `daemon.session.trading.order_socket`, `sending` and `user_stream` do with an event loop, they do on a `Schedule`.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING

from daemon.messages import REFUSED, UNKNOWN, Command, Outcome, Query
from daemon.session.errors import FateUnknownError
from daemon.session.facts import Pong
from daemon.session.rest import RECV_WINDOW_MS
from daemon.session.trading.order_socket import DRAIN_S, LOGON_S
from hftd.constants import REASON_DISCONNECTED, REASON_NOT_TRADING, REASON_UNKNOWN_ORDER
from hftd.errors import HftdError
from tests.soak.schedule import MS, SECOND
from tests.soak.venue import KEY, SECRET, Wire

if TYPE_CHECKING:
    from tests.soak.trader import Trader

REPLY_TIMEOUT_NS = 5 * SECOND


class Link:
    """A connection that is to be there always.

    Args:
        trader: Whose.
    """

    def __init__(self, trader: "Trader") -> None:
        self.trader = trader
        self.schedule = trader.schedule
        self.wire: Wire | None = None

    @property
    def latest(self) -> Wire | None:
        """The one that is used, or is being entered."""
        return self.wire

    def connect(self) -> None:
        """Make it."""
        raise NotImplementedError

    @property
    def is_up(self) -> bool:
        """Whether it is there."""
        return self.wire is not None

    def _wire(self, hear: Callable[[Wire, bytes], None]) -> Wire:
        trader = self.trader
        wire = Wire(
            self.schedule,
            trader.rng,
            trader.latency_ns,
            lambda data: trader.hear(lambda: None if trader.is_dead else hear(wire, data)),
        )
        return wire

    def tear(self) -> None:
        """It breaks; it may take a while until that is noticed."""
        wire = self.latest
        if wire is None or wire.is_cut:
            return
        wire.cut()
        noticed_ns = self.trader.rng.choice((0, 0, 30 * MS, 2 * SECOND))
        self.schedule.after(noticed_ns, self.trader.when_awake(lambda: self.down(wire)))

    def down(self, wire: Wire | None) -> None:
        """One is gone; another one is made."""
        raise NotImplementedError

    def again(self) -> None:
        """Make another one, after a while."""
        wait_ns = self.trader.rng.randrange(10 * MS, SECOND)
        self.schedule.after(wait_ns, self.trader.when_awake(self.connect))

    def die(self) -> None:
        """The process is killed: the kernel closes it."""
        if self.wire is not None:
            self.wire.cut()


class OrderLink(Link):
    """The one that orders go out on.

    Where the key logs sockets on, it is up once the logon is answered. One that takes nothing new is replaced, and
    answers what it owes; what is about an order that it still owes an answer about goes out on it.
    """

    def __init__(self, trader: "Trader") -> None:
        super().__init__(trader)
        product = trader.exchange.product
        self._facts = trader.facts
        self._manners = product.manners
        self._signer = product.signer(KEY, SECRET)
        self._writer = self._facts.writer(self._signer, RECV_WINDOW_MS)
        self._entering: Wire | None = None
        self._replaced: list[Wire] = []
        self._in_flight: dict[int, tuple[Command, int, Wire | None]] = {}
        """What is unanswered, since when, and on which wire; None: over REST."""

    @property
    def owes(self) -> bool:
        """Whether something is unanswered."""
        return bool(self._in_flight)

    @property
    def latest(self) -> Wire | None:
        """One that is being entered comes first."""
        return self._entering or self.wire

    def connect(self) -> None:
        """Make it, and log on if the key can."""
        wire = self._wire(self._on_reply)
        self.trader.exchange.listen_orders(wire)
        if not self._signer.has_session:
            self._use(wire)
            return
        self._entering = wire
        wire.write(self._facts.logon(self._signer, self.trader.corrected_ms()))
        late = self.trader.when_awake(lambda: self._not_let_in(wire))
        self.schedule.after(int(LOGON_S * SECOND), late)

    def _not_let_in(self, wire: Wire) -> None:
        if self._entering is wire:
            wire.cut()
            self._entering = None
            self.again()

    def _use(self, wire: Wire) -> None:
        old, self.wire, self._entering = self.wire, wire, None
        self._writer = self._facts.writer(self._signer, RECV_WINDOW_MS)
        if old is not None:
            self._replaced.append(old)
            drained = self.trader.when_awake(lambda: self._let_go(old))
            self.schedule.after(int(DRAIN_S * SECOND), drained)
        self.trader.see_up()

    def _let_go(self, wire: Wire) -> None:
        if wire in self._replaced:
            wire.cut()
            self.down(wire)

    def down(self, wire: Wire | None) -> None:
        """What it owes is not known."""
        if wire is self._entering and wire is not None:
            self._not_let_in(wire)
            return
        if wire is self.wire:
            self.wire = None
            self.trader.see_up()
        elif wire in self._replaced:
            self._replaced.remove(wire)
        else:
            return
        owed = [command for command, _, way in self._in_flight.values() if way is wire]
        for command in owed:
            del self._in_flight[command.request]
        for command in owed:
            self.trader.incoming.on_outcome(Outcome(command.request, UNKNOWN, 0, "torn"))
        if self.wire is None and self._entering is None:
            self.again()

    def die(self) -> None:
        """All of them."""
        super().die()
        for wire in (self._entering, *self._replaced):
            if wire is not None:
                wire.cut()

    def send(self, command: Command) -> None:
        """Send a command, or say at once that it was not."""
        trader = self.trader
        if trader.incoming.acknowledged is not None:
            trader.incoming.acknowledged.sent(command, trader.now_ns)
        steps = trader.steps.get(command.symbol)
        if steps is None:
            self._refuse(command, REASON_NOT_TRADING)
            return
        if type(command) is Query and self._manners.asks_by_rest:
            self._in_flight[command.request] = command, trader.now_ns, None
            self.schedule.drive(self._ask(command))
            return
        wire = next((one for one in self._replaced if self._is_owed(one, command.client_id)), self.wire)
        if wire is None:
            self._refuse(command, REASON_DISCONNECTED)
            return
        data = self._writer.request(command, steps, trader.corrected_ms())
        self._in_flight[command.request] = command, trader.now_ns, wire
        wire.write(data)

    def _refuse(self, command: Command, reason: int) -> None:
        self.trader.incoming.on_outcome(Outcome(command.request, REFUSED, reason))

    def _is_owed(self, wire: Wire, client_id: str) -> bool:
        return any(one.client_id == client_id for one, _, way in self._in_flight.values() if way is wire)

    async def _ask(self, command: Query) -> None:
        """As `daemon.session.trading.sending` does it."""
        rest, facts, steps = self.trader.rest, self._facts, self.trader.steps
        outcome = Outcome(command.request, UNKNOWN, 0, "killed")
        try:
            for write in (facts.rest_request, *self._manners.elsewhere):
                method, path, params = write(command, steps[command.symbol])
                answer = await rest.call(method, path, params, timeout_s=REPLY_TIMEOUT_NS / SECOND)
                if answer.is_success:
                    outcome = facts.outcome_of_order(command, answer.body, steps)
                else:
                    outcome = facts.outcome_of_error(command, answer.status, answer.error, answer.text)
                if outcome.reason != REASON_UNKNOWN_ORDER:
                    break
        except FateUnknownError:
            outcome = Outcome(command.request, UNKNOWN, 0, "no answer")
        except HftdError:
            return
        self._in_flight.pop(command.request, None)
        self.trader.incoming.on_outcome(outcome)

    def sweep(self) -> None:
        """Give up on what is unanswered for too long."""
        now_ns, incoming = self.trader.now_ns, self.trader.incoming
        for request, (command, sent_ns, wire) in list(self._in_flight.items()):
            if wire is not None and now_ns - sent_ns >= REPLY_TIMEOUT_NS:
                del self._in_flight[request]
                incoming.on_outcome(Outcome(command.request, UNKNOWN, 0, "no answer"))
        if incoming.acknowledged is not None:
            incoming.acknowledged.sweep(now_ns)

    def _on_reply(self, wire: Wire, data: bytes) -> None:
        reply = self._facts.read_reply(data)
        if isinstance(reply, Pong):
            return
        if reply.id == self._facts.logon_id:
            if wire is self._entering and reply.status == 200:
                self._use(wire)
            elif wire is self._entering:
                self.trader.sample_clock()
                self._not_let_in(wire)
            return
        if getattr(reply, "is_last", False) and wire is self.wire and self._entering is None:
            self.connect()
        owed = self._in_flight.pop(reply.id, None)  # type: ignore[arg-type]
        if owed is None:
            self.trader.incoming.on_late(reply)
        else:
            self.trader.incoming.on_reply(owed[0], reply)


class UserLink(Link):
    """The account's events; up at once, or once its messages of login and topics are answered."""

    def __init__(self, trader: "Trader") -> None:
        super().__init__(trader)
        self._login = trader.exchange.product.login()
        self._signer = trader.exchange.product.signer(KEY, SECRET)
        self._to_say: list[tuple[str, bytes, bool]] = []
        """What is still to be answered, the first of which is said."""
        self._early: list[bytes] = []

    @property
    def is_up(self) -> bool:
        """Whether events are heard."""
        return self.wire is not None and not self._to_say

    def connect(self) -> None:
        """Make it."""
        if self.trader.is_dead or self.wire is not None:
            return
        self.wire = wire = self._wire(self._on_event)
        self.trader.exchange.listen_user(wire)
        self._early = []
        if self._login is None:
            self.trader.see_up()
            return
        number, message = self._login.login(self._signer, self.trader.corrected_ms())
        self._to_say = [(number, message, False), *self._login.topics()]
        wire.write(message)
        late = self.trader.when_awake(lambda: self._not_let_in(wire))
        self.schedule.after(int(LOGON_S * SECOND), late)

    def _not_let_in(self, wire: Wire) -> None:
        if wire is self.wire and self._to_say:
            self.down(wire)

    def down(self, wire: Wire | None) -> None:
        """What it would have told is asked for later."""
        if self.wire is None or wire is not self.wire:
            return
        self.wire.cut()
        self.wire, self._to_say = None, []
        self.trader.see_up()
        self.again()

    def _on_event(self, wire: Wire, data: bytes) -> None:
        if wire is not self.wire:
            return
        if not self._to_say:
            self.trader.incoming.on_user_message(data)
            return
        assert self._login is not None
        answer = self._login.read_entrance(data)
        if answer is None:
            self._early.append(data)
            return
        number, _, may_fail = self._to_say[0]
        if answer.id != number:
            return
        if answer.problem and not may_fail:
            self.down(wire)
            return
        del self._to_say[0]
        if self._to_say:
            wire.write(self._to_say[0][1])
            return
        early, self._early = self._early, []
        self.trader.see_up()
        for one in early:
            self.trader.incoming.on_user_message(one)
