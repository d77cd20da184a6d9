#!/usr/bin/env python3
"""Writes the software bill of materials of the programs: CycloneDX 1.5, JSON.

    scripts/sbom.py -o sbom.cdx.json [--onnxruntime FILE] [--models DIR] [--programs CRATE...]

Holds every crate that is linked into the programs (sender-svc, receiver-svc and latentwire, or those given) on this platform (what `cargo metadata
--locked` resolves, without what only builds or tests), ONNX Runtime's library and the models, with licences, package URLs
and SHA-256 sums. The same checkout gives the same bytes: no time stands in it, and its serial number is drawn from what it
says. What the base image brings (libc, libstdc++) is no part of it: the image's own dpkg database lists that.

Needs Python 3.11 and cargo; no package from PyPI.
"""

import argparse
import hashlib
import json
import os
import pathlib
import re
import subprocess
import sys
import tomllib
import uuid

# Those of the container images.
PROGRAMS = ["sender-svc", "receiver-svc", "latentwire-cli"]
CHECKOUT = pathlib.Path(__file__).resolve().parent.parent
SOURCE = "latentwire"


def main() -> None:
    parser = argparse.ArgumentParser(description="CycloneDX 1.5 bill of materials of Latentwire")
    parser.add_argument("-o", "--output", type=pathlib.Path, required=True)
    parser.add_argument("--onnxruntime", type=pathlib.Path, help="ONNX Runtime's library; looked for in .onnxruntime/")
    parser.add_argument("--models", type=pathlib.Path, default=CHECKOUT / "models")
    parser.add_argument("--programs", nargs="+", metavar="CRATE", default=PROGRAMS, help="crates of the programs")
    arguments = parser.parse_args()
    roots = arguments.programs
    library = arguments.onnxruntime or next(iter(sorted((CHECKOUT / ".onnxruntime").glob("libonnxruntime.so.*"))), None)
    if library is None:
        sys.exit("sbom: ONNX Runtime's library is not there: run scripts/fetch-onnxruntime.sh")

    metadata = cargo_metadata()
    crates, dependencies = linked(metadata, roots)
    version = next(package["version"] for package in metadata["packages"] if package["name"] == roots[0])
    root = f"pkg:generic/{SOURCE}@{version}"
    others = [onnxruntime(library), *models(arguments.models)]
    components = sorted([*crates, *others], key=lambda component: component["bom-ref"])
    programs = [component["bom-ref"] for component in crates if component["name"] in roots]
    dependencies[root] = sorted([*programs, *(component["bom-ref"] for component in others)])
    for component in others:
        dependencies[component["bom-ref"]] = []
    bom = {
        "$schema": "http://cyclonedx.org/schema/bom-1.5.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "version": 1,
        "metadata": {
            "component": {
                "type": "application",
                "bom-ref": root,
                "name": SOURCE,
                "version": version,
                "purl": root,
                "licenses": [{"expression": "Apache-2.0 OR MIT"}],
            },
        },
        "components": components,
        "dependencies": [{"ref": ref, "dependsOn": sorted(on)} for ref, on in sorted(dependencies.items())],
    }
    content = json.dumps(bom, sort_keys=True).encode()
    bom["serialNumber"] = f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_URL, hashlib.sha256(content).hexdigest())}"
    arguments.output.write_text(json.dumps(bom, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def cargo_metadata() -> dict:
    cargo = os.environ.get("CARGO", "cargo")
    host = re.search(r"^host: (.+)$", run([os.environ.get("RUSTC", "rustc"), "-vV"]), re.MULTILINE)
    if host is None:
        sys.exit("sbom: rustc -vV names no host")
    command = [cargo, "metadata", "--locked", "--format-version", "1", "--filter-platform", host.group(1)]
    return json.loads(run(command))


def run(command: list[str]) -> str:
    try:
        return subprocess.run(command, cwd=CHECKOUT, check=True, stdout=subprocess.PIPE, text=True).stdout
    except (OSError, subprocess.CalledProcessError) as error:
        sys.exit(f"sbom: {error}")


def linked(metadata: dict, programs: list[str]) -> tuple[list[dict], dict[str, list[str]]]:
    """The crates that the programs are made of, and who needs whom."""
    packages = {package["id"]: package for package in metadata["packages"]}
    nodes = {node["id"]: node for node in metadata["resolve"]["nodes"]}
    sums = checksums()
    waiting = [identity for identity, package in packages.items() if package["name"] in programs]
    needs: dict[str, list[str]] = {}
    while waiting:
        identity = waiting.pop()
        if identity in needs:
            continue
        ordinary = [
            dependency["pkg"]
            for dependency in nodes[identity]["deps"]
            if any(kind["kind"] is None for kind in dependency["dep_kinds"])
        ]
        needs[identity] = ordinary
        waiting.extend(ordinary)
    dependencies = {purl(packages[identity]): [purl(packages[need]) for need in on] for identity, on in needs.items()}
    return [crate(packages[identity], sums, programs) for identity in needs], dependencies


def checksums() -> dict[tuple[str, str], str]:
    lock = tomllib.loads((CHECKOUT / "Cargo.lock").read_text(encoding="utf-8"))
    return {
        (package["name"], package["version"]): package["checksum"]
        for package in lock["package"]
        if "checksum" in package
    }


def purl(package: dict) -> str:
    return f"pkg:cargo/{package['name']}@{package['version'].replace('+', '%2B')}"


def crate(package: dict, sums: dict[tuple[str, str], str], programs: list[str]) -> dict:
    component = {
        "type": "application" if package["name"] in programs else "library",
        "bom-ref": purl(package),
        "name": package["name"],
        "version": package["version"],
        "purl": purl(package),
        "scope": "required",
    }
    if package["description"]:
        component["description"] = " ".join(package["description"].split())
    if package["license"]:
        # Old manifests write MIT/Apache-2.0 where SPDX has OR.
        component["licenses"] = [{"expression": package["license"].replace("/", " OR ")}]
    if digest := sums.get((package["name"], package["version"])):
        component["hashes"] = [{"alg": "SHA-256", "content": digest}]
    if package["repository"]:
        component["externalReferences"] = [{"type": "vcs", "url": package["repository"]}]
    return component


def onnxruntime(library: pathlib.Path) -> dict:
    version = library.name.removeprefix("libonnxruntime.so.")
    return {
        "type": "library",
        "bom-ref": f"pkg:pypi/onnxruntime@{version}",
        "name": "onnxruntime",
        "version": version,
        "purl": f"pkg:pypi/onnxruntime@{version}",
        "description": f"{library.name}, loaded at run time",
        "scope": "required",
        "licenses": [{"license": {"id": "MIT"}}],
        "hashes": [sha256(library)],
    }


def models(folder: pathlib.Path) -> list[dict]:
    """Each model under the digest that names it: that of decode.toml."""
    found = []
    for decode in sorted(folder.glob("*/decode.toml")):
        digest = sha256(decode)
        manifest = tomllib.loads((decode.parent / "manifest.toml").read_text(encoding="utf-8"))
        files = sorted(file for file in decode.parent.iterdir() if file.suffix in {".onnx", ".bin", ".toml"})
        found.append(
            {
                "type": "machine-learning-model",
                "bom-ref": f"pkg:generic/{SOURCE}-model-{decode.parent.name}@{digest['content']}",
                "name": decode.parent.name,
                "version": digest["content"],
                "description": "version: SHA-256 of decode.toml, which names decoder and tables by their digests",
                "licenses": [{"expression": manifest["licence"]}],
                "components": [
                    {
                        "type": "file",
                        "bom-ref": f"{decode.parent.name}/{file.name}",
                        "name": file.name,
                        "hashes": [sha256(file)],
                    }
                    for file in files
                ],
            }
        )
    return found


def sha256(file: pathlib.Path) -> dict:
    return {"alg": "SHA-256", "content": hashlib.sha256(file.read_bytes()).hexdigest()}


if __name__ == "__main__":
    main()
