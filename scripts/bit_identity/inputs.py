"""Writes the latents on which `make bit-identity` compares decoders: inputs.py MODEL_FOLDER SAMPLES COUNT OUT.npz

For a model whose blocks have levels (docs/BITSTREAM.md, section 5): latents of pictures at many knobs, latents of random numbers that
are as large as a picture's, and latents as large as they can be, where 16-bit sums would saturate if weights had 8 bits. Sides are 1
to 6 positions: the nets look 2 positions far.
"""

from __future__ import annotations

import sys
import tempfile
import tomllib
from pathlib import Path

import numpy as np
import onnxruntime
from PIL import Image

BLOCK, LEVELS = 16, 32
KNOBS = np.arange(-48, 65)
GAIN = np.rint(2.0**16 * 2.0 ** (np.arange(16) / 16)).astype(np.int64)
FOLDERS = {"fundus": "fundus", "chest": "chest_xray", "brain": "brain_mri"}


def step(base: np.ndarray, t: np.ndarray) -> np.ndarray:
    """Steps [C-1, h, w] of base steps [C-1] at t [h, w]."""
    product = base[:, None, None] * GAIN[t % 16][None]
    return np.clip(product >> (24 - t // 16)[None], 1, 2**20)


def quantised(values: np.ndarray, base: np.ndarray, knob: int, dead_zone: float) -> np.ndarray:
    """What a decoder is given for an encoder's output [C, h, w] at a knob."""
    t = 4 * np.clip(np.rint(values[0]), 0, LEVELS - 1).astype(np.int64) + knob
    steps = step(base, t)
    v = values[1:] / steps
    q = np.sign(v) * np.floor(np.abs(v) + 0.5 - dead_zone)
    return np.concatenate([t[None], np.clip(q * steps, -32768, 32767)])


def pictures(folder: Path, planes: int) -> list[np.ndarray]:
    """Planar pictures in 0..1."""
    files = sorted(path for path in folder.rglob("*") if path.suffix in (".jpg", ".png"))
    read = [np.asarray(Image.open(path).convert("RGB" if planes == 3 else "L"), np.float32) / 255 for path in files]
    return [picture.reshape(*picture.shape[:2], planes).transpose(2, 0, 1) for picture in read]


def of_pictures(model: Path, decode: dict, manifest: dict, samples: Path, count: int, random: np.random.Generator):
    encoder = onnxruntime.InferenceSession(str(model / manifest["encoder"]["file"]), providers=["CPUExecutionProvider"])
    base = np.array(decode["latent"]["steps"][1:], np.int64)
    found = pictures(samples / FOLDERS[manifest["modality"]], decode["pixels"]["channels"])
    for index in range(count):
        picture = found[index % len(found)]
        height, width = (min(int(random.integers(1, 7)), side // BLOCK) for side in picture.shape[1:])
        y, x = (int(random.integers(0, side - n * BLOCK + 1)) for side, n in zip(picture.shape[1:], (height, width)))
        window = picture[None, :, y : y + height * BLOCK, x : x + width * BLOCK]
        (values,) = encoder.run(None, {"pixels": np.ascontiguousarray(window)})
        yield quantised(values[0].astype(np.float64), base, int(random.choice(KNOBS)), manifest["encoder"].get("dead_zone", 0.0))


def of_numbers(channels: int, count: int, random: np.random.Generator):
    """Three in four as large as a picture's, one in four as large as 16 bits allow."""
    for index in range(count):
        shape = (channels - 1, int(random.integers(1, 7)), int(random.integers(1, 7)))
        if index % 4:
            k = random.integers(-2000, 2001, shape) >> random.integers(0, 16, shape)
        elif index % 8:
            k = random.integers(-32768, 32768, shape)
        else:  # each channel at one end or the other, everywhere: the largest sums there are
            k = np.broadcast_to(np.where(random.random((shape[0], 1, 1)) < 0.5, -32768, 32767), shape)
        t = 4 * random.integers(0, LEVELS, (1, *shape[1:])) + int(random.choice(KNOBS))
        yield np.concatenate([t, k])


def refuse_floating_point_convolutions(decoder: Path) -> None:
    """Ends where ONNX Runtime has left a convolution in floating point: its sums depend on the processor, whatever the inputs show."""
    with tempfile.TemporaryDirectory() as folder:
        options = onnxruntime.SessionOptions()
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
        options.optimized_model_filepath = str(Path(folder) / "optimised.onnx")
        onnxruntime.InferenceSession(str(decoder), options, providers=["CPUExecutionProvider"])
        optimised = Path(options.optimized_model_filepath).read_bytes()
    for operator in (b"Conv", b"FusedConv", b"MatMul", b"FusedMatMul", b"Gemm", b"FusedGemm"):
        if b"\x22" + bytes([len(operator)]) + operator in optimised:  # NodeProto.op_type
            sys.exit(f"bit-identity: {decoder} computes a {operator.decode()} in floating point: mend its export")


def main() -> None:
    model, samples, count, out = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
    decode = tomllib.loads((model / "decode.toml").read_text())
    manifest = tomllib.loads((model / "manifest.toml").read_text())
    refuse_floating_point_convolutions(model / decode["decoder"]["file"])
    random = np.random.default_rng(20260801)
    seen = list(of_pictures(model, decode, manifest, samples, count * 2 // 5, random))
    latents = seen + list(of_numbers(decode["latent"]["channels"], count - len(seen), random))
    np.savez(out, **{f"{index:05}": latent[None].astype(np.float32) for index, latent in enumerate(latents)})


if __name__ == "__main__":
    main()
