"""Addresses in a configuration."""

from yarl import URL

from hftd.config import quoted


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
        raise ValueError(f"`{key}` is no URL: {quoted(text)}") from None
    if url.scheme not in schemes or not url.host or port is None:
        raise ValueError(f"`{key}` must begin with {wanted} and name a host, is {quoted(text)}")
    if url.scheme in ("ws", "http") and url.host not in ("localhost", "127.0.0.1", "::1"):
        raise ValueError(
            f"`{key}` must be encrypted ({schemes[0]}://) unless it is this machine, is {quoted(text)}"
        )
    if url.user or url.password:
        raise ValueError(f"`{key}` must not hold a user or password")
