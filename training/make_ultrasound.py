"""Make a folder of simulated ultrasound pictures, to train and test `ae224-ultrasound` with.

    python training/make_ultrasound.py OUT [--train 240] [--test 30] [--seed 1]

OUT gets the layout that training reads: `ultrasound/{train,test}/*.png`, `OPEN.tsv` (path, licence) and `MANIFEST.tsv`. The pictures
are computed, show nobody, and are CC0-1.0. The same seed gives the same pixels with the locked NumPy and SciPy.

How a picture comes about, as in a scanner (B-mode; Jensen 1996 has the linear model, Szabo's "Diagnostic Ultrasound Imaging" the rest):
1. a phantom: a map of echogenicity and of attenuation in polar or Cartesian scan geometry, from layers, organs, cysts, vessels,
   lesions, calcifications, ribs;
2. sub-resolution scatterers: a circular complex Gaussian field times the echogenicity, plus coherent echoes where echogenicity
   jumps along the beam;
3. the point-spread function: a Gaussian pulse along the beam, a Gaussian beam across it that is narrowest in the focus;
4. attenuation there and back, with shadows behind bone and enhancement behind fluid, an imperfect time-gain compensation,
   receiver noise that grows with depth;
5. envelope, spatial compounding of a few looks, log compression, scan conversion, eight bits.

What it leaves out: reverberation, refraction, side lobes, motion, Doppler, and all that a screen draws over the picture. A model trained
on these pictures has seen speckle, not patients.
"""

from __future__ import annotations

import argparse
import hashlib
import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image
from scipy.ndimage import gaussian_filter, gaussian_filter1d, map_coordinates

SAMPLES, LINES = 1024, 256  # of one look: along a beam, across beams
SPLITS = ("train", "test")


@dataclass(frozen=True)
class Probe:
    """A transducer; lengths in millimetres, angles in radians."""

    name: str
    megahertz: float
    depth: float
    radius: float  # of the array's curvature; 0: a phased array, infinite: a flat one
    opening: float  # angle of the sector, or the width of a flat array

    @property
    def wavelength(self) -> float:
        return 1.54 / self.megahertz


def draw_probe(rng: np.random.Generator) -> Probe:
    kind = rng.choice(["convex", "linear", "sector"], p=[0.45, 0.35, 0.2])
    if kind == "convex":
        return Probe(kind, rng.uniform(2.5, 5), rng.uniform(90, 180), rng.uniform(40, 60), np.radians(rng.uniform(50, 75)))
    if kind == "linear":
        return Probe(kind, rng.uniform(6, 13), rng.uniform(30, 60), np.inf, rng.uniform(36, 50))
    return Probe(kind, rng.uniform(2, 4), rng.uniform(110, 180), 0.0, np.radians(rng.uniform(70, 90)))


