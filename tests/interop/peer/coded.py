"""The coded image (docs/BITSTREAM.md): the exact form whole, the latent form down to its quantised latent."""

import struct
from dataclasses import dataclass

PNG, JPEG, TIFF, DICOM = 1, 2, 3, 4


def format_of(file: bytes) -> int:
    signatures = {b"\x89PNG\r\n\x1a\n": PNG, b"\xff\xd8\xff": JPEG, b"II*\0": TIFF, b"MM\0*": TIFF}
    for signature, source_format in signatures.items():
        if file.startswith(signature):
            return source_format
    if file[128:132] == b"DICM":
        return DICOM
    raise ValueError("the file is none of PNG, JPEG, TIFF and DICOM")


def encode_exact(file: bytes) -> bytes:
    return b"LWBS" + bytes([1, 2, format_of(file), 0]) + struct.pack("<Q", len(file)) + file


def decode_exact(coded: bytes) -> bytes:
    magic, version, form, source_format, flags, length = struct.unpack_from("<4s4BQ", coded)
    if (magic, version, form, flags) != (b"LWBS", 1, 2, 0) or source_format not in (PNG, JPEG, TIFF, DICOM):
        raise ValueError("no coded image in exact form")
    if length < 1 or len(coded) != 16 + length:
        raise ValueError("the length of an exact form")
    return coded[16:]


@dataclass(frozen=True)
class Latent:
    """What a latent form holds. `values[tile][channel][y][x]`."""

    decoder_digest: bytes
    width: int
    height: int
    frames: int
    values: list


