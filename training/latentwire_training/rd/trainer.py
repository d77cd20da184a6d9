"""Training an `rd` net: bits of the quantised coefficients against 1 - SSIM, at a knob drawn anew for each crop.

    loss = bits per pixel + weight * 2^(-slope * knob) * (1 - SSIM)

Levels are rounded and gradients pass straight through; the decoder is shown rounded coefficients; their bits are counted with uniform
noise in place of what rounding hides, in the context of rounded neighbours. Adam, its averages kept for export. Convolutions run in
bfloat16, transforms, context and loss in float32.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from .. import checkpoint
from ..pictures import Picture, crops
from ..quality import measure, structural_similarities
from ..trainer import NotFinite
from .config import Config
from .context import Context
from .levels import block_levels
from .net import MIDDLE, Analysis, Steps, Synthesis, octaves_of, rounded
from .start import eighths, predictors, transform

FORMAT = "latentwire-rd-1"
AVERAGE = 0.005
LARGEST_LEVEL = 31
EDGE_STEP = 0.02
START_PICTURES = 60
VALIDATION_KNOBS = (-1.0, -0.5, 0.0, 0.5, 1.0, 1.5)


@dataclass(frozen=True)
class Pass:
    """One way through the net."""

    pixels: Tensor  # [N, P, H, W] in 0..255, not clamped
    bits: Tensor  # [N], of the coefficients
    levels: Tensor  # [N, 1, h, w]
    q: Tensor  # [N, C, h, w]


class Codec(nn.Module):
    def __init__(self, config: Config) -> None:
        super().__init__()
        n = config.net
        self.analysis = Analysis(n.planes, n.coefficients, n.fine, n.coarse)
        self.synthesis = Synthesis(n.planes, n.coefficients, n.fine, n.coarse)
        self.steps = Steps(n.coefficients, config.rate.first_step)
        self.context = Context(n.coefficients, n.predicted)

    def latent(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """(coefficients, levels not rounded) of pixels in 0..255."""
        coefficients, more = self.analysis(x - MIDDLE)
        return coefficients.float(), (block_levels(x) + 4 * more.float()).clamp(0, LARGEST_LEVEL)

    def forward(self, x: Tensor, knob: Tensor, dead_zone: float | None = None) -> Pass:
        """In training (`dead_zone` None) q is the nearest integer; else what a sender with that dead zone would send."""
        training = dead_zone is None
        with torch.autocast("cpu", torch.bfloat16, enabled=training):
            y, levels = self.latent(x)
        levels = rounded(levels)
        octaves = octaves_of(levels, knob)
        steps = self.steps(octaves)
        v = y / steps
        if training:
            q = rounded(v)
            bits = self.context.bits(q, steps, octaves, noise=(v - q).detach() + torch.rand_like(v) - 0.5)
        else:
            q = torch.sign(v) * torch.floor(v.abs() + 0.5 - dead_zone)
            bits = self.context.bits(q, steps, octaves)
        with torch.autocast("cpu", torch.bfloat16, enabled=training):
            pixels = self.synthesis(q * steps, octaves)
        return Pass(pixels.float() + MIDDLE, bits.sum((1, 2, 3)), levels, q)


def planes_of(picture: Picture, planes: int) -> np.ndarray:
    """uint8 [H, W, P]."""
    return picture.pixels[..., :1] if planes == 1 else picture.pixels


def smaller(picture: Picture, scale: float, planes: int) -> np.ndarray:
    """uint8 [H, W, P] at `scale`, which takes JPEG's blocks out of a picture that was one."""
    size = (max(16, round(picture.pixels.shape[1] * scale)), max(16, round(picture.pixels.shape[0] * scale)))
    scaled = np.asarray(Image.fromarray(picture.pixels).resize(size, Image.Resampling.LANCZOS))
    return scaled[..., :1] if planes == 1 else scaled


def padded(pixels: np.ndarray) -> Tensor:
    """uint8 [H, W, P] -> float32 [1, P, H, W] in 0..255, edges repeated to multiples of 16."""
    h, w = pixels.shape[:2]
    whole = np.pad(pixels, ((0, -h % 16), (0, -w % 16), (0, 0)), mode="edge")
    return torch.from_numpy(whole.transpose(2, 0, 1)[None].astype(np.float32))


def bpp_at(points: list[tuple[float, float]], goal: float) -> float:
    """Bits a pixel at a fidelity, by linear interpolation of log-rate between (fidelity, bits) points; the nearest point's beyond them."""
    fidelity, bits = zip(*sorted(points), strict=True)
    return float(np.exp(np.interp(goal, fidelity, np.log(np.maximum(bits, 1e-6)))))


