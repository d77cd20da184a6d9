//! Bits of a JPEG-LS scan: after a byte 0xFF the next one carries seven bits (T.87 section C.1).

use crate::{ImagingError, dicom::truncated};

pub(super) struct Bits<'a> {
    data: &'a [u8],
    at: usize,
    buffer: u64,
    left: u32,
    after_ff: bool,
}

impl<'a> Bits<'a> {
    pub(super) fn new(data: &'a [u8]) -> Self {
        Self { data, at: 0, buffer: 0, left: 0, after_ff: false }
    }

    /// Bytes read so far, whole.
    pub(super) fn consumed(&self) -> usize {
        // The buffer may have run ahead, but never over a marker, and the caller looks for the next marker.
        self.at
    }

    /// The next `count` bits, at most 32.
    pub(super) fn take(&mut self, count: u32) -> Result<u32, ImagingError> {
        if count == 0 {
            return Ok(0);
        }
        self.fill(count);
        if self.left < count {
            return Err(truncated("the end of a JPEG-LS scan"));
        }
        self.left -= count;
        Ok((self.buffer >> self.left & ((1 << count) - 1)) as u32)
    }

    /// Number of zero bits before the next one bit, which is taken too; at most `limit`.
    pub(super) fn zeros(&mut self, limit: u32) -> Result<u32, ImagingError> {
        let mut zeros = 0;
        while self.take(1)? == 0 {
            zeros += 1;
            if zeros > limit {
                return Err(crate::dicom::malformed("a JPEG-LS code is longer than its limit"));
            }
        }
        Ok(zeros)
    }

    fn fill(&mut self, count: u32) {
        while self.left < count {
            let Some(&byte) = self.data.get(self.at) else { return };
            if self.after_ff {
                if byte >= 0x80 {
                    return; // a marker
                }
                self.buffer = self.buffer << 7 | u64::from(byte);
                self.left += 7;
            } else {
                if byte == 0xff && self.data.get(self.at + 1).is_none_or(|&next| next >= 0x80) {
                    return; // a marker
                }
                self.buffer = self.buffer << 8 | u64::from(byte);
                self.left += 8;
            }
            self.after_ff = byte == 0xff;
            self.at += 1;
        }
    }
}
