"""`hftd strategies`: read from the sources, so that nothing of them is run and nothing is compiled."""

import ast
import importlib.util
import inspect
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click
import msgspec

from daemon.cli.options import json_option
from daemon.cli.show.output import put
from hftd.errors import UsageError

if TYPE_CHECKING:
    from sim.results.parts import Part

_EPILOG = """\b
Examples:
  hftd strategies                                    those that come with hftd
  hftd strategies strategies.grid_trading            one module
  hftd strategies my_strategies.fast --json          your own
  hftd strategies my_strategy.py

A strategy is a function whose first argument is hbt and whose other arguments
have defaults. Its docstring's first line says what it does, a paragraph that
begins with "Market:" what it needs, and "name (unit): meaning" below "Args:"
what its parameters are.
"""
_PARAMETER: Final = re.compile(r"    (\w+)(?: \((.+?)\))?: (.*)")


class Parameter(msgspec.Struct, frozen=True):
    """An argument of a strategy that `[parameters]` may set.

    Attributes:
        name: The argument's.
        default: A number, a boolean or a text; the expression where it is something else.
        unit: As the docstring has it; empty: it has none.
        text: What it means.
    """

    name: str
    default: Any
    unit: str = ""
    text: str = ""


class Listed(msgspec.Struct, frozen=True):
    """A strategy.

    Attributes:
        strategy: As a bot's configuration names it.
        text: What it does.
        market: What it needs.
        parameters: In the order of the signature.
    """

    strategy: str
    text: str
    market: str
    parameters: list[Parameter]


@click.command("strategies", epilog=_EPILOG)
@click.argument("where", default="strategies", metavar="[MODULE]")
@json_option
def command(where: str, as_json: bool) -> None:
    """List strategies, with the markets that they need and their parameters."""
    found = [one for name, path in _sources(where) for one in listed(name, _text(path), str(path))]
    if not found:
        raise UsageError(
            "there is no strategy in it",
            where=where,
            hint="a strategy is a function whose first argument is hbt and whose other arguments have defaults",
        )
    put(found, _parts(found), as_json=as_json)


def listed(name: str, source: str, where: str) -> Iterator[Listed]:
    """The strategies of one source, in its order.

    Args:
        name: The module, or the file, as a bot's configuration names it.
        source: Its text.
        where: How to name it in errors.

    Raises:
        UsageError: It is no Python.
    """
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError) as error:
        raise UsageError(f"this is no Python: {error}", where=where) from None
    for node in tree.body:
        if not isinstance(node, ast.FunctionDef) or node.name.startswith("_"):
            continue
        arguments = [*node.args.posonlyargs, *node.args.args]
        # The last arguments have the defaults.
        defaults = dict(zip([one.arg for one in arguments[::-1]], node.args.defaults[::-1], strict=False))
        names = [one.arg for one in arguments[1:] if one.arg != "recorder"]
        if not arguments or arguments[0].arg != "hbt" or not defaults.keys() >= set(names):
            continue
        doc = inspect.cleandoc(ast.get_docstring(node) or "")
        meanings = _meanings(doc)
        yield Listed(
            f"{name}:{node.name}",
            doc.partition("\n")[0],
            _paragraph(doc, "Market:"),
            [Parameter(one, _value(defaults[one]), *meanings.get(one, ())) for one in names],
        )


def _value(node: ast.expr) -> Any:
    try:
        value = ast.literal_eval(node)
    except ValueError:
        return ast.unparse(node)
    return value if isinstance(value, bool | int | float | str) else ast.unparse(node)


def _paragraph(doc: str, begin: str) -> str:
    for paragraph in doc.split("\n\n"):
        if paragraph.startswith(begin):
            return " ".join(paragraph.removeprefix(begin).split())
    return ""


def _meanings(doc: str) -> dict[str, tuple[str, str]]:
    """By parameter its unit and its meaning, from the section of the arguments."""
    found: dict[str, tuple[str, str]] = {}
    name = ""
    for line in doc.partition("\nArgs:\n")[2].splitlines():
        if line and not line.startswith("    "):
            break
        if match := _PARAMETER.fullmatch(line):
            name = match[1]
            found[name] = match[2] or "", match[3]
        elif name and line.strip():
            unit, text = found[name]
            found[name] = unit, f"{text} {line.strip()}"
    return found


def _sources(where: str) -> list[tuple[str, Path]]:
    """Modules or files, and where they are; of a package, all in its folder.

    Raises:
        UsageError: There is none of that name.
    """
    if where.endswith(".py"):
        return [(where, Path(where))]
    if (folder := str(Path.cwd())) not in sys.path:
        sys.path.append(folder)
    try:
        spec = importlib.util.find_spec(where)
    except Exception as error:
        # A package is imported to find what is in it, and may do anything.
        raise UsageError(f"it can't be found: {type(error).__name__}: {error}", where=where) from None
    if spec is not None and spec.submodule_search_locations:
        folders = map(Path, spec.submodule_search_locations)
        return [(f"{where}.{path.stem}", path) for folder in folders for path in sorted(folder.glob("*.py"))]
    if spec is None or spec.origin is None or not spec.origin.endswith(".py"):
        raise UsageError(
            "there is no such module", where=where, hint='write "my.module", a package, or "path/to/file.py"'
        )
    return [(where, Path(spec.origin))]


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"it can't be read: {error}", where=str(path)) from None


def _parts(found: list[Listed]) -> "Iterator[Part]":
    from sim.results.parts import Table, line

    for number, one in enumerate(found):
        if number:
            yield line("")
        yield line((one.strategy, "bold"), wraps=False)
        if one.text:
            yield line(one.text, indent=2)
        if one.market:
            yield line(("market: ", "dim"), one.market, indent=2)
        rows = [[f"  {each.name}", _shown(each.default), each.unit, each.text] for each in one.parameters]
        if rows:
            yield Table(("  parameter", "=default", "~unit", "~meaning"), rows, is_boxed=False)


def _shown(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:,}" if isinstance(value, int) else str(value)
