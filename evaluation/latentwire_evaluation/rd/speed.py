"""One core, 512x512: both nets against the arithmetic floor, the entropy coder, and the codecs beside them."""

from __future__ import annotations

import re
import statistics
import subprocess
import tempfile
import tomllib
from pathlib import Path

import numpy as np
from PIL import Image

from ..measure import fidelity
from ..rate_distortion.codecs import once
from ..report.context import Context
from ..report.page import Page
from ..services import NotDelivered
from ..testset import FOLDERS, spread, usable
from . import cost, tables
from .grid import BY_NAME, SETTINGS

SIDE, PICTURES = 512, 5
NET_RUNS, CODEC_RUNS, JOURNEY_ROUNDS = 31, 5, 10
SSIM = 0.95
# The aims of issue 6, milliseconds.
AIMS = {"encoder": 6.0, "decoder": 12.0, "code_ms": 2.0, "decode_ms": 2.0}
_INTEGERS = {"tensor(int8)": np.int8, "tensor(uint8)": np.uint8, "tensor(int16)": np.int16, "tensor(int32)": np.int32, "tensor(int64)": np.int64}

TEXT = """
Milliseconds of processor time for {side}x{side} pixels, medians on one core: the nets by ONNX Runtime in this process, one thread; the entropy coder {coder}.
*Floor* is the net's multiplications over what this core reached in a large product of matrices in the same run: {peak}. {counted}

{models}

Today's codecs on {count} grey pictures of the same size, at their first setting with SSIM {ssim} or more:

{codecs}
"""
BY_JOURNEY = "in the product's own code by processor time (`journey_cost`, means)"
BY_SERVICES = "as the running services state it (wall-clock time): *encoder* quantises and codes, *decoder* is the receiver's whole decode of a TIFF file less the decoder net, so at most that"


def run(context: Context) -> Page:
    names = [name for modality in FOLDERS for name in context.family_models(modality)]
    if not names:
        raise ValueError(f"no model of family {context.family} in {context.models}")
    peak = cost.peak()
    models: dict[str, dict] = {}
    for index, name in enumerate(names):
        models[name] = {half: net(context.models / name, half, peak) for half in ("encoder", "decoder")}
        models[name] |= coder(context, name, models[name]["decoder"]["median_ms"])
        context.tick((index + 1) / (len(names) + 1))
    figures = {"peak": peak, "models": models, "codecs": codecs(context)}
    text = TEXT.format(
        side=SIDE, coder=BY_JOURNEY if all(one["coder_by"] == "journey_cost" for one in models.values()) else BY_SERVICES,
        peak=f"{peak['f32'] / 1e9:.0f} thousand million f32 and {peak['int8'] / 1e9:.0f} thousand million 8-bit multiplications a second",
        counted=" ".join(f"`{name}`: encoder {said(one['encoder'])}, decoder {said(one['decoder'])}." for name, one in models.items()),
        models=tables.speed(figures), count=PICTURES, ssim=SSIM, codecs=tables.codec_speed(figures),
    )  # fmt: skip
    return Page(text, {"rd_speed": figures}, [finding(models)])


def said(half: dict) -> str:
    kinds = [f"{half[f'{kind}_products'] / 1e6:.0f} million {word}" for kind, word in (("int8", "8-bit"), ("f32", "f32")) if half.get(f"{kind}_products")]
    return " and ".join(kinds) + " multiplications" if kinds else "not counted"


def net(folder: Path, half: str, peak: dict[str, float]) -> dict:
    """Median time of one half, and the least that its multiplications could take."""
    path = folder / f"{half}.onnx"
    session = cost.session(path)
    feed = inputs(session, tomllib.loads((folder / "decode.toml").read_text(encoding="utf-8")), half)
    median = cost.median(lambda: session.run(None, feed), NET_RUNS)
    row = {"median_ms": median, "floor_ms": None, "times_floor": None}
    try:
        counted = cost.products(path, feed)
    except cost.NotCounted as error:
        return {**row, "why": str(error)}
    floor = (counted.int8 / peak[cost.INT8] + counted.f32 / peak[cost.F32]) * 1e3
    return {**row, "int8_products": counted.int8, "f32_products": counted.f32, "floor_ms": floor, "times_floor": median / floor if floor else None}


def inputs(session, decode: dict, half: str) -> dict[str, np.ndarray]:
    """Made-up inputs of the size that SIDE x SIDE pixels come to. Free sides are the picture's for the encoder (blocks of pixels, if it has more
    channels than a pixel), the latent's for the decoder."""
    rng, feed = np.random.default_rng(1), {}
    for one in session.get_inputs():
        channels = one.shape[1] if len(one.shape) == 4 and isinstance(one.shape[1], int) else decode["pixels"]["channels"]
        side = SIDE // decode["latent"]["stride"] if half == "decoder" else round(SIDE / (channels / decode["pixels"]["channels"]) ** 0.5)
        free = [1, channels, side, side] if len(one.shape) == 4 else [1] * len(one.shape)
        shape = [length if isinstance(length, int) else free[axis] for axis, length in enumerate(one.shape)]
        if one.type in _INTEGERS:
            feed[one.name] = rng.integers(0, 8, shape).astype(_INTEGERS[one.type])
        else:
            feed[one.name] = rng.random(shape, np.float32).astype(np.float16 if one.type == "tensor(float16)" else np.float32)
    return feed


