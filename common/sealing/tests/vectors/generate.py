"""Independent implementation of docs/PROTOCOL.md, which writes latentwire-v1.json.

Written from the protocol document, not from the Rust crate. Needs `cryptography` and `kyber-py`.
Usage: python generate.py [--check]
"""

import hashlib
import hmac
import json
import pathlib
import struct
import sys

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from kyber_py.ml_kem import ML_KEM_768

from chaos4 import scramble

OUT = pathlib.Path(__file__).with_name("latentwire-v1.json")


def sha256(*parts):
    return hashlib.sha256(b"".join(parts)).digest()


def mac(key, *parts):
    return hmac.new(key, b"".join(parts), "sha256").digest()


def extract(salt, ikm):
    return mac(salt or bytes(32), ikm)


def expand(prk, info, length):
    block, out, counter = b"", b"", 1
    while len(out) < length:
        block = mac(prk, block, info, bytes([counter]))
        out, counter = out + block, counter + 1
    return out[:length]


def public(secret):
    return X25519PrivateKey.from_private_bytes(secret).public_key().public_bytes_raw()


def dh(secret, peer):
    return X25519PrivateKey.from_private_bytes(secret).exchange(X25519PublicKey.from_public_bytes(peer))


def gcm(key, nonce, plaintext, aad):
    return AESGCM(key).encrypt(nonce, plaintext, aad)


# --- bech32m (BIP-350) -------------------------------------------------------------------------------------------

CHARSET = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"


def polymod(values):
    generator = [0x3B6A57B2, 0x26508E6D, 0x1EA119FA, 0x3D4233DD, 0x2A1462B3]
    check = 1
    for value in values:
        top = check >> 25
        check = (check & 0x1FFFFFF) << 5 ^ value
        for bit in range(5):
            check ^= generator[bit] if (top >> bit) & 1 else 0
    return check


def bech32m(prefix, payload):
    bits = "".join(f"{byte:08b}" for byte in payload)
    bits += "0" * (-len(bits) % 5)
    data = [int(bits[i : i + 5], 2) for i in range(0, len(bits), 5)]
    expanded = [ord(c) >> 5 for c in prefix] + [0] + [ord(c) & 31 for c in prefix]
    check = polymod(expanded + data + [0] * 6) ^ 0x2BC830A3
    data += [(check >> 5 * (5 - i)) & 31 for i in range(6)]
    return prefix + "1" + "".join(CHARSET[value] for value in data)


# --- Noise IK (rev 34), as steps 1 and 2 use it --------------------------------------------------------------------


class Noise:
    def __init__(self, prologue):
        # A name of at most 32 bytes is padded, not hashed (Noise rev 34, section 5.2).
        self.h = b"Noise_IK_25519_AESGCM_SHA256".ljust(32, b"\0")
        self.ck = self.h
        self.key, self.n = None, 0
        self.mix_hash(prologue)

    def mix_hash(self, data):
        self.h = sha256(self.h, data)

    def mix_key(self, ikm):
        temp = mac(self.ck, ikm)
        self.ck = mac(temp, b"\x01")
        self.key, self.n = mac(temp, self.ck, b"\x02"), 0

    def encrypt_and_hash(self, plaintext):
        ciphertext = gcm(self.key, bytes(4) + struct.pack(">Q", self.n), plaintext, self.h)
        self.n += 1
        self.mix_hash(ciphertext)
        return ciphertext

    def split(self):
        temp = mac(self.ck, b"")
        first = mac(temp, b"\x01")
        return first, mac(temp, first, b"\x02")


def handshake(initiator, responder, initiator_e, responder_e, kem_seed, kem_message):
    rs = public(responder)
    prologue = b"latentwire/1" + struct.pack(">II", 1, 1) + sha256(rs)
    noise = Noise(prologue)
    noise.mix_hash(rs)  # pre-message <- s
    ek, dk = ML_KEM_768._keygen_internal(kem_seed[:32], kem_seed[32:])
    # message 1: e, es, s, ss
    e = public(initiator_e)
    noise.mix_hash(e)
    noise.mix_key(dh(initiator_e, rs))
    static = noise.encrypt_and_hash(public(initiator))
    noise.mix_key(dh(initiator, rs))
    message_1 = e + static + noise.encrypt_and_hash(ek)
    # message 2: e, ee, se
    shared, ciphertext = ML_KEM_768._encaps_internal(ek, kem_message)
    assert ML_KEM_768._decaps_internal(dk, ciphertext) == shared
    re = public(responder_e)
    noise.mix_hash(re)
    noise.mix_key(dh(responder_e, e))
    noise.mix_key(dh(responder_e, public(initiator)))
    message_2 = re + noise.encrypt_and_hash(ciphertext)
    to_responder, to_initiator = noise.split()
    return {
        "prologue": prologue,
        "message_1": message_1,
        "message_2": message_2,
        "h": noise.h,
        "ss_pq": shared,
        "to_responder": to_responder,
        "to_initiator": to_initiator,
    }


