//! The outside of a DICOM file (PS3.10 section 7): preamble, file meta information, and the data set behind it.

use std::{borrow::Cow, io::Read};

use dicom_core::{Tag, VR};
use dicom_dictionary_std::{tags, uids};
use flate2::read::DeflateDecoder;

use super::{
    data_set::{DataSet, Encoding},
    malformed, truncated,
};
use crate::{ImagingError, Limits};

/// Encoding of the pixels, from the transfer syntax.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PixelCoding {
    Native,
    Rle,
    Jpeg,
    JpegLs,
    Jpeg2000,
}

/// A file taken apart: its data set's bytes (inflated if need be) and how to read them.
pub(super) struct DicomFile<'a> {
    pub data_set: Cow<'a, [u8]>,
    pub encoding: Encoding,
    pub coding: PixelCoding,
}

impl<'a> DicomFile<'a> {
    /// Reads preamble and file meta information.
    pub fn open(bytes: &'a [u8], limits: &Limits) -> Result<Self, ImagingError> {
        let start = if bytes.get(128..132) == Some(b"DICM") { 132 } else { 0 };
        let (syntax, start) = transfer_syntax(bytes, start)?;
        let rest = bytes.get(start..).unwrap_or_default();
        let (encoding, coding) = match syntax.as_deref() {
            // A bare data set says nothing: a VR in letters after the first tag gives it away.
            None if rest.get(4..6).is_some_and(|vr| vr.iter().all(u8::is_ascii_uppercase)) => {
                (Encoding::ExplicitLittle, PixelCoding::Native)
            }
            None | Some(uids::IMPLICIT_VR_LITTLE_ENDIAN) => (Encoding::ImplicitLittle, PixelCoding::Native),
            Some(uids::EXPLICIT_VR_LITTLE_ENDIAN) => (Encoding::ExplicitLittle, PixelCoding::Native),
            Some(EXPLICIT_VR_BIG_ENDIAN) => (Encoding::ExplicitBig, PixelCoding::Native),
            Some(uids::DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN) => {
                let data_set = Cow::Owned(inflate(rest, limits)?);
                return Ok(Self {
                    data_set,
                    encoding: Encoding::ExplicitLittle,
                    coding: PixelCoding::Native,
                });
            }
            Some(uids::RLE_LOSSLESS) => (Encoding::ExplicitLittle, PixelCoding::Rle),
            Some(
                uids::JPEG_BASELINE8_BIT
                | uids::JPEG_EXTENDED12_BIT
                | uids::JPEG_LOSSLESS
                | uids::JPEG_LOSSLESS_SV1,
            ) => (Encoding::ExplicitLittle, PixelCoding::Jpeg),
            Some(uids::JPEGLS_LOSSLESS | uids::JPEGLS_NEAR_LOSSLESS) => {
                (Encoding::ExplicitLittle, PixelCoding::JpegLs)
            }
            Some(uids::JPEG2000_LOSSLESS | uids::JPEG2000) => {
                (Encoding::ExplicitLittle, PixelCoding::Jpeg2000)
            }
            Some(other) => {
                let uid = other.chars().filter(|c| c.is_ascii_digit() || *c == '.').take(64).collect();
                return Err(ImagingError::UnsupportedTransferSyntax { uid });
            }
        };
        Ok(Self { data_set: Cow::Borrowed(rest), encoding, coding })
    }
}

