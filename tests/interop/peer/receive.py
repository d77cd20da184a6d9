"""The receiving side: `python -m peer.receive --key FILE --peer FILE --output FOLDER`.

Listens on 127.0.0.1 until its standard input ends: at a port where it is honest and, for each `--fault`, at one where it misbehaves in
that way. Prints the addresses first, then one JSON object a transfer. Takes the exact form and the latent form (entropy-decoded with
the tables of `--models`, not reconstructed).
"""

import argparse
import json
import secrets
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import grpc
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PublicKey
from grpc_status import rpc_status

from . import coded, schema, transfer
from .kdf import sha256
from .keys import RECEIVER, SENDER, identity, load_public, load_secret
from .noise import MESSAGE_1, SUITE, VERSION, Handshake, HandshakeError
from .transfer import PayloadError

OPEN, OPEN_ACK, NEED_EXACT, RECEIPT = 1, 2, 3, 4
DISCARD_BYTES = 384 * 1024
FAULTS = {
    "static-key": "holds another static key than the pinned one; message 2 is the best that it can make",
    "message-2-bit": "flips one bit of Noise message 2",
    "message-2-short": "leaves the last byte of message 2 out",
    "ciphertext": "encapsulates to another ML-KEM key",
    "ack-bit": "flips one bit of the sealed OpenAck",
    "ack-kind": "says Receipt in the sealed kind of an OpenAck",
    "receipt-tag": "flips one bit of the receipt's tag",
    "receipt-transfer": "names another transfer in the receipt",
    "stored-tag": "breaks off before the receipt, and answers DONE with a tag over another source",
    "resume-tag": "offers to resume after bytes that it does not hold",
    "need-exact": "asks for the exact form of every latent (no fault: section 10)",
}


class Ended(Exception):
    """The session ends with this reason."""


class Failed(Exception):
    """One transfer ends with this reason."""


@dataclass
class Slot:
    """A transfer under way."""

    body: transfer.OpenBody
    keys: transfer.Keys
    content_tag: bytes
    record: object = None
    padded: bytearray = field(default_factory=bytearray)
    index: int = 0


@dataclass
class Stored:
    """What is known of a transfer that arrived."""

    source_sha256: bytes
    image_id: bytes
    form: int
    verdict: int


class Receiver:
    """What outlives a session: identity, the pinned sender, what has arrived."""

    def __init__(self, own, peer: bytes, output: Path, models: Path | None, fault: str) -> None:
        self.own, self.peer, self.output, self.fault = own, peer, output, fault
        self.stored: dict[bytes, Stored] = {}
        self.tables = {}
        for description in models.glob("*/decode.toml") if models else []:
            self.tables[sha256(description.read_bytes())] = description.with_name("tables.bin").read_bytes()

    def session(self, requests, context):
        """TransferService.Session."""
        try:
            yield from Session(self, requests).run()
        except Ended as reason:
            context.abort_with_status(rpc_status.to_status(schema.status(str(reason))))


