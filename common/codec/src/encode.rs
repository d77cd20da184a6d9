//! Stored values to coded tiles: normalise, encoder net, quantise, entropy-code.

use std::time::{Duration, Instant};

use latentwire_imaging::{Format, PixelTensor};

use crate::bitstream::LatentHeader;
use crate::error::CodecError;
use crate::models::LoadedModel;
use crate::normalise::{ValueRange, fill};
use crate::tiles::TILE_SIDE;

/// The tiles of all frames, with the header that describes them.
#[derive(Debug)]
pub(crate) struct EncodedPixels {
    pub(crate) header: LatentHeader,
    pub(crate) tiles: Vec<Vec<u8>>,
    /// Normalisation and the encoder net.
    pub(crate) encode_time: Duration,
    /// Quantisation and entropy coding.
    pub(crate) code_time: Duration,
}

/// Encodes every frame with one model.
///
/// `quantiser_step` is in 1/256 of the model's base steps, at least 1.
pub(crate) fn encode_pixels(
    model: &LoadedModel,
    pixels: &PixelTensor,
    format: Format,
    range: ValueRange,
    quantiser_step: u16,
) -> Result<EncodedPixels, CodecError> {
    let wanted = || CodecError::NoFittingModel { wanted: model.info.id.clone() };
    let encoder = model.encoder.as_ref().ok_or_else(wanted)?;
    let header = LatentHeader {
        format,
        decoder_digest: model.info.digest,
        width: pixels.width,
        height: pixels.height,
        frames: pixels.frames,
        channels: pixels.channels,
        bits: pixels.bits,
        signed: pixels.signed,
        low: range.low,
        high: range.high,
        quantiser_step,
        latent_channels: model.spec.latent.channels,
        latent_stride: u8::try_from(model.spec.latent.stride).map_err(|_| wanted())?,
        tile_side: TILE_SIDE,
        sop_instance_uid: None,
    };
    let grid = header.tile_grid();
    let channels = header.latent_channels;
    let steps = model.steps(quantiser_step);
    let (mut encode_time, mut code_time) = (Duration::ZERO, Duration::ZERO);
    let mut tiles = Vec::new();
    for frame in 0..pixels.frames {
        let start = Instant::now();
        let latent = encoder.encode(pixels.width, pixels.height, &mut |window, out| {
            fill(pixels, frame, range, window, out);
        })?;
        if (latent.channels, latent.width, latent.height) != (channels, grid.width, grid.height) {
            return Err(CodecError::ModelContradiction {
                id: model.info.id.clone(),
                what: "the encoder's latent has another shape",
            });
        }
        let encoded = Instant::now();
        for tile in grid.tiles() {
            let values = grid.cut(&latent.values, channels, tile);
            let quantised = latentwire_latent::quantise(&values, channels, tile.height, tile.width, &steps)?;
            tiles.push(latentwire_latent::encode(&model.tables, &quantised)?);
        }
        encode_time += encoded - start;
        code_time += encoded.elapsed();
    }
    Ok(EncodedPixels { header, tiles, encode_time, code_time })
}
