"""The two halves of a model by themselves, on one core: what the paper times, and what an attacker has."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnxruntime


def net(path: Path) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def apply(session: onnxruntime.InferenceSession, array: np.ndarray) -> np.ndarray:
    """A net on one [H, W, C] array."""
    name = session.get_inputs()[0].name
    return session.run(None, {name: array.transpose(2, 0, 1)[None].astype(np.float32)})[0][0].transpose(1, 2, 0)
