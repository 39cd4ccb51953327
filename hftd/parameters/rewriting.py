"""A strategy whose parameters can be set while it runs: the same function, which reads them from memory.

A strategy is a function that does not return, and its parameters are arguments, so the values stand in registers or on
the stack of a thread that nobody may touch. What is compiled is therefore made from the function's source with two
changes: each read of a parameter is a load from a record, and at the top of the loop in which the strategy waits the
record takes over what was set since. One turn of that loop is a step; within it all reads see the same whole set.

What the strategy makes of a parameter before that loop (the size of a window) would not follow, so a parameter that
is read there is fixed, but for the checks at the beginning (`if not order_qty > 0.0: return`): these are kept, and hold
for what is set too.
"""

import __future__

import ast
import builtins
import inspect
import textwrap
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from types import CodeType, ModuleType
from typing import Any, Final, cast

from hftd.errors import StrategyError

RECORD: Final = "hftd_parameters"
"""The argument that the function has behind its own."""
TAKE: Final = "_take_parameters"
"""The method of `hbt` that takes over what was set."""
_WAITS: Final = frozenset(("elapse", "elapse_bt", "wait_next_feed", "wait_order_response", "goto_end"))
_FLAGS: Final = sum({getattr(__future__, name).compiler_flag for name in __future__.all_feature_names})


@dataclass(frozen=True)
class Settable:
    """A function that reads its parameters from a record.

    Attributes:
        function: It takes the record as its last argument.
        names: Of the parameters that can be set.
        fixed: By the name of each other one why it can't be.
    """

    function: Callable[..., Any]
    names: tuple[str, ...]
    fixed: dict[str, str]
    _checks: tuple[tuple[int, CodeType], ...]

    def refusing_line(self, values: Mapping[str, Any]) -> int:
        """The line of the strategy's own check that would end it with these values of all parameters; 0 if none."""
        for line, code in self._checks:
            if eval(code, self.function.__globals__, dict(values)):  # noqa: S307 (a line of the strategy)
                return line
        return 0


def settable(function: Callable[..., Any], names: list[str], where: str) -> Settable:
    """Make of a strategy one whose parameters can be set.

    Args:
        function: As it was written, not compiled.
        names: Parameters whose values are numbers or booleans.
        where: How to name it in errors.

    Raises:
        StrategyError: That can't be done with it.
    """
    node = _definition(function, where)
    hbt = (*node.args.posonlyargs, *node.args.args)[0].arg
    loop = _last_loop(node, hbt)
    if loop is None:
        raise StrategyError(
            "its parameters can't be set while it runs: it has no loop that waits",
            where=where,
            hint=f"a loop of its own must call {hbt}.elapse or another wait; else take `allow_set` out of [bot]",
        )
    bound, before, after = _uses(node, loop)
    fixed: dict[str, str] = {}
    checks: list[tuple[int, CodeType]] = []
    for name in names:
        if line := bound.get(name):
            fixed[name] = f"line {line} assigns to it"
        elif line := before.get(name):
            fixed[name] = (
                f"line {line} reads it before the strategy's loop: it takes effect at the start only"
            )
        elif name not in after:
            fixed[name] = "the strategy's loop does not read it"
    for term in (term for test in _checks(node, loop) for term in _terms(test)):
        used = {one.id for one in ast.walk(term) if isinstance(one, ast.Name)}
        if used.isdisjoint(names):
            continue
        if _is_plain(term, used - set(names), function.__globals__):
            checks.append((term.lineno, compile(ast.Expression(term), "<check>", "eval")))
        else:
            for name in used.intersection(names):
                fixed.setdefault(
                    name, f"line {term.lineno} checks it against what is known at the start only"
                )
    free = tuple(name for name in names if name not in fixed)
    made = _compiled(function, _rewritten(node, loop, hbt, free))
    return Settable(made, free, fixed, tuple(checks))


def _definition(function: Callable[..., Any], where: str) -> ast.FunctionDef:
    """The function's definition, with the lines of its file."""
    what = "its parameters can't be set while it runs: "
    code: CodeType | None = getattr(function, "__code__", None)
    if code is None or code.co_freevars:
        raise StrategyError(
            f"{what}it is made inside another function", where=where, hint="define it in a module"
        )
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(function)))
    except (OSError, SyntaxError, TypeError):
        raise StrategyError(f"{what}its source can't be read", where=where) from None
    node = tree.body[0]
    if not isinstance(node, ast.FunctionDef):
        raise StrategyError(f"{what}it is not a plain `def`", where=where)
    if node.args.vararg or node.args.kwarg or node.args.kwonlyargs:
        raise StrategyError(f"{what}it has arguments of another kind than plain ones", where=where)
    ast.increment_lineno(node, code.co_firstlineno - 1)
    return node


