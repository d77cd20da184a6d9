"""Write `models/<id>/` from a trained net: ONNX halves, integer tables, `decode.toml`, `manifest.toml`, curves, model card.

An int8 half of a product's net ships where the validation pictures lose at most `quantiser.int8_tolerance_db` against f32; the card
states both. Nets for research and denoising ship in f32. A family with more latent channels than the entropy coder takes is written
as its two halves, card and curves alone: services pass such a folder over.
"""

from __future__ import annotations

import io
import json
import math
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import torch

from . import card, curves, denoising, graphs, tables
from .config import Config, Quantiser
from .model_folder import Tiles, decode_toml, manifest_toml, sha256, write_folder
from .noise import noisy_planes
from .pictures import Picture, Pictures, padded, scaled
from .quality import measure, similarity_at_range_2
from .trainer import Trainer

TILES = Tiles(size=1024, halo=32)
MOST_CHANNELS = 16  # of a latent that the entropy coder takes
CALIBRATION_PIXELS = 16 << 20  # of all calibration pictures together: the tables take about 150 bytes of memory a pixel


def weights(module: torch.nn.Module) -> graphs.Weights:
    return {k: v.detach().float().contiguous().numpy() for k, v in module.state_dict().items()}


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


def evaluate(encoder, decoder, steps: np.ndarray, channels: list[tables.Channel], pictures: list[Picture], stride: int = 2) -> dict:
    """Mean figures of ONNX halves on whole pictures, bits counted by the integer tables."""
    rows = []
    for picture in pictures:
        latent = encoder.run(None, {"pixels": padded(picture, stride)})[0]
        q = np.rint(latent[0] / steps[:, None, None]).astype(np.int64)
        output = decoder.run(None, {"latent": (q[None] * steps[None, :, None, None]).astype(np.float32)})[0]
        bits = count_bits(channels, q) / (picture.pixels.shape[0] * picture.pixels.shape[1])
        rows.append({**measure(picture.pixels, to_picture(output, picture), picture.grey), "bpp": bits})
    return {k: float(np.mean([row[k] for row in rows])) for k in rows[0]}


def evaluate_unquantised(encoder, decoder, pictures: list[Picture], stride: int) -> dict:
    """The same with the f32 latent, at 32 bits a value."""
    rows = []
    for picture in pictures:
        latent = encoder.run(None, {"pixels": padded(picture, stride)})[0]
        output = decoder.run(None, {"latent": latent})[0]
        bits, shown = 32 * latent.size / (picture.pixels.shape[0] * picture.pixels.shape[1]), to_picture(output, picture)
        rows.append({**measure(picture.pixels, shown, picture.grey), "ssim_range_2": similarity_at_range_2(picture.pixels, shown), "bpp": bits})
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


@torch.no_grad()
def step_factor(encoder, decoder, trained: np.ndarray, pictures: list[Picture], options: Quantiser, stride: int = 2) -> float:
    """Largest factor of the trained steps, in steps of 5 %, at which the mean validation SSIM still reaches both targets.

    Found by halving: SSIM falls as the steps grow. Factor 1 stands where even that misses a target.
    """
    sets = [("at native size", pictures, options.validation_ssim)]
    if options.validation_ssim_224 > 0:  # 0: the recipe has one size
        sets.insert(0, ("at 224x224", [scaled(picture, 224) for picture in pictures], options.validation_ssim_224))
    latents = [[encoder(torch.from_numpy(padded(p, stride))) for p in chosen] for _, chosen, _ in sets]

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


