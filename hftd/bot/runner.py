"""Running a strategy: in a thread of its own, without the GIL if it is compiled.

The main thread looks after what the strategy can't: signals, and the leases. Backtests run the same way, so that a
strategy's machine code, and what surrounds it, are the same everywhere.
"""

import os
import select
import signal
import threading
import traceback
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from msgspec.json import encode
from msgspec.structs import replace

from hftd.bot.config import BotConfig
from hftd.bot.result import AssetResult, BotResult, describe
from hftd.bot.strategy import Strategy, load_strategy, module_of
from hftd.clock import monotonic_ns, sleep
from hftd.errors import HftdError, LeaseLostError, NoSuchChannelError, StrategyError
from hftd.hbt.hbt import Hbt
from hftd.hbt.local import Contract
from hftd.hbt.recorder import Recorder
from hftd.log import LazyLogger
from hftd.parameters.declared import ParameterChange
from hftd.runs.recipe import Noting, Recipe
from hftd.runs.writing import RunWriter

if TYPE_CHECKING:
    from hftd.bot.supervisor import Companion, Supervisor

_MAX_RECORDS = 1 << 22
_LOOK_SECONDS = 0.05
HUNG_NS = 2_000_000_000
"""How long a strategy that was taken for hung may take to return."""
_SIGNALS = (signal.SIGINT, signal.SIGTERM)

_log = LazyLogger("hftd.bot")


