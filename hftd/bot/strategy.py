"""Strategies: found by name, given their parameters, compiled, and kept compiled.

A strategy is a function whose first argument is `hbt`. Its further arguments are parameters, filled by name from the
bot's configuration; one named `recorder` is given a recorder. If it is decorated with `@njit` it runs compiled and
without the GIL; a plain function works too.
"""

import difflib
import hashlib
import importlib
import importlib.util
import inspect
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np

from hftd.compiled.jit import cache_dir, caching_in, rarely_collected, source_hash, uninterrupted
from hftd.errors import StrategyError
from hftd.parameters.declared import as_parameter, check_range, ranges_of
from hftd.parameters.rewriting import Settable, settable
from hftd.parameters.shared import SharedParameters

if TYPE_CHECKING:
    from hftd.parameters.setting import Setting

_MAX_RECORDS = 1 << 22


class Strategy:
    """A strategy, ready to be called.

    Args:
        function: The function, compiled by `@njit` or plain.
        parameters: Values for its arguments by name.
        where: How to name it in errors.
        allow_set: Whether the parameters can be set while it runs.

    Attributes:
        ranges: By parameter the annotation that states its range.
        settable: What can be set; None without `allow_set`.
        shared: Where these stand; None if there are none.
    """

    def __init__(
        self,
        function: Callable[..., Any],
        parameters: dict[str, Any],
        where: str,
        *,
        allow_set: bool = False,
    ) -> None:
        self.where = where
        self.python_function: Callable[..., Any] = getattr(function, "py_func", function)
        self.is_compiled = hasattr(function, "py_func")
        self._options: dict[str, Any] = dict(getattr(function, "targetoptions", {}))
        self._arguments = _bind(self.python_function, parameters, where)
        self.wants_recorder = "recorder" in self._arguments
        self.ranges = ranges_of(self.python_function, where)
        for name in self.ranges.keys() & self._arguments.keys():
            check_range(name, self._arguments[name], self.ranges[name], where)
        self.settable: Settable | None = None
        self.shared: SharedParameters | None = None
        if allow_set:
            names = [name for name, value in self._arguments.items() if isinstance(value, bool | int | float)]
            self.settable = settable(self.python_function, names, where)
            if self.settable.names:
                self.python_function = self.settable.function
                self.shared = SharedParameters({name: self._arguments[name] for name in self.settable.names})
        self._dispatcher: Any = None
        self._code_of: Strategy | None = None

    @property
    def parameters(self) -> dict[str, Any]:
        """The values that it starts with."""
        return {name: value for name, value in self._arguments.items() if name != "recorder"}

    def setting(self, bot: str) -> "Setting":
        """What the main thread of a bot of that name tells and sets of the parameters."""
        from hftd.parameters.setting import Setting

        return Setting(bot, self.parameters, self.ranges, self.settable, self.shared)

    def arguments(self, hbt: Any, recorder: Any) -> tuple[Any, ...]:
        """The values for one call, in the function's order; arrays are copies: what one run writes no other finds."""
        values = {name: _own(value) for name, value in self._arguments.items()}
        if self.wants_recorder:
            values["recorder"] = recorder
        if self.shared is None:
            return (hbt, *values.values())
        return (hbt, *values.values(), self.shared.record(is_compiled=self.is_compiled))

    def compile(self, hbt: Any, recorder: Any) -> Callable[..., Any]:
        """The function to call with `arguments(hbt, recorder)`: compiled, or loaded from the cache, if it can be."""
        if not self.is_compiled:
            return self.python_function
        if self._code_of is not None:
            return self._code_of.compile(hbt, recorder)
        if self._dispatcher is not None:
            return self._dispatcher
        import numba

        typeof: Any = numba.typeof  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
        kinds: tuple[Any, ...] = tuple(typeof(value) for value in self.arguments(hbt, recorder))
        # All that its machine code is made from, helpers in other files included.
        kind = "strategies" if self.shared is None else "settable"
        folder = cache_dir() / f"{kind}-{source_hash(self.python_function.__module__)}"
        try:
            self._dispatcher = self._load(folder, kinds)
        except StrategyError:
            raise
        except Exception:
            # A cache that another version left behind or that is broken, whatever unpickling makes of it: compile
            # again. What is wrong with the strategy itself is raised then.
            shutil.rmtree(folder, ignore_errors=True)
            self._dispatcher = self._load(folder, kinds)
        return self._dispatcher

    def share_code_of(self, other: "Strategy") -> None:
        """Run the machine code of a strategy that differs in the values of its parameters alone.

        Args:
            other: It is compiled when the first of the two is; its parameters are of the same types.
        """
        self._code_of = other

    def prepare(self) -> None:
        """Compile it before there is an `hbt`, so that nobody waits for a bot that compiles.

        Raises:
            StrategyError: It can't be compiled.
        """
        if self.is_compiled:
            from hftd.hbt.hbt import Hbt
            from hftd.hbt.local import AssetSpec
            from hftd.hbt.recorder import RecorderMemory

            # Of these only the types count.
            self.compile(Hbt([AssetSpec(1.0, 1.0)]), RecorderMemory(1, 1) if self.wants_recorder else None)

    @property
    def was_cached(self) -> bool:
        """Whether `compile` found the machine code."""
        return self._dispatcher is not None and bool(self._dispatcher.stats.cache_hits)

    def _load(self, folder: Path, kinds: tuple[Any, ...]) -> Any:
        import numba
        from numba.core import errors

        options = {
            name: value
            for name, value in self._options.items()
            if name not in ("nopython", "nogil", "boundscheck")
        }
        with caching_in(folder):
            dispatcher = numba.njit(nogil=True, cache=True, **options)(self.python_function)
        try:
            with uninterrupted(), rarely_collected():
                dispatcher.compile(kinds)
        except (errors.NumbaError, errors.UnsupportedBytecodeError) as error:
            raise StrategyError(
                "it can't be compiled:\n" + _short(str(error)),
                where=self.where,
                hint="a strategy that can't be compiled may run as plain Python: leave @njit away",
            ) from None
        return dispatcher