def calibration_pictures(training: list[Picture]) -> list[Picture]:
    """Pictures from the whole list, evenly: about 60 to 120, or as many as `CALIBRATION_PIXELS` allow."""
    pixels = sum(p.pixels.shape[0] * p.pixels.shape[1] for p in training)
    return training[:: max(1, len(training) // 60, math.ceil(pixels / CALIBRATION_PIXELS))]


def calibration_inputs(config: Config, training: list[Picture], stride: int) -> list[np.ndarray]:
    """Calibration pictures as the encoder sees them; for a denoising net, every other one with a noise."""
    inputs = [padded(p, stride) for p in calibration_pictures(training)]
    rng = np.random.default_rng(config.schedule.seed)
    levels = list(config.noise.levels.items())
    if config.noise.share:
        for place, i in enumerate(range(1, len(inputs), 2)):
            inputs[i] = noisy_planes(inputs[i][0], *levels[place % len(levels)], rng)[None]
    return inputs


def calibrated(trainer: Trainer, encoder, steps: np.ndarray, inputs: list[np.ndarray]) -> tuple[list[tables.Channel], list[np.ndarray]]:
    """The integer context model, fitted to the latents of training pictures, and those latents as the decoder gets them."""
    step = torch.from_numpy(steps)[None, :, None, None]
    with torch.no_grad():
        latents = [encoder(torch.from_numpy(x)) for x in inputs]
        decoded = [((y / step).round() * step).numpy() for y in latents]
    trainer.fit_context(latents, steps)
    integers = [np.rint(y[0].numpy() / (steps * f)[:, None, None]).astype(np.int64) for y in latents for f in (1.0, 0.5, 2.5)]
    channels = tables.integer_channels(trainer.context)
    tables.calibrate(channels, integers)
    return channels, decoded


def precisions(trainer: Trainer, encoder, decoder, inputs: list[np.ndarray], decoded: list[np.ndarray]) -> dict[str, dict[str, onnx.ModelProto]]:
    """Both halves in f32, and those of a product's net in int8 as well."""
    few = slice(None, None, max(1, len(inputs) // 16))
    encoder_weights, decoder_weights, pools = weights(encoder), weights(decoder), trainer.family.pools
    halves = {"encoder": {"f32": graphs.encoder_f32(encoder_weights, pools)}, "decoder": {"f32": graphs.decoder_f32(decoder_weights, pools)}}
    if trainer.config.purpose == "product":
        halves["encoder"]["int8"] = graphs.encoder_int8(encoder_weights, activation_ranges(encoder, inputs[few]))
        halves["decoder"]["int8"] = graphs.decoder_int8(decoder_weights, activation_ranges(decoder, decoded[few]))
    return halves


def chosen_precisions(figures: dict[str, dict], most_db: float) -> dict[str, str]:
    """int8 for a half that has it and loses at most so much against f32."""
    reference = figures["f32/f32"]["psnr_db"]
    alone = {"encoder": "int8/f32", "decoder": "f32/int8"}
    return {half: "int8" if pair in figures and reference - figures[pair]["psnr_db"] <= most_db else "f32" for half, pair in alone.items()}


def export(trainer: Trainer, pictures: Pictures, models: Path) -> Path:
    """Writes the model folder of a trained net and returns it."""
    config = trainer.config
    print(f"exporting {config.id} with the figures of {len(pictures.validation)} validation pictures", flush=True)
    encoder, decoder = trainer.averaged()
    shown = trainer.as_trained(pictures)
    training = described(trainer, pictures)
    if trainer.family.latent_channels > MOST_CHANNELS:
        files = unserved(trainer, encoder, decoder, shown, training)
    else:
        files = served(trainer, encoder, decoder, shown, training)
    folder = models / config.id
    picture = io.BytesIO()
    curves.draw_for(training, picture)
    files |= {
        "curves.png": picture.getvalue(),
        "CARD.md": card.card(training, card.kept_figures(folder / "CARD.md", training)).encode(),
        "training.json": (json.dumps(training, indent=1) + "\n").encode(),
    }
    write_folder(folder, files)
    digest = f", decoder digest {training['decoder_digest'][:16]}…" if "decoder_digest" in training else ", the two halves alone"
    print(f"wrote {folder}: encoder {training['kind']['encoder']}, decoder {training['kind']['decoder']}{digest}")
    return folder


def described(trainer: Trainer, pictures: Pictures) -> dict:
    """What `training.json` says of the training itself."""
    return {
        "model": trainer.config.id,
        "steps_trained": trainer.step,
        "config": trainer.config.flat(),
        "changes": trainer.changes,
        "seconds": round(trainer.seconds, 1),
        "training_pictures": len(pictures.training),
        "validation_pictures": len(pictures.validation),
        "left_out": [{"path": path, "why": why} for path, why in pictures.left_out],
        "licences": sorted({p.licence for p in pictures.training + pictures.validation}),
        "pictures": [{"path": p.path, "licence": p.licence, "sha256": p.sha256} for p in pictures.training + pictures.validation],
        "history": trainer.history,
    }


def unserved(trainer: Trainer, encoder, decoder, shown: Pictures, training: dict) -> dict[str, bytes]:
    """The two halves in f32 of a net whose latent is never coded; adds the figures to `training`."""
    halves = precisions(trainer, encoder, decoder, [], [])
    files = {f"{half}.onnx": kinds["f32"].SerializeToString() for half, kinds in halves.items()}
    training["kind"] = {half: "f32" for half in halves}
    training["validation"] = {"f32 latent": evaluate_unquantised(*(session(halves[h]["f32"]) for h in halves), shown.validation, trainer.family.stride)}
    return files


def served(trainer: Trainer, encoder, decoder, shown: Pictures, training: dict) -> dict[str, bytes]:
    """All files that services read; adds figures, precisions and digest to `training`."""
    config, stride = trainer.config, trainer.family.stride
    options = trainer.before_export(encoder, decoder, shown)
    trained = trainer.log_step.exp().numpy()
    factor = step_factor(encoder, decoder, trained, shown.validation, options, stride)
    steps = np.float32(trained * factor)
    inputs = calibration_inputs(config, shown.training, stride)
    print(f"  entropy tables from {len(inputs)} training pictures", flush=True)
    channels, decoded = calibrated(trainer, encoder, steps, inputs)
    table_bytes = tables.serialise(channels)
    halves = precisions(trainer, encoder, decoder, inputs, decoded)
    sessions = {half: {kind: session(model) for kind, model in kinds.items()} for half, kinds in halves.items()}
    figures = {}
    for e, d in (("f32", "f32"), ("int8", "f32"), ("f32", "int8"), ("int8", "int8")):
        if e in sessions["encoder"] and d in sessions["decoder"]:
            row = evaluate(sessions["encoder"][e], sessions["decoder"][d], steps, channels, shown.validation, stride)
            print(f"  {e}/{d} (encoder/decoder): SSIM {row['ssim']:.4f}, PSNR {row['psnr_db']:.2f} dB, {row['bpp']:.3f} bpp", flush=True)
            figures[f"{e}/{d}"] = row
    kind = chosen_precisions(figures, config.quantiser.int8_tolerance_db)
    if config.purpose != "product":
        f32 = (sessions["encoder"]["f32"], sessions["decoder"]["f32"])
        figures["f32 latent"] = evaluate_unquantised(*f32, shown.validation, stride)
        if config.purpose == "denoising":
            training["denoising"] = denoising.figures(*f32, steps, config, shown.validation)
    files = {f"{half}.onnx": halves[half][kind[half]].SerializeToString() for half in halves}
    decode = decode_toml(config.family, config.purpose, files["decoder.onnx"], table_bytes, steps, stride, TILES)
    training |= {"kind": kind, "step_factor": factor, "validation": figures, "decoder_digest": sha256(decode)}
    files |= {"tables.bin": table_bytes, "decode.toml": decode, "manifest.toml": manifest_toml(config, decode, files["encoder.onnx"])}
    return files
