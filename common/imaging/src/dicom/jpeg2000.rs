//! JPEG 2000 (ITU-T T.800) code streams, checked before `openjp2` sees them.

use std::panic::{AssertUnwindSafe, catch_unwind};

use jpeg2k::{DecodeParameters, Image};

use super::{malformed, truncated};
use crate::ImagingError;

/// A decoded picture.
pub(super) struct Decoded {
    /// Planes, one after another, with the sign that the stream gives them.
    pub samples: Vec<i32>,
    pub precision: u8,
    pub signed: bool,
}

/// What a code stream's SIZ segment says (A.5.1).
pub(super) struct Size {
    pub width: u32,
    pub height: u32,
    pub components: u16,
    precision: u8,
    signed: bool,
    tiles: u64,
}

/// Most tiles of a stream: the decoder keeps tables for each from the start.
const MAX_TILES: u64 = 4096;

/// Reads the size of a stream without decoding it.
pub(super) fn size(bytes: &[u8]) -> Result<Size, ImagingError> {
    // Bare in DICOM, as it should be, or wrapped in JP2 boxes.
    let start = bytes.windows(4).take(4096).position(|four| four == [0xff, 0x4f, 0xff, 0x51]);
    let siz = &bytes[start.ok_or(malformed("a JPEG 2000 frame has no code stream"))? + 4..];
    let missing = || truncated("the end of a JPEG 2000 header");
    let long = |index: usize| {
        let at = 4 + 4 * index;
        let quad = siz.get(at..at + 4).and_then(|quad| quad.try_into().ok());
        quad.map(u32::from_be_bytes).ok_or_else(missing)
    };
    let (x1, y1, x0, y0) = (long(0)?, long(1)?, long(2)?, long(3)?);
    let (tile_width, tile_height, tile_x, tile_y) = (long(4)?, long(5)?, long(6)?, long(7)?);
    let &[c1, c0, ref parts @ ..] = siz.get(36..).unwrap_or_default() else { return Err(missing()) };
    let components = u16::from_be_bytes([c1, c0]);
    let parts = parts.get(..3 * usize::from(components)).ok_or_else(missing)?;
    let bad = malformed("a JPEG 2000 header breaks the rules");
    if x0 >= x1 || y0 >= y1 || tile_width == 0 || tile_height == 0 || tile_x > x0 || tile_y > y0 {
        return Err(bad);
    }
    let first = *parts.first().ok_or(bad)?;
    if parts.chunks_exact(3).any(|part| part != [first, 1, 1]) {
        return Err(ImagingError::Unsupported {
            what: "JPEG 2000 with components of different size or depth",
        });
    }
    let across = u64::from(x1 - tile_x).div_ceil(u64::from(tile_width));
    let down = u64::from(y1 - tile_y).div_ceil(u64::from(tile_height));
    Ok(Size {
        width: x1 - x0,
        height: y1 - y0,
        components,
        precision: (first & 0x7f) + 1,
        signed: first & 0x80 != 0,
        tiles: across * down,
    })
}

/// Decodes a stream whose size the caller has checked.
pub(super) fn decode(bytes: &[u8], size: &Size) -> Result<Decoded, ImagingError> {
    if size.precision > 16 {
        return Err(ImagingError::Unsupported { what: "JPEG 2000 of more than 16 bits" });
    }
    if size.tiles > MAX_TILES {
        return Err(ImagingError::Unsupported { what: "JPEG 2000 of more than 4096 tiles" });
    }
    // The decoder is translated C on hostile bytes: a panic in it must cost this picture and nothing else.
    let samples = catch_unwind(AssertUnwindSafe(|| {
        let parameters = DecodeParameters::new().strict(true).ignore_pclr_cmap_cdef();
        let image = Image::from_bytes_with(bytes, parameters).ok()?;
        let sound = image.components().iter().all(|component| {
            component.width() == size.width
                && component.height() == size.height
                && component.precision() == u32::from(size.precision)
                && component.is_signed() == size.signed
        });
        if !sound || image.num_components() != u32::from(size.components) {
            return None;
        }
        Some(image.components().iter().flat_map(|component| component.data()).copied().collect())
    }));
    let samples = samples.ok().flatten();
    let samples = samples.ok_or(malformed("a JPEG 2000 frame cannot be decoded, or is cut short"))?;
    Ok(Decoded { samples, precision: size.precision, signed: size.signed })
}
