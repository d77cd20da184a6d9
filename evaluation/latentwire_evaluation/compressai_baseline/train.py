"""`make evaluate-compressai-train`: so many minutes of one core's time a modality, with checkpoints; what was cut off goes on.

    python -m latentwire_evaluation.compressai_baseline.train --data DIR --minutes 5 [--modality fundus]

The loss is CompressAI's own: lambda x 255^2 x MSE + bits per pixel. The rate of learning falls to zero over the budget, so a run with
a larger budget is another run: it begins again. Checkpoints lie in evaluation/report/compressai, the weights in evaluation/compressai.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ..services import ROOT
from ..testset import FOLDERS
from .net import Baseline, save
from .pictures import PLANES, crops, training
from .start import begin

LAMBDA = 0.05
BATCH, SIDE = 8, 128
# Of the two transforms, which begin as good ones, and of everything else.
TRANSFORM_RATE, RATE, AUXILIARY_RATE, WARM_UP = 2e-4, 1e-3, 1e-3, 0.03
START_BATCHES = 8
CHECKPOINT_SECONDS = 60
SEED = 20221130


def loss_of(net: Baseline, x: Tensor) -> tuple[Tensor, float, float]:
    """The loss, bits per pixel, and mean square error x 255^2."""
    out = net(x)
    pixels = x.shape[0] * x.shape[2] * x.shape[3]
    bits = sum(-likelihoods.log2().sum() for likelihoods in out["likelihoods"].values()) / pixels
    error = torch.mean((out["x_hat"] - x) ** 2) * 255**2
    return LAMBDA * error + bits, float(bits.detach()), float(error.detach())


def schedule(done: float) -> float:
    """What part of its rate a parameter learns at, by the share of the budget that is spent: warm-up, then half a cosine."""
    return min(1.0, done / WARM_UP) * 0.5 * (1 + math.cos(math.pi * done))


def train(data: Path, modality: str, minutes: float, work: Path, weights: Path) -> None:
    pictures = training(data, modality)
    torch.manual_seed(SEED)
    net = Baseline(PLANES[modality])
    auxiliary = [value for name, value in net.named_parameters() if name.endswith(".quantiles")]
    transforms = [*net.g_a.parameters(), *net.g_s.parameters()]
    main = [*transforms, *(value for name, value in net.named_parameters() if not name.startswith("g_") and not name.endswith(".quantiles"))]
    rates = [TRANSFORM_RATE, RATE]
    optimiser = torch.optim.Adam([{"params": transforms}, {"params": main[len(transforms) :]}], lr=RATE)
    other = torch.optim.Adam(auxiliary, lr=AUXILIARY_RATE)
    spent, steps, log = 0.0, 0, []
    checkpoint = work / f"{modality}.pt"
    if checkpoint.is_file():
        held = torch.load(checkpoint, weights_only=True)
        if held["minutes"] == minutes:
            net.load_state_dict(held["net"])
            optimiser.load_state_dict(held["optimiser"])
            other.load_state_dict(held["other"])
            spent, steps, log = held["spent"], held["steps"], held["log"]
            print(f"{modality}: goes on at {spent / 60:.1f} of {minutes:g} minutes", flush=True)
    rng = np.random.default_rng((SEED, steps))
    if steps == 0:
        begin(net, [crops(pictures, BATCH, SIDE, rng) for _ in range(START_BATCHES)])
    running: list[tuple[float, float]] = []
    saved = spent
    while spent < minutes * 60:
        begun = time.process_time()
        for group, rate in zip(optimiser.param_groups, rates):
            group["lr"] = rate * schedule(spent / (minutes * 60))
        loss, bits, error = loss_of(net, torch.from_numpy(crops(pictures, BATCH, SIDE, rng)))
        optimiser.zero_grad()
        other.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(main, 1.0)
        optimiser.step()
        net.aux_loss().backward()
        other.step()
        running.append((bits, error))
        steps += 1
        spent += time.process_time() - begun
        if spent - saved >= CHECKPOINT_SECONDS or spent >= minutes * 60:
            bits, error = np.mean(running, axis=0)
            log.append({"minutes": round(spent / 60, 2), "steps": steps, "bits_per_pixel": round(float(bits), 4), "psnr_db": round(10 * math.log10(255**2 / error), 2)})
            print(f"{modality}: {log[-1]}", flush=True)
            running, saved = [], spent
            state = {"minutes": minutes, "net": net.state_dict(), "optimiser": optimiser.state_dict(), "other": other.state_dict(), "spent": spent, "steps": steps, "log": log}
            torch.save(state, work / "unfinished.pt")
            (work / "unfinished.pt").replace(checkpoint)
    save(weights / f"{modality}.npz", net)
    about = {
        "architecture": "compressai.models.MeanScaleHyperprior", "channels": net.N, "latent_channels": net.M, "planes": PLANES[modality],
        "parameters": sum(value.numel() for value in net.parameters()), "lambda": LAMBDA, "batch": BATCH, "crop": SIDE,
        "processor_minutes": minutes, "steps": steps, "pictures": len(pictures), "log": log,
    }  # fmt: skip
    (weights / f"{modality}.json").write_text(json.dumps(about, indent=1) + "\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--minutes", type=float, default=5, help="of processor time a modality")
    parser.add_argument("--modality", choices=list(FOLDERS), action="append")
    parser.add_argument("--work", type=Path, default=ROOT / "evaluation/report/compressai")
    parser.add_argument("--weights", type=Path, default=ROOT / "evaluation/compressai")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    arguments.work.mkdir(parents=True, exist_ok=True)
    for modality in arguments.modality or FOLDERS:
        train(arguments.data, modality, arguments.minutes, arguments.work, arguments.weights)


if __name__ == "__main__":
    main()
