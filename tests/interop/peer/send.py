"""The sending side: `python -m peer.send --receiver HOST:PORT --key FILE --receiver-key FILE PICTURE…`.

Sends up to four files in exact form over one session, a slot each, their segments interleaved. Prints one JSON object: the status
that ended the session and, a file, the answers to it. `--fault` misbehaves in one named way.
"""

import argparse
import json
import os
import queue
import secrets
import sys
import threading
from dataclasses import dataclass, replace
from pathlib import Path

import grpc
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PrivateKey
from grpc_status import rpc_status

from . import coded, schema, transfer
from .kdf import sha256
from .keys import RECEIVER, SENDER, identity, load_public, load_secret
from .noise import SUITE, VERSION, Handshake

OPEN, OPEN_ACK, NEED_EXACT, RECEIPT = 1, 2, 3, 4
PATIENCE = 30
FAULTS = {
    "version": "announces version 2",
    "suite": "announces suite 2",
    "receiver-key": "shakes hands with another receiver's key",
    "sender-key": "shows a static key that nobody pinned",
    "message-1-bit": "flips one bit of Noise message 1",
    "message-1-short": "leaves the last byte of message 1 out",
    "encapsulation-key": "offers an ML-KEM key whose coefficients are not below the modulus",
    "shared-secret": "derives the transfer's keys from another ML-KEM secret",
    "commit": "flips one bit of the commitment",
    "open-version": "opens with version 2 in the layout",
    "open-kind": "says Receipt in the sealed kind of an Open",
    "open-bit": "flips one bit of the sealed Open",
    "open-twice": "sends the sealed Open twice",
    "inner-layer": "opens with CHAOS4",
    "meta-bit": "flips one bit of the sealed Meta",
    "source-digest": "states another file's digest in Meta",
    "coded-digest": "states another coded image's digest in Meta",
    "segment-bit": "flips one bit of a sealed segment",
    "segment-swap": "exchanges the first two segments",
    "segment-twice": "sends the first segment twice",
    "segment-short": "leaves the last byte of a segment out",
    "segment-last": "says that the first segment is the last",
    "segment-early-end": "seals the first segment as the last one and stops",
    "padding": "pads with ones",
    "truncate": "ends the stream before the last segment",
    "cancel": "cancels before the last segment",
    "compression": "compresses the stream with gzip",
}


@dataclass
class Outgoing:
    """One file on its way."""

    file: bytes
    body: transfer.OpenBody
    keys: transfer.Keys
    padded: bytes


