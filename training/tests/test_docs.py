"""docs/TRAINING.md says of every key what the configuration says of it."""

from __future__ import annotations

import dataclasses
import json
import re
import tomllib
import typing

from latentwire_training.config import CONFIGS, Config, read
from latentwire_training.toml_keys import span

ROOT = CONFIGS.parents[1]
TEXT = (ROOT / "docs/TRAINING.md").read_text()
WORDS = {str: "text", int: "whole number", float: "number", bool: "true or false"}


def in_words(kind: type) -> str:
    origin, inner = typing.get_origin(kind), typing.get_args(kind)
    if origin is None:
        return WORDS[kind]
    return f"list of {WORDS[inner[0]]}" if origin is list else f"table of {WORDS[inner[1]]}"


def keys(kind: type, section: str = "") -> dict[str, tuple[str, str]]:
    """Dotted key to (value with its range, default), as the table writes them."""
    found: dict[str, tuple[str, str]] = {}
    hints = typing.get_type_hints(kind)
    for field in dataclasses.fields(kind):
        if dataclasses.is_dataclass(hints[field.name]):
            found |= keys(hints[field.name], f"{field.name}.")
            continue
        value = in_words(hints[field.name]) + (f", {span(field.metadata)}" if field.metadata else "")
        if field.default is not dataclasses.MISSING:
            default = f"`{json.dumps(field.default)}`"
        elif field.default_factory is not dataclasses.MISSING:
            default = f"`{json.dumps(field.default_factory())}`"
        else:
            default = "required"
        found[section + field.name] = (value, default)
    return found


def test_the_table_of_keys_is_the_configuration():
    table = TEXT[TEXT.index("| key | value | default | meaning |") : TEXT.index("## The command")]
    rows = re.findall(r"^\| `([a-z0-9_.]+)` \| ([^|]+) \| ([^|]+) \| ([^|]+) \|$", table, re.MULTILINE)
    assert len(rows) == table.strip().count("\n") - 1, "a row that is not `key` | value | default | meaning"
    assert {key: (value, default) for key, value, default, _ in rows} == keys(Config)
    assert len({key for key, *_ in rows}) == len(rows)


def test_the_example_configuration_is_one(tmp_path):
    (example,) = re.findall(r"```toml\n(.*?)```", TEXT, re.DOTALL)
    (tmp_path / "example.toml").write_text(example)
    assert read(tmp_path / "example.toml").id == tomllib.loads(example)["id"] == "ae224-knee"


def test_what_the_page_names_is_there():
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = set(re.findall(r"`?make ([a-z]+(?:-[a-z]+)*) *(?:MODEL|`)", TEXT))
    assert named >= {"train", "train-figures", "test-training", "training-lock"} and named <= targets | {"test"}, named - targets
    for image in re.findall(r"!\[[^]]+\]\(([^)]+)\)", TEXT):
        assert (ROOT / "docs" / image).is_file(), image
    for path in re.findall(r"\b((?:training|docs)/[\w./-]+\.\w+)", TEXT):
        assert (ROOT / path).exists(), path
