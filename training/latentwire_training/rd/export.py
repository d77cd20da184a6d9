"""Write `models/<id>/` from a trained `rd` net: ONNX halves, integer tables, `decode.toml`, `manifest.toml`, curves, model card."""

from __future__ import annotations

import io
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnxruntime
import torch
import torch.nn.functional as F

from ..export import session
from ..model_folder import sha256, write_folder
from ..pictures import Picture, Pictures
from ..quality import measure
from . import card, graphs, tables
from .check import fixed_latent, output_sha256
from .levels import BLOCK
from .trainer import LARGEST_LEVEL, Codec, Trainer, bpp_at, padded, smaller

KNOBS = range(-48, 65, 8)  # of the rate curve, in 1/16 octave
CALIBRATION_KNOBS = (-20, -4, 4, 14, 26)
CALIBRATION_PICTURES = 60
PERCENTILE = 1e-4  # of activations beyond the range that 8 bits hold
CHECK_SEED, CHECK_SIDE = 1, 8
TILE, HALO = 1024, 64


@dataclass(frozen=True)
class Halves:
    """What a service would run, and what it would code with."""

    encoder: onnxruntime.InferenceSession
    decoder: onnxruntime.InferenceSession
    steps: list[int]
    dead_zone: float
    error_weight: float

    def values(self, pixels: np.ndarray) -> np.ndarray:
        """Latent before quantisation of uint8 [H, W, P]."""
        return self.encoder.run(None, {"pixels": (padded(pixels) / 255).numpy()})[0][0]

    def in_steps(self, values: np.ndarray, knob: int) -> np.ndarray:
        """float [C, h, w]: whole levels, and coefficients over their blocks' steps (docs/BITSTREAM.md)."""
        levels = np.clip(np.rint(values[:1]), 0, LARGEST_LEVEL).astype(np.int64)
        steps = np.stack([tables.steps_at(base, 4 * levels[0] + knob) for base in self.steps[1:]])
        return np.concatenate([levels, values[1:] / steps])

    def quantised(self, values: np.ndarray, knob: int) -> np.ndarray:
        """int64 [C, h, w] with a dead zone: what the first tables are counted from."""
        wanted = self.in_steps(values, knob)
        q = np.sign(wanted) * np.floor(np.abs(wanted) + 0.5 - self.dead_zone)
        return np.concatenate([wanted[:1], q[1:]]).astype(np.int64)

    def chosen(self, table: tables.Tables, values: np.ndarray, knob: int, known: list) -> np.ndarray:
        """int64 [C, h, w], nearly as the sender chooses."""
        return tables.chosen(table, self.in_steps(values, knob), knob, self.steps, self.error_weight, known)

    def restored(self, q: np.ndarray, knob: int, shape: tuple[int, int]) -> np.ndarray:
        """uint8 [H, W, P], rounded as receivers round."""
        octaves, k, _ = tables.dequantised(q, knob, self.steps)
        latent = np.concatenate([octaves[None], k[1:]])[None].astype(np.float32)
        x = self.decoder.run(None, {"latent": latent})[0][0].astype(np.int64)
        one = 1 << graphs.OUTPUT_SHIFT
        value = (2 * np.clip(x, 0, one) * 255 + one) // (2 * one)
        return value.astype(np.uint8).transpose(1, 2, 0)[: shape[0], : shape[1]]


def weights(module: torch.nn.Module) -> graphs.Weights:
    return {k: v.detach().float().contiguous().numpy() for k, v in module.state_dict().items()}


@torch.no_grad()
def ranges_of(net: Codec, pictures: list[np.ndarray], dead_zone: float) -> tuple[graphs.EncoderRanges, graphs.Ranges]:
    """Largest activations of both branches over pictures and knobs, but for the largest `PERCENTILE` of each picture."""
    seen: dict[str, list] = {}

    def keep(name: str):
        def hook(_module, _input, output):
            output = F.relu(output)
            if name == "synthesis.up":
                output = F.pixel_shuffle(output, 2).transpose(0, 1).flatten(1)
            else:
                output = output.flatten()[None]
            count = max(1, int(output.shape[1] * PERCENTILE))
            seen.setdefault(name, []).append(output.topk(count, dim=1).values[:, -1].numpy())

        return hook

    encoder = [f"analysis.{name}" for name in ("fine1", "fine2", "down", "coarse")]
    decoder = [f"synthesis.{name}" for name in ("coarse1", "coarse2", "up", "fine1", "fine2")]
    handles = [net.get_submodule(name).register_forward_hook(keep(name)) for name in encoder + decoder]
    for pixels in pictures:
        for knob in (-1.5, 0.0, 1.5):
            net(padded(pixels), torch.full((1, 1, 1, 1), knob), dead_zone)
    for handle in handles:
        handle.remove()
    most = {name: np.maximum(np.max(np.stack(values), axis=0), 1e-3) for name, values in seen.items()}
    one = {name: values if name == "synthesis.up" else float(values[0]) for name, values in most.items()}
    return graphs.EncoderRanges(*(one[name] for name in encoder)), graphs.Ranges(*(one[name] for name in decoder))