class Session:
    """A stream to a receiver after the key agreement."""

    def __init__(self, address: str, own, receiver_public: bytes, fault: str) -> None:
        self.fault, self.requests = fault, queue.SimpleQueue()
        channel = grpc.insecure_channel(address)
        compression = grpc.Compression.Gzip if fault == "compression" else None
        call = channel.stream_stream(
            schema.SESSION,
            request_serializer=schema.SessionRequest.SerializeToString,
            response_deserializer=schema.SessionResponse.FromString,
        )
        self.call = call(iter(self.requests.get, None), timeout=PATIENCE, compression=compression)
        handshake = Handshake(own, receiver_public)
        decapsulation = MLKEM768PrivateKey.generate()
        key = decapsulation.public_key().public_bytes_raw()
        message = handshake.write_message_1(b"\xff" * 384 + key[384:] if fault == "encapsulation-key" else key)
        if fault == "message-1-bit":
            message = flipped(message)
        hello = schema.SessionRequest()
        hello.hello.version = 2 if fault == "version" else VERSION
        hello.hello.suite = 2 if fault == "suite" else SUITE
        hello.hello.noise = message[:-1] if fault == "message-1-short" else message
        self.requests.put(hello)
        reply = next(self.call)
        if reply.WhichOneof("step") != "hello_reply":
            raise RuntimeError("the receiver does not answer Hello by HelloReply")
        self.ss_pq = decapsulation.decapsulate(handshake.read_message_2(reply.hello_reply.noise))
        if fault == "shared-secret":
            self.ss_pq = secrets.token_bytes(32)
        self.h = handshake.h
        self.outward, self.inward = handshake.split()

    def prepare(self, slot: int, file: bytes, transfer_id: bytes, padding: int, segment_bytes: int) -> Outgoing:
        image = coded.encode_exact(file)
        length = transfer.padded_length(len(image), padding)
        filler = b"\1" if self.fault == "padding" else b"\0"
        body = transfer.OpenBody(
            transfer.EXACT, padding, slot, length, transfer_id=transfer_id, segment_bytes=segment_bytes,
            inner_layer=2 if self.fault == "inner-layer" else 1,
        )  # fmt: skip
        if self.fault == "open-version":
            body = replace(body, version=2)
        keys = transfer.Keys(self.h, self.ss_pq, body.encode())
        return Outgoing(file, body, keys, image.ljust(length, filler))

    def open(self, one: Outgoing) -> None:
        commit = flipped(one.keys.commit) if self.fault == "commit" else one.keys.commit
        kind = RECEIPT if self.fault == "open-kind" else OPEN
        sealed = self.outward.seal(bytes([kind]) + one.body.encode() + commit + one.keys.content_tag(sha256(one.file)))
        request = schema.SessionRequest()
        request.open.noise = flipped(sealed) if self.fault == "open-bit" else sealed
        self.requests.put(request)
        if self.fault == "open-twice":
            self.requests.put(request)

    def meta(self, one: Outgoing) -> None:
        image = one.padded[: 16 + len(one.file)]
        record = schema.MetaRecord(coded_bytes=len(image), coded_sha256=sha256(image), source_sha256=sha256(one.file))
        record.study_group = "interop"
        record.sequence = one.body.slot
        record.image.mode = schema.MODE[transfer.EXACT]
        record.image.original_bytes = len(one.file)
        record.image.coded_bytes = len(image)
        if self.fault == "source-digest":
            record.source_sha256 = bytes(32)
        if self.fault == "coded-digest":
            record.coded_sha256 = bytes(32)
        request = schema.SessionRequest()
        request.meta.slot = one.body.slot
        sealed = one.keys.seal_meta(record.SerializeToString())
        request.meta.ciphertext = flipped(sealed) if self.fault == "meta-bit" else sealed
        self.requests.put(request)

    def segment(self, one: Outgoing, index: int, *, last: bool) -> schema.SessionRequest:
        at = index * one.body.segment_bytes
        plaintext = one.padded[at : at + one.body.segment_length(index)]
        request = schema.SessionRequest()
        request.segment.slot = one.body.slot
        request.segment.last = last
        request.segment.ciphertext = one.keys.seal_segment(index, last, plaintext)
        return request

    def segments(self, one: Outgoing):
        """All segments of a transfer in order, the fault among them."""
        count = one.body.segments
        requests = [self.segment(one, index, last=index == count - 1) for index in range(count)]
        first = requests[0].segment
        match self.fault:
            case "segment-bit":
                requests[1].segment.ciphertext = flipped(requests[1].segment.ciphertext)
            case "segment-swap":
                requests[:2] = reversed(requests[:2])
            case "segment-twice":
                requests.insert(1, requests[0])
            case "segment-short":
                first.ciphertext = first.ciphertext[:-1]
            case "segment-last":
                first.last = True
            case "segment-early-end":
                requests = [self.segment(one, 0, last=True)]
            case "truncate" | "cancel":
                requests.pop()
        yield from requests


def deliver(session: Session, files: list[Outgoing]) -> list[dict]:
    """Opens every file, sends what is asked for, and gathers the answers of each slot."""
    answers = [{"transfer_id": one.body.transfer_id.hex()} for one in files]
    early = all(one.body.padded_bytes <= transfer.EARLY_BYTES for one in files)
    accepted = [threading.Event() for _ in files]
    state: dict = {"status": "OK", "reason": ""}

    def listen() -> None:
        """Reads until each slot has its end, or the stream ends."""
        waiting = len(files)
        try:
            for response in session.call:
                waiting -= settle(session, response, files, answers, accepted)
                if waiting == 0:
                    session.requests.put(None)
        except grpc.RpcError as error:
            state.update(ended(error))
        finally:
            for event in accepted:
                event.set()

    listener = threading.Thread(target=listen)
    listener.start()
    for one, event in zip(files, accepted, strict=True):
        session.open(one)
        if early:
            session.meta(one)
    if not early:
        for one, event in zip(files, accepted, strict=True):
            event.wait(PATIENCE)
            if answers[one.body.slot].get("verdict") == "ACCEPTED":
                session.meta(one)
    streams = [session.segments(one) for one in files if early or answers[one.body.slot].get("verdict") == "ACCEPTED"]
    while streams:
        for stream in list(streams):
            request = next(stream, None)
            streams.remove(stream) if request is None else session.requests.put(request)
    if session.fault == "truncate":
        session.requests.put(None)
    if session.fault == "cancel":
        for one in files:
            request = schema.SessionRequest()
            request.cancel.slot = one.body.slot
            session.requests.put(request)
    listener.join()
    return [state, *answers]


