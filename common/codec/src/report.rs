//! What `prepare` and `restore` hand back.

use latentwire_imaging::{Fidelity, Format, PixelTensor};
use latentwire_model::{DecoderDigest, Modality, Purpose};

use crate::policy::Mode;

/// A model that is loaded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModelInfo {
    /// The model's id, such as `ae224-fundus`.
    pub id: String,
    /// The family it belongs to, such as `ae224`.
    pub family: String,
    /// What it is for.
    pub purpose: Purpose,
    /// What it was trained on; `other` where the folder carries no manifest.
    pub modality: Modality,
    /// The trainer's own word for that, such as `ultrasound`, where the manifest has one.
    pub label: Option<String>,
    /// SHA-256 of its `decode.toml`.
    pub digest: DecoderDigest,
    /// Whether its encoder is loaded.
    pub encoder: bool,
    /// Whether its decoder is loaded.
    pub decoder: bool,
    /// Whether its decoder is bit-identical on the listed configurations, and was not found to differ here.
    pub certified: bool,
    /// What its decoder gave here for the fixed latent that it is certified with.
    pub check: SelfCheck,
}

/// What a certified decoder gave on this machine for its fixed latent, when it was loaded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SelfCheck {
    /// The model has no such check, or its decoder is not loaded.
    None,
    /// The bits that it is certified for.
    Passed,
    /// Other bits: the model is not certified here.
    Differs,
}

/// An image that is ready to be sealed.
#[derive(Clone, Debug)]
pub struct Prepared {
    /// The coded image (docs/BITSTREAM.md).
    pub coded: Vec<u8>,
    /// SHA-256 of the source file.
    pub source_sha256: [u8; 32],
    /// What the sender vouches for; `None` in exact form and where the sender has no decoder.
    pub certificate: Option<Certificate>,
    /// The SOP Instance UID the receiver's DICOM file will carry; `None` unless the source is DICOM
    /// in latent form.
    pub derived_sop_instance_uid: Option<String>,
    /// What was done, with the measured figures.
    pub report: Report,
    /// The reconstruction the figures were measured on; `None` in exact form and where the sender
    /// has no decoder.
    pub reconstruction: Option<PixelTensor>,
    /// The source's pixels; `None` where they were not parsed.
    pub original: Option<PixelTensor>,
    /// Where the rows are, where the latent was written as [raw rows](crate::LatentCoding::RawRows) and travels so.
    pub rows: Option<RowLayout>,
}

/// How a coded image of raw rows is made up: a head, then rows of equal length to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RowLayout {
    /// Bytes before the first row: the header and the container.
    pub head_bytes: usize,
    /// Bytes of a row: 4 for each channel of each latent position.
    pub row_bytes: u32,
}

/// Why a picture that travels through a latent is not to be taken for the original. It is never left out of a report.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Mark {
    /// The reconstruction is below a floor and was sent all the same.
    BelowFloor,
    /// The model takes noise away: the picture was changed on purpose.
    Denoised,
    /// The model serves research.
    Research,
}

impl Mark {
    /// The name used in JSON and tables: `below_floor`, `denoised` or `research`.
    pub fn name(self) -> &'static str {
        match self {
            Self::BelowFloor => "below_floor",
            Self::Denoised => "denoised",
            Self::Research => "research",
        }
    }

    /// What a model of such a purpose marks its pictures with, whatever was measured.
    pub fn of(purpose: Purpose) -> Option<Self> {
        match purpose {
            Purpose::Denoising => Some(Self::Denoised),
            Purpose::Product => None,
            Purpose::Research => Some(Self::Research),
        }
    }
}

/// The sender's word for the pixels that the receiver will decode.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Certificate {
    /// Which decoder the sender used.
    pub decoder_digest: DecoderDigest,
    /// [`PixelTensor::sha256`] of the reconstruction the figures were measured on.
    pub reconstruction_sha256: [u8; 32],
    /// The ONNX Runtime version the sender decoded with.
    pub runtime_version: String,
    /// Whether the decoder is bit-identical on the listed configurations: if not, a differing hash
    /// is no fault.
    pub certified: bool,
}

/// What `prepare` did with an image.
#[derive(Clone, Debug)]
pub struct Report {
    /// The form it travels in: [`Mode::Latent`] or [`Mode::Exact`].
    pub mode: Mode,
    /// The model, in latent form.
    pub model: Option<String>,
    /// The model's modality; in exact form what the policy or the DICOM header says, else `other`.
    pub modality: Modality,
    /// The source file's format.
    pub format: Option<Format>,
    /// Columns; 0 where the pixels were not parsed.
    pub width: u32,
    /// Rows; 0 where the pixels were not parsed.
    pub height: u32,
    /// Frames; 0 where the pixels were not parsed.
    pub frames: u32,
    /// 1 (grey) or 3 (RGB); 0 where the pixels were not parsed.
    pub channels: u8,
    /// Stored bits a sample; 0 where the pixels were not parsed.
    pub bits: u8,
    /// Bytes of the source file.
    pub original_bytes: u64,
    /// Bytes of its pixels, unpacked; 0 where they were not parsed.
    pub raw_bytes: u64,
    /// Bytes of the coded image.
    pub coded_bytes: u64,
    /// The reconstruction's figures, worst frame each. `None` in exact form (where `exact_reason`
    /// carries those of a latent that fell below a floor) and where nothing was measured.
    pub fidelity: Option<Fidelity>,
    /// `false`: the sender has no decoder, nobody checked a floor. Exact forms need no measuring
    /// and say `true`.
    pub measured: bool,
    /// Whether the latent fell below a floor: it is sent marked, or was replaced by the exact form.
    pub below_floor: bool,
    /// Why the picture is not to be taken for the original, where it travels through a latent.
    pub mark: Option<Mark>,
    /// Why the image travels exact, if it does.
    pub exact_reason: Option<String>,
    /// Reconstructions that were made and measured in search of the rate; 0 where the rate was not searched.
    pub trials: u32,
    /// Quantiser step of the latent that travels, in 1/256 of the model's own, where the model has a rate knob.
    pub quantiser_step: Option<u16>,
    /// What each step took.
    pub timings: Timings,
}

/// Wall-clock milliseconds of the steps at the sender.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Timings {
    /// Parsing the file and hashing it.
    pub prepare_ms: f64,
    /// Choosing the model and running its encoder, normalisation included.
    pub encode_ms: f64,
    /// Quantising, entropy-coding and writing the bitstream.
    pub code_ms: f64,
    /// Decoding the coded bytes again.
    pub decode_ms: f64,
    /// Measuring the reconstruction.
    pub measure_ms: f64,
}

/// An image that has been decoded.
#[derive(Clone, Debug)]
pub struct Restored {
    /// The file: rebuilt in kind, or the source's own bytes.
    pub file: Vec<u8>,
    /// The file's format. A JPEG that went through a latent comes out as PNG.
    pub format: Option<Format>,
    /// The form it travelled in.
    pub mode: Mode,
    /// The model, in latent form.
    pub model: Option<String>,
    /// What the model's purpose marks the picture with. Floors are the sender's business: a picture below them is not
    /// known here.
    pub mark: Option<Mark>,
    /// The reconstruction, in latent form.
    pub pixels: Option<PixelTensor>,
    /// [`PixelTensor::sha256`] of the reconstruction, to be compared with the certificate's.
    pub reconstruction_sha256: Option<[u8; 32]>,
    /// What it took.
    pub timings: RestoreTimings,
}

/// Wall-clock milliseconds at the receiver.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct RestoreTimings {
    /// Entropy decoding, the decoder, and rebuilding the file.
    pub decode_ms: f64,
}
