"""REST: signed calls, what their failures mean, limits and bans read back.

A request that changes something is written to a socket at most once. aiohttp repeats a PUT or DELETE by itself when a
kept connection turns out to be closed; `_never_again` stops it, since the first one may have been handled.

While the exchange bans us nothing is sent here, by whomever: `call` itself refuses.

Where requests have nonces (`daemon.session.nonces`) a request takes its own when it is signed, right before it is
written, and the next one is signed when this one was answered, or `NONCE_S` later: by then it has been written, or it
has no connection yet and may be refused for its nonce, which order management and `ask` take for what it is. A request
that is asked again is signed again.
"""

import asyncio
from collections.abc import Mapping
from typing import Final

import aiohttp
import msgspec
import structlog
from yarl import URL

from daemon.connector.limiter import Limiter, Priority
from daemon.connector.reasons import why_not
from daemon.connector.supervise import Backoff
from daemon.connector.watch.offset import ClockOffset
from daemon.messages import UNKNOWN
from daemon.redaction import redact
from daemon.session.errors import BannedError, ExchangeError, FateUnknownError, NotSentError, WireError
from daemon.session.facts import Auth, Error, Params, RestFacts, Signer
from daemon.session.nonces import Nonces
from hftd.clock import running_ns
from hftd.errors import UsageError

BODY_BYTES_MAX: Final = 64 * 2**20
TRIES: Final = 3
"""Of a question, which may be asked again: after so long at first, and `AGAIN_MAX_S` at most."""
AGAIN_S: Final = 0.2
AGAIN_MAX_S: Final = 2.0
WAIT_S_MAX: Final = 60.0
"""A question waits so long for its turn under the limits, then fails."""
RECV_WINDOW_MS: Final = 5000
"""How old a request may be when the exchange handles it, and how late a place or cancel may still have an effect."""
NONCE_S: Final = 0.25
"""A request with a nonce waits no longer for the answer to the one before."""
TOO_MANY_STATUSES: Final = frozenset({418, 429})
"""Too many requests: not handled."""
_BAN_S_MAX: Final = 3 * 86_400.0

_log = structlog.get_logger("hftd.connector")


class Answer(msgspec.Struct, frozen=True):
    """An HTTP answer; `error` is set unless it is a success."""

    status: int
    body: bytes
    error: Error | None = None

    @property
    def is_success(self) -> bool:
        """Whether the request was done."""
        return self.status == 200 and self.error is None

    @property
    def text(self) -> str:
        """The beginning of the body, for the log."""
        return self.body[:300].decode("utf-8", "replace")


async def _never_again(
    request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
) -> aiohttp.ClientResponse:
    try:
        return await handler(request)
    except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError):
        raise  # no connection: nothing was sent
    except (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError) as error:
        raise FateUnknownError(type(error).__name__) from None


