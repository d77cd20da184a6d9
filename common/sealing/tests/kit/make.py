"""Writes the attack kit: one scenario a file, its bytes frozen (README.md says how to read them).

Made by the independent Python implementation of docs/PROTOCOL.md beside it (../vectors/generate.py), not by the Rust crate.
Needs `cryptography` and `kyber-py`. Usage: python make.py [--check]
"""

from __future__ import annotations

import pathlib
import struct
import sys

HERE = pathlib.Path(__file__).parent
sys.path.insert(0, str(HERE.parent / "vectors"))

from generate import ML_KEM_768, Keys, Noise, bech32m, control, dh, expand, extract, gcm, handshake, open_body, pattern, public, sha256  # noqa: E402

BAD = "PAYLOAD_AUTHENTICATION_FAILED"
SHAKE = "HANDSHAKE_FAILED"
SENDER, RECEIVER, STRANGER, OTHER = (sha256(b"kit " + name) for name in (b"sender", b"receiver", b"stranger", b"other receiver"))
SENDER_E, RECEIVER_E = sha256(b"kit sender e"), sha256(b"kit receiver e")
KEM_SEED, KEM_MESSAGE = sha256(b"kit kem d") + sha256(b"kit kem z"), sha256(b"kit kem m")
SEGMENT = 1_024
CODED = 2_500  # three segments, the last one short


