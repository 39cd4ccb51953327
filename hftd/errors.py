"""The errors that users meet, as one tree.

::

    HftdError                       exit code 1
    ├── UsageError                  exit code 2: something that the user gave is wrong
    │   ├── ConfigError             a configuration file: unknown key, wrong type, missing value
    │   ├── DataError               an archive, a capture or a latency file: missing, broken, out of order
    │   ├── StrategyError           a strategy that can't be found, loaded or called
    │   └── OrderError              an asset or instrument that can't be traded as it is described
    ├── ChannelError                exit code 3: a channel that can't be reached or that broke
    │   ├── NoSuchChannelError
    │   ├── ProtocolError           the other side speaks another version, or nonsense
    │   └── RefusedError            the daemon refused the bot, with its reason
    │       └── WrongBotError       exit code 2: its name, an instrument or a step is not what it must be
    └── LeaseLostError              exit code 4: the daemon died or took the lease away

Each says what happened, where, and what to do about it. Inside compiled code there are no exceptions, but the
codes of :mod:`hftd.types`.
"""

__all__ = [
    "ChannelError",
    "ConfigError",
    "DataError",
    "HftdError",
    "LeaseLostError",
    "NoSuchChannelError",
    "OrderError",
    "ProtocolError",
    "RefusedError",
    "StrategyError",
    "UsageError",
    "WrongBotError",
]


CURE = "`hftd validate FILE --fix OUT.npz`"
"""The command that writes a copy without the rows that a run refuses; named in errors of data."""


class HftdError(Exception):
    """The root: what went wrong, where, and what to do.

    Args:
        what: One sentence on what is wrong, with the offending value.
        where: A file, a row, a configuration key, a channel; empty if it is plain.
        hint: What the user can do about it; empty if there is nothing.
    """

    exit_code = 1

    def __init__(self, what: str, *, where: str = "", hint: str = "") -> None:
        super().__init__(what)
        self.what = what
        self.where = where
        self.hint = hint

    def __str__(self) -> str:
        text = f"{self.where}: {self.what}" if self.where else self.what
        return f"{text}\n  {self.hint}" if self.hint else text


class UsageError(HftdError):
    """Something that the user gave is wrong."""

    exit_code = 2


class ConfigError(UsageError):
    """A configuration file has an unknown key, a wrong type or lacks a value."""


class DataError(UsageError):
    """A data file is missing, broken, of the wrong kind or out of order."""


class StrategyError(UsageError):
    """A strategy can't be found, loaded or called."""


class OrderError(UsageError):
    """An asset or instrument can't be traded as it is described."""


class ChannelError(HftdError):
    """A channel can't be reached, or it broke."""

    exit_code = 3


class NoSuchChannelError(ChannelError, UsageError):
    """No daemon listens under that name."""

    exit_code = 2


class ProtocolError(ChannelError):
    """The other side speaks another protocol version, or nonsense."""


class RefusedError(ChannelError):
    """The daemon refused the bot, with its reason."""


class WrongBotError(RefusedError, UsageError):
    """The daemon refused the bot since what it was given is wrong: its name, an instrument or a step of one."""

    exit_code = 2


class LeaseLostError(HftdError):
    """The daemon died, or took the bot's lease away."""

    exit_code = 4
