//! What PNG, JPEG and TIFF files say about colour, resolution and orientation.

use crate::ImagingError;

/// What a photograph-like file says besides its pixels, in terms that PNG and TIFF share. Text and thumbnails are not kept.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Attributes {
    /// ICC colour profile.
    pub icc: Option<Vec<u8>>,
    /// Pixels a metre, x and y; unit 0: only their ratio is meant.
    pub resolution: Option<Resolution>,
    /// Exif and TIFF orientation, 1 to 8; 1 is upright.
    pub orientation: u8,
    /// PNG gAMA: gamma x 100,000.
    pub gamma: Option<u32>,
    /// PNG cHRM: white, red, green, blue x and y, each x 100,000.
    pub chromaticities: Option<[u32; 8]>,
    /// PNG sRGB rendering intent, 0 to 3.
    pub srgb: Option<u8>,
}

/// Pixels a unit of length.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Resolution {
    /// Along a row, in thousandths of a pixel.
    pub x_milli: u32,
    /// Along a column, in thousandths of a pixel.
    pub y_milli: u32,
    /// Unit of length.
    pub unit: LengthUnit,
}

/// Unit of length of a resolution.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LengthUnit {
    /// None: the two numbers state the shape of a pixel.
    None,
    /// Inch.
    Inch,
    /// Centimetre.
    Centimetre,
    /// Metre.
    Metre,
}

impl Attributes {
    /// Attributes of a file that states none.
    pub fn upright() -> Self {
        Self { orientation: 1, ..Self::default() }
    }

    /// Fields as (number, length u32 LE, bytes), in the order of their numbers; absent ones are left out.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut field = |number: u8, value: &[u8]| {
            bytes.push(number);
            bytes.extend_from_slice(&(value.len() as u32).to_le_bytes());
            bytes.extend_from_slice(value);
        };
        if let Some(icc) = &self.icc {
            field(1, icc);
        }
        if let Some(resolution) = self.resolution {
            let mut value = [0; 9];
            value[0..4].copy_from_slice(&resolution.x_milli.to_le_bytes());
            value[4..8].copy_from_slice(&resolution.y_milli.to_le_bytes());
            value[8] = match resolution.unit {
                LengthUnit::None => 0,
                LengthUnit::Inch => 1,
                LengthUnit::Centimetre => 2,
                LengthUnit::Metre => 3,
            };
            field(2, &value);
        }
        field(3, &[self.orientation]);
        if let Some(gamma) = self.gamma {
            field(4, &gamma.to_le_bytes());
        }
        if let Some(chromaticities) = self.chromaticities {
            field(5, &chromaticities.map(u32::to_le_bytes).concat());
        }
        if let Some(intent) = self.srgb {
            field(6, &[intent]);
        }
        bytes
    }

    /// Reads what [`to_bytes`](Self::to_bytes) wrote.
    pub fn from_bytes(mut bytes: &[u8]) -> Result<Self, ImagingError> {
        let bad = ImagingError::BadContainer { what: "its attributes are not ones" };
        let mut attributes = Self::upright();
        while let Some((head, rest)) = bytes.split_at_checked(5) {
            let length = u32::from_le_bytes([head[1], head[2], head[3], head[4]]) as usize;
            let (value, rest) = rest.split_at_checked(length).ok_or_else(|| bad.clone())?;
            bytes = rest;
            attributes.set_field(head[0], value).ok_or_else(|| bad.clone())?;
        }
        if bytes.is_empty() { Ok(attributes) } else { Err(bad) }
    }

    fn set_field(&mut self, number: u8, value: &[u8]) -> Option<()> {
        let word = |at: usize| Some(u32::from_le_bytes(value.get(at..at + 4)?.try_into().ok()?));
        match (number, value.len()) {
            (1, _) => self.icc = Some(value.to_vec()),
            (2, 9) => {
                let unit = match value[8] {
                    0 => LengthUnit::None,
                    1 => LengthUnit::Inch,
                    2 => LengthUnit::Centimetre,
                    3 => LengthUnit::Metre,
                    _ => return None,
                };
                self.resolution = Some(Resolution { x_milli: word(0)?, y_milli: word(4)?, unit });
            }
            (3, 1) if (1..=8).contains(&value[0]) => self.orientation = value[0],
            (4, 4) => self.gamma = Some(word(0)?),
            (5, 32) => {
                let mut chromaticities = [0; 8];
                for (index, entry) in chromaticities.iter_mut().enumerate() {
                    *entry = word(4 * index)?;
                }
                self.chromaticities = Some(chromaticities);
            }
            (6, 1) if value[0] <= 3 => self.srgb = Some(value[0]),
            _ => return None,
        }
        Some(())
    }
}