def _last_loop(node: ast.FunctionDef, hbt: str) -> "ast.While | ast.For | None":
    """The last one of the outermost loops in which the function waits."""

    def waits(inside: ast.AST) -> bool:
        return any(
            isinstance(one, ast.Attribute)
            and one.attr in _WAITS
            and isinstance(one.value, ast.Name)
            and one.value.id == hbt
            for one in ast.walk(inside)
        )

    def outermost(inside: ast.AST) -> "Iterator[ast.While | ast.For]":
        for one in ast.iter_child_nodes(inside):
            if isinstance(one, ast.FunctionDef | ast.Lambda):
                continue
            if isinstance(one, ast.While | ast.For) and waits(one):
                yield one
            else:
                yield from outermost(one)

    return next(iter(reversed(list(outermost(node)))), None)


def _uses(
    node: ast.FunctionDef, loop: "ast.While | ast.For"
) -> tuple[dict[str, int], dict[str, int], set[str]]:
    """The names that are bound, and those that are read before the loop, with lines; and those read from it on."""
    inside = {id(one) for one in ast.walk(loop)}
    if isinstance(loop, ast.For):
        # What a `for` goes over is made before its first turn.
        inside -= {id(one) for one in ast.walk(loop.iter)}
    checked = {id(one) for test in _checks(node, loop) for one in ast.walk(test)}
    bound: dict[str, int] = {}
    before: dict[str, int] = {}
    after: set[str] = set()
    for one in (one for statement in node.body for one in ast.walk(statement)):
        if isinstance(one, ast.arg):
            bound.setdefault(one.arg, one.lineno)
        elif not isinstance(one, ast.Name):
            continue
        elif not isinstance(one.ctx, ast.Load):
            bound.setdefault(one.id, one.lineno)
        elif id(one) in inside or one.lineno > (loop.end_lineno or 0):
            after.add(one.id)
        elif id(one) not in checked:
            before.setdefault(one.id, one.lineno)
    return bound, before, after


def _checks(node: ast.FunctionDef, loop: ast.stmt) -> Iterator[ast.expr]:
    """The conditions of each `if ...: return` before the loop."""
    for statement in node.body:
        if statement.lineno >= loop.lineno:
            return
        if isinstance(statement, ast.If) and not statement.orelse and len(statement.body) == 1:
            end = statement.body[0]
            if isinstance(end, ast.Return) and (end.value is None or isinstance(end.value, ast.Constant)):
                yield statement.test


def _terms(test: ast.expr) -> Iterator[ast.expr]:
    """Conditions each of which makes the whole true."""
    if isinstance(test, ast.BoolOp) and isinstance(test.op, ast.Or):
        for one in test.values:
            yield from _terms(one)
    elif (
        isinstance(test, ast.UnaryOp)
        and isinstance(test.op, ast.Not)
        and isinstance(test.operand, ast.BoolOp)
        and isinstance(test.operand.op, ast.And)
    ):
        for one in test.operand.values:
            yield from _terms(ast.copy_location(ast.UnaryOp(ast.Not(), one), one))
    else:
        yield test


def _is_plain(term: ast.expr, others: set[str], scope: Mapping[str, Any]) -> bool:
    """Whether a condition may be looked at by the main thread: of parameters, constants and what modules have."""
    for name in others:
        value = scope.get(name, getattr(builtins, name, None))
        if not isinstance(value, bool | int | float | ModuleType) and value not in vars(builtins).values():
            return False
    return not any(
        isinstance(one, ast.NamedExpr | ast.Lambda | ast.Await | ast.Yield) for one in ast.walk(term)
    )


def _load(value: Any, names: tuple[str, ...]) -> Any:
    """A parameter's name becomes a field of the record."""
    if not (isinstance(value, ast.Name) and value.id in names):
        return value
    record = ast.copy_location(ast.Name(RECORD, ast.Load()), value)
    return ast.copy_location(ast.Attribute(record, value.id, ast.Load()), value)


def _rewritten(
    node: ast.FunctionDef, loop: "ast.While | ast.For", hbt: str, names: tuple[str, ...]
) -> ast.FunctionDef:
    call = ast.Expr(ast.Call(ast.Attribute(ast.Name(hbt, ast.Load()), TAKE, ast.Load()), [], []))
    ast.copy_location(call, loop.body[0])
    loop.body.insert(0, call)
    # All are given by place; what stands in defaults and annotations has been looked at.
    node.decorator_list, node.args.defaults, node.returns = [], [], None
    for argument in (*node.args.posonlyargs, *node.args.args):
        argument.annotation = None
    for one in [one for statement in node.body for one in ast.walk(statement)]:
        for field, value in ast.iter_fields(one):
            if isinstance(value, list):
                parts = cast(list[Any], value)
                parts[:] = [_load(each, names) for each in parts]
            else:
                setattr(one, field, _load(value, names))
    node.args.args.append(ast.arg(RECORD))
    return ast.fix_missing_locations(node)


def _compiled(function: Callable[..., Any], node: ast.FunctionDef) -> Callable[..., Any]:
    code: CodeType = function.__code__
    module = compile(
        ast.Module([node], []), code.co_filename, "exec", flags=code.co_flags & _FLAGS, dont_inherit=True
    )
    scope: dict[str, Any] = {}
    exec(module, function.__globals__, scope)  # noqa: S102 (the strategy itself)
    made: Callable[..., Any] = scope[node.name]
    made.__module__, made.__qualname__ = function.__module__, function.__qualname__
    return made