def fitted_context(halves: Halves, latents: list[tuple[np.ndarray, int]], mean_weight: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(bias [C], weight [9, C]) of the coefficients' contexts, in octaves: the likeliest for integer latents of training pictures."""
    predicted = mean_weight.shape[0] + 1
    taps = [tables.level_taps(latents)]
    taps += [[(k + 1, dy, dx, v) for k, dy, dx, v in tables.integer_taps(mean_weight[c])] for c in range(predicted - 1)]
    known = [tables.residuals(predicted, taps, q, knob, halves.steps).error for q, knob in latents]
    found = [tables.features(error, 4 * q[0] + knob) for error, (q, knob) in zip(known, latents, strict=True)]
    count = len(halves.steps)
    bias, weight = np.zeros(count - 1), np.zeros((tables.FEATURES, count - 1))
    for c in range(1, count):
        x = np.concatenate([f[:, c].reshape(tables.FEATURES, -1) for f in found], axis=1)
        e = np.concatenate([k[c].ravel() for k in known])
        q8, w8 = tables.log_linear(x, e)
        bias[c - 1], weight[:, c - 1] = q8 / 256, np.array(w8) / 256
    return bias, weight


def fitted_tables(halves: Halves, pictures: list[np.ndarray], mean_weight: np.ndarray) -> tables.Tables:
    """From what a dead zone leaves of training pictures, and once more from what a sender with those tables would choose."""
    at = [(halves.values(pixels), CALIBRATION_KNOBS[k % 5]) for i, pixels in enumerate(pictures) for k in (i, i + 2)]
    latents = [(halves.quantised(values, knob), knob) for values, knob in at]
    for last in (False, True):
        bias, weight = fitted_context(halves, latents, mean_weight)
        table, _ = tables.calibrate(bias, weight, mean_weight, halves.steps, latents)
        if not last:
            known = [tables.costs(group) for group in table.groups]
            latents = [(halves.chosen(table, values, knob, known), knob) for values, knob in at]
    return table


def rate_curves(halves: Halves, table: tables.Tables, pictures: list[np.ndarray], grey: bool) -> list[dict]:
    """Mean SSIM, PSNR and bits a pixel (by the integer tables, a tile's head not counted) at each knob, and every picture's own."""
    rows = {knob: [] for knob in KNOBS}
    known = [tables.costs(group) for group in table.groups]
    for pixels in pictures:
        values = halves.values(pixels)
        for knob in KNOBS:
            q = halves.chosen(table, values, knob, known)
            out = halves.restored(q, knob, pixels.shape[:2])
            whole = (*pixels.shape[:2], 3)
            fidelity = measure(np.broadcast_to(pixels, whole), np.broadcast_to(out, whole), grey)
            bits = tables.bits(table, q, knob, halves.steps, known).sum() / (pixels.shape[0] * pixels.shape[1])
            rows[knob].append({"ssim": fidelity["ssim"], "psnr_db": fidelity["psnr_db"], "bpp": float(bits)})
    return [{"knob": knob, **{k: float(np.mean([r[k] for r in found])) for k in found[0]}, "pictures": found} for knob, found in rows.items()]


def equal(curve: list[dict], measure_: str, goal: float) -> float:
    count = len(curve[0]["pictures"])
    return float(np.mean([bpp_at([(row["pictures"][i][measure_], row["pictures"][i]["bpp"]) for row in curve], goal) for i in range(count)]))


def decode_toml(decoder: bytes, table_bytes: bytes, steps: list[int], planes: int) -> bytes:
    check = output_sha256(decoder, fixed_latent(CHECK_SEED, len(steps), CHECK_SIDE, CHECK_SIDE))
    return f"""# What decoding needs; SHA-256 of this file's bytes is the decoder digest (docs/BITSTREAM.md).
bitstream = 1
family = "rd"

[decoder]
file = "decoder.onnx"
sha256 = "{sha256(decoder)}"
output = "int32"
output_shift = {graphs.OUTPUT_SHIFT}
certified = true

[decoder.check]
seed = {CHECK_SEED}
height = {CHECK_SIDE}
width = {CHECK_SIDE}
sha256 = "{check}"

[tables]
file = "tables.bin"
sha256 = "{sha256(table_bytes)}"

[latent]
channels = {len(steps)}
stride = {BLOCK}
quantiser = "levels"
steps = [{", ".join(str(s) for s in steps)}]

[pixels]
channels = {planes}

[tiles]
size = {TILE}
encoder_halo = {HALO}
decoder_halo = {HALO}
""".encode()


def manifest_toml(config, decode: bytes, encoder: bytes, curve: list[dict]) -> bytes:
    lines = [f'id = "{config.id}"', f'family = "{config.family}"', f'modality = "{config.modality}"']
    if config.label:
        lines.append(f'label = "{config.label}"')
    if config.choose != "by-trial":
        lines.append(f'choose = "{config.choose}"')
    if config.dicom_modalities:
        lines.append(f"dicom_modalities = {json.dumps(config.dicom_modalities)}")
    lines += [f'licence = "{config.weights_licence}"', f'decode_sha256 = "{sha256(decode)}"', "", "[encoder]", 'file = "encoder.onnx"']
    lines += [f'sha256 = "{sha256(encoder)}"', f"error_weight = {config.quantiser.error_weight}", "", "[encoder.rate]"]
    for name, digits in (("ssim", 5), ("psnr_db", 2)):
        points = ", ".join(f"[{row['knob']}, {round(row[name], digits)}]" for row in curve)
        lines.append(f"{name} = [{points}]")
    return "\n".join([*lines, ""]).encode()


def export(trainer: Trainer, pictures: Pictures, models: Path) -> Path:
    """Writes the model folder of a trained net and returns it."""
    config = trainer.config
    planes, grey = config.net.planes, config.net.planes == 1
    net = trainer.averaged()
    few = pictures.training[:: max(1, len(pictures.training) // CALIBRATION_PICTURES)]
    scales = np.linspace(*config.crops.scale, len(few))
    shown = [smaller(p, float(s), planes) for p, s in zip(few, scales, strict=True)]
    print(f"exporting {config.id}: ranges, contexts and tables from {len(shown)} training pictures", flush=True)
    seen_by_encoder, seen_by_decoder = ranges_of(net, shown[::3], config.quantiser.dead_zone)
    decoder = graphs.decoder(weights(net.synthesis), seen_by_decoder, planes)
    encoder = graphs.encoder(weights(net.analysis), seen_by_encoder, planes)
    octaves = net.steps.octaves.detach().numpy().reshape(-1)
    steps = [1] + [int(max(1, round(2.0**o * graphs.units_per_grey(planes) * 256))) for o in octaves]
    halves = Halves(session(encoder), session(decoder), steps, config.quantiser.dead_zone, config.quantiser.error_weight)
    mean_weight = (net.context.mean_weight * net.context.mask).detach().double().numpy()
    table = fitted_tables(halves, shown, mean_weight)
    table_bytes, encoder_bytes, decoder_bytes = tables.serialise(table), encoder.SerializeToString(), decoder.SerializeToString()
    judged = [smaller(p, config.validation_scale, planes) for p in pictures.validation]
    curve = rate_curves(halves, table, judged, grey)
    decode = decode_toml(decoder_bytes, table_bytes, steps, planes)
    training = {
        **described(trainer, pictures),
        "decoder_digest": sha256(decode),
        "validation": [{k: round(v, 5) for k, v in row.items() if k != "pictures"} for row in curve],
        "validation_bpp": {"ssim_095": round(equal(curve, "ssim", 0.95), 5), "psnr_38_db": round(equal(curve, "psnr_db", 38.0), 5)},
        "macs_per_pixel": macs(net),
    }
    picture = io.BytesIO()
    card.draw(training, picture)
    folder = models / config.id
    write_folder(folder, {
        "encoder.onnx": encoder_bytes, "decoder.onnx": decoder_bytes, "tables.bin": table_bytes, "decode.toml": decode,
        "manifest.toml": manifest_toml(config, decode, encoder_bytes, curve), "curves.png": picture.getvalue(),
        "training.json": (json.dumps(training, indent=1) + "\n").encode(), "CARD.md": card.card(training).encode(),
    })
    bpp = training["validation_bpp"]
    print(f"wrote {folder}: {bpp['ssim_095']:.4f} bits a pixel at SSIM 0.95, {bpp['psnr_38_db']:.4f} at 38 dB (validation), decoder digest {training['decoder_digest'][:16]}…")
    return folder


def macs(net: Codec) -> dict[str, float]:
    """Multiplications a pixel of each half, its linear transform in the decoder counted four times (two splits of eight bits)."""
    found = {}
    for half, module, fine in (("encoder", net.analysis, ("fine1", "fine2")), ("decoder", net.synthesis, ("fine1", "fine2", "last"))):
        total = 0.0
        for name, layer in module.named_children():
            products = layer.weight.numel() * (4 if half == "decoder" and name == "linear" else 1)
            total += products / (64 if name in fine else 256)
        found[half] = round(total, 1)
    found["encoder_f32"] = round(net.analysis.linear.weight.numel() / 256, 1)
    return found


def described(trainer: Trainer, pictures: Pictures) -> dict:
    """What `training.json` says of the training itself."""

    def listed(found: list[Picture]) -> list[dict]:
        return [{"path": p.path, "licence": p.licence, "sha256": p.sha256} for p in found]

    return {
        "model": trainer.config.id,
        "steps_trained": trainer.step,
        "began_with": trainer.began_with,
        "config": trainer.config.flat(),
        "seconds": round(trainer.seconds, 1),
        "threads": torch.get_num_threads(),
        "training_pictures": len(pictures.training),
        "validation_pictures": len(pictures.validation),
        "left_out": [{"path": path, "why": why} for path, why in pictures.left_out],
        "licences": sorted({p.licence for p in pictures.training + pictures.validation}),
        "pictures": listed(pictures.training + pictures.validation),
        "history": trainer.history,
    }
