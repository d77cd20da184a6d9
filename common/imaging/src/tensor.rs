//! Decoded stored values.

use sha2::{Digest, Sha256};

/// Decoded stored values of a picture: what the file holds, with no window, rescale slope or palette applied.
///
/// **Shape** `[frames, channels, height, width]`: the sample of a pixel is at
/// `((frame * channels + channel) * height + y) * width + x`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PixelTensor {
    /// Width in pixels.
    pub width: u32,
    /// Height in pixels.
    pub height: u32,
    /// Channels a pixel: 1 (grey) or 3 (red, green, blue).
    pub channels: u8,
    /// Frames, at least 1.
    pub frames: u32,
    /// Stored bits a sample, 1 to 16.
    pub bits: u8,
    /// Whether samples are two's complement.
    pub signed: bool,
    /// The samples, each within `bits` and `signed`.
    pub samples: Vec<i32>,
}

impl PixelTensor {
    /// One channel of one frame, row by row; empty where frame or channel do not exist.
    pub fn plane(&self, frame: u32, channel: u8) -> &[i32] {
        let area = self.area();
        let index = frame as usize * usize::from(self.channels) + usize::from(channel);
        self.samples.get(index * area..(index + 1) * area).unwrap_or_default()
    }

    /// All channels of one frame, one after another; empty where the frame does not exist.
    pub fn frame(&self, frame: u32) -> &[i32] {
        let size = self.area() * usize::from(self.channels);
        self.samples.get(frame as usize * size..(frame as usize + 1) * size).unwrap_or_default()
    }

    /// Smallest and largest sample of the whole object; `(0, 0)` without samples.
    pub fn value_range(&self) -> (i32, i32) {
        let mut samples = self.samples.iter().copied();
        let Some(first) = samples.next() else { return (0, 0) };
        samples.fold((first, first), |(low, high), sample| (low.min(sample), high.max(sample)))
    }

    /// Range that SSIM, PSNR and MSE refer to: 255 for 8-bit pictures, else the object's own maximum - minimum.
    pub fn data_range(&self) -> i64 {
        if self.bits == 8 {
            return 255;
        }
        let (low, high) = self.value_range();
        i64::from(high) - i64::from(low)
    }

    /// Size of the pixels as raw data in bytes: samples x ceil(bits / 8).
    pub fn raw_bytes(&self) -> u64 {
        self.samples.len() as u64 * u64::from(self.bits.div_ceil(8))
    }

    /// SHA-256 over shape and samples.
    ///
    /// Hashed are, little endian: `width` u32, `height` u32, `channels` u8, `frames` u32, `bits` u8, `signed` u8 (0 or
    /// 1), then every sample as i32 in the order of `samples`.
    pub fn sha256(&self) -> [u8; 32] {
        let mut hash = Sha256::new();
        hash.update(self.width.to_le_bytes());
        hash.update(self.height.to_le_bytes());
        hash.update([self.channels]);
        hash.update(self.frames.to_le_bytes());
        hash.update([self.bits, u8::from(self.signed)]);
        let mut buffer = Vec::with_capacity(4 * SAMPLES_PER_UPDATE);
        for samples in self.samples.chunks(SAMPLES_PER_UPDATE) {
            buffer.clear();
            buffer.extend(samples.iter().flat_map(|sample| sample.to_le_bytes()));
            hash.update(&buffer);
        }
        hash.finalize().into()
    }

    /// Smallest and largest value that `bits` and `signed` can hold.
    pub fn storable_range(&self) -> (i32, i32) {
        let bits = u32::from(self.bits.clamp(1, 16));
        if self.signed { (-(1 << (bits - 1)), (1 << (bits - 1)) - 1) } else { (0, (1 << bits) - 1) }
    }

    /// Whether channels and bits are allowed and there are as many samples as the sides say.
    pub(crate) fn has_its_samples(&self) -> bool {
        let expected = [self.width, self.height, self.frames, self.channels.into()]
            .into_iter()
            .try_fold(1u64, |product, factor| product.checked_mul(factor.into()));
        matches!(self.channels, 1 | 3)
            && (1..=16).contains(&self.bits)
            && expected.is_some_and(|expected| expected != 0 && expected == self.samples.len() as u64)
    }

    /// Whether every sample can be stored.
    pub(crate) fn fits_its_bits(&self) -> bool {
        let (low, high) = self.storable_range();
        self.samples.iter().all(|sample| (low..=high).contains(sample))
    }

    pub(crate) fn area(&self) -> usize {
        self.width as usize * self.height as usize
    }
}

const SAMPLES_PER_UPDATE: usize = 4096;
