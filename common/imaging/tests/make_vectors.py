"""Writes `vectors/*.dcm`: one picture by formula (synthetic.py) in every transfer syntax and layout that is read, by foreign
encoders (pydicom 3.0, imagecodecs 2026). Their names say what they hold; `dicom_syntaxes.rs` says what must come out."""

from pathlib import Path

import imagecodecs
import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.pixels.encoders import RLELosslessEncoder
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLosslessSV1,
    JPEGLSLossless,
    JPEGLSNearLossless,
    RLELossless,
)

from synthetic import original

FOLDER = Path(__file__).with_name("vectors")
WIDTH, HEIGHT = 44, 38


def data_set(array: np.ndarray, bits: int, photometric: str, frames: int = 1) -> Dataset:
    """Everything but Pixel Data for a picture [height, width, channels]."""
    ds = Dataset()
    ds.file_meta = FileMetaDataset()
    ds.file_meta.MediaStorageSOPClassUID = ds.SOPClassUID = "1.2.840.10008.5.1.4.1.1.7"
    ds.file_meta.MediaStorageSOPInstanceUID = ds.SOPInstanceUID = "2.25.1234567"
    ds.SpecificCharacterSet = ["", "ISO 2022 IR 87"]
    ds.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
    ds.Modality, ds.BodyPartExamined = "MR", "BRAIN"
    # Yamada^Tarou in three groups, the second in ISO 2022 IR 87 (PS3.5 annex H.3.1): bytes that must survive.
    ds.add_new(0x00100010, "PN", b"Yamada^Tarou=\x1b$B;3ED\x1b(B^\x1b$BB@O:\x1b(B=\x1b$B$d$^$@\x1b(B^\x1b$B$?$m$&\x1b(B")
    ds.PatientID = "VECTOR"
    ds.StudyInstanceUID, ds.SeriesInstanceUID = "2.25.1", "2.25.2"
    ds.Rows, ds.Columns = HEIGHT, WIDTH
    ds.SamplesPerPixel, ds.PhotometricInterpretation = array.shape[-1], photometric
    if array.shape[-1] == 3:
        ds.PlanarConfiguration = 0
    if frames > 1:
        ds.NumberOfFrames = frames
    ds.BitsAllocated = 8 * array.dtype.itemsize
    ds.BitsStored, ds.HighBit = bits, bits - 1
    ds.PixelRepresentation = int(array.dtype.kind == "i")
    ds.add_new(0x00280106, "SS" if ds.PixelRepresentation else "US", int(array.min()))
    ds.add_new(0x00280107, "SS" if ds.PixelRepresentation else "US", int(array.max()))
    ds.RescaleIntercept, ds.RescaleSlope = "-10", "1"
    return ds


def save(name: str, ds: Dataset, syntax: str, pixel_data: bytes, fragments: bool = False) -> None:
    ds.file_meta.TransferSyntaxUID = syntax
    ds.PixelData = pixel_data + b"\0" * (len(pixel_data) % 2)
    ds["PixelData"].VR = "OB" if fragments or ds.BitsAllocated == 8 else "OW"
    ds["PixelData"].is_undefined_length = fragments
    ds.save_as(FOLDER / f"{name}.dcm", enforce_file_format=True)


def compressed(name: str, ds: Dataset, syntax: str, frames: list[bytes], **options: bool) -> None:
    save(name, ds, syntax, encapsulate(frames, **options), fragments=True)


