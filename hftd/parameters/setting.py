"""The parameters of a running bot, as its main thread looks after them: what is asked for is checked, offered, told."""

import difflib
import math
from typing import Any, Final

import msgspec

from hftd.control import status
from hftd.errors import RefusedError, StrategyError, UsageError, WrongBotError
from hftd.parameters.declared import ParameterChange, as_parameter, check_range, range_text
from hftd.parameters.rewriting import Settable
from hftd.parameters.shared import MAX_SETS, SharedParameters

_INT64: Final = 1 << 63
_KINDS: Final = ((bool, "true or false"), (int, "whole number"), (float, "number"), (str, "text"))


class Setting:
    """What can be set of a strategy, and what was.

    Args:
        bot: The bot's name.
        values: Of all parameters, as at the start.
        ranges: By parameter the annotation that states its range.
        settable: What can be set; None where the bot's configuration does not allow it.
        shared: Where it is set; None if nothing can be.
    """

    def __init__(
        self,
        bot: str,
        values: dict[str, Any],
        ranges: dict[str, Any],
        settable: Settable | None,
        shared: SharedParameters | None,
    ) -> None:
        self._bot = bot
        self._values = dict(values)
        self._ranges = ranges
        self._settable = settable
        self._shared = shared
        self._changes: list[ParameterChange] = []

    def set(self, asked: status.SetParameters, from_ns: int = 0) -> int:
        """Offer the values that are asked for to the strategy, all together. Returns the number of the change.

        Args:
            asked: The values, and who asks.
            from_ns: The time from which they hold, by the strategy's clock; not before the one of an earlier change.

        Raises:
            RefusedError: They are not allowed, or too many.
            UsageError: A name, a type or a value is wrong.
        """
        where = f"bot {self._bot}"
        if self._settable is None:
            raise WrongBotError(
                "its configuration does not allow that its parameters are set",
                where=where,
                hint="`allow_set = true` below [bot] does, from the next start on",
            )
        if len(self._changes) >= MAX_SETS:
            raise RefusedError(f"its parameters were set {MAX_SETS:,} times", where=where, hint="restart it")
        new = {name: self._checked(name, value, where) for name, value in asked.values.items()}
        whole = self._values | new
        if line := self._settable.refusing_line(whole):
            raise UsageError(
                f"the strategy's own check refuses these values together (line {line})", where=where
            )
        assert self._shared is not None
        before = {name: self._values[name] for name in new}
        number = self._shared.offer({name: whole[name] for name in self._settable.names}, from_ns)
        self._values = whole
        self._changes.append(ParameterChange(ns=-1, values=new, before=before, uid=asked.uid, pid=asked.pid))
        return number

    def _checked(self, name: str, value: Any, where: str) -> Any:
        assert self._settable is not None
        if name not in self._values:
            near = difflib.get_close_matches(name, self._values, 1)
            hint = f"did you mean {near[0]!r}?" if near else f"it has {', '.join(self._values) or 'none'}"
            raise UsageError(f"its strategy has no parameter {name!r}", where=where, hint=hint)
        if name not in self._settable.names:
            why = self._settable.fixed.get(name, "it is neither a number nor true or false")
            raise UsageError(
                f"the parameter {name!r} can't be set while the bot runs: {why}",
                where=where,
                hint="change its configuration, and restart it",
            )
        try:
            made = as_parameter(value, self._values[name], name, where)
            if name in self._ranges:
                check_range(name, made, self._ranges[name], where)
        except StrategyError as error:
            raise UsageError(error.what, where=where, hint=error.hint) from None
        if not (math.isfinite(made) if isinstance(made, float) else -_INT64 <= made < _INT64):
            raise UsageError(
                f"the parameter {name!r} is {made!r}, which is no number to trade by", where=where
            )
        return made

    def is_taken(self, number: int) -> bool:
        """Whether the strategy has taken over a change."""
        return self._shared is not None and self._shared.taken_ns(number) >= 0

    def changes(self) -> list[ParameterChange]:
        """All that were offered, with the times at which the strategy took them over."""
        if self._shared is None:
            return []
        return [
            msgspec.structs.replace(change, ns=self._shared.taken_ns(number))
            for number, change in enumerate(self._changes)
        ]

    def told(self, *, is_taken: bool = True) -> status.Parameters:
        """All parameters, as they are told to who asks.

        Args:
            is_taken: Whether the strategy has taken over what was just set.
        """
        changes = self.changes()
        found: list[status.Parameter] = []
        for name, value in self._values.items():
            last = next((change for change in reversed(changes) if name in change.values), None)
            found.append(
                status.Parameter(
                    name=name,
                    value=value if isinstance(value, bool | int | float | str) else str(value),
                    kind=next((words for kind, words in _KINDS if isinstance(value, kind)), "list"),
                    range=range_text(self._ranges.get(name)),
                    is_settable=self._settable is not None and name in self._settable.names,
                    why_fixed="" if self._settable is None else self._settable.fixed.get(name, ""),
                    since_ns=last.ns if last else -1,
                    uid=last.uid if last else -1,
                )
            )
        return status.Parameters(
            bot=self._bot,
            allows_set=self._settable is not None,
            is_taken=is_taken,
            parameters=found,
            changes=len(changes),
        )
