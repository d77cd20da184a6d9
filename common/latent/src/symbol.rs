//! Values to symbols, each under its prediction.
//!
//! ```text
//! r = q - mean;   |r| <= radius:  symbol r + radius
//!                 otherwise:      ESCAPE, Exp-Golomb order 0 of |r| - radius - 1, sign (1 = negative)
//! ```
//!
//! Exp-Golomb of `n`: with `k = floor(log2(n + 1))`, `k` zeros, then the `k + 1` bits of `n + 1` from the uppermost;
//! each bit is equiprobable. Words are written little endian.

use crate::context::Prediction;
use crate::error::LatentError;
use crate::probability::{Interval, PRECISION};
use crate::quantise::MAX_SYMBOL;
use crate::range::{Fault, RangeDecoder, RangeEncoder};
use crate::tables::Tables;

/// Longest run of zeros that the Exp-Golomb code of an escaped residual begins with (2 · 32767 needs 15).
const MAX_PREFIX: u32 = 17;

/// The most symbols that `bytes` bytes can hold, the coder's 64 bits of state included.
///
/// -log2(1 - x) > x, so a symbol of probability p/65536 shrinks the coder's range by more than (65536 - p)/65536 bit.
pub(crate) fn most_symbols(tables: &Tables, bytes: usize) -> u64 {
    let bits = (bytes as u64).saturating_mul(8).saturating_add(64);
    let total = 1_u64 << PRECISION;
    bits.saturating_mul(total) / (total - u64::from(tables.largest_probability()))
}

/// Writes values.
#[derive(Default)]
pub(crate) struct SymbolEncoder {
    coder: RangeEncoder,
}

impl SymbolEncoder {
    #[inline(always)]
    pub(crate) fn put(&mut self, prediction: Prediction<'_>, value: i32) {
        let residuals = prediction.residuals;
        let (residual, radius) = (value - prediction.mean, residuals.radius());
        if residual.abs() <= radius {
            self.coder.put(residuals.interval((residual + radius) as u32));
        } else {
            self.coder.put(residuals.interval(2 * radius as u32 + 1));
            self.escape(residual, radius);
        }
    }

    #[cold]
    fn escape(&mut self, residual: i32, radius: i32) {
        let code = (residual.abs() - radius) as u32;
        let prefix = code.ilog2();
        for _ in 0..prefix {
            self.coder.put(Interval::fair_bit(0));
        }
        for bit in (0..=prefix).rev() {
            self.coder.put(Interval::fair_bit(code >> bit & 1));
        }
        self.coder.put(Interval::fair_bit(u32::from(residual < 0)));
    }

    pub(crate) fn finish(self) -> Vec<u8> {
        self.coder.finish()
    }
}

/// Reads values.
pub(crate) struct SymbolDecoder<'a> {
    coder: RangeDecoder<'a>,
}

impl<'a> SymbolDecoder<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Result<Self, LatentError> {
        Ok(Self { coder: RangeDecoder::new(bytes)? })
    }

    #[inline(always)]
    pub(crate) fn take(&mut self, prediction: Prediction<'_>) -> Result<i32, Fault> {
        if self.coder.centre(prediction.residuals)? {
            return Ok(prediction.mean);
        }
        self.off_mean(prediction)
    }

    /// Reads a value that is not the mean.
    #[inline(never)]
    fn off_mean(&mut self, prediction: Prediction<'_>) -> Result<i32, Fault> {
        let radius = prediction.residuals.radius();
        let symbol = self.coder.off_centre(prediction.residuals)? as i32;
        let residual = if symbol <= 2 * radius { symbol - radius } else { self.escape(radius)? };
        let value = prediction.mean + residual;
        if value.abs() <= MAX_SYMBOL { Ok(value) } else { Err(Fault::Corrupt) }
    }

    /// Reads a residual larger than the radius.
    #[cold]
    fn escape(&mut self, radius: i32) -> Result<i32, Fault> {
        let mut prefix = 0;
        while self.coder.fair_bit()? == 0 {
            prefix += 1;
            if prefix > MAX_PREFIX {
                return Err(Fault::Corrupt);
            }
        }
        let mut code = 1;
        for _ in 0..prefix {
            code = code << 1 | self.coder.fair_bit()? as i32;
        }
        let magnitude = code + radius;
        Ok(if self.coder.fair_bit()? == 1 { -magnitude } else { magnitude })
    }

    /// Checks that the bytes end as the encoder would have ended them after the same symbols.
    pub(crate) fn finish(self) -> Result<(), LatentError> {
        self.coder.finish()
    }
}
