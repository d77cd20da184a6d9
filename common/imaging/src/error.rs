//! Why a picture could not be read, rebuilt or measured.

use crate::Format;

/// Why a picture could not be read, rebuilt or measured.
///
/// The texts name no file, no patient and no UID but that of the transfer syntax, so they may travel and be logged.
#[derive(Debug, thiserror::Error, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum ImagingError {
    /// The file has no bytes.
    #[error("the file is empty (0 bytes); send a PNG, JPEG, TIFF or DICOM file")]
    Empty,
    /// The first bytes belong to none of the four formats.
    #[error(
        "the file is neither PNG, JPEG, TIFF nor DICOM, judged by its first bytes; convert it to one of these"
    )]
    UnknownFormat,
    /// The file ends before what its header announces.
    #[error("the {} file ends before {what}; send the whole file again", .format.name())]
    Truncated {
        /// The file's format.
        format: Format,
        /// What was expected where the file ends.
        what: &'static str,
    },
    /// The file breaks the rules of its format.
    #[error("the {} file is damaged: {what}; export it again", .format.name())]
    Malformed {
        /// The file's format.
        format: Format,
        /// Which rule is broken.
        what: &'static str,
    },
    /// The picture or file is larger than the limits allow; found before its memory was asked for.
    #[error("{what} is {found}, larger than the limit of {limit}; send a smaller picture or raise the limit")]
    TooLarge {
        /// Which size is meant, with its unit.
        what: &'static str,
        /// The size that the file states.
        found: u64,
        /// The largest allowed size.
        limit: u64,
    },
    /// Width, height or the number of frames is zero.
    #[error("the {} picture has a side of 0 pixels; there is nothing to send", .format.name())]
    ZeroSize {
        /// The file's format.
        format: Format,
    },
    /// The DICOM transfer syntax cannot be decoded here. EXACT mode can still carry the file as it is.
    #[error(
        "DICOM transfer syntax {uid} cannot be decoded; transcode the object to Explicit VR Little Endian, or send it in EXACT mode"
    )]
    UnsupportedTransferSyntax {
        /// The transfer syntax's UID (PS3.6 table A-1), with every character outside `0-9.` dropped.
        uid: String,
    },
    /// The file is sound, but holds something that this crate does not turn into pixels.
    #[error("{what} is not supported; send the file in EXACT mode or convert it")]
    Unsupported {
        /// What is not supported.
        what: &'static str,
    },
    /// The DICOM object has no Pixel Data (7FE0,0010).
    #[error("the DICOM object has no Pixel Data (7FE0,0010); only objects with pictures can be sent")]
    NoPixelData,
    /// Two pictures that must agree in width, height, channels and frames do not.
    #[error("the pictures differ in width, height, channels or frames; compare pictures of one shape")]
    ShapeMismatch,
    /// A side is too short for the measure asked for.
    #[error("the picture is {width}x{height} pixels, and {what} needs at least {minimum} a side")]
    TooSmall {
        /// What needs more pixels.
        what: &'static str,
        /// Width in pixels.
        width: u32,
        /// Height in pixels.
        height: u32,
        /// The shortest allowed side in pixels.
        minimum: u32,
    },
    /// A stored container is not what [`read`](crate::read) wrote, or belongs to another picture.
    #[error("the stored description of the picture is damaged: {what}; ask for the picture again")]
    BadContainer {
        /// What is wrong with it.
        what: &'static str,
    },
    /// A value does not fit the picture's stored bits.
    #[error("a pixel value does not fit in {bits} {} bits", if *.signed { "signed" } else { "unsigned" })]
    ValueOutOfRange {
        /// Stored bits a sample.
        bits: u8,
        /// Whether the samples are signed.
        signed: bool,
    },
}
