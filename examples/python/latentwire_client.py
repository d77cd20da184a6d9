"""A small client of Latentwire's two PACS-facing services, over the generated stubs in latentwire/v1/.

    Sender.send(images)      SendService.SendStudy: one call for a folder, progress, every image tried again where that helps
    Receiver.fetch(id, path) ImageService.GetImage: header, chunks, checked by SHA-256, put in place whole

An image keeps its transfer id over all attempts, so that one that arrived although its receipt was lost is not stored twice.
"""

from __future__ import annotations

import hashlib
import os
import random
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import grpc
from google.protobuf.duration_pb2 import Duration
from google.rpc import error_details_pb2
from grpc_status import rpc_status

from latentwire.v1 import common_pb2, image_service_pb2, image_service_pb2_grpc, send_service_pb2, send_service_pb2_grpc

DOMAIN = "latentwire.v1"
CHUNK_BYTES = 256 << 10  # a message may hold 1 MiB
# What a later attempt may mend; everything else fails again in the same way.
WORTH_ANOTHER_ATTEMPT = {"UNAVAILABLE", "RESOURCE_EXHAUSTED", "ABORTED", "DEADLINE_EXCEEDED", "DATA_LOSS"}
# ... and of these what does not.
NEVER = {"STORED_OBJECT_DAMAGED"}
CHANNEL_OPTIONS = [
    ("grpc.keepalive_time_ms", 30_000),
    ("grpc.keepalive_timeout_ms", 20_000),
]

FINAL = {
    common_pb2.TRANSFER_STATUS_DELIVERED,
    common_pb2.TRANSFER_STATUS_QUEUED,
    common_pb2.TRANSFER_STATUS_REJECTED,
}


@dataclass(frozen=True)
class Credentials:
    """What is shown to a service; without a CA the channel is plain HTTP/2, for loopback alone."""

    ca: bytes | None = None
    certificate: bytes | None = None
    key: bytes | None = None
    token: str | None = field(default=None, repr=False)


def open_channel(address: str, credentials: Credentials = Credentials()) -> grpc.Channel:
    """A channel to HOST:PORT; the token goes with every call, in TLS or on loopback alone."""
    if credentials.ca:
        transport = grpc.ssl_channel_credentials(credentials.ca, credentials.key, credentials.certificate)
        channel = grpc.secure_channel(address, transport, options=CHANNEL_OPTIONS)
    else:
        host = address.rpartition(":")[0].strip("[]")
        if credentials.token and host not in {"localhost", "127.0.0.1", "::1"}:
            raise ValueError(f"a token would travel to {address} in clear: name a CA")
        channel = grpc.insecure_channel(address, options=CHANNEL_OPTIONS)
    return grpc.intercept_channel(channel, _Bearer(credentials.token)) if credentials.token else channel


class _CallDetails(grpc.ClientCallDetails):
    def __init__(self, details: grpc.ClientCallDetails, metadata: list[tuple[str, str]]) -> None:
        self.method, self.timeout, self.metadata = details.method, details.timeout, metadata
        self.credentials, self.wait_for_ready, self.compression = details.credentials, details.wait_for_ready, details.compression


class _Bearer(grpc.UnaryUnaryClientInterceptor, grpc.UnaryStreamClientInterceptor, grpc.StreamUnaryClientInterceptor, grpc.StreamStreamClientInterceptor):
    """Adds `authorization: Bearer TOKEN` to every call."""

    def __init__(self, token: str) -> None:
        self._header = ("authorization", f"Bearer {token}")

    def _intercept(self, continuation, details, request):
        return continuation(_CallDetails(details, [*(details.metadata or []), self._header]), request)

    intercept_unary_unary = intercept_unary_stream = intercept_stream_unary = intercept_stream_stream = _intercept


@dataclass(eq=False)
class Failure(Exception):
    """Why something failed: gRPC code, the stable reason to branch on, and a sentence for a person."""

    code: str
    reason: str
    message: str
    retry_after: float | None = None

    def __str__(self) -> str:
        return f"{self.code} {self.reason}: {self.message}"

    @property
    def worth_another_attempt(self) -> bool:
        return self.code in WORTH_ANOTHER_ATTEMPT and self.reason not in NEVER


def failure_of(error: grpc.RpcError) -> Failure:
    """Reads google.rpc.ErrorInfo and RetryInfo out of a gRPC error."""
    reason, retry_after = "", None
    status = rpc_status.from_call(error)
    for detail in status.details if status is not None else []:
        info, retry = error_details_pb2.ErrorInfo(), error_details_pb2.RetryInfo()
        if detail.Is(info.DESCRIPTOR) and detail.Unpack(info) and info.domain == DOMAIN:
            reason = info.reason
        elif detail.Is(retry.DESCRIPTOR) and detail.Unpack(retry):
            retry_after = seconds(retry.retry_delay)
    return Failure(error.code().name, reason, error.details() or "", retry_after)


def seconds(duration: Duration) -> float:
    return duration.seconds + duration.nanos / 1e9


@dataclass
class Image:
    """A file to be sent, and what became of it."""

    path: Path
    transfer_id: bytes = field(default_factory=lambda: uuid.uuid4().bytes)
    transfer: common_pb2.Transfer | None = None
    failure: Failure | None = None
    attempts: int = 0

    @property
    def delivered(self) -> bool:
        return self.transfer is not None and self.transfer.status == common_pb2.TRANSFER_STATUS_DELIVERED


