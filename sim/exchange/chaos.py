"""Bad luck out of a seed.

Each kind of mishap has its own numbers, so that one more of this kind does not change when the next of that kind
comes.
"""

import random
from typing import Final

from sim.exchange.chaos_config import ChaosSection

_MS: Final = 1_000_000


class Chaos:
    """Says when the exchange misbehaves, and how.

    Args:
        settings: How often; may be replaced while it runs.
    """

    def __init__(self, settings: ChaosSection) -> None:
        self.settings = settings
        self.counters: dict[str, int] = {}
        self._random: dict[str, random.Random] = {}
        self._due_ms: dict[str, int] = {}

    def set(self, settings: ChaosSection) -> None:
        """Other settings, from now on."""
        if settings.seed != self.settings.seed:
            self._random.clear()
        self._due_ms.clear()
        self.settings = settings

    def of(self, name: str) -> random.Random:
        """The numbers of a kind of mishap."""
        found = self._random.get(name)
        if found is None:
            found = self._random[name] = random.Random(f"{self.settings.seed}/{name}")  # noqa: S311 - it must repeat
        return found

    def strikes(self, name: str) -> bool:
        """Whether a mishap of a kind (the name of its share) happens now; counted."""
        share: float = getattr(self.settings, name)
        if share <= 0.0 or self.of(name).random() >= share:
            return False
        self.count(name)
        return True

    def count(self, name: str) -> None:
        """A mishap happened."""
        self.counters[name] = self.counters.get(name, 0) + 1

    def half(self, name: str) -> bool:
        """One of two cases."""
        return self.of(f"{name}/half").random() < 0.5

    def late_ns(self, name: str) -> int:
        """How much later something comes, when it comes late; 0 if it does not."""
        if not self.strikes(name):
            return 0
        return int(self.of(f"{name}/ns").random() * self.settings.late_ms * _MS)

    def is_due(self, name: str, now_ms: int) -> bool:
        """Whether something that comes now and then (the name of its mean in seconds) comes now."""
        mean_s: float = getattr(self.settings, name)
        if mean_s <= 0.0:
            self._due_ms.pop(name, None)
            return False
        due_ms = self._due_ms.get(name)
        if due_ms is not None and now_ms < due_ms:
            return False
        self._due_ms[name] = now_ms + max(int(self.next_s(name) * 1000), 1)
        # The first look only says when.
        return due_ms is not None

    def next_s(self, name: str) -> float:
        """Until the next mishap of a kind that comes now and then (the name of its mean in seconds); 0: never."""
        mean_s: float = getattr(self.settings, name)
        return self.of(name).expovariate(1.0 / mean_s) if mean_s > 0.0 else 0.0
