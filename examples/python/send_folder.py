#!/usr/bin/env python3
"""Sends a folder of images through a running sender-svc, fetches every one back from receiver-svc, and verifies it.

Exit code 0 only if every image was delivered, came back, and is what it must be.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path

from latentwire.v1 import common_pb2
from latentwire_client import Credentials, Failure, Image, Patience, Receiver, Sender, open_channel
from verify import Mismatch, verify

ENDINGS = {".dcm", ".png", ".jpg", ".jpeg", ".tif", ".tiff"}
MODES = {"latent": common_pb2.MODE_LATENT, "exact": common_pb2.MODE_EXACT}
BELOW_FLOOR = {
    "exact": common_pb2.BELOW_FLOOR_EXACT,
    "reject": common_pb2.BELOW_FLOOR_REJECT,
    "send-marked": common_pb2.BELOW_FLOOR_SEND_MARKED,
}


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="folder that is searched for DICOM, PNG, JPEG and TIFF files")
    parser.add_argument("--sender", default="127.0.0.1:50051", help="SendService [%(default)s]")
    parser.add_argument("--receiver", default="127.0.0.1:50062", help="ImageService [%(default)s]")
    parser.add_argument("--destination", default="", help="receiver's name at the sender, where it knows several")
    parser.add_argument("--mode", choices=MODES, default="latent")
    parser.add_argument("--min-ssim", type=float, help="floor of the structural similarity [the service's: 0.95]")
    parser.add_argument("--below-floor", choices=BELOW_FLOOR, default="exact")
    parser.add_argument("--study-group", default="", help="study that the images belong to; travels sealed")
    parser.add_argument("--output", type=Path, help="keep the received files in this folder")
    parser.add_argument("--ca", type=Path, help="CA, PEM, that both services' certificates are checked against: TLS")
    parser.add_argument("--client-certificate", type=Path, help="certificate to show, PEM; with --client-key")
    parser.add_argument("--client-key", type=Path, help="private key of that certificate, PEM")
    parser.add_argument("--token-file", type=Path, help="file with the token that tells the services who calls")
    parser.add_argument("--timeout", type=float, default=600.0, help="seconds for everything [%(default)s]")
    parser.add_argument("--attempts", type=int, default=5, help="attempts for each image [%(default)s]")
    parser.add_argument("--json", action="store_true", help="print one JSON object an image")
    return parser.parse_args()


def credentials(args: argparse.Namespace) -> Credentials:
    def content(path: Path | None) -> bytes | None:
        return path.read_bytes() if path else None

    token = content(args.token_file)
    return Credentials(
        ca=content(args.ca),
        certificate=content(args.client_certificate),
        key=content(args.client_key),
        token=token.decode().strip() if token else None,
    )


def policy(args: argparse.Namespace) -> common_pb2.Policy:
    chosen = common_pb2.Policy(mode=MODES[args.mode], below_floor=BELOW_FLOOR[args.below_floor])
    if args.min_ssim is not None:
        chosen.floors.min_ssim = args.min_ssim
    return chosen


def note(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def send(args: argparse.Namespace, images: list[Image], patience: Patience) -> None:
    on_the_wire: dict[bytes, int] = {}

    def progress(image: Image, sent: int, total: int) -> None:
        on_the_wire[image.transfer_id] = sent
        done = sum(1 for other in images if other.transfer or other.failure)
        if sys.stderr.isatty():
            kilobytes = sum(on_the_wire.values()) / 1000
            print(f"\r{done} of {len(images)} images, {kilobytes:.0f} kB on the wire ", end="", file=sys.stderr)

    def trying_again(pending: list[Image], failure: Failure | None, pause: float) -> None:
        note(f"{len(pending)} of {len(images)} images again in {pause:.1f} s: {failure}")

    with open_channel(args.sender, credentials(args)) as channel:
        Sender(channel, patience).send(
            images,
            destination=args.destination,
            policy=policy(args),
            study_group=args.study_group,
            progress=progress,
            trying_again=trying_again,
        )
    if sys.stderr.isatty():
        note("")


def fetch_and_verify(args: argparse.Namespace, images: list[Image], patience: Patience, output: Path) -> dict[bytes, str]:
    """What was verified of each delivered image."""
    verified = {}
    with open_channel(args.receiver, credentials(args)) as channel:
        receiver = Receiver(channel, patience)
        for image in filter(lambda image: image.delivered, images):
            received = output / image.transfer_id.hex()
            try:
                header = receiver.fetch(image.transfer_id, received)
                verified[image.transfer_id] = verify(image.path, received, image.transfer, header.format)
            except (Failure, Mismatch) as error:
                image.failure = error if isinstance(error, Failure) else Failure("DATA_LOSS", "MISMATCH", str(error))
    return verified


def report(args: argparse.Namespace, image: Image, verified: str | None) -> None:
    if args.json:
        line = {"path": str(image.path), "transfer_id": image.transfer_id.hex(), "attempts": image.attempts, "verified": verified}
        if image.transfer:
            summary = image.transfer.image
            line |= {"mode": common_pb2.Mode.Name(summary.mode).removeprefix("MODE_").lower(), "format": summary.format}
            line |= {"original_bytes": summary.original_bytes, "sealed_bytes": summary.sealed_bytes}
            line |= {"ssim": summary.fidelity.ssim if summary.HasField("fidelity") else None}
        if image.failure:
            line["error"] = {"code": image.failure.code, "reason": image.failure.reason, "message": image.failure.message}
        print(json.dumps(line))
    elif image.failure:
        print(f"FAILED  {image.path}  {image.failure}")
    else:
        summary = image.transfer.image
        print(f"ok      {image.path}  {summary.original_bytes} -> {summary.sealed_bytes} bytes  {verified}")


def main() -> int:
    args = arguments()
    images = [Image(path) for path in sorted(args.folder.rglob("*")) if path.suffix.lower() in ENDINGS and path.is_file()]
    if not images:
        note(f"send_folder: no images in {args.folder}")
        return 2
    patience = Patience(timeout=args.timeout, attempts=args.attempts)
    send(args, images, patience)
    with tempfile.TemporaryDirectory() as temporary:
        output = args.output or Path(temporary)
        output.mkdir(parents=True, exist_ok=True)
        verified = fetch_and_verify(args, images, patience, output)
        for image in images:
            report(args, image, verified.get(image.transfer_id))
    good = sum(1 for image in images if image.transfer_id in verified and not image.failure)
    note(f"{good} of {len(images)} images delivered, fetched back and verified")
    return 0 if good == len(images) else 1


if __name__ == "__main__":
    sys.exit(main())
