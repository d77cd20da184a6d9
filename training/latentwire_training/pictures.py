"""Pictures to train on: only those that the data folder's licence list names under a licence that the configuration allows."""

from __future__ import annotations

import hashlib
import os
import zlib
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError

from .config import Config, Crops

SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".tif", ".tiff", ".bmp", ".webp"})
LARGEST_SHARE = 0.7  # of the machine's memory, for decoded pictures
LEAST_SIDE = 8  # of a picture that is scaled, up if need be
NAMED = 8  # left-out pictures that are named one by one


@dataclass(frozen=True)
class Picture:
    path: str
    licence: str
    sha256: str
    pixels: np.ndarray  # uint8 [H, W, 3]
    grey: bool

    @property
    def source(self) -> str:
        return source_of(self.path)


@dataclass(frozen=True)
class Pictures:
    """What a run trains and validates with, and what it left out, with the reason."""

    training: list[Picture]
    validation: list[Picture]
    left_out: list[tuple[str, str]] = field(default_factory=list)

    @property
    def digest(self) -> str:
        """Names this very set: changes when a picture is added, changed or moves between the two parts."""
        lines = [f"{part} {p.sha256} {p.path}" for part, ps in (("t", self.training), ("v", self.validation)) for p in ps]
        return hashlib.sha256("\n".join(lines).encode()).hexdigest()

    def report_left_out(self) -> list[str]:
        """Lines that name what was left out; empty where nothing was."""
        if not self.left_out:
            return []
        lines = [f"left out {len(self.left_out)} picture{'s' if len(self.left_out) > 1 else ''}:"]
        lines += [f"  {path}: {why}" for path, why in self.left_out[:NAMED]]
        if len(self.left_out) > NAMED:
            lines.append(f"  and {len(self.left_out) - NAMED} more")
        return lines


def scaled(picture: Picture, side: int) -> Picture:
    """The same picture at side x side, whatever its shape was."""
    image = Image.fromarray(picture.pixels).resize((side, side), Image.Resampling.LANCZOS)
    return replace(picture, pixels=np.asarray(image))


def padded(picture: Picture, stride: int = 2) -> np.ndarray:
    """float32 [1, 3, H, W] in 0..1, edges repeated to the next multiples of `stride`."""
    height, width = picture.pixels.shape[:2]
    pixels = np.pad(picture.pixels, ((0, -height % stride), (0, -width % stride), (0, 0)), mode="edge")
    return pixels.transpose(2, 0, 1)[None].astype(np.float32) / 255.0


def write_scaled(folders: list[Path], target: Path, side: int) -> int:
    """Writes the pictures of folders to `target` as PNG of side x side, for nets that are measured at one size; returns how many.

    What cannot be read is named and passed over.
    """
    target.mkdir(parents=True, exist_ok=True)
    for old in target.glob("*.png"):
        old.unlink()
    count = 0
    for path in sorted(p for folder in folders for p in folder.iterdir() if p.suffix.lower() in SUFFIXES):
        try:
            with Image.open(path) as image:
                small = image.convert("L" if image.mode in ("L", "1") else "RGB").resize((side, side), Image.Resampling.LANCZOS)
        except Exception as error:  # Pillow's readers raise of many kinds, and one broken file must not end a run
            print(f"left out {path}: cannot be read: {error}")
            continue
        small.save(target / f"{path.stem}.png")
        count += 1
    return count


def source_of(path: str) -> str:
    """Where a picture comes from: its file's name up to the first underscore."""
    return Path(path).stem.split("_")[0]


def licensed_paths(data: Path, config: Config) -> list[tuple[str, str]]:
    """(path, licence) of the training pictures that may be used, sorted."""
    if not data.is_dir():
        raise SystemExit(f"DATA={data}: there is no such folder; it must hold {_wanted(config)} and {config.data.licence_list}")
    folders = [data / folder / "train" for folder in config.data.folders]
    try:
        found = [p for folder in folders if folder.is_dir() for p in folder.iterdir() if p.suffix.lower() in SUFFIXES]
    except OSError as error:
        raise SystemExit(f"{error.filename}: {error.strerror}; training must be able to read DATA") from None
    if not found:
        raise SystemExit(f"{' and '.join(map(str, folders))}: no picture there ({', '.join(sorted(SUFFIXES))}); `data.folders` of {config.id} names these folders below DATA")
    listing = data / config.data.licence_list
    if not listing.is_file():
        raise SystemExit(
            f"{listing} is missing: it must list `path<TAB>licence` of every picture that may train, with a heading line, "
            f"for example `{found[0].relative_to(data).as_posix()}<TAB>CC0-1.0`; pictures that it does not name are not read"
        )
    rows, other = [], set()
    try:
        lines = listing.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise SystemExit(f"{listing}: cannot be read: {error}; it must be UTF-8 text, `path<TAB>licence` a line") from None
    for number, line in enumerate(lines, 1):
        if number == 1 or not line.strip():
            continue
        fields = line.split("\t")
        if len(fields) < 2:
            raise SystemExit(f"{listing}, line {number}: must be `path<TAB>licence`, found {line[:80]!r}")
        path, licence = fields[:2]
        if ".." in Path(path).parts:
            raise SystemExit(f"{listing}, line {number}: {path!r} must not hold `..`: name the picture by its place below DATA")
        if not any(path.startswith(f"{folder}/train/") for folder in config.data.folders):
            continue
        if licence in config.data.licences:
            rows.append((path, licence))
        else:
            other.add(licence)
    if not rows:
        seen = f"; it lists pictures there under {', '.join(sorted(other))}" if other else "; it lists none there"
        raise SystemExit(f"{listing} lists no picture of {_wanted(config)} under a licence of `data.licences` ({', '.join(config.data.licences)}){seen}")
    return sorted(set(rows))


