//! Coded tiles to stored values: entropy-decode, dequantise, decoder net, store. Sender and
//! receiver share this path.

use latentwire_imaging::{Limits, PixelTensor};
use latentwire_inference::{InferenceError, LatentTensor};

use crate::bitstream::{LatentHeader, LatentImage};
use crate::error::CodecError;
use crate::models::{LoadedModel, Models};
use crate::normalise::{EmitError, FrameShape, ValueRange, emit};
use crate::policy::LatentCoding;
use crate::quantiser::TileCoder;
use crate::rows::read_rows;
use crate::tiles::whole_tile;

/// Refuses a header whose picture, or the whole tiles that it is cut from, are over the limits.
pub(crate) fn check_size(header: &LatentHeader, limits: &Limits) -> Result<(), CodecError> {
    if header.width.max(header.height) > limits.max_side {
        return Err(CodecError::TooLarge { what: "a side" });
    }
    let frames = u128::from(header.frames);
    let pixels = u128::from(header.width) * u128::from(header.height) * frames;
    if pixels > u128::from(limits.max_pixels) {
        return Err(CodecError::TooLarge { what: "the number of pixels" });
    }
    let grid = header.tile_grid();
    let stride = u128::from(header.latent_stride);
    let decoded = u128::from(grid.width) * u128::from(grid.height) * stride * stride * frames;
    if header.whole_tiles && decoded > u128::from(limits.max_pixels) {
        return Err(CodecError::TooLarge { what: "the number of pixels, its tiles filled up," });
    }
    Ok(())
}

/// The model of a coded image, once its header is known to be within the limits and to fit it.
///
/// Nothing is allocated before this has passed.
pub(crate) fn model_of<'a>(
    models: &'a Models,
    header: &LatentHeader,
    limits: &Limits,
) -> Result<&'a LoadedModel, CodecError> {
    check_size(header, limits)?;
    let missing = CodecError::ModelMissing { digest: header.decoder_digest };
    let Some(model) = models.by_digest(header.decoder_digest) else { return Err(missing) };
    if model.decoder.is_none() {
        return Err(missing);
    }
    let contradiction = |what| CodecError::ModelContradiction { id: model.info.id.clone(), what };
    let latent = &model.spec.latent;
    if header.latent_channels != latent.channels || u32::from(header.latent_stride) != latent.stride {
        return Err(contradiction("the latent's channels or stride differ"));
    }
    let whole = whole_tile(&model.spec);
    if header.whole_tiles != whole.is_some() || whole.is_some_and(|tile| tile != header.tile_side.into()) {
        return Err(contradiction("one of them takes whole tiles, of a size that the other does not have"));
    }
    if header.coding == LatentCoding::RawRows && model.has_levels() {
        return Err(contradiction("the model's latents have levels, which rows of raw values do not"));
    }
    // Refuses a step that the model does not have.
    TileCoder::new(model, header.quantiser_step)?;
    if !model.takes(header.channels) {
        return Err(contradiction("the model makes no colour pictures"));
    }
    Ok(model)
}

/// Decodes every frame.
pub(crate) fn decode_pixels(model: &LoadedModel, image: &LatentImage<'_>) -> Result<PixelTensor, CodecError> {
    let header = &image.header;
    let decoder = model.decoder.as_ref();
    let decoder = decoder.ok_or(CodecError::ModelMissing { digest: header.decoder_digest })?;
    let shape = FrameShape { width: header.width, height: header.height, channels: header.channels };
    let range = ValueRange { low: header.low, high: header.high };
    let output = model.spec.decoder.output;
    let frame_length = header.width as usize * header.height as usize * usize::from(header.channels);
    let tiles_per_frame = match header.coding {
        LatentCoding::Entropy => header.tile_grid().count() as usize,
        LatentCoding::RawRows => 1,
    };
    // Grown a frame at a time: a frame is only paid for once its latent has been read.
    let mut samples = Vec::new();
    for tiles in image.tiles.chunks(tiles_per_frame) {
        let latent = match (header.coding, tiles) {
            (LatentCoding::RawRows, [rows]) => read_rows(header, rows)?,
            (LatentCoding::RawRows | LatentCoding::Entropy, tiles) => decode_latent(model, header, tiles)?,
        };
        let start = samples.len();
        samples.resize(start + frame_length, header.low);
        let frame = &mut samples[start..];
        let mut outcome = Ok(());
        decoder.decode(header.width, header.height, &latent, &mut |window, planes| {
            if outcome.is_ok() {
                outcome = emit(frame, shape, range, output, window, planes);
            }
        })?;
        outcome.map_err(|error| match error {
            EmitError::NotFinite => InferenceError::NotFinite { net: "decoder" }.into(),
            EmitError::Shape => CodecError::ModelContradiction {
                id: model.info.id.clone(),
                what: "the decoder's planes have another shape",
            },
        })?;
    }
    Ok(PixelTensor {
        width: header.width,
        height: header.height,
        channels: header.channels,
        frames: header.frames,
        bits: header.bits,
        signed: header.signed,
        samples,
    })
}

/// Decodes the latent of one frame from its tiles.
fn decode_latent(
    model: &LoadedModel,
    header: &LatentHeader,
    tiles: &[&[u8]],
) -> Result<LatentTensor, CodecError> {
    let grid = header.tile_grid();
    let channels = header.latent_channels;
    let coder = TileCoder::new(model, header.quantiser_step)?;
    let mut values = Vec::new();
    for (tile, bytes) in grid.tiles().zip(tiles) {
        let decoded = coder.decode(bytes, tile)?;
        if values.is_empty() {
            values.resize(usize::from(channels) * grid.height as usize * grid.width as usize, 0.0);
        }
        grid.paste(&decoded, &mut values, channels, tile);
    }
    Ok(LatentTensor { channels, height: grid.height, width: grid.width, values })
}
