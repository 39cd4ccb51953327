"""A bot's leases as the main thread looks after them while the strategy runs.

Daemons are lost, and found again, and ask what the bot's parameters are, or that they be set.
"""

from dataclasses import dataclass
from typing import Final

import msgspec

from hftd import wire
from hftd.bot import hooks
from hftd.bot.bot import Bot
from hftd.bot.channel import BotChannel
from hftd.bot.hooks import ErrorNote, Hooks
from hftd.bot.supervisor import Companion, Supervisor
from hftd.channel.endpoint import ring_bell
from hftd.channel.layout import BOT_COMPILING, BOT_LAPPED, BOT_STEPS
from hftd.clock import monotonic_ns
from hftd.control import status
from hftd.control.notify import ALIVE, READY, STOPPING, how, notify
from hftd.errors import ChannelError, HftdError, RefusedError, UsageError, WrongBotError
from hftd.log import LazyLogger
from hftd.parameters.setting import Setting

TAKE_NS: Final = 5_000_000_000
"""How long the strategy is waited for to begin another step, before it is told that it has not."""
_LOOK_NS: Final = 2_000_000
FED_EVERY_NS: Final = 1_000_000_000
QUIET_NS: Final = 10_000_000_000
"""A strategy that waits makes steps far more often."""

_log = LazyLogger("hftd.bot")


@dataclass
class _Offered:
    """A change that the strategy has not taken over, and who waits to hear that it has."""

    number: int
    channel: BotChannel
    until_ns: int
    asked: status.SetParameters


