"""The checkers behind test_laws.py: each takes source text and returns what breaks the law, with its line."""

import ast
import re
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("hftd", "daemon", "sim", "strategies")
STRATEGY_IMPORTS = {"hftd", "numba", "numpy", "typing", "math", "strategies"}

_CLOCK_MODULES = {"time", "timeit"}
_CLOCK_METHODS = {"now", "utcnow", "today"}
_SEEDED = {"default_rng", "RandomState", "SeedSequence", "PCG64", "Random", "Generator", "seed"}
# Put together here, so that this file does not break the law that it checks.
_HOSTS = ("py" + "pi.org", "python" + "hosted.org", "conda" + ".anaconda", "index" + "-url")


def sources(package: str) -> list[Path]:
    """The Python files of a package."""
    return sorted((ROOT / package).rglob("*.py"))


@lru_cache(maxsize=4000)
def _nodes(source: str) -> list[ast.AST]:
    """All nodes of a source. Each law looks at the same files."""
    return list(ast.walk(ast.parse(source)))


def imports(source: str) -> Iterator[tuple[int, str]]:
    """(line, module) of each import, wherever it stands; relative ones as they are written."""
    for node in _nodes(source):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.lineno, "." * node.level + (node.module or "")
        elif isinstance(node, ast.Call) and _dotted(node.func) in ("importlib.import_module", "__import__"):
            if node.args and isinstance(node.args[0], ast.Constant):
                yield node.lineno, str(node.args[0].value)


def foreign_imports(source: str, forbidden: set[str]) -> list[str]:
    """Imports of packages that this one must not know."""
    found = imports(source)
    return [f"line {line}: imports {name}" for line, name in found if name.split(".")[0] in forbidden]


def imports_beyond(source: str, allowed: set[str]) -> list[str]:
    """Imports of anything but these; relative ones stay inside."""
    found = ((line, name) for line, name in imports(source) if not name.startswith("."))
    return [f"line {line}: imports {name}" for line, name in found if name.split(".")[0] not in allowed]


def clock_reads(source: str) -> list[str]:
    """Every way to read a clock or to sleep in this thread."""
    found = []
    for line, name in imports(source):
        if name.split(".")[0] in _CLOCK_MODULES:
            found.append(f"line {line}: imports {name}")
    for node in _nodes(source):
        if isinstance(node, ast.Call):
            name = _dotted(node.func)
            owner, _, method = name.rpartition(".")
            last_owner = owner.rpartition(".")[2]
            if method in _CLOCK_METHODS and last_owner in ("datetime", "date", "Timestamp"):
                found.append(f"line {node.lineno}: {name}()")
            if method == "time" and ("loop" in last_owner or owner.endswith("()")):
                found.append(f"line {node.lineno}: {name}()")
            if method == "datetime64" and node.args and _is_text(node.args[0], "now", "today"):
                found.append(f"line {node.lineno}: {name} of now")
        elif isinstance(node, ast.Constant) and node.value in ("clock_gettime", "gettimeofday", "rdtsc"):
            found.append(f"line {node.lineno}: {node.value}")
    return found


CLOCK_USERS = {
    # Durations and deadlines: anybody's.
    "monotonic_ns": ("",),
    "steady_ns": ("hftd/channel/", "sim/replay/"),
    # The same where a machine that slept counts.
    "boot_ns": ("hftd/bot/", "daemon/connector/"),
    "lasting_ns": ("hftd/bot/local_time.py",),
    # What order management lives by, and what is compared with the exchange's time once the offset is added.
    "running_ns": (
        # Says when local exchanges begin, by their clock.
        "daemon/cli/run/live_stack.py",
        "daemon/collector/",
        "daemon/connector/",
        "daemon/session/",
        "daemon/venues/",
        "sim/exchange/rules/clock.py",
    ),
    # Stamps of what is seen and sent.
    "stamp_ns": ("hftd/bot/", "daemon/session/", "daemon/collector/"),
    "LOCAL_LAG": ("hftd/bot/local_time.py",),
    # What may be set: only to tell it, to compare it with the others, or with the times of files.
    "system_ns": ("hftd/bot/local_time.py",),
    "wall_ns": (
        "daemon/cli/commands/alert.py",
        "daemon/cli/commands/collect.py",
        "daemon/cli/commands/connector.py",
        "daemon/connector/bots/bots.py",
        "daemon/connector/watch/clock_watch.py",
        "daemon/session/trading/session.py",
        "hftd/control/recent.py",
        "sim/exchange/servers/server.py",
        "sim/feed/known.py",
    ),
    # Blocks its thread: nowhere in what has an event loop.
    "sleep": ("hftd/bot/", "hftd/control/protocol.py", "daemon/cli/", "sim/feed/"),
}
"""By name, the folders and files that may use a clock of `hftd.clock`, whose table says what each is for."""