def squares(context: Context, modality: str) -> list[np.ndarray]:
    found = usable(context.data / FOLDERS[modality] / "test", PICTURES, context.left_out, spread)
    return [np.asarray(Image.fromarray(pixels).resize((SIDE, SIDE), Image.Resampling.LANCZOS)) for _, pixels in found]


def coder(context: Context, name: str, decoder_ms: float) -> dict:
    """The entropy coder each way on real pictures."""
    modality = name.split("-")[1]
    code, decode, tool = [], [], context.binaries / "examples/journey_cost"
    with tempfile.TemporaryDirectory() as temporary:
        for index, pixels in enumerate(squares(context, modality)):
            path = Path(temporary) / f"{index}.tiff"
            Image.fromarray(pixels).save(path)
            if measured := journey(tool, context.models, name, path):
                code.append(measured[0])
                decode.append(measured[1])
        if code:
            return {"coder_by": "journey_cost", "code_ms": statistics.median(code), "decode_ms": statistics.median(decode)}
        for path in sorted(Path(temporary).glob("*.tiff")):
            try:
                lines = [context.services.send_latent(path, modality, "--model", name) for _ in range(CODEC_RUNS)]
            except NotDelivered as error:
                context.left_out(path, f"{name}: {error}")
                continue
            code.append(statistics.median(line["timings_ms"]["code"] for line in lines))
            decode.append(max(statistics.median(line["timings_ms"]["decode"] for line in lines) - decoder_ms, 0.0))
    return {"coder_by": "services", "code_ms": statistics.median(code) if code else None, "decode_ms": statistics.median(decode) if decode else None}


def journey(tool: Path, models: Path, name: str, path: Path) -> tuple[float, float] | None:
    """What `cargo run --example journey_cost` prints of the entropy coder, where it was built and knows this model."""
    if not tool.is_file():
        return None
    done = subprocess.run([str(tool), str(models), name, str(path), str(JOURNEY_ROUNDS)], capture_output=True, text=True)
    code = re.search(r"^entropy-encode\s+([\d.]+) ms", done.stdout, re.MULTILINE)
    twice = re.search(r"^entropy-decode and dequantise, twice\s+([\d.]+) ms", done.stdout, re.MULTILINE)
    return (float(code[1]), float(twice[1]) / 2) if code and twice else None


def codecs(context: Context) -> dict[str, dict]:
    pictures = [pixels for pixels in squares(context, "chest") if pixels.ndim == 2]
    found = {}
    for codec, settings in SETTINGS.items() if pictures else ():
        encode, decode, used = [], [], []
        for pixels in pictures:
            for setting in settings:
                _, back, *_ = once(BY_NAME[codec], pixels, setting, runs=1)
                if fidelity(pixels, back)["ssim"] >= SSIM:
                    break
            data = BY_NAME[codec].encode(pixels, setting)
            encode.append(cost.median(lambda: BY_NAME[codec].encode(pixels, setting), CODEC_RUNS))
            decode.append(cost.median(lambda: BY_NAME[codec].decode(data), CODEC_RUNS))
            used.append(setting)
        found[codec] = {"setting": statistics.median(used), "encode_ms": statistics.median(encode), "decode_ms": statistics.median(decode)}
    return found


def finding(models: dict[str, dict]) -> str:
    said = []
    for name, one in models.items():
        parts = [f"{half} {one[half]['median_ms']:.1f} ms" + (f" ({one[half]['times_floor']:.1f}× the floor)" if one[half]["times_floor"] else "") for half in ("encoder", "decoder")]
        if one["code_ms"] is not None:
            parts.append(f"entropy coder {one['code_ms']:.1f} and {one['decode_ms']:.1f} ms")
        taken = {"encoder": one["encoder"]["median_ms"], "decoder": one["decoder"]["median_ms"], "code_ms": one["code_ms"], "decode_ms": one["decode_ms"]}
        missed = [what.removesuffix("_ms") for what, aim in AIMS.items() if taken[what] is not None and taken[what] > aim]
        said.append(f"`{name}` {', '.join(parts)}" + (f"; above the aim: {', '.join(missed)}" if missed else "; all within the aims"))
    return f"**Speed on one core, {SIDE}x{SIDE}** (aims: {AIMS['encoder']:g}, {AIMS['decoder']:g}, {AIMS['code_ms']:g} each way): " + ". ".join(said) + "."