class Session:
    """One stream."""

    def __init__(self, receiver: Receiver, requests) -> None:
        self.receiver, self.requests = receiver, requests
        self.slots: dict[int, Slot] = {}
        self.discarded: dict[int, int] = {}

    def run(self):
        yield self.shake_hands(next(self.requests))
        for request in self.requests:
            step = request.WhichOneof("step")
            if step == "open":
                yield self.open(request.open.noise)
            elif step in ("meta", "segment", "cancel"):
                part = getattr(request, step)
                slot = self.slots.get(part.slot)
                if slot is None:
                    self.discard(part)
                    continue
                try:
                    answer = getattr(self, step)(slot, part)
                except (Failed, PayloadError) as reason:
                    failure = str(reason) if isinstance(reason, Failed) else "PAYLOAD_AUTHENTICATION_FAILED"
                    answer = self.fail(slot, failure)
                if answer is not None:
                    yield answer
            else:
                raise Ended("PAYLOAD_AUTHENTICATION_FAILED")
        if self.slots:
            raise Ended("STREAM_TRUNCATED")

    def shake_hands(self, request):
        hello = request.hello
        if request.WhichOneof("step") != "hello" or (hello.version, hello.suite) != (VERSION, SUITE):
            raise Ended("VERSION_UNSUPPORTED")
        fault = self.receiver.fault
        handshake = Handshake(self.receiver.own, self.receiver.own.public)
        try:
            sender, key = handshake.read_message_1(hello.noise)
            if sender != self.receiver.peer:
                raise Ended("PEER_NOT_ALLOWED")
            self.ss_pq, ciphertext = MLKEM768PublicKey.from_public_bytes(key).encapsulate()
        except (HandshakeError, ValueError) as error:
            if fault == "static-key":
                forged = schema.SessionResponse()
                forged.hello_reply.noise = handshake.ephemeral.public_key().public_bytes_raw() + secrets.token_bytes(1104)
                return forged
            raise Ended("HANDSHAKE_FAILED") from error
        if fault == "ciphertext":
            ciphertext = secrets.token_bytes(len(ciphertext))
        response = schema.SessionResponse()
        message = handshake.write_message_2(ciphertext)
        if fault == "message-2-bit":
            message = flipped(message)
        response.hello_reply.noise = message[:-1] if fault == "message-2-short" else message
        self.h = handshake.h
        self.inward, self.outward = handshake.split()
        return response

    def open(self, noise: bytes):
        try:
            plaintext = self.inward.open(noise)
            if len(plaintext) != 165 or plaintext[0] != OPEN:
                raise PayloadError("the kind or length of an Open")
            body = transfer.OpenBody.decode(plaintext[1:101])
        except (InvalidTag, PayloadError) as error:
            raise Ended("PAYLOAD_AUTHENTICATION_FAILED") from error
        keys = transfer.Keys(self.h, self.ss_pq, plaintext[1:101])
        if keys.commit != plaintext[101:133] or body.slot in self.slots:
            raise Ended("PAYLOAD_AUTHENTICATION_FAILED")
        self.discarded[body.slot] = 0
        fault, known = self.receiver.fault, self.receiver.stored.get(body.transfer_id)
        answer = schema.OpenAckBody(slot=body.slot, verdict=schema.ACCEPTED)
        reason = "TRANSFER_TOO_LARGE" if body.too_large else refusal(body)
        if reason:
            answer.verdict, answer.reason = schema.REFUSED, reason
        elif known and keys.content_tag(known.source_sha256) == plaintext[133:]:
            answer.verdict, answer.image_id = schema.DONE, known.image_id
            answer.stored_form, answer.stored_verdict = schema.MODE[known.form], known.verdict
            answer.stored_tag = keys.receipt_tag(bytes(32) if fault == "stored-tag" else known.source_sha256)
        elif known:
            answer.verdict = schema.CONFLICT
        else:
            self.slots[body.slot] = Slot(body, keys, plaintext[133:])
            if fault == "resume-tag":
                answer.resume_index, answer.resume_tag = 1, secrets.token_bytes(32)
        response = schema.SessionResponse()
        sealed = self.seal(RECEIPT if fault == "ack-kind" else OPEN_ACK, answer)
        response.open_ack.noise = flipped(sealed) if fault == "ack-bit" else sealed
        return response

    def discard(self, part) -> None:
        """What follows an Open that was not accepted."""
        if part.slot not in self.discarded:
            raise Ended("PAYLOAD_AUTHENTICATION_FAILED")
        self.discarded[part.slot] += part.ByteSize()
        if self.discarded[part.slot] > DISCARD_BYTES:
            raise Ended("PAYLOAD_AUTHENTICATION_FAILED")

    def meta(self, slot: Slot, part) -> None:
        if slot.record is not None:
            raise PayloadError("a second Meta")
        record = schema.MetaRecord.FromString(slot.keys.open_meta(part.ciphertext))
        if slot.keys.content_tag(record.source_sha256) != slot.content_tag or record.head:
            raise PayloadError("the meta record")
        slot.record = record

    def segment(self, slot: Slot, part):
        body, index = slot.body, slot.index
        last = index == body.segments - 1
        if slot.record is None or part.last != last or len(part.ciphertext) != body.segment_length(index) + 16:
            raise PayloadError(f"segment {index}")
        slot.padded += slot.keys.open_segment(index, last, part.ciphertext)
        slot.index += 1
        return self.finish(slot) if last else None

    def cancel(self, slot: Slot, _part):
        raise Failed("CANCELLED")

    def finish(self, slot: Slot):
        """The last segment has authenticated."""
        receiver, body, record = self.receiver, slot.body, slot.record
        image = transfer.unpad(bytes(slot.padded), body.padding, record.coded_bytes, record.coded_sha256)
        shown = {"transfer_id": body.transfer_id.hex(), "form": body.form, "segments": body.segments, "padded_bytes": body.padded_bytes}
        if body.form == transfer.EXACT:
            file = coded.decode_exact(image)
            if sha256(file) != record.source_sha256:
                raise PayloadError("the digest of the source")
            (receiver.output / body.transfer_id.hex()).write_bytes(file)
            verdict = "EXACT"
        else:
            tables = receiver.tables.get(body.decoder_digest)
            if tables is None:
                raise Failed("MODEL_MISMATCH")
            latent = coded.decode_latent(image, tables)
            if latent.decoder_digest != body.decoder_digest:
                raise Failed("INVALID_TENSOR")
            flat = [abs(value) for tile in latent.values for plane in tile for row in plane for value in row]
            shown |= {"width": latent.width, "height": latent.height, "latent_values": len(flat), "largest": max(flat)}
            verdict = "UNSPECIFIED"
        if receiver.fault == "need-exact" and body.form == transfer.LATENT:
            del self.slots[body.slot]
            response = schema.SessionResponse()
            response.need_exact.noise = self.seal(NEED_EXACT, schema.NeedExactBody(slot=body.slot, reason="INVALID_TENSOR"))
            print(json.dumps(shown), flush=True)
            return response
        known = Stored(record.source_sha256, secrets.token_bytes(16), body.form, schema.number("ReconstructionVerdict", f"RECONSTRUCTION_VERDICT_{verdict}"))
        print(json.dumps(shown), flush=True)
        if receiver.fault in ("", "stored-tag", "need-exact"):
            receiver.stored[body.transfer_id] = known
        if receiver.fault == "stored-tag":
            raise Ended("PEER_UNAVAILABLE")
        tag = slot.keys.receipt_tag(sha256(image))
        receipt = schema.ReceiptBody(
            slot=body.slot, transfer_id=body.transfer_id, status=schema.STORED, form=schema.MODE[body.form],
            verdict=known.verdict, tag=tag, image_id=known.image_id,
        )  # fmt: skip
        if receiver.fault == "receipt-tag":
            receipt.tag = flipped(tag)
        if receiver.fault == "receipt-transfer":
            receipt.transfer_id = bytes(16)
        return self.end(slot, receipt)

    def fail(self, slot: Slot, reason: str):
        receipt = schema.ReceiptBody(slot=slot.body.slot, transfer_id=slot.body.transfer_id, status=schema.FAILED)
        receipt.error.code, receipt.error.reason = schema.CODES[reason], reason
        return self.end(slot, receipt)

    def end(self, slot: Slot, receipt):
        del self.slots[slot.body.slot]
        self.discarded[slot.body.slot] = 0
        response = schema.SessionResponse()
        response.receipt.noise = self.seal(RECEIPT, receipt)
        return response

    def seal(self, kind: int, body) -> bytes:
        return self.outward.seal(bytes([kind]) + body.SerializeToString())


