"""The checkers behind test_laws.py: each takes source text and returns what breaks the law, with its line."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("hftd", "daemon", "sim", "strategies")
STRATEGY_IMPORTS = {"hftd", "numba", "numpy", "math", "strategies"}

_CLOCK_MODULES = {"time", "timeit"}
_CLOCK_METHODS = {"now", "utcnow", "today"}
_SEEDED = {"default_rng", "RandomState", "SeedSequence", "PCG64", "Random", "Generator", "seed"}
# Put together here, so that this file does not break the law that it checks.
_HOSTS = ("py" + "pi.org", "python" + "hosted.org", "conda" + ".anaconda", "index" + "-url")


def sources(package: str) -> list[Path]:
    """The Python files of a package."""
    return sorted((ROOT / package).rglob("*.py"))


def imports(source: str) -> Iterator[tuple[int, str]]:
    """(line, module) of each import, wherever it stands; relative ones as they are written."""
    for node in ast.walk(ast.parse(source)):
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
    for node in ast.walk(ast.parse(source)):
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
    "running_ns": ("daemon/connector/", "daemon/venues/", "sim/exchange/clock.py"),
    # Stamps of what is seen and sent.
    "stamp_ns": ("hftd/bot/", "daemon/venues/"),
    "LOCAL_LAG": ("hftd/bot/local_time.py",),
    # What may be set: only to tell it, to compare it with the others, or with the times of files.
    "system_ns": ("hftd/bot/local_time.py",),
    "wall_ns": (
        "daemon/cli/connector.py",
        "daemon/connector/bots.py",
        "daemon/connector/clock_watch.py",
        "daemon/venues/binancefutures/session.py",
        "sim/exchange/local.py",
        "sim/prepared/known.py",
    ),
    # Blocks its thread: nowhere in what has an event loop.
    "sleep": ("hftd/bot/", "hftd/channel/control.py", "daemon/cli/", "sim/prepared/"),
}
"""By name, the folders and files that may use a clock of `hftd.clock`, whose table says what each is for."""


def clocks_misused(source: str, path: str) -> list[str]:
    """Clocks of `hftd.clock` that a file must not use.

    Args:
        source: The file's text.
        path: Its path below the root, with slashes.
    """
    found = []
    for node in ast.walk(ast.parse(source)):
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
    tree = ast.parse(source)
    names = _aliases(tree)
    found = []
    for node in ast.walk(tree):
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


def prints(source: str) -> list[str]:
    """Calls of print, and writes to the process's own streams."""
    found = []
    for node in ast.walk(ast.parse(source)):
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


def _aliases(tree: ast.Module) -> dict[str, str]:
    """What each imported name stands for."""
    names = {}
    for node in ast.walk(tree):
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
