//! Codes a latent with block levels.
//!
//! A tile begins with the number of coded channels less one; what follows is range-coded as without levels. Channels
//! after the last one that holds a value other than 0 are not coded.

use super::context::{Code, traverse};
use super::quantiser::{LevelQuantiser, MAX_LEVEL, check_channels, check_levels};
use crate::coder::{check_shape, check_values};
use crate::context::{Prediction, Shape};
use crate::error::LatentError;
use crate::quantise::QuantisedLatent;
use crate::range::Fault;
use crate::symbol::{SymbolDecoder, SymbolEncoder, most_symbols};
use crate::tables::Tables;

/// Codes a latent whose channel 0 holds the blocks' levels, under tables with block levels.
///
/// # Errors
/// [`LatentError::ChannelMismatch`], [`LatentError::Level`], [`LatentError::Shape`], [`LatentError::SymbolRange`],
/// [`LatentError::TablesKind`], [`LatentError::TooLarge`].
pub fn encode_levels(
    tables: &Tables,
    latent: &QuantisedLatent,
    quantiser: &LevelQuantiser,
) -> Result<Vec<u8>, LatentError> {
    let shape = Shape { channels: latent.channels, height: latent.height, width: latent.width };
    tables.levels()?;
    check_shape(tables, shape)?;
    check_channels(latent, quantiser)?;
    let plane = check_values(latent)?;
    check_levels(&latent.values[..plane])?;
    let last =
        latent.values.chunks_exact(plane).rposition(|values| values.iter().any(|&q| q != 0)).unwrap_or(0);
    let coded = Shape { channels: last as u8 + 1, ..shape };
    let mut writing = Writing { coder: SymbolEncoder::default(), values: &latent.values };
    traverse(tables, quantiser, coded, &mut writing)?;
    let mut bytes = vec![last as u8];
    bytes.extend(writing.coder.finish());
    Ok(bytes)
}

/// Decodes a latent with block levels, of the quantiser's channels and the given sides.
///
/// Accepts exactly what [`encode_levels`] writes for that shape at that knob and nothing else: a latent that decodes
/// codes to the same bytes again. Time and memory are bounded as with [`crate::decode`].
///
/// # Errors
/// [`LatentError::ChannelMismatch`], [`LatentError::CodedChannels`], [`LatentError::Corrupt`], [`LatentError::Shape`],
/// [`LatentError::TablesKind`], [`LatentError::TooLarge`], [`LatentError::TrailingData`], [`LatentError::Truncated`].
pub fn decode_levels(
    tables: &Tables,
    height: u32,
    width: u32,
    bytes: &[u8],
    quantiser: &LevelQuantiser,
) -> Result<QuantisedLatent, LatentError> {
    let shape = Shape { channels: quantiser.channels(), height, width };
    tables.levels()?;
    let all = check_shape(tables, shape)?;
    let (&last, words) = bytes.split_first().ok_or(LatentError::Truncated)?;
    if last >= shape.channels {
        let problem = "the model has fewer";
        return Err(LatentError::CodedChannels { found: u16::from(last) + 1, problem });
    }
    let coded = Shape { channels: last + 1, ..shape };
    let symbols = check_shape_of(coded);
    let limit = most_symbols(tables, words.len());
    if symbols > limit {
        return Err(LatentError::TooLarge { symbols, limit });
    }
    let mut reading = Reading { coder: SymbolDecoder::new(words)?, values: Vec::new() };
    traverse(tables, quantiser, coded, &mut reading)?;
    reading.coder.finish()?;
    let mut values = reading.values;
    let plane = values.len() / (usize::from(last) + 1);
    if last > 0 && values[values.len() - plane..].iter().all(|&q| q == 0) {
        let problem = "the last of them holds nothing but zeros";
        return Err(LatentError::CodedChannels { found: u16::from(last) + 1, problem });
    }
    values.resize(all as usize, 0);
    Ok(QuantisedLatent { channels: shape.channels, height, width, values })
}

/// Symbols of a shape that [`check_shape`] has found to be none too large.
fn check_shape_of(shape: Shape) -> u64 {
    u64::from(shape.channels) * u64::from(shape.height) * u64::from(shape.width)
}

/// Writes a latent's values, one after another.
struct Writing<'a> {
    coder: SymbolEncoder,
    /// Those that are left.
    values: &'a [i32],
}

impl Code for Writing<'_> {
    #[inline(always)]
    fn code(&mut self, _channel: usize, prediction: Prediction<'_>) -> Result<i32, Fault> {
        let (&value, rest) =
            self.values.split_first().expect("the shape was checked against the number of values");
        self.values = rest;
        self.coder.put(prediction, value);
        Ok(value)
    }

    fn done(&mut self, _row: &[i32]) {}
}

/// Reads a latent's values, one after another.
struct Reading<'a> {
    coder: SymbolDecoder<'a>,
    values: Vec<i32>,
}

impl Code for Reading<'_> {
    #[inline(always)]
    fn code(&mut self, channel: usize, prediction: Prediction<'_>) -> Result<i32, Fault> {
        let value = self.coder.take(prediction)?;
        if channel > 0 || (0..=MAX_LEVEL).contains(&value) { Ok(value) } else { Err(Fault::Corrupt) }
    }

    fn done(&mut self, row: &[i32]) {
        self.values.extend_from_slice(row);
    }
}
