"""Which sections there are, in the order of the page."""

from __future__ import annotations

from .. import everything
from ..link import section as link
from ..paper_a import as_printed, denoising, journey_pictures, surrogate, timing
from ..paper_b import autoencoder, cipher
from ..rate_distortion import dicom
from ..rate_distortion import section as rate_distortion
from ..rd import floors as rd_floors
from ..rd import gate as rd_gate
from ..rd import noise as rd_noise
from ..rd import speed as rd_speed
from .page import Section

_A, _B, _OURS = "Paper A: autoencoder and AES", "Paper B: autoencoder and a chaos cipher", "Ours, and today's codecs"
_RD = "The rd family against the codecs that a PACS has"
_OF_RD = "MODELS=rd"
_IN = "latentwire_evaluation/"

SECTIONS = (
    Section("rate-distortion", _OURS, "Bits per pixel at equal quality", _IN + "rate_distortion/section.py", 200, rate_distortion.run),
    Section("all-pictures", _OURS, "Every test picture", _IN + "everything.py", 110, everything.run),
    Section("slow-link", _OURS, "The journey over a slow line", _IN + "link/section.py", 60, link.run),
    Section("dicom", _OURS, "12- and 16-bit DICOM that was never compressed", _IN + "rate_distortion/dicom.py", 4, dicom.run),
    Section("a-timing", _A, "Tables 3 and 4: time of encryption", _IN + "paper_a/timing.py", 20, timing.run),
    Section("a-denoising", _A, "Table 6: denoising", _IN + "paper_a/denoising.py", 75, denoising.run),
    Section("a-net", _A, "The net as printed, its pool, its dense layer; Figure 5", _IN + "paper_a/as_printed.py", 10, as_printed.run),
    Section("a-stages", _A, "Figure 6: the picture at each stage", _IN + "paper_a/journey_pictures.py", 3, journey_pictures.run),
    Section("a-surrogate", _A, "The \"secret decoder\"", _IN + "paper_a/surrogate.py", 20, surrogate.run),
    Section("b-cipher", _B, "Tables 2 to 6, Figures 5 and 6, and attacks", _IN + "paper_b/cipher.py", 12, cipher.run),
    Section("b-autoencoder", _B, "The autoencoder: Table 1, Figure 3, 256 numbers", _IN + "paper_b/autoencoder.py", 18, autoencoder.run),
)

# `make evaluate MODELS=rd`: a page of their own.
RD_SECTIONS = (
    Section("rd-gate", _RD, "Bytes at equal quality, and the gate", _IN + "rd/gate.py", 420, rd_gate.run, _OF_RD),
    Section("rd-noise", _RD, "Under paper A's four noises", _IN + "rd/noise.py", 200, rd_noise.run, _OF_RD),
    Section("rd-floors", _RD, "The product at three floors", _IN + "rd/floors.py", 160, rd_floors.run, _OF_RD),
    Section("rd-speed", _RD, "Speed on one core", _IN + "rd/speed.py", 40, rd_speed.run, _OF_RD),
)

# What the page is made of, by what the command line calls it.
PAGES = {"papers": SECTIONS, "rd": RD_SECTIONS}
