//! The four file formats, told apart by their first bytes.

use std::fmt;

/// A file format that this crate reads and rebuilds.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Format {
    /// Portable Network Graphics (ISO/IEC 15948).
    Png,
    /// JPEG in a JFIF, Exif or bare stream (ITU-T T.81). Rebuilt as PNG.
    Jpeg,
    /// TIFF 6.0, either byte order.
    Tiff,
    /// DICOM Part 10 file (PS3.10), or a bare data set in Implicit VR Little Endian.
    Dicom,
}

impl Format {
    /// Lower-case name: `png`, `jpeg`, `tiff` or `dicom`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Png => "png",
            Self::Jpeg => "jpeg",
            Self::Tiff => "tiff",
            Self::Dicom => "dicom",
        }
    }

    /// Number in the bitstream, 1 to 4; never reused.
    pub fn code(self) -> u8 {
        match self {
            Self::Png => 1,
            Self::Jpeg => 2,
            Self::Tiff => 3,
            Self::Dicom => 4,
        }
    }

    /// The format of a number that [`code`](Self::code) gave.
    pub fn from_code(code: u8) -> Option<Self> {
        match code {
            1 => Some(Self::Png),
            2 => Some(Self::Jpeg),
            3 => Some(Self::Tiff),
            4 => Some(Self::Dicom),
            _ => None,
        }
    }

    /// The format that the first bytes belong to; file names are never looked at.
    ///
    /// A DICOM file is known by `DICM` at offset 128 (PS3.10 section 7.1). Without that preamble it is known by a
    /// first element of group 0002 or 0008 with a plausible tag and length, as DCMTK and dicom3tools accept too.
    pub fn sniff(bytes: &[u8]) -> Option<Self> {
        if bytes.get(128..132) == Some(b"DICM") {
            // Before TIFF: a DICOM preamble may hold a TIFF header (PS3.10 section 7.1, dual-format files).
            Some(Self::Dicom)
        } else if bytes.starts_with(b"\x89PNG\r\n\x1a\n") {
            Some(Self::Png)
        } else if bytes.starts_with(&[0xff, 0xd8, 0xff]) {
            Some(Self::Jpeg)
        } else if bytes.starts_with(b"II*\0") || bytes.starts_with(b"MM\0*") {
            Some(Self::Tiff)
        } else if starts_with_data_element(bytes) {
            Some(Self::Dicom)
        } else {
            None
        }
    }
}

impl fmt::Display for Format {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

/// Whether the file opens with a group 0002 element in Explicit VR or a group 0008 element in Implicit VR, both little
/// endian: a DICOM file whose preamble was left out.
fn starts_with_data_element(bytes: &[u8]) -> bool {
    let Some(head) = bytes.get(..8) else { return false };
    let group = u16::from_le_bytes([head[0], head[1]]);
    let element = u16::from_le_bytes([head[2], head[3]]);
    let length = u32::from_le_bytes([head[4], head[5], head[6], head[7]]);
    match (group, element) {
        (0x0002, 0x0000) => &head[4..6] == b"UL",
        (0x0002, 0x0001) => &head[4..6] == b"OB",
        (0x0002, 0x0002 | 0x0010) => &head[4..6] == b"UI",
        (0x0008, 0x0000) => length == 4,
        (0x0008, 0x0001 | 0x0005 | 0x0008 | 0x0012 | 0x0016 | 0x0018) => length <= 256 && length % 2 == 0,
        _ => false,
    }
}
