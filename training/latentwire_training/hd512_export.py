"""Write `models/research/hd512/` from trained nets: ONNX halves with dense layers in few bits, integer tables, TOML, curves, card."""

from __future__ import annotations

import dataclasses
import io
import json
import platform
import tempfile
from pathlib import Path

import numpy as np
import onnx
import torch

from . import hd512_card, hd512_cost, hd512_curves, hd512_graphs, model_folder, tables
from .export import evaluate, session, to_picture, weights
from .hd512 import SIDE
from .hd512_config import Config
from .hd512_graphs import LATENT_SIDE
from .hd512_pictures import batch, whole
from .hd512_train import Fraction, constant_accuracy
from .model_folder import Tiles, manifest_toml, sha256, write_folder
from .pictures import Picture, Pictures, source_of
from .quality import measure

CALIBRATION = 160  # training pictures that set means and tables, at most
STEPS = tuple(float(np.float32(0.001 * 1.25**k)) for k in range(32))  # of the quantiser; the code's first number spreads by about 1
TILES = Tiles(size=SIDE, halo=0, whole=True)
LARGEST_FILE = 20_000_000  # bytes of a half


def scaled(pictures: list[Picture]) -> list[Picture]:
    return [dataclasses.replace(p, pixels=whole(p.pixels)) for p in pictures]


def pixels_of(picture: Picture) -> np.ndarray:
    return batch([picture.pixels]).contiguous().numpy()


@torch.no_grad()
def mean_features(run: Fraction, pictures: list[Picture]) -> np.ndarray:
    total = torch.zeros(run.encoder.dense.in_features, dtype=torch.double)
    for picture in pictures:
        total += run.encoder.features(batch([picture.pixels])).flatten().double()
    return (total / len(pictures)).float().numpy()


@torch.no_grad()
def balance_(run: Fraction, calibration: list[Picture]) -> None:
    """Scales and shifts each number of the code, and undoes it in the decoder, so that quantisers treat all alike; the nets compute the same.

    A number is scaled by the mean size of the decoder's weights for it: then those weights are alike in size, as blocks of four bits want
    them, and one quantiser step disturbs the picture alike whichever number it is. All are shifted to one mean, the largest, which the
    entropy coder then expects. ReLU allows both: s relu(x) = relu(s x) for s > 0, and what is shifted up is clipped no sooner.
    """
    mean = torch.zeros(run.encoder.dense.out_features)
    for picture in calibration:
        mean += run.encoder(batch([picture.pixels]))[0] / len(calibration)
    sizes = run.decoder.dense.weight.square().mean(dim=0).sqrt()
    scale = (sizes / sizes.max()).clamp_min(1e-4)
    shift = (scale * mean).max() - scale * mean
    run.encoder.dense.weight.mul_(scale[:, None])
    run.encoder.dense.bias.mul_(scale).add_(shift)
    run.decoder.dense.weight.div_(scale)
    run.decoder.dense.bias.sub_(run.decoder.dense.weight @ shift)


def small_halves(run: Fraction, calibration: list[Picture]) -> tuple[dict[str, onnx.ModelProto], list[np.ndarray]]:
    """Both halves in few bits, and the codes [1,1,16,16] that the encoder gives the calibration pictures."""
    w = weights(run.encoder)
    matrix = np.ascontiguousarray(w["dense.weight"].T)
    found = hd512_graphs.packed(matrix, hd512_graphs.BLOCK)
    bias = hd512_graphs.compensated(matrix, found, w["dense.bias"], mean_features(run, calibration))
    encoder = hd512_graphs.encoder(w, found, bias)
    net = session(encoder)
    codes = [net.run(None, {"pixels": pixels_of(p)})[0] for p in calibration]
    w = weights(run.decoder)
    matrix = np.ascontiguousarray(w["dense.weight"].T)
    found = hd512_graphs.mixed(matrix, hd512_graphs.EIGHT_BIT_ROWS, hd512_graphs.DECODER_BLOCK)
    bias = hd512_graphs.compensated(matrix, found, w["dense.bias"], np.mean(codes, axis=0).reshape(-1))
    return {"encoder": encoder, "decoder": hd512_graphs.decoder(w, found, bias)}, codes


def quantiser_step(encoder, decoder, pictures: list[Picture], most_db: float) -> tuple[float, float]:
    """The largest of STEPS at which quantising the code costs at most `most_db` on average, and what it costs."""
    codes = [encoder.run(None, {"pixels": pixels_of(p)})[0] for p in pictures]

    def psnr(step: float | None) -> float:
        given = codes if step is None else [np.rint(code / step).astype(np.float32) * np.float32(step) for code in codes]
        rows = [measure(p.pixels, to_picture(decoder.run(None, {"latent": y})[0], p), p.grey) for p, y in zip(pictures, given)]
        return float(np.mean([row["psnr_db"] for row in rows]))

    best, low, high = psnr(None), 0, len(STEPS)
    costs = {0: best - psnr(STEPS[0])}
    while high - low > 1:
        middle = (low + high) // 2
        costs[middle] = best - psnr(STEPS[middle])
        low, high = (middle, high) if costs[middle] <= most_db else (low, middle)
    return STEPS[low], costs[low]


