//! Image files and pixels: PNG, JPEG, TIFF and DICOM to a tensor of stored values and back, and how near two such tensors are.
//!
//! ```text
//!  file ─► read ─┬─► PixelTensor ─► (coded, sent, decoded) ─► PixelTensor ─┐
//!                └─► container ───► (sent as it is) ──────────────────────┴─► rebuild ─► file in kind
//!
//!  original, reconstruction ─► measure ─► Fidelity (SSIM, worst tile, PSNR, MSE, largest error)
//! ```
//!
//! | format | read | rebuilt as |
//! |---|---|---|
//! | PNG | 8 and 16 bit, grey and RGB | PNG with ICC profile, gamma, chromaticities, resolution, orientation |
//! | JPEG | baseline, progressive, extended 12 bit, lossless; grey and RGB | PNG (a second JPEG pass would undo the measured fidelity) |
//! | TIFF | 8 and 16 bit, signed too, grey and RGB, one page | TIFF, LZW, with ICC profile, resolution, orientation |
//! | DICOM | 8 and 16 bits allocated; implicit and explicit VR, big endian, deflated, RLE, JPEG, JPEG-LS, JPEG 2000 | Explicit VR Little Endian, marked as lossy |
//!
//! Values are stored values: no window, rescale slope or palette is applied, so fidelity means what the file's own numbers
//! say. Pictures whose values must not change at all (palettes, transparency, masks, overlay bits in unused high bits)
//! carry the reason in [`Picture::exact_only`]. Pixel Padding Value is not treated apart: padding may change like any pixel.
//!
//! Every size is checked against [`Limits`] and against the length of the file before memory is taken for it, and damaged
//! files end in an [`ImagingError`].
//!
//! ```
//! use latentwire_imaging::{Limits, LossyStep, PixelTensor, measure, read, rebuild};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let file = std::fs::read("../../samples/other/phantom_mr_head_16bit.png")?;
//! let picture = read(&file, &Limits::default())?;
//! let coarse = PixelTensor {
//!     samples: picture.pixels.samples.iter().map(|sample| sample & !63).collect(),
//!     ..picture.pixels.clone()
//! };
//! let fidelity = measure(&picture.pixels, &coarse)?;
//! assert!(fidelity.ssim > 0.99 && fidelity.max_abs_error == 63);
//! let step = LossyStep { model: "coarse", decoder_digest: [0; 32], ratio: 1.6, mark: None, sop_instance_uid: None };
//! let (format, file) = rebuild(picture.format, &picture.container, &coarse, &step)?;
//! assert_eq!(format.name(), "png");
//! assert_eq!(read(&file, &Limits::default())?.pixels, coarse);
//! # Ok(())
//! # }
//! ```

mod attributes;
mod contact_sheet;
mod container;
mod dicom;
mod error;
mod fidelity;
mod format;
mod jpeg;
mod limits;
mod planes;
mod png;
mod tensor;
mod tiff;

pub use contact_sheet::contact_sheet;
pub use error::ImagingError;
pub use fidelity::{Fidelity, measure};
pub use format::Format;
pub use limits::Limits;
pub use tensor::PixelTensor;

/// A parsed image file.
#[derive(Clone, Debug)]
pub struct Picture {
    /// The file's format.
    pub format: Format,
    /// The stored values.
    pub pixels: PixelTensor,
    /// Everything but the pixels that [`rebuild`] needs to write a file in kind (ICC profile, resolution; DICOM: the
    /// data set without Pixel Data), compressed. Opaque.
    pub container: Vec<u8>,
    /// Why the values must not be changed (palette indices, alpha, masks), so that only EXACT is allowed.
    pub exact_only: Option<&'static str>,
    /// What the header says about the content.
    pub hint: ContentHint,
}

/// What the DICOM header says about the content (Modality, Body Part Examined): a hint for the choice of model.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum ContentHint {
    /// The header says nothing, or the format has no such header.
    #[default]
    None,
    /// Colour photograph of the eye's ground.
    Fundus,
    /// X-ray of the chest.
    Chest,
    /// Magnetic resonance of the head.
    Brain,
    /// Something else, of this Modality.
    Modality(ModalityCode),
    /// Something else.
    Other,
}

/// A DICOM Modality (0008,0060), such as `US`: one to sixteen upper-case letters and digits.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ModalityCode([u8; Self::MAX_LENGTH]);

impl ModalityCode {
    const MAX_LENGTH: usize = 16;

    /// The code, if `text` is one.
    ///
    /// ```
    /// use latentwire_imaging::ModalityCode;
    ///
    /// assert!(ModalityCode::new("US").is_some_and(|code| code.is("US") && !code.is("USX")));
    /// for text in ["", "us", "U S", "ULTRASOUNDSCANNER"] {
    ///     assert_eq!(ModalityCode::new(text), None);
    /// }
    /// ```
    pub fn new(text: &str) -> Option<Self> {
        let bytes = text.as_bytes();
        if bytes.is_empty() || !bytes.iter().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit()) {
            return None;
        }
        let mut padded = [0; Self::MAX_LENGTH];
        padded.get_mut(..bytes.len())?.copy_from_slice(bytes);
        Some(Self(padded))
    }

    /// Whether this is the code that `text` names.
    pub fn is(self, text: &str) -> bool {
        Self::new(text) == Some(self)
    }
}