def clocks_misused(source: str, path: str) -> list[str]:
    """Clocks of `hftd.clock` that a file must not use.

    Args:
        source: The file's text.
        path: Its path below the root, with slashes.
    """
    found = []
    for node in _nodes(source):
        if isinstance(node, ast.ImportFrom) and node.module == "hftd.clock":
            for alias in node.names:
                if not path.startswith(CLOCK_USERS.get(alias.name, ())):
                    found.append(f"line {node.lineno}: uses {alias.name}")
        elif isinstance(node, ast.Import) and any(alias.name == "hftd.clock" for alias in node.names):
            found.append(f"line {node.lineno}: imports all clocks")
        elif isinstance(node, ast.ImportFrom) and node.module == "hftd":
            if any(alias.name == "clock" for alias in node.names):
                found.append(f"line {node.lineno}: imports all clocks")
    return found


def unseeded_randomness(source: str) -> list[str]:
    """Generators without a seed, and the module-wide generators of random and numpy."""
    names = _aliases(source)
    found = []
    for node in _nodes(source):
        if not isinstance(node, ast.Call):
            continue
        head, _, rest = _dotted(node.func).partition(".")
        if head not in names:
            continue
        name = f"{names[head]}.{rest}".rstrip(".")
        owner, _, method = name.rpartition(".")
        if owner not in ("random", "numpy.random") or (method in _SEEDED and _has_seed(node)):
            continue
        found.append(f"line {node.lineno}: {name} without a seed")
    return found


_PAUSES = {
    *("sleep", "pause", "wait", "_wait", "wait_for", "receive", "recv", "recvmsg", "accept", "get"),
    *("read", "readline", "readexactly", "poll", "select", "join"),
}


def pauseless_loops(source: str) -> list[str]:
    """Loops in which something that fails at once is tried again at once: they never yield.

    Looked at is each `while` that awaits something, and each one with an exception handler that goes on. There must be
    no way from its beginning to its beginning without a pause, taking it that whatever may fail fails before it has
    waited. What an `await` awaits is a pause only if its name says so: a request may be refused without having waited
    for anything. Those of `for` end by themselves.

    Returns:
        "line N: name" with the name of the function, of each one that breaks the law.
    """
    found = []
    for function in _nodes(source):
        if not isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        is_async = isinstance(function, ast.AsyncFunctionDef)
        for loop in _own(function):
            if not isinstance(loop, ast.While):
                continue
            inside = [loop.test, *(one for statement in loop.body for one in (statement, *_own(statement)))]
            is_looked_at = any(
                isinstance(one, ast.Await | ast.AsyncWith | ast.AsyncFor)
                or (isinstance(one, ast.ExceptHandler) and any(_ways(one.body, False, is_async)))
                for one in inside
            )
            ends = _ways(loop.body, _pauses(loop.test, is_async), is_async)
            if is_looked_at and False in ends[0] | ends[1]:
                found.append(f"line {loop.lineno}: {function.name}")
    return found


def _own(node: ast.AST) -> Iterator[ast.AST]:
    """What is in a node, without what is in functions in it."""
    for child in ast.iter_child_nodes(node):
        if not isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda | ast.ClassDef):
            yield child
            yield from _own(child)


def _pauses(node: ast.AST, is_async: bool) -> bool:
    """Whether evaluating this waits for something."""
    for one in (node, *_own(node)):
        call = one.value if isinstance(one, ast.Await) else None if is_async else one
        if isinstance(call, ast.Call) and _dotted(call.func).rpartition(".")[2] in _PAUSES:
            given = call.args[:1]
            if not (given and isinstance(given[0], ast.Constant) and given[0].value in (0, None)):
                return True
    return False


def _ways(body: list[ast.stmt], paused: bool, is_async: bool) -> tuple[set[bool], set[bool]]:
    """Whether there was a pause on the ways through statements: to their end, and to a `continue`."""
    states, continued = {paused}, set[bool]()
    for statement in body:
        found = [_way(statement, state, is_async) for state in states]
        states = set[bool]().union(*(one[0] for one in found))
        continued = continued.union(*(one[1] for one in found))
    return states, continued


