//! Stored values to coded tiles: normalise, encoder net, quantise, entropy-code.

use std::time::{Duration, Instant};

use latentwire_inference::LatentTensor;

use crate::bitstream::LatentHeader;
use crate::choice::Subject;
use crate::error::CodecError;
use crate::models::LoadedModel;
use crate::normalise::fill;
use crate::policy::{Coding, LatentCoding};
use crate::rows::write_rows;
use crate::tiles::{TILE_SIDE, whole_tile};

/// The tiles (or raw rows) of all frames, with the header that describes them.
#[derive(Debug)]
pub(crate) struct EncodedPixels {
    pub(crate) header: LatentHeader,
    pub(crate) tiles: Vec<Vec<u8>>,
    /// Normalisation and the encoder net.
    pub(crate) encode_time: Duration,
    /// Quantisation and entropy coding.
    pub(crate) code_time: Duration,
}

/// The header of a picture that one model encodes, but for the SOP Instance UID.
pub(crate) fn latent_header(
    model: &LoadedModel,
    subject: &Subject<'_>,
    coding: Coding,
) -> Result<LatentHeader, CodecError> {
    let Subject { pixels, range, .. } = *subject;
    let beyond = |_| CodecError::ModelContradiction {
        id: model.info.id.clone(),
        what: "its tiles or its stride are larger than the coded image can say",
    };
    let whole = whole_tile(&model.spec);
    Ok(LatentHeader {
        format: subject.format,
        decoder_digest: model.info.digest,
        width: pixels.width,
        height: pixels.height,
        frames: pixels.frames,
        channels: pixels.channels,
        bits: pixels.bits,
        signed: pixels.signed,
        low: range.low,
        high: range.high,
        coding: coding.latent,
        whole_tiles: whole.is_some(),
        quantiser_step: coding.quantiser_step,
        latent_channels: model.spec.latent.channels,
        latent_stride: u8::try_from(model.spec.latent.stride).map_err(beyond)?,
        tile_side: whole.map_or(Ok(TILE_SIDE), u16::try_from).map_err(beyond)?,
        sop_instance_uid: None,
    })
}

/// Encodes every frame with one model, as the header says.
pub(crate) fn encode_pixels(
    model: &LoadedModel,
    subject: &Subject<'_>,
    header: LatentHeader,
) -> Result<EncodedPixels, CodecError> {
    let Subject { pixels, range, .. } = *subject;
    let encoder = model.encoder.as_ref();
    let encoder = encoder.ok_or_else(|| CodecError::NoFittingModel { wanted: model.info.id.clone() })?;
    let grid = header.tile_grid();
    let shape = (header.latent_channels, grid.width, grid.height);
    let (mut encode_time, mut code_time) = (Duration::ZERO, Duration::ZERO);
    let mut tiles = Vec::new();
    for frame in 0..pixels.frames {
        let start = Instant::now();
        let latent = encoder.encode(pixels.width, pixels.height, &mut |window, out| {
            fill(pixels, frame, range, window, out);
        })?;
        if (latent.channels, latent.width, latent.height) != shape {
            return Err(CodecError::ModelContradiction {
                id: model.info.id.clone(),
                what: "the encoder's latent has another shape",
            });
        }
        let encoded = Instant::now();
        match header.coding {
            LatentCoding::Entropy => code_tiles(model, &header, &latent, &mut tiles)?,
            LatentCoding::RawRows => tiles.push(write_rows(&latent)),
        }
        encode_time += encoded - start;
        code_time += encoded.elapsed();
    }
    Ok(EncodedPixels { header, tiles, encode_time, code_time })
}

/// Quantises and entropy-codes a frame's tiles.
fn code_tiles(
    model: &LoadedModel,
    header: &LatentHeader,
    latent: &LatentTensor,
    tiles: &mut Vec<Vec<u8>>,
) -> Result<(), CodecError> {
    let (grid, channels) = (header.tile_grid(), header.latent_channels);
    let steps = model.steps(header.quantiser_step);
    for tile in grid.tiles() {
        let values = grid.cut(&latent.values, channels, tile);
        let quantised = latentwire_latent::quantise(&values, channels, tile.height, tile.width, &steps)?;
        tiles.push(latentwire_latent::encode(&model.tables, &quantised)?);
    }
    Ok(())
}