impl Resolution {
    /// Whole pixels a metre, as PNG's pHYs wants them; without a unit the two numbers themselves.
    pub fn per_metre(self) -> (u32, u32) {
        let scale = |milli: u32| {
            let factor = match self.unit {
                LengthUnit::None | LengthUnit::Metre => 1.0,
                LengthUnit::Inch => 1.0 / 0.0254,
                LengthUnit::Centimetre => 100.0,
            };
            (f64::from(milli) / 1000.0 * factor).round() as u32
        };
        (scale(self.x_milli), scale(self.y_milli))
    }
}

/// The orientation in an Exif block (a TIFF structure), if it names one.
pub(crate) fn exif_orientation(exif: &[u8]) -> Option<u8> {
    let big_endian = match exif.get(..4)? {
        b"II*\0" => false,
        b"MM\0*" => true,
        _ => return None,
    };
    let short = |at: usize| {
        let pair = exif.get(at..at.checked_add(2)?)?.try_into().ok()?;
        Some(if big_endian { u16::from_be_bytes(pair) } else { u16::from_le_bytes(pair) })
    };
    let long = |at: usize| {
        let quad = exif.get(at..at.checked_add(4)?)?.try_into().ok()?;
        Some(if big_endian { u32::from_be_bytes(quad) } else { u32::from_le_bytes(quad) })
    };
    let directory = long(4)? as usize;
    for entry in 0..usize::from(short(directory)?) {
        let at = directory.checked_add(2 + 12 * entry)?;
        if short(at)? == ORIENTATION_TAG && short(at + 2)? == TYPE_SHORT {
            return short(at + 8)?.try_into().ok().filter(|value| (1..=8).contains(value));
        }
    }
    None
}

/// The smallest Exif block that states an orientation.
pub(crate) fn exif_with_orientation(orientation: u8) -> Vec<u8> {
    let mut exif = b"MM\0*\0\0\0\x08\0\x01".to_vec();
    exif.extend_from_slice(&ORIENTATION_TAG.to_be_bytes());
    exif.extend_from_slice(&TYPE_SHORT.to_be_bytes());
    exif.extend_from_slice(&1u32.to_be_bytes());
    exif.extend_from_slice(&[0, orientation, 0, 0]);
    exif.extend_from_slice(&[0; 4]);
    exif
}

const ORIENTATION_TAG: u16 = 0x0112;
const TYPE_SHORT: u16 = 3;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_field_survives() {
        let attributes = Attributes {
            icc: Some(vec![1, 2, 3]),
            resolution: Some(Resolution { x_milli: 300_000, y_milli: 72_500, unit: LengthUnit::Inch }),
            orientation: 6,
            gamma: Some(45_455),
            chromaticities: Some([31_270, 32_900, 64_000, 33_000, 30_000, 60_000, 15_000, 6_000]),
            srgb: Some(2),
        };
        assert_eq!(Attributes::from_bytes(&attributes.to_bytes()), Ok(attributes));
    }

    #[test]
    fn damaged_fields_are_refused() {
        let bytes = Attributes { srgb: Some(1), ..Attributes::upright() }.to_bytes();
        assert!(Attributes::from_bytes(&bytes[..bytes.len() - 1]).is_err());
        assert!(Attributes::from_bytes(&[9, 0, 0, 0, 0]).is_err());
        assert!(Attributes::from_bytes(&[1, 255, 255, 255, 255]).is_err());
        assert!(Attributes::from_bytes(&[3, 1, 0, 0, 0, 9]).is_err());
    }

    #[test]
    fn orientation_is_found_in_what_we_write() {
        for orientation in 1..=8 {
            assert_eq!(exif_orientation(&exif_with_orientation(orientation)), Some(orientation));
        }
        assert_eq!(exif_orientation(b"II*\0\xff\xff\xff\xff"), None);
        assert_eq!(exif_orientation(b""), None);
    }

    #[test]
    fn resolution_is_given_in_pixels_a_metre() {
        let resolution = Resolution { x_milli: 72_000, y_milli: 254_000, unit: LengthUnit::Inch };
        assert_eq!(resolution.per_metre(), (2835, 10_000));
    }
}
