"""`hftd alert` as it runs: asks the daemons, finds what is to be said, and hands it to the targets."""

import shutil
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import structlog

from daemon.ops.alerts.config import Addresses, AlertConfig
from daemon.ops.alerts.delivery import CLOSE_S, Heartbeat, Send, Target
from daemon.ops.alerts.keeping import Kept, StateFile
from daemon.ops.alerts.rules import Round, Rules
from daemon.ops.alerts.states import Notice, States
from daemon.ops.metrics import Ask
from hftd.clock import monotonic_ns
from hftd.config import resolve
from hftd.control.notify import ALIVE, READY, STOPPING, how, notify

STALE_S: Final = 30.0
"""A look that has not come to an end for so long, beyond its turn, is no watching: the heartbeat stops."""

_log = structlog.get_logger("hftd.alert")


class Watching:
    """Watches until it is told to stop.

    Args:
        config: What is an alert.
        addresses: Where the heartbeat goes.
        ask: Asks the daemons; it may take seconds.
        sends: What sends to each target, by name.
        base: The configuration's folder.
        host: This machine's name.
        seed: Of all jitter.
        file: Where what was told is kept.
        ahead_ns: How far the wall clock is ahead of the monotonic one.

    Attributes:
        targets: Where alerts go.
        failures: Looks that failed.
    """

    def __init__(
        self,
        config: AlertConfig,
        addresses: Addresses,
        ask: Ask,
        sends: Mapping[str, Send],
        *,
        base: Path,
        host: str,
        seed: int,
        file: StateFile,
        ahead_ns: int,
    ) -> None:
        self._config = config
        self._ask = ask
        self._folders = {name: resolve(base, name) for name in config.watch.folders}
        self._rules = Rules(config)
        self._states = States(config)
        self._file = file
        self._ahead_ns = ahead_ns
        self._looked_ns = monotonic_ns()
        self.failures = 0
        self.targets = [
            Target(name, config.targets[name].severity, send, host=host, seed=seed + number)
            for number, (name, send) in enumerate(sends.items())
        ]
        kept = file.read()
        self._rules.restore(kept.daemons)
        self._states.restore(kept.states, ahead_ns, self._looked_ns)
        for target in self.targets:
            target.put(kept.waiting.get(target.name, ()))
        section, url = config.heartbeat, addresses.heartbeat
        self.heartbeat: Heartbeat | None = None
        if section is not None and url is not None:
            self.heartbeat = Heartbeat(url, section.every_s, self.is_well)

    def is_well(self) -> bool:
        """Whether daemons are watched, and one target at least takes alerts."""
        late_ns = monotonic_ns() - self._looked_ns
        is_watching = late_ns < (self._config.watch.every_s + STALE_S) * 1e9
        return is_watching and any(not target.trouble() for target in self.targets)

    def look(self) -> Sequence[Notice]:
        """Look once, and have said what is to be said."""
        daemons, silent = self._ask()
        now_ns = monotonic_ns()
        undelivered = {target.name: why for target in self.targets if (why := target.trouble())}
        if self.heartbeat is not None and (why := self.heartbeat.trouble()):
            undelivered["heartbeat"] = why
        free: dict[str, int] = {}
        for name, folder in self._folders.items():
            try:
                free[name] = shutil.disk_usage(folder).free
            except OSError:
                free[name] = 0
        found = Round(
            now_ns=now_ns,
            daemons=daemons,
            silent=silent,
            free=free,
            undelivered=undelivered,
            unkept=self._file.why,
        )
        notices = self._states.look(*self._rules.find(found), now_ns)
        for target in self.targets:
            target.put(notices)
        self._keep()
        for one in notices:
            _log.log(
                20 if one.is_over else 30,
                "alert_over" if one.is_over else "alert",
                rule=one.rule,
                severity=one.severity,
                daemon=one.daemon or "this machine",
                subject=one.subject,
                text=one.text,
                lasted_s=round(one.lasted_s, 1),
            )
        self._looked_ns = now_ns
        return notices

    def _keep(self) -> None:
        waiting = {target.name: left for target in self.targets if (left := target.waiting())}
        states = self._states.kept(self._ahead_ns)
        self._file.write(Kept(states=states, daemons=self._rules.kept(), waiting=waiting))

    def run(self, is_stopped: threading.Event) -> None:
        """Look again and again; after a look that failed the next one comes in its time."""
        notify(READY)
        try:
            while True:
                try:
                    self.look()
                except Exception as error:
                    self.failures += 1
                    _log.warning("alert_look_failed", error=repr(error))
                else:
                    notify(ALIVE, how(self._line()))
                if is_stopped.wait(self._config.watch.every_s):
                    return
        finally:
            notify(STOPPING)
            self.close()

    def _line(self) -> str:
        troubles = [f"{target.name}: {why}" for target in self.targets if (why := target.trouble())]
        return f"watching; NOT DELIVERED: {'; '.join(troubles)}" if troubles else "watching"

    def close(self) -> None:
        """Send what waits, in limited time; a target that is stuck is left behind."""
        if self.heartbeat is not None:
            self.heartbeat.close()
        for target in self.targets:
            target.end()
        deadline_ns = monotonic_ns() + int(CLOSE_S * 1e9)
        for target in self.targets:
            target.join(deadline_ns)
        self._keep()
