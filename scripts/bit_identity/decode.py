"""Decodes latents and prints what came of each as one JSON object: decode.py DECODER.onnx INPUTS.npz THREADS

Run natively and under emulation, with one version of ONNX Runtime or another; the session is as common/inference configures it for
certified decoders. Needs nothing but numpy and onnxruntime.
"""

import hashlib
import json
import platform
import sys

import numpy as np
import onnxruntime


def main() -> None:
    decoder, inputs, threads = sys.argv[1], np.load(sys.argv[2]), int(sys.argv[3])
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
    options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    options.use_deterministic_compute = True
    options.enable_mem_pattern = False
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(decoder, options, providers=["CPUExecutionProvider"])
    hashes = []
    for name in sorted(inputs.files):
        (pixels,) = session.run(None, {"latent": inputs[name]})
        assert pixels.dtype == np.int32, pixels.dtype
        hashes.append(hashlib.sha256(pixels.astype("<i4").tobytes()).hexdigest())
    print(json.dumps({"onnxruntime": onnxruntime.__version__, "machine": platform.machine(), "hashes": hashes}))


if __name__ == "__main__":
    main()
