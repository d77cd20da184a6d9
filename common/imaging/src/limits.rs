//! What a file may claim before it is refused.

use crate::{Format, ImagingError};

/// What a file may claim before it is refused; checked before memory is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Largest file in bytes, and largest data set of a deflated DICOM file. Default 1 GiB.
    pub max_file_bytes: u64,
    /// Most pixels of an object: width x height x frames. Default 2^28.
    pub max_pixels: u64,
    /// Longest side in pixels. Default 65,535.
    pub max_side: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self { max_file_bytes: 1 << 30, max_pixels: 1 << 28, max_side: 65_535 }
    }
}

impl Limits {
    /// Checks what a header states.
    pub(crate) fn check(
        &self,
        format: Format,
        width: u32,
        height: u32,
        frames: u32,
    ) -> Result<(), ImagingError> {
        if width == 0 || height == 0 || frames == 0 {
            return Err(ImagingError::ZeroSize { format });
        }
        let side = width.max(height);
        if side > self.max_side {
            return Err(ImagingError::TooLarge {
                what: "the picture's longest side in pixels",
                found: side.into(),
                limit: self.max_side.into(),
            });
        }
        let pixels = u128::from(width) * u128::from(height) * u128::from(frames);
        if pixels > u128::from(self.max_pixels) {
            return Err(ImagingError::TooLarge {
                what: "the number of pixels (width x height x frames)",
                found: u64::try_from(pixels).unwrap_or(u64::MAX),
                limit: self.max_pixels,
            });
        }
        Ok(())
    }
}
