//! The Image Pixel module (PS3.3 C.7.6.3) and what else of a data set decides how pixels are read.

use dicom_dictionary_std::tags;

use super::{data_set::DataSet, malformed};
use crate::{ContentHint, Format, ImagingError, Limits, ModalityCode};

/// How the pixels of an object are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ImageHeader {
    pub rows: u32,
    pub columns: u32,
    pub frames: u32,
    pub samples: u8,
    pub allocated: u8,
    pub stored: u8,
    pub high_bit: u8,
    pub signed: bool,
    /// Planar Configuration 1: colour by plane, not by pixel.
    pub planar: bool,
    pub photometric: Photometric,
}

/// Photometric Interpretation (PS3.3 C.7.6.3.1.2), as far as it is read here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Photometric {
    Monochrome,
    Palette,
    Rgb,
    YbrFull,
    YbrFull422,
    /// YBR_RCT and YBR_ICT: JPEG 2000's own colour transform, which its decoder undoes.
    YbrJpeg2000,
}

impl ImageHeader {
    /// Reads and checks the header; nothing is allocated by what it says.
    pub fn read(data_set: &DataSet<'_>, limits: &Limits) -> Result<Self, ImagingError> {
        let number = |tag, missing| data_set.u16(tag).ok_or(malformed(missing));
        let rows = number(tags::ROWS, "Rows (0028,0010) is missing")?.into();
        let columns = number(tags::COLUMNS, "Columns (0028,0011) is missing")?.into();
        let frames = match data_set.text(tags::NUMBER_OF_FRAMES) {
            None => 1,
            Some(text) => {
                text.parse().map_err(|_| malformed("Number of Frames (0028,0008) is not a whole number"))?
            }
        };
        limits.check(Format::Dicom, columns, rows, frames)?;

        let samples = data_set.u16(tags::SAMPLES_PER_PIXEL).unwrap_or(1);
        let allocated = number(tags::BITS_ALLOCATED, "Bits Allocated (0028,0100) is missing")?;
        if !matches!(allocated, 8 | 16) {
            return Err(ImagingError::Unsupported {
                what: "DICOM pixel data of other than 8 or 16 bits allocated",
            });
        }
        let stored = data_set.u16(tags::BITS_STORED).unwrap_or(allocated);
        if !(1..=allocated).contains(&stored) {
            return Err(malformed("Bits Stored (0028,0101) is 0 or more than Bits Allocated"));
        }
        let high_bit = data_set.u16(tags::HIGH_BIT).unwrap_or(stored - 1);
        if high_bit >= allocated || high_bit + 1 < stored {
            return Err(malformed("High Bit (0028,0102) does not fit Bits Stored and Bits Allocated"));
        }
        let photometric = Photometric::read(data_set)?;
        if samples != photometric.samples() {
            return Err(malformed(
                "Samples per Pixel (0028,0002) does not fit the Photometric Interpretation",
            ));
        }
        let header = Self {
            rows,
            columns,
            frames,
            samples: photometric.samples() as u8,
            allocated: allocated as u8,
            stored: stored as u8,
            high_bit: high_bit as u8,
            signed: data_set.u16(tags::PIXEL_REPRESENTATION) == Some(1),
            planar: data_set.u16(tags::PLANAR_CONFIGURATION) == Some(1),
            photometric,
        };
        if matches!(header.photometric, Photometric::YbrFull | Photometric::YbrFull422)
            && (header.stored != 8 || header.signed)
        {
            return Err(ImagingError::Unsupported { what: "YBR colour of other than 8 unsigned bits" });
        }
        Ok(header)
    }

    /// Pixels of a frame.
    pub fn area(&self) -> usize {
        self.rows as usize * self.columns as usize
    }

    /// Samples of a frame.
    pub fn frame_samples(&self) -> usize {
        self.area() * usize::from(self.samples)
    }
}

impl Photometric {
    fn read(data_set: &DataSet<'_>) -> Result<Self, ImagingError> {
        match data_set.text(tags::PHOTOMETRIC_INTERPRETATION) {
            Some("MONOCHROME1" | "MONOCHROME2") => Ok(Self::Monochrome),
            Some("PALETTE COLOR") => Ok(Self::Palette),
            Some("RGB") => Ok(Self::Rgb),
            Some("YBR_FULL") => Ok(Self::YbrFull),
            Some("YBR_FULL_422") => Ok(Self::YbrFull422),
            Some("YBR_RCT" | "YBR_ICT") => Ok(Self::YbrJpeg2000),
            Some(_) => Err(ImagingError::Unsupported { what: "this Photometric Interpretation of DICOM" }),
            None => Err(malformed("Photometric Interpretation (0028,0004) is missing")),
        }
    }

    fn samples(self) -> u16 {
        match self {
            Self::Monochrome | Self::Palette => 1,
            Self::Rgb | Self::YbrFull | Self::YbrFull422 | Self::YbrJpeg2000 => 3,
        }
    }
}

/// What Modality (0008,0060) and Body Part Examined (0018,0015) say about the content.
pub(super) fn content_hint(data_set: &DataSet<'_>) -> ContentHint {
    let part = data_set.text(tags::BODY_PART_EXAMINED).unwrap_or_default();
    match data_set.text(tags::MODALITY) {
        None => ContentHint::None,
        Some("OP") => ContentHint::Fundus,
        Some("CR" | "DX" | "RG") if matches!(part, "CHEST" | "THORAX" | "LUNG" | "HEART") => {
            ContentHint::Chest
        }
        Some("MR" | "CT") if matches!(part, "BRAIN" | "HEAD" | "SKULL") => ContentHint::Brain,
        Some(code) => ModalityCode::new(code).map_or(ContentHint::Other, ContentHint::Modality),
    }
}