def refusal(body: transfer.OpenBody) -> str:
    """Why this peer does not take an Open, or nothing."""
    if body.inner_layer == 2:
        return "INNER_LAYER_UNSUPPORTED"
    if body.padding == 4:
        return "SEGMENTATION_UNSUPPORTED"
    return "INVALID_TENSOR" if body.form == 3 else ""


def flipped(data: bytes) -> bytes:
    at = len(data) // 2
    return data[:at] + bytes([data[at] ^ 4]) + data[at + 1 :]


def main() -> None:
    faults = "\n".join(f"  {name:18} {what}" for name, what in FAULTS.items())
    parser = argparse.ArgumentParser(description=__doc__, epilog=f"faults:\n{faults}", formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--key", type=Path, required=True)
    parser.add_argument("--peer", type=Path, required=True)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--models", type=Path)
    parser.add_argument("--fault", action="append", default=[], choices=list(FAULTS))
    arguments = parser.parse_args()
    servers, addresses = [], {}
    for fault in ["", *arguments.fault]:
        own = identity(secrets.token_bytes(32), RECEIVER) if fault == "static-key" else load_secret(arguments.key, RECEIVER)
        receiver = Receiver(own, load_public(arguments.peer, SENDER), arguments.output, arguments.models, fault)
        server, addresses[fault or "honest"] = listen(receiver)
        servers.append(server)
    print(json.dumps(addresses), flush=True)
    sys.stdin.read()
    for stopping in [server.stop(grace=None) for server in servers]:
        stopping.wait()


def listen(receiver: Receiver) -> tuple[grpc.Server, str]:
    handler = grpc.stream_stream_rpc_method_handler(
        receiver.session,
        request_deserializer=schema.SessionRequest.FromString,
        response_serializer=schema.SessionResponse.SerializeToString,
    )
    service, method = schema.SESSION.strip("/").split("/")
    server = grpc.server(ThreadPoolExecutor(8))
    server.add_generic_rpc_handlers([grpc.method_handlers_generic_handler(service, {method: handler})])
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    return server, f"127.0.0.1:{port}"


if __name__ == "__main__":
    main()
