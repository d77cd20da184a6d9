//! `decode.toml`: everything that decides a reconstruction.

use serde::Deserialize;

use crate::digest::FileDigest;
use crate::error::ModelError;
use crate::latent_spec::{LatentSpec, RawLatent};
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
    /// What the net gives for a fixed latent wherever it is certified.
    pub check: Option<CheckSpec>,
}

/// What a certified net gives for the latent that a seed makes (`latentwire-inference` defines how), so that a machine
/// on which it gives anything else is found out when a service starts.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CheckSpec {
    /// What the latent is made from.
    pub seed: u64,
    /// Rows of the latent, 1 to 64.
    pub height: u32,
    /// Columns of the latent, 1 to 64.
    pub width: u32,
    /// SHA-256 of the output's int32 values, little endian.
    pub sha256: FileDigest,
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
/// Longest side of the start-up check's latent: a moment's work.
const MAX_CHECK_SIDE: u32 = 64;
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
        let latent = raw.latent.check()?;
        if latent.quantiser.has_levels() && output == OutputKind::Float32 {
            return Err(field(FILE, "decoder.output", "must be \"int32\" with quantiser \"levels\""));
        }
        let check = check_spec(&raw.decoder, &latent)?;
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
                check,
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
    check: Option<CheckSpec>,
}

#[derive(Deserialize, Clone, Copy)]
#[serde(rename_all = "lowercase")]
enum RawOutput {
    Float32,
    Int32,
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

/// What certifies the net at start-up, and how it may be asked for.
fn check_spec(decoder: &RawDecoder, latent: &LatentSpec) -> Result<Option<CheckSpec>, ModelError> {
    let Some(check) = &decoder.check else { return Ok(None) };
    let problem = if !latent.quantiser.has_levels() {
        "belongs to models with quantiser \"levels\", whose fixed latent is defined".to_owned()
    } else if !decoder.certified {
        "says what a certified decoder gives, and `decoder.certified` is false".to_owned()
    } else if [check.height, check.width].iter().any(|side| !(1..=MAX_CHECK_SIDE).contains(side)) {
        let (height, width) = (check.height, check.width);
        format!("must have sides of 1 to {MAX_CHECK_SIDE} latent positions, found {height} x {width}")
    } else {
        return Ok(Some(check.clone()));
    };
    Err(field(FILE, "decoder.check", problem))
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
