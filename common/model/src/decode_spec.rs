//! `decode.toml`: everything that decides a reconstruction.

use serde::Deserialize;

use crate::digest::FileDigest;
use crate::error::ModelError;
use crate::manifest::{FileRef, check_file_name, check_name, field, parse_toml};
use crate::purpose::Purpose;

/// What `decode.toml` says: all that decoding needs.
#[derive(Clone, PartialEq, Debug)]
pub struct DecodeSpec {
    /// Version of the bitstream that this model is used in; 1.
    pub bitstream: u32,
    /// The architecture, such as `ae224`.
    pub family: String,
    /// What the model is for; [`Purpose::Product`] where the file does not say.
    pub purpose: Purpose,
    /// The synthesis net.
    pub decoder: DecoderSpec,
    /// The entropy coder's tables.
    pub tables: FileRef,
    /// Shape and quantisation of the latent.
    pub latent: LatentSpec,
    /// Shape of the net's picture side.
    pub pixels: PixelsSpec,
    /// How larger pictures are cut.
    pub tiles: TilesSpec,
}

/// The synthesis net.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DecoderSpec {
    /// Plain file name inside the model folder.
    pub file: String,
    /// SHA-256 of the file's bytes.
    pub sha256: FileDigest,
    /// Number format of the net's output.
    pub output: OutputKind,
    /// Whether the net was shown to give the same bits on the listed configurations, so that a hash of its
    /// reconstruction may be sealed as a certificate.
    pub certified: bool,
}

/// Number format of a decoder's output tensor.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum OutputKind {
    /// `float32`, 0.0 to 1.0 nominally.
    Float32,
    /// `int32` fixed point.
    Int32 {
        /// The value `1 << shift` means 1.0; 0 to 30.
        shift: u8,
    },
}

/// Shape and quantisation of the latent.
#[derive(Clone, PartialEq, Debug)]
pub struct LatentSpec {
    /// Channels, 1 to 16 (the entropy tables' own limit).
    pub channels: u8,
    /// Picture pixels a latent position covers along a side: 1, 2, 4, 8, 16 or 32.
    pub stride: u32,
    /// Base quantiser step of each channel, in latent units; finite, 1e-6 to 1e6.
    pub steps: Vec<f32>,
}

/// Shape of the net's picture side.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PixelsSpec {
    /// The net's input and output planes, 1 or 3; a grey picture is replicated into 3 and averaged out of them.
    pub channels: u8,
}

/// How larger pictures are cut, in picture pixels; multiples of the latent's stride.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TilesSpec {
    /// Side of a tile's core, 32 to 4096.
    pub size: u32,
    /// Margin round an encoder tile: at least the encoder's receptive field; 0 to 1024.
    pub encoder_halo: u32,
    /// Margin round a decoder tile: at least the decoder's receptive field; 0 to 1024.
    pub decoder_halo: u32,
    /// Whether the nets take tiles of exactly this size: pictures are then padded to whole tiles, there is no halo, and
    /// a tile's latent (`size / stride` positions a side, 16 at least) is entropy-coded alone. `false` where the file
    /// does not say.
    #[serde(default)]
    pub whole: bool,
}

const FILE: &str = "decode.toml";
/// Smallest side of an entropy-coding tile in latent positions (docs/BITSTREAM.md, section 3).
const MIN_TILE_POSITIONS: u32 = 16;

