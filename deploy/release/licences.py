#!/usr/bin/env python3
"""Writes the licences of every crate that is linked into the release binaries, with each crate's own texts.

Usage: deploy/release/licences.py PACKAGE... > THIRD_PARTY_LICENCES.txt

The list is what `cargo tree` resolves for the given packages: features as they are built, normal dependencies only (what
merely runs while building is not shipped). Fails where a crate's licence is not among those below, or where no text can be
shown for it: a new dependency with other terms is then a decision, not an accident.
"""

import json
import re
import subprocess
import sys
from pathlib import Path

TARGET = "x86_64-unknown-linux-gnu"
# Licences that allow shipping binaries with the texts shown. An expression needs one of these for each AND.
ALLOWED = {
    "0BSD", "Apache-2.0", "Apache-2.0 WITH LLVM-exception", "BSD-2-Clause", "BSD-3-Clause", "BSL-1.0", "CC0-1.0", "ISC",
    "MIT", "MIT-0", "Unicode-3.0", "Unlicense", "Zlib",
}  # fmt: skip
TEXT_NAME = re.compile(r"^(licen[cs]e|copying|copyright|notice|unlicense|patents)", re.IGNORECASE)
# What a crate carries inside it under other terms than its own, and where that is said.
INSIDE = {
    "libsqlite3-sys": "Contains SQLite, which its authors have dedicated to the public domain (https://sqlite.org/copyright.html).",
}
CHECKOUT = Path(__file__).resolve().parents[2]


def cargo(*arguments: str) -> str:
    return subprocess.run(["cargo", *arguments], cwd=CHECKOUT, check=True, stdout=subprocess.PIPE, text=True).stdout


def linked(packages: list[str]) -> set[tuple[str, str]]:
    """Name and version of every crate of others that is linked in."""
    named = [argument for package in packages for argument in ("-p", package)]
    tree = cargo("tree", "--locked", "--target", TARGET, "-e", "normal", "--prefix", "none", "--format", "{p}", *named)
    found = set()
    for line in tree.splitlines():
        words = line.split()
        if words and f"({CHECKOUT}" not in line:
            found.add((words[0], words[1].removeprefix("v")))
    return found


def allowed(expression: str) -> bool:
    """Whether the SPDX expression can be satisfied; AND binds tighter than OR, `/` is the old way to write OR."""

    def either(tokens: list[str]) -> bool:
        value = both(tokens)
        while tokens and tokens[0] == "OR":
            tokens.pop(0)
            value = both(tokens) or value
        return value

    def both(tokens: list[str]) -> bool:
        value = one(tokens)
        while tokens and tokens[0] == "AND":
            tokens.pop(0)
            value = one(tokens) and value
        return value

    def one(tokens: list[str]) -> bool:
        token = tokens.pop(0)
        if token == "(":
            value = either(tokens)
            tokens.pop(0)
            return value
        if tokens[:1] == ["WITH"]:
            tokens.pop(0)
            token = f"{token} WITH {tokens.pop(0)}"
        return token in ALLOWED

    spaced = re.sub(r"([()])", r" \1 ", expression.replace("/", " OR "))
    return either(spaced.split())


def texts(folder: Path) -> list[tuple[str, str]]:
    files = sorted(path for path in folder.iterdir() if path.is_file() and TEXT_NAME.match(path.name))
    return [(path.name, path.read_text(encoding="utf-8", errors="replace").strip()) for path in files]


def standard_text(expression: str) -> tuple[str, str]:
    """For a crate that ships no text of its own: the text of the licence that is taken of those it offers."""
    for name, file in (("MIT", "LICENSE-MIT"), ("Apache-2.0", "LICENSE-APACHE")):
        if re.search(rf"\b{re.escape(name)}\b(?! WITH)", expression) and " AND " not in expression:
            text = (CHECKOUT / file).read_text(encoding="utf-8").strip()
            if name == "MIT":  # The terms, under the crate authors' copyright instead of ours.
                text = text[text.index("Permission is hereby granted") :]
            return f"{name} (the crate ships no file; the licence's standard text)", text
    if expression == "CC0-1.0":
        return "CC0-1.0", "Dedicated to the public domain by its authors: https://creativecommons.org/publicdomain/zero/1.0/legalcode"
    sys.exit(f"licences: no text for a crate under {expression!r}")


def main() -> None:
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    metadata = json.loads(cargo("metadata", "--locked", "--format-version", "1", "--filter-platform", TARGET))
    known = {(package["name"], package["version"]): package for package in metadata["packages"]}
    crates = [known[crate] for crate in sorted(linked(sys.argv[1:]))]
    refused = [f"{c['name']} {c['version']}: {c['license']}" for c in crates if not allowed(c["license"] or "none")]
    if refused:
        sys.exit("licences: not among the licences that may be shipped:\n  " + "\n  ".join(refused))

    same: dict[str, str] = {}  # a text -> the crate under which it stands already
    print(f"Latentwire's programs are built from the work of others: {len(crates)} crates, listed here with their licences.")
    print("ONNX Runtime, which lies beside the programs as a library of its own, has its texts in the folder onnxruntime.\n")
    for crate in crates:
        print(f"{crate['name']} {crate['version']}: {crate['license']}")
    for crate in crates:
        title = f"{crate['name']} {crate['version']}"
        print(f"\n{'=' * 100}\n{title}\n{crate['repository'] or 'https://crates.io/crates/' + crate['name']}")
        if crate["authors"]:
            print("Authors: " + ", ".join(re.sub(r"\s*<[^>]*>", "", author) for author in crate["authors"]))
        if crate["name"] in INSIDE:
            print(INSIDE[crate["name"]])
        found = texts(Path(crate["manifest_path"]).parent) or [standard_text(crate["license"])]
        for name, text in found:
            if text in same:
                print(f"\n-- {name}: word for word that of {same[text]}")
            else:
                same[text] = f"{title}, {name}"
                print(f"\n-- {name}\n{text}")


main()
