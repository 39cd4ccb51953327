"""Who may read the page's figures: on loopback whoever is on this machine, elsewhere whoever has the token.

A page of somebody else's in a browser of this machine can make that browser ask here. It must not be able to read the
answer, so the name by which this server was asked (Host) and the page that asked (Origin, Sec-Fetch-Site) are checked.
"""

import ipaddress
from collections.abc import Mapping
from hmac import compare_digest
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from multidict import CIMultiDictProxy

from daemon.connector.secrets import Secret, check_only_owner_reads
from hftd.errors import ConfigError

TOKEN_MIN, TOKEN_MAX = 16, 1024
"""So many characters a token has."""
_SCHEME: Final = "Bearer "


def read_token(path: Path) -> Secret:
    """The token in a file that only its owner may read.

    Raises:
        ConfigError: The file is missing, others may read it, or what it holds is too short or not one line of ASCII.
    """
    check_only_owner_reads(path, "this file holds a token", ())
    try:
        with path.open("rb") as file:
            text = file.read(TOKEN_MAX + 2).decode("ascii").strip()
    except (OSError, UnicodeDecodeError):
        text = ""
    if not (TOKEN_MIN <= len(text) <= TOKEN_MAX and text.isprintable() and " " not in text):
        raise ConfigError(
            f"a token is one line of {TOKEN_MIN} to {TOKEN_MAX:,} letters, digits and signs",
            where=str(path),
            hint=f"make one: (umask 077; openssl rand -hex 32 > {path})",
        )
    return Secret(text)


def check_listen(host: str, token: Secret | None) -> None:
    """Refuse to serve other machines without a token.

    Raises:
        ConfigError: It would.
    """
    if token is None and not ipaddress.ip_address(host).is_loopback:
        raise ConfigError(
            f"{host} can be reached from other machines, and everybody who reaches it could read your positions",
            where="--listen",
            hint="give --token-file PATH, or listen on 127.0.0.1 and come by ssh -L 8080:127.0.0.1:8080",
        )


def why_refused(headers: CIMultiDictProxy[str], *, is_loopback: bool) -> str:
    """Why a request is not answered, by its headers; empty if it is.

    Args:
        headers: The request's.
        is_loopback: Whether the server listens on loopback: then it has no other name than this machine's own.
    """
    hosts, origins = headers.getall("Host", []), headers.getall("Origin", [])
    if len(hosts) != 1 or len(origins) > 1:
        return "one Host header, and one Origin at most"
    host = hosts[0]
    if is_loopback and not _is_this_machine(host):
        return "this server listens on loopback, and has no other name than localhost"
    if origins and origins[0] not in (f"http://{host}", f"https://{host}"):
        return "pages of other sites may not read this"
    if headers.get("Sec-Fetch-Site", "none") in ("cross-site", "same-site") and (
        headers.get("Sec-Fetch-Mode") != "navigate"
    ):
        return "pages of other sites may not read this"
    return ""


def has_token(headers: Mapping[str, str], token: Secret) -> bool:
    """Whether a request brings the token; it takes the same time however much of it is right."""
    given = headers.get("Authorization", "")
    if not given.startswith(_SCHEME):
        return False
    brought = given[len(_SCHEME) :].encode("utf-8", "surrogateescape")
    return compare_digest(brought, token.reveal().encode())


def _is_this_machine(host: str) -> bool:
    try:
        name = urlsplit(f"//{host}").hostname or ""
        return name == "localhost" or ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False
