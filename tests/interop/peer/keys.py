"""Identities as text (section 2): bech32m, one role a key."""

from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey

from .kdf import sha256

SENDER, RECEIVER = 1, 2
ALPHABET = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"
BECH32M = 0x2BC830A3


@dataclass(frozen=True)
class Identity:
    """Own scalar and its public half."""

    role: int
    secret: X25519PrivateKey
    public: bytes


def load_secret(path: Path, role: int) -> Identity:
    payload = decode(key_line(path), "latentwire-secret-key-", upper=True)
    if payload[0] != role or payload[1:] == bytes(32):
        raise ValueError(f"{path}: another role, or no secret")
    return identity(payload[1:], role)


def identity(scalar: bytes, role: int) -> Identity:
    secret = X25519PrivateKey.from_private_bytes(scalar)
    return Identity(role, secret, secret.public_key().public_bytes_raw())


def load_public(path: Path, role: int) -> bytes:
    payload = decode(key_line(path), "latentwire-public-key-", upper=False)
    if payload[0] != role:
        raise ValueError(f"{path}: a key of another role")
    check_public(payload[1:])
    return payload[1:]


def check_public(key: bytes) -> None:
    """Refuses what section 2 refuses: not canonical, or of low order."""
    if int.from_bytes(key, "little") >= 2**255 - 19:
        raise ValueError("the public key is not below 2^255 - 19")
    dh(X25519PrivateKey.generate(), key)


def dh(secret: X25519PrivateKey, public: bytes) -> bytes:
    """X25519; the library raises ValueError where the result is 32 zero bytes."""
    return secret.exchange(X25519PublicKey.from_public_bytes(public))


def fingerprint(public: bytes) -> str:
    digits = sha256(b"latentwire/1 fingerprint", public)[:20].hex()
    return " ".join(digits[at : at + 4] for at in range(0, 40, 4))


def key_line(path: Path) -> str:
    lines = [line for line in path.read_text("ascii").splitlines() if line.strip() and not line.startswith("#")]
    if len(lines) != 1:
        raise ValueError(f"{path}: one line with a key is expected")
    return lines[0].strip()


def decode(text: str, prefix: str, *, upper: bool) -> bytes:
    """bech32m (BIP-350) without its limit of 90 characters; 33 bytes."""
    if text != (text.upper() if upper else text.lower()):
        raise ValueError("the key is not in its case")
    text = text.lower()
    head, _, data = text.rpartition("1")
    if head != prefix or not data or set(data) - set(ALPHABET):
        raise ValueError("the text is no such key")
    values = [ALPHABET.index(character) for character in data]
    spread = [ord(character) >> 5 for character in head] + [0] + [ord(character) & 31 for character in head]
    if checksum(spread + values) != BECH32M:
        raise ValueError("the key's checksum is wrong")
    number, values = 0, values[:-6]
    for value in values:
        number = number << 5 | value
    spare = 5 * len(values) % 8
    if spare >= 5 or number & ((1 << spare) - 1):
        raise ValueError("the key has another length or padding bits")
    payload = (number >> spare).to_bytes(5 * len(values) // 8, "big")
    if len(payload) != 33 or payload[0] not in (SENDER, RECEIVER):
        raise ValueError("the key has another length or an unknown role")
    return payload


def checksum(values: list[int]) -> int:
    state = 1
    for value in values:
        top = state >> 25
        state = (state & 0x1FFFFFF) << 5 ^ value
        for bit, term in enumerate((0x3B6A57B2, 0x26508E6D, 0x1EA119FA, 0x3D4233DD, 0x2A1462B3)):
            state ^= term if top >> bit & 1 else 0
    return state
