"""Makes the pictures of this folder again: `python samples/make_samples.py DATA` with numpy, pillow and pydicom.

DATA is a folder of openly licensed pictures (modality/split/file) with `OPEN.tsv` (path, licence) and `MANIFEST.tsv`
(path, modality, split, width, height, bytes, sha256, source, licence, notes). Six pictures are copied byte for byte, one
is wrapped as DICOM, one is halved and stored as TIFF; two phantoms are computed. Every run gives the same bytes as long
as pillow and pydicom stay the same. The table of LICENCES.md is printed at the end.
"""

import csv
import hashlib
import shutil
import sys
from pathlib import Path

import numpy as np
import pydicom
from PIL import Image, TiffImagePlugin
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import (
    ComputedRadiographyImageStorage,
    CTImageStorage,
    ExplicitVRLittleEndian,
)

HERE = Path(__file__).resolve().parent
COPIED = [
    "fundus/test/idrid_2cfe12be46.jpg",
    "fundus/test/chase_2846f819cd.jpg",
    "chest_xray/test/hannover_1890031531.jpg",
    "chest_xray/test/hannover_c4cac67ede.jpg",
    "brain_mri/test/sartaj_0b938fbd0a.jpg",
    "brain_mri/test/sartaj_0908d1a91a.jpg",
]
WRAPPED_CHEST = "chest_xray/test/hannover_aef103a221.jpg"
HALVED_FUNDUS = "fundus/test/chase_82c78fd987.jpg"


def main(data: Path) -> None:
    licences = dict(list(csv.reader((data / "OPEN.tsv").open(), delimiter="\t"))[1:])
    manifest = {row["path"]: row for row in csv.DictReader((data / "MANIFEST.tsv").open(), delimiter="\t")}
    for path in [*COPIED, WRAPPED_CHEST, HALVED_FUNDUS]:
        if path not in licences:
            raise SystemExit(f"{path} is not listed as openly licensed")
        digest = hashlib.sha256((data / path).read_bytes()).hexdigest()
        if digest != manifest[path]["sha256"]:
            raise SystemExit(f"{path} is not the picture that the manifest names")

    made: list[tuple[str, str, str]] = []  # path here, licence, what it was made from
    for path in COPIED:
        target = HERE / path
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(data / path, target)
        made.append((path, licences[path], f"{manifest[path]['source']}; {manifest[path]['notes']}"))

    for folder in ["dicom", "other"]:
        (HERE / folder).mkdir(exist_ok=True)
    write_ct_phantom(HERE / "dicom/phantom_ct_head_16bit.dcm")
    made.append(("dicom/phantom_ct_head_16bit.dcm", "CC0-1.0", "computed by make_samples.py"))
    write_chest_dicom(data / WRAPPED_CHEST, HERE / "dicom/chest_cr_8bit.dcm")
    made.append(("dicom/chest_cr_8bit.dcm", licences[WRAPPED_CHEST], f"pixels of {WRAPPED_CHEST}: {manifest[WRAPPED_CHEST]['source']}; {manifest[WRAPPED_CHEST]['notes']}"))
    Image.fromarray(mr_phantom(288, 256)).save(HERE / "other/phantom_mr_head_16bit.png", dpi=(101.6, 101.6))
    made.append(("other/phantom_mr_head_16bit.png", "CC0-1.0", "computed by make_samples.py"))
    write_fundus_tiff(data / HALVED_FUNDUS, HERE / "other/fundus_half.tiff")
    made.append(("other/fundus_half.tiff", licences[HALVED_FUNDUS], f"halved from {HALVED_FUNDUS}: {manifest[HALVED_FUNDUS]['source']}; {manifest[HALVED_FUNDUS]['notes']}"))

    print("| file | licence | source | sha256 |")
    print("|---|---|---|---|")
    for path, licence, source in made:
        print(f"| `{path}` | {licence} | {source} | `{hashlib.sha256((HERE / path).read_bytes()).hexdigest()}` |")


def ellipse(height: int, width: int, centre: tuple[float, float], axes: tuple[float, float], turn: float) -> np.ndarray:
    """Soft-edged mask of an ellipse; centre and half axes (x, y) in units of half the short side, turn in degrees."""
    half = min(height, width) / 2
    y, x = np.mgrid[:height, :width]
    x = (x - (width - 1) / 2) / half - centre[0]
    y = (y - (height - 1) / 2) / half - centre[1]
    cosine, sine = np.cos(np.radians(turn)), np.sin(np.radians(turn))
    radius = np.hypot((x * cosine + y * sine) / axes[0], (y * cosine - x * sine) / axes[1])
    return 1 / (1 + np.exp((radius - 1) * half * min(axes) / 0.7))