impl DecodeSpec {
    /// Reads and validates a `decode.toml`.
    ///
    /// A step is read as a TOML float (`f64`) and rounded once to the nearest `f32`: every reader gets the same bits.
    ///
    /// # Errors
    /// [`ModelError::Toml`] when the text is not the expected TOML (unknown fields included), [`ModelError::Field`]
    /// when a field is out of its range.
    pub fn parse(text: &[u8]) -> Result<Self, ModelError> {
        let raw: Raw = parse_toml(FILE, text)?;
        if raw.bitstream != 1 {
            return Err(field(FILE, "bitstream", format!("must be 1, found {}", raw.bitstream)));
        }
        check_name(FILE, "family", &raw.family)?;
        check_file_name(FILE, "decoder.file", &raw.decoder.file)?;
        check_file_name(FILE, "tables.file", &raw.tables.file)?;
        let output = output_kind(&raw.decoder)?;
        let latent = latent_spec(raw.latent)?;
        if raw.pixels.channels != 1 && raw.pixels.channels != 3 {
            return Err(field(
                FILE,
                "pixels.channels",
                format!("must be 1 or 3, found {}", raw.pixels.channels),
            ));
        }
        check_tiles(&raw.tiles, latent.stride)?;
        Ok(Self {
            bitstream: raw.bitstream,
            family: raw.family,
            purpose: raw.purpose,
            decoder: DecoderSpec {
                file: raw.decoder.file,
                sha256: raw.decoder.sha256,
                output,
                certified: raw.decoder.certified,
            },
            tables: raw.tables,
            latent,
            pixels: raw.pixels,
            tiles: raw.tiles,
        })
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Raw {
    bitstream: u32,
    family: String,
    #[serde(default)]
    purpose: Purpose,
    decoder: RawDecoder,
    tables: FileRef,
    latent: RawLatent,
    pixels: PixelsSpec,
    tiles: TilesSpec,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawDecoder {
    file: String,
    sha256: FileDigest,
    output: RawOutput,
    #[serde(default)]
    output_shift: u8,
    certified: bool,
}

#[derive(Deserialize, Clone, Copy)]
#[serde(rename_all = "lowercase")]
enum RawOutput {
    Float32,
    Int32,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawLatent {
    channels: u8,
    stride: u32,
    steps: Vec<f64>,
}

fn output_kind(decoder: &RawDecoder) -> Result<OutputKind, ModelError> {
    let shift = decoder.output_shift;
    match decoder.output {
        RawOutput::Float32 if shift == 0 && !decoder.certified => Ok(OutputKind::Float32),
        RawOutput::Float32 if shift == 0 => {
            Err(field(FILE, "decoder.certified", "must be false: float32 decoders differ between processors"))
        }
        RawOutput::Float32 => Err(field(FILE, "decoder.output_shift", "belongs to int32 decoders only")),
        RawOutput::Int32 if shift <= 30 => Ok(OutputKind::Int32 { shift }),
        RawOutput::Int32 => {
            Err(field(FILE, "decoder.output_shift", format!("must be 0 to 30, found {shift}")))
        }
    }
}

fn latent_spec(raw: RawLatent) -> Result<LatentSpec, ModelError> {
    if !(1..=16).contains(&raw.channels) {
        return Err(field(FILE, "latent.channels", format!("must be 1 to 16, found {}", raw.channels)));
    }
    if !raw.stride.is_power_of_two() || raw.stride > 32 {
        return Err(field(
            FILE,
            "latent.stride",
            format!("must be 1, 2, 4, 8, 16 or 32, found {}", raw.stride),
        ));
    }
    if raw.steps.len() != usize::from(raw.channels) {
        let problem =
            format!("must hold one step a channel: {} wanted, {} found", raw.channels, raw.steps.len());
        return Err(field(FILE, "latent.steps", problem));
    }
    if let Some(step) = raw.steps.iter().find(|step| !(1e-6..=1e6).contains(*step)) {
        return Err(field(FILE, "latent.steps", format!("must each lie between 1e-6 and 1e6, found {step}")));
    }
    let steps = raw.steps.iter().map(|&step| step as f32).collect();
    Ok(LatentSpec { channels: raw.channels, stride: raw.stride, steps })
}

fn check_tiles(tiles: &TilesSpec, stride: u32) -> Result<(), ModelError> {
    if !(32..=4096).contains(&tiles.size) {
        return Err(field(FILE, "tiles.size", format!("must be 32 to 4096 pixels, found {}", tiles.size)));
    }
    for (name, halo) in
        [("tiles.encoder_halo", tiles.encoder_halo), ("tiles.decoder_halo", tiles.decoder_halo)]
    {
        if halo > 1024 {
            return Err(field(FILE, name, format!("must be at most 1024 pixels, found {halo}")));
        }
    }
    for (name, side) in [
        ("tiles.size", tiles.size),
        ("tiles.encoder_halo", tiles.encoder_halo),
        ("tiles.decoder_halo", tiles.decoder_halo),
    ] {
        if !side.is_multiple_of(stride) {
            return Err(field(
                FILE,
                name,
                format!("must be a multiple of latent.stride ({stride}), found {side}"),
            ));
        }
    }
    if tiles.whole && (tiles.encoder_halo, tiles.decoder_halo) != (0, 0) {
        return Err(field(FILE, "tiles.whole", "leaves no room for a halo: set both halos to 0"));
    }
    if tiles.whole && tiles.size / stride < MIN_TILE_POSITIONS {
        let problem = format!(
            "needs tiles of at least {MIN_TILE_POSITIONS} latent positions a side, found {}",
            tiles.size / stride
        );
        return Err(field(FILE, "tiles.whole", problem));
    }
    Ok(())
}