def settle(session: Session, response, files: list[Outgoing], answers: list[dict], accepted: list) -> int:
    """Notes one answer; 1 where it is the end of its slot."""
    step = response.WhichOneof("step")
    kind = {"open_ack": OPEN_ACK, "need_exact": NEED_EXACT, "receipt": RECEIPT}[step]
    plaintext = session.inward.open(getattr(response, step).noise)
    if plaintext[:1] != bytes([kind]):
        raise RuntimeError("the sealed kind is another")
    if step == "open_ack":
        body = schema.OpenAckBody.FromString(plaintext[1:])
        answer, keys = answers[body.slot], files[body.slot].keys
        answer["verdict"] = schema.name("OpenVerdict", body.verdict).removeprefix("OPEN_VERDICT_")
        answer["reason"] = body.reason
        if body.verdict == schema.DONE:
            answer["image_id"] = body.image_id.hex()
            answer["tag_is_right"] = body.stored_tag == keys.receipt_tag(sha256(files[body.slot].file))
        accepted[body.slot].set()
        return int(body.verdict != schema.ACCEPTED)
    if step == "receipt":
        body = schema.ReceiptBody.FromString(plaintext[1:])
        one = files[body.slot]
        answer = answers[body.slot]
        answer["receipt"] = schema.name("ReceiptStatus", body.status).removeprefix("RECEIPT_STATUS_")
        answer["reason"], answer["code"] = body.error.reason, body.error.code
        answer["image_id"] = body.image_id.hex()
        answer["reconstruction"] = schema.name("ReconstructionVerdict", body.verdict).removeprefix("RECONSTRUCTION_VERDICT_")
        answer["tag_is_right"] = body.tag == one.keys.receipt_tag(sha256(coded.encode_exact(one.file)))
        answer["transfer_is_right"] = body.transfer_id == one.body.transfer_id
        return 1
    raise RuntimeError("NeedExact for a transfer in exact form")


def ended(error: grpc.RpcError) -> dict:
    return {"status": error.code().name, "reason": schema.reason_of(rpc_status.from_call(error))}


def flipped(data: bytes) -> bytes:
    """One bit in the middle is another."""
    at = len(data) // 2
    return data[:at] + bytes([data[at] ^ 4]) + data[at + 1 :]


def main() -> None:
    faults = "\n".join(f"  {name:18} {what}" for name, what in FAULTS.items())
    parser = argparse.ArgumentParser(description=__doc__, epilog=f"faults:\n{faults}", formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--receiver", required=True)
    parser.add_argument("--key", type=Path, required=True)
    parser.add_argument("--receiver-key", type=Path, required=True)
    parser.add_argument("--transfer-id", type=bytes.fromhex, help="32 hex digits, for one file; drawn otherwise")
    parser.add_argument("--padding", type=int, default=transfer.PADME, choices=(transfer.PADME, transfer.FIXED, transfer.NONE))
    parser.add_argument("--segment-bytes", type=int, default=transfer.SEGMENT_BYTES)
    parser.add_argument("--fault", default="", choices=list(FAULTS))
    parser.add_argument("pictures", nargs="+", type=Path)
    arguments = parser.parse_args()
    own = load_secret(arguments.key, SENDER)
    receiver = load_public(arguments.receiver_key, RECEIVER)
    if arguments.fault == "receiver-key":
        receiver = identity(secrets.token_bytes(32), RECEIVER).public
    if arguments.fault == "sender-key":
        own = identity(secrets.token_bytes(32), SENDER)
    try:
        session = Session(arguments.receiver, own, receiver, arguments.fault)
        files = [
            session.prepare(
                slot,
                picture.read_bytes(),
                arguments.transfer_id or secrets.token_bytes(16),
                arguments.padding,
                arguments.segment_bytes,
            )
            for slot, picture in enumerate(arguments.pictures)
        ]
        state, *answers = deliver(session, files)
    except grpc.RpcError as error:
        state, answers = ended(error), []
    except InvalidTag:
        sys.exit("the receiver's answer does not authenticate")
    json.dump({**state, "transfers": answers}, sys.stdout)
    sys.stdout.flush()
    # grpcio's threads may hold a cancelled stream's iterator; nothing is left to be done.
    os._exit(0)


if __name__ == "__main__":
    main()
