"""Holds the runs of `make bit-identity` against one another: compare.py RESULTS_FOLDER [TABLE.md]

RESULTS_FOLDER/MODEL/CONFIGURATION.json is what decode.py printed; a configuration is named ONNXRUNTIME,PROCESSOR,THREADS. Exits with
1 where an output differs from that of the first configuration.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

PROCESSORS = {
    "native": "this machine's",
    "Haswell": "Haswell (AVX2), emulated",
    "Nehalem": "Nehalem (SSE4.2), emulated",
    "cortex-a72": "AArch64 Cortex-A72 (NEON), emulated",
    "neoverse-n1": "AArch64 Neoverse N1 (dot product), emulated",
}


def this_machine() -> str:
    flags = Path("/proc/cpuinfo").read_text().split("flags", 1)[1].split("\n", 1)[0].split()
    name = Path("/proc/cpuinfo").read_text().split("model name", 1)[1].split(":", 1)[1].split("\n", 1)[0].strip()
    best = next((f for f in ("avx512_vnni", "avx_vnni", "avx512f", "avx2", "sse4_2") if f in flags), "")
    return f"{name} ({best.upper().replace('_', ' ')})"


def main() -> int:
    folder = Path(sys.argv[1])
    models = sorted(path.name for path in folder.iterdir() if path.is_dir())
    rows, differing = {}, 0
    for model in models:
        runs = {path.stem: json.loads(path.read_text()) for path in (folder / model).glob("*.json")}
        order = sorted(runs, key=lambda name: (list(PROCESSORS).index(name.split(",")[1]), name.split(",")[0] != "1.31.1", name))
        reference = runs[order[0]]["hashes"]
        for name in order:
            hashes = runs[name]["hashes"]
            assert len(hashes) == len(reference) and runs[name]["onnxruntime"] == name.split(",")[0], name
            equal = sum(a == b for a, b in zip(hashes, reference))
            differing += len(hashes) - equal
            rows.setdefault(name, {})[model] = f"{equal} of {len(hashes)}"
        print(f"{model}: {len(set(reference))} different outputs for {len(reference)} latents, {len(runs)} configurations")
    lines = ["| processor | ONNX Runtime | threads | " + " | ".join(models) + " |", "|---|---|---|" + "---|" * len(models)]
    for name in sorted(rows, key=lambda name: list(PROCESSORS).index(name.split(",")[1])):
        runtime, processor, threads = name.split(",")
        said = this_machine() if processor == "native" else PROCESSORS[processor]
        lines.append(f"| {said} | {runtime} | {threads} | " + " | ".join(rows[name].get(model, "-") for model in models) + " |")
    table = "\n".join(lines) + "\n"
    print(table)
    if len(sys.argv) > 2:
        Path(sys.argv[2]).write_text(
            "Outputs equal, bit for bit, to those of the first row; `make bit-identity` writes this table.\n\n" + table
        )
    if differing:
        print(f"bit-identity: {differing} outputs differ")
    return 1 if differing else 0


if __name__ == "__main__":
    sys.exit(main())
