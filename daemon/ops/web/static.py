"""The page that `hftd web` serves: one file with all in it, and the policy that lets a browser run nothing else."""

import base64
import gzip
import hashlib
from functools import cache
from importlib.resources import files

import jinja2
import msgspec


class Page(msgspec.Struct, frozen=True):
    """The page, ready to be sent.

    Attributes:
        body: HTML.
        packed: The same, by gzip.
        etag: Of this version.
        policy: The Content-Security-Policy.
    """

    body: bytes
    packed: bytes
    etag: str
    policy: str


@cache
def page() -> Page:
    """The page."""
    css, js = _text("page.css"), _text("page.js")
    # Nothing of a user's or an exchange's is in it: figures come later, and become text only.
    body = jinja2.Environment(autoescape=True).from_string(_text("page.html")).render(css=css, js=js).encode()
    policy = "; ".join(
        [
            "default-src 'none'",
            f"script-src '{_hash(js)}'",
            f"style-src '{_hash(css)}'",
            "connect-src 'self'",
            "img-src data:",
            "base-uri 'none'",
            "form-action 'none'",
            "frame-ancestors 'none'",
            "require-trusted-types-for 'script'",
            "trusted-types 'none'",
        ]
    )
    return Page(body, gzip.compress(body, mtime=0), f'"{hashlib.sha256(body).hexdigest()[:32]}"', policy)


def _hash(text: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"


def _text(name: str) -> str:
    return files("daemon.ops.web").joinpath("page", name).read_text(encoding="utf-8")
