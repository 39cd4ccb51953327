"""The checkers behind test_laws_facts.py: what stands once. Each takes source text and returns what breaks the law."""

import ast
import re
from collections.abc import Iterator

from hftd import rows
from hftd.compiled import row_access

ROWS_HOME = {"hftd/rows.py"}
"""Where the facts of a row stand."""

OFFSETS = {
    name: value
    for name, value in vars(rows).items()
    if name in {field.upper() for field, _ in rows.FIELDS} or name == "ROW_BYTES"
}
KINDS = {name: value for name, value in vars(rows).items() if isinstance(value, int) and 100 <= value < 256}
_LIMITS = {
    rows.TICK_MAX: "the largest tick",
    rows.QTY_MAX: "the largest quantity",
    rows.TS_MAX: "the largest time",
}
_LOADS = re.compile(r"(load|store)_[iuf][0-9]+$")
# Functions that take a row as their first argument, or the first two of them.
_ROW_READERS = {name for name in vars(row_access) if name.endswith("_of") or name.startswith("set_")}
_ROW_COPIERS = {"copy_row", "move_row"}
# Names under which offsets have stood: `_EXCH_TS`, `ROW_PX`, `_EVENT_LOCAL`, `_ID_AT` ...
_OFFSET_NAME = re.compile(
    r"_?(ROW_|EVENT_)?(EV|EXCH_TS|LOCAL_TS|PX|QTY|ORDER_ID|IVAL|FVAL)(_AT|_OFFSET)?"
    r"|_?(ROW|EVENT)_(EXCH|LOCAL)|_?(EXCH|LOCAL|ID|NUMBER)(_AT|_OFFSET)"
)
_SIZE_NAME = re.compile(r"_?(ROW|EVENT)(_BYTES|_SIZE)?")


def rows_facts_again(source: str) -> list[str]:
    """Facts of the row of market data that stand once more: offsets, its size, limits, kinds, or `row + 24`."""
    tree = ast.parse(source)
    found = [*_constants_again(tree)]
    # Most files have nothing to look for, and walking through all of them takes seconds.
    if re.search(r"53|62|e300|[0-9]{16}", source):
        found += _limits_again(tree)
    if re.search(r"\b(load|store)_[iuf][0-9]", source):
        found += _offsets_added(tree)
    return [f"line {line}: {what}" for line, what in sorted(found)]


def _constants_again(tree: ast.Module) -> Iterator[tuple[int, str]]:
    for node in tree.body:
        for name, value in _assigned(node):
            number = _number(value)
            if _is_of_row_dtype(value):
                yield node.lineno, f"{name} is {ast.unparse(value)}"
            elif number is None:
                continue
            elif name in KINDS and number in KINDS.values():
                yield node.lineno, f"{name} is a kind of user events"
            elif _SIZE_NAME.fullmatch(name) and number == rows.ROW_BYTES:
                yield node.lineno, f"{name} is the size of a row"
            elif _OFFSET_NAME.fullmatch(name) and number in OFFSETS.values():
                yield node.lineno, f"{name} is an offset in a row"


def _assigned(node: ast.stmt) -> Iterator[tuple[str, ast.expr]]:
    """(name, value) of each constant that a statement of a module defines; tuples name by name."""
    if isinstance(node, ast.AnnAssign) and node.value is not None:
        targets, value = [node.target], node.value
    elif isinstance(node, ast.Assign):
        targets, value = node.targets, node.value
    else:
        return
    for target in targets:
        if isinstance(target, ast.Name):
            yield target.id, value
        elif isinstance(target, ast.Tuple) and isinstance(value, ast.Tuple):
            pairs = zip(target.elts, value.elts, strict=False)
            yield from ((one.id, part) for one, part in pairs if isinstance(one, ast.Name))


def _number(node: ast.expr) -> float | None:
    """The value of an expression of numbers alone; None for any other."""
    if isinstance(node, ast.Call) and ast.unparse(node.func) in ("float", "int") and len(node.args) == 1:
        return _number(node.args[0])
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        inner = _number(node.operand)
        return None if inner is None else -inner
    if isinstance(node, ast.Constant):
        value = node.value
        return value if isinstance(value, int | float) and not isinstance(value, bool) else None
    if not isinstance(node, ast.BinOp):
        return None
    left, right = _number(node.left), _number(node.right)
    if left is None or right is None:
        return None
    if isinstance(node.op, ast.LShift) and isinstance(left, int) and isinstance(right, int):
        return left << right if 0 <= right < 256 else None
    if isinstance(node.op, ast.Pow):
        return left**right if 0 <= right < 256 and abs(left) < 1000 else None
    if isinstance(node.op, ast.Sub):
        return left - right
    return None


def _is_of_row_dtype(node: ast.expr) -> bool:
    text = ast.unparse(node)
    return text == "event_dtype.itemsize" or text.startswith(
        ("offset_of(event_dtype,", "event_dtype.fields[")
    )


def _limits_again(tree: ast.Module) -> Iterator[tuple[int, str]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.BinOp | ast.Constant):
            number = _number(node)
            if number is not None and abs(number) in _LIMITS:
                yield node.lineno, f"{ast.unparse(node)} is {_LIMITS[abs(number)]}"


def _offsets_added(tree: ast.Module) -> Iterator[tuple[int, str]]:
    for function in ast.walk(tree):
        if not isinstance(function, ast.FunctionDef):
            continue
        names = set(_rows_of(function))
        for node in ast.walk(function):
            if not isinstance(node, ast.Call) or not node.args or not _LOADS.match(_last_name(node.func)):
                continue
            address = node.args[0]
            if not isinstance(address, ast.BinOp) or not isinstance(address.op, ast.Add):
                continue
            is_offset = _number(address.right) in OFFSETS.values()
            if is_offset and (ast.unparse(address.left) in names or _is_strided(address.left)):
                yield node.lineno, f"{ast.unparse(address)} is a field of a row"


def _last_name(node: ast.expr) -> str:
    if isinstance(node, ast.Attribute):
        return node.attr
    return node.id if isinstance(node, ast.Name) else ""


def _rows_of(function: ast.FunctionDef) -> Iterator[str]:
    """Names that are addresses of rows in a function: made with `ROW_BYTES`, or read as rows."""
    for node in ast.walk(function):
        if isinstance(node, ast.Call):
            name = _last_name(node.func)
            size = 1 if name in _ROW_READERS else 2 if name in _ROW_COPIERS else 0
            yield from (ast.unparse(argument) for argument in node.args[:size])
        elif isinstance(node, ast.Assign) and len(node.targets) == 1 and _is_strided(node.value):
            yield ast.unparse(node.targets[0])
        elif isinstance(node, ast.AugAssign) and ast.unparse(node.value) == "ROW_BYTES":
            yield ast.unparse(node.target)
        elif isinstance(node, ast.For) and _is_strided(node.iter):
            yield ast.unparse(node.target)


def _is_strided(node: ast.expr) -> bool:
    """Whether an address or a range of addresses goes from row to row."""
    if isinstance(node, ast.Call):
        return (
            ast.unparse(node.func) == "range"
            and len(node.args) == 3
            and ast.unparse(node.args[2]) == "ROW_BYTES"
        )
    if not isinstance(node, ast.BinOp):
        return False
    if isinstance(node.op, ast.Mult):
        return "ROW_BYTES" in (ast.unparse(node.left), ast.unparse(node.right))
    return isinstance(node.op, ast.Add) and (_is_strided(node.left) or _is_strided(node.right))
