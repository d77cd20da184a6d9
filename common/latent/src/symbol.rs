//! Values to bytes: a range coder (`constriction`'s queue, 32-bit words, 64-bit state) driven by predictions.
//!
//! ```text
//! r = q - mean;   |r| <= radius:  symbol r + radius
//!                 otherwise:      ESCAPE, Exp-Golomb order 0 of |r| - radius - 1, sign (1 = negative)
//! ```
//!
//! Exp-Golomb of `n`: with `k = floor(log2(n + 1))`, `k` zeros, then the `k + 1` bits of `n + 1` from the uppermost;
//! each bit is equiprobable. Words are written little endian.

use std::convert::Infallible;

use constriction::backends::ReadWords;
use constriction::stream::queue::{DefaultRangeEncoder, RangeCoderState, RangeDecoder};
use constriction::stream::{Decode, Encode};
use constriction::{CoderError, Queue};

use crate::context::{Position, Prediction};
use crate::error::LatentError;
use crate::probability::{FairBit, PRECISION};
use crate::quantise::MAX_SYMBOL;
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

/// Writes values, each under its prediction.
#[derive(Default)]
pub(crate) struct SymbolEncoder {
    coder: DefaultRangeEncoder,
}

impl SymbolEncoder {
    #[inline]
    pub(crate) fn put(&mut self, prediction: Prediction<'_>, value: i32) {
        encode_value(&mut self.coder, prediction, value);
    }

    pub(crate) fn finish(self) -> Vec<u8> {
        let words: Vec<u32> = infallible(self.coder.into_compressed());
        words.into_iter().flat_map(u32::to_le_bytes).collect()
    }
}

/// Reads values, each under its prediction.
pub(crate) struct SymbolDecoder<'a> {
    coder: Decoder<'a>,
}

impl<'a> SymbolDecoder<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Result<Self, LatentError> {
        // The encoder closes even a single symbol with a word.
        if bytes.is_empty() || !bytes.len().is_multiple_of(4) {
            return Err(LatentError::Truncated);
        }
        let words = Words { bytes: bytes.as_chunks().0, beyond: 0 };
        let coder = RangeDecoder::with_backend(words).map_err(|_| LatentError::Truncated)?;
        Ok(Self { coder })
    }

    #[inline]
    pub(crate) fn take(
        &mut self,
        position: Position,
        prediction: Prediction<'_>,
    ) -> Result<i32, LatentError> {
        decode_value(&mut self.coder, position, prediction)
    }

    /// Checks that the bytes end as the encoder would have ended them after the same symbols.
    pub(crate) fn finish(self) -> Result<(), LatentError> {
        let (words, state, point) = self.coder.into_raw_parts();
        check_end(&words, state, point)
    }
}

fn encode_value(coder: &mut DefaultRangeEncoder, prediction: Prediction<'_>, value: i32) {
    let residuals = prediction.residuals;
    let (residual, radius) = (value - prediction.mean, residuals.radius());
    let symbol = if residual.abs() <= radius { residual + radius } else { 2 * radius + 1 };
    put(coder, symbol as u32, residuals);
    if residual.abs() > radius {
        let code = (residual.abs() - radius) as u32;
        let prefix = code.ilog2();
        for _ in 0..prefix {
            put(coder, 0, FairBit);
        }
        for bit in (0..=prefix).rev() {
            put(coder, code >> bit & 1, FairBit);
        }
        put(coder, u32::from(residual < 0), FairBit);
    }
}

fn put<M>(coder: &mut DefaultRangeEncoder, symbol: u32, model: M)
where
    M: constriction::stream::model::EncoderModel<PRECISION, Symbol = u32, Probability = u32>,
{
    coder.encode_symbol(symbol, model).expect("every symbol has a probability, and memory takes every word");
}

type Decoder<'a> = RangeDecoder<u32, u64, Words<'a>>;

fn decode_value(
    coder: &mut Decoder<'_>,
    position: Position,
    prediction: Prediction<'_>,
) -> Result<i32, LatentError> {
    let residuals = prediction.residuals;
    let radius = residuals.radius();
    let symbol = get(coder, position, residuals)? as i32;
    if symbol <= 2 * radius {
        let value = prediction.mean + symbol - radius;
        return if value.abs() <= MAX_SYMBOL { Ok(value) } else { Err(corrupt(position)) };
    }
    decode_escape(coder, position, prediction.mean, radius)
}

#[cold]
fn decode_escape(
    coder: &mut Decoder<'_>,
    position: Position,
    mean: i32,
    radius: i32,
) -> Result<i32, LatentError> {
    let mut prefix = 0;
    while get(coder, position, FairBit)? == 0 {
        prefix += 1;
        if prefix > MAX_PREFIX {
            return Err(corrupt(position));
        }
    }
    let mut code = 1;
    for _ in 0..prefix {
        code = code << 1 | get(coder, position, FairBit)? as i32;
    }
    let magnitude = code + radius;
    let residual = if get(coder, position, FairBit)? == 1 { -magnitude } else { magnitude };
    let value = mean + residual;
    if value.abs() <= MAX_SYMBOL { Ok(value) } else { Err(corrupt(position)) }
}

#[inline]
fn get<M>(coder: &mut Decoder<'_>, position: Position, model: M) -> Result<u32, LatentError>
where
    M: constriction::stream::model::DecoderModel<PRECISION, Symbol = u32, Probability = u32>,
{
    coder.decode_symbol(model).map_err(|error| match error {
        CoderError::Frontend(_) => corrupt(position),
        CoderError::Backend(BeyondEnd) => LatentError::Truncated,
    })
}

pub(crate) fn corrupt(position: Position) -> LatentError {
    LatentError::Corrupt { channel: position.channel, row: position.y, column: position.x }
}

/// The encoder closes with the upper word of `lower + (2^32 - 1)`, and a word of zeros if that alone does not name the
/// range whatever follows. The decoder is two words ahead, so it must have found exactly those words, and no more.
fn check_end(words: &Words<'_>, state: RangeCoderState<u32, u64>, point: u64) -> Result<(), LatentError> {
    if !words.bytes.is_empty() {
        return Err(LatentError::TrailingData);
    }
    let upper = |value: u64| value >> 32;
    let closing = upper(state.lower().wrapping_add(u64::from(u32::MAX)));
    let zeros_follow = upper(state.lower().wrapping_add(state.range().get())) == closing;
    match (zeros_follow, words.beyond) {
        (true, 0) | (false, 1) if point == closing << 32 => Ok(()),
        (true, 1) => Err(LatentError::Truncated),
        _ => Err(LatentError::TrailingData),
    }
}

/// The coded words. The decoder reads two words ahead, and the encoder closes with one or two, so a sound stream is
/// read at most one word beyond its end.
#[derive(Debug)]
struct Words<'a> {
    bytes: &'a [[u8; 4]],
    beyond: u32,
}

/// The decoder asked for more words than any sound stream has.
#[derive(Debug)]
struct BeyondEnd;

impl ReadWords<u32, Queue> for Words<'_> {
    type ReadError = BeyondEnd;

    #[inline]
    fn read(&mut self) -> Result<Option<u32>, BeyondEnd> {
        if let Some((word, rest)) = self.bytes.split_first() {
            self.bytes = rest;
            return Ok(Some(u32::from_le_bytes(*word)));
        }
        self.beyond += 1;
        if self.beyond > 1 { Err(BeyondEnd) } else { Ok(None) }
    }
}

fn infallible<T>(result: Result<T, Infallible>) -> T {
    match result {
        Ok(value) => value,
    }
}
