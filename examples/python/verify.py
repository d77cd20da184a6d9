"""Whether what came back is what the sender vouched for."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pydicom

from latentwire.v1 import common_pb2

# How a file of each format begins; a JPEG that went through a latent comes back as PNG.
SIGNATURES = {"png": (0, b"\x89PNG\r\n\x1a\n"), "jpeg": (0, b"\xff\xd8\xff"), "tiff": (0, b"I"), "dicom": (128, b"DICM")}


class Mismatch(Exception):
    """What came back is not what it must be."""


def verify(original: Path, received: Path, transfer: common_pb2.Transfer, file_format: str) -> str:
    """Says in a few words what was verified, or raises Mismatch."""
    if transfer.image.mode == common_pb2.MODE_EXACT:
        if sha256(original) != sha256(received):
            raise Mismatch("sent exact, and other bytes came back")
        return "bit for bit"
    if file_format == "dicom":
        return lossy_dicom(original, received, transfer)
    offset, signature = SIGNATURES.get(file_format, (0, b""))
    with received.open("rb") as file:
        begin = file.read(offset + len(signature))
    if not begin[offset:].startswith(signature):
        raise Mismatch(f"announced as {file_format}, and begins otherwise")
    return f"{file_format}; {figures(transfer)}"


def lossy_dicom(original: Path, received: Path, transfer: common_pb2.Transfer) -> str:
    """A DICOM file that went through a latent opens, has the same shape, and says that it is lossy and another instance."""
    before, after = pydicom.dcmread(original), pydicom.dcmread(received)
    pixels = after.pixel_array
    expected = (transfer.image.height, transfer.image.width)
    if expected != (after.Rows, after.Columns) or not set(expected) <= set(pixels.shape):
        raise Mismatch(f"pixels of shape {pixels.shape}, expected {expected}")
    if after.get("LossyImageCompression") != "01":
        raise Mismatch("Lossy Image Compression (0028,2110) is not 01")
    if "LossyImageCompressionRatio" not in after or "LossyImageCompressionMethod" not in after:
        raise Mismatch("ratio or method of the lossy compression is missing")
    if "DERIVED" not in after.ImageType[0]:
        raise Mismatch(f"Image Type is {list(after.ImageType)}, not DERIVED")
    if after.SOPInstanceUID == before.SOPInstanceUID:
        raise Mismatch("a derived image needs a SOP Instance UID of its own")
    if after.SOPClassUID != before.SOPClassUID or after.get("PatientID") != before.get("PatientID"):
        raise Mismatch("the rest of the data set has changed")
    return f"dicom, marked lossy; {figures(transfer)}"


def figures(transfer: common_pb2.Transfer) -> str:
    if not transfer.image.HasField("fidelity"):
        return "unmeasured"
    fidelity = transfer.image.fidelity
    psnr = f", PSNR {fidelity.psnr_db:.1f} dB" if fidelity.HasField("psnr_db") else ""
    below = ", below the floor" if transfer.image.below_floor else ""
    marks = {common_pb2.MARK_DENOISED: ", denoised", common_pb2.MARK_RESEARCH: ", by a model for research"}
    return f"SSIM {fidelity.ssim:.4f} (worst tile {fidelity.min_local_ssim:.4f}){psnr}{below}{marks.get(transfer.image.mark, '')}"


def sha256(path: Path) -> bytes:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").digest()
