"""What a configuration's checker says, in the user's words.

msgspec reports a mistake as text such as ``Object contains unknown field `x` - at `$.bot` ``. `explain` finds
the line of that place in the file and the keys or values that would have been right.
"""

import difflib
import re
from pathlib import Path
from typing import Any, cast

import msgspec.inspect as inspect

from hftd.errors import ConfigError

type_ = type
_Path = tuple[str | int, ...]
_HEADER = re.compile(r"\s*(\[\[?)\s*([^\[\]#]+?)\s*\]\]?\s*(#.*)?$")
_KEY = re.compile(r"\s*([A-Za-z0-9_.-]+|\"[^\"]*\"|'[^']*')\s*=")
_AT = re.compile(r"^(.*?)(?: - at `\$(.*)`)?$", re.DOTALL)
_STEP = re.compile(r"\.([^.\[\]]+)|\[(\d+|\.\.\.)\]")
_WORDS = {
    "int": "an integer",
    "float": "a number",
    "str": "a string",
    "bool": "true or false",
    "array": "a list",
    "object": "a table",
}


def explain(message: str, *, path: Path, text: str, data: dict[str, Any], type: type_[Any]) -> ConfigError:  # noqa: A002
    """A `ConfigError` for one of msgspec's messages on `data`, which is `text` of the file `path` parsed."""
    what, place = _split(message)
    key_path, rule, hint = _translate(what, place, data, inspect.type_info(type))
    line = _line_of(key_path, text)
    return ConfigError(rule, where=f"{path}:{line}" if line else str(path), hint=hint)


def _split(message: str) -> tuple[str, _Path]:
    found = _AT.match(message)
    assert found is not None
    steps = _STEP.findall(found[2] or "")
    place = tuple(int(index) if index.isdigit() else (name or index) for name, index in steps)
    return found[1], place


def _translate(what: str, place: _Path, data: Any, root: inspect.Type) -> tuple[_Path, str, str]:
    """The path of the key that is wrong, a sentence, and a hint."""
    section = _section(place)
    if found := re.fullmatch(r"Object contains unknown field `(.*)`", what):
        key = found[1]
        known = _keys(_type_at(root, place, data))
        return (*place, key), f"unknown key '{key}' in {section}", _nearest(key, known, "keys")
    if found := re.fullmatch(r"Object missing required field `(.*)`", what):
        key = found[1]
        expected = _type_at(root, (*place, key), data)
        owner = _type_at(root, place, data)
        is_tag = any(struct.tag_field == key for struct in _structs(owner))
        wanted = _choices(owner) if is_tag else _describe(expected)
        missing = f"[{key}]" if isinstance(expected, inspect.StructType) and not place else f"`{key}`"
        return place, f"{section} lacks {missing}", f"it must be {wanted}" if wanted else ""
    key, value = _section(place[:-1]), _value_at(data, place)
    name = f"`{place[-1]}` in {key}" if place and isinstance(place[-1], str) else f"an entry of {section}"
    if re.fullmatch(r"Invalid (enum )?value .*", what):
        choices = _choice_list(root, place, data)
        hint = _nearest(str(value), choices, "values")
        return place, f"{name} can't be {_shown(value)}", hint
    if found := re.fullmatch(r"Expected `([^`]*)`, got `([^`]*)`", what):
        return place, f"{name} must be {_words(found[1])}, is {_words(found[2])}: {_shown(value)}", ""
    if found := re.fullmatch(r"Expected `array` of length (\d+), got (\d+)", what):
        return place, f"{name} must be a list of {found[1]} values, has {found[2]}", ""
    if found := re.fullmatch(r"Expected `(\w+)` (.*)", what):
        return place, f"{name} must be {_words(found[1])} {found[2]}, is {_shown(value)}", ""
    # A rule of the section itself: it names its key.
    rule = re.match(r"`([^`]+)`", what)
    inside = (*place, *rule[1].split(".", 1)) if rule else place
    return inside, f"{section}: {what}" if place else what, ""


def _section(place: _Path) -> str:
    names = ".".join(str(step) for step in place if isinstance(step, str) and step != "...")
    if not names:
        return "the file"
    if place and isinstance(place[-1], int):
        return f"[[{names}]] number {place[-1] + 1}"
    return f"[{names}]"


def _words(kinds: str) -> str:
    names = [kind.strip() for kind in kinds.split("|") if kind.strip() != "null"]
    if "int" in names and "float" in names:
        names.remove("int")
    return " or ".join(_WORDS.get(name, name) for name in names)


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else text[:77] + "..."