def entropy_channel(codes: list[np.ndarray], step: float) -> list[tables.Channel]:
    """The integer context model: the code's neighbours are no neighbours in the picture, so its mean is a constant, its spread that of four.

    It fits the model's own steps; at others (`quantiser_step_percent`) the mean is off and coding takes more bits, no harm else.
    """
    integers = [np.rint(code[0] / step).astype(np.int64) for code in codes]
    mean = float(np.mean(integers))
    spread = float(np.mean(np.abs(np.stack(integers) - mean)))
    around = [(0, dy, dx, 65536 * 3 // 16) for dy, dx in ((0, -1), (-1, 0), (-1, -1), (-1, 1))]
    channels = [tables.Channel(int(round(mean * 65536)), [], int(round(spread * 65536 / 4)), around)]
    tables.calibrate(channels, integers)
    return channels


def decode_toml(decoder: bytes, table_bytes: bytes, step: float) -> bytes:
    return model_folder.decode_toml("hd512", "research", decoder, table_bytes, [step], SIDE // LATENT_SIDE, TILES)


def by_source(encoder, decoder, step: float, channels: list[tables.Channel], pictures: list[Picture]) -> dict[str, dict]:
    """Mean figures of all pictures and of each source; empty without pictures."""
    steps, found = np.float32([step]), {}
    if not pictures:
        return found
    for name in ["all", *sorted({source_of(p.path) for p in pictures})]:
        chosen = [p for p in pictures if name in ("all", p.source)]
        found[name] = {"n": len(chosen), **evaluate(encoder, decoder, steps, channels, chosen)}
    return found


def machine() -> str:
    """The processor's name, or what stands for it."""
    try:
        names = [line.split(":", 1)[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
    except OSError:
        names = []
    return names[0] if names else platform.machine()


def export(run: Fraction, logs: list[dict], pictures: Pictures, test: list[Picture], models: Path) -> Path:
    """Writes the model folder of the run over all pictures, and returns it."""
    config: Config = run.config
    every = max(1, len(pictures.training) // CALIBRATION)
    print(f"exporting {config.id}: dense layers in few bits", flush=True)
    calibration = scaled(pictures.training[::every])
    balance_(run, calibration)
    halves, codes = small_halves(run, calibration)
    sessions = {half: session(model) for half, model in halves.items()}
    validation = run.validation
    step, cost = quantiser_step(sessions["encoder"], sessions["decoder"], validation, config.quantiser.largest_loss_db)
    print(f"  quantiser step {step:.4f}: costs {cost:.3f} dB", flush=True)
    channels = entropy_channel(codes, step)
    figures = {}
    wide = {"encoder": session(hd512_graphs.encoder(weights(run.encoder))), "decoder": session(hd512_graphs.decoder(weights(run.decoder)))}
    for name, encoder, decoder in (("f32/f32", wide, wide), ("small/f32", sessions, wide), ("f32/small", wide, sessions), ("small/small", sessions, sessions)):
        row = evaluate(encoder["encoder"], decoder["decoder"], np.float32([step]), channels, validation)
        figures[name] = {"n": len(validation), **row}
        print(f"  {name} (encoder/decoder): SSIM {row['ssim']:.4f}, PSNR {row['psnr_db']:.2f} dB, {row['bpp']:.4f} bpp", flush=True)
    del wide
    files = {f"{half}.onnx": model.SerializeToString() for half, model in halves.items()}
    for name, data in files.items():
        if len(data) > LARGEST_FILE:
            raise SystemExit(f"{name} would take {len(data):,} bytes, above {LARGEST_FILE:,}")
    table_bytes = tables.serialise(channels)
    decode = decode_toml(files["decoder.onnx"], table_bytes, step)
    training = {
        "model": config.id,
        "kind": {"encoder": "dense layer 4 bits a weight, convolutions f32", "decoder": "dense layer 4 bits a weight (8 inputs of 256: 8), convolutions f32"},
        "config": config.flat(),
        "fractions": logs,
        "constant_grey": constant_accuracy(validation),
        "step": step,
        "step_loss_db": cost,
        "validation": figures,
        "test": by_source(sessions["encoder"], sessions["decoder"], step, channels, scaled(test)),
        "machine": machine(),
        "cost": costs_of(files),
        "training_pictures": len(pictures.training),
        "validation_pictures": len(pictures.validation),
        "left_out": [{"path": path, "why": why} for path, why in pictures.left_out],
        "licences": sorted({p.licence for p in pictures.training + pictures.validation}),
        "decoder_digest": sha256(decode),
        "pictures": [{"path": p.path, "licence": p.licence, "sha256": p.sha256} for p in pictures.training + pictures.validation],
    }
    image = io.BytesIO()
    hd512_curves.draw(training["fractions"], training["constant_grey"], image)
    files |= {
        "tables.bin": table_bytes,
        "decode.toml": decode,
        "manifest.toml": manifest_toml(config, decode, files["encoder.onnx"]),
        "training.json": (json.dumps(training, indent=1) + "\n").encode(),
        "curves.png": image.getvalue(),
        "CARD.md": hd512_card.card(training).encode(),
    }
    folder = models / config.id
    write_folder(folder, files)
    print(f"wrote {folder}: decoder digest {sha256(decode)[:16]}…")
    return folder


def costs_of(files: dict[str, bytes]) -> dict[str, dict]:
    with tempfile.TemporaryDirectory() as place:
        found = {}
        for half in hd512_cost.SHAPES:
            path = Path(place) / f"{half}.onnx"
            path.write_bytes(files[path.name])
            found[half] = hd512_cost.measure(half, path)
        return found