def decode_latent(coded: bytes, tables: bytes) -> Latent:
    """Entropy-decodes every tile; refuses raw rows, which this peer does not take."""
    if coded[:6] != b"LWBS\x01\x01":
        raise ValueError("no coded image in latent form")
    digest, width, height, frames, _, _, _, order, _, _, step, channels, stride, side, overlap, uid_length = struct.unpack_from(
        "<32s3I4B2iH2B2HB", coded, 8
    )
    if order > 1 or overlap or step < 1 or not 1 <= channels <= 16 or stride not in (1, 2, 4, 8, 16, 32) or not 16 <= side <= 4096:
        raise ValueError("a field of the latent form")
    at = 73 + uid_length
    (container,) = struct.unpack_from("<I", coded, at)
    rows, columns = -(-height // stride), -(-width // stride)
    if order & 1:
        rows, columns = -(-rows // side) * side, -(-columns // side) * side
    shapes = [
        (min(side, rows - y), min(side, columns - x)) for _ in range(frames) for y in range(0, rows, side) for x in range(0, columns, side)
    ]
    lengths = struct.unpack_from(f"<{len(shapes)}I", coded, at + 4)
    at += 4 + 4 * len(shapes) + container
    if at + sum(lengths) != len(coded):
        raise ValueError("the tiles' lengths")
    model = Tables(tables)
    if len(model.channels) != channels:
        raise ValueError("tables of another number of channels")
    values = []
    for (tile_rows, tile_columns), length in zip(shapes, lengths, strict=True):
        values.append(model.decode(coded[at : at + length], tile_rows, tile_columns))
        at += length
    return Latent(digest, width, height, frames, values)


class Reader:
    """Takes little-endian fields off the front."""

    def __init__(self, data: bytes) -> None:
        self.data, self.at = data, 0

    def take(self, form: str) -> tuple:
        values = struct.unpack_from("<" + form, self.data, self.at)
        self.at += struct.calcsize("<" + form)
        return values


class Tables:
    """tables.bin, and section 6's way from a tile's bytes to integers."""

    def __init__(self, data: bytes) -> None:
        reader = Reader(data)
        magic, version, channels, precision, fractions = reader.take("4s4B")
        if (magic, version, precision, fractions) != (b"LWTB", 1, 16, 8):
            raise ValueError("no tables.bin of version 1")
        self.channels = [self.channel(reader) for _ in range(channels)]
        if reader.at != len(data):
            raise ValueError("bytes after tables.bin")

    @staticmethod
    def channel(reader: Reader) -> tuple:
        (mean_bias, taps) = reader.take("iH")
        mean = [reader.take("Bbbi") for _ in range(taps)]
        (activity_bias, taps) = reader.take("IH")
        activity = [reader.take("BbbI") for _ in range(taps)]
        (bins,) = reader.take("B")
        thresholds = reader.take(f"{bins - 1}I")
        probabilities = []
        for _ in range(bins * 8):
            (radius,) = reader.take("H")
            probabilities.append([value + 1 for value in reader.take(f"{2 * radius + 2}H")])
            if sum(probabilities[-1]) != 1 << 16:
                raise ValueError("probabilities that do not sum to 2^16")
        return mean_bias, mean, activity_bias, activity, thresholds, probabilities

    def decode(self, data: bytes, rows: int, columns: int) -> list:
        decoder = RangeDecoder(data)
        plane = lambda: [[0] * columns for _ in range(rows)]  # noqa: E731
        values, errors = [plane() for _ in self.channels], [plane() for _ in self.channels]

        def weighted(taps: list, planes: list, y: int, x: int) -> int:
            inside = ((c, y + dy, x + dx, weight) for c, dy, dx, weight in taps)
            return sum(weight * planes[c][v][u] for c, v, u, weight in inside if 0 <= v < rows and 0 <= u < columns)

        for c, (mean_bias, mean, activity_bias, activity, thresholds, probabilities) in enumerate(self.channels):
            for y in range(rows):
                for x in range(columns):
                    mean_q8 = (mean_bias + weighted(mean, values, y, x)) >> 8
                    mean_q8 = max(-(32767 << 8), min(32767 << 8, mean_q8))
                    m = (mean_q8 + 128) >> 8
                    fraction = ((mean_q8 - (m << 8)) + 128) >> 5
                    level = ((activity_bias << 8) + weighted(activity, errors, y, x)) >> 16
                    bin_ = sum(threshold <= level for threshold in thresholds)
                    q = m + decoder.residual(probabilities[bin_ * 8 + fraction])
                    if abs(q) > 32767:
                        raise ValueError("a value beyond 32767")
                    values[c][y][x] = q
                    errors[c][y][x] = min(abs((q << 8) - mean_q8), 2**24 - 1)
        decoder.finish()
        return values


class RangeDecoder:
    """The range coder of section 6. `finish` holds the end against what an encoder would have written."""

    def __init__(self, data: bytes) -> None:
        if len(data) % 4:
            raise ValueError("a tile that is no whole number of words")
        self.words = list(struct.unpack(f"<{len(data) // 4}I", data))
        # `lower` counts without the wrap, so that the encoder's carries are in it; `point` likewise.
        self.lower, self.range, self.taken, self.point = 0, 2**64 - 1, 0, 0
        self.word()
        self.word()

    def word(self) -> None:
        word = self.words[self.taken] if self.taken < len(self.words) else 0
        self.point, self.taken = self.point << 32 | word, self.taken + 1

    def symbol(self, probabilities: list[int]) -> int:
        scale = self.range >> 16
        quantile = (self.point - self.lower) // scale
        if not 0 <= quantile < 1 << 16:
            raise ValueError("a corrupt tile")
        below = 0
        for symbol, probability in enumerate(probabilities):
            if quantile < below + probability:
                break
            below += probability
        self.lower, self.range = self.lower + scale * below, scale * probability
        if self.range < 1 << 32:
            self.lower, self.range = self.lower << 32, self.range << 32
            self.word()
        return symbol

    def bit(self) -> int:
        return self.symbol([1 << 15, 1 << 15])

    def residual(self, probabilities: list[int]) -> int:
        radius = (len(probabilities) - 2) // 2
        symbol = self.symbol(probabilities)
        if symbol <= 2 * radius:
            return symbol - radius
        zeros = 0
        while not self.bit():
            zeros += 1
            if zeros > 17:
                raise ValueError("an escape that is too long")
        number = 1
        for _ in range(zeros):
            number = number << 1 | self.bit()
        size = number - 1 + radius + 1
        return -size if self.bit() else size

    def finish(self) -> None:
        """The encoder's end: lower + 2^32 - 1 down to the word of weight 2^32, one word 0 more if need be."""
        end = (self.lower + 2**32 - 1) >> 32
        words = []
        for _ in range(self.taken - 1):
            words.append(end & 0xFFFFFFFF)
            end >>= 32
        words.reverse()
        if (self.lower + self.range) % 2**64 >> 32 == words[-1]:
            words.append(0)
        if end or words != self.words:
            raise ValueError("a tile that does not end where its encoder ended")