def flipped(data: bytes, bit: int) -> bytes:
    bit %= 8 * len(data)
    return bytes(byte ^ (1 << bit % 8 if i == bit // 8 else 0) for i, byte in enumerate(data))


def secret_text(role: int, scalar: bytes) -> str:
    return bech32m("latentwire-secret-key-", bytes([role]) + scalar).upper()


def public_text(role: int, key: bytes) -> str:
    return bech32m("latentwire-public-key-", bytes([role]) + key)


# --- files ---------------------------------------------------------------------------------------------------------

FILES: dict[str, str] = {}


def scenario(name: str, kind: str, what: str, expect: str, head: dict[str, str], lines: list[str], case: str = "") -> None:
    assert name not in FILES, name
    fields = {"kind": kind, "what": what, **({"case": case} if case else {}), "expect": expect, **head}
    FILES[name] = "".join(f"{key}: {value}\n" for key, value in fields.items()) + "\n" + "".join(f"{line}\n" for line in lines)


# --- sessions ------------------------------------------------------------------------------------------------------


class Session:
    """What a sender, honest or not, would send to the kit's receiver."""

    def __init__(self, salt: bytes = b"") -> None:
        e = sha256(b"kit sender e", salt) if salt else SENDER_E
        self.shake = handshake(SENDER, RECEIVER, e, RECEIVER_E, KEM_SEED, KEM_MESSAGE)
        self.sent = 0
        self.lines = [hello(self.shake["message_1"])]

    def control(self, kind: int, plaintext: bytes) -> bytes:
        self.sent += 1
        return control(self.shake["to_responder"], self.sent - 1, kind, plaintext)


class Transfer:
    """One image in a session, its parts ready to be bent."""

    def __init__(self, session: Session, name: bytes = b"image", coded: int = CODED, padding: int = 3, segment: int = SEGMENT, head: int = 0, **other) -> None:
        self.session, self.padding = session, padding
        self.coded = pattern(coded, b"kit " + name)
        self.inside = self.coded[head:]
        self.padded = self.inside.ljust(other.get("padded", len(self.inside)), b"\0")
        self.head = self.coded[:head]
        self.secret, self.source = sha256(b"kit secret", name), sha256(b"kit source", name)
        body = dict(slot=0, transfer_id=sha256(b"kit id", name)[:16], form=1, digest=sha256(b"decode.toml"), segment=segment, padded=len(self.padded), padding=padding, inner=1, secret=self.secret)
        self.body = open_body(**(body | other.get("body", {})))
        self.keys = self.under(self.body)
        self.segment = segment

    def under(self, body: bytes) -> Keys:
        shake = self.session.shake
        return Keys(extract(shake["h"], shake["ss_pq"] + body[-32:]), sha256(b"latentwire/1 open", body))

    def opening(self, body: bytes | None = None) -> bytes:
        return (body or self.body) + self.keys.make(b"commit") + self.keys.make(b"content", self.source)

    def open(self) -> str:
        return f"open {self.session.control(1, self.opening()).hex()}"

    def sealed_meta(self) -> bytes:
        return gcm(self.keys.make(b"meta"), bytes(12), b"meta record", self.keys.ctx)

    def meta(self) -> str:
        return f"meta {self.sealed_meta().hex()}"

    def sealed(self) -> list[bytes]:
        return list(self.keys.segments(self.padded, self.segment))

    def segments(self) -> list[str]:
        sealed = self.sealed()
        return [segment(piece, i + 1 == len(sealed)) for i, piece in enumerate(sealed)]

    def end(self, length: int | None = None, digest: bytes | None = None) -> str:
        """The stream's end, and what the meta record promised: length and digest of the image, and in row mode its head."""
        words = ["end", str(len(self.coded) if length is None else length), (digest or sha256(self.coded)).hex()]
        return " ".join([*words, self.head.hex()] if self.padding == 4 else words)


def hello(noise: bytes, version: int = 1, suite: int = 1) -> str:
    return f"hello {version} {suite} {noise.hex()}"


def segment(sealed: bytes, last: bool) -> str:
    return f"segment {'last' if last else 'more'} {sealed.hex()}"


def session_head(trusts: bytes | None = None, role: int = 1) -> dict[str, str]:
    trusted = public_text(role, trusts if trusts is not None else public(SENDER))
    return {"receiver": secret_text(2, RECEIVER), "trusts": trusted, "draws": (RECEIVER_E + KEM_MESSAGE).hex()}


def session(name: str, what: str, expect: str, lines: list[str], case: str = "", **head) -> None:
    scenario(f"session_{name}", "session", what, expect, session_head(**head), lines, case)


def honest() -> tuple[Session, Transfer, list[str]]:
    """A session, its transfer, and all its lines up to the end."""
    s = Session()
    t = Transfer(s)
    return s, t, [*s.lines, t.open(), t.meta(), *t.segments(), t.end()]


def message_1(
    static: bytes = SENDER,
    payload: bytes | None = None,
    receiver: bytes = RECEIVER,
    prologue: bytes | None = None,
    shown_static: bytes | None = None,
    shown_ephemeral: bytes | None = None,
) -> bytes:
    """What an initiator sends that lies where it should; with a point that is shown in place of its own, agreements with it are zero."""
    rs = public(receiver)
    noise = Noise(b"latentwire/1" + struct.pack(">II", 1, 1) + sha256(rs) if prologue is None else prologue)
    noise.mix_hash(rs)
    e = public(SENDER_E) if shown_ephemeral is None else shown_ephemeral
    noise.mix_hash(e)
    noise.mix_key(dh(SENDER_E, rs) if shown_ephemeral is None else bytes(32))
    sealed_static = noise.encrypt_and_hash(public(static) if shown_static is None else shown_static)
    noise.mix_key(dh(static, rs) if shown_static is None else bytes(32))
    ek, _ = ML_KEM_768._keygen_internal(KEM_SEED[:32], KEM_SEED[32:])
    return e + sealed_static + noise.encrypt_and_hash(ek if payload is None else payload)


def handshakes() -> None:
    good = Session().shake["message_1"]
    ek, _ = ML_KEM_768._keygen_internal(KEM_SEED[:32], KEM_SEED[32:])
    assert good == message_1()

    def refused(name: str, what: str, noise: bytes, expect: str = SHAKE, case: str = "", **head) -> None:
        session(f"hello_{name}", what, f"{expect} at 1", [hello(noise)], case=case, **head)

    for version, suite in ((0, 1), (2, 1), (1, 0), (1, 2)):
        session(f"hello_version_{version}_suite_{suite}", "a version or suite that is not spoken", "VERSION_UNSUPPORTED at 1", [hello(good, version, suite)], case="N11")
    for place, bit in (("ephemeral_first_bit", 0), ("ephemeral_top_bit", 255), ("static", 8 * 40), ("static_tag", 8 * 79), ("payload", 8 * 500), ("payload_tag", -1)):
        refused(place, "a bit of message 1 is flipped", flipped(good, bit), case="N9")
    for name, noise in (("empty", b""), ("cut_by_one", good[:-1]), ("longer_by_one", good + b"\0"), ("ephemeral_alone", good[:32])):
        refused(name, "message 1 has another length", noise, case="N6")
    bound = sha256(public(RECEIVER))
    for name, prologue in (
        ("prologue_version_2", b"latentwire/1" + struct.pack(">II", 2, 1) + bound),
        ("prologue_suite_2", b"latentwire/1" + struct.pack(">II", 1, 2) + bound),
        ("prologue_other_receiver", b"latentwire/1" + struct.pack(">II", 1, 1) + sha256(public(OTHER))),
        ("prologue_empty", b""),
    ):
        refused(name, "the two ends bind another version, suite or receiver", message_1(prologue=prologue), case="N11")
    refused("for_another_receiver", "made for another receiver's key", message_1(receiver=OTHER), case="N1")
    refused("unknown_sender", "a sender that nobody pinned", message_1(static=STRANGER), "PEER_NOT_ALLOWED", "N15")
    refused("role_of_a_receiver", "the static key is pinned, as a receiver's", message_1(static=STRANGER), "PEER_NOT_ALLOWED", "N2", trusts=public(STRANGER), role=2)
    refused("own_key", "the static key is the receiver's own", message_1(static=RECEIVER), case="N2")
    refused("kem_stripped", "message 1 carries no encapsulation key", message_1(payload=b""), case="N12")
    refused("kem_cut", "the encapsulation key lacks its last byte", message_1(payload=ek[:-1]), case="N12")
    refused("kem_not_reduced", "a coefficient of the encapsulation key is q", message_1(payload=bytes([1, (ek[1] & 0xF0) | 0x0D]) + ek[2:]), case="N12")
    for name, point in (("zero", bytes(32)), ("one", bytes([1]) + bytes(31)), ("p_minus_one", bytes([0xEC]) + b"\xff" * 30 + b"\x7f")):
        refused(f"low_order_ephemeral_{name}", "the ephemeral key has low order", message_1(shown_ephemeral=point), case="N14")
        refused(f"low_order_static_{name}", "the static key has low order", message_1(shown_static=point), case="N14")
    refused("reflected", "the receiver's own message 2, sent back", Session().shake["message_2"], case="N5")
    raw = message_1(shown_static=(int.from_bytes(public(SENDER), "little") | 1 << 255).to_bytes(32, "little"))
    refused("static_second_spelling", "the static key with its top bit set", raw, case="N14")


def opens() -> None:
    def refused(name: str, what: str, make, expect: str = BAD, case: str = "", at: int = 2) -> None:
        s = Session()
        t = Transfer(s)
        session(f"open_{name}", what, f"{expect} at {at}", [*s.lines, *make(s, t)], case)

    def bent(offset: int, value: bytes):
        """An Open whose body says something else than what its commitment is of."""
        return lambda s, t: [f"open {s.control(1, t.opening(t.body[:offset] + value + t.body[offset + len(value):])).hex()}"]

    def truly(**body):
        """An Open that means what it should not say: its keys and commitment are of that body."""
        def make(s, t):
            return [Transfer(s, body=body).open()]
        return make

    for place, bit in (("first_bit", 0), ("middle", 700), ("tag", -1)):
        refused(f"{place}_flipped", "a bit of the sealed Open is flipped", lambda s, t, bit=bit: [f"open {flipped(s.control(1, t.opening()), bit).hex()}"], case="N9")
    refused("empty", "an Open of no bytes", lambda s, t: ["open "])
    refused("cut", "the sealed Open lacks a byte", lambda s, t: [f"open {s.control(1, t.opening())[:-1].hex()}"], case="N6")
    refused("in_another_place", "sealed for another place of the session", lambda s, t: [s.control(1, b"lost"), t.open()][1:], case="N8")
    refused("of_another_kind", "a receipt's label on an Open", lambda s, t: [f"open {s.control(4, t.opening()).hex()}"], case="N5")
    refused("twice", "the very bytes of the Open once more", lambda s, t: [o := t.open(), o], case="N3", at=3)
    refused("plaintext_cut", "an Open whose plaintext lacks a byte", lambda s, t: [f"open {s.control(1, t.opening()[:-1]).hex()}"])
    refused("plaintext_longer", "an Open with a byte behind its end", lambda s, t: [f"open {s.control(1, t.opening() + bytes(1)).hex()}"])
    for name, offset, value in (("transfer_id", 8, b"\xff" * 16), ("decoder", 24, b"\xff" * 32), ("padded_length", 60, struct.pack(">Q", 4_096)), ("segment_size", 56, struct.pack(">I", 2_048)), ("secret", 68, bytes(32)), ("padding", 2, b"\1"), ("inner_layer", 3, b"\2")):
        refused(f"commitment_of_another_{name}", "a field that the commitment is not of", bent(offset, value), case="N30")
    refused("commitment_flipped", "a bit of the commitment is flipped", lambda s, t: [f"open {s.control(1, flipped(t.opening(), 8 * 100)).hex()}"], case="N30")
    for name, offset, codes in (("version", 0, (0, 2)), ("form", 1, (0, 4)), ("padding", 2, (0, 5)), ("inner_layer", 3, (0, 3))):
        for code in codes:
            refused(f"{name}_{code}", "a code that is not defined", bent(offset, bytes([code])), case="N11")
    for name, body in (
        ("segment_size_0", dict(segment=0)), ("segment_size_1023", dict(segment=1_023)), ("segment_size_65537", dict(segment=65_537)),
        ("padded_0", dict(padded=0)), ("latent_without_decoder", dict(digest=bytes(32))), ("exact_with_decoder", dict(form=2)),
    ):
        refused(name, "a field outside its bounds", truly(**body), case="N22")
    for name, length in (("2_to_30_and_one", (1 << 30) + 1), ("2_to_40", 1 << 40), ("2_to_64_less_one", (1 << 64) - 1)):
        refused(f"padded_{name}", "more than a transfer may have", truly(padded=length), "TRANSFER_TOO_LARGE", "N20")


def metas() -> None:
    def refused(name: str, what: str, bend, case: str = "") -> None:
        s = Session()
        t = Transfer(s)
        lines = [*s.lines, t.open()]
        session(f"meta_{name}", what, f"{BAD} at 3", [*lines, f"meta {bend(s, t).hex()}"], case)

    refused("first_bit_flipped", "a bit of the meta record is flipped", lambda s, t: flipped(t.sealed_meta(), 0), "N9")
    refused("tag_flipped", "a bit of the meta record's tag is flipped", lambda s, t: flipped(t.sealed_meta(), -1), "N9")
    refused("cut", "the meta record lacks its last byte", lambda s, t: t.sealed_meta()[:-1], "N6")
    refused("empty", "a meta record of no bytes", lambda s, t: b"")
    refused("of_another_transfer", "the meta record of another transfer of the session", lambda s, t: Transfer(s, b"another").sealed_meta(), "N10")
    refused("under_a_row_key", "sealed under the first segment's key", lambda s, t: gcm(t.keys.row(0), bytes(12), b"meta record", t.keys.ctx), "N10")


def streams() -> None:
    s, t, lines = honest()
    session("honest", "an image as it should come", "delivered", lines)
    before = lines[:3]
    sealed = t.sealed()
    pieces = lines[3:6]

    def refused(name: str, what: str, rest: list[str], at: int, expect: str = BAD, case: str = "") -> None:
        session(f"segments_{name}", what, f"{expect} at {at}", [*before, *rest], case)

    for i, piece in enumerate(sealed):
        last = i == 2
        for place, bit in (("first_bit", 0), ("tag", -1)):
            changed = [*pieces[:i], segment(flipped(piece, bit), last)]
            refused(f"{i}_{place}_flipped", "a bit of a segment is flipped", changed, 4 + i, case="N9")
        refused(f"{i}_cut_by_one", "a segment lacks its last byte", [*pieces[:i], segment(piece[:-1], last)], 4 + i, case="N6")
        refused(f"{i}_longer_by_one", "a segment has a byte more", [*pieces[:i], segment(piece + b"\0", last)], 4 + i, case="N6")
        refused(f"{i}_tag_alone", "a segment is its tag alone", [*pieces[:i], segment(piece[-16:], last)], 4 + i, case="N6")
        refused(f"ends_before_{i}", "the stream ends before a segment", [*pieces[:i], t.end()], 4 + i, "STREAM_TRUNCATED", "N6")
    refused("0_and_1_exchanged", "two segments change places", [pieces[1], pieces[0]], 4, case="N7")
    refused("0_twice", "a segment comes twice", [pieces[0], pieces[0]], 5, case="N8")
    refused("1_dropped", "a segment is lost", [pieces[0], pieces[2]], 5, case="N8")
    refused("0_dropped", "the first segment is lost", [pieces[1]], 4, case="N8")
    refused("early_last_flag", "the last flag, a segment too soon", [pieces[0], segment(sealed[1], True)], 5, case="N6")
    refused("no_last_flag", "the last segment, not said to be it", [*pieces[:2], segment(sealed[2], False)], 6, case="N6")
    refused("after_the_last", "a segment behind the last", [*pieces, pieces[0]], 7, case="N8")
    refused("empty", "a segment of no bytes", ["segment more "], 4)
    cut = list(t.keys.segments(t.padded[:SEGMENT], SEGMENT))
    refused("sealed_as_last_too_soon", "the first segment, sealed and said to be the last", [segment(cut[0], True)], 4, case="N6")
    other = Transfer(s, b"another")
    refused("spliced_from_the_session", "a segment of another transfer of the session", [segment(other.sealed()[0], False)], 4, case="N10")
    other = Transfer(Session(b"second"))
    refused("spliced_from_another_session", "the same image's segment out of another session", [segment(other.sealed()[0], False)], 4, case="N10")
    swapped = list(t.keys.segments(t.padded[SEGMENT : 2 * SEGMENT] + t.padded[:SEGMENT] + t.padded[2 * SEGMENT :], SEGMENT))
    refused("right_places_wrong_content", "sealed in order, of an image whose parts changed places", [*(segment(p, i == 2) for i, p in enumerate(swapped)), t.end()], 7, case="N7")
    from_one = list(t.keys.segments(t.padded, SEGMENT, start=1))
    refused("counted_from_one", "the stream begins as if a segment were there already", [segment(from_one[0], False)], 4, case="N26")

    s = Session()
    t = Transfer(s, padding=1, padded=2_560)
    session("padded_honest", "an image with Padmé's zeros behind it", "delivered", [*s.lines, t.open(), t.meta(), *t.segments(), t.end()])
    s = Session()
    t = Transfer(s, padding=1, padded=2_560)
    t.padded = t.padded[:-1] + b"\1"
    session("padding_not_zero", "a byte of the padding is not zero", f"{BAD} at 7", [*s.lines, t.open(), t.meta(), *t.segments(), t.end()])
    s = Session()
    t = Transfer(s)
    lines = [*s.lines, t.open(), t.meta(), *t.segments()]
    session("digest_of_another_image", "the meta record promises other bytes", f"{BAD} at 7", [*lines, t.end(digest=sha256(b"other"))])
    session("longer_than_promised", "the meta record promises fewer bytes", f"{BAD} at 7", [*lines, t.end(CODED - 1, sha256(t.coded[:-1]))])
    session("shorter_than_promised", "the meta record promises more bytes", f"{BAD} at 7", [*lines, t.end(CODED + 1, sha256(t.coded + bytes(1)))])

    s = Session()
    t = Transfer(s, b"rows", coded=57 + 300 * 24, padding=4, segment=24, head=57)
    rows = t.sealed()
    before = [*s.lines, t.open(), t.meta()]

    def as_lines(found: list[bytes]) -> list[str]:
        return [segment(row, i + 1 == len(rows)) for i, row in enumerate(found)]

    session("rows_honest", "300 rows of a raw latent under 256 keys", "delivered", [*before, *as_lines(rows), t.end()])
    exchanged = [*rows]
    exchanged[3], exchanged[259] = rows[259], rows[3]
    session("rows_256_apart_exchanged", "two rows under one key change places", f"{BAD} at 7", [*before, *as_lines(exchanged)[:4]], "N7")

    s = Session()
    first, second = Transfer(s), Transfer(s, b"another")
    session("two_images", "two images, one after the other", "delivered", [*s.lines, first.open(), first.meta(), *first.segments(), first.end(), second.open(), second.meta(), *second.segments(), second.end()])


# --- at rest -------------------------------------------------------------------------------------------------------


def objects() -> None:
    data_key, other_key = sha256(b"kit data key"), sha256(b"kit other data key")
    object_id, salt = sha256(b"kit object")[:16], sha256(b"kit salt")

    def sealed(length: int, segment_bytes: int = 65_536, **other) -> bytes:
        text = pattern(length, b"kit object")
        header = other.get("magic", b"LWSO") + bytes([other.get("version", 1), *other.get("reserved", bytes(3))]) + object_id + struct.pack(">IQ", segment_bytes, other.get("said", length))
        keys = Keys(extract(salt, data_key), sha256(b"latentwire/1 object", header))
        return header + salt + keys.make(b"commit") + b"".join(keys.segments(text, 65_536))

    def each(name: str, what: str, expect: str, data: bytes, key: bytes = data_key, identity: bytes = object_id) -> None:
        scenario(f"object_{name}", "object", what, expect, {"data_key": key.hex(), "object_id": identity.hex()}, [f"object {data.hex()}"])

    good = sealed(100)
    each("honest", "an object as it was stored", f"opens {sha256(pattern(100, b'kit object')).hex()}", good)
    each("honest_empty", "an object of no bytes", f"opens {sha256(b'').hex()}", sealed(0))
    for place, at in (("magic", 0), ("version", 4), ("reserved", 5), ("id", 8), ("segment_size", 24), ("length", 35), ("salt", 36), ("commitment", 68), ("content", 100), ("tag", len(good) - 1)):
        each(f"{place}_flipped", "a bit of the object is flipped", "refused", flipped(good, 8 * at))
    each("cut_by_one", "its last byte is missing", "refused", good[:-1])
    each("cut_to_its_header", "its segments are missing", "refused", good[:100])
    each("empty", "a file of no bytes", "refused", b"")
    each("longer_by_one", "a byte stands behind its end", "refused", good + b"\0")
    each("of_another_id", "an object under another object's name", "refused", good, identity=sha256(b"kit another")[:16])
    each("under_another_key", "another object's data key", "refused", good, key=other_key)
    each("truly_version_2", "made as version 2, all else right", "refused", sealed(100, version=2))
    each("truly_reserved", "made with a reserved byte of 1, all else right", "refused", sealed(100, reserved=bytes([0, 0, 1])))
    each("truly_longer", "its header says more than there is, all else right", "refused", sealed(100, said=101))
    each("truly_huge", "its header says 2^63 bytes, all else right", "refused", sealed(100, said=1 << 63))

    storage_key, salt = sha256(b"kit storage key"), sha256(b"kit wrap salt")
    key_id = sha256(b"latentwire/1 storage key id", storage_key)[:16]

    def wrapped(label: bytes = b"wrap", identity: bytes = object_id) -> bytes:
        key = expand(extract(salt, storage_key), b"latentwire/1 " + label + key_id + identity, 32)
        return key_id + salt + gcm(key, bytes(12), data_key, key_id + identity)

    def wrap(name: str, what: str, expect: str, data: bytes) -> None:
        text = bech32m("latentwire-storage-key-", storage_key).upper()
        scenario(f"wrapped_{name}", "wrapped", what, expect, {"storage_key": text, "object_id": object_id.hex()}, [f"wrapped {data.hex()}"])

    wrap("honest", "a data key under the storage key", "opens", wrapped())
    for place, at in (("key_id", 0), ("salt", 16), ("key", 48), ("tag", 95)):
        wrap(f"{place}_flipped", "a bit of the wrapped key is flipped", "refused", flipped(wrapped(), 8 * at))
    wrap("cut", "its last byte is missing", "refused", wrapped()[:-1])
    wrap("of_another_object", "the wrapped key of another object", "refused", wrapped(identity=sha256(b"kit another")[:16]))
    wrap("a_record_instead", "a sealed record in a wrapped key's place", "refused", wrapped(label=b"record"))


# --- texts ---------------------------------------------------------------------------------------------------------


def texts() -> None:
    secret, key = secret_text(1, SENDER), public_text(1, public(SENDER))

    def each(kind: str, name: str, what: str, expect: str, text: str) -> None:
        scenario(f"{kind.replace('-', '_')}_{name}", kind, what, expect, {}, text.split("\n"), "N29" if kind == "secret-key" else "")

    def changed(text: str, at: int) -> str:
        upper = text[at].isupper()
        other = "q" if text[at].lower() != "q" else "p"
        return text[:at] + (other.upper() if upper else other) + text[at + 1 :]

    each("secret-key", "honest", "a secret key", "opens", secret)
    each("secret-key", "honest_with_comments", "a secret key among comments and empty lines", "opens", f"# a comment\n\n{secret}\n# another")
    each("public-key", "honest", "a public key", "opens", key)
    for kind, text in (("secret-key", secret), ("public-key", key)):
        low = text.lower() if kind == "secret-key" else text.upper()
        each(kind, "typo", "one letter is another", "refused", changed(text, 40))
        each(kind, "typo_in_the_checksum", "one letter of the checksum is another", "refused", changed(text, len(text) - 1))
        each(kind, "other_case", "the other case", "refused", low)
        each(kind, "mixed_case", "two cases", "refused", text[:-1] + text[-1].swapcase() if text[-1].isalpha() else text[:-2] + text[-2].swapcase() + text[-1])
        each(kind, "cut", "its last letter is missing", "refused", text[:-1])
        each(kind, "longer", "a letter stands behind its end", "refused", text + text[-1])
        each(kind, "blank_inside", "a blank inside", "refused", text[:30] + " " + text[30:])
        each(kind, "empty", "an empty file", "refused", "")
        each(kind, "twice", "two keys", "refused", f"{text}\n{text}")
    for role in (0, 3, 255):
        each("secret-key", f"role_{role}", "a role that there is not", "refused", secret_text(role, SENDER))
        each("public-key", f"role_{role}", "a role that there is not", "refused", public_text(role, public(SENDER)))
    each("secret-key", "zero", "the secret 0", "refused", secret_text(1, bytes(32)))
    each("secret-key", "a_public_key", "a public key where a secret one is wanted", "refused", key)
    each("public-key", "a_secret_key", "a secret key where a public one is wanted", "refused", secret)
    each("secret-key", "31_bytes", "a secret of 31 bytes", "refused", secret_text(1, SENDER[:31]))
    each("public-key", "33_bytes", "a public key of 33 bytes", "refused", public_text(1, public(SENDER) + b"\0"))
    each("secret-key", "bech32", "the older checksum, bech32", "refused", older("latentwire-secret-key-", bytes([1]) + SENDER).upper())
    each("secret-key", "padding_bits", "padding bits that are not zero", "refused", bech32m_padded("latentwire-secret-key-", bytes([1]) + SENDER).upper())
    for name, point in (("zero", bytes(32)), ("one", bytes([1]) + bytes(31)), ("p", bytes([0xED]) + b"\xff" * 30 + b"\x7f"), ("p_plus_nine", bytes([0xF6]) + b"\xff" * 30 + b"\x7f")):
        each("public-key", f"point_{name}", "a point of low order, or a second spelling of one", "refused", public_text(1, point))

    third, fourth = public_text(1, public(STRANGER)), public_text(1, public(OTHER))
    receiver = public_text(2, public(RECEIVER))

    def peer(name: str = "clinic", public_key: str = key, role: str = "sender", more: str = "") -> str:
        return f'[[peer]]\nname = "{name}"\npublic_key = "{public_key}"\nrole = "{role}"\n{more}'

    def store(name: str, what: str, expect: str, text: str) -> None:
        each("trust-store", name, what, expect, text)

    store("honest", "one peer", "opens", peer())
    store("honest_rotation", "two keys of one peer", "opens", peer() + peer(public_key=third))
    store("honest_full", "every field", "opens", peer(more='not_before = 2026-11-01T00:00:00Z\nnot_after = 2027-11-01T00:00:00Z\nrevoked_at = 2027-01-01T00:00:00Z\nallowed_models = ["rd-fundus"]\nallowed_forms = ["latent", "exact"]\nmax_bytes = 1_000_000_000\n'))
    for name, what, text in (
        ("unknown_field", "a field that there is not", peer(more='colour = "red"\n')),
        ("unknown_table", "a table that there is not", peer() + "[peers]\n"),
        ("no_name", "no name", peer().replace('name = "clinic"\n', "")),
        ("bad_name", "a name with a blank", peer(name="the clinic")),
        ("long_name", "a name of 64 letters", peer(name="a" * 64)),
        ("capital_name", "a name in capitals", peer(name="Clinic")),
        ("key_twice", "one key for two peers", peer() + peer(name="other")),
        ("three_live_keys", "three live keys of one peer", peer() + peer(public_key=third) + peer(public_key=fourth)),
        ("two_roles", "one peer in two roles", peer() + peer(public_key=receiver, role="receiver")),
        ("role_of_another", "a sender's key, said to be a receiver's", peer(role="receiver")),
        ("unknown_role", "a role that there is not", peer(role="admin")),
        ("typo_in_the_key", "a typo in the key", peer(public_key=changed(key, 40))),
        ("empty_validity", "an end before its beginning", peer(more="not_before = 2027-01-01T00:00:00Z\nnot_after = 2026-01-01T00:00:00Z\n")),
        ("local_time", "a moment without an offset", peer(more="not_after = 2027-01-01T00:00:00\n")),
        ("date_alone", "a day in a moment's place", peer(more="not_after = 2027-01-01\n")),
        ("unknown_form", "a form that there is not", peer(more='allowed_forms = ["raw"]\n')),
        ("negative_quota", "a quota below 0", peer(more="max_bytes = -1\n")),
        ("huge_quota", "a quota of 2^63", peer(more="max_bytes = 9_223_372_036_854_775_808\n")),
        ("quota_as_text", "a quota that is a text", peer(more='max_bytes = "1"\n')),
        ("secret_key", "a secret key in a public one's place", peer(public_key=secret)),
        ("torn", "a file that was cut", peer()[:-12]),
        ("not_toml", "no TOML at all", "clinic: sender\n"),
    ):
        store(name, what, "refused", text)


def older(prefix: str, payload: bytes) -> str:
    """bech32 (BIP-173), whose checksum differs from bech32m's by a constant."""
    from generate import CHARSET, polymod

    text = bech32m(prefix, payload)
    data = [CHARSET.index(c) for c in text[len(prefix) + 1 : -6]]
    expanded = [ord(c) >> 5 for c in prefix] + [0] + [ord(c) & 31 for c in prefix]
    check = polymod(expanded + data + [0] * 6) ^ 1
    return text[:-6] + "".join(CHARSET[(check >> 5 * (5 - i)) & 31] for i in range(6))


def bech32m_padded(prefix: str, payload: bytes) -> str:
    """The same payload with ones in the bits that fill up its last letter, and a checksum that fits."""
    from generate import CHARSET, polymod

    text = bech32m(prefix, payload)
    data = [CHARSET.index(c) for c in text[len(prefix) + 1 : -6]]
    assert len(payload) * 8 % 5, "a payload that fills its letters has no bits to spare"
    data[-1] |= 1
    expanded = [ord(c) >> 5 for c in prefix] + [0] + [ord(c) & 31 for c in prefix]
    check = polymod(expanded + data + [0] * 6) ^ 0x2BC830A3
    return prefix + "1" + "".join(CHARSET[v] for v in data) + "".join(CHARSET[(check >> 5 * (5 - i)) & 31] for i in range(6))


def main() -> None:
    for part in (handshakes, opens, metas, streams, objects, texts):
        part()
    folder = HERE / "scenarios"
    if "--check" in sys.argv:
        found = {path.name: path.read_text() for path in folder.iterdir()}
        sys.exit(0 if found == FILES else "scenarios/ differs from what this script makes")
    folder.mkdir(exist_ok=True)
    for path in folder.iterdir():
        path.unlink()
    for name, text in FILES.items():
        (folder / name).write_text(text)
    print(f"{len(FILES)} scenarios")


if __name__ == "__main__":
    main()