class Phantom:
    """Echogenicity in dB and attenuation in dB/cm/MHz on the scan grid [SAMPLES, LINES]."""

    def __init__(self, probe: Probe, rng: np.random.Generator) -> None:
        self.probe, self.rng = probe, rng
        along = (np.arange(SAMPLES) + 0.5) / SAMPLES * probe.depth
        across = (np.arange(LINES) + 0.5) / LINES - 0.5
        if np.isinf(probe.radius):
            self.x, self.z = np.meshgrid(across * probe.opening, along)
        else:
            angle, range_ = np.meshgrid(across * probe.opening, along)
            self.x, self.z = (range_ + probe.radius) * np.sin(angle), (range_ + probe.radius) * np.cos(angle) - probe.radius
        self.echo = np.zeros((SAMPLES, LINES))
        self.loss = np.full((SAMPLES, LINES), 0.5)

    def wave(self, scale: float) -> np.ndarray:
        """A smooth random height as a function of x, about 1 in size, for borders that are not straight."""
        phases, periods = self.rng.uniform(0, 2 * np.pi, 4), self.probe.depth * scale / np.array([0.4, 1, 2.3, 5])
        return sum(np.sin(2 * np.pi * self.x / p + f) / (i + 1) for i, (p, f) in enumerate(zip(periods, phases)))

    def texture(self) -> None:
        """Slow changes of echogenicity in all tissue."""
        coarse = gaussian_filter(self.rng.standard_normal((SAMPLES, LINES)), (60, 16))
        self.echo += coarse / coarse.std() * self.rng.uniform(0.8, 2.5)

    def layers(self) -> None:
        """Skin, fat and muscle above the organ."""
        top = 0.0
        for _ in range(self.rng.integers(2, 6)):
            top += self.probe.depth * self.rng.uniform(0.02, 0.08)
            below = self.z > top + self.probe.depth * 0.01 * self.wave(0.6)
            self.echo[below] += self.rng.uniform(-7, 7)
        self.echo = np.clip(self.echo - np.median(self.echo), -10, 10)
        if self.rng.random() < 0.7:  # fibres, seen in muscle: fine stripes along the layers
            period = self.probe.depth * self.rng.uniform(0.008, 0.02)
            stripes = np.sin(2 * np.pi * (self.z + self.probe.depth * 0.02 * self.wave(0.7)) / period)
            self.echo += np.where(self.z < top, 3.0 * stripes, 0.0)

    def ellipse(self, size: tuple[float, float]) -> np.ndarray:
        """Distance to the border of a wobbly ellipse, in its radii: below 1 is inside. Sizes are shares of the depth."""
        middle = self.rng.uniform(0.15, 0.9) * self.probe.depth
        width = self.x[np.argmin(np.abs(self.z[:, LINES // 2] - middle))]
        centre = self.rng.uniform(width.min(), width.max())
        a, b = self.rng.uniform(*size, 2) * self.probe.depth
        turn = self.rng.uniform(0, np.pi)
        u = (self.x - centre) * np.cos(turn) + (self.z - middle) * np.sin(turn)
        v = (self.z - middle) * np.cos(turn) - (self.x - centre) * np.sin(turn)
        angle = np.arctan2(v / b, u / a)
        wobble = sum(self.rng.uniform(-0.06, 0.06) * np.cos(k * angle + self.rng.uniform(0, 6)) for k in range(2, 6))
        return np.hypot(u / a, v / b) / (1 + wobble)

    def organs(self) -> None:
        for _ in range(self.rng.integers(1, 4)):
            inside = self.ellipse((0.15, 0.5)) < 1
            self.echo[inside] += self.rng.uniform(-8, 6)
            self.loss[inside] = self.rng.uniform(0.4, 0.8)

    def lesions(self) -> None:
        for _ in range(self.rng.integers(0, 5)):
            distance = self.ellipse((0.02, 0.1))
            edge = np.clip((distance - 1) / self.rng.uniform(0.02, 0.15), -50, 50)
            self.echo += self.rng.choice([-10, -6, 6, 9]) / (1 + np.exp(edge))

    def fluid(self) -> None:
        """Cysts and vessels: no echo, hardly any loss, a brighter wall."""
        for _ in range(self.rng.integers(0, 4)):
            distance = self.ellipse((0.02, 0.14))
            if self.rng.random() < 0.4:  # a vessel: the same cut long
                middle, half = self.rng.uniform(0.2, 0.8) * self.probe.depth, self.rng.uniform(0.01, 0.04) * self.probe.depth
                slope = self.rng.uniform(-0.4, 0.4)
                distance = np.abs(self.z - middle - slope * self.x - half * 0.4 * self.wave(1.5)) / half
            self.echo[(distance >= 1) & (distance < 1.15)] += self.rng.uniform(2, 7)
            self.echo[distance < 1], self.loss[distance < 1] = -60.0, 0.02

    def bone(self) -> None:
        """Ribs and stones: bright at the front, nothing behind."""
        for _ in range(self.rng.choice([0, 0, 1, 2])):
            inside = self.ellipse((0.015, 0.06)) < 1
            self.echo[inside], self.loss[inside] = 14.0, 12.0
        for _ in range(self.rng.integers(0, 6)):  # calcifications
            inside = self.ellipse((0.002, 0.006)) < 1
            self.echo[inside] = 18.0

    def build(self) -> None:
        for part in (self.layers, self.organs, self.lesions, self.texture, self.fluid, self.bone):
            part()


def look(phantom: Phantom, rng: np.random.Generator, focus: float, noise_db: float, gain: np.ndarray) -> np.ndarray:
    """Envelope [SAMPLES, LINES] of one insonification."""
    probe = phantom.probe
    amplitude = 10 ** (phantom.echo / 20)
    field = (rng.standard_normal((SAMPLES, LINES)) + 1j * rng.standard_normal((SAMPLES, LINES))) * amplitude
    jump = np.abs(np.diff(gaussian_filter(amplitude, (2, 1)), axis=0, prepend=amplitude[:1]))
    field = field + jump * 12.0 * np.exp(2j * np.pi * rng.random())
    step = probe.depth / SAMPLES
    field = gaussian_filter1d(field, 0.75 * probe.wavelength / step, axis=0)  # a pulse of about two cycles
    widths = np.array([0.8, 1.4, 2.4, 4.0])  # in lines: blended by the distance from the focus
    depth = (np.arange(SAMPLES) + 0.5) / SAMPLES
    wanted = np.clip(widths[0] * np.hypot(1, (depth - focus) / 0.28), widths[0], widths[-1])
    which = np.interp(wanted, widths, np.arange(widths.size))
    blurred = np.stack([gaussian_filter1d(field, w, axis=1) * np.sqrt(2 * w * np.sqrt(np.pi)) for w in widths])
    low = np.minimum(which.astype(int), widths.size - 2)
    share = (which - low)[:, None]
    rows = np.arange(SAMPLES)
    field = np.sqrt(1 - share) * blurred[low, rows] + np.sqrt(share) * blurred[low + 1, rows]
    # There and back: 2 x dB/cm/MHz x MHz x cm, against a compensation for even tissue.
    excess = np.cumsum(2 * (phantom.loss - 0.5) * probe.megahertz * step / 10, axis=0)
    excess = gaussian_filter1d(excess, 1.5, axis=1)
    received = field * 10 ** ((-np.clip(excess, -9, 70) + gain) / 20)
    noise = rng.standard_normal((SAMPLES, LINES)) + 1j * rng.standard_normal((SAMPLES, LINES))
    noise = gaussian_filter1d(noise, 0.75 * probe.wavelength / step, axis=0)
    level = 10 ** ((noise_db + 28 * depth[:, None] ** 2) / 20)
    return np.abs(received / np.sqrt(np.mean(np.abs(field) ** 2)) + noise / np.sqrt(np.mean(np.abs(noise) ** 2)) * level)


def scan_convert(polar: np.ndarray, probe: Probe, height: int) -> np.ndarray:
    """Grey values [height, width] from values on the scan grid; 0 outside the sector."""
    if np.isinf(probe.radius):
        width = int(round(height * probe.opening / probe.depth))
        y, x = np.mgrid[:height, :width]
        rows, columns = (y + 0.5) / height * SAMPLES - 0.5, (x + 0.5) / width * LINES - 0.5
        return map_coordinates(polar, [rows, columns], order=1, mode="nearest")
    reach = probe.radius + probe.depth
    half = reach * np.sin(probe.opening / 2)
    top = probe.radius * np.cos(probe.opening / 2)
    scale = (reach - top) / height
    width = int(round(2 * half / scale))
    y, x = np.mgrid[:height, :width]
    z, x = top + (y + 0.5) * scale, (x + 0.5) * scale - half
    distance, angle = np.hypot(x, z) - probe.radius, np.arctan2(x, z)
    rows, columns = distance / probe.depth * SAMPLES - 0.5, (angle / probe.opening + 0.5) * LINES - 0.5
    inside = (distance >= 0) & (distance <= probe.depth) & (np.abs(angle) <= probe.opening / 2)
    return np.where(inside, map_coordinates(polar, [rows, columns], order=1, mode="nearest"), 0.0)


def picture(rng: np.random.Generator) -> tuple[str, np.ndarray]:
    """(kind of probe, uint8 [H, W])."""
    probe = draw_probe(rng)
    phantom = Phantom(probe, rng)
    phantom.build()
    focus, noise_db = rng.uniform(0.3, 0.8), rng.uniform(-55, -38)
    gain = np.interp(np.arange(SAMPLES), np.linspace(0, SAMPLES, 6), rng.normal(0, 2, 6))[:, None]
    looks = [look(phantom, rng, focus, noise_db, gain) for _ in range(rng.integers(1, 6))]
    envelope = np.sqrt(np.mean(np.square(looks), axis=0))
    dynamic_range = rng.uniform(48, 66)
    reference = np.percentile(envelope, 99.7)
    polar = np.clip(1 + 20 * np.log10(np.maximum(envelope / reference, 1e-6)) / dynamic_range, 0, 1)
    height = int(rng.integers(380, 513))
    grey = scan_convert(polar ** rng.uniform(0.85, 1.2), probe, height)
    return probe.name, np.rint(grey * 255).astype(np.uint8)


def write(out: Path, counts: tuple[int, int], seed: int) -> None:
    """The pictures of both splits, and the two lists."""
    opened, manifest = ["path\tlicence"], ["path\tmodality\tsplit\twidth\theight\tbytes\tsha256\tsource\tlicence\tnotes"]
    for split, count in zip(SPLITS, counts):
        folder = out / "ultrasound" / split
        folder.mkdir(parents=True, exist_ok=True)
        for index in range(count):
            rng = np.random.default_rng([seed, SPLITS.index(split), index])
            kind, pixels = picture(rng)
            buffer = io.BytesIO()
            Image.fromarray(pixels).save(buffer, "PNG", optimize=True)
            name = f"{kind}_{hashlib.sha256(pixels.tobytes()).hexdigest()[:10]}.png"
            (folder / name).write_bytes(buffer.getvalue())
            path = f"ultrasound/{split}/{name}"
            digest = hashlib.sha256(buffer.getvalue()).hexdigest()
            opened.append(f"{path}\tCC0-1.0")
            note = f"gray; seed {seed}, split {split}, number {index}"
            manifest.append(
                f"{path}\tultrasound\t{split}\t{pixels.shape[1]}\t{pixels.shape[0]}\t{len(buffer.getvalue())}\t{digest}"
                f"\tcomputed by training/make_ultrasound.py\tCC0-1.0\t{note}"
            )
    (out / "OPEN.tsv").write_text("\n".join(opened) + "\n")
    (out / "MANIFEST.tsv").write_text("\n".join(manifest) + "\n")
    print(f"wrote {len(opened) - 1} pictures to {out / 'ultrasound'}, with OPEN.tsv and MANIFEST.tsv")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("out", type=Path, help="folder to write")
    parser.add_argument("--train", type=int, default=240, help="pictures of the train split")
    parser.add_argument("--test", type=int, default=30, help="pictures of the test split")
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    if min(arguments.train, arguments.test, arguments.seed) < 0 or arguments.train + arguments.test == 0:
        raise SystemExit("--train, --test, --seed: at least one picture in all, and no number below 0")
    try:
        write(arguments.out, (arguments.train, arguments.test), arguments.seed)
    except OSError as error:
        raise SystemExit(f"{error.filename}: {error.strerror}; OUT must be a folder that can be written") from None


if __name__ == "__main__":
    main()
