//! Codes a latent of uniform quantisation: every value of every channel, one after another.

use crate::context::{Shape, traverse};
use crate::error::LatentError;
use crate::quantise::{MAX_SYMBOL, QuantisedLatent, plane_length};
use crate::symbol::{SymbolDecoder, SymbolEncoder, most_symbols};
use crate::tables::Tables;

/// Largest number of symbols of a latent.
pub(crate) const MAX_SYMBOLS: u64 = 1 << 28;

/// Codes a quantised latent, under tables without block levels.
///
/// # Errors
/// [`LatentError::ChannelMismatch`], [`LatentError::Shape`], [`LatentError::SymbolRange`],
/// [`LatentError::TablesKind`], [`LatentError::TooLarge`].
pub fn encode(tables: &Tables, latent: &QuantisedLatent) -> Result<Vec<u8>, LatentError> {
    let shape = Shape { channels: latent.channels, height: latent.height, width: latent.width };
    tables.uniform()?;
    check_shape(tables, shape)?;
    check_values(latent)?;
    let mut coder = SymbolEncoder::default();
    let mut values = latent.values.iter().copied();
    traverse(tables, shape, |_, prediction| {
        let value = values.next().expect("the shape was checked against the number of values");
        coder.put(prediction, value);
        Ok(value)
    })?;
    Ok(coder.finish())
}

/// Decodes a quantised latent of the given shape, under tables without block levels.
///
/// Accepts exactly what [`encode`] writes for that shape and nothing else: a latent that decodes codes to the same
/// bytes again. Time and memory are bounded by the length of `bytes`: a shape that asks for more symbols than so few
/// bytes can hold under these tables is refused at once (a symbol of probability p/65536 takes at least
/// (65536 - p)/65536 bit, and no symbol has p = 65536), and decoding stops where the bytes end.
///
/// # Errors
/// [`LatentError::ChannelMismatch`], [`LatentError::Corrupt`], [`LatentError::Shape`], [`LatentError::TablesKind`],
/// [`LatentError::TooLarge`], [`LatentError::TrailingData`], [`LatentError::Truncated`].
pub fn decode(
    tables: &Tables,
    channels: u8,
    height: u32,
    width: u32,
    bytes: &[u8],
) -> Result<QuantisedLatent, LatentError> {
    let shape = Shape { channels, height, width };
    tables.uniform()?;
    let symbols = check_shape(tables, shape)?;
    let limit = most_symbols(tables, bytes.len());
    if symbols > limit {
        return Err(LatentError::TooLarge { symbols, limit });
    }
    let mut coder = SymbolDecoder::new(bytes)?;
    let mut values = Vec::new();
    traverse(tables, shape, |position, prediction| {
        let value = coder.take(prediction).map_err(|fault| fault.at(position))?;
        values.push(value);
        Ok(value)
    })?;
    coder.finish()?;
    Ok(QuantisedLatent { channels, height, width, values })
}

/// Number of a latent's symbols, if it fits the tables and can be coded at all.
pub(crate) fn check_shape(tables: &Tables, shape: Shape) -> Result<u64, LatentError> {
    if tables.channels() != shape.channels {
        return Err(LatentError::ChannelMismatch { tables: tables.channels(), latent: shape.channels });
    }
    if shape.height == 0 || shape.width == 0 {
        return Err(LatentError::Shape { problem: "a side is zero".to_owned() });
    }
    let symbols =
        (u64::from(shape.height) * u64::from(shape.width)).saturating_mul(u64::from(shape.channels));
    if symbols > MAX_SYMBOLS {
        return Err(LatentError::TooLarge { symbols, limit: MAX_SYMBOLS });
    }
    Ok(symbols)
}

/// Values in a plane, if the latent's values are as many as its shape says and all within range.
pub(crate) fn check_values(latent: &QuantisedLatent) -> Result<usize, LatentError> {
    let plane = plane_length(latent.values.len(), latent.channels, latent.height, latent.width)?;
    match latent.values.iter().position(|q| !(-MAX_SYMBOL..=MAX_SYMBOL).contains(q)) {
        Some(index) => Err(LatentError::SymbolRange { value: latent.values[index], index }),
        None => Ok(plane),
    }
}
