//! Codes a latent with block levels.
//!
//! A tile begins with the number of coded channels less one; what follows is range-coded as without levels. Channels
//! after the last one that holds a value other than 0 are not coded.

use super::context::traverse;
use super::quantiser::{LevelQuantiser, MAX_LEVEL, check_channels, check_levels};
use crate::coder::{check_shape, check_values};
use crate::context::{Position, Prediction, Shape};
use crate::error::LatentError;
use crate::quantise::QuantisedLatent;
use crate::symbol::{SymbolDecoder, SymbolEncoder, corrupt, most_symbols};
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
    let mut coder = SymbolEncoder::default();
    let mut values = latent.values.iter().copied();
    let code = |_, prediction: Prediction<'_>| {
        let value = values.next().expect("the shape was checked against the number of values");
        coder.put(prediction, value);
        Ok(value)
    };
    traverse(tables, quantiser, coded, code, |_| ())?;
    let mut bytes = vec![last as u8];
    bytes.extend(coder.finish());
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
    let mut coder = SymbolDecoder::new(words)?;
    let mut values = Vec::new();
    let code = |position: Position, prediction: Prediction<'_>| {
        let value = coder.take(position, prediction)?;
        let sound = position.channel > 0 || (0..=MAX_LEVEL).contains(&value);
        if sound { Ok(value) } else { Err(corrupt(position)) }
    };
    traverse(tables, quantiser, coded, code, |row| values.extend_from_slice(row))?;
    coder.finish()?;
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
