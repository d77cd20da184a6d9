"""Time and memory of one ONNX half, in a process of its own, with the product's session settings and one thread.

    python -m latentwire_training.hd512_cost decoder models/research/hd512/decoder.onnx
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

RUNS = 15
SHAPES = {"encoder": ("pixels", (1, 3, 512, 512)), "decoder": ("latent", (1, 1, 16, 16))}


def measure(half: str, path: Path) -> dict[str, float]:
    """Runs this module in a fresh process: milliseconds of processor time, peak memory (Linux, resident)."""
    folder = str(Path(__file__).resolve().parents[1])
    environment = {**os.environ, "PYTHONPATH": folder, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "latentwire_training.hd512_cost", half, str(path)]
    return json.loads(subprocess.run(command, env=environment, check=True, capture_output=True, text=True).stdout)


def peak_mib() -> int:
    """Largest resident size of this process; `getrusage` would count what its parent had before the call."""
    (line,) = [line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM:")]
    return round(int(line.split()[1]) / 1024)


def main() -> None:
    import onnxruntime

    half, path = sys.argv[1:]
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.enable_mem_pattern = False
    options.use_deterministic_compute = True
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    name, shape = SHAPES[half]
    feed = {name: np.random.default_rng(1).random(shape, np.float32) * (1 if half == "encoder" else 10)}
    taken = []
    for _ in range(RUNS):
        before = time.process_time()
        session.run(None, feed)
        taken.append((time.process_time() - before) * 1e3)
    print(json.dumps({"milliseconds": round(float(np.median(taken))), "peak_mib": peak_mib(), "file_bytes": Path(path).stat().st_size}))


if __name__ == "__main__":
    main()
