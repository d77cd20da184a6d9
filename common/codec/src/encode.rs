//! Stored values to coded tiles: normalise, encoder net, quantise, entropy-code.

use std::time::{Duration, Instant};

use latentwire_inference::LatentTensor;
use latentwire_latent::Knob;

use crate::bitstream::LatentHeader;
use crate::choice::Subject;
use crate::error::CodecError;
use crate::models::LoadedModel;
use crate::normalise::fill;
use crate::policy::{Coding, LatentCoding};
use crate::quantiser::TileCoder;
use crate::rows::write_rows;
use crate::tiles::{LEVELS_TILE_SIDE, TILE_SIDE, whole_tile};

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
    let levels = model.has_levels();
    let tile_side = if levels { LEVELS_TILE_SIDE } else { TILE_SIDE };
    // Blocks with levels have the steps of a knob, and no others.
    let quantiser_step = match levels {
        true => Knob::nearest(coding.quantiser_step).quantiser_step(),
        false => coding.quantiser_step,
    };
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
        quantiser_step,
        latent_channels: model.spec.latent.channels,
        latent_stride: u8::try_from(model.spec.latent.stride).map_err(beyond)?,
        tile_side: whole.map_or(Ok(tile_side), u16::try_from).map_err(beyond)?,
        sop_instance_uid: None,
    })
}

/// The latents of all frames, with what they took.
#[derive(Debug)]
pub(crate) struct Latents {
    frames: Vec<LatentTensor>,
    pub(crate) encode_time: Duration,
}

/// Runs the encoder net on every frame.
pub(crate) fn encode_latents(
    model: &LoadedModel,
    subject: &Subject<'_>,
    header: &LatentHeader,
) -> Result<Latents, CodecError> {
    let start = Instant::now();
    let frames = 0..subject.pixels.frames;
    let frames = frames.map(|frame| encode_frame(model, subject, header, frame)).collect::<Result<_, _>>()?;
    Ok(Latents { frames, encode_time: start.elapsed() })
}

/// Quantises and writes latents as the header says.
pub(crate) fn code_latents(
    model: &LoadedModel,
    latents: &Latents,
    header: LatentHeader,
) -> Result<EncodedPixels, CodecError> {
    let start = Instant::now();
    let mut tiles = Vec::new();
    for latent in &latents.frames {
        code_frame(model, &header, latent, &mut tiles)?;
    }
    Ok(EncodedPixels { header, tiles, encode_time: latents.encode_time, code_time: start.elapsed() })
}

/// Encodes every frame with one model, as the header says; no more than a frame's latent is held at once.
pub(crate) fn encode_pixels(
    model: &LoadedModel,
    subject: &Subject<'_>,
    header: LatentHeader,
) -> Result<EncodedPixels, CodecError> {
    let (mut encode_time, mut code_time) = (Duration::ZERO, Duration::ZERO);
    let mut tiles = Vec::new();
    for frame in 0..subject.pixels.frames {
        let start = Instant::now();
        let latent = encode_frame(model, subject, &header, frame)?;
        let encoded = Instant::now();
        code_frame(model, &header, &latent, &mut tiles)?;
        encode_time += encoded - start;
        code_time += encoded.elapsed();
    }
    Ok(EncodedPixels { header, tiles, encode_time, code_time })
}

fn encode_frame(
    model: &LoadedModel,
    subject: &Subject<'_>,
    header: &LatentHeader,
    frame: u32,
) -> Result<LatentTensor, CodecError> {
    let Subject { pixels, range, .. } = *subject;
    let encoder = model.encoder.as_ref();
    let encoder = encoder.ok_or_else(|| CodecError::NoFittingModel { wanted: model.info.id.clone() })?;
    let latent = encoder.encode(pixels.width, pixels.height, &mut |window, out| {
        fill(pixels, frame, range, window, out);
    })?;
    let grid = header.tile_grid();
    if (latent.channels, latent.width, latent.height) != (header.latent_channels, grid.width, grid.height) {
        return Err(CodecError::ModelContradiction {
            id: model.info.id.clone(),
            what: "the encoder's latent has another shape",
        });
    }
    Ok(latent)
}

/// Writes a frame's latent: its coded tiles, or its rows.
fn code_frame(
    model: &LoadedModel,
    header: &LatentHeader,
    latent: &LatentTensor,
    tiles: &mut Vec<Vec<u8>>,
) -> Result<(), CodecError> {
    if header.coding == LatentCoding::RawRows {
        tiles.push(write_rows(latent));
        return Ok(());
    }
    let (grid, coder) = (header.tile_grid(), TileCoder::new(model, header.quantiser_step)?);
    for tile in grid.tiles() {
        let values = grid.cut(&latent.values, header.latent_channels, tile);
        tiles.push(coder.encode(&values, tile)?);
    }
    Ok(())
}