/// What a lossy step did, for the DICOM attributes (PS3.3 C.7.6.1.1.5); other formats ignore it.
#[derive(Clone, Copy, Debug)]
pub struct LossyStep<'a> {
    /// Id of the model.
    pub model: &'a str,
    /// SHA-256 that names decoder, tables and bitstream version.
    pub decoder_digest: [u8; 32],
    /// Raw bytes divided by coded bytes.
    pub ratio: f64,
    /// Why the picture is not to be taken for the original, in a word such as `denoised`; ASCII.
    pub mark: Option<&'a str>,
    /// The new SOP Instance UID, as [`derived_sop_instance_uid`] gave it to the sender.
    pub sop_instance_uid: Option<&'a str>,
}

/// Parses a file of any of the four formats, known by its first bytes.
///
/// # Errors
/// Every variant of [`ImagingError`] but those of measuring and rebuilding. Sizes are checked against `limits` and against
/// the length of the file before memory is taken; damaged files give an error, never a panic.
pub fn read(bytes: &[u8], limits: &Limits) -> Result<Picture, ImagingError> {
    if bytes.is_empty() {
        return Err(ImagingError::Empty);
    }
    if bytes.len() as u64 > limits.max_file_bytes {
        return Err(ImagingError::TooLarge {
            what: "the file, in bytes,",
            found: bytes.len() as u64,
            limit: limits.max_file_bytes,
        });
    }
    match Format::sniff(bytes).ok_or(ImagingError::UnknownFormat)? {
        Format::Png => png::read(bytes, limits),
        Format::Jpeg => jpeg::read(bytes, limits),
        Format::Tiff => tiff::read(bytes, limits),
        Format::Dicom => dicom::read(bytes, limits),
    }
}

/// Writes a file in kind with new pixels: colour profile, resolution and orientation as they were, and for DICOM the whole
/// data set, marked as lossy (PS3.3 C.7.6.1.1.5), with a SOP Instance UID of its own.
///
/// JPEG becomes PNG: a second JPEG pass would undo the measured fidelity. The returned format says so.
///
/// # Errors
/// [`ImagingError::BadContainer`] if `container` is not one that [`read`] wrote, [`ImagingError::ShapeMismatch`] if `pixels`
/// have another shape than were read, [`ImagingError::ValueOutOfRange`] if one does not fit the stored bits, and
/// [`ImagingError::Unsupported`] if the format cannot hold them.
pub fn rebuild(
    format: Format,
    container: &[u8],
    pixels: &PixelTensor,
    lossy: &LossyStep<'_>,
) -> Result<(Format, Vec<u8>), ImagingError> {
    let (shape, payload) = container::unpack(container)?;
    if container::Shape::of(pixels) != shape || !pixels.has_its_samples() {
        return Err(ImagingError::ShapeMismatch);
    }
    if !pixels.fits_its_bits() {
        return Err(ImagingError::ValueOutOfRange { bits: pixels.bits, signed: pixels.signed });
    }
    let file = match format {
        Format::Png | Format::Jpeg => png::write(pixels, &attributes::Attributes::from_bytes(&payload)?)?,
        Format::Tiff => tiff::write(pixels, &attributes::Attributes::from_bytes(&payload)?)?,
        Format::Dicom => dicom::rebuild(&payload, pixels, lossy)?,
    };
    Ok((if format == Format::Jpeg { Format::Png } else { format }, file))
}

/// What names the patient and the study in a DICOM object.
///
/// Without `Debug`, so that it reaches no log by accident.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Identity {
    /// Patient ID (0010,0020).
    pub patient_id: Option<String>,
    /// Patient's Name (0010,0010).
    pub patient_name: Option<String>,
    /// Accession Number (0008,0050).
    pub accession_number: Option<String>,
    /// Study Instance UID (0020,000D).
    pub study_instance_uid: Option<String>,
    /// Series Instance UID (0020,000E).
    pub series_instance_uid: Option<String>,
    /// SOP Class UID (0008,0016).
    pub sop_class_uid: Option<String>,
    /// SOP Instance UID (0008,0018).
    pub sop_instance_uid: Option<String>,
}

/// Reads what names patient and study, for an audit log; `None` for other formats and for files that cannot be parsed.
pub fn identity(bytes: &[u8], limits: &Limits) -> Option<Identity> {
    match Format::sniff(bytes)? {
        Format::Dicom => dicom::identity(bytes, limits),
        Format::Png | Format::Jpeg | Format::Tiff => None,
    }
}

/// The SOP Instance UID of what a lossy step makes of a DICOM object: `2.25.` and a number, derived from the source's UID,
/// the source file's SHA-256 and the decoder digest, so that one image through one decoder always gets the same.
///
/// `None` for other formats and for a container that is not one.
pub fn derived_sop_instance_uid(
    format: Format,
    container: &[u8],
    decoder_digest: &[u8; 32],
    source_sha256: &[u8; 32],
) -> Option<String> {
    match format {
        Format::Dicom => dicom::derived_sop_instance_uid(container, decoder_digest, source_sha256),
        Format::Png | Format::Jpeg | Format::Tiff => None,
    }
}