@dataclass(frozen=True)
class Patience:
    """How long and how often to try."""

    timeout: float = 600.0
    attempts: int = 5
    first_pause: float = 0.5
    longest_pause: float = 30.0

    def pause(self, attempt: int, failure: Failure | None) -> float:
        """Exponential, with jitter; never shorter than what the service asks for."""
        backoff = min(self.first_pause * 2 ** (attempt - 1), self.longest_pause) * random.uniform(0.5, 1.5)
        return max(backoff, failure.retry_after or 0.0) if failure else backoff


class Sender:
    """SendService."""

    def __init__(self, channel: grpc.Channel, patience: Patience = Patience()) -> None:
        self._stub = send_service_pb2_grpc.SendServiceStub(channel)
        self._patience = patience

    def send(
        self,
        images: list[Image],
        *,
        destination: str = "",
        policy: common_pb2.Policy | None = None,
        study_group: str = "",
        progress: Callable[[Image, int, int], None] = lambda image, sent, total: None,
        trying_again: Callable[[list[Image], Failure | None, float], None] = lambda images, failure, pause: None,
    ) -> None:
        """Sends the images in one SendStudy call, and those that failed for a while in another, under the same ids.

        Afterwards each image has its transfer, or its failure.
        """
        deadline = time.monotonic() + self._patience.timeout
        pending, header = list(images), send_service_pb2.ImageHeader(destination=destination, study_group=study_group)
        if policy is not None:
            header.policy.CopyFrom(policy)
        for attempt in range(1, self._patience.attempts + 1):
            call_failure = self._one_call(pending, header, deadline - time.monotonic(), progress)
            for image in pending:
                image.attempts = attempt
                if image.transfer is None and image.failure is None:
                    image.failure = call_failure or Failure("UNKNOWN", "", "the service said nothing of this image")
            pending = [image for image in pending if image.failure and image.failure.worth_another_attempt]
            if not pending or attempt == self._patience.attempts:
                return
            pause = self._patience.pause(attempt, call_failure)
            if time.monotonic() + pause > deadline:
                return
            trying_again(pending, pending[0].failure, pause)
            time.sleep(pause)
            for image in pending:
                image.failure = None

    def _one_call(
        self,
        images: list[Image],
        header: send_service_pb2.ImageHeader,
        timeout: float,
        progress: Callable[[Image, int, int], None],
    ) -> Failure | None:
        """One SendStudy call; what is wrong with one image ends up in it, what is wrong with the call is returned."""
        by_id = {image.transfer_id: image for image in images}
        try:
            for response in self._stub.SendStudy(study(images, header), timeout=timeout):
                transfer = response.transfer
                image = by_id.get(transfer.transfer_id)
                if image is None:
                    continue
                if transfer.status == common_pb2.TRANSFER_STATUS_REJECTED:
                    error = transfer.error
                    image.failure = Failure(error.code, error.reason, error.message)
                elif transfer.status in FINAL:
                    image.transfer = transfer
                progress(image, response.bytes_sent, response.bytes_total)
        except grpc.RpcError as error:
            return failure_of(error)
        return None


def study(images: list[Image], header: send_service_pb2.ImageHeader) -> Iterator[send_service_pb2.SendStudyRequest]:
    """Headers and chunks of all images; a file is read as gRPC asks for it, never whole."""
    for sequence, image in enumerate(images):
        own = send_service_pb2.ImageHeader()
        own.CopyFrom(header)
        own.transfer_id, own.sequence, own.file_bytes = image.transfer_id, sequence, image.path.stat().st_size
        yield send_service_pb2.SendStudyRequest(header=own)
        with image.path.open("rb") as file:
            while chunk := file.read(CHUNK_BYTES):
                yield send_service_pb2.SendStudyRequest(chunk=chunk)


class Receiver:
    """ImageService."""

    def __init__(self, channel: grpc.Channel, patience: Patience = Patience()) -> None:
        self._stub = image_service_pb2_grpc.ImageServiceStub(channel)
        self._patience = patience

    def fetch(self, transfer_id: bytes, path: Path) -> image_service_pb2.GetImageHeader:
        """Writes the image of a transfer to path, whole and checked, or raises Failure."""
        deadline = time.monotonic() + self._patience.timeout
        for attempt in range(1, self._patience.attempts + 1):
            try:
                return self._one_fetch(transfer_id, path, deadline - time.monotonic())
            except grpc.RpcError as error:
                failure = failure_of(error)
                pause = self._patience.pause(attempt, failure)
                last = attempt == self._patience.attempts or time.monotonic() + pause > deadline
                if last or not failure.worth_another_attempt:
                    raise failure from error
                time.sleep(pause)
        raise AssertionError("the last attempt returns or raises")

    def _one_fetch(self, transfer_id: bytes, path: Path, timeout: float) -> image_service_pb2.GetImageHeader:
        request = image_service_pb2.GetImageRequest(transfer_id=transfer_id)
        parts = self._stub.GetImage(request, timeout=timeout)
        header = next(parts).header
        digest, length, partial = hashlib.sha256(), 0, path.with_name(path.name + ".part")
        try:
            with partial.open("wb") as file:
                for part in parts:
                    digest.update(part.chunk)
                    length += file.write(part.chunk)
            if length != header.file_bytes or digest.digest() != header.file_sha256:
                raise Failure("DATA_LOSS", "", "the file that came is not the one that was announced")
            os.replace(partial, path)
        finally:
            partial.unlink(missing_ok=True)
        return header
