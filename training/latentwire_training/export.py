"""Write `models/<id>/` from a trained net: ONNX halves, integer tables, `decode.toml`, `manifest.toml`, curves, model card.

An int8 half ships where the validation pictures lose at most `quantiser.int8_tolerance_db` against f32; the card states both.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import torch
from PIL import Image

from . import card, curves, graphs, tables
from .config import Config, Quantiser
from .pictures import Picture, Pictures
from .quality import measure
from .trainer import Trainer

TILE, HALO = 1024, 32
CALIBRATION_PIXELS = 16 << 20  # of all calibration pictures together: the tables take about 150 bytes of memory a pixel


def weights(module: torch.nn.Module) -> graphs.Weights:
    return {k: v.detach().float().contiguous().numpy() for k, v in module.state_dict().items()}


def padded(picture: Picture) -> np.ndarray:
    height, width = picture.pixels.shape[:2]
    pixels = np.pad(picture.pixels, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")
    return pixels.transpose(2, 0, 1)[None].astype(np.float32) / 255.0


def session(model: onnx.ModelProto) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
    options.intra_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])


@torch.no_grad()
def activation_ranges(module: torch.nn.Module, inputs: list[np.ndarray]) -> graphs.Ranges:
    """99.99th percentile over pictures of the largest activations after each ReLU."""
    seen: dict[str, list[float]] = {}

    def hook(name: str):
        def keep(_module, _input, output):
            values = torch.relu(output).flatten()
            k = max(1, int(values.numel() * 0.0001))
            seen.setdefault(name, []).append(values.topk(k).values[-1].item())

        return keep

    handles = [layer.register_forward_hook(hook(name)) for name, layer in module.named_children() if name.startswith("conv")]
    for value in inputs:
        module(torch.from_numpy(value))
    for handle in handles:
        handle.remove()
    return {name: float(max(values)) for name, values in seen.items()}


def to_picture(output: np.ndarray, picture: Picture) -> np.ndarray:
    height, width = picture.pixels.shape[:2]
    value = output[0].transpose(1, 2, 0)[:height, :width].astype(np.float64)
    if picture.grey:
        value = value.mean(axis=2, keepdims=True).repeat(3, axis=2)
    return np.clip(np.rint(value * 255.0), 0, 255).astype(np.uint8)


def evaluate(encoder, decoder, steps: np.ndarray, channels: list[tables.Channel], pictures: list[Picture]) -> dict:
    """Mean figures of ONNX halves on whole pictures, bits counted by the integer tables."""
    rows = []
    for picture in pictures:
        latent = encoder.run(None, {"pixels": padded(picture)})[0]
        q = np.rint(latent[0] / steps[:, None, None]).astype(np.int64)
        output = decoder.run(None, {"latent": (q[None] * steps[None, :, None, None]).astype(np.float32)})[0]
        bits = count_bits(channels, q) / (picture.pixels.shape[0] * picture.pixels.shape[1])
        rows.append({**measure(picture.pixels, to_picture(output, picture), picture.grey), "bpp": bits})
    return {k: float(np.mean([row[k] for row in rows])) for k in rows[0]}


def count_bits(channels: list[tables.Channel], q: np.ndarray) -> float:
    bits = 0.0
    for channel, found in zip(channels, tables.contexts(channels, q)):
        which = np.searchsorted(np.array(channel.thresholds), found.activity, side="right") * tables.FRACTIONS + found.fraction
        for index in np.unique(which):
            radius, counts = channel.tables[index]
            r = found.residual[which == index]
            inside = np.abs(r) <= radius
            bits -= np.log2(counts[r[inside] + radius] / 65536).sum()
            over = np.abs(r[~inside]) - radius - 1
            bits += over.size * -np.log2(counts[-1] / 65536) + (2 * np.floor(np.log2(over + 1)) + 2).sum()
    return float(bits)


def scaled(picture: Picture, side: int) -> Picture:
    image = Image.fromarray(picture.pixels).resize((side, side), Image.Resampling.LANCZOS)
    return replace(picture, pixels=np.asarray(image))


@torch.no_grad()
def step_factor(encoder, decoder, trained: np.ndarray, pictures: list[Picture], options: Quantiser) -> float:
    """Largest factor of the trained steps, in steps of 5 %, at which the mean validation SSIM still reaches both targets.

    Found by halving: SSIM falls as the steps grow. Factor 1 stands where even that misses a target.
    """
    small = [scaled(picture, 224) for picture in pictures]
    sets = [("at 224x224", small, options.validation_ssim_224), ("at native size", pictures, options.validation_ssim)]
    latents = [[encoder(torch.from_numpy(padded(p))) for p in chosen] for _, chosen, _ in sets]

    def reaches(factor: float) -> bool:
        step = torch.from_numpy(np.float32(trained * factor))[None, :, None, None]
        for (where, chosen, target), ys in zip(sets, latents):
            outputs = (decoder((y / step).round() * step).numpy() for y in ys)
            ssim = np.mean([measure(p.pixels, to_picture(o, p), p.grey)["ssim"] for p, o in zip(chosen, outputs)])
            print(f"  quantiser steps x{factor:.2f}: SSIM {ssim:.4f} {where}, wanted {target:g}", flush=True)
            if ssim < target:
                return False
        return True

    factors = [1.0]
    while factors[-1] * 1.05 <= options.largest_step_factor:
        factors.append(factors[-1] * 1.05)
    low, high = 0, len(factors)  # factors[low] may be taken, factors[high] may not
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if reaches(factors[middle]) else (low, middle)
    return factors[low]


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def decode_toml(decoder: bytes, table_bytes: bytes, steps: np.ndarray) -> bytes:
    return f"""# What decoding needs; SHA-256 of this file's bytes is the decoder digest (docs/BITSTREAM.md).