/// Writes preamble, file meta information and data set in Explicit VR Little Endian.
pub(super) fn write(sop_class: &str, sop_instance: &str, data_set: &DataSet<'_>) -> Vec<u8> {
    let mut meta = DataSet::default();
    meta.put(
        tags::FILE_META_INFORMATION_VERSION,
        VR::OB,
        super::data_set::Value::Bytes(Cow::Borrowed(&[0, 1])),
    );
    meta.put_text(tags::MEDIA_STORAGE_SOP_CLASS_UID, VR::UI, sop_class);
    meta.put_text(tags::MEDIA_STORAGE_SOP_INSTANCE_UID, VR::UI, sop_instance);
    meta.put_text(tags::TRANSFER_SYNTAX_UID, VR::UI, uids::EXPLICIT_VR_LITTLE_ENDIAN);
    meta.put_text(tags::IMPLEMENTATION_CLASS_UID, VR::UI, IMPLEMENTATION_CLASS_UID);
    meta.put_text(tags::IMPLEMENTATION_VERSION_NAME, VR::SH, IMPLEMENTATION_VERSION_NAME);
    let mut group = Vec::new();
    meta.write(&mut group);

    let mut file = vec![0; 128];
    file.extend_from_slice(b"DICM");
    // File Meta Information Group Length (0002,0000), UL.
    file.extend_from_slice(&[2, 0, 0, 0, b'U', b'L', 4, 0]);
    file.extend_from_slice(&(group.len() as u32).to_le_bytes());
    file.extend_from_slice(&group);
    data_set.write(&mut file);
    file
}

/// Transfer Syntax UID of the file meta information and where the data set starts; no UID if there is no group 0002.
fn transfer_syntax(bytes: &[u8], start: usize) -> Result<(Option<String>, usize), ImagingError> {
    let mut at = start;
    let mut syntax = None;
    while bytes.get(at..at + 2) == Some(&[2, 0]) {
        let head = bytes.get(at..at + 8).ok_or_else(|| truncated("the end of its file meta information"))?;
        let tag = Tag(2, u16::from_le_bytes([head[2], head[3]]));
        let vr = VR::from_binary([head[4], head[5]])
            .ok_or(malformed("its file meta information is not in Explicit VR Little Endian"))?;
        let (length, value) = if matches!(vr, VR::OB | VR::OW | VR::UN | VR::SQ | VR::UT) {
            let length = bytes
                .get(at + 8..at + 12)
                .ok_or_else(|| truncated("the end of its file meta information"))?;
            (u32::from_le_bytes([length[0], length[1], length[2], length[3]]) as usize, at + 12)
        } else {
            (usize::from(u16::from_le_bytes([head[6], head[7]])), at + 8)
        };
        let end = value.checked_add(length).filter(|&end| end <= bytes.len());
        let end = end.ok_or_else(|| truncated("the end of its file meta information"))?;
        if tag == tags::TRANSFER_SYNTAX_UID {
            let text = String::from_utf8_lossy(&bytes[value..end]);
            syntax = Some(text.trim_end_matches(['\0', ' ']).to_owned());
        }
        at = end;
    }
    if at != start && syntax.is_none() {
        return Err(malformed("its file meta information names no transfer syntax"));
    }
    Ok((syntax, at))
}

/// Inflates a deflated data set (PS3.5 annex A.5), growing with what is there and never beyond the limit.
fn inflate(deflated: &[u8], limits: &Limits) -> Result<Vec<u8>, ImagingError> {
    let limit = limits.max_file_bytes;
    let mut data_set = Vec::new();
    let outcome = DeflateDecoder::new(deflated).take(limit.saturating_add(1)).read_to_end(&mut data_set);
    if data_set.len() as u64 > limit {
        return Err(ImagingError::TooLarge {
            what: "the inflated data set, in bytes,",
            found: data_set.len() as u64,
            limit,
        });
    }
    match outcome {
        Ok(_) => Ok(data_set),
        Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => {
            Err(truncated("the end of its deflated data set"))
        }
        Err(_) => Err(malformed("its deflated data set cannot be inflated")),
    }
}

/// Retired, and absent from the dictionary.
const EXPLICIT_VR_BIG_ENDIAN: &str = "1.2.840.10008.1.2.2";
const IMPLEMENTATION_CLASS_UID: &str = "2.25.118337742286937018276524196352470823161";
const IMPLEMENTATION_VERSION_NAME: &str = "LATENTWIRE_1";
