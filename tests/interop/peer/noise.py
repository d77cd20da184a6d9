"""Noise_IK_25519_AESGCM_SHA256 (Noise Protocol Framework, revision 34), as section 4 asks for it."""

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from .kdf import mac, sha256
from .keys import Identity, check_public, dh

NAME = b"Noise_IK_25519_AESGCM_SHA256"
MESSAGE_1, MESSAGE_2 = 1280, 1136
VERSION, SUITE = 1, 1


class HandshakeError(Exception):
    """HANDSHAKE_FAILED, whatever its cause."""


class CipherState:
    """A key and its nonce; also a transport key after the handshake."""

    def __init__(self, key: bytes) -> None:
        self.aead, self.counter = AESGCM(key), 0

    def nonce(self) -> bytes:
        self.counter += 1
        return bytes(4) + (self.counter - 1).to_bytes(8, "big")

    def seal(self, plaintext: bytes, aad: bytes = b"") -> bytes:
        return self.aead.encrypt(self.nonce(), plaintext, aad)

    def open(self, ciphertext: bytes, aad: bytes = b"") -> bytes:
        return self.aead.decrypt(self.nonce(), ciphertext, aad)


class Handshake:
    """SymmetricState and the two messages. `receiver_public` is known to both sides beforehand."""

    def __init__(self, own: Identity, receiver_public: bytes) -> None:
        prologue = b"latentwire/1" + VERSION.to_bytes(4, "big") + SUITE.to_bytes(4, "big") + sha256(receiver_public)
        self.own, self.receiver_public = own, receiver_public
        self.ephemeral = X25519PrivateKey.generate()
        self.h = self.chaining = NAME.ljust(32, b"\0")
        self.cipher: CipherState | None = None
        self.mix_hash(prologue)
        self.mix_hash(receiver_public)

    # The sender's side.

    def write_message_1(self, payload: bytes) -> bytes:
        e = self.ephemeral.public_key().public_bytes_raw()
        self.mix_hash(e)
        self.mix_key(dh(self.ephemeral, self.receiver_public))
        s = self.encrypt_and_hash(self.own.public)
        self.mix_key(dh(self.own.secret, self.receiver_public))
        return e + s + self.encrypt_and_hash(payload)

    def read_message_2(self, message: bytes) -> bytes:
        if len(message) != MESSAGE_2:
            raise HandshakeError("the length of message 2")
        try:
            self.mix_hash(message[:32])
            self.mix_key(dh(self.ephemeral, message[:32]))
            self.mix_key(dh(self.own.secret, message[:32]))
            return self.decrypt_and_hash(message[32:])
        except (InvalidTag, ValueError) as error:
            raise HandshakeError("message 2") from error

    # The receiver's side.

    def read_message_1(self, message: bytes) -> tuple[bytes, bytes]:
        """The sender's static key and the payload."""
        if len(message) != MESSAGE_1:
            raise HandshakeError("the length of message 1")
        try:
            self.remote_ephemeral = message[:32]
            self.mix_hash(message[:32])
            self.mix_key(dh(self.own.secret, message[:32]))
            self.sender_public = self.decrypt_and_hash(message[32:80])
            check_public(self.sender_public)
            if self.sender_public == self.own.public:
                raise HandshakeError("the peer shows this side's own key")
            self.mix_key(dh(self.own.secret, self.sender_public))
            return self.sender_public, self.decrypt_and_hash(message[80:])
        except (InvalidTag, ValueError) as error:
            raise HandshakeError("message 1") from error

    def write_message_2(self, payload: bytes) -> bytes:
        e = self.ephemeral.public_key().public_bytes_raw()
        self.mix_hash(e)
        self.mix_key(dh(self.ephemeral, self.remote_ephemeral))
        self.mix_key(dh(self.ephemeral, self.sender_public))
        return e + self.encrypt_and_hash(payload)

    def split(self) -> tuple[CipherState, CipherState]:
        """Sender to receiver, receiver to sender."""
        first, second = hkdf(self.chaining, b"")
        return CipherState(first), CipherState(second)

    # SymmetricState (Noise, section 5.2).

    def mix_hash(self, data: bytes) -> None:
        self.h = sha256(self.h, data)

    def mix_key(self, ikm: bytes) -> None:
        self.chaining, key = hkdf(self.chaining, ikm)
        self.cipher = CipherState(key)

    def encrypt_and_hash(self, plaintext: bytes) -> bytes:
        sealed = self.cipher.seal(plaintext, self.h)
        self.mix_hash(sealed)
        return sealed

    def decrypt_and_hash(self, sealed: bytes) -> bytes:
        plaintext = self.cipher.open(sealed, self.h)
        self.mix_hash(sealed)
        return plaintext


def hkdf(chaining: bytes, ikm: bytes) -> tuple[bytes, bytes]:
    """HKDF with two outputs (Noise, section 4.3)."""
    temporary = mac(chaining, ikm)
    first = mac(temporary, b"\1")
    return first, mac(temporary, first, b"\2")