def _nearest(word: str, known: list[str], kind: str) -> str:
    listing = f"known {kind}: {', '.join(known)}" if known else ""
    if close := difflib.get_close_matches(word, known, n=1, cutoff=0.6):
        return f"did you mean '{close[0]}'? {listing}"
    return listing


def _value_at(data: Any, place: _Path) -> Any:
    for step in place:
        try:
            data = data[step]
        except (KeyError, IndexError, TypeError):
            return None
    return data


def _options(kind: inspect.Type) -> list[inspect.Type]:
    return list(kind.types) if isinstance(kind, inspect.UnionType) else [kind]


def _structs(kind: inspect.Type | None) -> list[inspect.StructType]:
    if kind is None:
        return []
    return [option for option in _options(kind) if isinstance(option, inspect.StructType)]


def _pick(kind: inspect.Type, value: Any) -> inspect.Type:
    """The member of a union that the data's tag chooses."""
    structs = _structs(kind)
    for struct in structs:
        if isinstance(value, dict) and struct.tag is not None:
            if cast(dict[str, Any], value).get(struct.tag_field or "") == struct.tag:
                return struct
    # A table or a word: of what is no table the words are the choices.
    is_open = isinstance(value, dict) or len(_options(kind)) == 1
    return structs[0] if len(structs) == 1 and is_open else kind


def _type_at(root: inspect.Type, place: _Path, data: Any) -> inspect.Type | None:
    kind = _pick(root, data)
    for depth, step in enumerate(place):
        found: inspect.Type | None = None
        for option in _options(kind):
            if isinstance(option, inspect.StructType) and isinstance(step, str):
                found = found or next((f.type for f in option.fields if f.encode_name == step), None)
            elif isinstance(option, inspect.ListType) and isinstance(step, int):
                found = option.item_type
            elif isinstance(option, inspect.DictType) and isinstance(step, str):
                found = option.value_type
        if found is None:
            return None
        kind = _pick(found, _value_at(data, place[: depth + 1]))
    return kind


def _keys(kind: inspect.Type | None) -> list[str]:
    keys: list[str] = []
    for struct in _structs(kind):
        keys += [struct.tag_field] if struct.tag_field else []
        keys += [field.encode_name for field in struct.fields]
    return list(dict.fromkeys(keys))


def _choices(kind: inspect.Type | None) -> str:
    return " or ".join(f"'{struct.tag}'" for struct in _structs(kind))


def _choice_list(root: inspect.Type, place: _Path, data: Any) -> list[str]:
    """The values that a tag or a literal may have."""
    own = _type_at(root, place, data)
    if own is not None:
        literals = [option for option in _options(own) if isinstance(option, inspect.LiteralType)]
        return [str(value) for literal in literals for value in literal.values]
    return [str(struct.tag) for struct in _structs(_type_at(root, place[:-1], data))]


def _describe(kind: inspect.Type | None) -> str:
    if kind is None:
        return ""
    names: dict[type_[inspect.Type], str] = {
        inspect.IntType: "an integer",
        inspect.FloatType: "a number",
        inspect.StrType: "a string",
        inspect.BoolType: "true or false",
        inspect.ListType: "a list",
        inspect.StructType: "a table",
    }
    if len(_structs(kind)) > 1:
        return f"a table with model = {_choices(kind)}"
    found = [names[type_(option)] for option in _options(kind) if type_(option) in names]
    return " or ".join(dict.fromkeys(found))


def _line_of(place: _Path, text: str) -> int:
    """The line where a key stands, or else its section's; 0 if neither is found.

    A reader of line starts only: keys within inline tables have the line of the table.
    """
    lines: dict[_Path, int] = {}
    counts: dict[_Path, int] = {}
    section: _Path = ()
    for number, line in enumerate(text.splitlines(), 1):
        if header := _HEADER.match(line):
            section = _header_path(header[2], header[1] == "[[", counts)
            lines.setdefault(section, number)
        elif key := _KEY.match(line):
            lines.setdefault((*section, *key[1].strip("\"'").split(".")), number)
    while place and place not in lines:
        place = place[:-1]
    return lines.get(place, 0)


def _header_path(names: str, is_array: bool, counts: dict[_Path, int]) -> _Path:
    path: _Path = ()
    parts = [name.strip().strip("\"'") for name in names.split(".")]
    for depth, name in enumerate(parts, 1):
        path = (*path, name)
        if is_array and depth == len(parts):
            counts[path] = counts.get(path, -1) + 1
        if path in counts:
            path = (*path, counts[path])
    return path