def _own(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        copied: Any = value.copy()  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
        return copied
    return value


def _short(text: str) -> str:
    """Numba's message without its advice to report bugs."""
    lines = [line for line in text.splitlines() if line.strip()]
    return "\n".join(f"  {line}" for line in lines[:24])


def _bind(function: Callable[..., Any], parameters: dict[str, Any], where: str) -> dict[str, Any]:
    """The values of a strategy's arguments behind `hbt`, by name, in order."""
    arguments = list(inspect.signature(function).parameters.values())
    if not arguments:
        raise StrategyError("it takes no argument", where=where, hint="its first argument is hbt")
    names = [argument.name for argument in arguments[1:]]
    for name in parameters:
        if name not in names or name == "recorder":
            near = difflib.get_close_matches(name, names, 1)
            raise StrategyError(
                f"it has no parameter {name!r}",
                where=where,
                hint=f"did you mean {near[0]!r}?"
                if near
                else f"its parameters are: {', '.join(names) or 'none'}",
            )
    bound: dict[str, Any] = {}
    for argument in arguments[1:]:
        default = argument.default
        if argument.name == "recorder":
            bound["recorder"] = None
        elif argument.name in parameters:
            bound[argument.name] = as_parameter(parameters[argument.name], default, argument.name, where)
        elif default is not inspect.Parameter.empty:
            bound[argument.name] = default
        else:
            raise StrategyError(
                f"the parameter {argument.name!r} has no value",
                where=where,
                hint=f"add `{argument.name} = ...` to [parameters] of the bot's configuration",
            )
    return bound


def _import(name: str, base: Path, where: str) -> ModuleType:
    """Import a module by name, or from a file."""
    if name.endswith(".py") or "/" in name:
        path = Path(name) if Path(name).is_absolute() else base / name
        if not path.is_file():
            raise StrategyError(
                f"there is no file {path}", where=where, hint="paths are relative to the configuration"
            )
        path = path.resolve()
        own_name = _name_of_file(path)
        spec = importlib.util.spec_from_file_location(own_name, path)
        if spec is None or spec.loader is None:
            raise StrategyError(f"{path} is not a Python file", where=where)
        module = importlib.util.module_from_spec(spec)
        sys.modules[own_name] = module
        if str(path.parent) not in sys.path:
            sys.path.append(str(path.parent))
        load: Callable[[], Any] = lambda: spec.loader.exec_module(module)  # noqa: E731 # pyright: ignore[reportOptionalMemberAccess]
    else:
        for folder in (str(Path.cwd()), str(base)):
            if folder not in sys.path:
                sys.path.append(folder)
        load = lambda: importlib.import_module(name)  # noqa: E731
        module = None
    try:
        loaded = load()
    except ModuleNotFoundError as error:
        if error.name and name.startswith(error.name):
            hint = 'it is named "module:function" or "path/to/file.py:function"'
            package = error.name.rpartition(".")[0]
            # A package of that name elsewhere hides the folder that was meant.
            if found := list(getattr(sys.modules.get(package), "__path__", ())):
                hint = f'{package!r} is {found[0]}; a file elsewhere is named "path/to/file.py:function"'
            raise StrategyError(f"there is no module {error.name!r}", where=where, hint=hint) from None
        raise StrategyError(f"importing it failed: {error}", where=where) from error
    except SyntaxError as error:
        raise StrategyError(f"line {error.lineno}: {error.msg}", where=where) from None
    except Exception as error:
        raise StrategyError(f"importing it failed: {type(error).__name__}: {error}", where=where) from error
    return module or loaded


def _name_of_file(path: Path) -> str:
    """A module's name of its own, so that a file may be named like any module, and two files alike."""
    return f"hftd_strategy_{path.stem}_{hashlib.blake2b(bytes(path), digest_size=4).hexdigest()}"


def module_of(name: str, base: Path) -> str:
    """The module in which `load_named` finds a name of that base."""
    module = name.rpartition(":")[0]
    if module.endswith(".py") or "/" in module:
        return _name_of_file((base / module).resolve())
    return module


def load_named(name: str, base: Path, where: str, *, what: str = "function") -> Any:
    """Find what a configuration names in a module or a file.

    Args:
        name: `module:name` or `path/to/file.py:name`.
        base: The folder that paths are relative to, and where modules are looked for too.
        where: How to name it in errors.
        what: What is looked for, in errors.

    Raises:
        StrategyError: It can't be found or imported.
    """
    module_name, colon, own_name = name.rpartition(":")
    if not colon or not module_name or not own_name:
        raise StrategyError(
            f"the name has no {what}",
            where=where,
            hint='it is named "module:function" or "path/to/file.py:function"',
        )
    module = _import(module_name, base, where)
    found = getattr(module, own_name, None)
    if found is None:
        names = [key for key, value in vars(module).items() if callable(value) and not key.startswith("_")]
        near = difflib.get_close_matches(own_name, names, 1)
        raise StrategyError(
            f"{module_name} has no {what} {own_name!r}",
            where=where,
            hint=f"did you mean {near[0]!r}?" if near else "",
        )
    return found


def load_function(name: str, base: Path, where: str) -> Callable[..., Any]:
    """As `load_named`, of a function.

    Raises:
        StrategyError: It can't be found or imported, or is no function.
    """
    function = load_named(name, base, where)
    if not callable(function):
        raise StrategyError(f"it is {type(function).__name__}, but must be a function", where=where)
    return function


def load_strategy(name: str, parameters: dict[str, Any], base: Path, *, allow_set: bool = False) -> Strategy:
    """Find a strategy.

    Args:
        name: `module:function` or `path/to/file.py:function`.
        parameters: Values for its arguments.
        base: The folder that paths are relative to, and where modules are looked for too.
        allow_set: Whether the parameters can be set while it runs.

    Raises:
        StrategyError: It can't be found or imported, the parameters do not fit, or can't be set.
    """
    where = f"strategy {name}"
    return Strategy(load_function(name, base, where), parameters, where, allow_set=allow_set)
