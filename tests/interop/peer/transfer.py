"""Open, key schedule, padding, Meta and segments (sections 6, 8 and 9)."""

import secrets
from dataclasses import dataclass, field

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from .kdf import expand, extract, sha256

LATENT, EXACT = 1, 2
PADME, FIXED, NONE = 1, 2, 3
NO_INNER_LAYER = 1
SEGMENT_BYTES = 65_536
EARLY_BYTES = 256 * 1024


class PayloadError(Exception):
    """PAYLOAD_AUTHENTICATION_FAILED, whatever its cause."""


def _bytes(length: int):
    return field(default_factory=lambda: secrets.token_bytes(length))


@dataclass(frozen=True)
class OpenBody:
    """The 100 bytes of section 6."""

    form: int
    padding: int
    slot: int
    padded_bytes: int
    decoder_digest: bytes = bytes(32)
    segment_bytes: int = SEGMENT_BYTES
    transfer_id: bytes = _bytes(16)
    image_secret: bytes = _bytes(32)
    inner_layer: int = NO_INNER_LAYER
    version: int = 1

    def encode(self) -> bytes:
        head = bytes([self.version, self.form, self.padding, self.inner_layer]) + self.slot.to_bytes(4, "big")
        sizes = self.segment_bytes.to_bytes(4, "big") + self.padded_bytes.to_bytes(8, "big")
        return head + self.transfer_id + self.decoder_digest + sizes + self.image_secret

    @classmethod
    def decode(cls, body: bytes) -> "OpenBody":
        """Checks every field but form 3, inner layer 2 and policy 4, which this peer does not speak: the caller refuses them."""
        number = lambda at, size: int.from_bytes(body[at : at + size], "big")  # noqa: E731
        if len(body) != 100:
            raise PayloadError("the length of an Open")
        parsed = cls(
            version=body[0],
            form=body[1],
            padding=body[2],
            inner_layer=body[3],
            slot=number(4, 4),
            transfer_id=body[8:24],
            decoder_digest=body[24:56],
            segment_bytes=number(56, 4),
            padded_bytes=number(60, 8),
            image_secret=body[68:],
        )
        known = parsed.version == 1 and 1 <= parsed.form <= 3 and 1 <= parsed.padding <= 4 and 1 <= parsed.inner_layer <= 2
        digest_fits = (parsed.decoder_digest == bytes(32)) == (parsed.form == EXACT)
        lowest = 4 if parsed.padding == 4 else 1024
        if not known or not digest_fits or parsed.slot > 3 or not lowest <= parsed.segment_bytes <= 65_536:
            raise PayloadError("a field of an Open")
        return parsed

    @property
    def segments(self) -> int:
        return -(-self.padded_bytes // self.segment_bytes)

    def segment_length(self, index: int) -> int:
        return min(self.segment_bytes, self.padded_bytes - index * self.segment_bytes)

    @property
    def too_large(self) -> bool:
        return not 1 <= self.padded_bytes <= 2**30 or self.segments > 2**20


class Keys:
    """Everything that is derived for one transfer."""

    def __init__(self, h: bytes, ss_pq: bytes, open_body: bytes) -> None:
        self.ctx = sha256(b"latentwire/1 open", open_body)
        self.prk = extract(h, ss_pq + open_body[68:])
        self.commit = self.derive(b"commit", 32)
        self.meta_key = self.derive(b"meta", 32)
        self.prefix = self.derive(b"nonce", 7)
        self.rows: dict[int, AESGCM] = {}

    def derive(self, label: bytes, length: int, more: bytes = b"") -> bytes:
        return expand(self.prk, b"latentwire/1 " + label + self.ctx + more, length)

    def content_tag(self, source_sha256: bytes) -> bytes:
        return self.derive(b"content", 32, source_sha256)

    def receipt_tag(self, stored_sha256: bytes) -> bytes:
        return self.derive(b"receipt", 32, stored_sha256)

    def seal_meta(self, record: bytes) -> bytes:
        return AESGCM(self.meta_key).encrypt(bytes(12), record, self.ctx)

    def open_meta(self, ciphertext: bytes) -> bytes:
        if not 1 + 16 <= len(ciphertext) <= 65_536 + 16:
            raise PayloadError("the length of a meta record")
        try:
            return AESGCM(self.meta_key).decrypt(bytes(12), ciphertext, self.ctx)
        except InvalidTag as error:
            raise PayloadError("a meta record") from error

    def seal_segment(self, index: int, last: bool, plaintext: bytes) -> bytes:
        return self.row(index).encrypt(self.nonce(index, last), plaintext, self.ctx)

    def open_segment(self, index: int, last: bool, ciphertext: bytes) -> bytes:
        try:
            return self.row(index).decrypt(self.nonce(index, last), ciphertext, self.ctx)
        except InvalidTag as error:
            raise PayloadError(f"segment {index}") from error

    def row(self, index: int) -> AESGCM:
        j = index % 256
        if j not in self.rows:
            self.rows[j] = AESGCM(self.derive(b"row", 32, bytes([j])))
        return self.rows[j]

    def nonce(self, index: int, last: bool) -> bytes:
        return self.prefix + index.to_bytes(4, "big") + bytes([last])


def padded_length(length: int, policy: int) -> int:
    """The table of section 9."""
    if policy == PADME and length > 1:
        exponent = length.bit_length() - 1
        unit = 1 << (exponent - exponent.bit_length())
        return -(-length // unit) * unit
    if policy == FIXED:
        return max(65_536, 1 << (length - 1).bit_length())
    return length


def unpad(padded: bytes, policy: int, coded_bytes: int, coded_sha256: bytes) -> bytes:
    coded, padding = padded[:coded_bytes], padded[coded_bytes:]
    if not 1 <= coded_bytes <= len(padded) or padded_length(coded_bytes, policy) != len(padded) or any(padding):
        raise PayloadError("the padding")
    if sha256(coded) != coded_sha256:
        raise PayloadError("the digest of the coded image")
    return coded
