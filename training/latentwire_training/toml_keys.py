"""TOML files read into dataclasses: every key checked, every message naming the file and the key."""

from __future__ import annotations

import dataclasses
import difflib
import tomllib
import types
import typing
from pathlib import Path


class ConfigError(SystemExit):
    """A configuration that cannot be trained with; as SystemExit, its text is all that a user sees."""


def between(low: float, high: float) -> dict:
    """Metadata of a field: its least and its largest value."""
    return {"low": low, "high": high}


def span(limits: typing.Mapping[str, float]) -> str:
    """The same in words, as messages and docs/TRAINING.md write it."""
    return "..".join(str(limit) if isinstance(limit, int) else f"{limit:g}" for limit in (limits["low"], limits["high"]))


def load(path: Path) -> dict[str, object]:
    """What a file holds, unchecked."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read: {error}") from None
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path}: not valid TOML: {error}") from None


def section(path: Path, kind: type, table: object, name: str = ""):
    """A dataclass from the table `name` of a file, or from the whole file; every key is checked against its type, and against its metadata."""
    if not isinstance(table, dict):
        raise ConfigError(f"{path}: `{name}` must be a table: write [{name}] on a line of its own")
    hints = typing.get_type_hints(kind)
    values = {}
    for key in table:
        if key not in hints:
            near = difflib.get_close_matches(key, hints, 1)
            hint = f"; did you mean `{near[0]}`?" if near else f"; known here: {', '.join(sorted(hints))}"
            raise ConfigError(f"{path}: unknown key `{_dotted(name, key)}`{hint}")
    for f in dataclasses.fields(kind):
        dotted = _dotted(name, f.name)
        if f.name not in table:
            if f.default is dataclasses.MISSING and f.default_factory is dataclasses.MISSING:
                raise ConfigError(f"{path}: `{dotted}` is missing")
            continue
        value = table[f.name]
        if dataclasses.is_dataclass(hints[f.name]):
            values[f.name] = section(path, hints[f.name], value, dotted)
        else:
            values[f.name] = _value(path, dotted, hints[f.name], value, f.metadata)
    return kind(**values)


def _dotted(section: str, key: str) -> str:
    return f"{section}.{key}" if section else key


def _value(path: Path, key: str, kind: type, value: object, limits: types.MappingProxyType):
    origin, inner = typing.get_origin(kind), typing.get_args(kind)
    if origin is list:
        if not isinstance(value, list):
            raise ConfigError(f"{path}: `{key}` must be a list of {_plain(inner[0])}, found {value!r}")
        return [_value(path, key, inner[0], item, limits) for item in value]
    if origin is dict:
        if not isinstance(value, dict) or not all(isinstance(v, str) for v in value.values()):
            raise ConfigError(f"{path}: `{key}` must be a table of texts")
        return dict(value)
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        value = float(value)
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
        raise ConfigError(f"{path}: `{key}` must be {_plain(kind)}, found {value!r}")
    if limits and not limits["low"] <= value <= limits["high"]:
        raise ConfigError(f"{path}: `{key}` must lie in {span(limits)}, found {value!r}")
    return value


def _plain(kind: type) -> str:
    return {str: "text", int: "a whole number", float: "a number", bool: "true or false"}[kind]


def need(path: Path, true: object, key: str, problem: str) -> None:
    """Refuses a file for what one of its keys holds."""
    if not true:
        raise ConfigError(f"{path}: `{key}` {problem}")