def texture(height: int, width: int, seed: int, coarse: float) -> np.ndarray:
    """Smooth random field with mean 0 and deviation 1: noise whose spectrum falls off beyond 1/coarse cycles a pixel."""
    noise = np.random.Generator(np.random.PCG64(seed)).standard_normal((height, width))
    frequency = np.hypot(np.fft.fftfreq(height)[:, None], np.fft.fftfreq(width)[None, :])
    field = np.fft.ifft2(np.fft.fft2(noise) / (1 + (frequency * coarse) ** 2)).real
    return (field - field.mean()) / field.std()


def head(height: int, width: int, tissue: dict[str, float], seed: int) -> np.ndarray:
    """A head-like section in the given units: scalp, skull, grey and white matter, ventricles, two lesions."""
    picture = np.full((height, width), float(tissue["air"]))

    def lay(mask: np.ndarray, value: float | np.ndarray) -> None:
        picture[:] = picture * (1 - mask) + value * mask

    lay(ellipse(height, width, (0, 0), (0.76, 0.94), 0), tissue["scalp"])
    lay(ellipse(height, width, (0, 0), (0.71, 0.89), 0), tissue["skull"])
    lay(ellipse(height, width, (0, 0.01), (0.64, 0.82), 0), tissue["grey"] + tissue["texture"] * texture(height, width, seed, 12))
    folds = 0.06 * texture(height, width, seed + 1, 20)
    for side in (-1, 1):
        white = ellipse(height, width, (side * 0.29, 0.02), (0.27, 0.62), side * 4)
        white = np.clip(white * (1 + 4 * folds), 0, 1)
        lay(white, tissue["white"] + tissue["texture"] * texture(height, width, seed + 2, 16))
        lay(ellipse(height, width, (side * 0.11, -0.05), (0.06, 0.26), side * 14), tissue["fluid"])
        lay(ellipse(height, width, (side * 0.16, 0.3), (0.05, 0.14), -side * 24), tissue["fluid"])
    lay(ellipse(height, width, (0.33, -0.28), (0.1, 0.08), 30), tissue["lesion"])
    lay(ellipse(height, width, (-0.24, 0.46), (0.05, 0.06), 0), tissue["lesion"])
    return picture


def mr_phantom(height: int, width: int) -> np.ndarray:
    """T1-like head with a slow coil shading and Rician noise, unsigned 16 bit."""
    picture = head(height, width, {"air": 0, "scalp": 30000, "skull": 3500, "grey": 17500, "white": 25500, "fluid": 6500, "lesion": 36000, "texture": 500}, 31)
    x = np.linspace(-1, 1, width)[None, :]
    y = np.linspace(-1, 1, height)[:, None]
    picture *= 1 + 0.12 * x - 0.08 * y * y
    noise = np.random.Generator(np.random.PCG64(41)).standard_normal((2, height, width)) * 220
    return np.clip(np.hypot(picture + noise[0], noise[1]), 0, 65535).round().astype(np.uint16)


def write_ct_phantom(target: Path) -> None:
    """Head-like CT section in Hounsfield units: 12 bits stored in 16, two's complement, 320 x 384."""
    rows, columns = 384, 320
    picture = head(rows, columns, {"air": -1000, "scalp": 45, "skull": 1150, "grey": 38, "white": 29, "fluid": 6, "lesion": 72, "texture": 2}, 7)
    noise = texture(rows, columns, 17, 3) * 7
    stored = np.clip(picture + noise, -1024, 2047).round().astype(np.int16)

    dataset = patient(CTImageStorage, "CT", "HEAD", 1)
    dataset.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
    dataset.SeriesDescription = "Synthetic head phantom"
    dataset.SliceThickness = "5"
    dataset.PixelSpacing = ["0.6", "0.6"]
    dataset.KVP = "120"
    dataset.ImagePositionPatient = ["-96", "-115.2", "0"]
    dataset.ImageOrientationPatient = ["1", "0", "0", "0", "1", "0"]
    dataset.FrameOfReferenceUID = "2.25.271828182845904523536028747135266250"
    dataset.RescaleIntercept, dataset.RescaleSlope, dataset.RescaleType = "0", "1", "HU"
    dataset.WindowCenter, dataset.WindowWidth = "40", "120"
    pixels(dataset, stored, bits_stored=12, signed=True)
    # Pixel padding and extreme values carry the pixels' own VR (SS).
    dataset.add_new(0x00280106, "SS", int(stored.min()))
    dataset.add_new(0x00280107, "SS", int(stored.max()))
    dataset.save_as(target, enforce_file_format=True)


