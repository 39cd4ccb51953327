"""The checkers behind test_laws_shape.py: circles between rooms, and names that nothing uses."""

import ast
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from pathlib import PurePosixPath

Imports = Mapping[str, set[str]]
"""By room, the rooms that it imports."""


def module_of(path: PurePosixPath) -> str:
    """The dotted name of a file, from the root."""
    return ".".join(path.with_suffix("").parts).removesuffix(".__init__")


def room_of(path: PurePosixPath) -> str:
    """The folder of a file. The files at the root of a package are a room each: its public names and its ground."""
    return str(path if len(path.parts) == 2 else path.parent)


def imported(source: str) -> set[str]:
    """Modules and names that a source imports when it runs, wherever the import stands."""
    found: set[str] = set()
    waiting: list[ast.AST] = [ast.parse(source)]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test):
            waiting += node.orelse
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
        elif not isinstance(node, ast.expr):
            waiting += ast.iter_child_nodes(node)
    return found


def rooms(sources: Mapping[PurePosixPath, str]) -> Imports:
    """Which room imports which other one, from the texts of all files by their paths."""
    homes = {module_of(path): room_of(path) for path in sources}
    found: dict[str, set[str]] = defaultdict(set)
    for path, source in sources.items():
        here = room_of(path)
        names = imported(source)
        # `from a import b` where `a.b` is a module imports that module, not what stands in `a`.
        names -= {name.rpartition(".")[0] for name in names if name in homes}
        found[here] |= {homes[name] for name in names if name in homes} - {here}
    return found


def circles(graph: Imports) -> list[list[str]]:
    """Rooms that import each other, directly or through others: the strongly connected ones, sorted."""

    def reach(start: str) -> set[str]:
        seen: set[str] = set()
        waiting = [start]
        while waiting:
            for after in graph.get(waiting.pop(), ()):
                if after not in seen:
                    seen.add(after)
                    waiting.append(after)
        return seen

    reached = {room: reach(room) for room in graph}
    groups = {
        tuple(sorted(other for other in reached[room] if room in reached.get(other, ())))
        for room in graph
        if room in reached[room]
    }
    return sorted(list(group) for group in groups)


# Called by a library under these names.
_CALLED_BY_NAME = re.compile(
    r"__\w+__|_repr_html_|list_commands|get_command|format_commands|generic_resolve|on_start|on_end"
    r"|compose|on_mount|on_resize|action_\w+"
)
_REGISTERED = re.compile(
    r"overload|attribute|method|lower|box|typeof|property|setter|option|command|intrinsic|njit|kernel"
)


def defined(source: str) -> list[tuple[int, str]]:
    """(line, name) of functions, methods, classes and constants; not of what a decorator hands to a library."""
    tree = ast.parse(source)
    found: list[tuple[int, str]] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            if not any(_REGISTERED.search(ast.unparse(one)) for one in node.decorator_list):
                found.append((node.lineno, node.name))
    for node in tree.body:
        targets = (
            node.targets
            if isinstance(node, ast.Assign)
            else [node.target]
            if isinstance(node, ast.AnnAssign)
            else []
        )
        found += [(node.lineno, one.id) for one in targets if isinstance(one, ast.Name)]
    return [(line, name) for line, name in found if not _CALLED_BY_NAME.fullmatch(name)]


def unused(sources: Mapping[PurePosixPath, str], others: Iterable[str]) -> list[str]:
    """Names that stand once only in all sources, where they are defined, and in none of the other texts."""
    words: Counter[str] = Counter()
    for text in sources.values():
        words.update(re.findall(r"\w+", text))
    elsewhere = {word for text in others for word in re.findall(r"\w+", text)}
    return [
        f"{path}:{line}: {name}"
        for path, source in sources.items()
        for line, name in defined(source)
        if words[name] == 1 and name not in elsewhere
    ]