def _test_digests(data: Path, config: Config) -> set[str]:
    """SHA-256 of the pictures of the test splits, which must not train under another name either."""
    folders = [data / folder / "test" for folder in config.data.folders]
    files = [p for folder in folders if folder.is_dir() for p in folder.iterdir() if p.suffix.lower() in SUFFIXES and p.is_file()]
    return {hashlib.sha256(p.read_bytes()).hexdigest() for p in files}


def _wanted(config: Config) -> str:
    return ", ".join(f"{folder}/train/" for folder in config.data.folders)


def load(data: Path, config: Config, whole: bool = False) -> Pictures:
    """Reads the pictures and splits them by a hash of the name, so that the split is the same on every run.

    `whole`: for a recipe that scales every picture to one size instead of cutting crops. Then no picture is too small for a crop, and the
    share that validates is met exactly.

    A picture that cannot be read, holds values that are no numbers, is of a single colour, is smaller than a crop, or lies in a test
    split as well, is left out and named; a run ends only where too few remain.
    """
    found, left_out = [], []
    least = LEAST_SIDE if whole else config.crops.size
    tested = _test_digests(data, config)
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    held = 0
    for path, licence in licensed_paths(data, config):
        try:
            raw = (data / path).read_bytes()
            with Image.open(data / path) as image:
                if image.mode == "F" and not np.isfinite(np.asarray(image)).all():
                    raise ValueError("it holds values that are no numbers (NaN) or infinite")
                if image.mode.startswith(("I", "F")):
                    raise ValueError(f"mode {image.mode}, and training reads 8-bit pictures: convert it first")
                grey = image.mode in ("L", "1")
                pixels = np.asarray(image.convert("RGB"))
        except UnidentifiedImageError:
            left_out.append((path, "cannot be read: it is no picture of a format that is known here"))
            continue
        except Exception as error:  # Pillow's readers raise of many kinds, and one broken file must not end a run
            left_out.append((path, f"cannot be read: {str(error).replace(str(data / path), 'the file')}"))
            continue
        if min(pixels.shape[:2]) < least:
            what = "" if whole else "a crop of "
            left_out.append((path, f"{pixels.shape[1]}x{pixels.shape[0]} is smaller than {what}{least}x{least}"))
            continue
        if (pixels == pixels[0, 0]).all():
            left_out.append((path, "is of a single colour: there is nothing to learn from it"))
            continue
        digest = hashlib.sha256(raw).hexdigest()
        if digest in tested:
            left_out.append((path, "the very same file lies in a test split: it must not train"))
            continue
        picture = Picture(path, licence, digest, pixels, grey)
        held += pixels.nbytes
        if held > LARGEST_SHARE * memory:
            read = len(found) + 1
            raise SystemExit(f"{data}: the first {read} pictures take {held >> 20} MiB decoded, and this machine has {memory >> 20} MiB: shrink or cut them, or list fewer")
        found.append(picture)
    if len(found) < 2:
        first = f"{data}: {len(found)} usable picture(s) of {config.id}, and training needs at least two, one of them to validate"
        raise SystemExit("\n".join([first, *Pictures([], [], left_out).report_left_out()]))
    return Pictures(*_split(found, config.data.validation_percent, exact=whole), left_out)


def _split(pictures: list[Picture], percent: int, exact: bool) -> tuple[list[Picture], list[Picture]]:
    """(training, validation), both with at least one of the two or more pictures."""
    if exact:
        count = min(max(1, round(len(pictures) * percent / 100)), len(pictures) - 1)
        chosen = {p.path for p in sorted(pictures, key=lambda p: (zlib.crc32(p.path.encode()), p.path))[:count]}
        return [p for p in pictures if p.path not in chosen], [p for p in pictures if p.path in chosen]
    training = [p for p in pictures if _draw(p.path) >= percent]
    validation = [p for p in pictures if _draw(p.path) < percent]
    # Few pictures may all fall on one side: move the one nearest to the border.
    if not validation:
        validation.append(training.pop(min(range(len(training)), key=lambda i: _draw(training[i].path))))
    elif not training:
        training.append(validation.pop(max(range(len(validation)), key=lambda i: _draw(validation[i].path))))
    return training, validation


def _draw(path: str) -> int:
    return zlib.crc32(path.encode()) % 100


def crops(pictures: list[Picture], options: Crops, batch: int, rng: np.random.Generator) -> np.ndarray:
    """float32 [batch, 3, size, size] in 0..1: random picture, scale, place, mirror, quarter turn, light and contrast."""
    size = options.size
    out = np.empty((batch, 3, size, size), np.float32)
    for i in range(batch):
        pixels = pictures[rng.integers(len(pictures))].pixels
        side = size
        if rng.random() < options.scale_share:
            side = min(int(size / rng.uniform(*options.scale)), *pixels.shape[:2])
        y = rng.integers(pixels.shape[0] - side + 1)
        x = rng.integers(pixels.shape[1] - side + 1)
        crop = pixels[y : y + side, x : x + side]
        if side != size:
            crop = np.asarray(Image.fromarray(crop).resize((size, size), Image.Resampling.LANCZOS))
        if options.quarter_turns:
            crop = np.rot90(crop, int(rng.integers(4)))
        if options.mirror and rng.random() < 0.5:
            crop = crop[:, ::-1]
        value = crop.astype(np.float32) / 255.0
        if rng.random() < options.light_share:
            light = rng.uniform(-options.brightness, options.brightness)
            value = np.clip((value - 0.5) * rng.uniform(*options.contrast) + 0.5 + light, 0.0, 1.0)
        out[i] = value.transpose(2, 0, 1)
    return out
