"""How commands get out: at once on the WebSocket API, over REST where that is down, and never twice.

::

    send ──> room under the limits? ──> WebSocket API up?  ──> its socket                  replies ──> outcomes
                  │ no                        │ no
                  ▼                           ▼
             queue, for a while          REST, one order's commands one after the other

- A command is written to one socket at most once. If its answer does not come, its outcome is UNKNOWN.
- An order's commands do not overtake each other: what is still to be answered on REST, or on a socket that is being
  replaced, keeps the order's later commands there.
- A cancel takes an order's place or change out of the queue: those were surely not sent.
- In a ban of REST cancels go on by the WebSocket API until it says that it is banned as well; nothing else is sent.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Mapping

import msgspec
import structlog

from daemon.connector.limiter import Limiter, Priority, RateLimit
from daemon.connector.watch.offset import ClockOffset
from daemon.messages import REFUSED, UNKNOWN, Cancel, Command, Modify, Outcome, Query, Submit
from daemon.session.catalog import Steps
from daemon.session.errors import FateUnknownError, NotSentError, RequestError
from daemon.session.facts import OrderFacts, Params, Writer
from daemon.session.manners import Manners
from daemon.session.rest import Rest
from daemon.session.trading.order_socket import OrderSocket
from hftd.clock import monotonic_ns, running_ns
from hftd.constants import (
    REASON_DISCONNECTED,
    REASON_NEVER_SENT,
    REASON_NOT_TRADING,
    REASON_RATE_LIMIT,
    REASON_UNKNOWN_ORDER,
)

_log = structlog.get_logger("hftd.connector")


class SendLimits(msgspec.Struct, frozen=True):
    """What may pile up.

    Attributes:
        queue_max: Commands that wait for room under the limits; more are refused.
        queue_wait_s: No longer than this; what would have to is refused at once.
        in_flight_max: Unanswered requests on a socket.
        rest_max: Unanswered requests over REST.
        reply_timeout_s: After this without an answer the outcome is UNKNOWN.
    """

    queue_max: int = 256
    queue_wait_s: float = 0.5
    in_flight_max: int = 1024
    rest_max: int = 64
    reply_timeout_s: float = 5.0


class Sender:
    """Sends the commands of one account.

    Args:
        facts: How orders are written and answered.
        rest: The way over REST, None if there is none (`uses_rest` then does not matter).
        limiter: Of address and account.
        offset: Of the exchange's clock.
        steps: The symbols that are known.
        on_outcome: Told each command's outcome, once, maybe from within `send`.
        limits: What may pile up.
        uses_rest: Whether REST stands in where the WebSocket API is down.
        manners: How the exchange behaves.
    """

    def __init__(
        self,
        facts: OrderFacts,
        rest: Rest,
        limiter: Limiter,
        offset: ClockOffset,
        steps: Mapping[str, Steps],
        on_outcome: Callable[[Outcome], None],
        *,
        limits: SendLimits,
        uses_rest: bool,
        manners: Manners = Manners(),  # noqa: B008 - frozen
    ) -> None:
        self._facts = facts
        self._manners = manners
        self._cost_order, self._cost_cancel = facts.cost_order, facts.cost_cancel
        self._cost_amend = manners.cost_amend or facts.cost_order
        self._cost_query = manners.cost_query or facts.cost_cancel
        self._rest = rest
        self._limiter = limiter
        self._offset = offset
        self._stamp = rest.stamp
        self._steps = steps
        self._on_outcome = on_outcome
        self._limits = limits
        self._uses_rest = uses_rest
        self._requests: Writer | None = None
        self._socket: OrderSocket | None = None
        self._replaced: list[OrderSocket] = []  # open ones that still owe an answer
        self._queue: deque[tuple[Command, int]] = (
            deque()
        )  # with the moment (monotonic) at which it is given up
        self._urgent: deque[tuple[Command, int]] = deque()  # cancels
        self._wake: asyncio.TimerHandle | None = None
        self._warm_limiter = Limiter([RateLimit(name, 1 << 40, 10_000_000_000) for name in facts.cost_order])
        self._rest_tasks: dict[asyncio.Task[None], Command] = {}
        self._rest_last: dict[str, asyncio.Task[None]] = {}  # by client id
        self.is_detour = True
        """Something stands in the way of the straight way: no socket, a queue, requests over REST."""
        self.sent_ws = 0
        self.sent_rest = 0
        self.refused_here = 0
        self.unknown = 0

    # ---- the socket

    def use(self, socket: OrderSocket, requests: Writer) -> OrderSocket | None:
        """Send on this socket from now on. Returns the one before, which still owes answers."""
        old = self._socket
        self._socket, self._requests = socket, requests
        self._replaced = [one for one in self._replaced if one.is_open]
        if old is not None and old.is_open:
            self._replaced.append(old)
        else:
            old = None
        self._see_detour()
        return old

    def lost(self, socket: OrderSocket) -> None:
        """A socket is closed."""
        if self._socket is socket:
            self._socket = None
        elif socket in self._replaced:
            self._replaced.remove(socket)
        self._see_detour()

    def drop(self, socket: OrderSocket, why: str) -> None:
        """End a socket; nothing is sent on it from now on."""
        self.lost(socket)
        socket.abort(why)

    @property
    def socket(self) -> OrderSocket | None:
        """The socket in use."""
        return self._socket

    @property
    def sockets(self) -> list[OrderSocket]:
        """All that are open, the one in use last."""
        return [*self._replaced, *([self._socket] if self._socket else [])]

    def _see_detour(self) -> None:
        self.is_detour = bool(
            self._socket is None or self._queue or self._urgent or self._rest_tasks or self._replaced
        )

    # ---- commands

    def send(self, command: Command) -> None:
        """Send a command, or say at once that it was not sent. Never waits."""
        if self.is_detour:
            self._send_around(command)
            return
        now_ns = running_ns()
        kind = type(command)
        if kind is Submit:
            wait_ns = self._limiter.take(self._cost_order, now_ns)
        elif kind is Modify:
            wait_ns = self._limiter.take(self._cost_amend, now_ns)
        elif kind is Cancel:
            wait_ns = self._limiter.take(self._cost_cancel, now_ns, Priority.URGENT, is_apart=True)
        else:
            wait_ns = self._limiter.take(self._cost_query, now_ns)
        if wait_ns:
            self._later(command, wait_ns)
            return
        assert self._socket is not None
        if kind is Query and self._manners.asks_by_rest:
            self._send_rest(command)
            return
        self._write(self._socket, command, now_ns)

    def warm_up(self, command: Command) -> None:
        """Do with a place what `send` does, short of taking tokens and of sending it."""
        steps = self._steps.get(command.symbol)
        if self._requests is None or steps is None:
            return
        now_ns = running_ns()
        self._warm_limiter.take(self._cost_order, now_ns)
        self._requests.request(command, steps, self._offset.corrected_ms(now_ns))

    def _write(self, socket: OrderSocket, command: Command, now_ns: int) -> None:
        steps = self._steps.get(command.symbol)
        if steps is None:
            self.refuse(command, REASON_NOT_TRADING, f"the symbol {command.symbol!r} is not known")
            return
        if len(socket.in_flight) >= self._limits.in_flight_max:
            self.refuse(command, REASON_RATE_LIMIT, "too many requests are unanswered")
            return
        assert self._requests is not None
        try:
            data = self._requests.request(command, steps, self._stamp(now_ns))
        except (RequestError, KeyError) as error:
            self.refuse(command, REASON_NEVER_SENT, f"it can't be written: {error}")
            return
        if socket.send(command, data, monotonic_ns()):
            self.sent_ws += 1
        else:
            # The socket is closing, and nothing was written: another way is open to it.
            self.lost(socket)
            self._route(command, now_ns)

    def _send_around(self, command: Command) -> None:
        if type(command) is Cancel and self._take_back(command):
            return
        now_ns = running_ns()
        if type(command) is Cancel:
            wait_ns = 1 if self._urgent else self._take_cancel(now_ns)
        elif type(command) is Query:
            wait_ns = self._limiter.take(self._cost_query, now_ns)
        else:
            wait_ns = 1 if self._queue else self._limiter.take(self._cost_of(command), now_ns)
        if wait_ns:
            self._later(command, wait_ns)
        else:
            self._route(command, now_ns)

    def _cost_of(self, command: Command) -> Mapping[str, int]:
        return self._cost_amend if type(command) is Modify else self._cost_order

    def _take_cancel(self, now_ns: int) -> int:
        return self._limiter.take(
            self._cost_cancel, now_ns, Priority.URGENT, is_apart=self._socket is not None
        )

    def _route(self, command: Command, now_ns: int) -> None:
        """Send a command whose tokens are taken, by the way that its order's earlier ones went."""
        client_id = command.client_id
        if client_id in self._rest_last or (type(command) is Query and self._manners.asks_by_rest):
            self._send_rest(command)
            return
        for socket in self._replaced:
            if socket.is_open and socket.owes(client_id):
                self._write(socket, command, now_ns)
                return
        if self._socket is not None:
            self._write(self._socket, command, now_ns)
        elif self._uses_rest:
            self._send_rest(command)
        else:
            self.refuse(command, REASON_DISCONNECTED, "there is no connection to send it on")

    # ---- the queue

    def _later(self, command: Command, wait_ns: int) -> None:
        queue = self._urgent if type(command) is Cancel else self._queue
        # A question waits with who asks it, and is asked again.
        if (
            type(command) is Query
            or wait_ns > self._limits.queue_wait_s * 1e9
            or len(queue) >= self._limits.queue_max
        ):
            self.refuse(
                command, REASON_RATE_LIMIT, f"the exchange's request limits: {wait_ns / 1e9:.3f} s to wait"
            )
            return
        queue.append((command, monotonic_ns() + int(self._limits.queue_wait_s * 1e9)))
        self.is_detour = True
        if self._wake is None:
            self._wake = asyncio.get_running_loop().call_later(wait_ns / 1e9, self._work_off)

    def _work_off(self) -> None:
        """Send what waits, as far as there is room now."""
        self._wake = None
        wait_ns = 0
        for queue in (self._urgent, self._queue):
            while queue:
                command, give_up_ns = queue[0]
                now_ns = running_ns()
                if monotonic_ns() > give_up_ns:
                    queue.popleft()
                    self.refuse(
                        command, REASON_RATE_LIMIT, "the exchange's request limits left no room in time"
                    )
                    continue
                if queue is self._urgent:
                    left_ns = self._take_cancel(now_ns)
                else:
                    left_ns = self._limiter.take(self._cost_of(command), now_ns)
                if left_ns:
                    left_ns = min(left_ns, max(1_000_000, give_up_ns - monotonic_ns()))
                    wait_ns = min(wait_ns, left_ns) if wait_ns else left_ns
                    break
                queue.popleft()
                self._route(command, now_ns)
        if wait_ns and self._wake is None:
            self._wake = asyncio.get_running_loop().call_later(wait_ns / 1e9, self._work_off)
        self._see_detour()

    def _take_back(self, cancel: Cancel) -> bool:
        """Take an order's commands out of the queue. True if its place was there: there is nothing to cancel then."""
        had_place = False
        for item in [one for one in self._queue if one[0].client_id == cancel.client_id]:
            self._queue.remove(item)
            had_place = had_place or type(item[0]) is Submit
            self.refuse(item[0], REASON_NEVER_SENT, "it was cancelled before it was sent")
        self._see_detour()
        if had_place:
            self.refuse(cancel, REASON_UNKNOWN_ORDER, "the order was not sent")
        return had_place

    # ---- REST

    def _send_rest(self, command: Command) -> None:
        if ban_s := self._limiter.ban_left_s(running_ns()):
            self.refuse(command, REASON_RATE_LIMIT, f"the exchange bans this address for {ban_s:.0f} s more")
            return
        if len(self._rest_tasks) >= self._limits.rest_max:
            self.refuse(command, REASON_RATE_LIMIT, "too many requests are unanswered")
            return
        # A question that goes this way always holds up nothing, least of all a cancel.
        is_apart = type(command) is Query and self._manners.asks_by_rest
        before = None if is_apart else self._rest_last.get(command.client_id)
        task = asyncio.create_task(self._order_over_rest(command, before))
        self._rest_tasks[task] = command
        if not is_apart:
            self._rest_last[command.client_id] = task
        self.is_detour = True
        task.add_done_callback(self._rest_done)

    def _rest_done(self, task: asyncio.Task[None]) -> None:
        command = self._rest_tasks.pop(task)
        if self._rest_last.get(command.client_id) is task:
            del self._rest_last[command.client_id]
        self._see_detour()
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.error("rest_request_crashed", request=command.request, why=repr(error))
            self._unknown(command, "failed here")

    async def _order_over_rest(self, command: Command, before: asyncio.Task[None] | None) -> None:
        try:
            if before is not None:
                await asyncio.wait([before])
        except asyncio.CancelledError:
            self.refuse(command, REASON_NEVER_SENT, "the connector ended")
            raise
        try:
            outcome = await self._over_rest(command, self._facts.rest_request)
            for elsewhere in self._manners.elsewhere:
                if type(command) is not Query or outcome.reason != REASON_UNKNOWN_ORDER:
                    break
                outcome = await self._over_rest(command, elsewhere)
        except RequestError as error:
            self.refuse(command, REASON_NEVER_SENT, f"it can't be written: {error}")
        except NotSentError as error:
            self.refuse(command, REASON_DISCONNECTED, str(error))
        except FateUnknownError as error:
            self._unknown(command, str(error))
        except asyncio.CancelledError:
            self._unknown(command, "the connector ended")
            raise
        else:
            self._on_outcome(outcome)

    async def _over_rest(
        self, command: Command, write: Callable[[Command, Steps], tuple[str, str, Params]]
    ) -> Outcome:
        facts = self._facts
        try:
            method, path, params = write(command, self._steps[command.symbol])
        except KeyError as error:
            raise RequestError(str(error)) from None
        self.sent_rest += 1
        answer = await self._rest.call(method, path, params, timeout_s=self._limits.reply_timeout_s)
        if answer.is_success:
            return facts.outcome_of_order(command, answer.body, self._steps)
        return facts.outcome_of_error(command, answer.status, answer.error, answer.text)

    # ---- the end of waiting

    def sweep(self, now_ns: int) -> None:
        """Give up on what is unanswered for too long (monotonic time); called several times a second."""
        before_ns = now_ns - int(self._limits.reply_timeout_s * 1e9)
        for socket in self.sockets:
            late = socket.overdue(before_ns)
            if late and socket.received_ns < before_ns:
                self.drop(socket, "it does not answer")
            for command in late:
                self._unknown(command, f"no answer within {self._limits.reply_timeout_s} s")
        self._replaced = [one for one in self._replaced if one.is_open and one.in_flight]
        self._see_detour()

    def owed(self, commands: list[Command], why: str) -> None:
        """A socket is gone with these unanswered."""
        for command in commands:
            self._unknown(command, f"the connection ended before the answer: {why}")

    def refuse(self, command: Command, reason: int, why: str) -> None:
        """A command's outcome is that it was not sent."""
        self.refused_here += 1
        self._on_outcome(Outcome(command.request, REFUSED, reason, why))

    def _unknown(self, command: Command, why: str) -> None:
        self.unknown += 1
        self._on_outcome(Outcome(command.request, UNKNOWN, 0, why))

    async def close(self) -> None:
        """Refuse what waits, and end what is under way over REST."""
        if self._wake is not None:
            self._wake.cancel()
            self._wake = None
        for queue in (self._urgent, self._queue):
            while queue:
                self.refuse(queue.popleft()[0], REASON_NEVER_SENT, "the connector ended")
        tasks = list(self._rest_tasks)
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)