def _way(node: ast.stmt, paused: bool, is_async: bool) -> tuple[set[bool], set[bool]]:
    match node:
        case ast.Return() | ast.Raise() | ast.Break():
            return set(), set()
        case ast.Continue():
            return set(), {paused}
        case ast.If():
            paused = paused or _pauses(node.test, is_async)
            return _either([node.body, node.orelse], paused, is_async)
        case ast.Match():
            return _either([[], *(case.body for case in node.cases)], paused, is_async)
        case ast.With() | ast.AsyncWith():
            through = _ways(node.body, paused, is_async)
            if any("suppress" in ast.dump(one) and "TimeoutError" not in ast.dump(one) for one in node.items):
                return through[0] | {paused}, through[1]
            return through
        case ast.Try():
            if any(_pauses(one, is_async) for one in node.finalbody):
                paused = True
            tried = _either([[*node.body, *node.orelse]], paused, is_async)
            caught = _either([handler.body for handler in node.handlers], paused, is_async)
            return tried[0] | caught[0], tried[1] | caught[1]
        case ast.While() | ast.For() | ast.AsyncFor():
            # It may not run at all; and it is looked at by itself.
            return {paused}, set()
        case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
            return {paused}, set()
        case _:
            return {paused or _pauses(node, is_async)}, set()


def _either(bodies: list[list[ast.stmt]], paused: bool, is_async: bool) -> tuple[set[bool], set[bool]]:
    found = [_ways(body, paused, is_async) for body in bodies]
    return set[bool]().union(*(one[0] for one in found)), set[bool]().union(*(one[1] for one in found))


def prints(source: str) -> list[str]:
    """Calls of print, and writes to the process's own streams."""
    found = []
    for node in _nodes(source):
        if isinstance(node, ast.Call) and _dotted(node.func) in ("print", "pprint", "pprint.pprint"):
            found.append(f"line {node.lineno}: {_dotted(node.func)}")
        elif isinstance(node, ast.Attribute) and _dotted(node) in ("sys.stdout", "sys.stderr"):
            found.append(f"line {node.lineno}: {_dotted(node)}")
    return found


def machine_paths(text: str, own: list[str]) -> list[str]:
    """Paths of a home or of this checkout, and names of package hosts.

    Args:
        text: Any tracked file's text.
        own: Folders of this machine that no file may name.
    """
    found = []
    for number, line in enumerate(text.splitlines(), 1):
        if home := re.search(r"(?<![\w.])/(?:home|Users)/[a-z]\w*|(?<![\w.])/root/", line):
            found.append(f"line {number}: {home[0]}")
        named = (folder for folder in own if re.search(re.escape(folder) + r"(?![\w-])", line))
        found += [f"line {number}: {folder}" for folder in named]
        found += [f"line {number}: {host}" for host in _HOSTS if host in line]
    return found


def folders_without_init(root: Path) -> list[str]:
    """Folders below `root`, and itself, that hold Python files but no __init__.py."""
    folders = {path.parent for path in root.rglob("*.py")}
    bare = [folder for folder in folders if not (folder / "__init__.py").exists()]
    return sorted(str(folder.relative_to(root.parent)) for folder in bare)


def _dotted(node: ast.AST) -> str:
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        return f"{_dotted(node.value)}.{node.attr}"
    if isinstance(node, ast.Call):
        return f"{_dotted(node.func)}()"
    return ""


def _aliases(source: str) -> dict[str, str]:
    """What each imported name stands for."""
    names = {}
    for node in _nodes(source):
        if isinstance(node, ast.Import):
            for alias in node.names:
                first = alias.name.split(".")[0]
                names[alias.asname or first] = alias.name if alias.asname else first
        elif isinstance(node, ast.ImportFrom):
            for alias in node.names:
                names[alias.asname or alias.name] = f"{node.module}.{alias.name}"
    return names


def _is_text(node: ast.expr, *values: str) -> bool:
    return isinstance(node, ast.Constant) and node.value in values


def _has_seed(call: ast.Call) -> bool:
    given = [*call.args, *(keyword.value for keyword in call.keywords)]
    return bool(given) and not (isinstance(given[0], ast.Constant) and given[0].value is None)
