"""A connector's configuration: what all venues have in common, and how a file with secrets is read.

A venue adds its own keys by a subclass of `ConnectorConfig` (see docs/new-exchange.md).
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, ClassVar, TypeVar

import msgspec

from daemon.connector.secrets import PARTS, Secret, find_secrets, listed, variable_of
from daemon.orders.ids.client_ids import PREFIX
from daemon.orders.journal import ROTATE_BYTES, ROTATE_ORDERS
from daemon.orders.limits import AccountLimits, BotLimits
from hftd.config import Section, check_unique, load, quoted
from hftd.errors import ConfigError

Positive = Annotated[float, msgspec.Meta(gt=0)]


class ConnectorConfig(Section, frozen=True):
    """What every connector has. The keys are flat, the tables optional.

    Attributes:
        symbols: Followed from the start; others when a bot asks for them.
        order_prefix: Client order ids begin with it: 1 to 8 of A-Z, a-z, 0-9, '_', '-'.
        api_key: The account's key; better given by the environment or as a credential, see `daemon.connector.secrets`.
        secret: Its secret: of HMAC, or an Ed25519 private key in PEM.
        limits: Of the account.
        bots: Of single bots, by name.
        journal: The file of requests and executions; relative to the configuration. Empty: the state folder.
        journal_rotate_mb: Beyond so many MB a new file of the journal is begun.
        journal_rotate_orders: Or after so many orders were closed.
        spin: Keep polling sockets and doorbells instead of sleeping: it takes a whole processor, and answers sooner.
        stale_after_s: A feed that is silent for so long is taken for dead.
        first_message_s: A subscription without a first message within this is made again.
        reconcile_every_s: How often open orders, fills and positions are compared with the exchange's.
    """

    parts: ClassVar[tuple[str, ...]] = ("api_key", "secret")
    """What the exchange's credentials consist of, in words of `daemon.connector.secrets.PARTS`; each is a key of the
    configuration as well. The first one tells accounts apart."""
    elsewhere: ClassVar[Mapping[str, str]] = {}
    """Keys that other exchanges' configurations have, and what is in their place here."""

    symbols: tuple[str, ...] = ()
    order_prefix: str = "hftd"
    api_key: str = ""
    secret: str = ""
    limits: AccountLimits = AccountLimits()
    bots: dict[str, BotLimits] = {}  # noqa: RUF012 - msgspec copies it
    journal: str = ""
    journal_rotate_mb: Positive = ROTATE_BYTES / (1 << 20)
    journal_rotate_orders: Annotated[int, msgspec.Meta(ge=1)] = ROTATE_ORDERS
    spin: bool = False
    stale_after_s: Positive = 10.0
    first_message_s: Positive = 10.0
    reconcile_every_s: Positive = 60.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if not PREFIX.fullmatch(self.order_prefix):
            raise ValueError(
                f"`order_prefix` must be 1 to 8 of A-Z, a-z, 0-9, '_' and '-', is {quoted(self.order_prefix)}"
            )
        if not all(symbol.strip() for symbol in self.symbols):
            raise ValueError("`symbols` must not have empty names")
        check_unique("`symbols`:", [symbol.upper() for symbol in self.symbols])

    def __repr__(self) -> str:
        shown = (
            f"{key}={'***' if key in PARTS else repr(getattr(self, key))}" for key in self.__struct_fields__
        )
        return f"{type(self).__name__}({', '.join(shown)})"

    def __rich_repr__(self) -> Any:
        for key in self.__struct_fields__:
            yield key, "***" if key in PARTS else getattr(self, key)


_Config = TypeVar("_Config", bound=ConnectorConfig)


class Credentials:
    """The parts of an account's credentials; none if market data is all that is wanted.

    Args:
        parts: By name, in the order in which the configuration declares them.
    """

    def __init__(self, **parts: Secret) -> None:
        self._parts = parts

    def __repr__(self) -> str:
        return f"Credentials({', '.join(self._parts)})"

    def reveal(self, part: str) -> str:
        """A part's text."""
        return self._parts[part].reveal()

    @property
    def account(self) -> str:
        """The text that tells accounts apart; empty without credentials."""
        return next((one.reveal() for one in self._parts.values()), "")

    @property
    def are_there(self) -> bool:
        """Whether orders can be sent."""
        return bool(self._parts) and all(self._parts.values())


def load_connector(
    path: Path,
    type: type[_Config],  # noqa: A002 - as msgspec calls it
    connector: str,
    environ: Mapping[str, str] = os.environ,
) -> tuple[_Config, Credentials]:
    """Read a connector's configuration and find its secrets.

    Args:
        path: The file.
        type: The venue's configuration.
        connector: The venue's name, which a systemd credential may have.
        environ: The environment.

    Returns:
        The configuration without its secrets, and the secrets.

    Raises:
        ConfigError: The file is wrong, or it holds a secret and others may read it, or one part of the credentials is
            missing and another one is there.
    """
    parts = type.parts
    try:
        config = load(path, type)
    except ConfigError as error:
        raise _without_secrets(_explained(error, type.elsewhere)) from None
    for key in PARTS:
        if key not in parts and getattr(config, key, ""):
            raise ConfigError(
                f"`{key}` is not used by this exchange, whose credentials are {listed(parts)}",
                where=str(path),
            )
    secrets = find_secrets({key: getattr(config, key) for key in parts}, path, connector, environ)
    lacking = [key for key, secret in secrets.items() if not secret]
    if lacking and len(lacking) < len(parts):
        there = listed(key for key in parts if key not in lacking)
        hints = (f"{key} ({PARTS[key]}) as {variable_of(key)} or in the file" for key in lacking)
        raise ConfigError(
            f"of {listed(parts)} there is {there}, but no {listed(lacking)}",
            where=str(path),
            hint=f"to trade give {listed(hints)}; for market data alone give none of them",
        )
    return msgspec.structs.replace(config, **dict.fromkeys(parts, "")), Credentials(**secrets)


def _explained(error: ConfigError, elsewhere: Mapping[str, str]) -> ConfigError:
    """The error with what is in the place of another exchange's key: the nearest name may be that of something else."""
    for key, instead in elsewhere.items():
        if f"unknown key '{key}'" in error.what:
            return ConfigError(error.what, where=error.where, hint=instead)
    return error


def _without_secrets(error: ConfigError) -> ConfigError:
    """The error without lines or values of the file that might be a secret."""
    what, hint = error.what, error.hint
    if hint.startswith("the line is: "):
        hint = "the line is not shown: it may hold a secret"
    for key in PARTS:
        if f"`{key}`" in what:
            what = f"`{key}` must be a string"
    return ConfigError(what, where=error.where, hint=hint)