class BotSupervisor(Supervisor):
    """Minds a bot's leases too, and finds the successors of daemons that are gone.

    Args:
        bot: The bot.
        hooks: What is to be called.
        reattach_s: For how long it looks for a successor; 0 to end with the first lease that is lost.
        setting: What is told and set of the strategy's parameters.
        watchdog_s: For how long the strategy may be busy between two waits, as its connectors are told; 0 for ever.
        companion: What looks at the bot as well, last of all; one that raises is left out from then on.
    """

    def __init__(
        self,
        bot: Bot,
        hooks: Hooks,
        reattach_s: float,
        setting: Setting,
        watchdog_s: float = 0.0,
        companion: Companion | None = None,
    ) -> None:
        instruments = [(one.symbol, one.tick_size) for one in bot.instruments]
        super().__init__(bot, hooks, instruments, has_daemons=not bot.is_simulated)
        self._bot = bot
        # A replay that is gone takes its clock with it.
        self._reattach_s = 0.0 if bot.is_simulated else reattach_s
        self._lapped = 0
        self._returning: set[int] = set()
        self._still: set[int] = set()
        self._setting = setting
        self._offered: list[_Offered] = []
        self._companion = companion
        self._watchdog_ns = int(watchdog_s * 1e9)
        self._progress = (0, 0)
        self._stepped_ns = self._fed_ns = 0
        notify(READY)

    def descriptors(self) -> list[int]:
        """As above."""
        return super().descriptors() + [channel.fd for channel in self._bot.channels if channel.fd >= 0]

    def wait_ns(self) -> int:
        """As above."""
        now_ns = monotonic_ns()
        found = min(super().wait_ns(), *(channel.wait_ns(now_ns) for channel in self._bot.channels))
        if self._companion is not None:
            found = min(found, self._companion.wait_ns())
        return min(found, _LOOK_NS) if self._offered else found

    def supervise(self) -> str:
        """As above."""
        super().supervise()
        self._feed()
        self._look_for_laps()
        for number, channel in enumerate(self._bot.channels):
            if (is_still := channel.is_still) != (number in self._still):
                self._still ^= {number}
                _log.warning(
                    "daemon_stands_still" if is_still else "daemon_goes_on",
                    bot=self._bot.name,
                    channel=channel.name,
                )
                kind = hooks.DAEMON_STILL if is_still else hooks.DAEMON_GOES_ON
                self._tell(kind, f"channel {channel.name}: {kind}")
            reason = "" if channel.is_down else channel.lost()
            if not channel.is_down and channel.asked is not None and not self._is_waited_for(channel):
                self._ask(channel, channel.asked)
            if reason:
                told = f"channel {channel.name}: {reason}"
                if self._reattach_s == 0.0 or self._bot.is_hung:
                    self._bot.lost_reason = self._bot.lost_reason or told
                    return told
                channel.go_down(reason, self._reattach_s)
                self._say(hooks.DAEMON_LOST, told)
                ring_bell(self._bot.page.address)
            if channel.is_down:
                try:
                    if channel.try_again(monotonic_ns()):
                        self._returning.add(number)
                        ring_bell(self._bot.page.address)
                except ChannelError as error:
                    return f"channel {channel.name}: {channel.reason}, and no successor came: {error.what}"
            channel.settle()
            if number in self._returning and not channel.is_down and not channel.is_resyncing:
                self._returning.discard(number)
                self._say(hooks.DAEMON_BACK, f"channel {channel.name}: attached again")
        self._tell_taken()
        if self._companion is not None:
            try:
                self._companion.look(self._bot)
            except Exception:
                _log.exception("report_failed", bot=self._bot.name)
                self._companion = None
        return ""

    def _feed(self) -> None:
        """Feed systemd's watchdog while this thread goes round and the strategy makes steps, or compiles.

        A replay may have it wait for as long as it likes; a strategy whose `watchdog_s` is 0 may be busy as long.
        """
        now_ns = monotonic_ns()
        steps, compiling = progress = self._bot.page.word(BOT_STEPS), self._bot.page.word(BOT_COMPILING)
        if progress != self._progress or not self._stepped_ns:
            self._progress, self._stepped_ns = progress, now_ns
        quiet_ns = now_ns - self._stepped_ns
        may_be_quiet = not steps or compiling & 1 or not self._watchdog_ns or self._bot.is_simulated
        if not may_be_quiet and quiet_ns > max(self._watchdog_ns, QUIET_NS):
            return
        if now_ns - self._fed_ns >= FED_EVERY_NS:
            self._fed_ns = now_ns
            notify(ALIVE, how(self._words()))

    def _words(self) -> str:
        """How its channels are."""
        return ", ".join(
            f"{channel.name}: {'lost, looked for' if channel.is_down else 'still' if channel.is_still else 'attached'}"
            for channel in self._bot.channels
        )

    def _is_waited_for(self, channel: BotChannel) -> bool:
        return any(one.channel is channel for one in self._offered)

    def _ask(self, channel: BotChannel, asked: wire.Ask) -> None:
        """What is asked for is offered to the strategy, told at once, or refused."""
        try:
            what = msgspec.json.decode(asked.argument, type=status.SetParameters)
            if what.values:
                number = self._setting.set(what)
                self._offered.append(_Offered(number, channel, monotonic_ns() + TAKE_NS, what))
            else:
                channel.answer(wire.Answer(True, status.encode(self._setting.told())))
        except HftdError as error:
            kind = WrongBotError if isinstance(error, UsageError) else RefusedError
            channel.answer(wire.Refused(kind.__name__, error.what, error.hint))
        except Exception as error:
            # Whatever is asked, the bot goes on.
            _log.exception("question_failed", bot=self._bot.name)
            channel.answer(
                wire.Refused("", f"the bot failed to answer: {type(error).__name__}", "see its log")
            )

    def _tell_taken(self) -> None:
        for one in list(self._offered):
            is_taken = self._setting.is_taken(one.number)
            if not is_taken and monotonic_ns() < one.until_ns:
                continue
            self._offered.remove(one)
            asked = one.asked
            _log.info(
                "parameters_set" if is_taken else "parameters_wait",
                bot=self._bot.name,
                values=asked.values,
                uid=asked.uid,
                pid=asked.pid,
            )
            one.channel.answer(wire.Answer(is_taken, status.encode(self._setting.told(is_taken=is_taken))))

    def _say(self, kind: str, message: str) -> None:
        _log.warning(
            "daemon_lost" if kind == hooks.DAEMON_LOST else "daemon_back", bot=self._bot.name, why=message
        )
        self._tell(kind, message)

    def _tell(self, kind: str, message: str) -> None:
        if self._hooks is not None:
            self._hooks.error(ErrorNote(kind, message))

    def _look_for_laps(self) -> None:
        lapped = self._bot.page.word(BOT_LAPPED)
        if lapped != self._lapped and self._hooks is not None:
            times = lapped - self._lapped
            self._hooks.error(ErrorNote(hooks.LAPPED, f"the market went by unseen {times} times"))
        self._lapped = lapped

    def hung(self) -> str:
        """As above."""
        return self._bot.hung

    def give_up(self) -> None:
        """As above."""
        self._bot.abandon()

    def finish(self) -> list[str]:
        """As above."""
        notify(STOPPING)
        # Who set what ended the strategy waits for an answer.
        for one in self._offered:
            one.until_ns = 0
        self._tell_taken()
        self._look_for_laps()
        returned = sum(channel.returns for channel in self._bot.channels)
        found = [f"a daemon was lost and found again {returned} times"] if returned else []
        return super().finish() + found
