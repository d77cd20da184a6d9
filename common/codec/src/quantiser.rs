//! A model's quantiser at one step of the coded image, with its entropy coder: values of a tile to bytes and back.

use latentwire_latent::{Knob, LevelQuantiser, Tables, choose_levels, quantise_levels};
use latentwire_model::{EncoderSpec, Quantiser};

use crate::error::CodecError;
use crate::models::LoadedModel;
use crate::tiles::Tile;

/// See the module.
#[derive(Debug)]
pub(crate) struct TileCoder<'a> {
    tables: &'a Tables,
    channels: u8,
    steps: Steps,
}

#[derive(Debug)]
enum Steps {
    Uniform(Vec<f32>),
    Levels { quantiser: LevelQuantiser, rounding: Rounding },
}

/// How an encoder with block levels makes integers of values; receivers need not know.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Rounding {
    /// To the nearest, with a zone round zero that is so much wider, in steps.
    DeadZone(f32),
    /// To what costs least, an error of one squared step counting as much as so many bits.
    LeastCost(f32),
}

impl Rounding {
    /// What the manifest of a model says; without a word, the nearest.
    pub(crate) fn new(encoder: Option<&EncoderSpec>) -> Self {
        let dead_zone = encoder.and_then(|encoder| encoder.dead_zone).unwrap_or_default();
        let weight = encoder.and_then(|encoder| encoder.error_weight);
        weight.map_or(Self::DeadZone(dead_zone), Self::LeastCost)
    }
}

impl<'a> TileCoder<'a> {
    /// For a quantiser step in 1/256 of the model's base steps.
    ///
    /// # Errors
    /// [`CodecError::ModelContradiction`] for a step that the model's blocks with levels do not have.
    pub(crate) fn new(model: &'a LoadedModel, quantiser_step: u16) -> Result<Self, CodecError> {
        let steps = match &model.spec.latent.quantiser {
            Quantiser::Uniform { steps } => {
                let multiplier = f32::from(quantiser_step) / 256.0;
                Steps::Uniform(steps.iter().map(|base| base * multiplier).collect())
            }
            Quantiser::Levels { steps } => {
                let knob = Knob::from_step(quantiser_step);
                let knob = knob.ok_or_else(|| CodecError::ModelContradiction {
                    id: model.info.id.clone(),
                    what: "its quantiser step is none of the rate knob's",
                })?;
                Steps::Levels { quantiser: LevelQuantiser::new(steps, knob)?, rounding: model.rounding }
            }
        };
        Ok(Self { tables: &model.tables, channels: model.spec.latent.channels, steps })
    }

    /// Quantises and codes a tile of a planar latent.
    pub(crate) fn encode(&self, values: &[f32], tile: Tile) -> Result<Vec<u8>, CodecError> {
        let (height, width) = (tile.height, tile.width);
        Ok(match &self.steps {
            Steps::Uniform(steps) => {
                let quantised = latentwire_latent::quantise(values, self.channels, height, width, steps)?;
                latentwire_latent::encode(self.tables, &quantised)?
            }
            Steps::Levels { quantiser, rounding } => {
                let quantised = match *rounding {
                    Rounding::DeadZone(zone) => quantise_levels(values, height, width, quantiser, zone)?,
                    Rounding::LeastCost(weight) => {
                        choose_levels(self.tables, values, height, width, quantiser, weight)?
                    }
                };
                latentwire_latent::encode_levels(self.tables, &quantised, quantiser)?
            }
        })
    }

    /// What the decoder net takes for a coded tile.
    pub(crate) fn decode(&self, bytes: &[u8], tile: Tile) -> Result<Vec<f32>, CodecError> {
        let (height, width) = (tile.height, tile.width);
        Ok(match &self.steps {
            Steps::Uniform(steps) => {
                let quantised = latentwire_latent::decode(self.tables, self.channels, height, width, bytes)?;
                latentwire_latent::dequantise(&quantised, steps)?
            }
            Steps::Levels { quantiser, .. } => {
                let quantised =
                    latentwire_latent::decode_levels(self.tables, height, width, bytes, quantiser)?;
                latentwire_latent::dequantise_levels(&quantised, quantiser)?
            }
        })
    }
}
