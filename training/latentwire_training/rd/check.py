"""The fixed latent of a model's start-up check, and the digest of what a decoder gives for it (`[decoder.check]` of decode.toml).

Services make the same latent (common/inference/src/check.rs, where it is defined) and compare: a machine on which the decoder gives
other bits says so. `python -m latentwire_training.rd.check decoder.onnx CHANNELS SEED HEIGHT WIDTH` prints the digest.
"""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path

import numpy as np

_WORD = 2**64 - 1


def _split_mix_64(seed: int, count: int) -> np.ndarray:
    """`count` numbers of SplitMix64 (Steele, Lea, Flood 2014)."""
    with np.errstate(over="ignore"):
        z = np.uint64(seed & _WORD) + np.arange(1, count + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return z ^ (z >> np.uint64(31))


def fixed_latent(seed: int, channels: int, height: int, width: int) -> np.ndarray:
    """The latent that a seed makes: float32 [1, channels, height, width]; channel 0 holds t, the others k."""
    z = _split_mix_64(seed, channels * height * width)
    t = 4 * (z >> np.uint64(59)).astype(np.int64)
    value = ((z >> np.uint64(32)) % np.uint64(4001)).astype(np.int64) - 2000
    k = np.sign(value) * (np.abs(value) >> (z % np.uint64(16)).astype(np.int64))
    latent = np.where(np.arange(z.size) < height * width, t, k)
    return latent.astype(np.float32).reshape(1, channels, height, width)


def output_sha256(decoder: bytes, latent: np.ndarray) -> str:
    """SHA-256 of a decoder's output for a latent, its values little endian, run as services run certified decoders."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_EXTENDED  # the level that is pinned
    options.use_deterministic_compute = True
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(decoder, options, providers=["CPUExecutionProvider"])
    (output,) = session.run(None, {"latent": latent})
    return hashlib.sha256(np.ascontiguousarray(output).astype(output.dtype.newbyteorder("<")).tobytes()).hexdigest()


if __name__ == "__main__":
    seed_and_shape = [int(word) for word in sys.argv[2:]]
    channels, seed, height, width = seed_and_shape
    print(output_sha256(Path(sys.argv[1]).read_bytes(), fixed_latent(seed, channels, height, width)))
