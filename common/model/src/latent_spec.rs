//! `[latent]` of `decode.toml`: shape and quantisation of the latent.

use serde::Deserialize;

use crate::error::ModelError;
use crate::manifest::field;

/// Shape and quantisation of the latent.
#[derive(Clone, PartialEq, Debug)]
pub struct LatentSpec {
    /// Channels: 1 to 16 with [`Quantiser::Uniform`], 2 to 255 with [`Quantiser::Levels`].
    pub channels: u8,
    /// Picture pixels a latent position covers along a side: 1, 2, 4, 8, 16 or 32.
    pub stride: u32,
    /// How its values become integers.
    pub quantiser: Quantiser,
}

/// How the latent's values become integers (docs/BITSTREAM.md).
#[derive(Clone, PartialEq, Debug)]
pub enum Quantiser {
    /// One step a channel.
    Uniform {
        /// Base step of each channel, in latent units; finite, 1e-6 to 1e6.
        steps: Vec<f32>,
    },
    /// Every block has a level of its own, which travels as channel 0 and sets the steps of the others.
    Levels {
        /// Base step of each channel in 1/256 coefficient unit, at level 0 and knob 0: 1 for channel 0, else 1 to 2^28.
        steps: Vec<u32>,
    },
}

impl Quantiser {
    /// Whether every block has a level of its own.
    pub fn has_levels(&self) -> bool {
        matches!(self, Self::Levels { .. })
    }
}

/// Largest base step of a channel whose blocks have levels.
const MAX_BASE_STEP: i64 = 1 << 28;
/// Most channels with one step each: the limit of their entropy tables (docs/BITSTREAM.md).
const MAX_UNIFORM_CHANNELS: u8 = 16;

const FILE: &str = "decode.toml";

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawLatent {
    channels: u8,
    stride: u32,
    #[serde(default)]
    quantiser: RawQuantiser,
    steps: Vec<RawStep>,
}

#[derive(Deserialize, Clone, Copy, Default, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
enum RawQuantiser {
    #[default]
    Uniform,
    Levels,
}

#[derive(Deserialize, Clone, Copy)]
#[serde(untagged)]
enum RawStep {
    Integer(i64),
    Float(f64),
}

impl RawLatent {
    pub(crate) fn check(self) -> Result<LatentSpec, ModelError> {
        let (least, most) = match self.quantiser {
            RawQuantiser::Uniform => (1, MAX_UNIFORM_CHANNELS),
            // A channel of levels alone holds no picture.
            RawQuantiser::Levels => (2, u8::MAX),
        };
        if !(least..=most).contains(&self.channels) {
            let problem = format!("must be {least} to {most}, found {}", self.channels);
            return Err(field(FILE, "latent.channels", problem));
        }
        if !self.stride.is_power_of_two() || self.stride > 32 {
            return Err(field(
                FILE,
                "latent.stride",
                format!("must be 1, 2, 4, 8, 16 or 32, found {}", self.stride),
            ));
        }
        if self.steps.len() != usize::from(self.channels) {
            let problem =
                format!("must hold one step a channel: {} wanted, {} found", self.channels, self.steps.len());
            return Err(field(FILE, "latent.steps", problem));
        }
        let quantiser = match self.quantiser {
            RawQuantiser::Uniform => Quantiser::Uniform { steps: uniform_steps(&self.steps)? },
            RawQuantiser::Levels => Quantiser::Levels { steps: base_steps(&self.steps)? },
        };
        Ok(LatentSpec { channels: self.channels, stride: self.stride, quantiser })
    }
}

fn uniform_steps(steps: &[RawStep]) -> Result<Vec<f32>, ModelError> {
    let of = |step: &RawStep| {
        let step = match *step {
            RawStep::Integer(step) => step as f64,
            RawStep::Float(step) => step,
        };
        if (1e-6..=1e6).contains(&step) {
            return Ok(step as f32);
        }
        Err(field(FILE, "latent.steps", format!("must each lie between 1e-6 and 1e6, found {step}")))
    };
    steps.iter().map(of).collect()
}

fn base_steps(steps: &[RawStep]) -> Result<Vec<u32>, ModelError> {
    let of = |(channel, step): (usize, &RawStep)| {
        let RawStep::Integer(step) = *step else {
            let problem = format!("must be integers with quantiser \"levels\", channel {channel}'s is not");
            return Err(field(FILE, "latent.steps", problem));
        };
        if channel == 0 && step != 1 {
            let problem = format!("must begin with 1, the step of the levels themselves, found {step}");
            return Err(field(FILE, "latent.steps", problem));
        }
        match u32::try_from(step) {
            Ok(sound) if (1..=MAX_BASE_STEP).contains(&step) => Ok(sound),
            _ => {
                let problem = format!("must each lie between 1 and 2^28, channel {channel}'s is {step}");
                Err(field(FILE, "latent.steps", problem))
            }
        }
    };
    steps.iter().enumerate().map(of).collect()
}
