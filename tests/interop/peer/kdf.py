"""Hashes and HKDF-SHA256 (docs/PROTOCOL.md, section 1; RFC 5869)."""

import hashlib
import hmac


def sha256(*parts: bytes) -> bytes:
    return hashlib.sha256(b"".join(parts)).digest()


def mac(key: bytes, *parts: bytes) -> bytes:
    return hmac.new(key, b"".join(parts), "sha256").digest()


def extract(salt: bytes, ikm: bytes) -> bytes:
    return mac(salt, ikm)


def expand(prk: bytes, info: bytes, length: int) -> bytes:
    out, block = b"", b""
    for counter in range(1, -(-length // 32) + 1):
        block = mac(prk, block, info, bytes([counter]))
        out += block
    return out[:length]