@contextmanager
def signals_to(stop: Callable[[], None]) -> Generator[None, None, None]:
    """SIGINT and SIGTERM call `stop` meanwhile; a third of them ends the process."""
    came: list[int] = []
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def handle(number: int, _frame: object) -> None:
        came.append(number)
        if len(came) > 2:
            # The strategy does not let time pass, so nothing but the end of the process reaches it.
            os._exit(128 + number)
        if len(came) == 2:
            with suppress(OSError):
                os.write(2, b"\nthe strategy has not returned; once more ends it without a result\n")
        stop()

    before = {number: signal.signal(number, handle) for number in _SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


class Run:
    """A strategy's run and what it came to.

    Args:
        hbt: What it trades on.
        strategy: The strategy.
        recorder: What it is given if it asks for a recorder.
    """

    def __init__(self, hbt: Hbt, strategy: Strategy, recorder: Recorder | None) -> None:
        self.hbt = hbt
        self.strategy = strategy
        self.lost = ""
        self.stopped = False
        self.seconds = 0.0
        self.start_ns = 0
        self._error: BaseException | None = None
        memory = recorder.recorder if recorder else None
        self._function = strategy.compile(hbt, memory)
        self._arguments = strategy.arguments(hbt, memory)

    def __call__(self, supervisor: "Supervisor | None" = None) -> None:
        """Run it to its end.

        Args:
            supervisor: What the main thread does meanwhile.

        Raises:
            StrategyError: The strategy raised.
        """
        done_fd = os.eventfd(0, os.EFD_CLOEXEC)
        thread = threading.Thread(target=self._in_thread, args=(done_fd,), name="strategy", daemon=True)
        start_ns = monotonic_ns()
        try:
            with signals_to(self.hbt.stop):
                thread.start()
                self._supervise(thread, done_fd, supervisor)
                self.stopped = self.hbt.stopped
        finally:
            if not thread.is_alive():
                os.close(done_fd)
        self.seconds = (monotonic_ns() - start_ns) / 1e9
        if isinstance(self._error, HftdError):
            raise self._error
        if self._error is not None:
            raise StrategyError(_told(self._error), where=self.strategy.where) from self._error

    def _in_thread(self, done_fd: int) -> None:
        try:
            self._function(*self._arguments)
        except BaseException as error:
            self._error = error
        finally:
            os.eventfd_write(done_fd, 1)

    def _supervise(self, thread: threading.Thread, done_fd: int, supervisor: "Supervisor | None") -> None:
        give_up_ns = 0
        reason = ""
        while thread.is_alive():
            poll = select.poll()
            poll.register(done_fd, select.POLLIN)
            timeout_ms = 1000
            if supervisor is not None and not give_up_ns:
                for descriptor in supervisor.descriptors():
                    poll.register(descriptor, select.POLLIN)
                timeout_ms = -(-supervisor.wait_ns() // 1_000_000)
            if done_fd in dict(poll.poll(timeout_ms)):
                thread.join()
                if supervisor is not None and not self.lost:
                    self.lost = supervisor.hung()
                return
            if give_up_ns:
                if supervisor is not None and monotonic_ns() > give_up_ns:
                    supervisor.give_up()
                    raise LeaseLostError(
                        f"{reason}; it does not return",
                        where=self.strategy.where,
                        hint="a strategy must let time pass, by hbt.elapse or a wait; if it only computes for long, "
                        "raise watchdog_s of [bot]",
                    )
            elif supervisor is not None and (reason := supervisor.supervise()):
                give_up_ns = monotonic_ns() + HUNG_NS
                if not supervisor.hung():
                    supervisor = None
                # A strategy that was told that the data is over may take its time; there is nothing to lose any more.
                if not self.hbt.ended:
                    self.lost = reason
                    self.hbt.stop()

    @property
    def ended(self) -> str:
        """How it ended."""
        if self.lost:
            return "lost a channel"
        if self.stopped:
            return "stopped"
        return "end of data" if self.hbt.ended else "strategy returned"


def _told(error: BaseException) -> str:
    """What a strategy raised, with the user's own lines of its traceback."""
    lines = traceback.extract_tb(error.__traceback__)
    theirs = [line for line in lines if Path(line.filename).parent != Path(__file__).parent]
    at = f" ({theirs[-1].filename}:{theirs[-1].lineno})" if theirs else ""
    return f"it raised {type(error).__name__}: {error}{at}"


def _names(config: BotConfig) -> Iterator[tuple[str, str]]:
    for instrument in config.instruments:
        yield instrument.symbol, instrument.channel


def run_strategy(
    hbt: Hbt,
    config: BotConfig,
    strategy: Strategy,
    contracts: list[Contract],
    *,
    supervisor: "Supervisor | None" = None,
    record: Path | None = None,
    changes: Callable[[], list[ParameterChange]] = list,
    recipe: Callable[[], Recipe | None] = lambda: None,
) -> BotResult:
    """Run a bot's strategy on `hbt`, and gather what it came to.

    Args:
        hbt: What it trades on.
        config: The bot's.
        strategy: The strategy.
        contracts: Of its instruments.
        supervisor: What the main thread does meanwhile.
        record: A file that is written while it runs.
        changes: What was set of the parameters until now.
        recipe: What the run is made from, as far as it is known by now.

    Raises:
        StrategyError: It can't be compiled or run.
        HftdError: What broke meanwhile.
    """
    recorder = set_up(hbt, config, strategy, contracts)
    run = Run(hbt, strategy, recorder)
    writing = None
    if record is not None:
        described = describe(config, contracts)
        writing = RunWriter(
            record,
            lambda: hbt.growing(recorder.recorder if recorder else None),
            lambda: encode(replace(described, changes=changes(), recipe=recipe())),
            config.bot.name,
        )
    try:
        with writing or nullcontext():
            run(supervisor)
    finally:
        noted = supervisor.finish() if supervisor is not None else []
    if writing is not None and writing.failed:
        noted.append(f"the run could not be written to {record} to its end: {writing.failed}")
    hbt.check()
    result = result_of(hbt, config, contracts, recorder, run.ended)
    return replace(
        result,
        seconds=run.seconds,
        warnings=result.warnings + noted,
        changes=changes(),
        lost=run.lost,
    )


def set_up(hbt: Hbt, config: BotConfig, strategy: Strategy, contracts: list[Contract]) -> Recorder | None:
    """Have `hbt` keep what the configuration says, and begin.

    Returns:
        What the strategy is given if it asks for a recorder.
    """
    recorder = Recorder(hbt.num_assets, _MAX_RECORDS) if strategy.wants_recorder else None
    hbt.record_every(config.record.interval_ms * 1_000_000)
    if config.record.orders:
        hbt.record_requests()
    if config.portfolio.gross_value or config.portfolio.net_value:
        hbt.limit_portfolio(contracts, config.portfolio.gross_value, config.portfolio.net_value)
    if strategy.shared is not None:
        hbt.share_parameters(strategy.shared.address)
    hbt.begin()
    return recorder


def result_of(
    hbt: Hbt, config: BotConfig, contracts: list[Contract], recorder: Recorder | None, ended: str
) -> BotResult:
    """What a strategy's run on `hbt` came to, without what only its runner knows."""
    assets = [
        _asset_result(hbt, asset_no, symbol, channel, contracts[asset_no])
        for asset_no, (symbol, channel) in enumerate(_names(config))
    ]
    return BotResult(
        name=config.bot.name,
        strategy=config.bot.strategy,
        assets=assets,
        events=hbt.rows(),
        seconds=0.0,
        sim_seconds=hbt.sim_seconds,
        ended=ended,
        records=recorder.recorder.rows() if recorder else hbt.records(),
        fills=hbt.fills(),
        order_latency=hbt.order_latencies(),
        orders=hbt.requests(),
        warnings=hbt.warnings(),
    )


def _asset_result(hbt: Hbt, asset_no: int, symbol: str, channel: str, contract: Contract) -> AssetResult:
    state = hbt.state_values(asset_no)
    depth = hbt.depth(asset_no)
    price = (depth.best_bid + depth.best_ask) / 2.0
    values: dict[str, Any] = {
        name: getattr(state, name)
        for name in ("position", "balance", "fee", "num_trades", "trading_volume", "trading_value")
    }
    return AssetResult(
        symbol=symbol,
        channel=channel,
        equity=contract.equity(state.balance, state.position, state.fee, price),
        price=price,
        contract_size=contract.size,
        inverse=contract.inverse,
        **values,
    )


def _await_channels(names: set[str], patience_s: float) -> None:
    """A bot that is started together with its daemons gives them time.

    Raises:
        NoSuchChannelError: One did not come.
    """
    from hftd.control.protocol import no_such_channel, running_channels, socket_path, who_listens

    deadline_ns = monotonic_ns() + int(patience_s * 1e9)
    is_said = False
    while missing := sorted(name for name in names if not who_listens(socket_path(name))):
        if monotonic_ns() >= deadline_ns:
            error = no_such_channel(missing[0], socket_path(missing[0]))
            raise NoSuchChannelError(
                error.what + "".join(f", nor {name!r}" for name in missing[1:]),
                where=error.where,
                hint=f"{error.hint}; the bot waited {patience_s:g} s for it (`attach_s` of [bot])",
            )
        if not is_said:
            _log.warning(
                "waiting_for_channel",
                channel=", ".join(missing),
                attach_s=patience_s,
                served=", ".join(running_channels()) or "none",
            )
            is_said = True
        sleep(_LOOK_SECONDS)


def run(
    config: BotConfig,
    base: Path,
    *,
    record: Path | None = None,
    companion: "Companion | None" = None,
    noting: Noting | None = None,
) -> BotResult:
    """Attach the configured bot to its channels, run its strategy, leave in order.

    Args:
        config: The configuration.
        base: Its folder.
        record: A file that is written while it runs; see `hftd.runfile`.
        companion: What looks at the bot while it runs.
        noting: Notes what the run is made from.

    Raises:
        ChannelError: A channel can't be attached to, or broke.
        StrategyError: The strategy can't be loaded, compiled or run.
    """
    import msgspec

    from hftd import wire
    from hftd.bot.bot import Bot, Instrument
    from hftd.bot.hooks import load_hooks
    from hftd.bot.leases import BotSupervisor

    # A wrong strategy is told, and a new one compiled, before a daemon hears of the bot.
    strategy = load_strategy(config.bot.strategy, config.parameters, base, allow_set=config.bot.allow_set)
    hooks = load_hooks(config.hooks, base)
    strategy.prepare()
    _await_channels({one.channel for one in config.instruments}, config.bot.attach_s)
    instruments = [
        Instrument(
            one.channel,
            one.symbol,
            one.tick_size,
            one.lot_size,
            one.last_trades_capacity,
            one.roi,
            one.user_events_capacity,
        )
        for one in config.instruments
    ]
    # Once it is attached it leaves in order.
    bot = Bot(
        instruments,
        name=config.bot.name,
        end=config.bot.end,
        spin_us=config.bot.spin_us,
        pull_quotes=config.bot.pull_quotes,
        limits=wire.Limits(**msgspec.structs.asdict(config.limits)),
        watchdog_s=config.bot.watchdog_s,
    )
    with bot, signals_to(bot.stop):
        setting = strategy.setting(config.bot.name)
        if noting is not None:
            noting.begin(module_of(config.bot.strategy, base), bot.market)
        supervisor = BotSupervisor(
            bot, hooks, config.bot.reattach_s, setting, config.bot.watchdog_s, companion
        )
        result = run_strategy(
            bot,
            config,
            strategy,
            bot.contracts,
            supervisor=supervisor,
            record=record,
            changes=setting.changes,
            recipe=noting.now if noting is not None else lambda: None,
        )
        bot.detach(result.ended)
        return result
