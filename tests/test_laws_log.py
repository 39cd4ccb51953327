"""What is logged has a key that a program can go by, and one table and one page have all keys."""

import ast
import re
from pathlib import Path

import pytest

from daemon.log_events import SENTENCES, named, sentence
from tests.laws import PACKAGES, ROOT, sources

LEVELS = {"debug", "info", "warning", "error", "exception", "critical"}
MAKERS = {"get_logger", "LazyLogger"}
OWN_LINE = "log_lines_dropped"
"""No call of a logger: the writer of the log says it of itself, by its key in `daemon/cli/logs.py`."""


def _last(node: ast.expr) -> str:
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""


def log_calls(source: str) -> list[tuple[int, list[str], set[str]]]:
    """(line, keys, fields) of each call of a logger; no key where it is no literal, two where one of two is taken."""
    found: list[tuple[int, list[str], set[str]]] = []
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.Call):
            continue
        # A logger's method may be handed on with what it is to be called with: `steps.callback(_log.info, "key")`.
        handed_on = [
            number
            for number, one in enumerate(node.args)
            if isinstance(one, ast.Attribute) and _last(one.value) == "_log"
        ]
        at = handed_on[0] if handed_on else -1
        called = node.args[at] if handed_on else node.func
        if not isinstance(called, ast.Attribute):
            continue
        arguments = node.args[at + 1 :]
        to, method = called.value, called.attr
        is_made = isinstance(to, ast.Call) and _last(to.func) in MAKERS
        if not (is_made or _last(to) in ("_log", "log", "logger")) or method not in LEVELS | {"log"}:
            continue
        given = arguments[1 if method == "log" else 0]
        either = [given.body, given.orelse] if isinstance(given, ast.IfExp) else [given]
        keys = [one.value for one in either if isinstance(one, ast.Constant) and isinstance(one.value, str)]
        fields = {one.arg for one in node.keywords if one.arg is not None}
        found.append((node.lineno, keys if len(keys) == len(either) else [], fields))
    return found


def wrong_calls(source: str) -> list[str]:
    """Calls of a logger that name no key of the table or lack a field of its sentence, and loggers under odd names."""
    found: list[str] = []
    for line, keys, fields in log_calls(source):
        if not keys:
            found.append(f"line {line}: its key is no literal")
        for key in keys:
            if key not in SENTENCES:
                found.append(f"line {line}: {key!r} is not in daemon/log_events.py")
            elif lacking := named(SENTENCES[key]) - fields:
                found.append(f"line {line}: {key} needs the fields {', '.join(sorted(lacking))}")
    for node in ast.walk(ast.parse(source)):
        if (
            isinstance(node, ast.Assign)
            and isinstance(node.value, ast.Call)
            and _last(node.value.func) in MAKERS
        ):
            found += [
                f"line {node.lineno}: a logger is named _log" for to in node.targets if _last(to) != "_log"
            ]
    return found


def files() -> list[Path]:
    """All of the product."""
    return [path for package in PACKAGES for path in sources(package)]


def test_each_log_call_names_a_key_of_the_table_and_has_the_fields_of_its_sentence():
    found = {str(path.relative_to(ROOT)): wrong_calls(path.read_text()) for path in files()}
    assert {path: wrong for path, wrong in found.items() if wrong} == {}


def test_each_key_of_the_table_is_used_and_is_in_snake_case():
    used = {key for path in files() for _, keys, _ in log_calls(path.read_text()) for key in keys}
    assert OWN_LINE in (ROOT / "daemon/cli/logs.py").read_text()
    assert sorted(set(SENTENCES) - used) == [OWN_LINE]
    assert [key for key in SENTENCES if not re.fullmatch(r"[a-z][a-z0-9]*(_[a-z0-9]+)*", key)] == []


def test_the_page_lists_what_the_table_has():
    _, _, page = (ROOT / "docs/live.md").read_text().partition("\n### Log events\n")
    section = re.split(r"^##", page, flags=re.MULTILINE)[0]
    rows = re.findall(r"^\| `(\w+)` \| (.+) \|$", section, flags=re.MULTILINE)
    assert rows == list(SENTENCES.items())


@pytest.mark.parametrize(
    "call",
    [
        '_log.warning("a sentence as it comes")',
        '_log.info(f"{name}_attached")',
        "self._log.error(what)",
        '_log.log(30, "no_such_key")',
        '_log.warning("bot_lease_lost", bot=name)',
        '_log.info("bot_attached" if there else "no_such_key", bot=1, pid=2, channel=3)',
        'structlog.get_logger("x").error("no_such_key")',
        'logs = structlog.get_logger("hftd")',
        'steps.callback(_log.info, "lease ended", bot=bot)',
    ],
)
def test_a_call_without_a_key_of_the_table_is_found(call):
    assert len(wrong_calls(call)) == 1


@pytest.mark.parametrize(
    "call",
    [
        '_log.warning("bot_lease_lost", bot=name, reason=why, more=1)',
        '_log.log(20, "refusals_not_logged", count=3)',
        'steps.callback(_log.error, "bot_lease_lost", bot=name, reason=why)',
        '_log = structlog.get_logger("hftd")',
        "math.log(x)",
    ],
)
def test_a_call_with_a_key_of_the_table_is_left_alone(call):
    assert wrong_calls(call) == []


class Unshowable:
    def __str__(self) -> str:
        raise RuntimeError("it has no words")


def test_a_sentence_never_raises_and_is_one_line():
    assert sentence("no_such_key", {"bot": "a"}) == ""
    assert sentence(7, {}) == sentence(None, {}) == sentence(["a"], {}) == ""
    template = "bot {bot} (process {pid}) attached to {channel}"
    assert SENTENCES["bot_attached"] == template
    assert sentence("bot_attached", {}) == template
    fields = {"bot": "a\nb\x1b[31m", "pid": Unshowable(), "channel": "c" * 1000}
    assert sentence("bot_attached", fields) == (
        rf"bot a\nb\x1b[31m (process {{pid}}) attached to {'c' * 300}..."
    )