def main() -> None:
    FOLDER.mkdir(exist_ok=True)
    grey8 = original(WIDTH, HEIGHT, 1, 255).astype(np.uint8)
    grey12 = original(WIDTH, HEIGHT, 1, 4095).astype(np.uint16)
    signed = (original(WIDTH, HEIGHT, 1, 3000) - 1000).astype(np.int16)
    colour = original(WIDTH, HEIGHT, 3, 255).astype(np.uint8)
    words = signed.view(np.uint16)

    save("signed16_implicit", data_set(signed, 16, "MONOCHROME2"), ImplicitVRLittleEndian, signed.tobytes())
    save("signed16_explicit", data_set(signed, 16, "MONOCHROME2"), ExplicitVRLittleEndian, signed.tobytes())
    save("signed16_big_endian", data_set(signed, 16, "MONOCHROME2"), ExplicitVRBigEndian, signed.astype(">i2").tobytes())
    save("grey8_big_endian", data_set(grey8, 8, "MONOCHROME2"), ExplicitVRBigEndian, grey8.tobytes())
    save("grey12_deflated", data_set(grey12, 12, "MONOCHROME1"), DeflatedExplicitVRLittleEndian, grey12.tobytes())
    save("colour8_by_pixel", data_set(colour, 8, "RGB"), ExplicitVRLittleEndian, colour.tobytes())
    ds = data_set(colour, 8, "RGB")
    ds.PlanarConfiguration = 1
    save("colour8_by_plane", ds, ExplicitVRLittleEndian, np.moveaxis(colour, 2, 0).tobytes())

    shifted = data_set(grey12, 12, "MONOCHROME2")
    shifted.HighBit = 15
    save("grey12_high_bit_15", shifted, ExplicitVRLittleEndian, (grey12 << 4).tobytes())
    overlay = grey12 | np.where(grey12 > 2000, 0x8000, 0).astype(np.uint16)
    ds = data_set(grey12, 12, "MONOCHROME2")
    ds.add_new(0x60000010, "US", HEIGHT)
    ds.add_new(0x60000011, "US", WIDTH)
    ds.add_new(0x60000100, "US", 16)
    ds.add_new(0x60000102, "US", 15)
    save("grey12_overlay_bits", ds, ExplicitVRLittleEndian, overlay.tobytes())

    palette = data_set(grey8, 8, "PALETTE COLOR")
    for tag in (0x00281101, 0x00281102, 0x00281103):
        palette.add_new(tag, "US", [256, 0, 16])
        palette.add_new(tag + 0x100, "OW", np.arange(256, dtype="<u2").tobytes())
    save("palette8", palette, ExplicitVRLittleEndian, grey8.tobytes())

    # Y and chroma by formula too; the test converts by the standard's equation.
    save("ybr_full", data_set(colour, 8, "YBR_FULL"), ExplicitVRLittleEndian, colour.tobytes())
    pairs = colour.reshape(-1, 2, 3)
    halved = np.stack([pairs[:, 0, 0], pairs[:, 1, 0], pairs[:, 0, 1], pairs[:, 0, 2]], axis=1)
    save("ybr_full_422", data_set(colour, 8, "YBR_FULL_422"), ExplicitVRLittleEndian, halved.tobytes())

    for name, array, bits, photometric in [
        ("signed16_rle", signed, 16, "MONOCHROME2"),
        ("colour8_rle", colour, 8, "RGB"),
    ]:
        ds = data_set(array, bits, photometric)
        frame = RLELosslessEncoder.encode(
            array.tobytes(), rows=HEIGHT, columns=WIDTH, samples_per_pixel=array.shape[2],
            bits_allocated=8 * array.dtype.itemsize, bits_stored=bits, pixel_representation=ds.PixelRepresentation,
            photometric_interpretation=photometric, number_of_frames=1, planar_configuration=0,
        )
        compressed(name, ds, RLELossless, [frame])

    compressed("signed16_jpeg_ls", data_set(signed, 16, "MONOCHROME2"), JPEGLSLossless, [imagecodecs.jpegls_encode(words[:, :, 0])])
    compressed("grey12_jpeg_ls", data_set(grey12, 12, "MONOCHROME2"), JPEGLSLossless, [imagecodecs.jpegls_encode(grey12[:, :, 0])])
    compressed("colour8_jpeg_ls", data_set(colour, 8, "RGB"), JPEGLSLossless, [imagecodecs.jpegls_encode(colour)])
    compressed("grey8_jpeg_ls_near_3", data_set(grey8, 8, "MONOCHROME2"), JPEGLSNearLossless, [imagecodecs.jpegls_encode(grey8[:, :, 0], level=3)])
    compressed("colour8_jpeg_ls_near_2", data_set(colour, 8, "RGB"), JPEGLSNearLossless, [imagecodecs.jpegls_encode(colour, level=2)])
    flat = np.full((HEIGHT, WIDTH), 77, np.uint8)
    compressed("flat8_jpeg_ls", data_set(flat[:, :, None], 8, "MONOCHROME2"), JPEGLSLossless, [imagecodecs.jpegls_encode(flat)])

    compressed("signed16_jpeg_lossless", data_set(signed, 16, "MONOCHROME2"), JPEGLosslessSV1, [imagecodecs.ljpeg_encode(words[:, :, 0], bitspersample=16)])
    compressed("grey12_jpeg_lossless", data_set(grey12, 12, "MONOCHROME2"), JPEGLosslessSV1, [imagecodecs.ljpeg_encode(grey12[:, :, 0], bitspersample=12)])
    compressed("grey12_jpeg_extended", data_set(grey12, 12, "MONOCHROME2"), JPEGExtended12Bit, [imagecodecs.jpeg_encode(grey12[:, :, 0], level=98, bitspersample=12)])
    compressed("grey8_jpeg_baseline", data_set(grey8, 8, "MONOCHROME2"), JPEGBaseline8Bit, [imagecodecs.jpeg8_encode(grey8[:, :, 0], level=98)])
    compressed("colour8_jpeg_baseline", data_set(colour, 8, "YBR_FULL"), JPEGBaseline8Bit, [imagecodecs.jpeg8_encode(colour, level=98, subsampling="444")])

    j2k = dict(codecformat="j2k", reversible=True, level=0)
    compressed("signed16_jpeg_2000", data_set(signed, 16, "MONOCHROME2"), JPEG2000Lossless, [imagecodecs.jpeg2k_encode(signed[:, :, 0], **j2k)])
    compressed("words16_jpeg_2000", data_set(signed, 16, "MONOCHROME2"), JPEG2000Lossless, [imagecodecs.jpeg2k_encode(words[:, :, 0], **j2k)])
    compressed("colour8_jpeg_2000", data_set(colour, 8, "YBR_RCT"), JPEG2000Lossless, [imagecodecs.jpeg2k_encode(colour, mct=True, **j2k)])
    compressed("grey8_jpeg_2000_lossy", data_set(grey8, 8, "MONOCHROME2"), JPEG2000, [imagecodecs.jpeg2k_encode(grey8[:, :, 0], codecformat="j2k", level=45)])

    frames = [((grey8.astype(int) + 40 * k) % 256).astype(np.uint8)[:, :, 0] for k in range(3)]
    ds = data_set(grey8, 8, "MONOCHROME2", frames=3)
    compressed("frames8_jpeg_ls", ds, JPEGLSLossless, [imagecodecs.jpegls_encode(frame) for frame in frames])
    ds = data_set(grey8, 8, "MONOCHROME2", frames=3)
    compressed("frames8_jpeg_ls_fragments", ds, JPEGLSLossless, [imagecodecs.jpegls_encode(frame) for frame in frames], fragments_per_frame=2)
    ds = data_set(grey8, 8, "MONOCHROME2", frames=3)
    save("frames8_explicit", ds, ExplicitVRLittleEndian, b"".join(frame.tobytes() for frame in frames))


if __name__ == "__main__":
    main()