class Trainer:
    def __init__(self, config: Config, training: list[Picture]) -> None:
        self.config, self.training = config, training
        torch.manual_seed(config.schedule.seed)
        self.rng = np.random.default_rng(config.schedule.seed)
        self.net = Codec(config).to(memory_format=torch.channels_last)
        self.step, self.seconds, self.history = 0, 0.0, []
        self.began_with: str | None = None  # SHA-256 of an earlier run's weights
        s, linear = config.schedule, [self.net.analysis.linear.weight, self.net.synthesis.linear.weight]
        context = [*self.net.context.parameters(), *self.net.steps.parameters()]
        apart = {id(p) for p in linear + context}
        self.branches = [p for p in self.net.parameters() if id(p) not in apart]
        self.rates = (s.learning_rate, s.learning_rate * s.linear_factor, s.learning_rate * s.context_factor)
        self.optimiser = torch.optim.Adam([{"params": self.branches}, {"params": linear}, {"params": context}], lr=s.learning_rate, betas=(0.9, 0.98))
        self.average: dict[str, Tensor] = {}

    @torch.no_grad()
    def start(self) -> None:
        """The Karhunen-Loeve transform, and predictors by least squares."""
        c, net = self.config, self.net
        chosen = self.training[:: max(1, len(self.training) // START_PICTURES)]
        pictures = [smaller(p, c.validation_scale, c.net.planes) for p in chosen]
        basis, deviation = transform(pictures, c.net.coefficients, self.rng)
        rows = torch.tensor(basis, dtype=torch.float32)
        net.analysis.linear.weight.copy_(rows[:, :, None, None])
        net.synthesis.linear.weight.copy_(torch.tensor(eighths(basis.T, c.net.planes), dtype=torch.float32)[:, :, None, None])
        net.context.bias.copy_(torch.log2(torch.tensor(deviation, dtype=torch.float32) * 6 / c.rate.first_step) - 1)
        net.synthesis.unit.copy_(torch.tensor(2.0 ** np.ceil(np.log2(np.maximum(deviation * 3, 4))), dtype=torch.float32)[None, :, None, None])
        if c.net.predicted:
            known = [net.analysis.linear(torch.nn.functional.pixel_unshuffle(padded(p) - MIDDLE, 16))[0].double().numpy() for p in pictures]
            net.context.mean_weight.copy_(torch.tensor(predictors(known, c.net.predicted)))
        self.average = {k: v.clone() for k, v in net.state_dict().items()}

    def train_on(self) -> dict[str, float]:
        """One step; raises `NotFinite`."""
        c, s = self.config, self.config.schedule
        left = 1 - self.step / s.steps
        rate = min(1.0, (self.step + 1) / 100) * min(1.0, left / max(s.decay, 1e-6) + EDGE_STEP)
        for group, base in zip(self.optimiser.param_groups, self.rates, strict=True):
            group["lr"] = base * rate
        x = torch.from_numpy(crops(self.training, c.crops, s.batch, self.rng)[:, : c.net.planes] * np.float32(255))
        knob = torch.tensor(self.rng.uniform(*s.knob, (s.batch, 1, 1, 1)), dtype=torch.float32)
        found = self.net(x, knob)
        bpp = found.bits / x[0, 0].numel()
        lost = 1 - structural_similarities(found.pixels / 255, x / 255)
        loss = (bpp + c.rate.ssim_weight * torch.exp2(-c.rate.slope * knob[:, 0, 0, 0]) * lost).mean()
        if not torch.isfinite(loss):
            raise NotFinite(f"step {self.step + 1}: the loss is not finite")
        self.optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.branches, 1.0)
        self.optimiser.step()
        with torch.no_grad():
            for k, v in self.net.state_dict().items():
                self.average[k].lerp_(v, AVERAGE) if v.dtype.is_floating_point else self.average[k].copy_(v)
        self.step += 1
        return {"loss": float(loss.detach()), "bpp": float(bpp.mean().detach()), "ssim": 1 - float(lost.mean().detach())}

    def averaged(self) -> Codec:
        """A copy of the net with averaged weights."""
        net = Codec(self.config).to(memory_format=torch.channels_last)
        net.load_state_dict(self.average)
        return net.eval()

    @torch.no_grad()
    def validate(self, pictures: list[Picture]) -> dict[str, float]:
        """Bits a pixel at SSIM 0.95 and 38 dB, estimated, levels left out: averages over pictures at `validation_scale`."""
        net, c = self.averaged(), self.config
        rows = []
        for picture in pictures:
            pixels = smaller(picture, c.validation_scale, c.net.planes)
            h, w = pixels.shape[:2]
            points = []
            for knob in VALIDATION_KNOBS:
                found = net(padded(pixels), torch.full((1, 1, 1, 1), knob), c.quantiser.dead_zone)
                out = found.pixels[0].clamp(0, 255).round().byte().numpy().transpose(1, 2, 0)[:h, :w]
                fidelity = measure(np.broadcast_to(pixels, (h, w, 3)), np.broadcast_to(out, (h, w, 3)), c.net.planes == 1)
                points.append((fidelity["ssim"], fidelity["psnr_db"], float(found.bits) / (h * w)))
            rows.append((bpp_at([(p[0], p[2]) for p in points], 0.95), bpp_at([(p[1], p[2]) for p in points], 38.0)))
        mean = np.mean(rows, axis=0)
        return {"bpp_at_ssim_095": float(mean[0]), "bpp_at_38_db": float(mean[1])}

    def save(self, path: Path, digest: str) -> None:
        checkpoint.write(path, {
            "format": FORMAT, "config": self.config.text(), "pictures": digest, "step": self.step, "seconds": self.seconds, "history": self.history, "began_with": self.began_with,
            "net": self.net.state_dict(), "average": self.average, "optimiser": self.optimiser.state_dict(), "torch_rng": torch.get_rng_state(),
        })

    def restore(self, path: Path) -> None:
        state = checkpoint.read(path, FORMAT, self.config.id)
        self.net.load_state_dict(state["net"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.average, self.step, self.seconds, self.history = state["average"], state["step"], state["seconds"], state["history"]
        self.began_with = state.get("began_with")
        self.rng = np.random.default_rng([self.config.schedule.seed, self.step])
        torch.set_rng_state(state["torch_rng"])
