#!/usr/bin/env python3
"""Generates the stubs of latentwire.v1 from ../../proto into latentwire/v1/; with --check, only says whether they are up to date."""

from __future__ import annotations

import argparse
import filecmp
import shutil
import sys
import tempfile
from pathlib import Path

import grpc_tools
from grpc_tools import protoc

HERE = Path(__file__).resolve().parent
PROTO = HERE.parent.parent / "proto"
PACKAGE = Path("latentwire/v1")
# TransferService is spoken between the two services alone.
SOURCES = ["common.proto", "send_service.proto", "image_service.proto"]


def generate(target: Path) -> None:
    """Writes modules, their type hints, and nothing else below target."""
    well_known = Path(grpc_tools.__file__).parent / "_proto"
    arguments = [
        "protoc",
        f"--proto_path={PROTO}",
        f"--proto_path={well_known}",
        f"--python_out={target}",
        f"--pyi_out={target}",
        f"--grpc_python_out={target}",
    ]
    if protoc.main(arguments + [str(PACKAGE / source) for source in SOURCES]) != 0:
        sys.exit("generate: protoc failed")
    for folder in (target / PACKAGE).relative_to(target).parents:
        if folder != Path():
            (target / folder / "__init__.py").touch()
    (target / PACKAGE / "__init__.py").touch()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; fail if the stubs are out of date")
    check = parser.parse_args().check
    with tempfile.TemporaryDirectory() as folder:
        generate(Path(folder))
        fresh, ours = Path(folder) / "latentwire", HERE / "latentwire"
        if not check:
            shutil.rmtree(ours, ignore_errors=True)
            shutil.copytree(fresh, ours)
            return
        stale = [str(file.relative_to(fresh)) for file in sorted(fresh.rglob("*.py*")) if differs(file, ours / file.relative_to(fresh))]
        if stale:
            sys.exit(f"generate: {', '.join(stale)} out of date; run `make python-stubs`")


def differs(fresh: Path, ours: Path) -> bool:
    return not ours.is_file() or not filecmp.cmp(fresh, ours, shallow=False)


if __name__ == "__main__":
    main()