def control(key, position, kind, plaintext):
    return gcm(key, bytes(4) + struct.pack(">Q", position), bytes([kind]) + plaintext, b"")


# --- transfers ------------------------------------------------------------------------------------------------------


def open_body(slot, transfer_id, form, digest, segment, padded, padding, inner, secret):
    head = struct.pack(">BBBBI", 1, form, padding, inner, slot)
    return head + transfer_id + digest + struct.pack(">IQ", segment, padded) + secret


class Keys:
    def __init__(self, prk, ctx):
        self.prk, self.ctx = prk, ctx

    def make(self, label, suffix=b"", length=32):
        return expand(self.prk, b"latentwire/1 " + label + self.ctx + suffix, length)

    def row(self, j):
        return self.make(b"row", bytes([j]))

    def segments(self, plaintext, size, start=0):
        prefix = self.make(b"nonce", length=7)
        pieces = [plaintext[i : i + size] for i in range(0, len(plaintext), size)] or [b""]
        for i, piece in enumerate(pieces):
            if i >= start:
                last = i + 1 == len(pieces)
                nonce = prefix + struct.pack(">I?", i, last)
                yield gcm(self.row(i % 256), nonce, piece, self.ctx)


def padme(length):
    if length < 2:
        return length
    exponent = length.bit_length() - 1
    significant = exponent.bit_length()
    step = 1 << (exponent - significant)
    return -(-length // step) * step


def pattern(length, tag):
    """Plaintext that anyone can rebuild: SHA-256(tag, counter) blocks."""
    blocks = b"".join(sha256(tag, struct.pack(">I", i)) for i in range(length // 32 + 1))
    return blocks[:length]


def h(value):
    return value.hex()


def build():
    initiator, responder = sha256(b"vector sender"), sha256(b"vector receiver")
    initiator_e, responder_e = sha256(b"vector sender e"), sha256(b"vector receiver e")
    kem_seed = sha256(b"vector kem d") + sha256(b"vector kem z")
    kem_message = sha256(b"vector kem m")
    shake = handshake(initiator, responder, initiator_e, responder_e, kem_seed, kem_message)

    identities = []
    for role, secret in ((1, initiator), (2, responder)):
        key = public(secret)
        identities.append(
            {
                "role": role,
                "secret_text": bech32m("latentwire-secret-key-", bytes([role]) + secret).upper(),
                "public_text": bech32m("latentwire-public-key-", bytes([role]) + key),
                "public": h(key),
                "receiver_id": h(sha256(key)),
                "fingerprint": h(sha256(b"latentwire/1 fingerprint", key)[:20]),
            }
        )

    transfers = []
    sent = 0
    cases = [
        # name, form, digest, coded bytes, segment, padding, inner layer, bytes of the head
        ("latent, one segment", 1, sha256(b"decode.toml"), 700, 65_536, 1, 1, 0),
        ("exact, several segments", 2, bytes(32), 2_500, 1_024, 1, 1, 0),
        ("latent, more than 256 segments", 1, sha256(b"decode.toml"), 300 * 1_024 + 17, 1_024, 3, 1, 0),
        ("latent, fixed ladder", 1, sha256(b"decode.toml"), 70_000, 65_536, 2, 1, 0),
        ("latent, below the chaos layer", 1, sha256(b"decode.toml"), 2_900, 1_024, 1, 2, 0),
        ("exact, below the chaos layer", 2, bytes(32), 700, 65_536, 1, 2, 0),
        ("latent, 600 rows", 1, sha256(b"decode.toml"), 57 + 600 * 24, 24, 4, 1, 57),
    ]
    for number, (name, form, digest, coded_bytes, segment, padding, inner, head_bytes) in enumerate(cases):
        slot = number % 4
        coded = pattern(coded_bytes, name.encode())
        padded_bytes = {
            1: padme(coded_bytes),
            2: max(65_536, 1 << (coded_bytes - 1).bit_length()),
            3: coded_bytes,
            4: coded_bytes - head_bytes,
        }[padding]
        transfer_id = sha256(b"transfer", name.encode())[:16]
        secret = sha256(b"image secret", name.encode())
        source = sha256(b"source", name.encode())
        body = open_body(slot, transfer_id, form, digest, segment, padded_bytes, padding, inner, secret)
        ctx = sha256(b"latentwire/1 open", body)
        prk = extract(shake["h"], shake["ss_pq"] + secret)
        keys = Keys(prk, ctx)
        inside = scramble(keys.make(b"chaos", sha256(coded)), coded) if inner == 2 else coded[head_bytes:]
        padded = inside.ljust(padded_bytes, b"\0")
        plaintext = body + keys.make(b"commit") + keys.make(b"content", source)
        record = b"meta record of " + name.encode()
        sealed = list(keys.segments(padded, segment))
        prefix_sha256 = sha256(padded[:segment])
        transfers.append(
            {
                "name": name,
                "slot": slot,
                "transfer_id": h(transfer_id),
                "form": form,
                "decoder_digest": h(digest),
                "segment_bytes": segment,
                "padded_bytes": padded_bytes,
                "coded_bytes": coded_bytes,
                "coded_sha256": h(sha256(coded)),
                "padding": padding,
                "inner_layer": inner,
                "head_bytes": head_bytes,
                "image_secret": h(secret),
                "source_sha256": h(source),
                "open_body": h(body),
                "ctx": h(ctx),
                "prk": h(prk),
                "commit": h(keys.make(b"commit")),
                "content_tag": h(keys.make(b"content", source)),
                "meta_key": h(keys.make(b"meta")),
                "prefix": h(keys.make(b"nonce", length=7)),
                "rows_sha256": h(sha256(*[keys.row(j) for j in range(256)])),
                "row_255": h(keys.row(255)),
                "chaos_seed": h(keys.make(b"chaos", sha256(coded))),
                "resume_tag_1": h(keys.make(b"resume", prefix_sha256)),
                "receipt_tag": h(keys.make(b"receipt", sha256(coded))),
                "open_message": h(control(shake["to_responder"], sent, 1, plaintext)),
                "meta_record": h(record),
                "meta_sealed": h(gcm(keys.make(b"meta"), bytes(12), record, ctx)),
                "segment_0": h(sealed[0][:64]),
                "segment_last": h(sealed[-1]) if len(sealed[-1]) < 2_000 else h(sealed[-1][-64:]),
                "segments_sha256": h(sha256(*sealed)),
                "segment_count": len(sealed),
            }
        )
        sent += 1

    receipts = [
        {"kind": kind, "plaintext": h(text), "message": h(control(shake["to_initiator"], i, kind, text))}
        for i, (kind, text) in enumerate([(2, b"open ack"), (3, b"need exact"), (4, b"receipt"), (4, b"")])
    ]

    storage_key, data_key = sha256(b"storage key"), sha256(b"data key")
    salts = [sha256(b"salt", bytes([i])) for i in range(3)]
    key_id = sha256(b"latentwire/1 storage key id", storage_key)[:16]
    object_id = sha256(b"object id")[:16]

    def under(label, salt, plaintext):
        key = expand(extract(salt, storage_key), b"latentwire/1 " + label + key_id + object_id, 32)
        return key_id + salt + gcm(key, bytes(12), plaintext, key_id + object_id)

    objects = []
    for length in (0, 1, 65_536, 65_537, 200_000):
        plaintext = pattern(length, b"object")
        header = b"LWSO" + bytes([1, 0, 0, 0]) + object_id + struct.pack(">IQ", 65_536, length)
        keys = Keys(extract(salts[0], data_key), sha256(b"latentwire/1 object", header))
        sealed = header + salts[0] + keys.make(b"commit") + b"".join(keys.segments(plaintext, 65_536))
        objects.append({"length": length, "bytes": len(sealed), "head": h(sealed[:120]), "sha256": h(sha256(sealed))})

    sizes = sorted({1, 2, 3, 4, 5, 8, 9, 17, 100, 1000, 4096, 65535, 65536, 65537, 99_999, 1_000_000, (1 << 30) - 1, 1 << 30})
    return {
        "note": "Made by generate.py; see README.md. Byte strings are hex.",
        "handshake": {
            "initiator_secret": h(initiator),
            "responder_secret": h(responder),
            "initiator_ephemeral": h(initiator_e),
            "responder_ephemeral": h(responder_e),
            "kem_seed": h(kem_seed),
            "kem_message": h(kem_message),
            **{key: h(value) for key, value in shake.items()},
        },
        "identities": identities,
        "transfers": transfers,
        "control_to_initiator": receipts,
        "padme": [[size, padme(size)] for size in sizes],
        "at_rest": {
            "storage_key": h(storage_key),
            "storage_key_text": bech32m("latentwire-storage-key-", storage_key).upper(),
            "key_id": h(key_id),
            "data_key": h(data_key),
            "object_id": h(object_id),
            "salts": [h(salt) for salt in salts],
            "objects": objects,
            "wrapped": h(under(b"wrap", salts[1], data_key)),
            "record": h(b"attributes"),
            "record_sealed": h(under(b"record", salts[2], b"attributes")),
            "lookup_purpose": "uid",
            "lookup_value": h(b"1.2.840.10008"),
            "lookup_tag": h(
                expand(extract(b"", storage_key), b"latentwire/1 lookup" + sha256(b"uid") + sha256(b"1.2.840.10008"), 32)
            ),
        },
    }


if __name__ == "__main__":
    text = json.dumps(build(), indent=1) + "\n"
    if "--check" in sys.argv:
        sys.exit(0 if OUT.read_text() == text else "latentwire-v1.json differs from what this script makes")
    OUT.write_text(text)
