"""Addresses in a configuration."""

from collections.abc import Callable, Mapping
from typing import Final

from yarl import URL

from hftd.config import quoted

LOOPBACK: Final = ("localhost", "127.0.0.1", "::1")


def check_url(key: str, text: str, schemes: tuple[str, ...]) -> None:
    """See that a configuration's text is an address: encrypted unless it is this machine, and without a password.

    Args:
        key: In the configuration.
        text: What it says.
        schemes: That are possible, the encrypted one first.

    Raises:
        ValueError: It is not.
    """
    wanted = " or ".join(f"{scheme}://" for scheme in schemes)
    try:
        url = URL(text)
        port = url.port
    except ValueError:
        raise ValueError(f"`{key}` is not a URL: {quoted(text)}") from None
    if url.scheme not in schemes or not url.host or port is None:
        raise ValueError(f"`{key}` must begin with {wanted} and name a host, is {quoted(text)}")
    if url.scheme in ("ws", "http") and url.host not in LOOPBACK:
        raise ValueError(
            f"`{key}` must be encrypted ({schemes[0]}://) unless it is this machine, is {quoted(text)}"
        )
    if url.user or url.password:
        raise ValueError(f"`{key}` must not hold a user or password")


def check_environment(urls: Mapping[str, str], kind_of: Callable[[str], str]) -> None:
    """See that addresses are of one environment: orders by the prices of another one would lose money.

    Args:
        urls: By key of the configuration; empty ones are left out.
        kind_of: Which environment a host is of, such as "testnet"; empty if that can't be told by its name.

    Raises:
        ValueError: They are not.
    """
    hosts = {key: URL(text).host or "" for key, text in urls.items() if text}
    kinds = {key: "this machine" if host in LOOPBACK else kind_of(host) for key, host in hosts.items()}
    known = [(key, kind) for key, kind in kinds.items() if kind]
    for key, kind in known[1:]:
        first, other = known[0]
        if kind != other:
            raise ValueError(
                f"`{first}` and `{key}` must be of one environment: the one is of {other} ({hosts[first]}), the other "
                f"of {kind} ({hosts[key]})"
            )