class Rest:
    """REST calls of one account.

    Args:
        session: The HTTP client.
        facts: How the exchange speaks.
        url: Such as ``https://fapi.binance.com``.
        signer: None for public calls alone.
        limiter: Of the address and account; weights and counts in the answers are given to it.
        offset: Of the exchange's clock; `sample_clock` feeds it.
        recv_window_ms: How old a request may be when it is handled.
        nonces: What signed requests have in place of the time; None for the time.
    """

    def __init__(
        self,
        session: aiohttp.ClientSession,
        facts: RestFacts,
        url: str,
        signer: Signer | None,
        limiter: Limiter,
        offset: ClockOffset,
        *,
        recv_window_ms: int = RECV_WINDOW_MS,
        nonces: Nonces | None = None,
    ) -> None:
        self._session = session
        self._nonces = nonces
        self._written: asyncio.Future[None] | None = (
            None  # done once the latest request with a nonce is answered
        )
        self.facts = facts
        self._url = url.rstrip("/")
        self._signer = signer
        self._limiter = limiter
        self._offset = offset
        self._recv_window_ms = recv_window_ms
        self.is_reachable = False
        """Whether the last call got an answer."""
        self.calls = 0
        self.failures = 0
        self.retries = 0

    def __repr__(self) -> str:
        return f"Rest({self._url})"

    def exchange_ms(self, now_ns: int) -> int:
        """A moment of our clock by the exchange's, in Unix milliseconds."""
        return self._offset.corrected_ms(now_ns)

    def stamp(self, now_ns: int) -> int:
        """What a request is signed with that is written now: the exchange's time in milliseconds, or a nonce."""
        if self._nonces is None:
            return self._offset.corrected_ms(now_ns)
        return self._nonces.take(self._offset.corrected_ns(now_ns))

    async def call(
        self, method: str, path: str, params: Params = (), *, auth: Auth = "signed", timeout_s: float = 10.0
    ) -> Answer:
        """One call, sent at most once; its tokens have been taken.

        Raises:
            NotSentError: It surely was not sent.
            FateUnknownError: It may have been handled.
        """
        if self._nonces is None or auth != "signed":
            return await self._call(method, path, params, auth, timeout_s)
        before, mine = self._written, asyncio.get_running_loop().create_future()
        self._written = mine
        try:
            if before is not None:
                await asyncio.wait([before], timeout=NONCE_S)
            return await self._call(method, path, params, auth, timeout_s)
        finally:
            mine.set_result(None)

    async def _call(self, method: str, path: str, params: Params, auth: Auth, timeout_s: float) -> Answer:
        if ban_s := self._limiter.ban_left_s(running_ns()):
            raise BannedError(ban_s)
        url = self._url + path
        # What was signed is what is sent.
        signed = self.facts.signed(
            method,
            path,
            params,
            auth,
            self._signer,
            self.stamp(running_ns()) if auth == "signed" else 0,
            self._recv_window_ms,
        )
        target = URL(f"{url}?{signed.query}" if signed.query else url, encoded=True)
        self.calls += 1
        try:
            async with self._session.request(
                method,
                target,
                headers=signed.headers,
                data=signed.body,
                timeout=aiohttp.ClientTimeout(total=timeout_s, sock_connect=min(3.0, timeout_s / 2)),
                middlewares=(_never_again,),
                allow_redirects=False,
            ) as response:
                body = await _read(response)
                self.is_reachable = True
                self._take_limits(path, response.headers)
                return self._answer(response.status, response.headers, body)
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as error:
            self.failures += 1
            self.is_reachable = False
            raise NotSentError(
                f"{method} {path}: no connection to {self._url} ({type(error).__name__}): {why_not(error)}"
            ) from None
        except (FateUnknownError, WireError, aiohttp.ClientError, TimeoutError, OSError) as error:
            # Without the cause: its text may hold the query string.
            self.failures += 1
            raise FateUnknownError(f"{method} {path}: no answer ({type(error).__name__})") from None

    def _take_limits(self, path: str, headers: Mapping[str, str]) -> None:
        """What the account is allowed at a path, and has used, where the exchange counts by paths."""
        limits_of = getattr(self.facts, "limits_of_call", None)
        if limits_of is not None:
            for name, limit, used in limits_of(path, headers):
                self._limiter.allow(name, limit)
                self._limiter.seen({name: used}, running_ns())

    def _answer(self, status: int, headers: Mapping[str, str], body: bytes) -> Answer:
        now_ns, facts = running_ns(), self.facts
        counts = facts.counts_of_headers(headers)
        self._limiter.seen(counts, now_ns)
        error = facts.error_of(status, body)
        if error is None and body.lstrip()[:1] not in (b"{", b"["):
            # A page of whatever stands in front of the exchange says nothing about the request.
            error = Error(0, f"no JSON: {body[:200].decode('utf-8', 'replace')}")
        if quiet_s := facts.quiet_s(status, error, headers, self._offset.corrected_ms(now_ns)):
            self._take_over_limit(error.msg if error else "", counts)
            self.quiet(quiet_s, now_ns, is_all=False)
        return Answer(status, body, error)

    def _take_over_limit(self, words: str, counts: Mapping[str, int]) -> None:
        """We were within the limit that we know, and it was too much: what the exchange allows is less.

        The next exchangeInfo puts it right.
        """
        known = self._limiter.limit_of(self.facts.weight)
        if known is None:
            return
        allowed = self.facts.allowed(words)
        if not allowed and (used := counts.get(self.facts.weight, 0)) > 0:
            # What was used is a guess at the limit; never less than half of what was thought.
            allowed = max(used, known.limit // 2)
        if allowed and self._limiter.lower(self.facts.weight, allowed):
            _log.warning(
                "rate_limit_lowered",
                limit=self.facts.weight,
                was=known.limit,
                now=allowed,
            )

    def quiet(self, wait_s: float, now_ns: int, *, is_all: bool = True) -> None:
        """The exchange wants to hear nothing for so long.

        Args:
            wait_s: How long.
            now_ns: Now.
            is_all: Whether that is known of the socket for orders as well: then cancels do not try that way.
        """
        wait_s = min(wait_s, _BAN_S_MAX)
        if wait_s > self._limiter.ban_left_s(now_ns) + 1.0:
            _log.warning("address_banned", for_s=round(wait_s, 3), is_all=is_all)
        self._limiter.banned_until(now_ns + int(wait_s * 1e9), is_all=is_all)

    async def ask(
        self,
        path: str,
        params: Params = (),
        *,
        weight: int = 1,
        auth: Auth = "signed",
        method: str = "GET",
        tries: int = TRIES,
        timeout_s: float = 10.0,
        priority: Priority = Priority.REGULAR,
    ) -> bytes:
        """A question, or anything that may be done twice: waits for its turn, and tries again.

        Whoever asks again and again pauses by a `Backoff`, and gives it what failed: in a ban this raises at once.

        Raises:
            ExchangeError: The exchange refused it.
            NotSentError: There is no connection.
            FateUnknownError: There was no answer.
        """
        backoff = Backoff(AGAIN_S, AGAIN_MAX_S, self.calls)
        for last in (number == tries - 1 for number in range(tries)):
            await self._turn(weight, priority)
            try:
                answer = await self.call(method, path, params, auth=auth, timeout_s=timeout_s)
            except (NotSentError, FateUnknownError) as error:
                if last or isinstance(error, BannedError):
                    raise
                self.retries += 1
                await backoff.pause()
                continue
            if answer.is_success:
                return answer.body
            error, facts = answer.error or Error(0, answer.text), self.facts
            may_help = (
                answer.status in TOO_MANY_STATUSES
                or error.code in getattr(facts, "again_codes", ())
                or facts.verdict(answer.status, error.code, error.msg)[0] == UNKNOWN
            )
            if error.code in facts.clock_codes:
                may_help = await self._ask_time_again()
            if last or not may_help:
                raise ExchangeError(
                    redact(
                        f"{method} {path}: {answer.status} {error.code} {error.msg[:200]}", self._secrets()
                    ),
                    status=answer.status,
                    code=error.code,
                )
            self.retries += 1
            await backoff.pause()
        raise AssertionError("unreachable")

    async def _ask_time_again(self) -> bool:
        """Another sample of the exchange's time; whether there is one."""
        try:
            await self.sample_clock()
        except (ExchangeError, NotSentError, FateUnknownError, WireError):
            return False
        return True

    async def _turn(self, weight: int, priority: Priority) -> None:
        waited_s = 0.0
        while True:
            now_ns = running_ns()
            try:
                wait_ns = self._limiter.take({self.facts.weight: weight}, now_ns, priority)
            except UsageError as error:
                # A limit may be lowered below what a question costs: that ends this question, and nothing else.
                raise NotSentError(str(error)) from None
            if not wait_ns:
                return
            waited_s += wait_ns / 1e9
            if waited_s > WAIT_S_MAX:
                ban_s = self._limiter.ban_left_s(now_ns)
                raise (
                    BannedError(ban_s)
                    if ban_s
                    else NotSentError(f"the request limits leave no room for {wait_ns / 1e9:.0f} s")
                )
            await asyncio.sleep(wait_ns / 1e9)

    async def sample_clock(self) -> None:
        """Ask for the exchange's time.

        Raises:
            NotSentError, FateUnknownError, ExchangeError, WireError: There is none.
        """
        # Without it no order is taken: its class is theirs.
        await self._turn(1, Priority.ORDERS)
        sent_ns = running_ns()
        answer = await self.call("GET", self.facts.time_path, auth="none", timeout_s=5.0)
        received_ns = running_ns()
        if not answer.is_success:
            raise ExchangeError(f"GET time: {answer.status}", status=answer.status, code=0)
        self._offset.sample(sent_ns, self.facts.read_server_time(answer.body), received_ns)

    def _secrets(self) -> tuple[str, ...]:
        return (self._signer.api_key,) if self._signer else ()


async def _read(response: aiohttp.ClientResponse) -> bytes:
    body = bytearray()
    async for chunk in response.content.iter_any():
        body += chunk
        if len(body) > BODY_BYTES_MAX:
            raise WireError(f"an answer of more than {BODY_BYTES_MAX} bytes")
    return bytes(body)
