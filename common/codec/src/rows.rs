//! A frame's latent as raw rows (docs/BITSTREAM.md, section 3): what paper A seals, with nothing taken away.

use latentwire_inference::LatentTensor;

use crate::bitstream::LatentHeader;
use crate::error::CodecError;

/// Writes a frame's latent row by row: in a row position by position, in a position channel by channel, each `f32` little
/// endian.
pub(crate) fn write_rows(latent: &LatentTensor) -> Vec<u8> {
    let channels = usize::from(latent.channels);
    let area = latent.values.len() / channels.max(1);
    let mut rows = Vec::with_capacity(latent.values.len() * 4);
    for position in 0..area {
        for channel in 0..channels {
            rows.extend_from_slice(&latent.values[channel * area + position].to_le_bytes());
        }
    }
    rows
}

/// Reads what [`write_rows`] wrote for a frame of such a header.
///
/// # Errors
/// [`CodecError::Bitstream`] if a value is NaN or infinite.
pub(crate) fn read_rows(header: &LatentHeader, rows: &[u8]) -> Result<LatentTensor, CodecError> {
    let grid = header.tile_grid();
    let channels = usize::from(header.latent_channels);
    let mut values = vec![0.0; rows.len() / 4];
    let area = values.len() / channels;
    for (position, bytes) in rows.chunks_exact(channels * 4).enumerate() {
        for (channel, bytes) in bytes.as_chunks::<4>().0.iter().enumerate() {
            let value = f32::from_le_bytes(*bytes);
            if !value.is_finite() {
                return Err(CodecError::Bitstream { what: "a raw value is not a finite number" });
            }
            values[channel * area + position] = value;
        }
    }
    Ok(LatentTensor { channels: header.latent_channels, height: grid.height, width: grid.width, values })
}