bitstream = 1
family = "ae224"

[decoder]
file = "decoder.onnx"
sha256 = "{sha256(decoder)}"
output = "float32"
output_shift = 0
certified = false

[tables]
file = "tables.bin"
sha256 = "{sha256(table_bytes)}"

[latent]
channels = 3
stride = 2
steps = [{", ".join(repr(float(np.float32(s))) for s in steps)}]

[pixels]
channels = 3

[tiles]
size = {TILE}
encoder_halo = {HALO}
decoder_halo = {HALO}
""".encode()


def manifest_toml(config: Config, decode: bytes, encoder: bytes) -> str:
    lines = [f'id = "{config.id}"', f'family = "{config.family}"', f'modality = "{config.modality}"']
    if config.label:
        lines.append(f'label = "{config.label}"')
    if config.choose != "by-trial":
        lines.append(f'choose = "{config.choose}"')
    if config.dicom_modalities:
        lines.append(f"dicom_modalities = {json.dumps(config.dicom_modalities)}")
    lines += [f'licence = "{config.weights_licence}"', f'decode_sha256 = "{sha256(decode)}"', "", "[encoder]", 'file = "encoder.onnx"']
    return "\n".join([*lines, f'sha256 = "{sha256(encoder)}"', ""])


def calibration_pictures(training: list[Picture]) -> list[Picture]:
    """Pictures from the whole list, evenly: about 60 to 120, or as many as `CALIBRATION_PIXELS` allow."""
    pixels = sum(p.pixels.shape[0] * p.pixels.shape[1] for p in training)
    return training[:: max(1, len(training) // 60, math.ceil(pixels / CALIBRATION_PIXELS))]


def calibrated(trainer: Trainer, encoder, steps: np.ndarray, inputs: list[np.ndarray]) -> tuple[list[tables.Channel], list[np.ndarray]]:
    """The integer context model, fitted to the latents of training pictures, and those latents as the decoder gets them."""
    step = torch.from_numpy(steps)[None, :, None, None]
    with torch.no_grad():
        latents = [encoder(torch.from_numpy(x)) for x in inputs]
        decoded = [((y / step).round() * step).numpy() for y in latents]
    integers = [np.rint(y[0].numpy() / (steps * f)[:, None, None]).astype(np.int64) for y in latents for f in (1.0, 0.5, 2.5)]
    channels = tables.integer_channels(trainer.context)
    tables.calibrate(channels, integers)
    return channels, decoded


def precisions(encoder, decoder, inputs: list[np.ndarray], decoded: list[np.ndarray]) -> dict[str, dict[str, onnx.ModelProto]]:
    """Both halves, in f32 and in int8."""
    few = slice(None, None, max(1, len(inputs) // 16))
    encoder_weights, decoder_weights = weights(encoder), weights(decoder)
    return {
        "encoder": {
            "f32": graphs.encoder_f32(encoder_weights),
            "int8": graphs.encoder_int8(encoder_weights, activation_ranges(encoder, inputs[few])),
        },
        "decoder": {
            "f32": graphs.decoder_f32(decoder_weights),
            "int8": graphs.decoder_int8(decoder_weights, activation_ranges(decoder, decoded[few])),
        },
    }


def export(trainer: Trainer, pictures: Pictures, models: Path) -> Path:
    """Writes the model folder of a trained net and returns it."""
    config = trainer.config
    print(f"exporting {config.id} with the figures of {len(pictures.validation)} validation pictures", flush=True)
    encoder, decoder = trainer.averaged()
    trained = trainer.log_step.exp().numpy()
    factor = step_factor(encoder, decoder, trained, pictures.validation, config.quantiser)
    steps = np.float32(trained * factor)
    inputs = [padded(p) for p in calibration_pictures(pictures.training)]
    print(f"  entropy tables from {len(inputs)} training pictures", flush=True)
    channels, decoded = calibrated(trainer, encoder, steps, inputs)
    table_bytes = tables.serialise(channels)
    halves = precisions(encoder, decoder, inputs, decoded)
    sessions = {half: {kind: session(model) for kind, model in kinds.items()} for half, kinds in halves.items()}
    figures = {}
    for e, d in (("f32", "f32"), ("int8", "f32"), ("f32", "int8"), ("int8", "int8")):
        row = evaluate(sessions["encoder"][e], sessions["decoder"][d], steps, channels, pictures.validation)
        print(f"  {e}/{d} (encoder/decoder): SSIM {row['ssim']:.4f}, PSNR {row['psnr_db']:.2f} dB, {row['bpp']:.3f} bpp", flush=True)
        figures[f"{e}/{d}"] = row
    reference, most = figures["f32/f32"]["psnr_db"], config.quantiser.int8_tolerance_db
    kind = {
        "encoder": "int8" if reference - figures["int8/f32"]["psnr_db"] <= most else "f32",
        "decoder": "int8" if reference - figures["f32/int8"]["psnr_db"] <= most else "f32",
    }
    files = {f"{half}.onnx": halves[half][kind[half]].SerializeToString() for half in halves}
    decode = decode_toml(files["decoder.onnx"], table_bytes, steps)
    training = {
        "model": config.id,
        "kind": kind,
        "steps_trained": trainer.step,
        "step_factor": factor,
        "config": config.flat(),
        "changes": trainer.changes,
        "seconds": round(trainer.seconds, 1),
        "validation": figures,
        "training_pictures": len(pictures.training),
        "validation_pictures": len(pictures.validation),
        "left_out": [{"path": path, "why": why} for path, why in pictures.left_out],
        "licences": sorted({p.licence for p in pictures.training + pictures.validation}),
        "decoder_digest": sha256(decode),
        "pictures": [{"path": p.path, "licence": p.licence, "sha256": p.sha256} for p in pictures.training + pictures.validation],
        "history": trainer.history,
    }
    folder = models / config.id
    picture = io.BytesIO()
    curves.draw_for(training, picture)
    files |= {
        "curves.png": picture.getvalue(),
        "CARD.md": card.card(training, card.kept_figures(folder / "CARD.md", training)).encode(),
        "tables.bin": table_bytes,
        "decode.toml": decode,
        "manifest.toml": manifest_toml(config, decode, files["encoder.onnx"]).encode(),
        "training.json": (json.dumps(training, indent=1) + "\n").encode(),
    }
    write_folder(folder, files)
    print(f"wrote {folder}: encoder {kind['encoder']}, decoder {kind['decoder']}, decoder digest {sha256(decode)[:16]}…")
    return folder


def write_folder(folder: Path, files: dict[str, bytes]) -> None:
    """Writes all files beside their places first, so that a full disk leaves the old model whole."""
    staged: list[tuple[Path, Path]] = []
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, data in files.items():
            temporary = folder / f".{name}.new"
            staged.append((temporary, folder / name))
            temporary.write_bytes(data)
        for temporary, target in staged:
            temporary.replace(target)
    except OSError as error:
        raise SystemExit(f"cannot write the model to {folder}: {error.strerror}; the checkpoint is kept: make room, then run the same command") from None
    finally:
        for temporary, _ in staged:
            temporary.unlink(missing_ok=True)
        with contextlib.suppress(OSError):  # it is not empty: all is well
            folder.rmdir()