def write_chest_dicom(source: Path, target: Path) -> None:
    """An openly licensed chest X-ray as an 8-bit Computed Radiography object."""
    stored = np.asarray(Image.open(source).convert("L"))
    dataset = patient(ComputedRadiographyImageStorage, "CR", "CHEST", 2)
    dataset.ImageType = ["DERIVED", "SECONDARY"]
    dataset.SeriesDescription = "Chest X-ray, CC BY 3.0, Hannover Medical School"
    dataset.ViewPosition = "AP"
    dataset.PatientOrientation = ["L", "F"]
    # The source picture is a JPEG, so its pixels have been through a lossy step (PS3.3 C.7.6.1.1.5).
    dataset.LossyImageCompression = "01"
    dataset.LossyImageCompressionRatio = f"{stored.size / source.stat().st_size:.4f}"
    dataset.LossyImageCompressionMethod = "ISO_10918_1"
    dataset.WindowCenter, dataset.WindowWidth = "128", "256"
    pixels(dataset, stored, bits_stored=8, signed=False)
    dataset.save_as(target, enforce_file_format=True)


def patient(sop_class: str, modality: str, body_part: str, number: int) -> Dataset:
    """A data set for a patient that does not exist, with UIDs under 2.25 (PS3.5 B.2)."""

    def uid(what: str) -> str:
        return "2.25." + str(int.from_bytes(hashlib.sha256(f"latentwire sample {number} {what}".encode()).digest()[:15]))

    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.MediaStorageSOPClassUID = sop_class
    dataset.file_meta.MediaStorageSOPInstanceUID = uid("instance")
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.file_meta.ImplementationClassUID = "2.25.314159265358979323846264338327950288"
    dataset.file_meta.ImplementationVersionName = "LATENTWIRE_SAMPL"
    dataset.SpecificCharacterSet = "ISO_IR 192"
    dataset.SOPClassUID, dataset.SOPInstanceUID = sop_class, uid("instance")
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID = uid("study"), uid("series")
    dataset.StudyDate = dataset.SeriesDate = dataset.ContentDate = "20260101"
    dataset.StudyTime = dataset.SeriesTime = dataset.ContentTime = "120000"
    dataset.AccessionNumber, dataset.StudyID = f"SAMPLE{number}", str(number)
    dataset.SeriesNumber = dataset.InstanceNumber = "1"
    dataset.Modality, dataset.BodyPartExamined = modality, body_part
    dataset.Manufacturer = "Latentwire"
    dataset.ReferringPhysicianName = ""
    dataset.PatientName, dataset.PatientID = "PHANTOM^LATENTWIRE", f"LW-SAMPLE-{number}"
    dataset.PatientBirthDate = ""
    dataset.PatientSex = "O"
    dataset.PatientPosition = "HFS"
    return dataset


def pixels(dataset: Dataset, stored: np.ndarray, bits_stored: int, signed: bool) -> None:
    dataset.Rows, dataset.Columns = stored.shape
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.BitsAllocated = 8 * stored.dtype.itemsize
    dataset.BitsStored, dataset.HighBit = bits_stored, bits_stored - 1
    dataset.PixelRepresentation = int(signed)
    dataset.PixelData = stored.astype(stored.dtype.newbyteorder("<")).tobytes()
    dataset["PixelData"].VR = "OB" if stored.dtype.itemsize == 1 else "OW"


def write_fundus_tiff(source: Path, target: Path) -> None:
    """An openly licensed fundus photograph at half size, RGB, LZW, with a resolution."""
    picture = Image.open(source).convert("RGB")
    picture = picture.resize((picture.width // 2, picture.height // 2), Image.Resampling.LANCZOS)
    tags = TiffImagePlugin.ImageFileDirectory_v2()
    picture.save(target, compression="tiff_lzw", dpi=(150, 150), tiffinfo=tags)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        raise SystemExit(__doc__)
    main(Path(sys.argv[1]))
